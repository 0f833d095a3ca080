//! Settlements: the closed statement of what a reseller sold in some days. No sale is in two.

pub mod http;
mod store;

use jiff::{Timestamp, civil::Date};
use serde_json::json;
use shared::id::{ResellerId, SettlementId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit,
    billing::{self, Cents, TooMuch},
    clock,
    db::{Db, StoreError},
    idempotency::{self, Claim, ClaimError, Key, Made},
    tenants,
};

#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: SettlementId,
    pub reseller: ResellerId,
    /// Half open: the last day is not in it.
    pub days: (Date, Date),
    pub gross: Cents,
    pub commission: Cents,
    pub created_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    #[error("there is no such reseller")]
    UnknownReseller,
    #[error("some of these days are settled already")]
    Overlaps,
    #[error("expected days that are over, the first before the last")]
    Days,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SettlementError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("settlement_once") => Self::Overlaps,
            Some(_) if error.is_dangling() => Self::UnknownReseller,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Settlements {
    db: Db,
}

impl Settlements {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Settlement>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    /// Closes some days that are over: whatever was sold in them is in this statement.
    pub async fn close(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        reseller: ResellerId,
        days: (Date, Date),
    ) -> Result<Made<Settlement>, SettlementError> {
        let mut tx = self.db.staff(actor).await?;
        let id = SettlementId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let before = SettlementId::from_uuid(object);
            let found = store::list(&mut tx, actor.tenant, Some(before), Uuid::nil(), 1).await?;
            let value = found.into_iter().next().ok_or(SettlementError::UnknownReseller)?;
            return Ok(Made { value, replayed: true });
        }
        let (now, zone) = (clock::now(), tenants::zone(&mut tx, actor.tenant).await?);
        let (from, until) = days;
        if from >= until || until > billing::day_of(now, &zone) {
            return Err(SettlementError::Days);
        }
        let midnight = |day: Date| {
            day.to_zoned(zone.clone()).map(|there| there.timestamp()).map_err(|_| TooMuch)
        };
        let between = (midnight(from)?, midnight(until)?);
        let (gross, commission) = store::sold(&mut tx, actor.tenant, reseller, between).await?;
        let value = Settlement { id, reseller, days, gross, commission, created_at: now };
        store::insert(&mut tx, actor.tenant, &value).await?;
        let entry = audit::Entry {
            action: "settlement.close",
            object_kind: "settlement",
            object_id: id.to_string(),
            before: None,
            after: Some(json!({
                "reseller": reseller, "from": from, "until": until,
                "gross_cents": gross.get(), "commission_cents": commission.get(),
            })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }
}
