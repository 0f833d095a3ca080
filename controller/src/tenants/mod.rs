//! Tenants: the providers that share one installation and see nothing of each other.

pub mod http;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::TenantId;
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit::{self, Audited},
    clock,
    db::{self, Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    operators::Role,
    words::{Code, Currency, Name, Realm, TimeZone, choices},
};

choices! {
    /// May its staff log in, and do its edges get what they should have?
    TenantStatus {
        Active = "active",
        Suspended = "suspended",
    }
}

#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: Code,
    pub name: Name,
    pub tz: TimeZone,
    pub currency: Currency,
    pub status: TenantStatus,
    /// `amina@REALM` is the subscriber `amina`.
    pub realms: Vec<Realm>,
    /// Whose logins need a second factor.
    pub second_factor_roles: Vec<Role>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Tenant {
    const KIND: &'static str = "tenant";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "slug": self.slug, "name": self.name, "tz": self.tz, "currency": self.currency,
            "status": self.status, "realms": self.realms,
            "second_factor_roles": self.second_factor_roles,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewTenant {
    pub slug: Code,
    pub name: Name,
    pub tz: TimeZone,
    pub currency: Currency,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct TenantChange {
    pub name: Option<Name>,
    pub tz: Option<TimeZone>,
    pub status: Option<TenantStatus>,
    pub realms: Option<Vec<Realm>>,
    pub second_factor_roles: Option<Vec<Role>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error("there is no such tenant")]
    Unknown,
    #[error("the slug is taken")]
    SlugTaken,
    #[error("somebody has begun there, and what they did is kept: suspend the tenant instead")]
    HasBegun,
    #[error("it was changed since")]
    Stale,
    #[error("only the platform decides about a tenant's status")]
    NotYours,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Tenants {
    db: Db,
}

impl Tenants {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// All of them, for the platform; one's own for anybody else.
    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Tenant>, StoreError> {
        let mut tx = self.reach(actor).await?;
        store::list(&mut tx, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: TenantId) -> Result<Tenant, TenantError> {
        let mut tx = self.reach(actor).await?;
        store::find(&mut tx, id).await?.ok_or(TenantError::Unknown)
    }

    /// For whoever sits at the machine.
    pub async fn find_by_slug(&self, slug: &Code) -> Result<Tenant, TenantError> {
        let mut tx = self.db.auth_tx().await?;
        store::find_by_slug(&mut tx, slug).await?.ok_or(TenantError::Unknown)
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewTenant,
    ) -> Result<Made<Tenant>, TenantError> {
        let id = TenantId::from_uuid(Uuid::now_v7());
        let mut tx = self.db.staff(actor).await?;
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            drop(tx);
            let value = self.find(actor, TenantId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let value = tenant(id, new.clone());
        audit::change(&mut tx, actor, "tenant.create", None, &value).await?;
        db::enter_auth(&mut tx).await?;
        insert(&mut tx, id, &new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: TenantId,
        version: i64,
        change: TenantChange,
    ) -> Result<Tenant, TenantError> {
        if change.status.is_some() && actor.tenant != crate::actor::PLATFORM {
            return Err(TenantError::NotYours);
        }
        let mut tx = self.reach(actor).await?;
        let before = store::find(&mut tx, id).await?.ok_or(TenantError::Unknown)?;
        let mut after = before.clone();
        after.name = change.name.unwrap_or(after.name);
        after.tz = change.tz.unwrap_or(after.tz);
        after.status = change.status.unwrap_or(after.status);
        after.realms = change.realms.unwrap_or(after.realms);
        after.second_factor_roles = change.second_factor_roles.unwrap_or(after.second_factor_roles);
        if !store::update(&mut tx, &after, version).await? {
            return Err(TenantError::Stale);
        }
        if after.status != before.status {
            store::set_status(&mut tx, id, after.status).await?;
        }
        after.version = version + 1;
        db::enter(&mut tx, actor.tenant).await?;
        audit::change(&mut tx, actor, "tenant.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Deletes one in which nobody did anything yet; the database decides.
    pub async fn delete(&self, actor: &Actor, id: TenantId) -> Result<(), TenantError> {
        let mut tx = self.db.auth_tx().await?;
        let before = store::find(&mut tx, id).await?.ok_or(TenantError::Unknown)?;
        match store::delete(&mut tx, id).await?.as_str() {
            "done" => {}
            "unknown" => return Err(TenantError::Unknown),
            _ => return Err(TenantError::HasBegun),
        }
        db::enter(&mut tx, actor.tenant).await?;
        audit::deletion(&mut tx, actor, "tenant.delete", &before).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The platform sees all tenants and nothing in them; staff of a tenant sees its own.
    async fn reach(&self, actor: &Actor) -> Result<Tx, StoreError> {
        if actor.tenant == crate::actor::PLATFORM {
            self.db.auth_tx().await
        } else {
            self.db.staff(actor).await
        }
    }
}

/// Makes a tenant in a transaction of `kennet_auth`, for a registration and for the platform.
pub(crate) async fn insert(tx: &mut Tx, id: TenantId, new: &NewTenant) -> Result<(), TenantError> {
    store::insert(tx, id, new, clock::now()).await.map_err(|error| match error.constraint() {
        Some("tenant_slug") => TenantError::SlugTaken,
        Some(_) | None => error.into(),
    })
}

/// Whose days and months these are.
pub(crate) async fn zone(tx: &mut Tx, id: TenantId) -> Result<jiff::tz::TimeZone, StoreError> {
    let tz = store::zone(tx, id).await?;
    let corrupt = StoreError::Corrupt { table: "tenant", column: "tz", row: *id.as_uuid() };
    jiff::tz::TimeZone::get(&tz).map_err(|_| corrupt)
}

pub(crate) async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    store::any(tx).await
}

/// Holds off every other registration until the transaction ends, and says if there is a tenant.
pub(crate) async fn any_yet(tx: &mut Tx) -> Result<bool, StoreError> {
    store::lock_platform(tx).await?;
    store::any(tx).await
}

fn tenant(id: TenantId, new: NewTenant) -> Tenant {
    let NewTenant { slug, name, tz, currency } = new;
    let (status, version, created_at) = (TenantStatus::Active, 1, clock::now());
    let (realms, second_factor_roles) = (Vec::new(), Vec::new());
    Tenant {
        id,
        slug,
        name,
        tz,
        currency,
        status,
        realms,
        second_factor_roles,
        version,
        created_at,
    }
}
