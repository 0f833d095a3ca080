//! Who did what: a row in the transaction of the change, so that neither is there alone.
//!
//! Every minute what is new is sealed into a block that is chained to the one before: whoever
//! changes a row afterwards, even as the owner of the database, is found out.

pub mod http;
mod store;

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use shared::{
    daemon::Chain,
    id::{AuditId, TenantId},
};
use uuid::Uuid;

use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError, Tx},
};

/// One change. `before` and `after` never hold secrets.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A verb on a noun: `subscriber.create`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

pub async fn record(tx: &mut Tx, actor: &Actor, entry: Entry) -> Result<(), StoreError> {
    store::insert(tx, &[(actor, entry, clock::now())]).await
}

/// As [`record`], of many changes, each by somebody and at some time.
pub(crate) async fn record_all(
    tx: &mut Tx,
    changes: &[(&Actor, Entry, Timestamp)],
) -> Result<(), StoreError> {
    if changes.is_empty() { Ok(()) } else { store::insert(tx, changes).await }
}

/// Something whose changes are recorded.
pub trait Audited {
    const KIND: &'static str;

    fn id(&self) -> String;

    /// What of it matters; no secrets.
    fn snapshot(&self) -> Value;
}

/// As [`record`], of something as it was before and is now.
pub async fn change<T: Audited + Sync>(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&T>,
    after: &T,
) -> Result<(), StoreError> {
    record(tx, actor, changed(action, before, after)).await
}

/// That something was as it was before and is as it is now.
pub(crate) fn changed<T: Audited>(action: &'static str, before: Option<&T>, after: &T) -> Entry {
    Entry {
        action,
        object_kind: T::KIND,
        object_id: after.id(),
        before: before.map(T::snapshot),
        after: Some(after.snapshot()),
    }
}

/// As [`record`], of something that is not there any more.
pub async fn deletion<T: Audited + Sync>(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: &T,
) -> Result<(), StoreError> {
    let entry = Entry {
        action,
        object_kind: T::KIND,
        object_id: before.id(),
        before: Some(before.snapshot()),
        after: None,
    };
    record(tx, actor, entry).await
}

/// All of them, the platform's too: for who goes round.
pub(crate) async fn tenants(db: &Db) -> Result<Vec<TenantId>, StoreError> {
    store::tenants(db).await
}

/// An entry as it was written.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: String,
    pub actor_ip: Option<IpAddr>,
    pub action: String,
    pub object_kind: String,
    pub object_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Id of the object.
    pub object: Option<String>,
    pub actor: Option<String>,
}

/// Whether the log is as it was written.
#[derive(Clone, Debug)]
pub struct Proof {
    pub blocks: i64,
    /// Rows that are not in a block yet.
    pub waiting: i64,
    /// Hash of the last block. Kept elsewhere, it proves all that is before it.
    pub head: Option<String>,
    /// Blocks that are not as they were sealed; 0: rows that came in around the log.
    pub broken: Vec<i64>,
}

/// Reads the log.
#[derive(Clone, Debug)]
pub struct Audit {
    db: Db,
}

impl Audit {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Oldest first.
    pub async fn list(
        &self,
        actor: &Actor,
        filter: &Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn prove(&self, actor: &Actor) -> Result<Proof, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::prove(&mut tx, actor.tenant).await
    }

    /// Seals what is new, of all tenants; says how many rows that was.
    pub async fn seal(&self, now: Timestamp) -> Result<i64, StoreError> {
        let mut sealed = 0;
        for tenant in store::tenants(&self.db).await? {
            loop {
                let mut tx = self.db.tenant(tenant).await?;
                let rows = store::seal(&mut tx, now).await?;
                tx.commit().await?;
                sealed += i64::from(rows);
                // A full block may have more behind it.
                if rows < BLOCK_ROWS {
                    break;
                }
            }
        }
        Ok(sealed)
    }

    /// Seals every minute.
    pub async fn run(self) {
        let mut every_minute = tokio::time::interval(Duration::from_mins(1));
        loop {
            every_minute.tick().await;
            if let Err(error) = self.seal(clock::now()).await {
                tracing::error!(error = %Chain(&error), "the audit log is not sealed");
            }
        }
    }
}

/// As many as the database puts into one.
const BLOCK_ROWS: i32 = 1000;
