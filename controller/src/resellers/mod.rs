//! Resellers: who sells for the tenant, with a float that was paid in before, and keeps a
//! commission. Their staff sees only what is the reseller's.

mod commission;
pub mod http;
mod rules;
mod store;

use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};
use shared::id::{OperatorId, PlanVersionId, ResellerId, TenantId};
use uuid::Uuid;

use self::commission::applying;
pub(crate) use self::commission::{Agreed, Sale};
pub use self::commission::{Basis, Keeps, Rule, Terms};
use crate::{
    actor::Actor,
    audit,
    billing::{self, BasisPoints, Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    ledger::{self, Account, Entry, Event},
    tenants,
    words::{Change, Msisdn, Name},
};

#[derive(Clone, Debug)]
pub struct Reseller {
    pub id: ResellerId,
    pub name: Name,
    /// Where payouts go.
    pub msisdn: Option<Msisdn>,
    pub active: bool,
    /// For all plans, today; none: an amount, or a percentage of something else than the face value.
    pub commission: Option<BasisPoints>,
    /// What it keeps, today and later: first what is for all plans, oldest first.
    pub rules: Vec<Rule>,
    /// What was paid in and not sold yet.
    pub float: Cents,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Reseller {
    fn snapshot(&self) -> Value {
        json!({
            "name": self.name, "msisdn": self.msisdn, "active": self.active,
            "commissions": self.rules.iter().map(Rule::snapshot).collect::<Vec<_>>(),
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewReseller {
    pub name: Name,
    pub msisdn: Option<Msisdn>,
    pub commission: BasisPoints,
}

/// What is absent stays. Another commission is from tomorrow on: what was sold stays as it was.
#[derive(Clone, Debug, Default)]
pub struct ResellerChange {
    pub name: Option<Name>,
    pub msisdn: Change<Msisdn>,
    pub active: Option<bool>,
    pub commission: Option<BasisPoints>,
}

#[derive(Debug, thiserror::Error)]
pub enum ResellerError {
    #[error("there is no such reseller")]
    Unknown,
    #[error("there is no such operator, or it has not the role `reseller`")]
    NotItsStaff,
    #[error("it was changed since")]
    Stale,
    #[error("there is no such plan")]
    UnknownPlan,
    #[error("expected today or later: what is over stays as it was")]
    Past,
    #[error("expected a day after `from`")]
    NoDays,
    #[error("something was sold at today's commission already: expected tomorrow or later")]
    Used,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ResellerError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Unknown
            | Self::NotItsStaff
            | Self::Stale
            | Self::UnknownPlan
            | Self::Past
            | Self::NoDays
            | Self::Used
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Resellers {
    db: Db,
}

impl Resellers {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// All of them; of a reseller's staff, their own.
    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Reseller>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        let today = today(&mut tx, actor.tenant).await?;
        store::list(&mut tx, actor.tenant, None, today, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: ResellerId) -> Result<Reseller, ResellerError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewReseller,
    ) -> Result<Made<Reseller>, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        let id = ResellerId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let value = find(&mut tx, actor.tenant, ResellerId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let today = today(&mut tx, actor.tenant).await?;
        store::insert(&mut tx, actor.tenant, id, &new, clock::now()).await?;
        let rule = Rule { terms: Terms::of_face(new.commission), from: today, until: None };
        store::set_rule(&mut tx, actor.tenant, id, rule).await?;
        let value = find(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "reseller.create", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: ResellerId,
        version: i64,
        change: ResellerChange,
    ) -> Result<Reseller, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let mut after = before.clone();
        after.name = change.name.unwrap_or(after.name);
        after.msisdn = change.msisdn.over(after.msisdn);
        after.active = change.active.unwrap_or(after.active);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(ResellerError::Stale);
        }
        if let Some(commission) = change.commission {
            let tomorrow = today(&mut tx, actor.tenant).await?.tomorrow().map_err(|_| TooMuch)?;
            let rule = Rule { terms: Terms::of_face(commission), from: tomorrow, until: None };
            store::set_rule(&mut tx, actor.tenant, id, rule).await?;
        }
        let after = find(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "reseller.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// From now on this operator sees what is the reseller's, and nothing else.
    pub async fn employ(
        &self,
        actor: &Actor,
        id: ResellerId,
        operator: OperatorId,
    ) -> Result<Reseller, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        let reseller = find(&mut tx, actor.tenant, id).await?;
        if !store::employ(&mut tx, actor.tenant, id, operator).await? {
            return Err(ResellerError::NotItsStaff);
        }
        let entry = audit::Entry {
            action: "reseller.employ",
            object_kind: "operator",
            object_id: operator.to_string(),
            before: None,
            after: Some(json!({ "reseller": id })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(reseller)
    }

    /// Cash that the reseller pays in, to sell for.
    pub async fn pay_in(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: ResellerId,
        cents: Cents,
    ) -> Result<Made<Reseller>, ResellerError> {
        db::retry(|| self.pay_in_once(actor, key, id, cents)).await
    }

    async fn pay_in_once(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: ResellerId,
        cents: Cents,
    ) -> Result<Made<Reseller>, ResellerError> {
        let mut tx = self.db.staff(actor).await?;
        let paid_in = Uuid::now_v7();
        let claim = idempotency::claim(&mut tx, actor, key, paid_in, None).await?;
        if let Claim::Before { .. } = claim {
            let value = find(&mut tx, actor.tenant, id).await?;
            return Ok(Made { value, replayed: true });
        }
        find(&mut tx, actor.tenant, id).await?;
        let entry = Entry {
            event: Event::FloatPaidIn(paid_in),
            at: clock::now(),
            lines: vec![(Account::Till, cents), (Account::Agent(id), Cents::ZERO.minus(cents)?)],
        };
        ledger::post(&mut tx, &entry).await?;
        let entry = audit::Entry {
            action: "reseller.pay-in",
            object_kind: "reseller",
            object_id: id.to_string(),
            before: None,
            after: Some(json!({ "cents": cents.get() })),
        };
        audit::record(&mut tx, actor, entry).await?;
        let value = find(&mut tx, actor.tenant, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }
}

/// What is agreed on for vouchers that are sold to the reseller on that day; none if it does not
/// sell. It does not change before the transaction ends.
pub(crate) async fn agreed(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    version: PlanVersionId,
    day: Date,
) -> Result<Option<Agreed>, StoreError> {
    if !store::sells(tx, tenant, id).await? {
        return Ok(None);
    }
    let plan = store::plan_of(tx, tenant, version).await?;
    let rules = store::rules(tx, tenant, &[*id.as_uuid()], Some(day)).await?;
    let rules = rules.into_iter().map(|(_, rule)| rule).collect();
    Ok(Some(Agreed { rules, plan, day }))
}

async fn find(tx: &mut Tx, tenant: TenantId, id: ResellerId) -> Result<Reseller, ResellerError> {
    let today = today(tx, tenant).await?;
    let mut found = store::list(tx, tenant, Some(id), today, Uuid::nil(), 1).await?;
    found.pop().ok_or(ResellerError::Unknown)
}

async fn today(tx: &mut Tx, tenant: TenantId) -> Result<Date, StoreError> {
    Ok(billing::day_of(clock::now(), &tenants::zone(tx, tenant).await?))
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Reseller>,
    after: &Reseller,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "reseller",
        object_id: after.id.to_string(),
        before: before.map(Reseller::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
