//! Logins: who sits behind a request. A token is 256 random bits, and only its hash is stored.
//!
//! A login is one place where somebody is logged in. Its token lives for an hour and is renewed
//! with a refresh token, which is good once: shown again, it ends the login.

mod credential;
pub mod http;
mod own;
mod store;
mod throttle;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::{
    id::{LoginId, OperatorId, TenantId},
    secret::Secret,
};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use uuid::Uuid;

use self::store::known;
pub use self::{
    credential::{Asked, By, Credential, KnownLogin, Lack, OWN},
    own::{Login, OwnError},
};
pub(crate) use self::{
    http::answer::{Answer, LoginView},
    throttle::Throttle,
};
use crate::{
    actor::Actor,
    api_tokens, audit, clock,
    db::{self, Db, StoreError, Tx},
    operators::{self, HashError, Hasher, NewOperator, Operator, OperatorError, Role},
    seal::Seal,
    second_factors::{self, CodeError},
    settings::Registration,
    tenants::{self, NewTenant, TenantError},
    token,
    words::{Email, Name, Note, Passphrase},
};

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Logins {
    db: Db,
    hasher: Hasher,
    seal: Seal,
    registration: Registration,
    throttle: Arc<Mutex<Throttle>>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub ip: IpAddr,
    pub request: Uuid,
}

/// What somebody shows to get in.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub email: Email,
    pub password: Secret,
    /// Of the second factor.
    pub code: Option<Secret>,
    pub place: Place,
}

/// Where the login is to be.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// What the program calls itself.
    pub program: Note,
    /// A browser: with cookies, and a word for its scripts.
    pub browser: bool,
}

/// How a token came.
#[derive(Clone, Copy, Debug)]
pub enum Carrier<'a> {
    /// Somebody has put it there.
    Header,
    /// A browser sends it for whatever page asks; with what a script has added.
    Cookie { csrf: Option<&'a str> },
}

impl Carrier<'_> {
    /// May a page of others have sent it? `csrf_hash` is of the word that ours know.
    fn is_forgeable(self, csrf_hash: Option<&[u8]>) -> bool {
        match (self, csrf_hash) {
            (Self::Header, _) => false,
            (Self::Cookie { csrf: Some(csrf) }, Some(hash)) => {
                !bool::from(token::hash(csrf).as_slice().ct_eq(hash))
            }
            (Self::Cookie { .. }, _) => true,
        }
    }
}

#[derive(Clone, Debug)]
pub struct LoggedIn {
    pub tokens: Tokens,
    pub tenant: TenantId,
    pub operator: Operator,
}

/// All that is told once.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub token: Secret,
    pub expires_at: Timestamp,
    pub refresh: Secret,
    /// Of a browser that is new here.
    pub csrf: Option<Secret>,
}

