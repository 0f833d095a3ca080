//! Subscriptions: who has which plan, and in which state it is.

pub mod http;
mod life;
mod state;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{PlanVersionId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

pub use self::{
    life::{Act, Policy, Standing, Then, Verdict, first_look, look},
    state::{State, Verb},
};
use crate::{
    actor::Actor,
    audit, clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    edges::LookAgain,
    idempotency::{self, Claim, ClaimError, Key, Made},
    periods::{self, PeriodError},
    words::Note,
};

#[derive(Clone, Debug)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub subscriber: SubscriberId,
    pub plan_version: PlanVersionId,
    pub state: State,
    /// Since its first activation.
    pub bill_anchor: Option<Timestamp>,
    pub auto_renew: bool,
    /// What is paid for, or what the next invoice is about.
    pub term: Option<(Timestamp, Timestamp)>,
    /// From the end of the term on.
    pub next_plan_version: Option<PlanVersionId>,
    /// Suspended for want of money: paying is still possible on-line.
    pub walled: bool,
    lapsed: bool,
    pub promise_until: Option<Timestamp>,
    pub desired_rev: i64,
    pub applied_rev: i64,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Subscription {
    fn snapshot(&self) -> Value {
        json!({
            "subscriber": self.subscriber, "plan_version": self.plan_version,
            "state": self.state, "auto_renew": self.auto_renew,
            "next_plan_version": self.next_plan_version,
        })
    }
}

/// One step of its life.
#[derive(Clone, Debug)]
pub struct Event {
    pub seq: i64,
    pub at: Timestamp,
    pub from: Option<State>,
    pub to: State,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct NewSubscription {
    pub subscriber: SubscriberId,
    pub plan_version: PlanVersionId,
    pub auto_renew: bool,
    /// At once, instead of when it is paid.
    pub activate: bool,
}

/// What is absent stays. Another plan version takes effect at once, or at the end of the term if it
/// costs less.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionChange {
    pub plan_version: Option<PlanVersionId>,
    pub auto_renew: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<State>,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    #[error("there is no such subscription")]
    Unknown,
    #[error("there is no such subscriber or plan version, or it is closed or archived")]
    Dangling,
    #[error("the subscriber has a live subscription already")]
    LiveAlready,
    #[error("a subscription that is {} cannot be changed by `{}`", state.as_str(), verb.as_str())]
    NotFrom { state: State, verb: Verb },
    #[error("a cancelled subscription does not change")]
    Over,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Period(#[from] PeriodError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SubscriptionError {
    fn from(error: StoreError) -> Self {
        if error.constraint() == Some("subscription_live") {
            return Self::LiveAlready;
        }
        if error.is_dangling() {
            return Self::Dangling;
        }
        Self::Store(error)
    }
}

impl AsStoreError for SubscriptionError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Period(error) => error.as_store_error(),
            Self::Unknown
            | Self::Dangling
            | Self::LiveAlready
            | Self::NotFrom { .. }
            | Self::Over
            | Self::Stale
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    db: Db,
    look_again: LookAgain,
}

impl Subscriptions {
    pub const fn new(db: Db, look_again: LookAgain) -> Self {
        Self { db, look_again }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Subscription>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn find(
        &self,
        actor: &Actor,
        id: SubscriptionId,
    ) -> Result<Subscription, SubscriptionError> {
        let mut tx = self.db.staff(actor).await?;
        store::find(&mut tx, actor.tenant, id).await?.ok_or(SubscriptionError::Unknown)
    }

    /// Oldest first.
    pub async fn events(
        &self,
        actor: &Actor,
        id: SubscriptionId,
    ) -> Result<Vec<Event>, SubscriptionError> {
        let mut tx = self.db.staff(actor).await?;
        if store::find(&mut tx, actor.tenant, id).await?.is_none() {
            return Err(SubscriptionError::Unknown);
        }
        Ok(store::events(&mut tx, actor.tenant, id).await?)
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewSubscription,
    ) -> Result<Made<Subscription>, SubscriptionError> {
        let made = db::retry(|| self.create_once(actor, key, &new)).await?;
        self.look_again.ring();
        Ok(made)
    }

    async fn create_once(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: &NewSubscription,
    ) -> Result<Made<Subscription>, SubscriptionError> {
        let mut tx = self.db.staff(actor).await?;
        let id = SubscriptionId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            drop(tx);
            let value = self.find(actor, SubscriptionId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let may = store::may_have(&mut tx, actor.tenant, new.subscriber, new.plan_version);
        if !may.await? {
            return Err(SubscriptionError::Dangling);
        }
        let now = clock::now();
        store::insert(&mut tx, actor.tenant, id, new, now).await?;
        if new.activate {
            // The same way as every later activation, so that its event is written.
            store::set_state(&mut tx, actor.tenant, id, State::Active, now, "").await?;
            periods::activated(&mut tx, actor.tenant, id, false, now).await?;
        }
        let made = reread(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "subscription.create", None, &made).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: made, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        version: i64,
        change: SubscriptionChange,
    ) -> Result<Subscription, SubscriptionError> {
        self.update_at(actor, id, version, change, clock::now()).await
    }

    /// As [`Self::update`], as if it were then.
    pub async fn update_at(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        version: i64,
        change: SubscriptionChange,
        now: Timestamp,
    ) -> Result<Subscription, SubscriptionError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state == State::Cancelled {
            return Err(SubscriptionError::Over);
        }
        if before.version != version {
            return Err(SubscriptionError::Stale);
        }
        let plan_version = change.plan_version.unwrap_or(before.plan_version);
        let moved = change.plan_version.is_some()
            && (plan_version != before.plan_version || before.next_plan_version.is_some());
        if moved && !store::may_have(&mut tx, actor.tenant, before.subscriber, plan_version).await?
        {
            return Err(SubscriptionError::Dangling);
        }
        let auto_renew = change.auto_renew.unwrap_or(before.auto_renew);
        store::update(&mut tx, actor.tenant, id, auto_renew, now).await?;
        if moved {
            periods::change_plan(&mut tx, actor.tenant, id, plan_version, now).await?;
        }
        let after = reread(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "subscription.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(after)
    }

    /// Moves it to another state. Said twice, the second is refused: the state is what counts.
    pub async fn change_state(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        verb: Verb,
        reason: Option<&Note>,
    ) -> Result<Subscription, SubscriptionError> {
        let after = db::retry(|| self.change_state_once(actor, id, verb, reason)).await?;
        self.look_again.ring();
        Ok(after)
    }

    async fn change_state_once(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        verb: Verb,
        reason: Option<&Note>,
    ) -> Result<Subscription, SubscriptionError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        let refused = SubscriptionError::NotFrom { state: before.state, verb };
        let state = verb.from(before.state).ok_or(refused)?;
        let now = clock::now();
        store::set_state(&mut tx, actor.tenant, id, state, now, reason.map_or("", Note::as_str))
            .await?;
        if state == State::Active {
            let lapsed = before.state == State::Suspended && before.lapsed;
            periods::activated(&mut tx, actor.tenant, id, lapsed, now).await?;
        }
        let after = reread(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, verb.action(), Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}

impl Verb {
    const fn action(self) -> &'static str {
        match self {
            Self::Activate => "subscription.activate",
            Self::Suspend => "subscription.suspend",
            Self::Resume => "subscription.resume",
            Self::Expire => "subscription.expire",
            Self::Cancel => "subscription.cancel",
        }
    }
}

async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
) -> Result<Subscription, SubscriptionError> {
    store::lock(tx, tenant, id).await?;
    store::find(tx, tenant, id).await?.ok_or(SubscriptionError::Unknown)
}

/// With what the guard of the table made of it.
async fn reread(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
) -> Result<Subscription, SubscriptionError> {
    store::find(tx, tenant, id).await?.ok_or(SubscriptionError::Unknown)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Subscription>,
    after: &Subscription,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "subscription",
        object_id: after.id.to_string(),
        before: before.map(Subscription::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
