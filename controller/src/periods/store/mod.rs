//! What billing reads: subscriptions that are due, with what there is to pay them.

pub(super) mod write;

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{PlanVersionId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

use super::{Period, PolicyRow};
use crate::{
    billing::Cents,
    db::{Cell, StoreError, Tx},
    subscriptions::{Policy, State},
};

/// A subscription as billing sees it.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) id: SubscriptionId,
    pub(super) subscriber: SubscriberId,
    pub(super) state: State,
    pub(super) auto_renew: bool,
    pub(super) version: PlanVersionId,
    pub(super) next_version: Option<PlanVersionId>,
    pub(super) anchor: Option<Timestamp>,
    pub(super) term: Option<(Timestamp, Timestamp)>,
    pub(super) term_no: u16,
    pub(super) lapsed_at: Option<Timestamp>,
    pub(super) walled: bool,
    pub(super) promise_until: Option<Timestamp>,
    pub(super) promised_term: Option<Timestamp>,
    pub(super) money_at: Option<Timestamp>,
    pub(super) wallet: Cents,
    /// Of the oldest invoice of the subscriber that is not paid.
    pub(super) owes_since: Option<Date>,
}

/// Money that came in is a reason to look at what it may pay for.
pub(super) async fn hear_of_money(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH came AS (DELETE FROM money_came WHERE tenant_id = $1 RETURNING subscriber_id, at)
         UPDATE subscription AS s
            SET money_at = greatest(s.money_at, c.at), due_at = least(s.due_at, $2)
           FROM (SELECT subscriber_id, max(at) AS at FROM came GROUP BY 1) AS c
          WHERE s.tenant_id = $1 AND s.subscriber_id = c.subscriber_id AND s.state <> 'cancelled'",
        tenant.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The first that are due, kept until the transaction ends; not those that somebody else has.
pub(super) async fn lock_due(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id FROM subscription
          WHERE tenant_id = $1 AND due_at <= $2
          ORDER BY due_at, id
          LIMIT $3
          FOR UPDATE SKIP LOCKED",
        tenant.as_uuid(),
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

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

/// When something is due next.
pub(super) async fn next_due(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT min(due_at) AS "due_at: jiff_sqlx::Timestamp"
             FROM subscription WHERE tenant_id = $1 AND due_at IS NOT NULL"#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.due_at.map(jiff_sqlx::Timestamp::to_jiff))
}

/// In the order of their ids.
pub(super) async fn read(
    tx: &mut Tx,
    tenant: TenantId,
    ids: &[Uuid],
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.subscriber_id, s.state, s.auto_renew, s.plan_version_id,
                  s.next_plan_version_id, s.bill_anchor AS "anchor: jiff_sqlx::Timestamp",
                  s.term_start AS "term_start: jiff_sqlx::Timestamp",
                  s.term_end AS "term_end: jiff_sqlx::Timestamp", s.term_no,
                  s.lapsed_at AS "lapsed_at: jiff_sqlx::Timestamp", s.walled,
                  s.promise_until AS "promise_until: jiff_sqlx::Timestamp",
                  s.promised_term AS "promised_term: jiff_sqlx::Timestamp",
                  s.money_at AS "money_at: jiff_sqlx::Timestamp",
                  coalesce(w.balance_cents, 0) AS "wallet!",
                  (SELECT min(i.due_on) FROM invoice AS i
                    WHERE i.tenant_id = s.tenant_id AND i.subscriber_id = s.subscriber_id
                      AND i.state = 'finalised'
                      AND i.paid_cents + i.credited_cents
                            < i.net_cents + i.excise_cents + i.vat_cents)
                    AS "owes_since: jiff_sqlx::Date"
             FROM subscription AS s
             LEFT JOIN ledger_account AS w
               ON w.tenant_id = s.tenant_id AND w.code = 'wallet:' || s.subscriber_id
            WHERE s.tenant_id = $1 AND s.id = ANY ($2)
            ORDER BY s.id"#,
        tenant.as_uuid(),
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "subscription", row: row.id };
        let time = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        due.push(Due {
            id: SubscriptionId::from_uuid(row.id),
            subscriber: SubscriberId::from_uuid(row.subscriber_id),
            state: at.parse("state", &row.state)?,
            auto_renew: row.auto_renew,
            version: PlanVersionId::from_uuid(row.plan_version_id),
            next_version: row.next_plan_version_id.map(PlanVersionId::from_uuid),
            anchor: time(row.anchor),
            term: time(row.term_start).zip(time(row.term_end)),
            term_no: at.number("term_no", row.term_no.into())?,
            lapsed_at: time(row.lapsed_at),
            walled: row.walled,
            promise_until: time(row.promise_until),
            promised_term: time(row.promised_term),
            money_at: time(row.money_at),
            wallet: Cents::new(row.wallet),
            owes_since: row.owes_since.map(jiff_sqlx::Date::to_jiff),
        });
    }
    Ok(due)
}

