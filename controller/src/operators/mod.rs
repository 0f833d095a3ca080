//! Staff: who they are and what they may do. How they log in is in [`crate::logins`].

pub mod http;
mod password;
mod role;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{OperatorId, TenantId};
use uuid::Uuid;

pub use self::{
    password::{HashError, Hasher},
    role::Role,
};
use crate::{
    actor::{Actor, PLATFORM},
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    logins,
    words::{Email, Name, Passphrase},
};

#[derive(Clone, Debug)]
pub struct Operator {
    pub id: OperatorId,
    pub email: Email,
    pub name: Name,
    pub role: Role,
    pub disabled: bool,
    pub locked_until: Option<Timestamp>,
    pub last_login_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Operator {
    fn snapshot(&self) -> Value {
        json!({
            "email": self.email, "name": self.name, "role": self.role.as_str(),
            "disabled": self.disabled,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewOperator {
    pub email: Email,
    pub name: Name,
    pub role: Role,
    pub password: Passphrase,
}

/// What is absent stays. A new password unlocks the login and ends its sessions.
#[derive(Clone, Debug, Default)]
pub struct OperatorChange {
    pub name: Option<Name>,
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    pub password: Option<Passphrase>,
}

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("there is no such operator")]
    Unknown,
    #[error("somebody logs in with this address already")]
    EmailTaken,
    #[error("the platform's staff has the role `platform`, and nobody else has")]
    WrongRole,
    #[error("nobody takes away their own role or login: ask another owner")]
    Oneself,
    #[error("it was changed since")]
    Stale,
    #[error("the password could not be hashed")]
    Hash(#[from] HashError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Operators {
    db: Db,
    hasher: Hasher,
}

impl Operators {
    pub const fn new(db: Db, hasher: Hasher) -> Self {
        Self { db, hasher }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Operator>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: OperatorId) -> Result<Operator, OperatorError> {
        let mut tx = self.db.staff(actor).await?;
        store::find(&mut tx, actor.tenant, id).await?.ok_or(OperatorError::Unknown)
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewOperator,
    ) -> Result<Made<Operator>, OperatorError> {
        if (new.role == Role::Platform) != (actor.tenant == PLATFORM) {
            return Err(OperatorError::WrongRole);
        }
        let hash = self.hasher.hash(new.password.secret()).await?;
        let mut tx = self.db.staff(actor).await?;
        let id = OperatorId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            drop(tx);
            let value = self.find(actor, OperatorId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let value = insert(&mut tx, actor, id, new, &hash).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: OperatorId,
        version: i64,
        change: OperatorChange,
    ) -> Result<Operator, OperatorError> {
        let loses = change.role.is_some() || change.disabled == Some(true);
        if loses && actor.operator == Some(id) {
            return Err(OperatorError::Oneself);
        }
        let wrong = |role| (role == Role::Platform) != (actor.tenant == PLATFORM);
        if change.role.is_some_and(wrong) {
            return Err(OperatorError::WrongRole);
        }
        let hash = match &change.password {
            Some(password) => Some(self.hasher.hash(password.secret()).await?),
            None => None,
        };
        let mut tx = self.db.staff(actor).await?;
        let before = store::find(&mut tx, actor.tenant, id).await?;
        let before = before.ok_or(OperatorError::Unknown)?;
        let mut after = before.clone();
        after.name = change.name.unwrap_or(after.name);
        after.role = change.role.unwrap_or(after.role);
        after.disabled = change.disabled.unwrap_or(after.disabled);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(OperatorError::Stale);
        }
        after.version = version + 1;
        if let Some(hash) = &hash {
            store::set_password(&mut tx, actor.tenant, id, hash).await?;
            after.locked_until = None;
        }
        if hash.is_some() || after.disabled || after.role != before.role {
            logins::end_all(&mut tx, actor.tenant, id, None).await?;
        }
        let entry = audit::Entry {
            action: "operator.update",
            object_kind: "operator",
            object_id: id.to_string(),
            before: Some(before.snapshot()),
            after: Some(after.snapshot()),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}

pub(crate) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: OperatorId,
) -> Result<Operator, OperatorError> {
    store::find(tx, tenant, id).await?.ok_or(OperatorError::Unknown)
}

/// Unlocks the login, too.
pub(crate) async fn set_password(
    tx: &mut Tx,
    tenant: TenantId,
    id: OperatorId,
    hash: &str,
) -> Result<(), StoreError> {
    store::set_password(tx, tenant, id, hash).await
}

/// In a transaction of the actor's tenant.
pub(crate) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    id: OperatorId,
    new: NewOperator,
    hash: &str,
) -> Result<Operator, OperatorError> {
    let NewOperator { email, name, role, password: _ } = new;
    let operator = Operator {
        id,
        email,
        name,
        role,
        disabled: false,
        locked_until: None,
        last_login_at: None,
        version: 1,
        created_at: clock::now(),
    };
    let inserted = store::insert(tx, actor.tenant, &operator, hash).await;
    inserted.map_err(|error| match error.constraint() {
        Some("operator_email") => OperatorError::EmailTaken,
        Some(_) | None => error.into(),
    })?;
    let entry = audit::Entry {
        action: "operator.create",
        object_kind: "operator",
        object_id: id.to_string(),
        before: None,
        after: Some(operator.snapshot()),
    };
    audit::record(tx, actor, entry).await?;
    Ok(operator)
}
