//! What the tables know of one subscriber.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{EdgeId, SessionId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{
    Amount, Edge, Entitlement, Facts, Failure, Nas, Session, Subscription, Who, explain::LOOK_BACK,
};
use crate::db::{StoreError, Tx};

pub(super) async fn who(
    tx: &mut Tx,
    tenant: TenantId,
    who: &Who,
) -> Result<Option<SubscriberId>, StoreError> {
    let (id, search) = match who {
        Who::Id(id) => (Some(*id.as_uuid()), None),
        Who::Search(search) => (None, Some(search.as_str())),
    };
    let row = sqlx::query!(
        "SELECT id FROM subscriber s
          WHERE tenant_id = $1
            AND (id = $2 OR username = $3 OR account_no = $3
                 OR (msisdn = $3 AND status = 'active')
                 OR EXISTS (SELECT FROM subscriber_device d
                             WHERE d.tenant_id = $1 AND d.subscriber_id = s.id
                               AND d.mac = lower($3)))
          ORDER BY status, id LIMIT 1",
        tenant.as_uuid(),
        id,
        search,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| SubscriberId::from_uuid(row.id)))
}

pub(super) async fn facts(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.username, s.status, s.password_sealed IS NOT NULL AS "has_password!",
                  ARRAY (SELECT mac FROM subscriber_device d
                          WHERE d.tenant_id = $1 AND d.subscriber_id = $2 ORDER BY mac)
                    AS "devices!",
                  coalesce((SELECT balance_cents FROM ledger_account
                             WHERE tenant_id = $1 AND code = 'wallet:' || $2::uuid), 0) AS "wallet!",
                  coalesce((SELECT sum(total_cents - paid_cents - credited_cents) FROM invoice
                             WHERE tenant_id = $1 AND subscriber_id = $2 AND state = 'finalised'
                               AND due_on < $3::timestamptz::date), 0)::bigint AS "overdue!"
             FROM subscriber s WHERE s.tenant_id = $1 AND s.id = $2"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    let last = last(tx, tenant, subscriber).await?;
    let at_edge = last.as_ref().map(|(_, edge, _)| *edge);
    let (session, nas_name) = match last {
        Some((session, _, nas_name)) => (Some(session), nas_name),
        None => (None, None),
    };
    let failures = failures(tx, tenant, &row.username, &row.devices, now).await?;
    let nas_name = nas_name.or_else(|| failures.first().map(|one| one.nas_name.clone()));
    Ok(Facts {
        subscriber,
        subscription: subscription(tx, tenant, subscriber).await?,
        entitlement: entitlement(tx, tenant, subscriber, now).await?,
        last: session,
        edge: edge(tx, tenant, at_edge).await?,
        nas: match nas_name {
            Some(name) => nas(tx, tenant, &name).await?,
            None => None,
        },
        failures,
        effects: Vec::new(),
        username: row.username,
        status: row.status,
        has_password: row.has_password,
        devices: row.devices,
        wallet_cents: row.wallet,
        overdue_cents: row.overdue,
    })
}

async fn subscription(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<Subscription>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT n.state, p.code, n.desired_rev, n.applied_rev,
                  e.at AS "since?: SqlTimestamp", coalesce(e.reason, '') AS "reason!"
             FROM subscription n
             JOIN plan_version v ON v.tenant_id = $1 AND v.id = n.plan_version_id
             JOIN plan p ON p.tenant_id = $1 AND p.id = v.plan_id
             LEFT JOIN LATERAL (
               SELECT at, reason FROM subscription_event
                WHERE tenant_id = $1 AND subscription_id = n.id ORDER BY seq DESC LIMIT 1) e ON true
            WHERE n.tenant_id = $1 AND n.subscriber_id = $2
            ORDER BY n.state IN ('active', 'grace') DESC, n.id DESC LIMIT 1"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Subscription {
        state: row.state,
        plan: row.code,
        desired_rev: row.desired_rev,
        applied_rev: row.applied_rev,
        since: row.since.map(SqlTimestamp::to_jiff),
        reason: row.reason,
    }))
}

