//! Payments: money that came in. A receipt is credited once; what it pays is decided afterwards.
//!
//! It goes into the payer's wallet, and from there to invoices. Money of nobody known waits in
//! suspense until somebody says whose it is.

mod allocation;
mod desk;
pub mod http;
mod receive;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{InvoiceId, PaymentId, SubscriberId, TenantId};
use uuid::Uuid;

pub(crate) use self::receive::{Incoming, Received, amounts, known, of_day, receive, receive_all};
use self::{
    allocation::{Funds, allocate},
    desk::{Desk, Entered},
};
use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    group::Group,
    idempotency::{ClaimError, Key, Made},
    invoices,
    ledger::{self, Account, Entry, Event},
    words::{Receipt, Shortcode, choices},
};

choices! {
    /// How it came in.
    Provider {
        // Over the counter; its receipt is the next of the tenant's own.
        Cash = "cash",
        Bank = "bank",
        Mpesa = "mpesa",
        Airtel = "airtel",
        Paystack = "paystack",
        Stripe = "stripe",
    }
}

choices! {
    PaymentState {
        // Somebody's money.
        Matched = "matched",
        // It waits in suspense.
        Unmatched = "unmatched",
    }
}

#[derive(Clone, Debug)]
pub struct Payment {
    pub id: PaymentId,
    pub provider: Provider,
    pub receipt: Receipt,
    pub shortcode: Shortcode,
    pub subscriber: Option<SubscriberId>,
    pub amount: Cents,
    pub allocated: Cents,
    pub state: PaymentState,
    pub paid_at: Timestamp,
    /// What the payer typed, and who that is, as the provider says.
    pub reference: Option<String>,
    pub payer: Option<String>,
    pub allocations: Vec<Allocation>,
    pub created_at: Timestamp,
}

impl Audited for Payment {
    const KIND: &'static str = "payment";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "provider": self.provider, "receipt": self.receipt, "subscriber": self.subscriber,
            "amount_cents": self.amount.get(), "allocated_cents": self.allocated.get(),
        })
    }
}

/// A part of a payment that paid a part of an invoice.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    pub invoice: InvoiceId,
    pub cents: Cents,
    pub at: Timestamp,
}

/// Entered by staff.
#[derive(Clone, Debug)]
pub struct NewPayment {
    pub provider: Provider,
    /// None for cash: the next of the tenant's own.
    pub receipt: Option<Receipt>,
    /// Where it came in.
    pub shortcode: Shortcode,
    /// None: nobody knows yet.
    pub subscriber: Option<SubscriberId>,
    pub amount: Cents,
    /// None: now.
    pub paid_at: Option<Timestamp>,
    /// Pay what is open, what is due first before the rest.
    pub allocate: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<PaymentState>,
}

#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    #[error("there is no such payment")]
    Unknown,
    #[error("there is no such subscriber")]
    UnknownSubscriber,
    #[error("expected the receipt of who moved the money")]
    ReceiptNeeded,
    #[error("receipts that begin with {OWN_RECEIPTS} are given by the system")]
    ReceiptReserved,
    #[error("this receipt was credited with another amount, to another subscriber or elsewhere")]
    ReceiptTaken,
    #[error("it is somebody's money already")]
    MatchedAlready,
    #[error("nobody knows yet whose money it is")]
    NotMatched,
    #[error("there is no such invoice of who paid, or nothing of it is to be paid")]
    NothingToPay,
    #[error("nothing of the payment, or of the wallet, is left")]
    NothingLeft,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for PaymentError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("payment_receipt_elsewhere" | "payment_receipt_amount") => Self::ReceiptTaken,
            Some(_) if error.is_dangling() => Self::UnknownSubscriber,
            Some(_) | None => Self::Store(error),
        }
    }
}

impl AsStoreError for PaymentError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Unknown
            | Self::UnknownSubscriber
            | Self::ReceiptNeeded
            | Self::ReceiptReserved
            | Self::ReceiptTaken
            | Self::MatchedAlready
            | Self::NotMatched
            | Self::NothingToPay
            | Self::NothingLeft
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Payments {
    db: Db,
    desk: Group<Desk>,
}

impl Payments {
    pub fn new(db: Db) -> Self {
        let desk = Group::new(Desk(db.clone()));
        Self { db, desk }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Payment>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: PaymentId) -> Result<Payment, PaymentError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Credits a receipt. One that is known already is that payment again.
    pub async fn record(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewPayment,
    ) -> Result<Made<Payment>, PaymentError> {
        let (actor, key) = (actor.clone(), key.cloned());
        self.desk.ask(Entered { actor, key, new, now: clock::now() }).await
    }

    /// Says whose money it is: from suspense into a wallet.
    pub async fn assign(
        &self,
        actor: &Actor,
        id: PaymentId,
        subscriber: SubscriberId,
    ) -> Result<Payment, PaymentError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state == PaymentState::Matched {
            return Err(PaymentError::MatchedAlready);
        }
        match_to(&mut tx, actor.tenant, &before, subscriber, clock::now()).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "payment.assign", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Pays one invoice with what is left of the payment, or all that are open.
    pub async fn allocate(
        &self,
        actor: &Actor,
        id: PaymentId,
        invoice: Option<InvoiceId>,
    ) -> Result<Payment, PaymentError> {
        db::retry(|| self.allocate_once(actor, id, invoice)).await
    }

    async fn allocate_once(
        &self,
        actor: &Actor,
        id: PaymentId,
        invoice: Option<InvoiceId>,
    ) -> Result<Payment, PaymentError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        let subscriber = before.subscriber.ok_or(PaymentError::NotMatched)?;
        let owner = [subscriber];
        let open = invoices::lock_open(&mut tx, actor.tenant, &owner, invoice).await?;
        if open.is_empty() {
            return Err(PaymentError::NothingToPay);
        }
        // The wallet may have been spent on something else.
        let wallet = store::wallet(&mut tx, actor.tenant, subscriber).await?;
        let left = before.amount.minus(before.allocated)?.min(wallet);
        if left <= Cents::ZERO {
            return Err(PaymentError::NothingLeft);
        }
        let funds = [Funds { payment: id, subscriber, left }];
        allocate(&mut tx, actor.tenant, &funds, &open, clock::now()).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "payment.allocate", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: PaymentId) -> Result<Payment, PaymentError> {
    store::find_all(tx, tenant, &[id]).await?.pop().ok_or(PaymentError::Unknown)
}

/// Nobody else spends it until the transaction ends.
pub(crate) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: PaymentId,
) -> Result<Payment, PaymentError> {
    store::lock(tx, tenant, id).await?;
    find(tx, tenant, id).await
}

/// What somebody has.
pub(crate) async fn wallet(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Cents, StoreError> {
    store::wallet(tx, tenant, subscriber).await
}

/// From suspense into a wallet.
async fn match_to(
    tx: &mut Tx,
    tenant: TenantId,
    payment: &Payment,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<(), PaymentError> {
    store::assign(tx, tenant, payment.id, subscriber).await?;
    let owed = Cents::ZERO.minus(payment.amount)?;
    let entry = Entry {
        event: Event::PaymentMatched(payment.id),
        at: now,
        lines: vec![(Account::Unmatched, payment.amount), (Account::Wallet(subscriber), owed)],
    };
    ledger::post(tx, &entry).await?;
    Ok(())
}

/// What the tenant's own receipts for cash begin with.
const OWN_RECEIPTS: &str = "RCT-";
