//! Who did what: a row in the transaction of the change, so that neither is there alone.

pub mod http;
mod store;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;
use shared::id::AuditId;
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
    store::insert(tx, actor, &entry, clock::now()).await
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
}
