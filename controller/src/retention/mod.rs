//! Retention: how long what names people is kept. Every hour what is older is deleted, in batches,
//! unless a legal hold keeps it. Books and the audit log stay: the law wants them.
//!
//! What may be deleted is decided in the database (`retain`); this says when.

pub mod http;
mod store;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::{
    daemon::Chain,
    id::{LegalHoldId, SubscriberId, TenantId},
};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    words::{Name, choices},
};

choices! {
    /// What is kept for as long as each other.
    RetentionClass {
        Sessions = "sessions",
        Auth = "auth",
        Messages = "messages",
        Webhooks = "webhooks",
        Callbacks = "callbacks",
        // Of requests that may be repeated: a week, which nobody changes.
        Keys = "keys",
    }
}

impl RetentionClass {
    const ALL: [Self; 6] =
        [Self::Sessions, Self::Auth, Self::Messages, Self::Webhooks, Self::Callbacks, Self::Keys];
}

/// In days.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub sessions: u16,
    pub auth: u16,
    pub messages: u16,
    pub webhooks: u16,
    pub callbacks: u16,
    pub version: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { sessions: 365, auth: 90, messages: 365, webhooks: 30, callbacks: 90, version: 0 }
    }
}

impl Policy {
    const fn days(&self, class: RetentionClass) -> u16 {
        match class {
            RetentionClass::Sessions => self.sessions,
            RetentionClass::Auth => self.auth,
            RetentionClass::Messages => self.messages,
            RetentionClass::Webhooks => self.webhooks,
            RetentionClass::Callbacks => self.callbacks,
            // A day more than a request may be repeated: until then it is answered from here.
            RetentionClass::Keys => 8,
        }
    }
}

/// Nothing of whom it is about is deleted until it is lifted.
#[derive(Clone, Debug)]
pub struct Hold {
    pub id: LegalHoldId,
    /// None: everybody.
    pub subscriber: Option<SubscriberId>,
    pub reason: Name,
    pub placed_by: String,
    pub placed_at: Timestamp,
    pub lifted_by: Option<String>,
    pub lifted_at: Option<Timestamp>,
}

/// How much of a class is older than it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Old {
    pub class: RetentionClass,
    pub days: u16,
    pub rows: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error("there is no such legal hold, or it is lifted")]
    Unknown,
    #[error("there is no such subscriber")]
    UnknownSubscriber,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RetentionError {
    fn from(error: StoreError) -> Self {
        if error.is_dangling() { Self::UnknownSubscriber } else { Self::Store(error) }
    }
}

#[derive(Clone, Debug)]
pub struct Retention {
    db: Db,
}

impl Retention {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn run(self) {
        let mut hourly = tokio::time::interval(EVERY);
        loop {
            hourly.tick().await;
            match self.round(clock::now()).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "what was kept for long enough is deleted"),
                Err(error) => tracing::error!(error = %Chain(&error), "nothing is deleted"),
            }
        }
    }

    /// Deletes what is old, of all tenants; says how many rows that was. What is left when there
    /// is very much goes next time.
    pub async fn round(&self, now: Timestamp) -> Result<i64, StoreError> {
        let mut deleted = 0;
        for tenant in audit::tenants(&self.db).await? {
            for class in RetentionClass::ALL {
                for _ in 0..BATCHES {
                    let rows = self.batch(tenant, class, now).await?;
                    deleted += rows;
                    if rows < i64::from(BATCH) {
                        break;
                    }
                }
            }
        }
        Ok(deleted)
    }

    /// One transaction, so that nobody waits for it.
    async fn batch(
        &self,
        tenant: TenantId,
        class: RetentionClass,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let mut tx = self.db.tenant(tenant).await?;
        let policy = store::policy(&mut tx, tenant).await?.unwrap_or_default();
        let rows = store::retain(&mut tx, class, before(policy, class, now), BATCH, false).await?;
        tx.commit().await?;
        let class = class.as_str();
        metrics::counter!("kennet_retention_rows_total", "class" => class)
            .increment(rows.unsigned_abs());
        Ok(rows)
    }

    /// What the next round would delete. Nothing is.
    pub async fn old(&self, actor: &Actor, now: Timestamp) -> Result<Vec<Old>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        let policy = store::policy(&mut tx, actor.tenant).await?.unwrap_or_default();
        let mut all = Vec::new();
        for class in RetentionClass::ALL {
            let before = before(policy, class, now);
            let rows = store::retain(&mut tx, class, before, BATCH, true).await?;
            all.push(Old { class, days: policy.days(class), rows });
        }
        Ok(all)
    }

    pub async fn policy(&self, actor: &Actor) -> Result<Policy, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        Ok(store::policy(&mut tx, actor.tenant).await?.unwrap_or_default())
    }

    pub async fn set_policy(
        &self,
        actor: &Actor,
        version: i64,
        policy: Policy,
    ) -> Result<Policy, RetentionError> {
        let mut tx = self.db.staff(actor).await?;
        let Some(version) = store::set_policy(&mut tx, actor.tenant, version, &policy).await?
        else {
            return Err(RetentionError::Stale);
        };
        let entry = audit::Entry {
            action: "retention_policy.set",
            object_kind: "retention_policy",
            object_id: "policy".to_owned(),
            before: None,
            after: Some(json!({ "sessions": policy.sessions, "auth": policy.auth,
                "messages": policy.messages, "webhooks": policy.webhooks,
                "callbacks": policy.callbacks })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Policy { version, ..policy })
    }

    pub async fn holds(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Hold>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::holds(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn hold(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        subscriber: Option<SubscriberId>,
        reason: Name,
    ) -> Result<Made<Hold>, RetentionError> {
        let mut tx = self.db.staff(actor).await?;
        let id = LegalHoldId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let value = find(&mut tx, actor, LegalHoldId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let value = Hold {
            id,
            subscriber,
            reason,
            placed_by: actor.name(),
            placed_at: clock::now(),
            lifted_by: None,
            lifted_at: None,
        };
        store::insert_hold(&mut tx, actor.tenant, &value).await?;
        record(&mut tx, actor, "legal_hold.place", &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn lift(&self, actor: &Actor, id: LegalHoldId) -> Result<Hold, RetentionError> {
        let mut tx = self.db.staff(actor).await?;
        if !store::lift(&mut tx, actor.tenant, id, &actor.name(), clock::now()).await? {
            return Err(RetentionError::Unknown);
        }
        let value = find(&mut tx, actor, id).await?;
        record(&mut tx, actor, "legal_hold.lift", &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(value)
    }
}

async fn find(tx: &mut Tx, actor: &Actor, id: LegalHoldId) -> Result<Hold, RetentionError> {
    let found = store::holds(tx, actor.tenant, Some(id), Uuid::nil(), 1).await?;
    found.into_iter().next().ok_or(RetentionError::Unknown)
}

fn before(policy: Policy, class: RetentionClass, now: Timestamp) -> Timestamp {
    now - SignedDuration::from_hours(24 * i64::from(policy.days(class)))
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    hold: &Hold,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "legal_hold",
        object_id: hold.id.to_string(),
        before: None,
        after: Some(json!({ "subscriber": hold.subscriber, "reason": hold.reason })),
    };
    audit::record(tx, actor, entry).await
}

const EVERY: Duration = Duration::from_hours(1);
/// Rows of one transaction, and transactions of one round.
const BATCH: i32 = 1000;
const BATCHES: u32 = 200;
