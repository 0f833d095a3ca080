//! Reconciliations: a day of ours beside the provider's own list or statement, and what differs.
//! What is missing here can be credited at once; what is too much is for people.

mod compare;
pub mod http;
mod statement;
mod store;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;
use shared::id::{MerchantId, ReconciliationId, TenantId};
use uuid::Uuid;

pub use self::statement::StatementError;
use crate::{
    actor::Actor,
    audit,
    billing::{Cents, TooMuch},
    clock,
    db::{Db, StoreError, Tx},
    gateways::{Collected, Window},
    idempotency::{self, ClaimError, Key, Made},
    intents::{IntentError, Intents},
    merchants::{MerchantError, Merchants},
    payments, tenants,
    words::{Receipt, choices},
};

choices! {
    /// What ours was compared with.
    Source {
        // What the provider lists when it is asked.
        List = "list",
        // What somebody has fetched from the provider's portal.
        Statement = "statement",
    }
}

choices! {
    DifferenceKind {
        // Theirs has it, ours has not.
        Missing = "missing",
        // Ours has it, theirs has not.
        Extra = "extra",
        Amount = "amount",
    }
}

#[derive(Clone, Debug)]
pub struct Difference {
    pub kind: DifferenceKind,
    pub receipt: Receipt,
    pub ours: Option<Cents>,
    pub theirs: Option<Cents>,
    /// It was credited because of this.
    pub recovered: bool,
}

#[derive(Clone, Debug)]
pub struct Reconciliation {
    pub id: ReconciliationId,
    pub merchant: MerchantId,
    pub day: Date,
    pub source: Source,
    pub ours: Sum,
    pub theirs: Sum,
    pub made_by: String,
    pub differences: Vec<Difference>,
    /// What the provider has kept for itself, and was booked because of this.
    pub fees: Cents,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub count: i64,
    pub cents: Cents,
}

