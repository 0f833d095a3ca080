//! Logins: who sits behind a request. A token is 256 random bits, and only its hash is stored.

pub mod http;
mod store;
mod throttle;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use shared::{
    id::{OperatorId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

use self::throttle::Throttle;
use crate::{
    actor::Actor,
    audit, clock,
    db::{self, Db, StoreError, Tx},
    operators::{self, HashError, Hasher, NewOperator, Operator, OperatorError, Role},
    settings::Registration,
    tenants::{self, NewTenant, TenantError},
    token,
    words::{Email, Name, Passphrase},
};

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Logins {
    db: Db,
    hasher: Hasher,
    registration: Registration,
    throttle: Arc<Mutex<Throttle>>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub ip: IpAddr,
    pub request: Uuid,
}

#[derive(Clone, Debug)]
pub struct LoggedIn {
    pub token: Secret,
    pub expires_at: Timestamp,
    pub tenant: TenantId,
    pub operator: Operator,
}

/// A provider that signs up, and its first member of staff.
#[derive(Clone, Debug)]
pub struct Registrant {
    pub tenant: NewTenant,
    pub name: Name,
    pub email: Email,
    pub password: Passphrase,
}

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// One sentence for all reasons: it tells nobody which addresses have a login.
    #[error("wrong e-mail address or password, or the login is locked")]
    Refused,
    #[error("too many attempts")]
    TooMany { seconds: u64 },
    #[error("the password could not be checked")]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("registration is closed: ask for an invitation")]
    Closed,
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error("the password could not be hashed")]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Logins {
    pub fn new(db: Db, hasher: Hasher, registration: Registration) -> Self {
        Self { db, hasher, registration, throttle: Arc::default() }
    }

    pub async fn login(
        &self,
        email: &Email,
        password: &Secret,
        origin: Origin,
    ) -> Result<LoggedIn, LoginError> {
        let now = clock::now();
        if let Some(seconds) = self.throttle().wait(origin.ip, now) {
            return Err(LoginError::TooMany { seconds });
        }
        let mut tx = self.db.auth_tx().await?;
        let login = store::find(&mut tx, email).await?;
        // The hash takes long, and a connection is worth more than the time.
        drop(tx);
        let hash = login.as_ref().map(|login| login.password_hash.clone());
        let fits = self.hasher.verify(password, hash).await?;
        let mut tx = self.db.auth_tx().await?;
        match login {
            Some(login) if fits && login.is_open(now) => {
                self.throttle().succeeded(origin.ip);
                Ok(open(tx, &login, origin, now).await?)
            }
            login => {
                self.throttle().failed(origin.ip, now);
                if let Some(login) = login.filter(|_| !fits) {
                    store::failed(&mut tx, &login, FAILURES_MAX, now + LOCK).await?;
                    tx.commit().await.map_err(StoreError::from)?;
                }
                Err(LoginError::Refused)
            }
        }
    }

    /// Makes a tenant and its owner, and logs the owner in.
    pub async fn register(
        &self,
        new: Registrant,
        origin: Origin,
    ) -> Result<LoggedIn, RegisterError> {
        if self.registration == Registration::Closed {
            return Err(RegisterError::Closed);
        }
        let only_first = self.registration == Registration::First;
        // A look before the work of the hash: anybody may ask, as often as they like.
        if only_first && tenants::any(&mut self.db.auth_tx().await?).await? {
            return Err(RegisterError::Closed);
        }
        let hash = self.hasher.hash(new.password.secret()).await?;
        let now = clock::now();
        let mut tx = self.db.auth_tx().await?;
        if only_first && tenants::any_yet(&mut tx).await? {
            return Err(RegisterError::Closed);
        }
        let tenant = TenantId::from_uuid(Uuid::now_v7());
        let operator = OperatorId::from_uuid(Uuid::now_v7());
        tenants::insert(&mut tx, tenant, &new.tenant).await?;
        let Origin { ip, request } = origin;
        let role = Role::Owner;
        let (ip_of, operator_of) = (Some(ip), Some(operator));
        let actor = Actor {
            tenant,
            role,
            operator: operator_of,
            program: None,
            reseller: None,
            ip: ip_of,
            request,
        };
        db::enter(&mut tx, tenant).await?;
        let Registrant { tenant: _, name, email, password } = new;
        let new = NewOperator { email, name, role, password };
        let operator = operators::insert(&mut tx, &actor, operator, new, &hash).await?;
        db::enter_auth(&mut tx).await?;
        let (token, expires_at) = grant(&mut tx, tenant, operator.id, ip, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(LoggedIn { token, expires_at, tenant, operator })
    }

    /// Who has this token, if it is still good.
    pub async fn identify(&self, token: &str, origin: Origin) -> Result<Option<Actor>, StoreError> {
        let found = store::identify(&self.db.auth, &token::hash(token), clock::now()).await?;
        Ok(found.map(|found| Actor {
            tenant: found.tenant,
            role: found.role,
            operator: Some(found.operator),
            program: None,
            reseller: found.reseller,
            ip: Some(origin.ip),
            request: origin.request,
        }))
    }

    pub async fn logout(&self, token: &str) -> Result<(), StoreError> {
        let mut tx = self.db.auth_tx().await?;
        store::end(&mut tx, &token::hash(token)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Every change of it is one statement, so a panic in between leaves nothing half done.
    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(
    mut tx: Tx,
    login: &store::Login,
    origin: Origin,
    now: Timestamp,
) -> Result<LoggedIn, StoreError> {
    let (token, expires_at) =
        grant(&mut tx, login.tenant, login.operator.id, origin.ip, now).await?;
    store::succeeded(&mut tx, login, now).await?;
    db::enter(&mut tx, login.tenant).await?;
    let actor = Actor {
        tenant: login.tenant,
        role: login.operator.role,
        operator: Some(login.operator.id),
        program: None,
        reseller: None,
        ip: Some(origin.ip),
        request: origin.request,
    };
    let entry = audit::Entry {
        action: "operator.login",
        object_kind: "operator",
        object_id: login.operator.id.to_string(),
        before: None,
        after: None,
    };
    audit::record(&mut tx, &actor, entry).await?;
    tx.commit().await?;
    let operator = login.operator.clone();
    Ok(LoggedIn { token, expires_at, tenant: login.tenant, operator })
}

async fn grant(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    ip: IpAddr,
    now: Timestamp,
) -> Result<(Secret, Timestamp), StoreError> {
    let (token, expires_at) = (token::random(), now + TOKEN_LIFE);
    store::sweep(tx, tenant, operator, now).await?;
    store::insert(tx, tenant, operator, &token::hash(&token), ip, now, expires_at).await?;
    Ok((Secret::new(token), expires_at))
}

/// A working day, and somebody's evening.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Wrong passwords in a row until a login is locked.
const FAILURES_MAX: i32 = 10;
const LOCK: SignedDuration = SignedDuration::from_mins(15);
