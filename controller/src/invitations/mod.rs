//! Invitations: a link that is good once. Who has it joins the staff, or, if they are staff
//! already, chooses a new password. Only its hash is stored.

pub mod http;
mod store;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::{
    id::{InvitationId, OperatorId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

use crate::{
    actor::{Actor, PLATFORM},
    api_tokens, audit, clock,
    db::{self, Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    logins::{self, LoggedIn, LoginError, Logins, Origin, Place},
    messages,
    operators::{self, HashError, Hasher, NewOperator, Operator, OperatorError, Role},
    seal::Seal,
    token,
    words::{Email, Name, Passphrase},
};

#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: Email,
    pub role: Role,
    /// Who is to choose a new password; none: somebody who is to join.
    pub operator: Option<OperatorId>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
}

impl Invitation {
    fn new(email: Email, role: Role, operator: Option<OperatorId>, life: SignedDuration) -> Self {
        let id = InvitationId::from_uuid(Uuid::now_v7());
        let created_at = clock::now();
        let expires_at = created_at + life;
        Self { id, email, role, operator, created_at, expires_at, accepted_at: None }
    }

    fn snapshot(&self) -> Value {
        json!({ "email": self.email, "role": self.role.as_str(), "operator": self.operator })
    }
}

/// With what is told once; none: it was sent to who it is for.
pub type Told = (Invitation, Option<Secret>);

/// Who accepts.
#[derive(Clone, Debug)]
pub struct Newcomer {
    pub token: Secret,
    pub name: Name,
    pub password: Passphrase,
    pub place: Place,
}

#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    #[error("there is no such invitation")]
    Unknown,
    #[error("there is no such tenant")]
    NoSuchTenant,
    #[error("the tenant has an owner, who invites the others")]
    HasOwner,
    #[error("the link is not good, or not any more: ask for another")]
    NotGood,
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("the password could not be hashed")]
    Hash(#[from] HashError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Invitations {
    db: Db,
    hasher: Hasher,
    logins: Logins,
    seal: Seal,
    public_url: Arc<str>,
}

impl Invitations {
    /// `public_url`: where the pages are that links lead to.
    pub fn new(db: Db, hasher: Hasher, logins: Logins, seal: Seal, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').into();
        Self { db, hasher, logins, seal, public_url }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Invitation>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    /// Invites somebody to join the staff.
    pub async fn invite(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        email: Email,
        role: Role,
    ) -> Result<Made<Told>, InvitationError> {
        if (role == Role::Platform) != (actor.tenant == PLATFORM) {
            return Err(OperatorError::WrongRole.into());
        }
        let mut tx = self.db.staff(actor).await?;
        let new = Invitation::new(email, role, None, JOIN_LIFE);
        self.make(&mut tx, actor, key, new, "invitation.create").await?.commit(tx).await
    }

    /// Lets somebody of the staff choose a new password. Invitations of before that are theirs
    /// are withdrawn.
    pub async fn reset(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        operator: OperatorId,
    ) -> Result<Made<Told>, InvitationError> {
        let mut tx = self.db.staff(actor).await?;
        let known = operators::find(&mut tx, actor.tenant, operator).await?;
        let new = Invitation::new(known.email, known.role, Some(operator), RESET_LIFE);
        let made = self.make(&mut tx, actor, key, new, "operator.reset").await?;
        if let Outcome::Now(told) = &made {
            store::withdraw_others(&mut tx, actor.tenant, operator, told.0.id).await?;
        }
        made.commit(tx).await
    }

    /// The platform invites the first owner of a tenant; in the tenant's log, too.
    pub async fn invite_owner(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        tenant: TenantId,
        email: Email,
    ) -> Result<Made<Told>, InvitationError> {
        let mut tx = self.db.staff(actor).await?;
        let new = Invitation::new(email, Role::Owner, None, JOIN_LIFE);
        let secret = Secret::new(token::random());
        let once = Some((&self.seal, &secret));
        let mailed = messages::carries_mail(&mut tx, actor.tenant).await?;
        let once = once.filter(|_| !mailed);
        let claim = idempotency::claim(&mut tx, actor, key, *new.id.as_uuid(), once).await?;
        if mailed && matches!(claim, Claim::New) {
            self.mail(&mut tx, actor.tenant, &new, &secret).await?;
        }
        db::enter_auth(&mut tx).await?;
        if let Claim::Before { object, once } = claim {
            let found = store::find(&mut tx, tenant, InvitationId::from_uuid(object)).await?;
            let value = (found.ok_or(InvitationError::Unknown)?, once);
            return Ok(Made { value, replayed: true });
        }
        if store::has_owner(&mut tx, tenant).await? {
            return Err(InvitationError::HasOwner);
        }
        let inserted = store::insert(&mut tx, tenant, &new, &token::hash(secret.expose())).await;
        inserted.map_err(|error| {
            if error.is_dangling() { InvitationError::NoSuchTenant } else { error.into() }
        })?;
        for log in [actor.tenant, tenant] {
            db::enter(&mut tx, log).await?;
            let actor = Actor { tenant: log, ..actor.clone() };
            record(&mut tx, &actor, "tenant.invite-owner", &new).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: (new, (!mailed).then_some(secret)), replayed: false })
    }

