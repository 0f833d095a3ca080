//! Access points: the radios that subscribers see.

pub mod http;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{AccessPointId, NasId, TenantId},
    net::Mac,
};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    words::{Change, Name, Note},
};

#[derive(Clone, Debug)]
pub struct AccessPoint {
    pub id: AccessPointId,
    /// The NAS it belongs to, or that it is.
    pub nas: Option<NasId>,
    pub name: Name,
    pub mac: Mac,
    pub model: Note,
    pub site: Note,
    pub disabled: bool,
    pub version: i64,
    pub created_at: Timestamp,
}

impl AccessPoint {
    fn snapshot(&self) -> Value {
        json!({
            "nas": self.nas, "name": self.name, "mac": self.mac, "model": self.model,
            "site": self.site, "disabled": self.disabled,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewAccessPoint {
    pub nas: Option<NasId>,
    pub name: Name,
    pub mac: Mac,
    pub model: Note,
    pub site: Note,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct AccessPointChange {
    pub nas: Change<NasId>,
    pub name: Option<Name>,
    pub mac: Option<Mac>,
    pub model: Option<Note>,
    pub site: Option<Note>,
    pub disabled: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum AccessPointError {
    #[error("there is no such access point")]
    Unknown,
    #[error("there is no such NAS")]
    NoSuchNas,
    #[error("another access point has this MAC address")]
    MacTaken,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for AccessPointError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("access_point_mac") => Self::MacTaken,
            _ if error.is_dangling() => Self::NoSuchNas,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct AccessPoints {
    db: Db,
}

impl AccessPoints {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<AccessPoint>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    pub async fn find(
        &self,
        actor: &Actor,
        id: AccessPointId,
    ) -> Result<AccessPoint, AccessPointError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewAccessPoint,
    ) -> Result<Made<AccessPoint>, AccessPointError> {
        let mut tx = self.db.staff(actor).await?;
        let id = AccessPointId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let id = AccessPointId::from_uuid(object);
            let value = find(&mut tx, actor.tenant, id).await?;
            return Ok(Made { value, replayed: true });
        }
        let NewAccessPoint { nas, name, mac, model, site } = new;
        let (disabled, version, created_at) = (false, 1, clock::now());
        let value = AccessPoint { id, nas, name, mac, model, site, disabled, version, created_at };
        store::insert(&mut tx, actor.tenant, &value).await?;
        record(&mut tx, actor, "access_point.create", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: AccessPointId,
        version: i64,
        change: AccessPointChange,
    ) -> Result<AccessPoint, AccessPointError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let mut after = before.clone();
        after.nas = change.nas.over(after.nas);
        after.name = change.name.unwrap_or(after.name);
        after.mac = change.mac.unwrap_or(after.mac);
        after.model = change.model.unwrap_or(after.model);
        after.site = change.site.unwrap_or(after.site);
        after.disabled = change.disabled.unwrap_or(after.disabled);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(AccessPointError::Stale);
        }
        after.version = version + 1;
        record(&mut tx, actor, "access_point.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}

async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: AccessPointId,
) -> Result<AccessPoint, AccessPointError> {
    store::find(tx, tenant, id).await?.ok_or(AccessPointError::Unknown)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&AccessPoint>,
    after: &AccessPoint,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "access_point",
        object_id: after.id.to_string(),
        before: before.map(AccessPoint::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
