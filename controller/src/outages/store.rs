//! The tables `outage` and `outage_credit`, and the terms that get longer.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{EdgeId, OutageId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

use super::{Credit, How, NewOutage, Outage};
use crate::{
    billing::Cents,
    db::{Cell, StoreError, Tx},
};

/// What a subscription lost of a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) subscription: SubscriptionId,
    pub(super) subscriber: SubscriberId,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Of the whole term, and its net price.
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) net: Cents,
    pub(super) prepaid: bool,
    /// The term is the subscription's present one.
    pub(super) running: bool,
    /// None: it is not invoiced yet.
    pub(super) period: Option<Uuid>,
}

pub(super) async fn is_edge(
    tx: &mut Tx,
    tenant: TenantId,
    edge: EdgeId,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM edge WHERE tenant_id = $1 AND id = $2) AS "is!""#,
        tenant.as_uuid(),
        edge.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.is)
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: OutageId,
    new: &NewOutage,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO outage (tenant_id, id, scope_kind, scope_id, during, cause, attributable,
                             evidence_hash)
         VALUES ($1, $2, CASE WHEN $3::uuid IS NULL THEN 'tenant' ELSE 'edge' END,
                 coalesce($3, $1), tstzrange($4, $5), $6, $7, $8)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.edge.map(|edge| *edge.as_uuid()),
        new.start.to_sqlx() as _,
        new.end.to_sqlx() as _,
        new.cause.as_str(),
        new.attributable,
        new.evidence.as_slice(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The longest part of the outage that each subscription paid for, or will, and that was not made
/// good before. At one edge it is theirs who had a session there then, or until an hour before.
pub(super) async fn lost(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewOutage,
) -> Result<Vec<Lost>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH term AS (
             SELECT p.subscription_id, p.id AS period, p.during, p.net_cents, p.plan_version_id
               FROM subscription_period AS p
              WHERE p.tenant_id = $1 AND NOT p.given AND p.during && tstzrange($2, $3)
              UNION ALL
             SELECT s.id, NULL, tstzrange(s.term_start, s.term_end), v.price_cents, v.id
               FROM subscription AS s
               JOIN plan_version AS v ON v.tenant_id = s.tenant_id AND v.id = s.plan_version_id
              WHERE s.tenant_id = $1 AND v.billing = 'postpaid' AND s.state IN ('active', 'grace')
                AND tstzrange(s.term_start, s.term_end) && tstzrange($2, $3)),
           piece AS (
             SELECT DISTINCT ON (t.subscription_id) t.*, r AS lost
               FROM term AS t
              CROSS JOIN LATERAL unnest(
                tstzmultirange(t.during * tstzrange($2, $3))
                - coalesce((SELECT range_agg(c.lost) FROM outage_credit AS c
                             WHERE c.tenant_id = $1 AND c.subscription_id = t.subscription_id
                               AND c.lost && tstzrange($2, $3)), '{}')) AS r
              ORDER BY t.subscription_id, upper(r) - lower(r) DESC, r)
           SELECT s.id, s.subscriber_id, lower(x.lost) AS "from!: jiff_sqlx::Timestamp",
                  upper(x.lost) AS "to!: jiff_sqlx::Timestamp",
                  lower(x.during) AS "start!: jiff_sqlx::Timestamp",
                  upper(x.during) AS "end!: jiff_sqlx::Timestamp", x.net_cents AS "net!",
                  v.billing = 'prepaid' AS "prepaid!", x.period,
                  coalesce(s.term_end = upper(x.during) AND s.state IN ('active', 'grace'), false)
                    AS "running!"
             FROM piece AS x
             JOIN subscription AS s ON s.tenant_id = $1 AND s.id = x.subscription_id
             JOIN plan_version AS v ON v.tenant_id = $1 AND v.id = x.plan_version_id
            WHERE $4::uuid IS NULL
               OR EXISTS (SELECT FROM session AS one
                           WHERE one.tenant_id = $1 AND one.subscriber_id = s.subscriber_id
                             AND one.edge_id = $4 AND one.started_at < $3
                             AND (one.stopped_at IS NULL
                                  OR one.stopped_at > $2::timestamptz - interval '1 hour'))
            ORDER BY s.id
              FOR UPDATE OF s"#,
        tenant.as_uuid(),
        new.start.to_sqlx() as _,
        new.end.to_sqlx() as _,
        new.edge.map(|edge| *edge.as_uuid()),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lost {
            subscription: SubscriptionId::from_uuid(row.id),
            subscriber: SubscriberId::from_uuid(row.subscriber_id),
            from: row.from.to_jiff(),
            to: row.to.to_jiff(),
            start: row.start.to_jiff(),
            end: row.end.to_jiff(),
            net: Cents::new(row.net),
            prepaid: row.prepaid,
            running: row.running,
            period: row.period,
        })
        .collect())
}

