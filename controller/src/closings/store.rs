//! The tables `books`, `recognition` and `closing`, and what nights do to vouchers.

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{TenantId, VoucherId};
use uuid::Uuid;

use super::Closing;
use crate::{
    billing::Cents,
    db::{StoreError, Tx, one},
};

/// Until when revenue is earned, kept until the transaction ends. None: nothing was sold yet, and
/// the books begin at `midnight`.
pub(super) async fn lock_books(
    tx: &mut Tx,
    tenant: TenantId,
    midnight: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT recognised_until AS "until: jiff_sqlx::Timestamp"
             FROM books WHERE tenant_id = $1 FOR UPDATE"#,
        tenant.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    if row.is_none() {
        sqlx::query!(
            "INSERT INTO books (tenant_id, recognised_until) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            tenant.as_uuid(),
            midnight.to_sqlx() as _,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(row.map(|row| row.until.to_jiff()))
}

/// Of everything that was sold for a time.
pub(super) async fn earned(
    tx: &mut Tx,
    tenant: TenantId,
    from: Timestamp,
    until: Timestamp,
) -> Result<Cents, StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(earned(cents, lower(earning), upper(earning), $3)
                               - earned(cents, lower(earning), upper(earning), $2)), 0)::bigint
                    AS "cents!"
             FROM deferral
            WHERE tenant_id = $1 AND upper(earning) > $2 AND lower(earning) < $3"#,
        tenant.as_uuid(),
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Cents::new(row.cents))
}

pub(super) async fn insert_recognition(
    tx: &mut Tx,
    tenant: TenantId,
    id: Uuid,
    (from, until): (Timestamp, Timestamp),
    cents: Cents,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO recognition (tenant_id, id, during, cents)
         VALUES ($1, $2, tstzrange($3, $4), $5)",
        tenant.as_uuid(),
        id,
        from.to_sqlx() as _,
        until.to_sqlx() as _,
        cents.get(),
    )
    .execute(&mut **tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE books SET recognised_until = $3 WHERE tenant_id = $1 AND recognised_until = $2",
        tenant.as_uuid(),
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Those whose last day was so long ago that nobody is let off, with what was paid for them.
pub(super) async fn break_vouchers(
    tx: &mut Tx,
    tenant: TenantId,
    midnight: Timestamp,
    limit: usize,
) -> Result<Vec<(VoucherId, Cents)>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH gone AS (
             SELECT x.id, x.state FROM voucher AS x
               JOIN voucher_batch AS b ON b.tenant_id = x.tenant_id AND b.id = x.batch_id
              WHERE x.tenant_id = $1 AND x.state IN ('generated', 'sold')
                AND b.redeem_by < $2::timestamptz - make_interval(days =>
                      coalesce((SELECT breakage_days FROM billing_policy WHERE tenant_id = $1), 30))
              LIMIT $3
              FOR UPDATE OF x SKIP LOCKED)
           UPDATE voucher AS x SET state = 'expired'
             FROM gone
            WHERE x.tenant_id = $1 AND x.id = gone.id
        RETURNING x.id, CASE WHEN gone.state = 'sold' THEN x.net_cents ELSE 0 END AS "net!""#,
        tenant.as_uuid(),
        midnight.to_sqlx() as _,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (VoucherId::from_uuid(row.id), Cents::new(row.net))).collect())
}

pub(super) async fn end_vouchers(
    tx: &mut Tx,
    tenant: TenantId,
    midnight: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let done = sqlx::query!(
        "UPDATE voucher SET state = 'expired'
          WHERE tenant_id = $1 AND state = 'active' AND id IN (
            SELECT e.source_id FROM entitlement e
              JOIN voucher v ON v.tenant_id = $1 AND v.id = e.source_id AND v.state = 'active'
             WHERE e.tenant_id = $1 AND e.source_kind = 'voucher'
               AND upper(e.valid) <= $2::timestamptz
             LIMIT $3)",
        tenant.as_uuid(),
        midnight.to_sqlx() as _,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .execute(&mut **tx)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

/// False if they are closed until then, or longer.
pub(super) async fn close_books(
    tx: &mut Tx,
    tenant: TenantId,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE books SET closed_until = $2
          WHERE tenant_id = $1 AND (closed_until IS NULL OR closed_until < $2)",
        tenant.as_uuid(),
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn close(
    tx: &mut Tx,
    tenant: TenantId,
    month: Date,
    until: Timestamp,
    now: Timestamp,
) -> Result<Closing, StoreError> {
    let row = sqlx::query!(
        r#"INSERT INTO closing (tenant_id, month, until, entries, debit_cents, credit_cents,
                                closed_at)
           SELECT $1, $2, $3, count(DISTINCT e.id),
                  coalesce(sum(p.amount_cents) FILTER (WHERE p.amount_cents > 0), 0),
                  coalesce(-sum(p.amount_cents) FILTER (WHERE p.amount_cents < 0), 0), $4
             FROM ledger_entry AS e
             JOIN ledger_posting AS p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id
            WHERE e.tenant_id = $1 AND e.at < $3
        RETURNING entries, debit_cents, credit_cents"#,
        tenant.as_uuid(),
        month.to_sqlx() as _,
        until.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Closing {
        month,
        entries: row.entries,
        debits: Cents::new(row.debit_cents),
        credits: Cents::new(row.credit_cents),
        closed_at: now,
    })
}

pub(super) async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Closing>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT month AS "month: jiff_sqlx::Date", entries, debit_cents, credit_cents,
                  closed_at AS "closed_at: jiff_sqlx::Timestamp"
             FROM closing WHERE tenant_id = $1 ORDER BY month DESC"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Closing {
            month: row.month.to_jiff(),
            entries: row.entries,
            debits: Cents::new(row.debit_cents),
            credits: Cents::new(row.credit_cents),
            closed_at: row.closed_at.to_jiff(),
        })
        .collect())
}
