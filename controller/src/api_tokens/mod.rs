//! Tokens of programs: each acts for the operator who made it, with that operator's role, and
//! does no more than its scopes say.

pub mod http;
mod scope;
mod store;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::{
    id::{ApiTokenId, OperatorId},
    secret::Secret,
};
use uuid::Uuid;

pub use self::scope::{Scope, Scopes};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    logins::{By, Credential, Origin},
    seal::Seal,
    token,
    words::Name,
};

#[derive(Clone, Debug)]
pub struct ApiToken {
    pub id: ApiTokenId,
    pub name: Name,
    pub scopes: Scopes,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// To the minute.
    pub used_at: Option<Timestamp>,
}

impl ApiToken {
    fn snapshot(&self) -> Value {
        let scopes: Vec<_> = self.scopes.iter().collect();
        json!({ "name": self.name, "scopes": scopes, "expires_at": self.expires_at })
    }
}

#[derive(Clone, Debug)]
pub struct NewApiToken {
    pub name: Name,
    pub scopes: Scopes,
    pub days: u16,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiTokenError {
    #[error("there is no such token of yours")]
    Unknown,
    #[error("the command line needs no token")]
    Nobody,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct ApiTokens {
    db: Db,
    seal: Seal,
}

impl ApiTokens {
    pub const fn new(db: Db, seal: Seal) -> Self {
        Self { db, seal }
    }

    /// One's own.
    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<ApiToken>, ApiTokenError> {
        let operator = actor.operator.ok_or(ApiTokenError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        Ok(store::list(&mut tx, actor.tenant, operator, after, limit).await?)
    }

    /// With the token, which is told this once.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewApiToken,
    ) -> Result<Made<(ApiToken, Option<Secret>)>, ApiTokenError> {
        let operator = actor.operator.ok_or(ApiTokenError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        let id = ApiTokenId::from_uuid(Uuid::now_v7());
        let secret = Secret::new(format!("{PREFIX}{}", token::random()));
        let once = Some((&self.seal, &secret));
        if let Claim::Before { object, once } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), once).await?
        {
            let id = ApiTokenId::from_uuid(object);
            let value = store::find(&mut tx, actor.tenant, operator, id).await?;
            return Ok(Made {
                value: (value.ok_or(ApiTokenError::Unknown)?, once),
                replayed: true,
            });
        }
        let now = clock::now();
        let NewApiToken { name, scopes, days } = new;
        let expires_at = now + SignedDuration::from_hours(i64::from(days) * 24);
        let value = ApiToken { id, name, scopes, created_at: now, expires_at, used_at: None };
        let hash = token::hash(secret.expose());
        store::insert(&mut tx, actor.tenant, operator, &value, &hash).await?;
        record(&mut tx, actor, "api-token.create", id, Some(value.snapshot())).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: (value, Some(secret)), replayed: false })
    }

    /// From now on it is good for nothing.
    pub async fn revoke(&self, actor: &Actor, id: ApiTokenId) -> Result<(), ApiTokenError> {
        let operator = actor.operator.ok_or(ApiTokenError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        if !store::delete(&mut tx, actor.tenant, operator, id).await? {
            return Err(ApiTokenError::Unknown);
        }
        record(&mut tx, actor, "api-token.revoke", id, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Tokens of programs can be told from those of people, by us and by who searches for leaks.
pub(crate) fn is_one(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// For whom this token acts, if it is still good.
pub(crate) async fn identify(
    db: &Db,
    token_hash: &[u8; 32],
    origin: Origin,
    now: Timestamp,
) -> Result<Option<(Actor, Credential)>, StoreError> {
    let Some(found) = store::identify(&db.auth, token_hash, now).await? else {
        return Ok(None);
    };
    if found.used_at.is_none_or(|at| at + USED_EVERY <= now) {
        store::used(&db.auth, found.tenant, found.id, now).await?;
    }
    let actor = Actor::staff(found.tenant, found.role, found.operator, found.reseller, origin);
    Ok(Some((actor, Credential { by: By::Program(found.scopes), unfinished: found.unfinished })))
}

/// All of somebody's, as when the password was lost.
pub(crate) async fn revoke_all(
    tx: &mut Tx,
    actor: &Actor,
    operator: OperatorId,
) -> Result<(), StoreError> {
    store::delete_all(tx, actor.tenant, operator).await
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: ApiTokenId,
    after: Option<Value>,
) -> Result<(), StoreError> {
    let (object_kind, object_id) = ("api-token", id.to_string());
    let entry = audit::Entry { action, object_kind, object_id, before: None, after };
    audit::record(tx, actor, entry).await
}

const PREFIX: &str = "knt_";
/// A write for each request would be more work than the request.
const USED_EVERY: SignedDuration = SignedDuration::from_mins(1);