/// What subscriptions used of their terms, and of the terms before, as far as it is known now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) bytes: u64,
    /// The last period that was invoiced, what was used in it, and what of that is invoiced.
    pub(super) before: Option<(Uuid, u64, u64)>,
    /// What is given for outages of the term.
    pub(super) outages: Cents,
}

/// For outages of a term that is not invoiced yet.
pub(super) async fn outages(
    tx: &mut Tx,
    tenant: TenantId,
    subscription: SubscriptionId,
    (start, until): (Timestamp, Timestamp),
) -> Result<Cents, StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(cents), 0)::bigint AS "cents!" FROM outage_credit
            WHERE tenant_id = $1 AND subscription_id = $2 AND how = 'credit_note'
              AND lower(lost) >= $3 AND lower(lost) < $4"#,
        tenant.as_uuid(),
        subscription.as_uuid(),
        start.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Cents::new(row.cents))
}

pub(super) async fn used(
    tx: &mut Tx,
    tenant: TenantId,
    subscription: SubscriptionId,
    subscriber: SubscriberId,
    (start, until): (Timestamp, Timestamp),
) -> Result<Used, StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(u.down_bytes + u.up_bytes), 0)::bigint AS "bytes!"
             FROM session AS x
             JOIN usage AS u ON u.tenant_id = x.tenant_id AND u.session_id = x.id
            WHERE x.tenant_id = $1 AND x.subscriber_id = $2 AND x.subscription_id = $3
              AND u.at >= $4 AND u.at < $5"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        subscription.as_uuid(),
        start.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    let at = Cell { table: "usage", row: *subscription.as_uuid() };
    let bytes = at.number("down_bytes", row.bytes)?;
    let before = sqlx::query!(
        r#"SELECT p.id, p.rated_bytes,
                  (SELECT coalesce(sum(u.down_bytes + u.up_bytes), 0)::bigint
                     FROM session AS x
                     JOIN usage AS u ON u.tenant_id = x.tenant_id AND u.session_id = x.id
                    WHERE x.tenant_id = $1 AND x.subscriber_id = $2 AND x.subscription_id = $3
                      AND p.during @> u.at) AS "bytes!"
             FROM subscription_period AS p
            WHERE p.tenant_id = $1 AND p.subscription_id = $3 AND upper(p.during) <= $4
            ORDER BY lower(p.during) DESC
            LIMIT 1"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        subscription.as_uuid(),
        start.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let before = before
        .map(|row| {
            let bytes = at.number("down_bytes", row.bytes)?;
            Ok::<_, StoreError>((row.id, bytes, at.number("rated_bytes", row.rated_bytes)?))
        })
        .transpose()?;
    Ok(Used { bytes, before, ..Used::default() })
}

/// The period in which a moment lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) id: Uuid,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) net: Cents,
    /// Nothing was paid for it.
    pub(super) given: bool,
}

pub(super) async fn running(
    tx: &mut Tx,
    tenant: TenantId,
    subscription: SubscriptionId,
    now: Timestamp,
) -> Result<Option<Running>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, net_cents, given, lower(during) AS "start!: jiff_sqlx::Timestamp",
                  upper(during) AS "end!: jiff_sqlx::Timestamp"
             FROM subscription_period
            WHERE tenant_id = $1 AND subscription_id = $2 AND during @> $3::timestamptz"#,
        tenant.as_uuid(),
        subscription.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Running {
        id: row.id,
        start: row.start.to_jiff(),
        end: row.end.to_jiff(),
        net: Cents::new(row.net_cents),
        given: row.given,
    }))
}

