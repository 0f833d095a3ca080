//! The table `message_provider`.

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{MessageProviderId, TenantId};
use sqlx::types::Json;
use uuid::Uuid;

use super::{MessageChannel, Provider, Setup};
use crate::{
    db::{Cell, StoreError, Tx},
    words::Name,
};

pub(super) struct Sealed {
    pub(super) secrets: Vec<u8>,
    pub(super) token: Vec<u8>,
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    provider: &Provider,
    sealed: &Sealed,
    token_hash: &[u8; 32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO message_provider (tenant_id, id, channel, name, setup, secrets_sealed,
           token_sealed, token_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant.as_uuid(),
        provider.id.as_uuid(),
        provider.channel.as_str(),
        Name::as_str(&provider.name),
        Json(&provider.setup) as _,
        sealed.secrets,
        sealed.token,
        token_hash.as_slice(),
        provider.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False: it is not at this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    provider: &Provider,
    secrets: &[u8],
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE message_provider
            SET name = $4, setup = $5, secrets_sealed = $6, active = $7, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        provider.id.as_uuid(),
        version,
        Name::as_str(&provider.name),
        Json(&provider.setup) as _,
        secrets,
        provider.active,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn sealed(
    tx: &mut Tx,
    tenant: TenantId,
    id: MessageProviderId,
) -> Result<Sealed, StoreError> {
    let sealed = sqlx::query_as!(
        Sealed,
        "SELECT secrets_sealed AS secrets, token_sealed AS token FROM message_provider
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(sealed)
}

pub(super) async fn active(
    tx: &mut Tx,
    tenant: TenantId,
    channel: MessageChannel,
) -> Result<Option<MessageProviderId>, StoreError> {
    let row = sqlx::query!(
        "SELECT id FROM message_provider WHERE tenant_id = $1 AND channel = $2 AND active",
        tenant.as_uuid(),
        channel.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| MessageProviderId::from_uuid(row.id)))
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    id: Option<MessageProviderId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Provider>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, channel, name, setup AS "setup: Json<Setup>", active, version,
                  created_at AS "created_at: SqlTimestamp"
             FROM message_provider
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id LIMIT $4"#,
        tenant.as_uuid(),
        after,
        id.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let providers = rows.into_iter().map(|row| {
        let cell = Cell { table: "message_provider", row: row.id };
        Ok(Provider {
            id: MessageProviderId::from_uuid(row.id),
            channel: cell.parse("channel", &row.channel)?,
            name: cell.parse("name", &row.name)?,
            setup: row.setup.0,
            active: row.active,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    });
    providers.collect()
}
