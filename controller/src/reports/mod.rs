//! What the books say over time: revenue, churn, ageing, taxes, vouchers. It owns no table and
//! counts nothing twice: every report is read out of the ledger and the documents when it is asked
//! for.
//!
//! Months and days are those of the tenant.

pub mod http;
mod store;

use jiff::{ToSpan as _, civil::Date};
use serde::Serialize;
use shared::id::SubscriberId;
use utoipa::ToSchema;

use crate::{
    actor::Actor,
    billing::{self, Cents},
    clock,
    db::{Db, StoreError, Tx},
    tenants,
};

/// The last day is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    pub from: Date,
    pub until: Date,
}

/// Of one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Revenue {
    /// Like `2026-11`.
    pub month: String,
    /// Taxes not included.
    pub revenue_cents: i64,
    /// What resellers kept.
    pub commission_cents: i64,
    pub excise_cents: i64,
    pub vat_cents: i64,
    /// Subscribers who were billed, or redeemed a voucher.
    pub payers: i64,
    /// Revenue of one of them.
    pub arpu_cents: i64,
}

/// A subscriber is there while they were billed, or redeemed a voucher, in the last 30 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Churn {
    pub month: String,
    /// There when it began.
    pub began: i64,
    /// Of those, not there when it ended.
    pub lost: i64,
    /// For the first time.
    pub gained: i64,
    /// Lost of began, in hundredths of a percent.
    pub churn_bp: i64,
}

/// What one subscriber owes, by how long it is overdue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ageing {
    #[schema(value_type = String)]
    pub subscriber: SubscriberId,
    pub account_no: String,
    pub full_name: String,
    pub not_due_cents: i64,
    pub days_1_to_30_cents: i64,
    pub days_31_to_60_cents: i64,
    pub days_61_to_90_cents: i64,
    pub days_over_90_cents: i64,
    pub total_cents: i64,
}

/// Taxes of one month, by what they were taken on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TaxMonth {
    pub month: String,
    /// Kind of the entry in the ledger: `invoice.issue`, `voucher.sale`, `invoice.credit`, …
    pub event: String,
    pub net_cents: i64,
    pub excise_cents: i64,
    pub vat_cents: i64,
}

/// Vouchers of one plan and one reseller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stock {
    pub plan: String,
    /// Empty: the tenant's own.
    pub reseller: String,
    pub generated: i64,
    pub sold: i64,
    pub active: i64,
    pub exhausted: i64,
    pub expired: i64,
    pub void: i64,
    /// Sold and not redeemed: what is still owed for it, taxes not included.
    pub owed_cents: i64,
}

#[derive(Clone, Debug)]
pub struct Reports {
    db: Db,
}

impl Reports {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn revenue(&self, actor: &Actor, days: Days) -> Result<Vec<Revenue>, StoreError> {
        let (mut tx, zone) = self.open(actor).await?;
        let mut rows = store::revenue(&mut tx, actor.tenant, days, &zone).await?;
        for row in &mut rows {
            let share = Cents::new(row.revenue_cents).share(1, row.payers);
            // Nobody paid: then there is no average.
            row.arpu_cents = share.unwrap_or(Cents::ZERO).get();
        }
        Ok(rows)
    }

    pub async fn churn(&self, actor: &Actor, days: Days) -> Result<Vec<Churn>, StoreError> {
        let (mut tx, zone) = self.open(actor).await?;
        let mut rows = store::churn(&mut tx, actor.tenant, days, &zone).await?;
        for row in &mut rows {
            row.churn_bp = (row.lost * 10_000).checked_div(row.began).unwrap_or(0);
        }
        Ok(rows)
    }

    /// By the end of a day; of those who owe something, by account number.
    pub async fn ageing(&self, actor: &Actor, on: Date) -> Result<Vec<Ageing>, StoreError> {
        let (mut tx, _zone) = self.open(actor).await?;
        store::ageing(&mut tx, actor.tenant, on).await
    }

    pub async fn tax(&self, actor: &Actor, days: Days) -> Result<Vec<TaxMonth>, StoreError> {
        let (mut tx, zone) = self.open(actor).await?;
        store::tax(&mut tx, actor.tenant, days, &zone).await
    }

    pub async fn vouchers(&self, actor: &Actor) -> Result<Vec<Stock>, StoreError> {
        let (mut tx, _zone) = self.open(actor).await?;
        store::vouchers(&mut tx, actor.tenant).await
    }

    /// Today, where the tenant is.
    pub async fn today(&self, actor: &Actor) -> Result<Date, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        Ok(billing::day_of(clock::now(), &tenants::zone(&mut tx, actor.tenant).await?))
    }

    async fn open(&self, actor: &Actor) -> Result<(Tx, String), StoreError> {
        let mut tx = self.db.staff(actor).await?;
        let zone = tenants::zone(&mut tx, actor.tenant).await?;
        let name = zone.iana_name().unwrap_or("UTC").to_owned();
        Ok((tx, name))
    }
}

/// This month and the eleven before, up to and with today.
pub fn last_year(today: Date) -> Days {
    let until = today.saturating_add(1.day());
    Days { from: today.first_of_month().saturating_sub(11.months()), until }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_year_is_twelve_months_with_this_one() {
        let days = last_year(date(2026, 11, 28));
        assert_eq!(days, Days { from: date(2025, 12, 1), until: date(2026, 11, 29) });
    }
}
