//! Merchants: a tenant's accounts at payment providers, with what opens them sealed.

pub mod http;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{MerchantId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

pub use self::store::Due;
use crate::{
    actor::Actor,
    audit::{self, Audited},
    clock,
    db::{Db, StoreError, Tx},
    gateways::{
        self, AskError, Channel, Environment, Gateway, Hosts, Identity, OpenError, Register,
        Secrets,
    },
    idempotency::{self, ClaimError, Key, Made},
    payments::Provider,
    seal::{self, Place, Seal},
    token,
    words::{Change, Name, Shortcode, Till},
};

/// An account at a provider. What opens it is not part of it.
#[derive(Clone, Debug)]
pub struct Merchant {
    pub id: MerchantId,
    pub provider: Provider,
    /// Where the money is, in the books and on statements.
    pub shortcode: Shortcode,
    pub till: Option<Till>,
    pub name: Name,
    pub environment: Environment,
    /// Where its callbacks come from; empty: nobody knows.
    pub sources: Vec<IpNetwork>,
    /// M-Pesa asks before it takes money: is what names nobody refused?
    pub refuse_unknown: bool,
    pub disabled: bool,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Merchant {
    const KIND: &'static str = "merchant";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "provider": self.provider, "shortcode": self.shortcode, "till": self.till,
            "name": self.name, "environment": self.environment, "sources": self.sources,
            "refuse_unknown": self.refuse_unknown, "disabled": self.disabled,
        })
    }
}

