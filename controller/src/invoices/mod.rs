//! Invoices: what a subscriber owes. A draft may go; what was issued has a number without gaps and
//! stays as it is. It is corrected by a credit note, or voided while nothing is paid.

mod drafts;
pub mod http;
mod store;

use jiff::{Span, Timestamp, civil::Date};
use serde_json::{Value, json};
use shared::id::{CreditNoteId, InvoiceId, SubscriberId, TenantId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{self, Cents, Split, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    idempotency::{self, ClaimError, Key, Made},
    ledger::{self, Account, Entry, Event},
    tenants,
    words::{Change, Name, Text, choices},
};

choices! {
    InvoiceState {
        Draft = "draft",
        Finalised = "finalised",
        Void = "void",
    }
}

choices! {
    /// What a line is for.
    LineKind {
        Recurring = "recurring",
        OneOff = "one_off",
        Usage = "usage",
        ProrationCredit = "proration_credit",
        ProrationCharge = "proration_charge",
        SlaCredit = "sla_credit",
        Discount = "discount",
    }
}

#[derive(Clone, Debug)]
pub struct Line {
    pub kind: LineKind,
    pub descr: Name,
    /// Below zero for what is taken off.
    pub split: Split,
}

#[derive(Clone, Debug)]
pub struct Invoice {
    pub id: InvoiceId,
    pub subscriber: SubscriberId,
    pub state: InvoiceState,
    /// `INV-000001`; a draft has none.
    pub number: Option<String>,
    pub issued_at: Option<Timestamp>,
    pub due_on: Option<Date>,
    /// What is written under it.
    pub notes: Option<Text>,
    pub split: Split,
    pub paid: Cents,
    pub credited: Cents,
    pub lines: Vec<Line>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Invoice {
    const KIND: &'static str = "invoice";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "subscriber": self.subscriber, "state": self.state, "number": self.number,
            "net_cents": self.split.net.get(), "excise_cents": self.split.excise.get(),
            "vat_cents": self.split.vat.get(), "paid_cents": self.paid.get(),
            "credited_cents": self.credited.get(), "due_on": self.due_on, "notes": self.notes,
        })
    }
}

impl Invoice {
    /// What is still to be paid.
    pub fn open(&self) -> Result<Cents, TooMuch> {
        match self.state {
            InvoiceState::Finalised => self.split.total()?.minus(self.paid)?.minus(self.credited),
            InvoiceState::Draft | InvoiceState::Void => Ok(Cents::ZERO),
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewInvoice {
    pub subscriber: SubscriberId,
    /// None: it is said when it is issued.
    pub due_on: Option<Date>,
    pub notes: Option<Text>,
    pub lines: Vec<NewLine>,
}

/// What is absent stays; lines are all of them.
#[derive(Clone, Debug, Default)]
pub struct DraftChange {
    pub due_on: Change<Date>,
    pub notes: Change<Text>,
    pub lines: Option<Vec<NewLine>>,
}

#[derive(Clone, Debug)]
pub struct NewLine {
    pub descr: Name,
    /// Below zero: a discount.
    pub price: Cents,
    pub includes_tax: bool,
}

#[derive(Clone, Debug)]
pub struct CreditNote {
    pub id: CreditNoteId,
    pub invoice: InvoiceId,
    /// `CRN-000001`.
    pub number: String,
    pub split: Split,
    pub reason: Name,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<InvoiceState>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvoiceError {
    #[error("there is no such invoice")]
    Unknown,
    #[error("there is no such subscriber")]
    UnknownSubscriber,
    #[error("discounts take off more than there is")]
    BelowZero,
    #[error("only a draft can be issued, changed or deleted: credit or void what was issued")]
    NotADraft,
    #[error("it was changed since")]
    Stale,
    #[error("only an issued invoice of which nothing is paid or credited can be voided")]
    NotVoidable,
    #[error("only an issued invoice can be credited, and only what is still to be paid of it")]
    NotSoMuch,
    #[error("so few cents cannot be split into a price and its taxes")]
    TooFew,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for InvoiceError {
    fn from(error: StoreError) -> Self {
        if error.is_dangling() {
            return Self::UnknownSubscriber;
        }
        Self::Store(error)
    }
}

impl AsStoreError for InvoiceError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Unknown
            | Self::UnknownSubscriber
            | Self::BelowZero
            | Self::NotADraft
            | Self::Stale
            | Self::NotVoidable
            | Self::NotSoMuch
            | Self::TooFew
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Invoices {
    db: Db,
}

impl Invoices {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Invoice>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: InvoiceId) -> Result<Invoice, InvoiceError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Oldest first.
    pub async fn credit_notes(
        &self,
        actor: &Actor,
        id: InvoiceId,
    ) -> Result<Vec<CreditNote>, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await?;
        Ok(store::credit_notes(&mut tx, actor.tenant, id).await?)
    }

    /// Issues a draft: it gets the next number and is owed.
    pub async fn finalise(
        &self,
        actor: &Actor,
        id: InvoiceId,
        due_on: Option<Date>,
    ) -> Result<Invoice, InvoiceError> {
        db::retry(|| self.finalise_once(actor, id, due_on)).await
    }

    async fn finalise_once(
        &self,
        actor: &Actor,
        id: InvoiceId,
        due_on: Option<Date>,
    ) -> Result<Invoice, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state != InvoiceState::Draft {
            return Err(InvoiceError::NotADraft);
        }
        let now = clock::now();
        let due_on = if let Some(day) = due_on.or(before.due_on) {
            day
        } else {
            let zone = tenants::zone(&mut tx, actor.tenant).await?;
            billing::day_of(now, &zone).saturating_add(Span::new().days(DUE_DAYS))
        };
        let owed = book(before.subscriber, sum(&splits(&before.lines))?)?;
        post(&mut tx, Event::InvoiceIssued(id), now, owed).await?;
        // The number comes last: whoever else issues waits for it.
        store::finalise(&mut tx, actor.tenant, id, due_on, now).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "invoice.finalise", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Takes back all of an issued invoice; its number stays its own.
    pub async fn void(&self, actor: &Actor, id: InvoiceId) -> Result<Invoice, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        let untouched = before.paid == Cents::ZERO && before.credited == Cents::ZERO;
        if before.state != InvoiceState::Finalised || !untouched {
            return Err(InvoiceError::NotVoidable);
        }
        let back = taken_back(before.subscriber, before.split)?;
        post(&mut tx, Event::InvoiceVoided(id), clock::now(), back).await?;
        store::void(&mut tx, actor.tenant, id).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "invoice.void", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Takes back a part of what is still to be paid.
    pub async fn credit(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        invoice: InvoiceId,
        cents: Cents,
        reason: Name,
    ) -> Result<Made<CreditNote>, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let id = CreditNoteId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let notes = store::credit_notes(&mut tx, actor.tenant, invoice).await?;
            let before = notes.into_iter().find(|note| *note.id.as_uuid() == object);
            let value = before.ok_or(InvoiceError::Unknown)?;
            return Ok(Made { value, replayed: true });
        }
        let before = lock(&mut tx, actor.tenant, invoice).await?;
        if cents <= Cents::ZERO || cents > before.open()? {
            return Err(InvoiceError::NotSoMuch);
        }
        let split = billing::share_of(before.split, before.credited, cents)?;
        if [split.net, split.excise, split.vat].iter().any(|part| *part < Cents::ZERO) {
            return Err(InvoiceError::TooFew);
        }
        let now = clock::now();
        let back = taken_back(before.subscriber, split)?;
        post(&mut tx, Event::InvoiceCredited(id), now, back).await?;
        let mut note = CreditNote { id, invoice, number: String::new(), split, reason, at: now };
        note.number = store::insert_credit_note(&mut tx, actor.tenant, &note).await?;
        let entry = audit::Entry {
            action: "invoice.credit",
            object_kind: "invoice",
            object_id: invoice.to_string(),
            before: None,
            after: Some(json!({
                "number": note.number, "cents": cents.get(), "reason": note.reason,
            })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: note, replayed: false })
    }
}

pub(crate) use self::store::bulk::{Bill, BillLine, issue_all};

/// An invoice that a payment may pay.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub id: InvoiceId,
    pub subscriber: SubscriberId,
    pub open: Cents,
}

