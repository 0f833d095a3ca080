//! What somebody without an account may ask for: to become a subscriber, and to redeem a voucher
//! for an account whose password they know.
//!
//! Whether a number is somebody's is told to nobody: what is answered is the same. Where a provider
//! carries SMS a code is sent to the number, and who knows it has the account, new or old; without
//! one the account is new, and without the number if that is another's. Whoever tries too often
//! waits: wrong codes, wrong passwords and new accounts count alike, by address.

pub mod http;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use shared::{
    id::{PortalClaimId, SubscriberId, TenantId},
    secret::Secret,
};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    logins::{Origin, Throttle},
    messages,
    seal::{self, Place, Seal},
    subscribers::{NewSubscriber, Subscriber, SubscriberChange, SubscriberError, Subscribers},
    tenants::{TenantError, TenantStatus, Tenants},
    vouchers::{Redeemed, VoucherCode, VoucherError, Vouchers},
    words::{Change, Email, Msisdn, Name, RadiusSecret, Username},
};

#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    #[error("there is no such provider")]
    UnknownTenant,
    #[error("too many tries from this address")]
    TooMany { seconds: u64 },
    #[error("wrong username or password")]
    WrongLogin,
    #[error("the code is wrong, or not good any more: ask for another")]
    WrongCode,
    #[error("a password in the database was sealed with another key")]
    Seal(#[from] seal::OpenError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tenant(TenantError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    #[error(transparent)]
    Voucher(#[from] VoucherError),
}

impl From<TenantError> for PortalError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            error @ (TenantError::SlugTaken
            | TenantError::HasBegun
            | TenantError::Stale
            | TenantError::NotYours
            | TenantError::Claim(_)
            | TenantError::Store(_)) => Self::Tenant(error),
        }
    }
}

/// Somebody at a portal.
#[derive(Clone, Debug)]
pub struct Login {
    pub username: Username,
    pub password: RadiusSecret,
}

/// What somebody says who wants an account.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub full_name: Name,
    pub msisdn: Msisdn,
    pub email: Option<Email>,
    /// Not a number: whose that is would be told by whether it is taken.
    pub username: Option<Username>,
}

/// What comes of it.
#[derive(Clone, Debug)]
pub enum Registered {
    /// A code was sent to the number.
    Code(PortalClaimId),
    Account(Box<Subscriber>),
}

#[derive(Clone, Debug)]
pub struct Portal {
    db: Db,
    seal: Seal,
    tenants: Tenants,
    subscribers: Subscribers,
    vouchers: Vouchers,
    tries: Arc<Mutex<Throttle>>,
}

impl Portal {
    pub fn new(
        db: Db,
        seal: Seal,
        tenants: Tenants,
        subscribers: Subscribers,
        vouchers: Vouchers,
    ) -> Self {
        Self { db, seal, tenants, subscribers, vouchers, tries: Arc::default() }
    }

    pub async fn register(
        &self,
        tenant: TenantId,
        origin: Origin,
        key: Option<&Key>,
        new: Claimed,
        password: RadiusSecret,
    ) -> Result<Made<Registered>, PortalError> {
        let now = clock::now();
        let actor = self.enter(tenant, origin, now).await?;
        // Each is an account that somebody has to look at.
        self.tries().failed(origin.ip, now);
        let mut tx = self.db.staff(&actor).await?;
        if messages::carries_sms(&mut tx, tenant).await? {
            return self.send_code(tx, &actor, key, new, &password, now).await;
        }
        let taken = store::owner_of(&mut tx, tenant, &new.msisdn).await?.is_some();
        drop(tx);
        let msisdn = (!taken).then_some(new.msisdn);
        let username = new.username.unwrap_or_else(some_username);
        let new = account(username, password, new.full_name, msisdn, new.email);
        let made = self.subscribers.create(&actor, key, new).await?;
        let value = Registered::Account(Box::new(made.value));
        Ok(Made { value, replayed: made.replayed })
    }

