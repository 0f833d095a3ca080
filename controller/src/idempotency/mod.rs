//! Requests that may be sent twice and have their effect once.
//!
//! The key is written in the transaction of the effect: both are there, or neither. A second
//! request with the same key waits for the first and is given what that one made.

mod store;

use jiff::{SignedDuration, Timestamp};
use shared::{id::TenantId, secret::Secret};
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

/// One of many requests, and what it makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) actor: &'a Actor,
    /// None: it is new.
    pub(crate) key: Option<&'a Key>,
    pub(crate) object: Uuid,
}

/// As [`before`], of many of one tenant at once, in their order. Of two with the same key the first
/// makes it.
pub(crate) async fn before_all(
    tx: &mut Tx,
    tenant: TenantId,
    asked: &[Asked<'_>],
    now: Timestamp,
) -> Result<Vec<Result<Option<Uuid>, ClaimError>>, StoreError> {
    let keyed = keyed(asked);
    if keyed.is_empty() {
        return Ok(asked.iter().map(|_| Ok(None)).collect());
    }
    store::forget_all(tx, tenant, &keyed, now - LIFE).await?;
    store::insert_all(tx, tenant, &keyed, now).await?;
    let mut found = store::find_all(tx, tenant, &keyed).await?.into_iter();
    let answer = |one: &Asked<'_>| {
        let Some(key) = one.key else { return Ok(None) };
        let there = found.next().expect("there is a row of each key");
        if there.object_id == one.object {
            Ok(None)
        } else if there.request_hash == key.request_hash {
            Ok(Some(there.object_id))
        } else {
            Err(ClaimError::OtherRequest)
        }
    };
    Ok(asked.iter().map(answer).collect())
}

/// Frees the keys of those that made nothing.
pub(crate) async fn release(
    tx: &mut Tx,
    tenant: TenantId,
    asked: &[Asked<'_>],
) -> Result<(), StoreError> {
    let keyed = keyed(asked);
    if keyed.is_empty() { Ok(()) } else { store::release(tx, tenant, &keyed).await }
}

fn keyed<'a>(asked: &[Asked<'a>]) -> Vec<(&'a Actor, &'a Key, Uuid)> {
    asked.iter().filter_map(|one| Some((one.actor, one.key?, one.object))).collect()
}

/// So long a request may be repeated.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
