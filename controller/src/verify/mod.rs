//! Are the books as they must be? Reads every row of them again, and believes neither the triggers
//! that kept them nor the sums that they left.
//!
//! It changes nothing. All checks of a tenant see one moment, so that it can run beside a
//! controller that serves, and on a copy that was restored from a backup.

pub mod http;
mod store;

use std::fmt;

use serde::Serialize;
use shared::id::TenantId;
use utoipa::ToSchema;

use crate::{
    actor::Actor,
    db::{Db, StoreError},
};

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    /// What the rows are: `entries`, `wallets`.
    pub name: &'static str,
    /// What holds for each of them.
    pub holds: &'static str,
    pub rows: i64,
    pub faults: i64,
    /// The first fault, by its text.
    pub first: Option<String>,
}

/// Of one tenant, or of the database itself.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Short name of the tenant; `database`: what guards all of them.
    pub of: String,
    pub checks: Vec<Check>,
}

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<'a> {
    pub of: &'a str,
    pub check: &'static str,
    pub says: &'a str,
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.of, self.check, self.says)
    }
}

impl Report {
    pub fn first_fault(&self) -> Option<Fault<'_>> {
        self.checks.iter().find_map(|check| {
            let says = check.first.as_deref()?;
            Some(Fault { of: &self.of, check: check.name, says })
        })
    }
}

/// A line for each check.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.of)?;
        for Check { name, holds, rows, faults, first: _ } in &self.checks {
            let verdict = if *faults == 0 { "ok" } else { "FAULT" };
            write!(f, "\n  {verdict:5} {rows:>9} {name}: {holds}")?;
            if *faults > 0 {
                write!(f, " ({faults} of them do not)")?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct Verify {
    db: Db,
}

impl Verify {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// What guards the books, then every tenant, by short name.
    pub async fn everything(&self) -> Result<Vec<Report>, StoreError> {
        let guards = store::guards(&self.db).await?;
        let mut reports = vec![Report { of: "database".to_owned(), checks: guards }];
        for (tenant, slug) in store::tenants(&self.db).await? {
            reports.push(Report { of: slug, checks: self.checks(tenant).await? });
        }
        Ok(reports)
    }

    pub async fn tenant(&self, actor: &Actor) -> Result<Vec<Check>, StoreError> {
        self.checks(actor.tenant).await
    }

    async fn checks(&self, tenant: TenantId) -> Result<Vec<Check>, StoreError> {
        let mut tx = self.db.tenant(tenant).await?;
        store::one_moment(&mut tx).await?;
        let mut checks = store::ledger(&mut tx, tenant).await?;
        checks.extend(store::numbers(&mut tx, tenant).await?);
        checks.extend(store::invoices(&mut tx, tenant).await?);
        checks.extend(store::payments(&mut tx, tenant).await?);
        checks.extend(store::sales(&mut tx, tenant).await?);
        checks.push(store::payouts(&mut tx, tenant).await?);
        checks.push(store::audit(&mut tx, tenant).await?);
        Ok(checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_holds_and_names_the_first_fault() {
        let check = |name, faults, first: Option<&str>| Check {
            name,
            holds: "balanced",
            rows: 7,
            faults,
            first: first.map(ToOwned::to_owned),
        };
        let checks = vec![check("entries", 0, None), check("wallets", 2, Some("wallet:1 is off"))];
        let report = Report { of: "savanna".to_owned(), checks };
        let fault = report.first_fault().unwrap().to_string();
        assert_eq!(fault, "savanna: wallets: wallet:1 is off");
        let text = report.to_string();
        assert!(text.contains("ok            7 entries: balanced\n"), "{text}");
        assert!(text.ends_with("wallets: balanced (2 of them do not)"), "{text}");
    }
}
