//! Requests that may be sent twice and have their effect once.
//!
//! The key is written in the transaction of the effect: both are there, or neither. A second
//! request with the same key waits for the first and is given what that one made.

mod store;

use jiff::{SignedDuration, Timestamp};
use shared::{id::TenantId, secret::Secret};
use uuid::Uuid;

use self::store::{Before, Keyed};
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
    let once_sealed = once.map(|(seal, secret)| seal.seal(&place(object), secret));
    let keyed = [Keyed { actor, key, object, once_sealed }];
    let Some(before) = take(tx, actor.tenant, &keyed, clock::now()).await?.pop().flatten() else {
        return Ok(Claim::New);
    };
    let object = before.made_for(key)?;
    let once = match (once, before.once_sealed) {
        (Some((seal, _)), Some(sealed)) => Some(seal.open(&place(object), &sealed)?),
        (Some(_) | None, _) => None,
    };
    Ok(Claim::Before { object, once })
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
    let mut before = take(tx, tenant, &keyed(asked), now).await?.into_iter();
    let answer = |one: &Asked<'_>| {
        let Some(key) = one.key else { return Ok(None) };
        let there = before.next().expect("there is an answer of each key");
        there.map(|before| before.made_for(key)).transpose()
    };
    Ok(asked.iter().map(answer).collect())
}

/// Takes the keys that are free; of the others, what their first request made.
async fn take(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
    now: Timestamp,
) -> Result<Vec<Option<Before>>, StoreError> {
    if keyed.is_empty() {
        return Ok(Vec::new());
    }
    store::forget(tx, tenant, keyed, now - LIFE).await?;
    let mut taken = store::insert(tx, tenant, keyed, now).await?;
    if taken.len() == keyed.len() {
        return Ok(keyed.iter().map(|_| None).collect());
    }
    let found = store::find(tx, tenant, keyed).await?;
    let before = |(one, found): (&Keyed<'_>, _)| (!taken.remove(&one.name())).then_some(found);
    Ok(keyed.iter().zip(found).map(before).collect())
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

fn keyed<'a>(asked: &[Asked<'a>]) -> Vec<Keyed<'a>> {
    let keyed = |one: &Asked<'a>| {
        Some(Keyed { actor: one.actor, key: one.key?, object: one.object, once_sealed: None })
    };
    asked.iter().filter_map(keyed).collect()
}

impl Before {
    /// What it made, if that was the request of this key.
    fn made_for(&self, key: &Key) -> Result<Uuid, ClaimError> {
        let same = self.request_hash == key.request_hash;
        same.then_some(self.object_id).ok_or(ClaimError::OtherRequest)
    }
}

/// So long a request may be repeated.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
