//! The billing life of subscriptions: terms that are paid ahead or invoiced afterwards, reminders,
//! suspension for want of money, and the way back.
//!
//! A subscription says when it is due; a round looks at all that are ([`crate::subscriptions`]
//! decides what comes of it, in `life`), in runs of many, each run one transaction. Whoever runs it
//! twice, or dies in the middle, changes nothing twice: what was looked at is not due any more.

mod batch;
pub mod http;
mod store;
mod verbs;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::{
    daemon::Chain,
    id::{InvoiceId, PlanVersionId, SubscriptionId, TenantId},
};
use uuid::Uuid;

pub(crate) use self::verbs::{activated, change_plan};
use self::{
    batch::Batch,
    store::{
        Due,
        write::{self, Writes},
    },
};
use crate::{
    actor::Actor,
    audit,
    billing::{self, Cents, TooMuch},
    db::{AsStoreError, Db, StoreError, Tx},
    edges::LookAgain,
    idempotency::ClaimError,
    intents::Intents,
    invoices::InvoiceError,
    plans::{self, Billing, OnExhaust},
    subscriptions::Policy,
    taxes, tenants,
};

/// A time that a subscription was billed for.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub id: Uuid,
    pub plan_version: PlanVersionId,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Without taxes.
    pub net: Cents,
    /// Not sold: staff activated it before it was paid.
    pub given: bool,
    pub invoice: Option<InvoiceId>,
}