/// A provider that signs up, and its first member of staff.
#[derive(Clone, Debug)]
pub struct Registrant {
    pub tenant: NewTenant,
    pub name: Name,
    pub email: Email,
    pub password: Passphrase,
    pub place: Place,
}

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// One sentence for all reasons: it tells nobody which addresses have a login.
    #[error("wrong e-mail address or password, or the login is locked")]
    Refused,
    #[error("send the `code` of the second factor, too")]
    CodeNeeded,
    #[error("the login has ended: log in again")]
    Over,
    #[error("too many attempts")]
    TooMany { seconds: u64 },
    #[error(transparent)]
    Code(#[from] CodeError),
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
    pub fn new(db: Db, hasher: Hasher, seal: Seal, registration: Registration) -> Self {
        Self { db, hasher, seal, registration, throttle: Arc::default() }
    }

    pub async fn login(&self, attempt: Attempt, origin: Origin) -> Result<LoggedIn, LoginError> {
        let began = Instant::now();
        let done = self.try_login(attempt, origin).await;
        if matches!(done, Err(LoginError::Refused)) {
            tokio::time::sleep_until(answer_at(began, Instant::now())).await;
        }
        done
    }

    async fn try_login(&self, attempt: Attempt, origin: Origin) -> Result<LoggedIn, LoginError> {
        let now = clock::now();
        self.admit(origin.ip, now)?;
        let login =
            known::find(&mut self.db.auth_tx().await?, known::By::Email(&attempt.email)).await?;
        // The hash takes long, and a connection is worth more than the time.
        let hash = login.as_ref().map(|login| login.password_hash.clone());
        let stale = hash.as_deref().is_some_and(Hasher::is_stale);
        let fits = self.hasher.verify(&attempt.password, hash).await?;
        let mut tx = self.db.auth_tx().await?;
        let Some(login) = login else { return Err(LoginError::Refused) };
        // Of many attempts at once, those behind the one that locks it count no more.
        let (tenant, operator) = (login.tenant, login.operator.id);
        let locked = is_locked(&mut tx, tenant, operator, now).await?;
        if !fits {
            fail(tx, tenant, operator, now).await?;
            return Err(LoginError::Refused);
        }
        if locked || !login.is_open() {
            return Err(LoginError::Refused);
        }
        let has_factor = second_factors::is_confirmed(&mut tx, tenant, operator).await?;
        let proven_at = has_factor.then_some(now);
        if has_factor {
            let Some(code) = &attempt.code else {
                self.throttle().succeeded(origin.ip);
                return Err(LoginError::CodeNeeded);
            };
            let who = (tenant, operator);
            if !second_factors::accept(&mut tx, &self.seal, who, code, now).await? {
                fail(tx, tenant, operator, now).await?;
                return Err(CodeError::Wrong.into());
            }
        }
        if stale {
            let hash = self.hasher.hash(&attempt.password).await?;
            known::set_hash(&mut tx, tenant, operator, &hash).await?;
        }
        self.throttle().succeeded(origin.ip);
        known::succeeded(&mut tx, &login, now).await?;
        let actor = actor_of(&login, origin);
        Ok(open(tx, &actor, login.operator, &attempt.place, proven_at, now).await?)
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
        let role = Role::Owner;
        let actor = Actor::staff(tenant, role, operator, None, origin);
        db::enter(&mut tx, tenant).await?;
        let Registrant { tenant: _, name, email, password, place } = new;
        let new = NewOperator { email, name, role, password };
        let operator = operators::insert(&mut tx, &actor, operator, new, &hash).await?;
        Ok(open(tx, &actor, operator, &place, None, now).await?)
    }

    /// Who has this token, if it is still good.
    pub async fn identify(
        &self,
        token: &str,
        carrier: Carrier<'_>,
        origin: Origin,
    ) -> Result<Option<(Actor, Credential)>, StoreError> {
        let now = clock::now();
        let hash = token::hash(token);
        if api_tokens::is_one(token) {
            return api_tokens::identify(&self.db, &hash, origin, now).await;
        }
        let Some(found) = store::identify(&self.db.auth, &hash, now).await? else {
            return Ok(None);
        };
        let forgeable = carrier.is_forgeable(found.csrf_hash.as_deref());
        let store::Identified { login, has_factor, proven_at, factor_needed, .. } = found;
        let known = KnownLogin { id: login, has_factor, proven_at, forgeable };
        let unfinished = factor_needed && !has_factor;
        let actor = Actor::staff(found.tenant, found.role, found.operator, found.reseller, origin);
        Ok(Some((actor, Credential { by: By::Login(known), unfinished })))
    }

    /// New tokens for a refresh token, which is used up by that. A used one ends the login:
    /// either its owner or somebody else has a copy, and nobody can tell who.
    pub async fn refresh(
        &self,
        refresh: &Secret,
        carrier: Carrier<'_>,
        origin: Origin,
    ) -> Result<LoggedIn, LoginError> {
        let now = clock::now();
        let hash = token::hash(refresh.expose());
        let mut tx = self.db.auth_tx().await?;
        let found = store::find_refresh(&mut tx, &hash).await?.ok_or(LoginError::Over)?;
        if carrier.is_forgeable(found.csrf_hash.as_deref()) {
            return Err(LoginError::Over);
        }
        let actor = actor_of(&found.login, origin);
        if !store::use_refresh(&mut tx, found.login.tenant, &hash, now).await? {
            store::end(&mut tx, found.login.tenant, found.id).await?;
            db::enter(&mut tx, actor.tenant).await?;
            record(&mut tx, &actor, "login.refresh-token-reused", found.id).await?;
            tx.commit().await.map_err(StoreError::from)?;
            tracing::warn!(login = %found.id, "a used refresh token was shown: the login is over");
            return Err(LoginError::Over);
        }
        if !found.login.is_open() || found.expires_at <= now || found.ends_at <= now {
            return Err(LoginError::Over);
        }
        store::end_tokens(&mut tx, actor.tenant, found.id).await?;
        let operator = found.login.operator;
        let mut tokens = grant(&mut tx, &actor, operator.id, found.id, now).await?;
        store::used(&mut tx, actor.tenant, found.id, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tokens.csrf = None;
        Ok(LoggedIn { tokens, tenant: actor.tenant, operator })
    }

    /// One attempt more from there. It counts as failed until it has succeeded, so that many at
    /// once are many.
    pub(crate) fn admit(&self, ip: IpAddr, now: Timestamp) -> Result<(), LoginError> {
        let mut throttle = self.throttle();
        if let Some(seconds) = throttle.wait(ip, now) {
            return Err(LoginError::TooMany { seconds });
        }
        throttle.failed(ip, now);
        Ok(())
    }

    /// Every change of it is one statement, so a panic in between leaves nothing half done.
    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds off every other attempt of this operator, and says if there were too many.
pub(crate) async fn is_locked(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let locked_until = known::lock(tx, tenant, operator).await?;
    Ok(locked_until.is_some_and(|until| now < until))
}

/// Counts a wrong password or code, and locks the login when it was one too many.
pub(crate) async fn fail(
    mut tx: Tx,
    tenant: TenantId,
    operator: OperatorId,
    now: Timestamp,
) -> Result<(), StoreError> {
    known::failed(&mut tx, tenant, operator, FAILURES_MAX, now + LOCK).await?;
    tx.commit().await?;
    Ok(())
}

/// The second factor was shown in this login.
pub(crate) async fn proven(
    tx: &mut Tx,
    tenant: TenantId,
    login: LoginId,
    now: Timestamp,
) -> Result<(), StoreError> {
    store::proven(tx, tenant, login, now).await
}

/// Ends all logins of somebody, but one if there is one to stay.
pub(crate) async fn end_all(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    but: Option<LoginId>,
) -> Result<u64, StoreError> {
    store::end_all(tx, tenant, operator, but).await
}

/// Somebody who has shown who they are: a login of their own, in the transaction that showed it.
pub(crate) async fn open(
    mut tx: Tx,
    actor: &Actor,
    operator: Operator,
    place: &Place,
    proven_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<LoggedIn, StoreError> {
    db::enter_auth(&mut tx).await?;
    let id = LoginId::from_uuid(Uuid::now_v7());
    let csrf = place.browser.then(|| Secret::new(token::random()));
    let login = store::NewLogin {
        id,
        operator: operator.id,
        csrf_hash: csrf.as_ref().map(|csrf| token::hash(csrf.expose())),
        program: &place.program,
        proven_at,
        ends_at: now + LOGIN_LIFE,
    };
    store::sweep(&mut tx, actor.tenant, operator.id, now).await?;
    store::insert(&mut tx, actor, &login, now).await?;
    let mut tokens = grant(&mut tx, actor, operator.id, id, now).await?;
    tokens.csrf = csrf;
    db::enter(&mut tx, actor.tenant).await?;
    record(&mut tx, actor, "operator.login", id).await?;
    tx.commit().await?;
    Ok(LoggedIn { tokens, tenant: actor.tenant, operator })
}

async fn grant(
    tx: &mut Tx,
    actor: &Actor,
    operator: OperatorId,
    login: LoginId,
    now: Timestamp,
) -> Result<Tokens, StoreError> {
    let (token, refresh) = (token::random(), token::random());
    let expires_at = now + TOKEN_LIFE;
    let (token_hash, refresh_hash) = (token::hash(&token), token::hash(&refresh));
    store::insert_token(tx, actor, operator, login, &token_hash, now, expires_at).await?;
    store::insert_refresh(tx, actor.tenant, login, &refresh_hash, now, now + REFRESH_LIFE).await?;
    let (token, refresh) = (Secret::new(token), Secret::new(refresh));
    Ok(Tokens { token, expires_at, refresh, csrf: None })
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    login: LoginId,
) -> Result<(), StoreError> {
    let operator = actor.operator.map(|operator| operator.to_string());
    let entry = audit::Entry {
        action,
        object_kind: "operator",
        object_id: operator.unwrap_or_default(),
        before: None,
        after: Some(json!({ "login": login })),
    };
    audit::record(tx, actor, entry).await
}

fn actor_of(login: &known::Known, origin: Origin) -> Actor {
    Actor::staff(login.tenant, login.operator.role, login.operator.id, None, origin)
}

/// When a refusal is told: at the end of a slice of time, whatever the work was. An imported hash
/// takes longer than ours, and of somebody unknown no failure is written down.
fn answer_at(began: Instant, now: Instant) -> Instant {
    let slices = now.duration_since(began).as_nanos() / SLICE.as_nanos() + 1;
    began + SLICE * u32::try_from(slices).unwrap_or(u32::MAX)
}

/// Longer than a password takes to be checked on a slow machine.
const SLICE: Duration = Duration::from_millis(500);
/// Short, because it goes over the wire all the time.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// A login that nobody uses for so long is over.
const REFRESH_LIFE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Then the password is asked for again.
const LOGIN_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Wrong passwords or codes in a row until a login is locked.
const FAILURES_MAX: i32 = 10;
const LOCK: SignedDuration = SignedDuration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_whole_slices() {
        let began = Instant::now();
        let told = |millis| answer_at(began, began + Duration::from_millis(millis)) - began;
        for millis in [0, 20, 300, 499] {
            assert_eq!(told(millis), SLICE, "{millis}");
        }
        assert_eq!(told(501), SLICE * 2);
    }
}
