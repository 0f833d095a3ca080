//! The table `entitlement`, as far as it was given for nothing.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{EntitlementId, PlanVersionId, SubscriberId, TenantId};

use super::Start;
use crate::db::{Cell, StoreError, Tx};

/// Two courtesies for one subscriber come one after the other. False: there is nobody.
pub(super) async fn lock_subscriber(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        "SELECT id FROM subscriber
          WHERE tenant_id = $1 AND id = $2 AND status = 'active' FOR UPDATE",
        tenant.as_uuid(),
        subscriber.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// By a subscription, a voucher or a courtesy.
pub(super) async fn is_live(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM subscription
                           WHERE tenant_id = $1 AND subscriber_id = $2
                             AND state IN ('active', 'grace'))
               OR EXISTS (SELECT FROM entitlement
                           WHERE tenant_id = $1 AND subscriber_id = $2
                             AND source_kind NOT IN ('period', 'topup')
                             AND valid @> $3::timestamptz) AS "live!""#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.live)
}

/// Of the newest subscription, or else of what was given last.
pub(super) async fn last_plan(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<PlanVersionId>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(
             (SELECT plan_version_id FROM subscription
               WHERE tenant_id = $1 AND subscriber_id = $2 ORDER BY id DESC LIMIT 1),
             (SELECT plan_version_id FROM entitlement
               WHERE tenant_id = $1 AND subscriber_id = $2 ORDER BY id DESC LIMIT 1)) AS version"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.version.map(PlanVersionId::from_uuid))
}

pub(super) async fn insert(tx: &mut Tx, tenant: TenantId, start: &Start) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                                  plan_version_id, valid, bytes_granted)
         VALUES ($1, $2, $3, 'goodwill', $2, $4, tstzrange($5, $6), $7)",
        tenant.as_uuid(),
        start.id.as_uuid(),
        start.subscriber.as_uuid(),
        start.plan_version.as_uuid(),
        start.from.to_sqlx() as _,
        start.until.to_sqlx() as _,
        start.data_bytes.map(u64::cast_signed),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: EntitlementId,
) -> Result<Start, StoreError> {
    let row = sqlx::query!(
        r#"SELECT subscriber_id, plan_version_id, lower(valid) AS "start!: jiff_sqlx::Timestamp",
                  upper(valid) AS "end!: jiff_sqlx::Timestamp", bytes_granted
             FROM entitlement WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    let at = Cell { table: "entitlement", row: *id.as_uuid() };
    Ok(Start {
        id,
        subscriber: SubscriberId::from_uuid(row.subscriber_id),
        plan_version: PlanVersionId::from_uuid(row.plan_version_id),
        from: row.start.to_jiff(),
        until: row.end.to_jiff(),
        data_bytes: row.bytes_granted.map(|bytes| at.number("bytes_granted", bytes)).transpose()?,
    })
}
