//! The table `idempotency_key`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
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