impl Merchant {
    fn identity(&self) -> Identity {
        Identity {
            provider: self.provider,
            environment: self.environment,
            shortcode: self.shortcode.clone(),
            till: self.till.as_ref().map(Till::to_string),
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewMerchant {
    pub provider: Provider,
    pub shortcode: Shortcode,
    pub till: Option<Till>,
    pub name: Name,
    pub environment: Environment,
    pub secrets: Secrets,
    pub sources: Vec<IpNetwork>,
    pub refuse_unknown: bool,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MerchantChange {
    pub till: Change<Till>,
    pub name: Option<Name>,
    pub secrets: Secrets,
    pub sources: Option<Vec<IpNetwork>>,
    pub refuse_unknown: Option<bool>,
    pub disabled: Option<bool>,
}

/// Where the provider calls.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// M-Pesa: somebody has paid, and wants to pay.
    pub confirmation: String,
    pub validation: String,
    /// The others: everything.
    pub hook: String,
}

#[derive(Debug, thiserror::Error)]
pub enum MerchantError {
    #[error("there is no such merchant")]
    Unknown,
    #[error("this account of the provider is registered already")]
    Taken,
    #[error("this provider needs `{0}`")]
    SecretNeeded(&'static str),
    #[error("it was changed since")]
    Stale,
    #[error("it is disabled")]
    Disabled,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("its secrets do not open")]
    Seal(#[from] seal::OpenError),
    #[error("its secrets are not what was sealed")]
    Corrupt(#[source] serde_json::Error),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for MerchantError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("merchant_account_provider_shortcode_key") => Self::Taken,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// A merchant, ready to be asked.
#[derive(Clone, Debug)]
pub struct Opened {
    pub tenant: TenantId,
    pub merchant: Merchant,
    pub gateway: Arc<dyn Gateway>,
    token: Secret,
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Merchants {
    db: Db,
    seal: Seal,
    hosts: Hosts,
    public_url: Arc<str>,
    /// Kept open, so that a provider's token is fetched once for all who ask.
    open: Arc<Mutex<HashMap<MerchantId, Arc<Opened>>>>,
}

impl Merchants {
    /// `public_url`: where providers reach this controller.
    pub fn new(db: Db, seal: Seal, hosts: Hosts, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').into();
        Self { db, seal, hosts, public_url, open: Arc::default() }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Merchant>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: MerchantId) -> Result<Merchant, MerchantError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewMerchant,
    ) -> Result<Made<Merchant>, MerchantError> {
        if let Some(name) = new.secrets.missing(new.provider).first() {
            return Err(MerchantError::SecretNeeded(name));
        }
        let mut tx = self.db.staff(actor).await?;
        let id = MerchantId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, MerchantId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let merchant = Merchant {
            id,
            provider: new.provider,
            shortcode: new.shortcode,
            till: new.till,
            name: new.name,
            environment: new.environment,
            sources: new.sources,
            refuse_unknown: new.refuse_unknown,
            disabled: false,
            version: 1,
            created_at: clock::now(),
        };
        // Also says if there is such an environment here.
        let gateway = gateways::open(&self.hosts, merchant.identity(), new.secrets.clone())?;
        let pull_at = gateway.can().pull.then_some(merchant.created_at);
        let token = token::random_hex();
        let secrets = self.seal_secrets(actor.tenant, id, &new.secrets)?;
        let sealed = self.seal.seal(&place(actor.tenant, id, "token_sealed"), &token);
        let sealed = store::Sealed { secrets, token: sealed };
        store::insert_account(&mut tx, &merchant, &token::hash(token.expose())).await?;
        store::insert(&mut tx, actor.tenant, &merchant, &sealed, pull_at).await?;
        audit::change(&mut tx, actor, "merchant.create", None, &merchant).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: merchant, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: MerchantId,
        version: i64,
        change: MerchantChange,
    ) -> Result<Merchant, MerchantError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let mut after = before.clone();
        after.till = change.till.over(after.till);
        after.name = change.name.unwrap_or(after.name);
        after.sources = change.sources.unwrap_or(after.sources);
        after.refuse_unknown = change.refuse_unknown.unwrap_or(after.refuse_unknown);
        after.disabled = change.disabled.unwrap_or(after.disabled);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(MerchantError::Stale);
        }
        after.version = version + 1;
        if change.secrets != Secrets::default() {
            let sealed = store::sealed(&mut tx, actor.tenant, id).await?;
            let before = self.open_secrets(actor.tenant, id, &sealed.secrets)?;
            let secrets = change.secrets.over(before);
            let secrets = self.seal_secrets(actor.tenant, id, &secrets)?;
            store::set_secrets(&mut tx, actor.tenant, id, &secrets).await?;
        }
        audit::change(&mut tx, actor, "merchant.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Where the provider calls; its own portal may have to be told by hand.
    pub async fn addresses(
        &self,
        actor: &Actor,
        id: MerchantId,
    ) -> Result<Addresses, MerchantError> {
        Ok(self.addresses_of(&*self.open(actor.tenant, id).await?))
    }

    /// Tells the provider where to call.
    pub async fn register(
        &self,
        actor: &Actor,
        id: MerchantId,
    ) -> Result<Addresses, MerchantError> {
        let opened = self.open(actor.tenant, id).await?;
        let at = self.addresses_of(&opened);
        let tell = Register { confirmation: &at.confirmation, validation: &at.validation };
        opened.gateway.register(tell).await?;
        let mut tx = self.db.staff(actor).await?;
        audit::change(&mut tx, actor, "merchant.register", None, &opened.merchant).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(at)
    }

    /// One that takes money now.
    pub(crate) async fn in_use(
        &self,
        tenant: TenantId,
        id: MerchantId,
    ) -> Result<Arc<Opened>, MerchantError> {
        let opened = self.open(tenant, id).await?;
        if opened.merchant.disabled { Err(MerchantError::Disabled) } else { Ok(opened) }
    }

    /// Also one that is disabled: what was paid to it is money all the same.
    pub(crate) async fn open(
        &self,
        tenant: TenantId,
        id: MerchantId,
    ) -> Result<Arc<Opened>, MerchantError> {
        let mut tx = self.db.tenant(tenant).await?;
        let merchant = find(&mut tx, tenant, id).await?;
        if let Some(opened) = self.opened(tenant, id, merchant.version) {
            return Ok(opened);
        }
        let sealed = store::sealed(&mut tx, tenant, id).await?;
        let secrets = self.open_secrets(tenant, id, &sealed.secrets)?;
        let token = self.seal.open(&place(tenant, id, "token_sealed"), &sealed.token)?;
        let gateway = gateways::open(&self.hosts, merchant.identity(), secrets)?;
        let opened = Arc::new(Opened { tenant, merchant, gateway, token });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(id, Arc::clone(&opened));
        Ok(opened)
    }

    /// As [`Merchants::open`], without a look at the row if this version is open.
    pub(crate) async fn open_version(
        &self,
        tenant: TenantId,
        id: MerchantId,
        version: i64,
    ) -> Result<Arc<Opened>, MerchantError> {
        match self.opened(tenant, id, version) {
            Some(opened) => Ok(opened),
            None => self.open(tenant, id).await,
        }
    }

    fn opened(&self, tenant: TenantId, id: MerchantId, version: i64) -> Option<Arc<Opened>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |opened: &&Arc<Opened>| opened.tenant == tenant && opened.merchant.version == version;
        open.get(&id).filter(fits).cloned()
    }

    /// The address for callbacks about `subject`, which nobody else can make.
    pub(crate) fn address(&self, opened: &Opened, channel: Channel, subject: Uuid) -> String {
        let mark = mark(&self.seal, opened.tenant, subject);
        let subject = subject.simple();
        let token = opened.token.expose();
        format!("{}/cb/{}/{token}/{subject}{mark}", self.public_url, channel.as_str())
    }

    fn addresses_of(&self, opened: &Opened) -> Addresses {
        let at = |channel: Channel| {
            format!("{}/cb/{}/{}", self.public_url, channel.as_str(), opened.token.expose())
        };
        Addresses {
            confirmation: at(Channel::C2b),
            validation: at(Channel::Check),
            hook: at(Channel::Hook),
        }
    }

    fn seal_secrets(
        &self,
        tenant: TenantId,
        id: MerchantId,
        secrets: &Secrets,
    ) -> Result<Vec<u8>, MerchantError> {
        let text = serde_json::to_string(secrets).map_err(MerchantError::Corrupt)?;
        Ok(self.seal.seal(&place(tenant, id, "secrets_sealed"), &Secret::new(text)))
    }

    fn open_secrets(
        &self,
        tenant: TenantId,
        id: MerchantId,
        sealed: &[u8],
    ) -> Result<Secrets, MerchantError> {
        let text = self.seal.open(&place(tenant, id, "secrets_sealed"), sealed)?;
        serde_json::from_str(text.expose()).map_err(MerchantError::Corrupt)
    }
}

/// What stands behind an id in an address, so that only who was told the address can use it.
pub(crate) fn mark(seal: &Seal, tenant: TenantId, subject: Uuid) -> String {
    let mark = seal.mark(tenant, "callback", &subject.simple().to_string());
    let (half, _) = mark.split_at(mark.len() / 2);
    token::hex(half)
}

/// Those whose list of what came in is to be fetched, at most `limit`.
pub(crate) async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
    store::due(db, now, limit).await
}

/// Takes one of them until `until`; since when to fetch. None: somebody else was faster.
pub(crate) async fn take(
    tx: &mut Tx,
    due: &Due,
    until: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    store::take(tx, due, until).await
}

/// It was fetched until `until`, and is to be fetched again at `next`.
pub(crate) async fn fetched(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
    until: Timestamp,
    next: Timestamp,
) -> Result<(), StoreError> {
    store::fetched(tx, tenant, id, until, next).await
}

/// Somebody waits for what came in: fetch it at `at`, if not before.
pub(crate) async fn hurry(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
    at: Timestamp,
) -> Result<(), StoreError> {
    store::hurry(tx, tenant, id, at).await
}

/// A tenant has few.
pub(crate) async fn all(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Merchant>, StoreError> {
    store::list(tx, tenant, None, Uuid::nil(), 1000).await
}

async fn find(tx: &mut Tx, tenant: TenantId, id: MerchantId) -> Result<Merchant, MerchantError> {
    let mut found = store::list(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(MerchantError::Unknown)
}

const fn place(tenant: TenantId, id: MerchantId, column: &'static str) -> Place {
    Place { tenant, table: "merchant", row: *id.as_uuid(), column }
}
