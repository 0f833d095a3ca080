//! The rows that are watched: the newest of each topic, and of those only what a list shows.

use jiff_sqlx::ToSqlx as _;
use serde_json::json;
use shared::id::{
    EdgeId, LoginId, OperatorId, PaymentId, SessionId, SubscriberId, TenantId, TicketId,
};

use super::{Topic, feed::Rows};
use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError, Tx},
};

pub(super) async fn rows(tx: &mut Tx, tenant: TenantId, topic: Topic) -> Result<Rows, StoreError> {
    match topic {
        Topic::Edges => edges(tx, tenant).await,
        Topic::Payments => payments(tx, tenant).await,
        Topic::Sessions => sessions(tx, tenant).await,
        Topic::Tickets => tickets(tx, tenant).await,
    }
}

async fn edges(tx: &mut Tx, tenant: TenantId) -> Result<Rows, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, name, online, desired_revision, applied_revision
           FROM edge WHERE tenant_id = $1 AND NOT revoked
          ORDER BY id DESC LIMIT $2",
        tenant.as_uuid(),
        ROWS_MAX,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let id = EdgeId::from_uuid(row.id);
        let value = json!({
            "id": id, "name": row.name, "online": row.online,
            "desired_revision": row.desired_revision, "applied_revision": row.applied_revision,
        });
        (id.to_string(), value)
    });
    Ok(rows.collect())
}

async fn payments(tx: &mut Tx, tenant: TenantId) -> Result<Rows, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, provider, receipt, subscriber_id, amount_cents, allocated_cents, state
           FROM payment WHERE tenant_id = $1
          ORDER BY id DESC LIMIT $2",
        tenant.as_uuid(),
        ROWS_MAX,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let id = PaymentId::from_uuid(row.id);
        let value = json!({
            "id": id, "provider": row.provider, "receipt": row.receipt,
            "subscriber": row.subscriber_id.map(SubscriberId::from_uuid),
            "amount_cents": row.amount_cents, "allocated_cents": row.allocated_cents,
            "state": row.state,
        });
        (id.to_string(), value)
    });
    Ok(rows.collect())
}

async fn sessions(tx: &mut Tx, tenant: TenantId) -> Result<Rows, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, edge_id, subscriber_id, username, mac, down_bytes, up_bytes,
                  started_at AS "started_at: jiff_sqlx::Timestamp"
             FROM session WHERE tenant_id = $1 AND stopped_at IS NULL
            ORDER BY id DESC LIMIT $2"#,
        tenant.as_uuid(),
        ROWS_MAX,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let id = SessionId::from_uuid(row.id);
        let value = json!({
            "id": id, "edge": EdgeId::from_uuid(row.edge_id),
            "subscriber": row.subscriber_id.map(SubscriberId::from_uuid),
            "username": row.username, "mac": row.mac, "started_at": row.started_at.to_jiff(),
            "down_bytes": row.down_bytes, "up_bytes": row.up_bytes,
        });
        (id.to_string(), value)
    });
    Ok(rows.collect())
}

async fn tickets(tx: &mut Tx, tenant: TenantId) -> Result<Rows, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, reference, subject, priority, state, assigned_to
           FROM ticket WHERE tenant_id = $1 AND state NOT IN ('resolved', 'closed')
          ORDER BY id DESC LIMIT $2",
        tenant.as_uuid(),
        ROWS_MAX,
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let id = TicketId::from_uuid(row.id);
        let value = json!({
            "id": id, "reference": row.reference, "subject": row.subject,
            "priority": row.priority, "state": row.state,
            "assigned_to": row.assigned_to.map(OperatorId::from_uuid),
        });
        (id.to_string(), value)
    });
    Ok(rows.collect())
}

/// Is who watches still who they were when they began, and logged in?
pub(super) async fn may_go_on(
    db: &Db,
    actor: &Actor,
    login: Option<LoginId>,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (
             SELECT FROM operator o JOIN tenant t ON t.tenant_id = o.tenant_id
              WHERE o.tenant_id = $1 AND o.id = $2 AND o.role = $3 AND NOT o.disabled
                AND t.status = 'active'
                AND ($4::uuid IS NULL OR EXISTS (
                  SELECT FROM login l
                   WHERE l.tenant_id = $1 AND l.operator_id = $2 AND l.id = $4
                     AND l.ends_at > $5))) AS "may!""#,
        actor.tenant.as_uuid(),
        actor.operator.as_ref().map(OperatorId::as_uuid),
        actor.role.as_str(),
        login.as_ref().map(LoginId::as_uuid),
        clock::now().to_sqlx() as _,
    )
    .fetch_one(&db.auth)
    .await?;
    Ok(row.may)
}

/// What a screen shows. Who wants more reads the lists.
const ROWS_MAX: i64 = 500;
