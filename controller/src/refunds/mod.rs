//! Refunds: money that goes back to who paid. By us: one person asks and holds the money, another
//! agrees, and the provider gives it back, or it fails and the money stays; never both. And what a
//! provider took back on its own: what is not in the wallet any more is owed.

pub mod http;
mod send;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{IntentId, PaymentId, RefundId, TenantId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    gateways::{Done, Pace},
    idempotency::{self, ClaimError, Key, Made},
    merchants::{MerchantError, Merchants},
    payments::{self, PaymentError, PaymentState, Provider},
    words::{Name, Receipt, choices},
};

choices! {
    RefundKind {
        // By us.
        GivenBack = "given_back",
        // By the provider, without us.
        TakenBack = "taken_back",
    }
}

choices! {
    RefundState {
        // The money is set aside.
        Held = "held",
        // Somebody else has agreed.
        Approved = "approved",
        // The provider did not say what came of it.
        Unknown = "unknown",
        Done = "done",
        Failed = "failed",
    }
}

#[derive(Clone, Debug)]
pub struct Refund {
    pub id: RefundId,
    pub payment: PaymentId,
    pub amount: Cents,
    pub kind: RefundKind,
    pub state: RefundState,
    /// What was not in the wallet any more.
    pub owed: Cents,
    pub reason: Name,
    pub requested_by: String,
    pub approved_by: Option<String>,
    pub provider_txn: Option<Receipt>,
    /// What the provider said last.
    pub code: Option<String>,
    pub sent_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Refund {
    const KIND: &'static str = "refund";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "payment": self.payment, "amount_cents": self.amount.get(), "kind": self.kind,
            "state": self.state, "owed_cents": self.owed.get(), "reason": self.reason,
            "approved_by": self.approved_by, "provider_txn": self.provider_txn,
        })
    }
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum End {
    Done { provider_txn: Option<Receipt> },
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    #[error("there is no such refund")]
    Unknown,
    #[error("this payment goes back already, or went")]
    Already,
    #[error("the payer has spent it: so much is not in the wallet any more")]
    Spent,
    #[error("who asked for it does not approve it: ask somebody else")]
    Oneself,
    #[error("a refund that is {} cannot become that", .0.as_str())]
    NotFrom(RefundState),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RefundError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("ledger_account_floor") => Self::Spent,
            Some("payment_refund_once") => Self::Already,
            Some(_) | None => Self::Store(error),
        }
    }
}

