//! What billing writes: in runs, never row by row.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{PlanVersionId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

use crate::{
    billing::Cents,
    db::{StoreError, Tx, exactly},
    invoices::{self, Bill},
    periods::PeriodError,
    subscriptions::State,
};

/// Everything that one run of looks leads to.
#[derive(Debug, Default)]
pub(in crate::periods) struct Writes {
    pub(in crate::periods) periods: Vec<NewPeriod>,
    pub(in crate::periods) bills: Vec<Bill>,
    pub(in crate::periods) deferrals: Vec<Deferral>,
    pub(in crate::periods) grants: Vec<Grant>,
    pub(in crate::periods) notices: Vec<Notice>,
    pub(in crate::periods) prompts: Vec<Prompt>,
    /// Periods and what of their usage is invoiced now.
    pub(in crate::periods) rated: Vec<(Uuid, u64)>,
    pub(in crate::periods) changes: Vec<Change>,
}

#[derive(Debug)]
pub(in crate::periods) struct NewPeriod {
    pub(in crate::periods) id: Uuid,
    pub(in crate::periods) subscription: SubscriptionId,
    pub(in crate::periods) version: PlanVersionId,
    pub(in crate::periods) during: (Timestamp, Timestamp),
    pub(in crate::periods) net: Cents,
    pub(in crate::periods) given: bool,
    pub(in crate::periods) rated: u64,
}

/// What is earned over a time.
#[derive(Debug)]
pub(in crate::periods) struct Deferral {
    pub(in crate::periods) id: Uuid,
    pub(in crate::periods) cents: Cents,
    pub(in crate::periods) earning: (Timestamp, Timestamp),
}

#[derive(Debug)]
pub(in crate::periods) struct Grant {
    pub(in crate::periods) subscriber: SubscriberId,
    /// `period` or `topup`.
    pub(in crate::periods) source: &'static str,
    pub(in crate::periods) source_id: Uuid,
    pub(in crate::periods) version: PlanVersionId,
    pub(in crate::periods) valid: (Timestamp, Timestamp),
    pub(in crate::periods) bytes: Option<u64>,
    pub(in crate::periods) seconds: Option<u64>,
}

#[derive(Debug)]
pub(in crate::periods) struct Notice {
    pub(in crate::periods) subscription: SubscriptionId,
    pub(in crate::periods) about: Timestamp,
    pub(in crate::periods) step: String,
    pub(in crate::periods) cents: Cents,
}

/// A phone that is to be asked for money.
#[derive(Clone, Copy, Debug)]
pub(in crate::periods) struct Prompt {
    pub(in crate::periods) subscription: SubscriptionId,
    pub(in crate::periods) subscriber: SubscriberId,
    pub(in crate::periods) about: Timestamp,
    pub(in crate::periods) minutes: u16,
    /// What the wallet lacks.
    pub(in crate::periods) cents: Cents,
}

/// A subscription after a look.
#[derive(Clone, Debug)]
pub(in crate::periods) struct Change {
    pub(in crate::periods) id: SubscriptionId,
    pub(in crate::periods) state: State,
    pub(in crate::periods) version: PlanVersionId,
    pub(in crate::periods) next_version: Option<PlanVersionId>,
    pub(in crate::periods) anchor: Option<Timestamp>,
    pub(in crate::periods) term: Option<(Timestamp, Timestamp)>,
    pub(in crate::periods) term_no: u16,
    pub(in crate::periods) lapsed_at: Option<Timestamp>,
    pub(in crate::periods) walled: bool,
    pub(in crate::periods) promise_until: Option<Timestamp>,
    pub(in crate::periods) promised_term: Option<Timestamp>,
    pub(in crate::periods) due_at: Option<Timestamp>,
    /// Why, if anybody sees a difference.
    pub(in crate::periods) reason: Option<&'static str>,
}

fn times<'a>(all: impl Iterator<Item = &'a Timestamp>) -> Vec<SqlTimestamp> {
    all.map(|at| at.to_sqlx()).collect()
}

fn maybe_times(all: impl Iterator<Item = Option<Timestamp>>) -> Vec<Option<SqlTimestamp>> {
    all.map(|at| at.map(Timestamp::to_sqlx)).collect()
}

