//! Courtesy: staff lets somebody on-line for a while who has not paid, once at a time.
//!
//! A session is observed, not made: what is made is an entitlement that gives nothing but time and
//! perhaps data, and no money moves. The edges hear of it, and the device comes in by itself.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::id::{EntitlementId, PlanVersionId, SubscriberId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit, clock,
    db::{self, AsStoreError, Db, StoreError},
    edges::LookAgain,
    idempotency::{self, Claim, ClaimError, Key, Made},
};

pub mod http;
mod store;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NewStart {
    pub subscriber: SubscriberId,
    pub lasting: SignedDuration,
    /// No more than this; none: as much as passes in the time.
    pub data_bytes: Option<u64>,
    /// Whose rates it has; none: of what the subscriber had last.
    pub plan_version: Option<PlanVersionId>,
}

/// What somebody was given.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub id: EntitlementId,
    pub subscriber: SubscriberId,
    pub plan_version: PlanVersionId,
    pub from: Timestamp,
    pub until: Timestamp,
    pub data_bytes: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("there is no such subscriber, or the account is closed")]
    UnknownSubscriber,
    #[error("the subscriber may be on-line already")]
    LiveAlready,
    #[error("the subscriber never had a plan: say which one's rates it has")]
    NoPlan,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for StartError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::UnknownSubscriber | Self::LiveAlready | Self::NoPlan | Self::Claim(_) => None,
        }
    }
}

/// Lets a subscriber on-line from now on.
pub async fn start(
    db: &Db,
    look_again: &LookAgain,
    actor: &Actor,
    key: Option<&Key>,
    new: NewStart,
) -> Result<Made<Start>, StartError> {
    let made = db::retry(|| start_once(db, actor, key, new)).await?;
    look_again.ring();
    Ok(made)
}

async fn start_once(
    db: &Db,
    actor: &Actor,
    key: Option<&Key>,
    new: NewStart,
) -> Result<Made<Start>, StartError> {
    let mut tx = db.staff(actor).await?;
    let id = EntitlementId::from_uuid(Uuid::now_v7());
    if let Claim::Before { object, once: _ } =
        idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
    {
        let value = store::find(&mut tx, actor.tenant, EntitlementId::from_uuid(object)).await?;
        return Ok(Made { value, replayed: true });
    }
    let from = clock::now();
    if !store::lock_subscriber(&mut tx, actor.tenant, new.subscriber).await? {
        return Err(StartError::UnknownSubscriber);
    }
    if store::is_live(&mut tx, actor.tenant, new.subscriber, from).await? {
        return Err(StartError::LiveAlready);
    }
    let plan_version = match new.plan_version {
        Some(version) => version,
        None => store::last_plan(&mut tx, actor.tenant, new.subscriber)
            .await?
            .ok_or(StartError::NoPlan)?,
    };
    let until = from.saturating_add(new.lasting).unwrap_or(from);
    let (subscriber, data_bytes) = (new.subscriber, new.data_bytes);
    let start = Start { id, subscriber, plan_version, from, until, data_bytes };
    match store::insert(&mut tx, actor.tenant, &start).await {
        Err(error) if error.is_dangling() => return Err(StartError::NoPlan),
        done => done?,
    }
    let entry = audit::Entry {
        action: "session.start",
        object_kind: "entitlement",
        object_id: id.to_string(),
        before: None,
        after: Some(json!({
            "subscriber": subscriber, "plan_version": plan_version, "until": until,
            "data_bytes": data_bytes,
        })),
    };
    audit::record(&mut tx, actor, entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Made { value: start, replayed: false })
}
