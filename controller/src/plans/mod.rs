//! Plans: what is sold. A version never changes; a change is a new version, and who bought the
//! old one keeps it.

pub mod http;
mod store;
mod terms;

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{PlanId, PlanVersionId, TenantId};
use uuid::Uuid;

pub use self::terms::{
    Access, Anchor, Billing, FairUse, Limits, Network, OnExhaust, Step, Terms, TermsError, Validity,
};
use crate::{
    actor::Actor,
    audit::{self, Audited},
    clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    words::{Code, Name},
};

/// A plan with its latest version.
#[derive(Clone, Debug)]
pub struct Plan {
    pub id: PlanId,
    pub code: Code,
    pub name: Name,
    pub archived: bool,
    pub latest: PlanVersion,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct PlanVersion {
    pub id: PlanVersionId,
    pub number: u32,
    pub terms: Terms,
    pub effective_from: Timestamp,
}

impl Audited for Plan {
    const KIND: &'static str = "plan";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "code": self.code, "name": self.name, "archived": self.archived,
            "version": self.latest.number, "terms": self.latest.terms.snapshot(),
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewPlan {
    pub code: Code,
    pub name: Name,
    pub terms: Terms,
}

/// What is absent stays. Other terms are a new version.
#[derive(Clone, Debug, Default)]
pub struct PlanChange {
    pub name: Option<Name>,
    pub archived: Option<bool>,
    pub terms: Option<Terms>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("there is no such plan")]
    Unknown,
    #[error("another plan has this code")]
    CodeTaken,
    #[error("the plan was sold, or vouchers are for it: archive it instead")]
    WasSold,
    #[error("`{field}`: {error}")]
    Terms { field: &'static str, error: TermsError },
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for PlanError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("plan_code") => Self::CodeTaken,
            // Two made the same next version at once.
            Some("plan_version_number") => Self::Stale,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// A version of a plan, by the plan's name.
#[derive(Clone, Debug)]
pub struct Sold {
    pub name: Name,
    pub terms: Terms,
}

/// What these versions are.
pub(crate) async fn sold(
    tx: &mut Tx,
    tenant: TenantId,
    versions: &[PlanVersionId],
) -> Result<HashMap<PlanVersionId, Sold>, StoreError> {
    store::sold(tx, tenant, versions).await
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Plans {
    db: Db,
}

impl Plans {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Plan>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: PlanId) -> Result<Plan, PlanError> {
        let mut tx = self.db.staff(actor).await?;
        store::find(&mut tx, actor.tenant, id).await?.ok_or(PlanError::Unknown)
    }

    /// Newest first.
    pub async fn versions(&self, actor: &Actor, id: PlanId) -> Result<Vec<PlanVersion>, PlanError> {
        let mut tx = self.db.staff(actor).await?;
        let versions = store::versions(&mut tx, actor.tenant, id).await?;
        if versions.is_empty() { Err(PlanError::Unknown) } else { Ok(versions) }
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewPlan,
    ) -> Result<Made<Plan>, PlanError> {
        check(&new.terms)?;
        let mut tx = self.db.staff(actor).await?;
        let id = PlanId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            drop(tx);
            let value = self.find(actor, PlanId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let NewPlan { code, name, terms } = new;
        let now = clock::now();
        let latest = version(1, terms, now);
        let plan = Plan { id, code, name, archived: false, latest, version: 1, created_at: now };
        store::insert(&mut tx, actor.tenant, &plan).await?;
        store::insert_version(&mut tx, actor.tenant, id, &plan.latest).await?;
        audit::change(&mut tx, actor, "plan.create", None, &plan).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: plan, replayed: false })
    }

    /// Who has the plan already keeps the version that was sold, so no edge has to look again.
    pub async fn update(
        &self,
        actor: &Actor,
        id: PlanId,
        row_version: i64,
        change: PlanChange,
    ) -> Result<Plan, PlanError> {
        if let Some(terms) = &change.terms {
            check(terms)?;
        }
        let mut tx = self.db.staff(actor).await?;
        let before = store::find(&mut tx, actor.tenant, id).await?.ok_or(PlanError::Unknown)?;
        let mut after = before.clone();
        after.name = change.name.unwrap_or(after.name);
        after.archived = change.archived.unwrap_or(after.archived);
        if !store::update(&mut tx, actor.tenant, &after, row_version).await? {
            return Err(PlanError::Stale);
        }
        after.version = row_version + 1;
        if let Some(terms) = change.terms.filter(|terms| *terms != before.latest.terms) {
            after.latest = version(before.latest.number + 1, terms, clock::now());
            store::insert_version(&mut tx, actor.tenant, id, &after.latest).await?;
        }
        audit::change(&mut tx, actor, "plan.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Deletes one that nobody bought and no voucher is for; the database decides.
    pub async fn delete(&self, actor: &Actor, id: PlanId) -> Result<(), PlanError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::find(&mut tx, actor.tenant, id).await?.ok_or(PlanError::Unknown)?;
        match store::delete(&mut tx, id).await?.as_str() {
            "done" => {}
            "unknown" => return Err(PlanError::Unknown),
            _ => return Err(PlanError::WasSold),
        }
        audit::deletion(&mut tx, actor, "plan.delete", &before).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn check(terms: &Terms) -> Result<(), PlanError> {
    terms.check().map_err(|(field, error)| PlanError::Terms { field, error })
}

fn version(number: u32, terms: Terms, effective_from: Timestamp) -> PlanVersion {
    PlanVersion { id: PlanVersionId::from_uuid(Uuid::now_v7()), number, terms, effective_from }
}