/// What is used now, or what is used up; if nothing is live, what was last.
async fn entitlement(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<Option<Entitlement>, StoreError> {
    let row = sqlx::query!(
        r#"WITH live AS MATERIALIZED (
             SELECT o.*, o.bytes_granted <= o.bytes_consumed
                         OR o.seconds_granted <= o.seconds_consumed AS used_up
               FROM entitlements_of($2, $3) WITH ORDINALITY o)
           SELECT p.code, upper(e.valid) AS "until!: SqlTimestamp", e.bytes_granted,
                  e.bytes_consumed, e.seconds_granted, e.seconds_consumed
             FROM entitlement e
             JOIN plan_version v ON v.tenant_id = $1 AND v.id = e.plan_version_id
             JOIN plan p ON p.tenant_id = $1 AND p.id = v.plan_id
             LEFT JOIN live l ON l.id = e.id
            WHERE e.tenant_id = $1 AND e.subscriber_id = $2 AND lower(e.valid) <= $3::timestamptz
            ORDER BY l.id IS NULL, l.used_up IS TRUE, l.ordinality, upper(e.valid) DESC, e.id LIMIT 1"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Entitlement {
        plan: row.code,
        until: row.until.to_jiff(),
        bytes: Amount { granted: row.bytes_granted, consumed: row.bytes_consumed },
        seconds: Amount { granted: row.seconds_granted, consumed: row.seconds_consumed },
    }))
}

/// The session that is live, or was last; where, and what its NAS is called.
async fn last(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<(Session, Uuid, Option<String>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, edge_id, nas_name, mac, started_at AS "started_at: SqlTimestamp",
                  stopped_at AS "stopped_at: SqlTimestamp", cause,
                  updated_at AS "updated_at: SqlTimestamp", down_bytes, up_bytes
             FROM session WHERE tenant_id = $1 AND subscriber_id = $2
            ORDER BY stopped_at IS NULL DESC, id DESC LIMIT 1"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| {
        let session = Session {
            id: SessionId::from_uuid(row.id),
            mac: row.mac,
            started_at: row.started_at.to_jiff(),
            stopped_at: row.stopped_at.map(SqlTimestamp::to_jiff),
            cause: row.cause,
            updated_at: row.updated_at.to_jiff(),
            down_bytes: row.down_bytes,
            up_bytes: row.up_bytes,
        };
        (session, row.edge_id, row.nas_name.filter(|name| !name.is_empty()))
    }))
}

/// This one, or the one that was heard last.
async fn edge(tx: &mut Tx, tenant: TenantId, id: Option<Uuid>) -> Result<Option<Edge>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, name, online, revoked, forked_at IS NOT NULL AS "forked!",
                  last_seen AS "last_seen: SqlTimestamp", desired_revision, applied_revision
             FROM edge WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2)
            ORDER BY online DESC, last_seen DESC NULLS LAST, id LIMIT 1"#,
        tenant.as_uuid(),
        id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Edge {
        id: EdgeId::from_uuid(row.id),
        name: row.name,
        online: row.online,
        revoked: row.revoked,
        forked: row.forked,
        last_seen: row.last_seen.map(SqlTimestamp::to_jiff),
        desired_revision: row.desired_revision,
        applied_revision: row.applied_revision,
    }))
}

async fn nas(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Option<Nas>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT n.name, n.disabled,
                  (SELECT count(*) FROM session s
                    WHERE s.tenant_id = $1 AND s.nas_id = n.id AND s.stopped_at IS NULL) AS "live!"
             FROM nas n WHERE n.tenant_id = $1 AND n.name = $2"#,
        tenant.as_uuid(),
        name,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Nas { name: row.name, disabled: row.disabled, live: row.live }))
}

/// Of the name and of the devices: a device logs in by its address.
async fn failures(
    tx: &mut Tx,
    tenant: TenantId,
    username: &str,
    devices: &[String],
    now: Timestamp,
) -> Result<Vec<Failure>, StoreError> {
    let since = now - LOOK_BACK;
    let rows = sqlx::query!(
        r#"SELECT reason, nas_name, count, last_at AS "last_at: SqlTimestamp"
             FROM auth_failure
            WHERE tenant_id = $1 AND (username = $2 OR lower(username) = ANY ($3))
              AND hour >= date_trunc('hour', $4::timestamptz)
            ORDER BY last_at DESC LIMIT 20"#,
        tenant.as_uuid(),
        username,
        devices,
        since.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let failure = rows.into_iter().map(|row| Failure {
        reason: row.reason,
        nas_name: row.nas_name,
        count: row.count,
        last_at: row.last_at.to_jiff(),
    });
    Ok(failure.collect())
}
