//! The ledger: double-entry books that only grow. It knows nobody: whoever moves money posts an
//! [`Entry`] in the transaction of what moved it, and the database refuses one that does not
//! balance.

pub mod http;
mod store;

use jiff::Timestamp;
use shared::id::{
    CreditNoteId, InvoiceId, PaymentId, PayoutId, ResellerId, SubscriberId, VoucherId,
};
use uuid::Uuid;

pub use self::store::{Balance, Wallet};
use crate::{
    actor::Actor,
    billing::Cents,
    db::{Db, StoreError, Tx},
};

/// Where money is or what it is for. The database has the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// What the shops hold, in cash and in vouchers that they were given to sell.
    Till,
    /// Invoices that are not paid.
    Receivable(SubscriberId),
    Wallet(SubscriberId),
    /// What a reseller has paid in and not sold yet.
    Agent(ResellerId),
    /// Vouchers that were sold and not used.
    DeferredVouchers,
    /// Terms that were paid and are not over.
    DeferredSubscriptions,
    Excise,
    Vat,
    Revenue,
    /// What is given for outages.
    OutageCredits,
    /// Vouchers that nobody used in time.
    Breakage,
    Commission,
    /// Money on its way out.
    PayoutClearing,
    /// Money of nobody known.
    Unmatched,
}

impl Account {
    fn code(self) -> String {
        match self {
            Self::Till => "cash:till".to_owned(),
            Self::Receivable(id) => format!("ar:{}", id.as_uuid()),
            Self::Wallet(id) => format!("wallet:{}", id.as_uuid()),
            Self::Agent(id) => format!("agent:{}", id.as_uuid()),
            Self::DeferredVouchers => "deferred:voucher".to_owned(),
            Self::DeferredSubscriptions => "deferred:subscription".to_owned(),
            Self::Excise => "tax:excise".to_owned(),
            Self::Vat => "tax:vat".to_owned(),
            Self::Revenue => "revenue:internet".to_owned(),
            Self::Breakage => "revenue:breakage".to_owned(),
            Self::OutageCredits => "expense:outage_credit".to_owned(),
            Self::Commission => "expense:commission".to_owned(),
            Self::PayoutClearing => "payout:clearing".to_owned(),
            Self::Unmatched => "suspense:unmatched".to_owned(),
        }
    }
}

/// What happened. Each is booked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    InvoiceIssued(InvoiceId),
    InvoiceVoided(InvoiceId),
    InvoiceCredited(CreditNoteId),
    PaymentMatched(PaymentId),
    PaymentAllocated(Uuid),
    VouchersSold(Uuid),
    FloatPaidIn(Uuid),
    PayoutHeld(PayoutId),
    /// What was sold for a time is earned up to another moment.
    RevenueEarned(Uuid),
    OutageCredited(Uuid),
    VoucherBroken(VoucherId),
}

impl Event {
    fn key(self) -> (&'static str, &'static str, Uuid) {
        match self {
            Self::InvoiceIssued(id) => ("invoice.issue", "invoice", *id.as_uuid()),
            Self::InvoiceVoided(id) => ("invoice.void", "invoice", *id.as_uuid()),
            Self::InvoiceCredited(id) => ("invoice.credit", "credit_note", *id.as_uuid()),
            Self::PaymentMatched(id) => ("payment.match", "payment", *id.as_uuid()),
            Self::PaymentAllocated(id) => ("payment.allocate", "payment_allocation", id),
            Self::VouchersSold(id) => ("voucher.sale", "voucher_sale", id),
            Self::FloatPaidIn(id) => ("float.in", "float", id),
            Self::PayoutHeld(id) => ("payout.hold", "payout", *id.as_uuid()),
            Self::RevenueEarned(id) => ("revenue.earn", "recognition", id),
            Self::VoucherBroken(id) => ("voucher.breakage", "voucher", *id.as_uuid()),
            Self::OutageCredited(id) => ("outage.credit", "outage_credit", id),
        }
    }
}

/// Debits are above zero, credits below; together they are nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    pub event: Event,
    pub at: Timestamp,
    pub lines: Vec<(Account, Cents)>,
}

/// False if it is in the books already.
pub(crate) async fn post(tx: &mut Tx, entry: &Entry) -> Result<bool, StoreError> {
    store::post(tx, entry).await
}

/// As [`post`], for many that happened at once. Says how many were new.
pub(crate) async fn post_all(tx: &mut Tx, entries: &[Entry]) -> Result<u64, StoreError> {
    if entries.is_empty() { Ok(0) } else { store::post_all(tx, entries).await }
}

/// What somebody has in their wallet.
pub(crate) fn wallet_of(subscriber: SubscriberId) -> String {
    Account::Wallet(subscriber).code()
}

/// Reads the books.
#[derive(Clone, Debug)]
pub struct Ledger {
    db: Db,
}

impl Ledger {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Every account that is not of one subscriber or reseller, and the sums of those that are.
    /// Debits and credits are the same.
    pub async fn trial_balance(&self, actor: &Actor) -> Result<Vec<Balance>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::trial_balance(&mut tx, actor.tenant).await
    }

    pub async fn wallets(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Wallet>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::wallets(&mut tx, actor.tenant, after, limit).await
    }
}