impl Writes {
    /// All of it, or an error.
    pub(in crate::periods) async fn apply(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<(), PeriodError> {
        self.insert_periods(tx, tenant).await?;
        self.rate(tx, tenant).await?;
        self.insert_deferrals(tx, tenant).await?;
        self.grant(tx, tenant).await?;
        self.notice(tx, tenant, now).await?;
        self.change(tx, tenant).await?;
        // Its numbers are waited for by whoever issues invoices.
        invoices::issue_all(tx, tenant, &self.bills, now).await?;
        Ok(())
    }

    async fn insert_periods(&self, tx: &mut Tx, tenant: TenantId) -> Result<(), StoreError> {
        let all = &self.periods;
        if all.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO subscription_period (tenant_id, id, subscription_id, plan_version_id,
                                              during, net_cents, given, rated_bytes)
             SELECT $1, id, subscription, version, tstzrange(s, e), net, given, rated
               FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[],
                           $6::timestamptz[], $7::bigint[], $8::boolean[], $9::bigint[])
                 AS new (id, subscription, version, s, e, net, given, rated)",
            tenant.as_uuid(),
            all.iter().map(|one| one.id).collect::<Vec<_>>() as _,
            all.iter().map(|one| *one.subscription.as_uuid()).collect::<Vec<_>>() as _,
            all.iter().map(|one| *one.version.as_uuid()).collect::<Vec<_>>() as _,
            times(all.iter().map(|one| &one.during.0)) as _,
            times(all.iter().map(|one| &one.during.1)) as _,
            all.iter().map(|one| one.net.get()).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.given).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.rated.cast_signed()).collect::<Vec<_>>() as _,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn rate(&self, tx: &mut Tx, tenant: TenantId) -> Result<(), StoreError> {
        if self.rated.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "UPDATE subscription_period AS p SET rated_bytes = r.bytes
               FROM unnest($2::uuid[], $3::bigint[]) AS r (id, bytes)
              WHERE p.tenant_id = $1 AND p.id = r.id",
            tenant.as_uuid(),
            self.rated.iter().map(|(id, _)| *id).collect::<Vec<_>>() as _,
            self.rated.iter().map(|(_, bytes)| bytes.cast_signed()).collect::<Vec<_>>() as _,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn insert_deferrals(&self, tx: &mut Tx, tenant: TenantId) -> Result<(), StoreError> {
        let all = &self.deferrals;
        if all.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO deferral (tenant_id, id, cents, earning)
             SELECT $1, id, cents, tstzrange(s, e)
               FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
                 AS new (id, cents, s, e)",
            tenant.as_uuid(),
            all.iter().map(|one| one.id).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.cents.get()).collect::<Vec<_>>() as _,
            times(all.iter().map(|one| &one.earning.0)) as _,
            times(all.iter().map(|one| &one.earning.1)) as _,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn grant(&self, tx: &mut Tx, tenant: TenantId) -> Result<(), StoreError> {
        let all = &self.grants;
        if all.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                                      plan_version_id, valid, bytes_granted, seconds_granted)
             SELECT $1, id, subscriber, source, source_id, version, tstzrange(s, e), bytes, seconds
               FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[],
                           $7::timestamptz[], $8::timestamptz[], $9::bigint[], $10::bigint[])
                 AS new (id, subscriber, source, source_id, version, s, e, bytes, seconds)",
            tenant.as_uuid(),
            all.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>() as _,
            all.iter().map(|one| *one.subscriber.as_uuid()).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.source.to_owned()).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.source_id).collect::<Vec<_>>() as _,
            all.iter().map(|one| *one.version.as_uuid()).collect::<Vec<_>>() as _,
            times(all.iter().map(|one| &one.valid.0)) as _,
            times(all.iter().map(|one| &one.valid.1)) as _,
            all.iter().map(|one| one.bytes.map(u64::cast_signed)).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.seconds.map(u64::cast_signed)).collect::<Vec<_>>() as _,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Once for each term and step.
    async fn notice(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let all = &self.notices;
        if all.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO subscription_notice (tenant_id, at, subscription_id, about, step, cents)
             SELECT $1, $2, * FROM unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::bigint[])
             ON CONFLICT DO NOTHING",
            tenant.as_uuid(),
            now.to_sqlx() as _,
            all.iter().map(|one| *one.subscription.as_uuid()).collect::<Vec<_>>() as _,
            times(all.iter().map(|one| &one.about)) as _,
            all.iter().map(|one| one.step.clone()).collect::<Vec<_>>() as _,
            all.iter().map(|one| one.cents.get()).collect::<Vec<_>>() as _,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Those that were not written down before: once for each term and step.
    pub(in crate::periods) async fn prompt(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<&Prompt>, StoreError> {
        let all = &self.prompts;
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let step = |one: &Prompt| format!("prompt:{}", one.minutes);
        let rows = sqlx::query!(
            r#"INSERT INTO subscription_notice (tenant_id, at, subscription_id, about, step, cents)
               SELECT $1, $2, * FROM unnest($3::uuid[], $4::timestamptz[], $5::text[], $6::bigint[])
               ON CONFLICT DO NOTHING
               RETURNING subscription_id, step"#,
            tenant.as_uuid(),
            now.to_sqlx() as _,
            all.iter().map(|one| *one.subscription.as_uuid()).collect::<Vec<_>>() as _,
            times(all.iter().map(|one| &one.about)) as _,
            &all.iter().map(step).collect::<Vec<_>>(),
            all.iter().map(|one| one.cents.get()).collect::<Vec<_>>() as _,
        )
        .fetch_all(&mut **tx)
        .await?;
        let is_new = |one: &&Prompt| {
            let id = *one.subscription.as_uuid();
            rows.iter().any(|row| row.subscription_id == id && row.step == step(one))
        };
        Ok(all.iter().filter(is_new).collect())
    }

    /// The reason goes into the events that the table's guard writes, so it is one statement for
    /// each reason.
    async fn change(&self, tx: &mut Tx, tenant: TenantId) -> Result<(), PeriodError> {
        let mut reasons: Vec<_> = self.changes.iter().map(|one| one.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let some: Vec<_> = self.changes.iter().filter(|one| one.reason == reason).collect();
            sqlx::query!("SELECT set_config('kennet.reason', $1, true)", reason.unwrap_or(""))
                .fetch_one(&mut **tx)
                .await
                .map_err(StoreError::from)?;
            change(tx, tenant, &some, reason.is_some()).await?;
        }
        Ok(())
    }
}

