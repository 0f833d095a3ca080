//! What is done when a day is over, and when a month is.
//!
//! At night what was sold for a time is earned for the day, and what was paid for vouchers that
//! nobody used in time is, too; those whose time is over have ended. A month that is closed stays as it is: nothing is posted into it.

pub mod http;
mod store;

use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use serde_json::json;
use shared::id::TenantId;
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit,
    billing::{self, Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError},
    ledger::{self, Account, Entry, Event},
    tenants,
};

/// A month that is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Its first day.
    pub month: Date,
    /// Entries until then, and what they debited and credited: the same.
    pub entries: i64,
    pub debits: Cents,
    pub credits: Cents,
    pub closed_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ClosingError {
    #[error("expected the first day of a month")]
    NotAMonth,
    #[error("a month is closed when it has been over for a day and its last night is done")]
    NotOver,
    #[error("it is closed already, or a later one is")]
    ClosedAlready,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ClosingError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::NotAMonth | Self::NotOver | Self::ClosedAlready | Self::TooMuch(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Closings {
    db: Db,
}

impl Closings {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Ends the day that is over at `midnight`; says when the next one is. The same night twice
    /// finds nothing to do.
    pub async fn night(
        &self,
        tenant: TenantId,
        midnight: Timestamp,
    ) -> Result<Timestamp, ClosingError> {
        db::retry(|| self.earn(tenant, midnight)).await?;
        while db::retry(|| self.break_vouchers(tenant, midnight)).await? == VOUCHERS {}
        while db::retry(|| self.end_vouchers(tenant, midnight)).await? == VOUCHERS {}
        let zone = tenants::zone(&mut self.db.tenant(tenant).await?, tenant).await?;
        let next = billing::day_of(midnight, &zone).saturating_add(Span::new().days(1));
        Ok(billing::start_of(next, &zone)?)
    }

    /// What was sold for a time is earned up to `midnight`.
    async fn earn(&self, tenant: TenantId, midnight: Timestamp) -> Result<(), ClosingError> {
        let mut tx = self.db.tenant(tenant).await?;
        let Some(from) = store::lock_books(&mut tx, tenant, midnight).await? else { return Ok(()) };
        if from >= midnight {
            return Ok(());
        }
        let id = Uuid::now_v7();
        let cents = store::earned(&mut tx, tenant, from, midnight).await?;
        store::insert_recognition(&mut tx, tenant, id, (from, midnight), cents).await?;
        if cents != Cents::ZERO {
            let lines = vec![
                (Account::DeferredSubscriptions, cents),
                (Account::Revenue, Cents::ZERO.minus(cents)?),
            ];
            let entry = Entry { event: Event::RevenueEarned(id), at: last_of(midnight), lines };
            ledger::post(&mut tx, &entry).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Some of the vouchers that nobody can use any more; says how many.
    async fn break_vouchers(
        &self,
        tenant: TenantId,
        midnight: Timestamp,
    ) -> Result<usize, ClosingError> {
        let mut tx = self.db.tenant(tenant).await?;
        let gone = store::break_vouchers(&mut tx, tenant, midnight, VOUCHERS).await?;
        let mut entries = Vec::with_capacity(gone.len());
        for (voucher, net) in gone.iter().filter(|(_, net)| *net != Cents::ZERO) {
            entries.push(Entry {
                event: Event::VoucherBroken(*voucher),
                at: last_of(midnight),
                lines: vec![
                    (Account::DeferredVouchers, *net),
                    (Account::Breakage, Cents::ZERO.minus(*net)?),
                ],
            });
        }
        ledger::post_all(&mut tx, &entries).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(gone.len())
    }

    /// Some of the vouchers whose time ended before they were used up; says how many.
    async fn end_vouchers(
        &self,
        tenant: TenantId,
        midnight: Timestamp,
    ) -> Result<usize, ClosingError> {
        let mut tx = self.db.tenant(tenant).await?;
        let ended = store::end_vouchers(&mut tx, tenant, midnight, VOUCHERS).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(ended)
    }

    /// Newest first.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Closing>, StoreError> {
        store::list(&mut self.db.staff(actor).await?, actor.tenant).await
    }

    /// Closes a month. Nobody opens it again.
    pub async fn close(&self, actor: &Actor, month: Date) -> Result<Closing, ClosingError> {
        self.close_at(actor, month, clock::now()).await
    }

    /// As [`Self::close`], as if it were then.
    pub async fn close_at(
        &self,
        actor: &Actor,
        month: Date,
        now: Timestamp,
    ) -> Result<Closing, ClosingError> {
        if month.day() != 1 {
            return Err(ClosingError::NotAMonth);
        }
        let mut tx = self.db.staff(actor).await?;
        let zone = tenants::zone(&mut tx, actor.tenant).await?;
        let until = billing::start_of(month.saturating_add(Span::new().months(1)), &zone)?;
        let over = until.saturating_add(SignedDuration::from_hours(24)).unwrap_or(until);
        let earned = store::lock_books(&mut tx, actor.tenant, until).await?;
        if now < over || earned.is_none_or(|earned| earned < until) {
            return Err(ClosingError::NotOver);
        }
        if !store::close_books(&mut tx, actor.tenant, until).await? {
            return Err(ClosingError::ClosedAlready);
        }
        let closing = store::close(&mut tx, actor.tenant, month, until, now).await?;
        let entry = audit::Entry {
            action: "month.close",
            object_kind: "closing",
            object_id: month.to_string(),
            before: None,
            after: Some(json!({
                "entries": closing.entries, "debit_cents": closing.debits.get(),
            })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(closing)
    }
}

/// Midnight belongs to the day after it.
fn last_of(midnight: Timestamp) -> Timestamp {
    midnight.saturating_add(SignedDuration::from_micros(-1)).unwrap_or(midnight)
}

/// As many in one transaction.
const VOUCHERS: usize = 500;