    async fn send_code(
        &self,
        mut tx: Tx,
        actor: &Actor,
        key: Option<&Key>,
        claimed: Claimed,
        password: &RadiusSecret,
        now: Timestamp,
    ) -> Result<Made<Registered>, PortalError> {
        let tenant = actor.tenant;
        let id = PortalClaimId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let value = Registered::Code(PortalClaimId::from_uuid(object));
            return Ok(Made { value, replayed: true });
        }
        // Nobody's phone is to ring all night.
        if store::sent(&mut tx, tenant, &claimed.msisdn, now - CODES_SPAN).await? >= CODES_MAX {
            let seconds = CODES_SPAN.as_secs().unsigned_abs();
            return Err(PortalError::TooMany { seconds });
        }
        let code = some_code();
        let until = now + CODE_LIFE;
        let letter =
            messages::Code { to: &claimed.msisdn, key: *id.as_uuid(), secret: &code, until };
        messages::send_code(&mut tx, &self.seal, tenant, &letter).await?;
        let kept = store::Kept {
            code_mark: self.mark(tenant, id, code.expose()).to_vec(),
            password_sealed: self.seal.seal(&place(tenant, id), password.secret()),
            tries: 0,
            claimed,
        };
        store::insert(&mut tx, tenant, id, &kept, now, until).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: Registered::Code(id), replayed: false })
    }

    /// Who knows the code has the number, and the account that it belongs to, new or old.
    pub async fn confirm(
        &self,
        tenant: TenantId,
        origin: Origin,
        id: PortalClaimId,
        code: &str,
    ) -> Result<Subscriber, PortalError> {
        let now = clock::now();
        let actor = self.enter(tenant, origin, now).await?;
        let mut tx = self.db.staff(&actor).await?;
        let kept = store::lock(&mut tx, tenant, id, now).await?;
        let Some(kept) = kept.filter(|kept| kept.tries < TRIES_MAX) else {
            self.tries().failed(origin.ip, now);
            return Err(PortalError::WrongCode);
        };
        let mark = self.mark(tenant, id, code);
        if !bool::from(mark.ct_eq(kept.code_mark.as_slice())) {
            self.tries().failed(origin.ip, now);
            store::tried(&mut tx, tenant, id).await?;
            tx.commit().await.map_err(StoreError::from)?;
            return Err(PortalError::WrongCode);
        }
        let password = self.seal.open(&place(tenant, id), &kept.password_sealed)?;
        let password = password.expose().parse().map_err(|_| PortalError::WrongCode)?;
        store::remove(&mut tx, tenant, id).await?;
        let owner = store::owner_of(&mut tx, tenant, &kept.claimed.msisdn).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.settle(&actor, owner, kept.claimed, password).await
    }

    async fn settle(
        &self,
        actor: &Actor,
        owner: Option<SubscriberId>,
        claimed: Claimed,
        password: RadiusSecret,
    ) -> Result<Subscriber, PortalError> {
        let Claimed { full_name, msisdn, email, username } = claimed;
        if let Some(owner) = owner {
            let found = self.subscribers.find(actor, owner).await?;
            let change =
                SubscriberChange { password: Change::Set(password), ..SubscriberChange::default() };
            return Ok(self.subscribers.update(actor, owner, found.version, change).await?);
        }
        // The number is proven: it is the easiest name, if nobody has it as one.
        let number = msisdn.as_str().parse().ok();
        let name = username.or(number).unwrap_or_else(some_username);
        let new =
            account(name, password.clone(), full_name.clone(), Some(msisdn.clone()), email.clone());
        match self.subscribers.create(actor, None, new).await {
            Err(SubscriberError::UsernameTaken) => {
                let new = account(some_username(), password, full_name, Some(msisdn), email);
                Ok(self.subscribers.create(actor, None, new).await?.value)
            }
            made => Ok(made?.value),
        }
    }

    fn mark(&self, tenant: TenantId, id: PortalClaimId, code: &str) -> [u8; 32] {
        self.seal.mark(tenant, "portal code", &format!("{id}|{code}"))
    }

    pub async fn redeem(
        &self,
        tenant: TenantId,
        origin: Origin,
        key: Option<&Key>,
        login: &Login,
        code: &VoucherCode,
    ) -> Result<Made<Redeemed>, PortalError> {
        let now = clock::now();
        let actor = self.enter(tenant, origin, now).await?;
        let Login { username, password } = login;
        let Some(subscriber) = self.subscribers.identify(&actor, username, password).await? else {
            self.tries().failed(origin.ip, now);
            return Err(PortalError::WrongLogin);
        };
        let redeemed = self.vouchers.redeem(&actor, key, code, subscriber).await;
        if redeemed.is_err() {
            self.tries().failed(origin.ip, now);
        }
        Ok(redeemed?)
    }

    /// A provider that serves, and somebody who did not try too often.
    async fn enter(
        &self,
        tenant: TenantId,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Actor, PortalError> {
        if let Some(seconds) = self.tries().wait(origin.ip, now) {
            return Err(PortalError::TooMany { seconds });
        }
        let actor = Actor::portal(tenant, origin);
        match self.tenants.find(&actor, tenant).await?.status {
            TenantStatus::Active => Ok(actor),
            TenantStatus::Suspended => Err(PortalError::UnknownTenant),
        }
    }

    /// Every change of it is one statement, so a panic in between leaves nothing half done.
    fn tries(&self) -> MutexGuard<'_, Throttle> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(tenant: TenantId, id: PortalClaimId) -> Place {
    Place { tenant, table: "portal_claim", row: *id.as_uuid(), column: "password_sealed" }
}

fn account(
    username: Username,
    password: RadiusSecret,
    full_name: Name,
    msisdn: Option<Msisdn>,
    email: Option<Email>,
) -> NewSubscriber {
    NewSubscriber {
        username,
        password: Some(password),
        full_name,
        msisdn,
        email,
        static_ip: None,
        delegated_prefix: None,
        macs: Vec::new(),
    }
}

/// Eight digits that begin as no number does.
fn some_username() -> Username {
    format!("9{:07}", below(10_000_000)).parse().expect("eight digits are a username")
}

fn some_code() -> Secret {
    Secret::new(format!("{:06}", below(1_000_000)))
}

/// Each as likely as the others.
fn below(end: u32) -> u32 {
    let fair = u32::MAX - u32::MAX % end;
    loop {
        let mut bytes = [0_u8; 4];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        let number = u32::from_ne_bytes(bytes);
        if number < fair {
            return number % end;
        }
    }
}

const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// A million codes, and so many tries.
const TRIES_MAX: i32 = 5;
/// To one number.
const CODES_MAX: i64 = 3;
const CODES_SPAN: SignedDuration = SignedDuration::from_mins(30);