/// Oldest first.
pub(super) async fn periods(
    tx: &mut Tx,
    tenant: TenantId,
    subscription: SubscriptionId,
) -> Result<Vec<Period>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT p.id, p.plan_version_id, p.net_cents, p.given,
                  lower(p.during) AS "start!: jiff_sqlx::Timestamp",
                  upper(p.during) AS "end!: jiff_sqlx::Timestamp",
                  (SELECT l.invoice_id FROM invoice_line AS l
                    WHERE l.tenant_id = p.tenant_id AND l.period_id = p.id
                      AND l.kind IN ('recurring', 'proration_charge') LIMIT 1) AS invoice_id
             FROM subscription_period AS p
            WHERE p.tenant_id = $1 AND p.subscription_id = $2
            ORDER BY lower(p.during)"#,
        tenant.as_uuid(),
        subscription.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Period {
            id: row.id,
            plan_version: PlanVersionId::from_uuid(row.plan_version_id),
            start: row.start.to_jiff(),
            end: row.end.to_jiff(),
            net: Cents::new(row.net_cents),
            given: row.given,
            invoice: row.invoice_id.map(shared::id::InvoiceId::from_uuid),
        })
        .collect())
}

/// Until when revenue is earned; from this midnight on if nothing was. Kept until the transaction
/// ends, so that a night does not pass over what is sold now.
pub(super) async fn recognised_until(
    tx: &mut Tx,
    tenant: TenantId,
    midnight: Timestamp,
) -> Result<Timestamp, StoreError> {
    loop {
        let row = sqlx::query!(
            r#"SELECT recognised_until AS "until: jiff_sqlx::Timestamp"
                 FROM books WHERE tenant_id = $1 FOR SHARE"#,
            tenant.as_uuid(),
        )
        .fetch_optional(&mut **tx)
        .await?;
        if let Some(row) = row {
            return Ok(row.until.to_jiff());
        }
        sqlx::query!(
            "INSERT INTO books (tenant_id, recognised_until) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            tenant.as_uuid(),
            midnight.to_sqlx() as _,
        )
        .execute(&mut **tx)
        .await?;
    }
}

/// The defaults, where the tenant has said nothing.
pub(super) async fn policy(tx: &mut Tx, tenant: TenantId) -> Result<PolicyRow, StoreError> {
    let row = sqlx::query!(
        "SELECT remind_days, garden_days, expire_days, due_days, promise_days, back_date, stack_max,
                breakage_days, version
           FROM billing_policy WHERE tenant_id = $1",
        tenant.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(PolicyRow { policy: Policy::default(), version: 0 }) };
    let days = i16::unsigned_abs;
    let policy = Policy {
        remind_days: row.remind_days.into_iter().map(days).collect(),
        garden_days: days(row.garden_days),
        expire_days: days(row.expire_days),
        due_days: days(row.due_days),
        promise_days: days(row.promise_days),
        back_date: row.back_date,
        stack_max: days(row.stack_max),
        breakage_days: days(row.breakage_days),
    };
    Ok(PolicyRow { policy, version: row.version })
}

/// False if it is not of this version any more.
pub(super) async fn set_policy(
    tx: &mut Tx,
    tenant: TenantId,
    policy: &Policy,
    version: i64,
) -> Result<bool, StoreError> {
    let days = u16::cast_signed;
    let done = sqlx::query!(
        "INSERT INTO billing_policy AS old (tenant_id, remind_days, garden_days, expire_days,
                due_days, promise_days, back_date, stack_max, breakage_days)
         SELECT $1, $3, $4, $5, $6, $7, $8, $9, $10
          WHERE $2::bigint = 0 OR EXISTS (SELECT FROM billing_policy WHERE tenant_id = $1)
         ON CONFLICT (tenant_id) DO UPDATE
            SET remind_days = excluded.remind_days, garden_days = excluded.garden_days,
                expire_days = excluded.expire_days, due_days = excluded.due_days,
                promise_days = excluded.promise_days, back_date = excluded.back_date,
                stack_max = excluded.stack_max, breakage_days = excluded.breakage_days,
                version = old.version + 1
          WHERE old.version = $2",
        tenant.as_uuid(),
        version,
        &policy.remind_days.iter().map(|one| days(*one)).collect::<Vec<_>>(),
        days(policy.garden_days),
        days(policy.expire_days),
        days(policy.due_days),
        days(policy.promise_days),
        policy.back_date,
        days(policy.stack_max),
        days(policy.breakage_days),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
