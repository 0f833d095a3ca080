//! The tables `subscription` and `subscription_event`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{PlanVersionId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

use super::{Event, Filter, NewSubscription, State, Subscription};
use crate::db::{Cell, StoreError, Tx, one};

/// Is the subscriber active, and the plan on sale?
pub(super) async fn may_have(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
    plan_version: PlanVersionId,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM subscriber
                           WHERE tenant_id = $1 AND id = $2 AND status = 'active')
              AND EXISTS (SELECT FROM plan_version v
                            JOIN plan p ON p.tenant_id = v.tenant_id AND p.id = v.plan_id
                           WHERE v.tenant_id = $1 AND v.id = $3 AND NOT p.archived) AS "may!""#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        plan_version.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.may)
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
    new: &NewSubscription,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO subscription
           (tenant_id, id, subscriber_id, plan_version_id, auto_renew, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.subscriber.as_uuid(),
        new.plan_version.as_uuid(),
        new.auto_renew,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Nobody else changes it until the transaction ends.
pub(super) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM subscription WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Subscription>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, subscriber_id, plan_version_id, state, auto_renew, desired_rev, applied_rev,
                  version, bill_anchor AS "bill_anchor: jiff_sqlx::Timestamp",
                  term_start AS "term_start: jiff_sqlx::Timestamp",
                  term_end AS "term_end: jiff_sqlx::Timestamp", next_plan_version_id, walled,
                  lapsed_at IS NOT NULL AS "lapsed!",
                  promise_until AS "promise_until: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM subscription
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR subscriber_id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.subscriber.map(|subscriber| *subscriber.as_uuid()),
        filter.state.map(State::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Subscription::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
) -> Result<Option<Subscription>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, subscriber_id, plan_version_id, state, auto_renew, desired_rev, applied_rev,
                  version, bill_anchor AS "bill_anchor: jiff_sqlx::Timestamp",
                  term_start AS "term_start: jiff_sqlx::Timestamp",
                  term_end AS "term_end: jiff_sqlx::Timestamp", next_plan_version_id, walled,
                  lapsed_at IS NOT NULL AS "lapsed!",
                  promise_until AS "promise_until: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM subscription
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Subscription::try_from).transpose()
}

pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
    auto_renew: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE subscription SET auto_renew = $3, due_at = $4, version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        auto_renew,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The first activation is what bills are counted from. The reason goes into the event.
pub(super) async fn set_state(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
    state: State,
    now: Timestamp,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!("SELECT set_config('kennet.reason', $1, true)", reason)
        .fetch_one(&mut **tx)
        .await?;
    let done = sqlx::query!(
        "UPDATE subscription
            SET state = $3, version = version + 1, due_at = $4,
                walled = walled AND $3 = 'suspended',
                lapsed_at = CASE WHEN $3 = 'active' THEN NULL ELSE lapsed_at END,
                bill_anchor = CASE WHEN $3 = 'active' THEN coalesce(bill_anchor, $4)
                                   ELSE bill_anchor END
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        state.as_str(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn events(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriptionId,
) -> Result<Vec<Event>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        r#"SELECT seq, at AS "at: jiff_sqlx::Timestamp", from_state, to_state, reason
             FROM subscription_event
            WHERE tenant_id = $1 AND subscription_id = $2
            ORDER BY seq"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let at = Cell { table: "subscription_event", row: *id.as_uuid() };
    let event = |row: EventRow| {
        Ok(Event {
            seq: row.seq,
            at: row.at.to_jiff(),
            from: at.maybe("from_state", row.from_state.as_deref())?,
            to: at.parse("to_state", &row.to_state)?,
            reason: row.reason,
        })
    };
    rows.into_iter().map(event).collect()
}

struct EventRow {
    seq: i64,
    at: jiff_sqlx::Timestamp,
    from_state: Option<String>,
    to_state: String,
    reason: String,
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    subscriber_id: Uuid,
    plan_version_id: Uuid,
    state: String,
    auto_renew: bool,
    desired_rev: i64,
    applied_rev: i64,
    version: i64,
    bill_anchor: Option<jiff_sqlx::Timestamp>,
    term_start: Option<jiff_sqlx::Timestamp>,
    term_end: Option<jiff_sqlx::Timestamp>,
    next_plan_version_id: Option<Uuid>,
    walled: bool,
    lapsed: bool,
    promise_until: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Subscription {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "subscription", row: row.id };
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Self {
            id: SubscriptionId::from_uuid(row.id),
            subscriber: SubscriberId::from_uuid(row.subscriber_id),
            plan_version: PlanVersionId::from_uuid(row.plan_version_id),
            state: at.parse("state", &row.state)?,
            bill_anchor: time(row.bill_anchor),
            auto_renew: row.auto_renew,
            term: time(row.term_start).zip(time(row.term_end)),
            next_plan_version: row.next_plan_version_id.map(PlanVersionId::from_uuid),
            walled: row.walled,
            lapsed: row.lapsed,
            promise_until: time(row.promise_until),
            desired_rev: row.desired_rev,
            applied_rev: row.applied_rev,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
