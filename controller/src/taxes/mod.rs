//! Which taxes there are on which day. A change of the law is a rate from a day on; what was
//! invoiced before stays as it was.

pub mod http;
mod store;

use jiff::civil::Date;
use serde_json::json;
use shared::id::TenantId;

use crate::{
    actor::Actor,
    audit,
    billing::{self, BasisPoints, Rates},
    clock,
    db::{Db, StoreError, Tx},
    tenants,
    words::choices,
};

choices! {
    Tax {
        // On the price.
        Excise = "excise",
        // On the price and the excise duty.
        Vat = "vat",
    }
}

/// A tax from a day until another, which is not one of its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaxRate {
    pub tax: Tax,
    pub rate: BasisPoints,
    pub from: Date,
    /// None: until further notice.
    pub until: Option<Date>,
}

#[derive(Debug, thiserror::Error)]
pub enum TaxError {
    #[error("expected today or later: what is over stays as it was")]
    Past,
    #[error("something was invoiced at today's rate already: expected tomorrow or later")]
    Used,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Taxes {
    db: Db,
}

impl Taxes {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// By tax, oldest first.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<TaxRate>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant).await
    }

    /// From that day on, instead of what was said before for it. Said twice, it is the same.
    pub async fn set(
        &self,
        actor: &Actor,
        tax: Tax,
        rate: BasisPoints,
        from: Date,
    ) -> Result<Vec<TaxRate>, TaxError> {
        let mut tx = self.db.staff(actor).await?;
        let zone = tenants::zone(&mut tx, actor.tenant).await?;
        if from < billing::day_of(clock::now(), &zone) {
            return Err(TaxError::Past);
        }
        let set = store::set(&mut tx, actor.tenant, tax, rate, from).await;
        set.map_err(|error| match error.constraint() {
            Some("rate_guard") => TaxError::Used,
            Some(_) | None => error.into(),
        })?;
        let entry = audit::Entry {
            action: "tax-rate.set",
            object_kind: "tax_rate",
            object_id: tax.as_str().to_owned(),
            before: None,
            after: Some(json!({ "rate_bp": rate.get(), "from": from })),
        };
        audit::record(&mut tx, actor, entry).await?;
        let rates = store::list(&mut tx, actor.tenant).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(rates)
    }
}

/// What the tenant charges on that day. A tax without a rate is none.
pub(crate) async fn on(tx: &mut Tx, tenant: TenantId, day: Date) -> Result<Rates, StoreError> {
    let rates = store::list(tx, tenant).await?;
    let rate = |tax| {
        let of_day = rates.iter().find(|rate| {
            rate.tax == tax && rate.from <= day && rate.until.is_none_or(|until| day < until)
        });
        of_day.map(|rate| rate.rate).unwrap_or_default()
    };
    Ok(Rates { excise: rate(Tax::Excise), vat: rate(Tax::Vat) })
}