    /// Nobody can accept it any more.
    pub async fn withdraw(&self, actor: &Actor, id: InvitationId) -> Result<(), InvitationError> {
        let mut tx = self.db.staff(actor).await?;
        let found = store::find(&mut tx, actor.tenant, id).await?;
        let found = found.filter(|found| found.accepted_at.is_none());
        let found = found.ok_or(InvitationError::Unknown)?;
        store::withdraw(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "invitation.withdraw", &found).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Joins the staff, and logs in.
    pub async fn accept(&self, new: Newcomer, origin: Origin) -> Result<LoggedIn, InvitationError> {
        let (place, now) = (new.place.clone(), clock::now());
        let (tx, actor, operator) = self.let_in(new, origin, now).await?;
        Ok(logins::open(tx, &actor, operator, &place, None, now).await?)
    }

    /// Joins the staff, and logs in later.
    pub async fn join(&self, new: Newcomer, origin: Origin) -> Result<(), InvitationError> {
        let (tx, _, _) = self.let_in(new, origin, clock::now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn let_in(
        &self,
        new: Newcomer,
        origin: Origin,
        now: Timestamp,
    ) -> Result<(Tx, Actor, Operator), InvitationError> {
        let hash = self.look(&new.token, false, &new.password, origin, now).await?;
        let mut tx = self.db.auth_tx().await?;
        let token_hash = token::hash(new.token.expose());
        let (tenant, invitation) = store::accept(&mut tx, &token_hash, now)
            .await?
            .filter(|(_, invitation)| invitation.operator.is_none())
            .ok_or(InvitationError::NotGood)?;
        db::enter(&mut tx, tenant).await?;
        let id = OperatorId::from_uuid(Uuid::now_v7());
        let Invitation { email, role, .. } = invitation;
        let actor = Actor::staff(tenant, role, id, None, origin);
        let operator = NewOperator { email, name: new.name, role, password: new.password };
        let operator = operators::insert(&mut tx, &actor, id, operator, &hash).await?;
        self.logins.throttle().succeeded(origin.ip);
        Ok((tx, actor, operator))
    }

    /// Chooses a new password. All logins and tokens of the operator end; who knows the new
    /// password logs in, with the second factor if there is one.
    pub async fn choose(
        &self,
        token: &Secret,
        password: &Passphrase,
        origin: Origin,
    ) -> Result<(), InvitationError> {
        let now = clock::now();
        let hash = self.look(token, true, password, origin, now).await?;
        let mut tx = self.db.auth_tx().await?;
        let found = store::accept(&mut tx, &token::hash(token.expose()), now).await?;
        let (tenant, invitation) = found.ok_or(InvitationError::NotGood)?;
        let operator = invitation.operator.ok_or(InvitationError::NotGood)?;
        db::enter(&mut tx, tenant).await?;
        let actor = Actor::staff(tenant, invitation.role, operator, None, origin);
        operators::set_password(&mut tx, tenant, operator, &hash).await?;
        logins::end_all(&mut tx, tenant, operator, None).await?;
        api_tokens::revoke_all(&mut tx, &actor, operator).await?;
        record(&mut tx, &actor, "operator.choose-password", &invitation).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.logins.throttle().succeeded(origin.ip);
        Ok(())
    }

    /// Hashes the password, if the link is good: anybody may ask, as often as they like.
    async fn look(
        &self,
        token: &Secret,
        of_staff: bool,
        password: &Passphrase,
        origin: Origin,
        now: Timestamp,
    ) -> Result<String, InvitationError> {
        self.logins.admit(origin.ip, now)?;
        let mut tx = self.db.auth_tx().await?;
        let found = store::look(&mut tx, &token::hash(token.expose()), now).await?;
        drop(tx);
        if found.is_none_or(|(_, invitation)| invitation.operator.is_some() != of_staff) {
            return Err(InvitationError::NotGood);
        }
        Ok(self.hasher.hash(password.secret()).await?)
    }

    async fn make(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        key: Option<&Key>,
        new: Invitation,
        action: &'static str,
    ) -> Result<Outcome, InvitationError> {
        let secret = Secret::new(token::random());
        let mailed = messages::carries_mail(tx, actor.tenant).await?;
        let once = (!mailed).then_some((&self.seal, &secret));
        if let Claim::Before { object, once } =
            idempotency::claim(tx, actor, key, *new.id.as_uuid(), once).await?
        {
            let found = store::find(tx, actor.tenant, InvitationId::from_uuid(object)).await?;
            return Ok(Outcome::Before((found.ok_or(InvitationError::Unknown)?, once)));
        }
        store::insert(tx, actor.tenant, &new, &token::hash(secret.expose())).await?;
        record(tx, actor, action, &new).await?;
        if mailed {
            self.mail(tx, actor.tenant, &new, &secret).await?;
        }
        Ok(Outcome::Now((new, (!mailed).then_some(secret))))
    }

    /// Nobody but who it is for sees the link.
    async fn mail(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        new: &Invitation,
        token: &Secret,
    ) -> Result<(), StoreError> {
        let (kind, page) = match new.operator {
            None => (messages::Kind::Invitation, "accept"),
            Some(_) => (messages::Kind::Reset, "reset"),
        };
        // What is behind the # is in nobody's log.
        let link = format!("{}/console/{page}#{}", self.public_url, token.expose());
        let letter = messages::Link {
            kind,
            to: &new.email,
            key: *new.id.as_uuid(),
            secret: &Secret::new(link),
            until: new.expires_at,
        };
        messages::mail_link(tx, &self.seal, tenant, &letter).await
    }
}

enum Outcome {
    Now(Told),
    Before(Told),
}

impl Outcome {
    async fn commit(self, tx: Tx) -> Result<Made<Told>, InvitationError> {
        tx.commit().await.map_err(StoreError::from)?;
        Ok(match self {
            Self::Now(value) => Made { value, replayed: false },
            Self::Before(value) => Made { value, replayed: true },
        })
    }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    invitation: &Invitation,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "invitation",
        object_id: invitation.id.to_string(),
        before: None,
        after: Some(invitation.snapshot()),
    };
    audit::record(tx, actor, entry).await
}

const JOIN_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
const RESET_LIFE: SignedDuration = SignedDuration::from_hours(1);
