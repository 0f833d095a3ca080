//! The table `message_report`, and what reports change in `message`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{MessageProviderId, TenantId};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use super::Stored;
use crate::db::{StoreError, Tx, one};

pub(super) async fn provider_of(
    pool: &PgPool,
    token_hash: &[u8; 32],
) -> Result<Option<(TenantId, MessageProviderId)>, StoreError> {
    let row = sqlx::query!(
        "SELECT tenant_id, id FROM message_provider WHERE token_hash = $1",
        token_hash.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (TenantId::from_uuid(row.tenant_id), MessageProviderId::from_uuid(row.id))))
}

pub(super) async fn insert(
    pool: &PgPool,
    tenant: TenantId,
    id: Uuid,
    provider: MessageProviderId,
    raw: &[u8],
    headers: &BTreeMap<String, String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO message_report (tenant_id, id, provider_id, raw, headers, received_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        id,
        provider.as_uuid(),
        raw,
        Json(headers) as _,
        now.to_sqlx() as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The oldest that is new, locked. Others pass by it.
///
/// A provider may report a message before what it called it is written down: as long as one is
/// being sent, reports wait a little.
pub(super) async fn take(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
) -> Result<Option<Stored>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, provider_id, raw, headers AS "headers: Json<BTreeMap<String, String>>",
                  received_at AS "received_at: jiff_sqlx::Timestamp"
             FROM message_report WHERE tenant_id = $1 AND state = 'new'
              AND (received_at < $2::timestamptz - interval '1 minute'
                   OR NOT EXISTS (SELECT FROM message
                                   WHERE tenant_id = $1 AND state = 'sending'))
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"#,
        tenant.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Stored {
        id: row.id,
        provider: MessageProviderId::from_uuid(row.provider_id),
        raw: row.raw,
        headers: row.headers.0,
        received_at: row.received_at.to_jiff(),
    }))
}

/// `said`: why it is set aside; none: it is applied.
pub(super) async fn done(
    tx: &mut Tx,
    tenant: TenantId,
    id: Uuid,
    said: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE message_report SET said = left($3, 1000),
                state = CASE WHEN $3::text IS NULL THEN 'applied' ELSE 'set_aside' END
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id,
        said,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn delivered(
    tx: &mut Tx,
    tenant: TenantId,
    provider: MessageProviderId,
    reference: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE message SET state = 'delivered', done_at = $4, said = NULL
          WHERE tenant_id = $1 AND provider_id = $2 AND reference = $3
            AND state IN ('sent', 'dead') AND sent_at IS NOT NULL",
        tenant.as_uuid(),
        provider.as_uuid(),
        reference,
        at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn failed(
    tx: &mut Tx,
    tenant: TenantId,
    provider: MessageProviderId,
    reference: &str,
    said: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE message SET state = 'dead', done_at = $4, said = left($5, 1000)
          WHERE tenant_id = $1 AND provider_id = $2 AND reference = $3 AND state = 'sent'",
        tenant.as_uuid(),
        provider.as_uuid(),
        reference,
        at.to_sqlx() as _,
        said,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
