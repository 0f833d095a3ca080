//! The tables `retention_policy` and `legal_hold`, and the function that deletes.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{LegalHoldId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{Hold, Policy, RetentionClass};
use crate::{
    db::{Cell, StoreError, Tx},
    words::Name,
};

/// Deletes at most so many, or counts all.
pub(super) async fn retain(
    tx: &mut Tx,
    class: RetentionClass,
    before: Timestamp,
    limit: i32,
    dry: bool,
) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        r#"SELECT retain($1, $2, $3, $4) AS "rows!""#,
        class.as_str(),
        before.to_sqlx() as _,
        limit,
        dry,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.rows)
}

pub(super) async fn policy(tx: &mut Tx, tenant: TenantId) -> Result<Option<Policy>, StoreError> {
    let row = sqlx::query!(
        "SELECT session_days, auth_days, message_days, webhook_days, callback_days, version
           FROM retention_policy WHERE tenant_id = $1",
        tenant.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cell = Cell { table: "retention_policy", row: *tenant.as_uuid() };
    let days = |column, days: i32| cell.number::<u16>(column, days.into());
    Ok(Some(Policy {
        sessions: days("session_days", row.session_days)?,
        auth: days("auth_days", row.auth_days)?,
        messages: days("message_days", row.message_days)?,
        webhooks: days("webhook_days", row.webhook_days)?,
        callbacks: days("callback_days", row.callback_days)?,
        version: row.version,
    }))
}

/// The new version; none: it is not at this one any more. 0 is what was never set.
pub(super) async fn set_policy(
    tx: &mut Tx,
    tenant: TenantId,
    version: i64,
    policy: &Policy,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO retention_policy AS p (tenant_id, session_days, auth_days, message_days,
           webhook_days, callback_days, version)
         SELECT $1, $2, $3, $4, $5, $6, 1
          WHERE $7 = coalesce((SELECT version FROM retention_policy WHERE tenant_id = $1), 0)
         ON CONFLICT (tenant_id) DO UPDATE
            SET session_days = $2, auth_days = $3, message_days = $4, webhook_days = $5,
                callback_days = $6, version = p.version + 1
          WHERE p.version = $7
         RETURNING version",
        tenant.as_uuid(),
        i32::from(policy.sessions),
        i32::from(policy.auth),
        i32::from(policy.messages),
        i32::from(policy.webhooks),
        i32::from(policy.callbacks),
        version,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.version))
}

/// One of them, or those after an id.
pub(super) async fn holds(
    tx: &mut Tx,
    tenant: TenantId,
    id: Option<LegalHoldId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, subscriber_id, reason, placed_by, placed_at AS "placed_at: SqlTimestamp",
                  lifted_by, lifted_at AS "lifted_at: SqlTimestamp"
             FROM legal_hold
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id LIMIT $4"#,
        tenant.as_uuid(),
        after,
        id.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let holds = rows.into_iter().map(|row| {
        let cell = Cell { table: "legal_hold", row: row.id };
        Ok(Hold {
            id: LegalHoldId::from_uuid(row.id),
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
            reason: cell.parse("reason", &row.reason)?,
            placed_by: row.placed_by,
            placed_at: row.placed_at.to_jiff(),
            lifted_by: row.lifted_by,
            lifted_at: row.lifted_at.map(SqlTimestamp::to_jiff),
        })
    });
    holds.collect()
}

pub(super) async fn insert_hold(
    tx: &mut Tx,
    tenant: TenantId,
    hold: &Hold,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO legal_hold (tenant_id, id, subscriber_id, reason, placed_by, placed_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        hold.id.as_uuid(),
        hold.subscriber.map(|id| *id.as_uuid()),
        Name::as_str(&hold.reason),
        hold.placed_by,
        hold.placed_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False: there is none, or it is lifted.
pub(super) async fn lift(
    tx: &mut Tx,
    tenant: TenantId,
    id: LegalHoldId,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE legal_hold SET lifted_by = $3, lifted_at = $4
          WHERE tenant_id = $1 AND id = $2 AND lifted_at IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        by,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
