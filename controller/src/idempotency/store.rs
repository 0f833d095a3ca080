//! The table `idempotency_key`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;
use uuid::Uuid;

use super::Key;
use crate::{
    actor::Actor,
    db::{StoreError, Tx, exactly},
};

pub(super) struct Before {
    pub(super) request_hash: Vec<u8>,
    pub(super) object_id: Uuid,
    pub(super) once_sealed: Option<Vec<u8>>,
}

/// Whose it is, what for, what it makes, and what of that is told only once.
pub(super) struct Keyed<'a> {
    pub(super) actor: &'a Actor,
    pub(super) key: &'a Key,
    pub(super) object: Uuid,
    pub(super) once_sealed: Option<Vec<u8>>,
}

impl Keyed<'_> {
    /// Its actor and its key.
    pub(super) fn name(&self) -> (String, String) {
        (self.actor.name(), self.key.key.clone())
    }
}

/// Those that are older are free again.
pub(super) async fn forget(
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

/// Takes those that are free, and says which: actors and their keys. Waits for transactions that
/// are about to take one.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
    now: Timestamp,
) -> Result<BTreeSet<(String, String)>, StoreError> {
    let (actors, keys) = names(keyed);
    let taken = sqlx::query!(
        "INSERT INTO idempotency_key
           (tenant_id, actor, key, request_hash, object_id, once_sealed, created_at)
         SELECT $1, a.actor, a.key, a.hash, a.object, a.once, $7
           FROM unnest($2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::bytea[])
                  WITH ORDINALITY AS a (actor, key, hash, object, once, n)
          ORDER BY a.actor, a.key, a.n
         ON CONFLICT (tenant_id, actor, key) DO NOTHING
         RETURNING actor, key",
        tenant.as_uuid(),
        &actors,
        &keys,
        &keyed.iter().map(|one| one.key.request_hash.to_vec()).collect::<Vec<_>>(),
        &objects(keyed),
        keyed.iter().map(|one| one.once_sealed.clone()).collect::<Vec<_>>() as _,
        now.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(taken.into_iter().map(|row| (row.actor, row.key)).collect())
}

/// What is there of each, in their order.
pub(super) async fn find(
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
    exactly(keyed.len() as u64, found.len() as u64)?;
    Ok(found)
}

/// Those that were taken for these objects.
pub(super) async fn release(
    tx: &mut Tx,
    tenant: TenantId,
    keyed: &[Keyed<'_>],
) -> Result<(), StoreError> {
    let (actors, keys) = names(keyed);
    sqlx::query!(
        "DELETE FROM idempotency_key k
          USING unnest($2::text[], $3::text[], $4::uuid[]) AS a (actor, key, object)
          WHERE k.tenant_id = $1 AND k.actor = a.actor AND k.key = a.key AND k.object_id = a.object",
        tenant.as_uuid(),
        &actors,
        &keys,
        &objects(keyed),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn names(keyed: &[Keyed<'_>]) -> (Vec<String>, Vec<String>) {
    keyed.iter().map(Keyed::name).unzip()
}

fn objects(keyed: &[Keyed<'_>]) -> Vec<Uuid> {
    keyed.iter().map(|one| one.object).collect()
}
