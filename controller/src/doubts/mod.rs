//! Doubts: what does not fit about payments, for people to look at. The money is where it is in
//! any case; a doubt says what was not believed, and why.

pub mod http;
mod store;

use jiff::Timestamp;
use serde_json::json;
use shared::id::{DoubtId, IntentId, MerchantId, TenantId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    words::{Text, choices},
};

choices! {
    DoubtKind {
        // A callback that cannot be read.
        Unreadable = "unreadable",
        // It is not from the provider: its mark or signature is wrong.
        Forged = "forged",
        // It came from an address that is not the provider's.
        Foreign = "foreign",
        // Not what was asked for, or twice with two amounts.
        Amount = "amount",
        // The receipt is another tenant's, or another subscriber's.
        Elsewhere = "elsewhere",
        // Two messages cannot both be true.
        Contradiction = "contradiction",
        // Nobody could say for two days what came of it.
        Stuck = "stuck",
        // It could not be applied.
        Broken = "broken",
        // Anybody could have said that money came in: it is booked when the provider's own list or
        // statement has it.
        Unconfirmed = "unconfirmed",
    }
}

choices! {
    DoubtState {
        Open = "open",
        Closed = "closed",
    }
}

#[derive(Clone, Debug)]
pub struct Doubt {
    pub id: DoubtId,
    pub kind: DoubtKind,
    /// An event, a receipt or an intent.
    pub about: String,
    pub merchant: Option<MerchantId>,
    pub intent: Option<IntentId>,
    pub said: String,
    pub state: DoubtState,
    pub note: String,
    pub closed_by: Option<String>,
    pub closed_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A doubt to be raised.
#[derive(Clone, Debug)]
pub(crate) struct NewDoubt {
    pub(crate) kind: DoubtKind,
    pub(crate) about: String,
    pub(crate) merchant: Option<MerchantId>,
    pub(crate) intent: Option<IntentId>,
    pub(crate) said: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DoubtError {
    #[error("there is no such doubt")]
    Unknown,
    #[error("it is closed already")]
    Closed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Doubts {
    db: Db,
}

impl Doubts {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        state: Option<DoubtState>,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Doubt>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, state, after, limit).await
    }

    /// Says what came of it.
    pub async fn close(&self, actor: &Actor, id: DoubtId, note: Text) -> Result<Doubt, DoubtError> {
        let mut tx = self.db.staff(actor).await?;
        let find = store::list(&mut tx, actor.tenant, Some(id), None, Uuid::nil(), 1).await?;
        if find.is_empty() {
            return Err(DoubtError::Unknown);
        }
        let by = actor.name();
        if !store::close(&mut tx, actor.tenant, id, note.as_str(), &by, clock::now()).await? {
            return Err(DoubtError::Closed);
        }
        let entry = audit::Entry {
            action: "doubt.close",
            object_kind: "doubt",
            object_id: id.to_string(),
            before: None,
            after: Some(json!({ "note": note })),
        };
        audit::record(&mut tx, actor, entry).await?;
        let mut after = store::list(&mut tx, actor.tenant, Some(id), None, Uuid::nil(), 1).await?;
        tx.commit().await.map_err(StoreError::from)?;
        after.pop().ok_or(DoubtError::Unknown)
    }
}

/// What was doubted has turned out true.
pub(crate) async fn settle(
    tx: &mut Tx,
    actor: &Actor,
    kind: DoubtKind,
    about: &[&str],
    note: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    store::settle(tx, actor.tenant, kind, about, note, &actor.name(), now).await
}

/// The same doubt about the same thing is one.
pub(crate) async fn raise(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewDoubt,
    now: Timestamp,
) -> Result<(), StoreError> {
    metrics::counter!("kennet_payment_doubts_total", "kind" => new.kind.as_str()).increment(1);
    store::insert(tx, tenant, DoubtId::from_uuid(Uuid::now_v7()), new, now).await
}
