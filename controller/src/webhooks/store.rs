//! The tables `webhook` and `webhook_delivery`. The database itself writes what is to be told.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use serde_json::Value;
use shared::id::{AuditId, TenantId, WebhookId};
use uuid::Uuid;

use super::{Delivery, DeliveryState, Pattern, Webhook};
use crate::db::{Cell, StoreError, Tx, one};

/// One that is to be told now, with everything that it says.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) webhook: WebhookId,
    pub(super) audit: AuditId,
    pub(super) url: String,
    pub(super) secret_sealed: Vec<u8>,
    /// With this one.
    pub(super) attempts: i32,
    pub(super) event: String,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) object_kind: String,
    pub(super) object_id: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    /// None: it was taken.
    pub(super) error: Option<String>,
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    id: Option<WebhookId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Webhook>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, url, events, active, version, created_at AS "created_at: SqlTimestamp"
             FROM webhook
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id LIMIT $4"#,
        tenant.as_uuid(),
        after,
        id.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let webhooks = rows.into_iter().map(|row| {
        let cell = Cell { table: "webhook", row: row.id };
        let events = row.events.iter().map(|event| cell.parse("events", event));
        Ok(Webhook {
            id: WebhookId::from_uuid(row.id),
            url: cell.parse("url", &row.url)?,
            events: events.collect::<Result<_, StoreError>>()?,
            active: row.active,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    });
    webhooks.collect()
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    webhook: &Webhook,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO webhook (tenant_id, id, url, events, secret_sealed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        webhook.id.as_uuid(),
        webhook.url.as_str(),
        &words(webhook),
        secret_sealed,
        webhook.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False: it is not at this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    webhook: &Webhook,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE webhook SET url = $3, events = $4, active = $5, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $6",
        tenant.as_uuid(),
        webhook.id.as_uuid(),
        webhook.url.as_str(),
        &words(webhook),
        webhook.active,
        version,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn deliveries(
    tx: &mut Tx,
    tenant: TenantId,
    webhook: WebhookId,
    state: Option<DeliveryState>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT audit_id, event, state, attempts, due_at AS "due_at: SqlTimestamp", status, error,
                  delivered_at AS "delivered_at: SqlTimestamp"
             FROM webhook_delivery
            WHERE tenant_id = $1 AND webhook_id = $2 AND audit_id > $3
              AND ($4::text IS NULL OR state = $4)
            ORDER BY audit_id LIMIT $5"#,
        tenant.as_uuid(),
        webhook.as_uuid(),
        after,
        state.map(DeliveryState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let deliveries = rows.into_iter().map(|row| {
        let cell = Cell { table: "webhook_delivery", row: row.audit_id };
        Ok(Delivery {
            id: AuditId::from_uuid(row.audit_id),
            event: row.event,
            state: cell.parse("state", &row.state)?,
            attempts: row.attempts,
            due_at: row.due_at.to_jiff(),
            status: row.status,
            error: row.error,
            delivered_at: row.delivered_at.map(SqlTimestamp::to_jiff),
        })
    });
    deliveries.collect()
}

pub(super) async fn replay(
    tx: &mut Tx,
    tenant: TenantId,
    webhook: WebhookId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE webhook_delivery SET state = 'waiting', attempts = 0, due_at = $3
          WHERE tenant_id = $1 AND webhook_id = $2 AND state = 'dead'",
        tenant.as_uuid(),
        webhook.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// What is due, taken until `until`: what another controller has taken is passed over.
pub(super) async fn take(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE webhook_delivery d SET attempts = d.attempts + 1, due_at = $3
             FROM (SELECT webhook_id, audit_id FROM webhook_delivery
                    WHERE tenant_id = $1 AND state = 'waiting' AND due_at <= $2
                    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) due,
                  webhook w, audit_log a
            WHERE d.tenant_id = $1 AND d.webhook_id = due.webhook_id AND d.audit_id = due.audit_id
              AND w.tenant_id = $1 AND w.id = d.webhook_id AND w.active
              AND a.tenant_id = $1 AND a.id = d.audit_id
            RETURNING d.webhook_id, d.audit_id, d.attempts, d.event, w.url, w.secret_sealed,
                      a.at AS "at: SqlTimestamp", a.actor, a.object_kind, a.object_id, a.before,
                      a.after"#,
        tenant.as_uuid(),
        now.to_sqlx() as _,
        until.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        webhook: WebhookId::from_uuid(row.webhook_id),
        audit: AuditId::from_uuid(row.audit_id),
        url: row.url,
        secret_sealed: row.secret_sealed,
        attempts: row.attempts,
        event: row.event,
        at: row.at.to_jiff(),
        actor: row.actor,
        object_kind: row.object_kind,
        object_id: row.object_id,
        before: row.before,
        after: row.after,
    });
    Ok(due.collect())
}

/// `next`: when it is tried again; none and an error: it is given up.
pub(super) async fn done(
    tx: &mut Tx,
    tenant: TenantId,
    due: &Due,
    outcome: &Outcome,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let taken = outcome.error.is_none();
    let state = match (taken, next) {
        (true, _) => DeliveryState::Delivered,
        (false, Some(_)) => DeliveryState::Waiting,
        (false, None) => DeliveryState::Dead,
    };
    let done = sqlx::query!(
        "UPDATE webhook_delivery
            SET state = $4, due_at = $5, status = $6, error = $7, delivered_at = $8
          WHERE tenant_id = $1 AND webhook_id = $2 AND audit_id = $3",
        tenant.as_uuid(),
        due.webhook.as_uuid(),
        due.audit.as_uuid(),
        state.as_str(),
        next.unwrap_or(now).to_sqlx() as _,
        outcome.status.map(i32::from),
        outcome.error,
        taken.then(|| now.to_sqlx()) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

fn words(webhook: &Webhook) -> Vec<String> {
    webhook.events.iter().map(Pattern::as_str).map(ToOwned::to_owned).collect()
}
