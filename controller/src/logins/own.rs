//! What somebody does with their own logins: sees and ends them, changes the password, shows the
//! second factor again.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::json;
use shared::{
    id::{LoginId, OperatorId},
    secret::Secret,
};

use super::{Logins, end_all, fail, is_locked, known, store};
use crate::{
    actor::Actor,
    audit, clock,
    db::{StoreError, Tx},
    logins::LoginError,
    operators,
    second_factors::{self, CodeError},
    words::{Note, Passphrase},
};

/// One place where somebody is logged in.
#[derive(Clone, Debug)]
pub struct Login {
    pub id: LoginId,
    /// What the program calls itself.
    pub program: Note,
    pub ip: Option<IpAddr>,
    pub created_at: Timestamp,
    /// When its tokens were renewed last.
    pub used_at: Timestamp,
    /// Then it is over, used or not.
    pub ends_at: Timestamp,
    /// When the second factor was shown last.
    pub proven_at: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("there is no such login of yours")]
    Unknown,
    #[error("the password is not the one you have, or the login is locked")]
    WrongPassword,
    #[error("the command line has no login")]
    Nobody,
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Logins {
    /// Oldest first. There are never many.
    pub async fn own(&self, actor: &Actor) -> Result<Vec<Login>, OwnError> {
        let operator = actor.operator.ok_or(OwnError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        Ok(store::list(&mut tx, actor.tenant, operator).await?)
    }

    /// Ends one login, with all of its tokens.
    pub async fn end(&self, actor: &Actor, login: LoginId) -> Result<(), OwnError> {
        let operator = actor.operator.ok_or(OwnError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        if !store::end_own(&mut tx, actor.tenant, operator, login).await? {
            return Err(OwnError::Unknown);
        }
        record(&mut tx, actor, operator, "login.end", Some(login)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Ends every login but this one.
    pub async fn end_others(&self, actor: &Actor, login: LoginId) -> Result<(), OwnError> {
        let operator = actor.operator.ok_or(OwnError::Nobody)?;
        let mut tx = self.db.staff(actor).await?;
        end_all(&mut tx, actor.tenant, operator, Some(login)).await?;
        record(&mut tx, actor, operator, "login.end-others", None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Another password for who knows the present one. Every other login ends.
    pub async fn change_password(
        &self,
        actor: &Actor,
        login: LoginId,
        present: &Secret,
        new: &Passphrase,
    ) -> Result<(), OwnError> {
        let operator = self.demand_password(actor, present).await?;
        let hash = self.hasher.hash(new.secret()).await.map_err(LoginError::from)?;
        let mut tx = self.db.staff(actor).await?;
        operators::set_password(&mut tx, actor.tenant, operator, &hash).await?;
        end_all(&mut tx, actor.tenant, operator, Some(login)).await?;
        record(&mut tx, actor, operator, "operator.change-password", None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Does who is logged in know the password? A wrong one is counted, as at a login. Says who it
    /// is.
    pub(crate) async fn demand_password(
        &self,
        actor: &Actor,
        present: &Secret,
    ) -> Result<OperatorId, OwnError> {
        let now = clock::now();
        let operator = actor.operator.ok_or(OwnError::Nobody)?;
        if let Some(ip) = actor.ip {
            self.admit(ip, now)?;
        }
        let known =
            known::find(&mut self.db.auth_tx().await?, known::By::Id(actor.tenant, operator))
                .await?;
        let known = known.ok_or(OwnError::Unknown)?;
        let hash = Some(known.password_hash.clone());
        let fits = self.hasher.verify(present, hash).await.map_err(LoginError::from)?;
        let mut tx = self.db.auth_tx().await?;
        let locked = is_locked(&mut tx, actor.tenant, operator, now).await?;
        if !fits {
            fail(tx, actor.tenant, operator, now).await?;
            return Err(OwnError::WrongPassword);
        }
        if locked {
            return Err(OwnError::WrongPassword);
        }
        if let Some(ip) = actor.ip {
            self.throttle().succeeded(ip);
        }
        Ok(operator)
    }

    /// Shows the second factor again, for what is dangerous.
    pub async fn prove(
        &self,
        actor: &Actor,
        login: LoginId,
        code: &Secret,
    ) -> Result<(), OwnError> {
        let now = clock::now();
        let operator = actor.operator.ok_or(OwnError::Nobody)?;
        let tx = self.db.staff(actor).await?;
        let who = (actor.tenant, operator);
        let mut tx = second_factors::demand(tx, &self.seal, who, code, now).await?;
        store::proven(&mut tx, actor.tenant, login, now).await?;
        record(&mut tx, actor, operator, "login.prove", Some(login)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    operator: OperatorId,
    action: &'static str,
    login: Option<LoginId>,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "operator",
        object_id: operator.to_string(),
        before: None,
        after: login.map(|login| json!({ "login": login })),
    };
    audit::record(tx, actor, entry).await
}
