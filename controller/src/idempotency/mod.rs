//! Requests that may be sent twice and have their effect once.
//!
//! The key is written in the transaction of the effect: both are there, or neither. A second
//! request with the same key waits for the first and is given what that one made.

mod store;

use jiff::SignedDuration;
use shared::secret::Secret;
use uuid::Uuid;

use crate::{
    actor::Actor,
    clock,
    db::{StoreError, Tx},
    seal::{OpenError, Place, Seal},
};

/// The `Idempotency-Key` of a request, and a hash of the request that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub key: String,
    pub request_hash: [u8; 32],
}

/// What a claim found.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Nobody was here before. Make the object with the id of the claim.
    New,
    /// It was made already; with what the answer says only once, if there is such.
    Before { object: Uuid, once: Option<Secret> },
}

/// Something made now, or by the same request before.
#[derive(Clone, Debug)]
pub struct Made<T> {
    pub value: T,
    pub replayed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error("this Idempotency-Key was used for another request")]
    OtherRequest,
    #[error("the answer of the first request does not open")]
    Seal(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says that this request makes `object`. Without a key every request is new.
pub async fn claim(
    tx: &mut Tx,
    actor: &Actor,
    key: Option<&Key>,
    object: Uuid,
    once: Option<(&Seal, &Secret)>,
) -> Result<Claim, ClaimError> {
    let Some(key) = key else { return Ok(Claim::New) };
    let place =
        |row| Place { tenant: actor.tenant, table: "idempotency_key", row, column: "once_sealed" };
    let sealed = once.map(|(seal, secret)| seal.seal(&place(object), secret));
    let now = clock::now();
    store::forget(tx, actor, key, now - LIFE).await?;
    if store::insert(tx, actor, key, object, sealed.as_deref(), now).await? {
        return Ok(Claim::New);
    }
    let before = store::find(tx, actor, key).await?;
    if before.request_hash != key.request_hash {
        return Err(ClaimError::OtherRequest);
    }
    let once = match (once, before.once_sealed) {
        (Some((seal, _)), Some(sealed)) => Some(seal.open(&place(before.object_id), &sealed)?),
        (Some(_) | None, _) => None,
    };
    Ok(Claim::Before { object: before.object_id, once })
}

/// As [`claim`], where nothing is told only once: what was made before, if anything was.
pub async fn before(
    tx: &mut Tx,
    actor: &Actor,
    key: Option<&Key>,
    object: Uuid,
) -> Result<Option<Uuid>, ClaimError> {
    match claim(tx, actor, key, object, None).await? {
        Claim::New => Ok(None),
        Claim::Before { object, once: _ } => Ok(Some(object)),
    }
}

/// So long a request may be repeated.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