#[derive(Clone, Debug)]
pub struct NewReconciliation {
    pub merchant: MerchantId,
    /// In the tenant's time zone.
    pub day: Date,
    /// CSV; none: the provider is asked.
    pub statement: Option<String>,
    /// Book what is missing: credit payments, and write down what the provider has kept.
    pub recover: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReconciliationError {
    #[error("there is no such reconciliation")]
    Unknown,
    #[error("the provider lists two days: fetch its statement for an older one")]
    TooOld,
    #[error("the day has not begun")]
    Future,
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    #[error(transparent)]
    Recover(#[from] IntentError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Reconciliations {
    db: Db,
    merchants: Merchants,
    intents: Intents,
}

impl Reconciliations {
    pub const fn new(db: Db, merchants: Merchants, intents: Intents) -> Self {
        Self { db, merchants, intents }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Reconciliation>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn find(
        &self,
        actor: &Actor,
        id: ReconciliationId,
    ) -> Result<Reconciliation, ReconciliationError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Compares a day, and keeps what was found.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewReconciliation,
    ) -> Result<Made<Reconciliation>, ReconciliationError> {
        let opened = self.merchants.open(actor.tenant, new.merchant).await?;
        let zone = tenants::zone(&mut self.db.staff(actor).await?, actor.tenant).await?;
        let window = window(new.day, &zone)?;
        let now = clock::now();
        if window.from > now {
            return Err(ReconciliationError::Future);
        }
        let mut fees = Vec::new();
        let (source, theirs) = if let Some(text) = &new.statement {
            let read = statement::read(text)?;
            fees = read.fees;
            (Source::Statement, from_statement(read.rows, window))
        } else {
            if now.duration_since(window.from) > LISTED {
                return Err(ReconciliationError::TooOld);
            }
            let rows = opened.gateway.pull(window).await.map_err(MerchantError::from)?;
            let within = |row: &Collected| {
                row.paid_at.is_none_or(|at| (window.from..window.until).contains(&at))
            };
            (Source::List, rows.into_iter().filter(within).collect())
        };
        let list = |rows: &[Collected]| -> Vec<_> {
            rows.iter().map(|row| (row.receipt.clone(), row.amount)).collect()
        };
        let theirs_list = list(&theirs);
        let provider = opened.merchant.provider;
        let mut tx = self.db.staff(actor).await?;
        let shortcode = &opened.merchant.shortcode;
        let ours = payments::of_day(&mut tx, actor.tenant, provider, shortcode, window).await?;
        // Somebody's clock may put it into the next day.
        let receipts: Vec<_> = theirs.iter().map(|row| row.receipt.to_string()).collect();
        let others = payments::amounts(&mut tx, actor.tenant, provider, &receipts).await?;
        drop(tx);
        let mut known = ours.clone();
        known.extend(others);
        let mut differences = compare::compare(&known, &theirs_list);
        if new.recover {
            let missing = |row: &Collected| {
                let found = differences.iter().find(|one| one.receipt == row.receipt);
                found.is_some_and(|one| one.kind == DifferenceKind::Missing)
            };
            let rows: Vec<_> = theirs.iter().filter(|row| missing(row)).cloned().collect();
            self.intents.recover(&opened, rows).await?;
        }
        let mut tx = self.db.staff(actor).await?;
        if new.recover {
            let receipts: Vec<_> = differences.iter().map(|one| one.receipt.to_string()).collect();
            let now_known = payments::known(&mut tx, actor.tenant, provider, &receipts).await?;
            for one in &mut differences {
                one.recovered = one.kind == DifferenceKind::Missing
                    && now_known.iter().any(|receipt| receipt == one.receipt.as_str());
            }
        }
        let id = ReconciliationId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, ReconciliationId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let mut made = Reconciliation {
            id,
            merchant: new.merchant,
            day: new.day,
            source,
            ours: sum(&ours)?,
            theirs: sum(&theirs_list)?,
            made_by: actor.name(),
            differences,
            fees: Cents::ZERO,
            created_at: now,
        };
        store::insert(&mut tx, actor.tenant, &made).await?;
        if new.recover {
            made.fees =
                store::book_fees(&mut tx, actor.tenant, &made, &opened.merchant, &fees).await?;
        }
        let entry = audit::Entry {
            action: "reconciliation.create",
            object_kind: "reconciliation",
            object_id: id.to_string(),
            before: None,
            after: Some(json!({
                "merchant": made.merchant, "day": made.day, "source": made.source,
                "differences": made.differences.len(), "recover": new.recover,
                "fees_cents": made.fees.get(),
            })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: made, replayed: false })
    }
}

fn window(day: Date, zone: &TimeZone) -> Result<Window, ReconciliationError> {
    let start = |day: Date| day.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    let next = day.tomorrow();
    match (start(day), next.and_then(start)) {
        (Ok(from), Ok(until)) => Ok(Window { from, until }),
        (Ok(_) | Err(_), _) => Err(ReconciliationError::Future),
    }
}

/// A statement's times are not looked at: it is the statement of the day.
fn from_statement(rows: Vec<statement::Row>, window: Window) -> Vec<Collected> {
    let rows = rows.into_iter().map(|row| Collected {
        receipt: row.receipt,
        amount: row.amount,
        paid_at: Some(window.from),
        reference: row.reference,
        provider_ref: None,
        payer: None,
        intent: None,
    });
    rows.collect()
}

fn sum(rows: &[(Receipt, Cents)]) -> Result<Sum, TooMuch> {
    let cents = Cents::sum(rows.iter().map(|(_, cents)| *cents))?;
    Ok(Sum { count: i64::try_from(rows.len()).unwrap_or(i64::MAX), cents })
}

async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: ReconciliationId,
) -> Result<Reconciliation, ReconciliationError> {
    let mut found = store::list(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(ReconciliationError::Unknown)
}

/// How far back a provider lists what came in.
const LISTED: jiff::SignedDuration = jiff::SignedDuration::from_hours(48);
