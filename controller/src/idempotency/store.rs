//! The table `idempotency_key`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;
use uuid::Uuid;

use super::Key;
use crate::{
    actor::Actor,
    db::{StoreError, Tx},
};

pub(super) struct Before {
    pub(super) request_hash: Vec<u8>,
    pub(super) object_id: Uuid,
    pub(super) once_sealed: Option<Vec<u8>>,
}

/// False if the key is taken. Waits for a transaction that is about to take it.
pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    key: &Key,
    object: Uuid,
    once_sealed: Option<&[u8]>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO idempotency_key
           (tenant_id, actor, key, request_hash, object_id, once_sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, actor, key) DO NOTHING",
        actor.tenant.as_uuid(),
        actor.name(),
        key.key,
        key.request_hash.as_slice(),
        object,
        once_sealed,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A key that is older is free again.
pub(super) async fn forget(
    tx: &mut Tx,
    actor: &Actor,
    key: &Key,
    before: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM idempotency_key
          WHERE tenant_id = $1 AND actor = $2 AND key = $3 AND created_at < $4",
        actor.tenant.as_uuid(),
        actor.name(),
        key.key,
        before.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn find(tx: &mut Tx, actor: &Actor, key: &Key) -> Result<Before, StoreError> {
    let before = sqlx::query_as!(
        Before,
        "SELECT request_hash, object_id, once_sealed
           FROM idempotency_key
          WHERE tenant_id = $1 AND actor = $2 AND key = $3",
        actor.tenant.as_uuid(),
        actor.name(),
        key.key,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(before)
}

/// Whose it is, what for, and what it makes.
type Keyed<'a> = (&'a Actor, &'a Key, Uuid);

/// Those that are older are free again.
pub(super) async fn forget_all(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
    before: Timestamp,
) -> Result<(), StoreError> {
    let (actors, keys) = names(keyed);
    sqlx::query!(
        "DELETE FROM idempotency_key k
          USING unnest($2::text[], $3::text[]) AS a (actor, key)
          WHERE k.tenant_id = $1 AND k.actor = a.actor AND k.key = a.key AND k.created_at < $4",
        tenant.as_uuid(),
        &actors,
        &keys,
        before.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those that are not taken. Waits for transactions that are about to take one.
pub(super) async fn insert_all(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    let (actors, keys) = names(keyed);
    let hashes: Vec<_> = keyed.iter().map(|(_, key, _)| key.request_hash.to_vec()).collect();
    let objects: Vec<_> = keyed.iter().map(|(_, _, object)| *object).collect();
    sqlx::query!(
        "INSERT INTO idempotency_key (tenant_id, actor, key, request_hash, object_id, created_at)
         SELECT $1, a.actor, a.key, a.hash, a.object, $6
           FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[])
                  WITH ORDINALITY AS a (actor, key, hash, object, n)
          ORDER BY a.actor, a.key, a.n
         ON CONFLICT (tenant_id, actor, key) DO NOTHING",
        tenant.as_uuid(),
        &actors,
        &keys,
        &hashes,
        &objects,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What is there of each, in their order.
pub(super) async fn find_all(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
) -> Result<Vec<Before>, StoreError> {
    let (actors, keys) = names(keyed);
    let found = sqlx::query_as!(
        Before,
        "SELECT k.request_hash, k.object_id, k.once_sealed
           FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS a (actor, key, n)
           JOIN idempotency_key k
             ON k.tenant_id = $1 AND k.actor = a.actor AND k.key = a.key
          ORDER BY a.n",
        tenant.as_uuid(),
        &actors,
        &keys,
    )
    .fetch_all(&mut **tx)
    .await?;
    let (want, rows) = (keyed.len() as u64, found.len() as u64);
    if want == rows { Ok(found) } else { Err(StoreError::Rows { want, rows }) }
}

/// Those that were taken for these objects.
pub(super) async fn release(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
) -> Result<(), StoreError> {
    let (actors, keys) = names(keyed);
    let objects: Vec<_> = keyed.iter().map(|(_, _, object)| *object).collect();
    sqlx::query!(
        "DELETE FROM idempotency_key k
          USING unnest($2::text[], $3::text[], $4::uuid[]) AS a (actor, key, object)
          WHERE k.tenant_id = $1 AND k.actor = a.actor AND k.key = a.key AND k.object_id = a.object",
        tenant.as_uuid(),
        &actors,
        &keys,
        &objects,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn names(keyed: &[Keyed<'_>]) -> (Vec<String>, Vec<String>) {
    keyed.iter().map(|(actor, key, _)| (actor.name(), key.key.clone())).unzip()
}