/// What of these subscribers is to be paid, what is due first before the rest; or one invoice.
/// Nobody else pays or changes them until the transaction ends.
pub(crate) async fn lock_open(
    tx: &mut Tx,
    tenant: TenantId,
    subscribers: &[SubscriberId],
    one: Option<InvoiceId>,
) -> Result<Vec<Open>, StoreError> {
    store::lock_open(tx, tenant, subscribers, one).await
}

async fn find(tx: &mut Tx, tenant: TenantId, id: InvoiceId) -> Result<Invoice, InvoiceError> {
    store::find(tx, tenant, id).await?.ok_or(InvoiceError::Unknown)
}

/// Nobody else changes it until the transaction ends.
async fn lock(tx: &mut Tx, tenant: TenantId, id: InvoiceId) -> Result<Invoice, InvoiceError> {
    store::lock(tx, tenant, id).await?;
    find(tx, tenant, id).await
}

fn splits(lines: &[Line]) -> Vec<Split> {
    lines.iter().map(|line| line.split).collect()
}

fn sum(splits: &[Split]) -> Result<Split, TooMuch> {
    let part = |part: fn(&Split) -> Cents| Cents::sum(splits.iter().map(part));
    Ok(Split {
        net: part(|split| split.net)?,
        excise: part(|split| split.excise)?,
        vat: part(|split| split.vat)?,
    })
}

/// It is owed by the subscriber, and of it the taxes by us.
fn book(subscriber: SubscriberId, split: Split) -> Result<Vec<(Account, Cents)>, TooMuch> {
    let credit = |cents| Cents::ZERO.minus(cents);
    Ok(vec![
        (Account::Receivable(subscriber), split.total()?),
        (Account::Revenue, credit(split.net)?),
        (Account::Excise, credit(split.excise)?),
        (Account::Vat, credit(split.vat)?),
    ])
}

fn taken_back(subscriber: SubscriberId, split: Split) -> Result<Vec<(Account, Cents)>, TooMuch> {
    let lines = book(subscriber, split)?;
    lines.into_iter().map(|(account, cents)| Ok((account, Cents::ZERO.minus(cents)?))).collect()
}

/// What costs nothing is not in the books.
async fn post(
    tx: &mut Tx,
    event: Event,
    at: Timestamp,
    lines: Vec<(Account, Cents)>,
) -> Result<(), StoreError> {
    if lines.iter().any(|(_, cents)| *cents != Cents::ZERO) {
        ledger::post(tx, &Entry { event, at, lines }).await?;
    }
    Ok(())
}

/// Until when it is to be paid, if nobody says otherwise.
const DUE_DAYS: i64 = 14;
