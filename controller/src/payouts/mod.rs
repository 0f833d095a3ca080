//! Payouts: money that goes out to resellers, in two steps and by two people. Who asks holds the
//! money; somebody else approves; then it is paid or it failed, never both.

pub mod http;
pub mod policy;
mod send;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{MerchantId, PayoutId, ResellerId, TenantId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    gateways::{Done, Pace},
    idempotency::{self, ClaimError, Key, Made},
    ledger::{self, Account, Entry, Event},
    merchants::{MerchantError, Merchants},
    words::{Msisdn, Receipt, choices},
};

choices! {
    PayoutState {
        // The money is set aside.
        Held = "held",
        // Somebody else has agreed.
        Approved = "approved",
        // The provider did not say what came of it.
        Unknown = "unknown",
        Paid = "paid",
        Failed = "failed",
    }
}

#[derive(Clone, Debug)]
pub struct Payout {
    pub id: PayoutId,
    pub reseller: ResellerId,
    pub msisdn: Msisdn,
    pub amount: Cents,
    pub state: PayoutState,
    pub requested_by: String,
    pub approved_by: Option<String>,
    pub provider_txn: Option<Receipt>,
    /// The account that it is paid from; none: by hand.
    pub merchant: Option<MerchantId>,
    /// What the provider said last.
    pub code: Option<String>,
    pub sent_at: Option<Timestamp>,
    /// It waits until then, because the number is new; none: it does not wait.
    pub not_before: Option<Timestamp>,
    pub asks: i32,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Payout {
    const KIND: &'static str = "payout";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "reseller": self.reseller, "msisdn": self.msisdn, "amount_cents": self.amount.get(),
            "state": self.state, "approved_by": self.approved_by, "merchant": self.merchant,
            "provider_txn": self.provider_txn, "not_before": self.not_before,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewPayout {
    pub reseller: ResellerId,
    pub msisdn: Msisdn,
    pub amount: Cents,
    /// None: it is paid by hand.
    pub merchant: Option<MerchantId>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum End {
    Paid { provider_txn: Receipt },
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum PayoutError {
    #[error("there is no such payout")]
    Unknown,
    #[error("there is no such reseller")]
    UnknownReseller,
    #[error("expected whole shillings, 10 to 250 000")]
    Amount,
    #[error("the reseller has not so much")]
    FloatTooLow,
    #[error("who asked for it does not approve it: ask somebody else")]
    Oneself,
    #[error("a payout that is {} cannot become that", .0.as_str())]
    NotFrom(PayoutState),
    #[error("another payout has this transaction of the provider")]
    TransactionTaken,
    #[error("this account cannot pay out")]
    CannotPay,
    #[error("the reseller was never paid at this number: wait until {until}")]
    NumberNew { until: Timestamp },
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for PayoutError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("ledger_account_floor") => Self::FloatTooLow,
            Some("payout_provider_txn") => Self::TransactionTaken,
            Some(_) if error.is_dangling() => Self::UnknownReseller,
            Some(_) | None => Self::Store(error),
        }
    }
}

impl AsStoreError for PayoutError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Unknown
            | Self::UnknownReseller
            | Self::Amount
            | Self::FloatTooLow
            | Self::Oneself
            | Self::NotFrom(_)
            | Self::TransactionTaken
            | Self::CannotPay
            | Self::NumberNew { .. }
            | Self::Stale
            | Self::Merchant(_)
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Payouts {
    db: Db,
    merchants: Merchants,
    pace: Pace,
}

impl Payouts {
    pub const fn new(db: Db, merchants: Merchants, pace: Pace) -> Self {
        Self { db, merchants, pace }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Payout>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: PayoutId) -> Result<Payout, PayoutError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Sets the money aside.
    pub async fn request(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewPayout,
    ) -> Result<Made<Payout>, PayoutError> {
        db::retry(|| self.request_once(actor, key, &new)).await
    }

    async fn request_once(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: &NewPayout,
    ) -> Result<Made<Payout>, PayoutError> {
        let fits = (AMOUNT_MIN..=AMOUNT_MAX).contains(&new.amount.get());
        if !fits || new.amount.in_whole_shillings()? != new.amount {
            return Err(PayoutError::Amount);
        }
        if let Some(merchant) = new.merchant {
            let opened = self.merchants.in_use(actor.tenant, merchant).await?;
            if !opened.gateway.can().payout {
                return Err(PayoutError::CannotPay);
            }
        }
        let mut tx = self.db.staff(actor).await?;
        let id = PayoutId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, PayoutId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let now = clock::now();
        let not_before = if store::is_new_number(&mut tx, actor.tenant, new).await? {
            policy::read(&mut tx, actor.tenant).await?.wait().map(|wait| now + wait)
        } else {
            None
        };
        store::insert(&mut tx, actor.tenant, id, new, &actor.name(), now, not_before).await?;
        let lines = moved(Account::Agent(new.reseller), Account::PayoutClearing, new.amount)?;
        ledger::post(&mut tx, &Entry { event: Event::PayoutHeld(id), at: now, lines }).await?;
        let value = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "payout.request", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    /// By somebody else than who asked.
    pub async fn approve(&self, actor: &Actor, id: PayoutId) -> Result<Payout, PayoutError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state != PayoutState::Held {
            return Err(PayoutError::NotFrom(before.state));
        }
        if before.requested_by == actor.name() {
            return Err(PayoutError::Oneself);
        }
        // The worker sends it after the commit, when the time has come.
        let now = clock::now();
        let next = before.merchant.map(|_| before.not_before.map_or(now, |at| at.max(now)));
        store::approve(&mut tx, actor.tenant, id, &actor.name(), next).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "payout.approve", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// What came of it. One that failed gives the money back.
    pub async fn resolve(
        &self,
        actor: &Actor,
        id: PayoutId,
        end: End,
    ) -> Result<Payout, PayoutError> {
        db::retry(|| self.resolve_once(actor, id, &end)).await
    }

    async fn resolve_once(
        &self,
        actor: &Actor,
        id: PayoutId,
        end: &End,
    ) -> Result<Payout, PayoutError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        match (end, before.not_before) {
            (End::Paid { .. }, Some(until)) if clock::now() < until => {
                return Err(PayoutError::NumberNew { until });
            }
            (End::Paid { .. } | End::Failed, _) => {}
        }
        let after = end_with(&mut tx, actor, &before, end).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// What the provider says came of it. The same again is no news.
    pub(crate) async fn heard(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        id: PayoutId,
        done: &Done,
    ) -> Result<(), PayoutError> {
        let before = lock(tx, actor.tenant, id).await?;
        let end = match (done, before.state) {
            (Done::Paid { provider_txn }, PayoutState::Paid)
                if before.provider_txn.as_ref() == Some(provider_txn) =>
            {
                return Ok(());
            }
            (Done::Failed { .. }, PayoutState::Failed) => return Ok(()),
            (Done::Paid { provider_txn }, _) => End::Paid { provider_txn: provider_txn.clone() },
            (Done::Failed { .. }, _) => End::Failed,
            (Done::Unknown, PayoutState::Approved | PayoutState::Unknown) => {
                let next = Some(clock::now() + self.pace.span(send::ASK_AGAIN));
                store::unknown(tx, actor.tenant, id, None, next).await?;
                return Ok(());
            }
            (Done::Unknown, PayoutState::Held | PayoutState::Paid | PayoutState::Failed) => {
                return Ok(());
            }
        };
        end_with(tx, actor, &before, &end).await?;
        if let Done::Failed { code } = done {
            store::note(tx, actor.tenant, id, code).await?;
        }
        Ok(())
    }
}

/// Paid or failed, and booked so.
async fn end_with(
    tx: &mut Tx,
    actor: &Actor,
    before: &Payout,
    end: &End,
) -> Result<Payout, PayoutError> {
    let sent = matches!(before.state, PayoutState::Approved | PayoutState::Unknown);
    // What nobody has approved can be given up, and not be paid.
    let may = match end {
        End::Paid { .. } => sent,
        End::Failed => sent || before.state == PayoutState::Held,
    };
    if !may {
        return Err(PayoutError::NotFrom(before.state));
    }
    store::resolve(tx, actor.tenant, before.id, end, clock::now()).await?;
    let after = find(tx, actor.tenant, before.id).await?;
    audit::change(tx, actor, "payout.resolve", Some(before), &after).await?;
    Ok(after)
}

fn moved(from: Account, to: Account, amount: Cents) -> Result<Vec<(Account, Cents)>, TooMuch> {
    Ok(vec![(from, amount), (to, Cents::ZERO.minus(amount)?)])
}

async fn find(tx: &mut Tx, tenant: TenantId, id: PayoutId) -> Result<Payout, PayoutError> {
    let mut found = store::list(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(PayoutError::Unknown)
}

/// Nobody else changes it until the transaction ends.
async fn lock(tx: &mut Tx, tenant: TenantId, id: PayoutId) -> Result<Payout, PayoutError> {
    store::lock(tx, tenant, id).await?;
    find(tx, tenant, id).await
}

/// What M-Pesa moves from a business to a person.
const AMOUNT_MIN: i64 = 1000;
const AMOUNT_MAX: i64 = 25_000_000;
