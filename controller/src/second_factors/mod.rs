//! Second factors: codes of an authenticator, and codes for who lost it.
//!
//! A code is good once. The secret is sealed, recovery codes are stored as marks; a wrong code
//! counts as a wrong password does.

mod code;
pub mod http;
mod store;

use jiff::Timestamp;
use shared::{
    id::{LoginId, OperatorId, TenantId},
    secret::Secret,
};

use self::code::{Shared, Typed};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    logins,
    operators::{self, OperatorError},
    seal::{OpenError, Place, Seal},
};

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct SecondFactors {
    db: Db,
    seal: Seal,
}

/// What an authenticator is told, once.
#[derive(Clone, Debug)]
pub struct Begun {
    pub secret: Secret,
    /// `otpauth://…`, to be shown as a QR code.
    pub url: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("the code is wrong, or was used already")]
    Wrong,
    #[error("too many wrong codes or passwords: wait a quarter of an hour")]
    Locked,
    #[error("there is no second factor")]
    NotSetUp,
    #[error(transparent)]
    Seal(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    #[error("there is a second factor already: remove it first")]
    AlreadyThere,
    #[error("there is nothing to confirm: begin first")]
    NotBegun,
    #[error("your role needs a second factor")]
    Needed,
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Who = (TenantId, OperatorId);

impl SecondFactors {
    pub const fn new(db: Db, seal: Seal) -> Self {
        Self { db, seal }
    }

    /// A new secret. It counts when a code of it has confirmed that it arrived.
    pub async fn begin(&self, actor: &Actor) -> Result<Begun, FactorError> {
        let (who, account) = self.oneself(actor).await?;
        let shared = Shared::new(random(), &account);
        let sealed = self.seal.seal(&place(who), &shared.text());
        let mut tx = self.db.staff(actor).await?;
        if !store::begin(&mut tx, who, &sealed, clock::now()).await? {
            return Err(FactorError::AlreadyThere);
        }
        record(&mut tx, actor, who, "second-factor.begin").await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Begun { secret: shared.text(), url: shared.url() })
    }

    /// With a code of the new secret. From now on a login needs one; the answer is the recovery
    /// codes. This login has shown it.
    pub async fn confirm(
        &self,
        actor: &Actor,
        login: LoginId,
        code: &Secret,
    ) -> Result<Vec<Secret>, FactorError> {
        let now = clock::now();
        let (who, _) = self.oneself(actor).await?;
        let mut tx = self.db.staff(actor).await?;
        if logins::is_locked(&mut tx, who.0, who.1, now).await? {
            return Err(CodeError::Locked.into());
        }
        let factor = store::find(&mut tx, who).await?.ok_or(FactorError::NotBegun)?;
        if factor.confirmed {
            return Err(FactorError::AlreadyThere);
        }
        let fits = digits_fit(&mut tx, &self.seal, who, &factor, &Typed::read(code), now).await?;
        if !fits {
            logins::fail(tx, who.0, who.1, now).await?;
            return Err(CodeError::Wrong.into());
        }
        store::confirm(&mut tx, who, now).await?;
        let codes = self.new_codes(&mut tx, who).await?;
        logins::proven(&mut tx, who.0, login, now).await?;
        record(&mut tx, actor, who, "second-factor.confirm").await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// New recovery codes; those of before are good for nothing.
    pub async fn renew_codes(
        &self,
        actor: &Actor,
        code: &Secret,
    ) -> Result<Vec<Secret>, FactorError> {
        let (who, _) = self.oneself(actor).await?;
        let tx = self.db.staff(actor).await?;
        let mut tx = demand(tx, &self.seal, who, code, clock::now()).await?;
        let codes = self.new_codes(&mut tx, who).await?;
        record(&mut tx, actor, who, "second-factor.renew-codes").await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// Removes one's own, with a code of it, if the role may do without.
    pub async fn remove(&self, actor: &Actor, code: &Secret) -> Result<(), FactorError> {
        let (who, _) = self.oneself(actor).await?;
        let tx = self.db.staff(actor).await?;
        let mut tx = demand(tx, &self.seal, who, code, clock::now()).await?;
        if store::is_needed(&mut tx, actor.tenant, actor.role).await? {
            return Err(FactorError::Needed);
        }
        store::remove(&mut tx, who).await?;
        record(&mut tx, actor, who, "second-factor.remove").await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// For a colleague who lost phone and codes. Ends their logins.
    pub async fn clear(&self, actor: &Actor, operator: OperatorId) -> Result<(), FactorError> {
        let who = (actor.tenant, operator);
        let mut tx = self.db.staff(actor).await?;
        operators::find(&mut tx, actor.tenant, operator).await?;
        if !store::remove(&mut tx, who).await? {
            return Err(CodeError::NotSetUp.into());
        }
        logins::end_all(&mut tx, actor.tenant, operator, None).await?;
        record(&mut tx, actor, who, "second-factor.clear").await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn oneself(&self, actor: &Actor) -> Result<(Who, String), FactorError> {
        let operator = actor.operator.ok_or(OperatorError::Unknown)?;
        let mut tx = self.db.staff(actor).await?;
        let found = operators::find(&mut tx, actor.tenant, operator).await?;
        Ok(((actor.tenant, operator), found.email.as_str().to_owned()))
    }

    async fn new_codes(&self, tx: &mut Tx, who: Who) -> Result<Vec<Secret>, StoreError> {
        let codes: Vec<_> = (0..CODES).map(|_| code::recovery(random())).collect();
        let marks = codes.iter().map(|code| mark(&self.seal, who, &Typed::read(code)).to_vec());
        store::replace_codes(tx, who, &marks.collect::<Vec<_>>()).await?;
        Ok(codes)
    }
}

/// Has this operator one that counts?
pub(crate) async fn is_confirmed(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
) -> Result<bool, StoreError> {
    Ok(store::find(tx, (tenant, operator)).await?.is_some_and(|factor| factor.confirmed))
}

/// Is this a code of the operator's, not used before? It is used up by that.
pub(crate) async fn accept(
    tx: &mut Tx,
    seal: &Seal,
    who: Who,
    code: &Secret,
    now: Timestamp,
) -> Result<bool, CodeError> {
    let factor = store::find(tx, who).await?.filter(|factor| factor.confirmed);
    let factor = factor.ok_or(CodeError::NotSetUp)?;
    let typed = Typed::read(code);
    match &typed {
        Typed::Digits(_) => digits_fit(tx, seal, who, &factor, &typed, now).await,
        Typed::Recovery(_) => Ok(store::use_code(tx, who, &mark(seal, who, &typed)).await?),
    }
}

/// As [`accept`], for somebody who is logged in: goes on with the transaction if it is one. A
/// wrong code is counted, and too many lock the login.
pub(crate) async fn demand(
    mut tx: Tx,
    seal: &Seal,
    who: Who,
    code: &Secret,
    now: Timestamp,
) -> Result<Tx, CodeError> {
    if logins::is_locked(&mut tx, who.0, who.1, now).await? {
        return Err(CodeError::Locked);
    }
    if accept(&mut tx, seal, who, code, now).await? {
        return Ok(tx);
    }
    logins::fail(tx, who.0, who.1, now).await?;
    Err(CodeError::Wrong)
}

async fn digits_fit(
    tx: &mut Tx,
    seal: &Seal,
    who: Who,
    factor: &store::Factor,
    typed: &Typed,
    now: Timestamp,
) -> Result<bool, CodeError> {
    let Typed::Digits(digits) = typed else { return Ok(false) };
    let secret = seal.open(&place(who), &factor.secret_sealed)?;
    let step = Shared::from_text(&secret, "-").and_then(|shared| shared.step(digits, now));
    match step {
        Some(step) => Ok(store::use_step(tx, who, step).await?),
        None => Ok(false),
    }
}

fn mark(seal: &Seal, who: Who, typed: &Typed) -> [u8; 32] {
    let (Typed::Digits(text) | Typed::Recovery(text)) = typed;
    seal.mark(who.0, "recovery code", &format!("{}|{text}", who.1))
}

fn place(who: Who) -> Place {
    let (tenant, row) = (who.0, *who.1.as_uuid());
    Place { tenant, table: "second_factor", row, column: "secret_sealed" }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    who: Who,
    action: &'static str,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "operator",
        object_id: who.1.to_string(),
        before: None,
        after: None,
    };
    audit::record(tx, actor, entry).await
}

const CODES: usize = 10;