pub(super) async fn insert_credits(
    tx: &mut Tx,
    tenant: TenantId,
    outage: OutageId,
    credits: &[Credit],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO outage_credit (tenant_id, outage_id, at, subscription_id, lost, cents, how)
         SELECT $1, $2, $3, subscription, tstzrange(s, e), cents, how
           FROM unnest($4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::text[])
             AS new (subscription, s, e, cents, how)",
        tenant.as_uuid(),
        outage.as_uuid(),
        now.to_sqlx() as _,
        credits.iter().map(|one| *one.lost.subscription.as_uuid()).collect::<Vec<_>>() as _,
        credits.iter().map(|one| one.lost.from.to_sqlx()).collect::<Vec<_>>() as _,
        credits.iter().map(|one| one.lost.to.to_sqlx()).collect::<Vec<_>>() as _,
        credits.iter().map(|one| one.cents.get()).collect::<Vec<_>>() as _,
        credits.iter().map(|one| one.how.as_str().to_owned()).collect::<Vec<_>>() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The terms end later by what was lost of them, and so do those that come after them.
pub(super) async fn extend(
    tx: &mut Tx,
    tenant: TenantId,
    credits: &[Credit],
) -> Result<(), StoreError> {
    let longer: Vec<_> = credits.iter().filter(|one| one.how == How::ExtendPeriod).collect();
    let periods: Vec<_> = longer.iter().filter_map(|one| one.lost.period).collect();
    let by: Vec<_> =
        longer.iter().map(|one| one.lost.from.duration_until(one.lost.to).as_micros()).collect();
    let by: Vec<_> = by.into_iter().map(|by| i64::try_from(by).unwrap_or(i64::MAX)).collect();
    sqlx::query!(
        "UPDATE subscription_period AS p
            SET during = tstzrange(lower(p.during),
                                   upper(p.during) + n.by * interval '1 microsecond')
           FROM unnest($2::uuid[], $3::bigint[]) AS n (id, by)
          WHERE p.tenant_id = $1 AND p.id = n.id",
        tenant.as_uuid(),
        periods as _,
        by.clone() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE subscription AS s
            SET term_end = s.term_end + n.by * interval '1 microsecond',
                bill_anchor = s.bill_anchor + n.by * interval '1 microsecond',
                due_at = s.due_at + n.by * interval '1 microsecond', version = s.version + 1
           FROM unnest($2::uuid[], $3::bigint[]) AS n (id, by)
          WHERE s.tenant_id = $1 AND s.id = n.id",
        tenant.as_uuid(),
        longer.iter().map(|one| *one.lost.subscription.as_uuid()).collect::<Vec<_>>() as _,
        by as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Newest first; or one.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<Uuid>,
) -> Result<Vec<Outage>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT o.id, o.scope_kind, o.scope_id, o.cause, o.attributable,
                  lower(o.during) AS "start!: jiff_sqlx::Timestamp",
                  upper(o.during) AS "end!: jiff_sqlx::Timestamp",
                  (SELECT count(*) FROM outage_credit AS c
                    WHERE c.tenant_id = o.tenant_id AND c.outage_id = o.id) AS "credits!"
             FROM outage AS o
            WHERE o.tenant_id = $1 AND ($2::uuid IS NULL OR o.id = $2)
            ORDER BY lower(o.during) DESC
            LIMIT 200"#,
        tenant.as_uuid(),
        one,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut outages = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "outage", row: row.id };
        outages.push(Outage {
            id: OutageId::from_uuid(row.id),
            edge: (row.scope_kind == "edge").then(|| EdgeId::from_uuid(row.scope_id)),
            start: row.start.to_jiff(),
            end: row.end.to_jiff(),
            cause: at.parse("cause", &row.cause)?,
            attributable: row.attributable,
            credits: row.credits,
        });
    }
    Ok(outages)
}