async fn change(
    tx: &mut Tx,
    tenant: TenantId,
    some: &[&Change],
    seen: bool,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE subscription AS s
            SET state = n.state, plan_version_id = n.version, next_plan_version_id = n.next_version,
                bill_anchor = n.anchor, term_start = n.term_start, term_end = n.term_end,
                term_no = n.term_no, lapsed_at = n.lapsed_at, walled = n.walled,
                promise_until = n.promise_until, promised_term = n.promised_term,
                due_at = n.due_at, version = s.version + CASE WHEN $2 THEN 1 ELSE 0 END
           FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::timestamptz[],
                       $8::timestamptz[], $9::timestamptz[], $10::int[], $11::timestamptz[],
                       $12::boolean[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[])
             AS n (id, state, version, next_version, anchor, term_start, term_end, term_no,
                   lapsed_at, walled, promise_until, promised_term, due_at)
          WHERE s.tenant_id = $1 AND s.id = n.id",
        tenant.as_uuid(),
        seen,
        some.iter().map(|one| *one.id.as_uuid()).collect::<Vec<_>>() as _,
        some.iter().map(|one| one.state.as_str().to_owned()).collect::<Vec<_>>() as _,
        some.iter().map(|one| *one.version.as_uuid()).collect::<Vec<_>>() as _,
        some.iter().map(|one| one.next_version.map(|id| *id.as_uuid())).collect::<Vec<_>>() as _,
        maybe_times(some.iter().map(|one| one.anchor)) as _,
        maybe_times(some.iter().map(|one| one.term.map(|term| term.0))) as _,
        maybe_times(some.iter().map(|one| one.term.map(|term| term.1))) as _,
        some.iter().map(|one| i32::from(one.term_no)).collect::<Vec<_>>() as _,
        maybe_times(some.iter().map(|one| one.lapsed_at)) as _,
        some.iter().map(|one| one.walled).collect::<Vec<_>>() as _,
        maybe_times(some.iter().map(|one| one.promise_until)) as _,
        maybe_times(some.iter().map(|one| one.promised_term)) as _,
        maybe_times(some.iter().map(|one| one.due_at)) as _,
    )
    .execute(&mut **tx)
    .await?;
    exactly(some.len() as u64, done.rows_affected())
}

/// One that cannot be billed keeps nobody else waiting.
pub(in crate::periods) async fn put_off(
    tx: &mut Tx,
    tenant: TenantId,
    id: Uuid,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE subscription SET due_at = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A period ends earlier; what was paid for the rest of it and is credited is not earned. What is
/// earned up to where the books are stays earned.
pub(in crate::periods) async fn shorten(
    tx: &mut Tx,
    tenant: TenantId,
    period: Uuid,
    until: Timestamp,
    net: Cents,
    credited: Cents,
    recognised: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE subscription_period
            SET during = tstzrange(lower(during), $3), net_cents = $4
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        period,
        until.to_sqlx() as _,
        net.get(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE deferral
            SET cents = cents - $5 - earned(cents, lower(earning), upper(earning),
                                            greatest(lower(earning), $4)),
                earning = tstzrange(greatest(lower(earning), $4),
                                    greatest($3, greatest(lower(earning), $4) + interval '1 s'))
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        period,
        until.to_sqlx() as _,
        recognised.to_sqlx() as _,
        credited.get(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
