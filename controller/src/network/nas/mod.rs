//! NASes: the RADIUS clients of an edge.

pub mod http;
mod store;

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{EdgeId, NasId, TenantId},
    net::Prefix,
    wire::latest::desired::Require,
};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    edges::LookAgain,
    idempotency::{self, Claim, ClaimError, Key, Made},
    seal::{Place, Seal},
    words::{Change, DnsName, Name, Pair, RadiusSecret, choices},
};

choices! {
    /// Who shapes and meters its sessions.
    Enforce {
        // Their traffic passes the edge's host.
        Edge = "edge",
        // The NAS does, told by reply attributes.
        Nas = "nas",
    }
}
choices! {
    /// Whose words replies speak.
    Vendor {
        Standard = "standard",
        Mikrotik = "mikrotik",
        Chillispot = "chillispot",
        Cisco = "cisco",
        Ubiquiti = "ubiquiti",
        Cambium = "cambium",
        Canopy = "canopy",
        Aruba = "aruba",
        Omada = "omada",
        Huawei = "huawei",
    }
}

/// A NAS. Its secret is not part of it: it is sealed in the row, and opened for its edge only.
#[derive(Clone, Debug)]
pub struct Nas {
    pub id: NasId,
    pub edge: EdgeId,
    pub name: Name,
    pub address: Prefix,
    pub enforce: Enforce,
    pub vendor: Vendor,
    pub require_message_authenticator: Require,
    pub requests_per_second: Option<NonZeroU32>,
    /// 0: it takes no Disconnect- and CoA-Requests.
    pub dynauth_port: u16,
    pub tls_name: Option<DnsName>,
    /// Of every Access-Accept to it.
    pub reply: Vec<Pair>,
    pub disabled: bool,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Nas {
    fn snapshot(&self) -> Value {
        json!({
            "edge": self.edge, "name": self.name, "address": self.address,
            "enforce": self.enforce, "vendor": self.vendor,
            "require_message_authenticator": self.require_message_authenticator,
            "requests_per_second": self.requests_per_second, "dynauth_port": self.dynauth_port,
            "tls_name": self.tls_name, "reply": self.reply,
            "disabled": self.disabled,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewNas {
    pub edge: EdgeId,
    pub name: Name,
    pub address: Prefix,
    pub secret: RadiusSecret,
    pub enforce: Enforce,
    pub vendor: Vendor,
    pub require_message_authenticator: Require,
    pub requests_per_second: Option<NonZeroU32>,
    pub dynauth_port: u16,
    pub tls_name: Option<DnsName>,
    pub reply: Vec<Pair>,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct NasChange {
    pub edge: Option<EdgeId>,
    pub name: Option<Name>,
    pub address: Option<Prefix>,
    pub secret: Option<RadiusSecret>,
    pub enforce: Option<Enforce>,
    pub vendor: Option<Vendor>,
    pub require_message_authenticator: Option<Require>,
    pub requests_per_second: Change<NonZeroU32>,
    pub dynauth_port: Option<u16>,
    pub tls_name: Change<DnsName>,
    pub reply: Option<Vec<Pair>>,
    pub disabled: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum NasError {
    #[error("there is no such NAS")]
    Unknown,
    #[error("there is no such edge")]
    NoSuchEdge,
    #[error("another NAS has this name")]
    NameTaken,
    #[error("another NAS of this edge has this address")]
    AddressTaken,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for NasError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("nas_name") => Self::NameTaken,
            Some("nas_address") => Self::AddressTaken,
            _ if error.is_dangling() => Self::NoSuchEdge,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Nases {
    db: Db,
    seal: Seal,
    look_again: LookAgain,
}

impl Nases {
    pub const fn new(db: Db, seal: Seal, look_again: LookAgain) -> Self {
        Self { db, seal, look_again }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Nas>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: NasId) -> Result<Nas, NasError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewNas,
    ) -> Result<Made<Nas>, NasError> {
        let mut tx = self.db.staff(actor).await?;
        let id = NasId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let value = find(&mut tx, actor.tenant, NasId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let nas = Nas {
            id,
            edge: new.edge,
            name: new.name,
            address: new.address,
            enforce: new.enforce,
            vendor: new.vendor,
            require_message_authenticator: new.require_message_authenticator,
            requests_per_second: new.requests_per_second,
            dynauth_port: new.dynauth_port,
            tls_name: new.tls_name,
            reply: new.reply,
            disabled: false,
            version: 1,
            created_at: clock::now(),
        };
        let sealed = self.seal.seal(&place(actor.tenant, id), new.secret.secret());
        store::insert(&mut tx, actor.tenant, &nas, &sealed).await?;
        record(&mut tx, actor, "nas.create", None, &nas).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(Made { value: nas, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: NasId,
        version: i64,
        change: NasChange,
    ) -> Result<Nas, NasError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let mut after = before.clone();
        after.edge = change.edge.unwrap_or(after.edge);
        after.name = change.name.unwrap_or(after.name);
        after.address = change.address.unwrap_or(after.address);
        after.enforce = change.enforce.unwrap_or(after.enforce);
        after.vendor = change.vendor.unwrap_or(after.vendor);
        after.require_message_authenticator =
            change.require_message_authenticator.unwrap_or(after.require_message_authenticator);
        after.requests_per_second = change.requests_per_second.over(after.requests_per_second);
        after.dynauth_port = change.dynauth_port.unwrap_or(after.dynauth_port);
        after.tls_name = change.tls_name.over(after.tls_name);
        after.reply = change.reply.unwrap_or(after.reply);
        after.disabled = change.disabled.unwrap_or(after.disabled);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(NasError::Stale);
        }
        after.version = version + 1;
        if let Some(secret) = change.secret {
            let sealed = self.seal.seal(&place(actor.tenant, id), secret.secret());
            store::set_secret(&mut tx, actor.tenant, id, &sealed).await?;
        }
        record(&mut tx, actor, "nas.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(after)
    }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: NasId) -> Result<Nas, NasError> {
    store::find(tx, tenant, id).await?.ok_or(NasError::Unknown)
}

const fn place(tenant: TenantId, id: NasId) -> Place {
    Place { tenant, table: "nas", row: *id.as_uuid(), column: "secret_sealed" }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Nas>,
    after: &Nas,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "nas",
        object_id: after.id.to_string(),
        before: before.map(Nas::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