impl AsStoreError for RefundError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Payment(error) => error.as_store_error(),
            Self::Unknown
            | Self::Already
            | Self::Spent
            | Self::Oneself
            | Self::NotFrom(_)
            | Self::TooMuch(_)
            | Self::Merchant(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Refunds {
    db: Db,
    merchants: Merchants,
    pace: Pace,
}

impl Refunds {
    pub const fn new(db: Db, merchants: Merchants, pace: Pace) -> Self {
        Self { db, merchants, pace }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Refund>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: RefundId) -> Result<Refund, RefundError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Sets the whole of a payment aside, to be given back.
    pub async fn request(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        payment: PaymentId,
        reason: Name,
    ) -> Result<Made<Refund>, RefundError> {
        db::retry(|| self.begin(actor, key, payment, &reason, RefundKind::GivenBack)).await
    }

    /// The provider has taken a payment back: the books follow.
    pub async fn taken_back(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        payment: PaymentId,
        reason: Name,
    ) -> Result<Made<Refund>, RefundError> {
        db::retry(|| self.begin(actor, key, payment, &reason, RefundKind::TakenBack)).await
    }

    async fn begin(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        payment: PaymentId,
        reason: &Name,
        kind: RefundKind,
    ) -> Result<Made<Refund>, RefundError> {
        let mut tx = self.db.staff(actor).await?;
        let id = RefundId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, RefundId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let now = clock::now();
        let of = payments::lock(&mut tx, actor.tenant, payment).await?;
        let owed = match (kind, of.subscriber, of.state) {
            (RefundKind::TakenBack, Some(subscriber), PaymentState::Matched) => {
                let wallet = payments::wallet(&mut tx, actor.tenant, subscriber).await?;
                of.amount.minus(wallet)?.max(Cents::ZERO)
            }
            (RefundKind::GivenBack | RefundKind::TakenBack, _, _) => Cents::ZERO,
        };
        let refund = Refund {
            id,
            payment,
            amount: of.amount,
            kind,
            state: match kind {
                RefundKind::GivenBack => RefundState::Held,
                RefundKind::TakenBack => RefundState::Done,
            },
            owed,
            reason: reason.clone(),
            requested_by: actor.name(),
            approved_by: None,
            provider_txn: None,
            code: None,
            sent_at: None,
            version: 1,
            created_at: now,
        };
        store::insert(&mut tx, actor.tenant, &refund).await?;
        match kind {
            RefundKind::GivenBack => store::hold(&mut tx, id, payment, now).await?,
            RefundKind::TakenBack => store::take_back(&mut tx, id, payment, owed, now).await?,
        }
        audit::change(&mut tx, actor, "refund.request", None, &refund).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: refund, replayed: false })
    }

    /// By somebody else than who asked. If the provider can, it is told after the commit.
    pub async fn approve(&self, actor: &Actor, id: RefundId) -> Result<Refund, RefundError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state != RefundState::Held {
            return Err(RefundError::NotFrom(before.state));
        }
        if before.requested_by == actor.name() {
            return Err(RefundError::Oneself);
        }
        store::approve(&mut tx, actor.tenant, id, &actor.name(), clock::now()).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "refund.approve", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// What came of it, as staff knows. One that failed stays the payer's money.
    pub async fn resolve(
        &self,
        actor: &Actor,
        id: RefundId,
        end: End,
    ) -> Result<Refund, RefundError> {
        db::retry(|| async {
            let mut tx = self.db.staff(actor).await?;
            let before = lock(&mut tx, actor.tenant, id).await?;
            let after = end_with(&mut tx, actor, &before, &end).await?;
            tx.commit().await.map_err(StoreError::from)?;
            Ok(after)
        })
        .await
    }

    /// The provider says that something came of giving a payment back: it is asked at once. False:
    /// the payment is ours, and nobody has asked for that, or it was given up.
    pub(crate) async fn look(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        provider: Provider,
        intent: Option<IntentId>,
        receipt: Option<&Receipt>,
    ) -> Result<bool, StoreError> {
        store::look(tx, tenant, provider, intent, receipt, clock::now()).await
    }

    /// What the provider says came of it. The same again is no news.
    pub(crate) async fn heard(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        id: RefundId,
        done: &Done,
    ) -> Result<(), RefundError> {
        let before = lock(tx, actor.tenant, id).await?;
        let end = match (done, before.state) {
            (Done::Paid { .. }, RefundState::Done) | (Done::Failed { .. }, RefundState::Failed) => {
                return Ok(());
            }
            (Done::Paid { provider_txn }, _) => {
                End::Done { provider_txn: Some(provider_txn.clone()) }
            }
            (Done::Failed { .. }, _) => End::Failed,
            (Done::Unknown, _) => return Ok(()),
        };
        end_with(tx, actor, &before, &end).await?;
        if let Done::Failed { code } = done {
            store::note(tx, actor.tenant, id, code).await?;
        }
        Ok(())
    }
}

/// Done or failed, and booked so.
async fn end_with(
    tx: &mut Tx,
    actor: &Actor,
    before: &Refund,
    end: &End,
) -> Result<Refund, RefundError> {
    let sent = matches!(before.state, RefundState::Approved | RefundState::Unknown);
    // What nobody has approved can be given up, and not be done.
    let may = match end {
        End::Done { .. } => sent,
        End::Failed => sent || before.state == RefundState::Held,
    };
    if !may {
        return Err(RefundError::NotFrom(before.state));
    }
    store::resolve(tx, actor.tenant, before.id, end, clock::now()).await?;
    let after = find(tx, actor.tenant, before.id).await?;
    audit::change(tx, actor, "refund.resolve", Some(before), &after).await?;
    Ok(after)
}

async fn find(tx: &mut Tx, tenant: TenantId, id: RefundId) -> Result<Refund, RefundError> {
    let mut found = store::list(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(RefundError::Unknown)
}

/// Nobody else changes it until the transaction ends.
async fn lock(tx: &mut Tx, tenant: TenantId, id: RefundId) -> Result<Refund, RefundError> {
    store::lock(tx, tenant, id).await?;
    find(tx, tenant, id).await
}