/// What happens to who does not pay; version 0: the defaults.
#[derive(Clone, Debug)]
pub struct PolicyRow {
    pub policy: Policy,
    pub version: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum PeriodError {
    #[error("there is no such subscription")]
    Unknown,
    #[error("there is no such plan version, or it is archived")]
    Dangling,
    #[error("the wallet has {} cents, and {} are needed", wallet.get(), needed.get())]
    WalletTooLow { wallet: Cents, needed: Cents },
    #[error("as many terms are paid ahead as may be")]
    StackedUp,
    #[error("what is invoiced afterwards is not paid ahead")]
    Postpaid,
    #[error("a subscription that is {0} is not renewed")]
    NotRenewable(&'static str),
    #[error("a promise needs something to be paid, and one was not made for it yet")]
    NoPromise,
    #[error("a promise may reach {0} days ahead")]
    PromiseTooFar(u16),
    #[error("an add-on is a prepaid plan with bytes or time")]
    NotAnAddOn,
    #[error("only a subscription that is on-line gets an add-on")]
    NotOnline,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("an invoice was not issued")]
    Invoice(#[from] InvoiceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for PeriodError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Invoice(error) => error.as_store_error(),
            Self::Unknown
            | Self::Dangling
            | Self::WalletTooLow { .. }
            | Self::StackedUp
            | Self::Postpaid
            | Self::NotRenewable(_)
            | Self::NoPromise
            | Self::PromiseTooFar(_)
            | Self::NotAnAddOn
            | Self::NotOnline
            | Self::Stale
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    pub looked: u64,
    /// When the next subscription is due.
    pub next: Option<Timestamp>,
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Periods {
    db: Db,
    look_again: LookAgain,
    intents: Intents,
}

impl Periods {
    pub const fn new(db: Db, look_again: LookAgain, intents: Intents) -> Self {
        Self { db, look_again, intents }
    }

    /// Looks at everything of the tenant that is due.
    pub async fn round(&self, tenant: TenantId, now: Timestamp) -> Result<Round, PeriodError> {
        let mut tx = self.db.tenant(tenant).await?;
        store::hear_of_money(&mut tx, tenant, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let (mut looked, mut limit, mut waits) = (0, RUN, 0);
        let mut edges = false;
        let next = loop {
            let mut ids = Vec::new();
            match self.run_of(tenant, now, limit, &mut ids).await {
                Ok(false) if ids.is_empty() => {
                    let next = store::next_due(&mut self.db.tenant(tenant).await?, tenant).await?;
                    if waits == WAITS || next.is_none_or(|next| next > now) {
                        break next;
                    }
                    // Somebody else has them, perhaps one who is about to fail.
                    waits += 1;
                    tokio::time::sleep(WAIT).await;
                }
                Ok(told) => {
                    edges |= told;
                    looked += ids.len() as u64;
                    limit = RUN.min(limit * 2);
                }
                Err(error) if error.as_store_error().is_some_and(StoreError::is_unavailable) => {
                    return Err(error);
                }
                // One of them: the others do not wait for it.
                Err(_) if ids.len() > 1 => limit = (limit / 8).max(1),
                Err(error) => {
                    let Some(id) = ids.first() else { return Err(error) };
                    tracing::error!(
                        subscription = %SubscriptionId::from_uuid(*id),
                        error = %Chain(&error),
                        "a subscription is not billed; again in an hour"
                    );
                    let mut tx = self.db.tenant(tenant).await?;
                    let later = now.saturating_add(AGAIN).unwrap_or(now);
                    write::put_off(&mut tx, tenant, *id, later).await?;
                    tx.commit().await.map_err(StoreError::from)?;
                }
            }
        };
        if edges {
            self.look_again.ring();
        }
        Ok(Round { looked, next })
    }

    /// One run, in one transaction. True if edges have to be told.
    async fn run_of(
        &self,
        tenant: TenantId,
        now: Timestamp,
        limit: i64,
        ids: &mut Vec<Uuid>,
    ) -> Result<bool, PeriodError> {
        let mut tx = self.db.tenant(tenant).await?;
        match self.run_in(&mut tx, tenant, now, limit, ids).await {
            Ok((edges, asks)) => {
                tx.commit().await.map_err(StoreError::from)?;
                if asks {
                    self.intents.ring();
                }
                Ok(edges)
            }
            Err(error) => {
                // Now, so that the next run finds them free.
                tx.rollback().await.map_err(StoreError::from)?;
                Err(error)
            }
        }
    }

    /// True: if edges have to be told; and if phones are to be asked.
    async fn run_in(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: Timestamp,
        limit: i64,
        ids: &mut Vec<Uuid>,
    ) -> Result<(bool, bool), PeriodError> {
        *ids = store::lock_due(tx, tenant, now, limit).await?;
        if ids.is_empty() {
            return Ok((false, false));
        }
        let due = store::read(tx, tenant, ids).await?;
        let mut batch = open(tx, tenant, now, &due, &[]).await?;
        for one in &due {
            let used = used(tx, tenant, &batch, one).await?;
            batch.decide(one, used)?;
        }
        batch.writes.apply(tx, tenant, now).await?;
        let asks = self.ask(tx, tenant, now, &batch.writes).await?;
        Ok((batch.edges, asks))
    }

    /// What phones are asked for is written down with what made it necessary.
    async fn ask(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: Timestamp,
        writes: &Writes,
    ) -> Result<bool, PeriodError> {
        if writes.prompts.is_empty() {
            return Ok(false);
        }
        let Some(asker) = self.intents.asker(tx, tenant).await? else { return Ok(false) };
        let prompts = writes.prompt(tx, tenant, now).await?;
        let lacks: Vec<_> = prompts.iter().map(|one| (one.subscriber, one.cents)).collect();
        self.intents.write_down(tx, tenant, &asker, &lacks).await?;
        Ok(!lacks.is_empty())
    }

    /// What happens to who does not pay.
    pub async fn policy(&self, actor: &Actor) -> Result<PolicyRow, StoreError> {
        store::policy(&mut self.db.staff(actor).await?, actor.tenant).await
    }

    pub async fn set_policy(
        &self,
        actor: &Actor,
        version: i64,
        policy: Policy,
    ) -> Result<PolicyRow, PeriodError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::policy(&mut tx, actor.tenant).await?;
        if !store::set_policy(&mut tx, actor.tenant, &policy, version).await? {
            return Err(PeriodError::Stale);
        }
        let entry = audit::Entry {
            action: "billing-policy.set",
            object_kind: "billing_policy",
            object_id: actor.tenant.to_string(),
            before: Some(snapshot(&before.policy)),
            after: Some(snapshot(&policy)),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(PolicyRow { policy, version: version + 1 })
    }

    /// Oldest first.
    pub async fn list(
        &self,
        actor: &Actor,
        subscription: SubscriptionId,
    ) -> Result<Vec<Period>, PeriodError> {
        let mut tx = self.db.staff(actor).await?;
        if store::read(&mut tx, actor.tenant, &[*subscription.as_uuid()]).await?.is_empty() {
            return Err(PeriodError::Unknown);
        }
        Ok(store::periods(&mut tx, actor.tenant, subscription).await?)
    }
}

fn snapshot(policy: &Policy) -> Value {
    json!({
        "remind_days": policy.remind_days, "garden_days": policy.garden_days,
        "expire_days": policy.expire_days, "due_days": policy.due_days,
        "promise_days": policy.promise_days, "back_date": policy.back_date,
        "stack_max": policy.stack_max, "breakage_days": policy.breakage_days,
    })
}

/// What holds for these subscriptions at that moment; and their plans, and others.
async fn open(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    due: &[Due],
    others: &[PlanVersionId],
) -> Result<Batch, PeriodError> {
    let zone = tenants::zone(tx, tenant).await?;
    let today = billing::day_of(now, &zone);
    let mut versions: Vec<_> =
        due.iter().flat_map(|one| [Some(one.version), one.next_version]).flatten().collect();
    versions.extend(others);
    versions.sort_unstable();
    versions.dedup();
    let midnight = billing::start_of(today, &zone)?;
    Ok(Batch {
        now,
        policy: store::policy(tx, tenant).await?.policy,
        rates: taxes::on(tx, tenant, today).await?,
        recognised: store::recognised_until(tx, tenant, midnight).await?,
        sold: plans::sold(tx, tenant, &versions).await?,
        writes: Writes::default(),
        edges: false,
        zone,
    })
}

/// What a term that may be invoiced now costs more, or less.
async fn used(
    tx: &mut Tx,
    tenant: TenantId,
    batch: &Batch,
    one: &Due,
) -> Result<Option<store::Used>, PeriodError> {
    let terms = &batch.sold(one.version)?.terms;
    let Some((start, end)) = one.term else { return Ok(None) };
    if terms.billing == Billing::Prepaid || start >= batch.now {
        return Ok(None);
    }
    let span = (start, end.min(batch.now));
    let mut used = store::Used::default();
    if matches!(terms.on_exhaust, OnExhaust::Overage { .. }) {
        used = store::used(tx, tenant, one.id, one.subscriber, span).await?;
    }
    used.outages = store::outages(tx, tenant, one.id, span).await?;
    Ok(Some(used))
}

/// As many in one transaction: who issues an invoice meanwhile waits for it.
const RUN: i64 = 256;
/// How often, and for how long, a round waits for what somebody else has locked.
const WAITS: u32 = 40;
const WAIT: Duration = Duration::from_millis(50);
const AGAIN: SignedDuration = SignedDuration::from_hours(1);
