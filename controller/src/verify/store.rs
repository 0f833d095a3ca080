//! One statement for each check: it sees every row of its kind, and words what is wrong with one.

use shared::id::TenantId;
use sqlx::{Executor as _, PgConnection};

use super::Check;
use crate::db::{Db, StoreError, Tx};

/// `$inner` gives a row for each that is looked at, with its `fault` or without.
macro_rules! check {
    ($conn:expr, $name:literal, $holds:literal, $inner:literal $(, $arg:expr)*) => {{
        let row = sqlx::query!(
            "SELECT count(*) AS \"rows!\", count(fault) AS \"faults!\", min(fault) AS first FROM ("
                + $inner
                + ") seen"
            $(, $arg)*
        )
        .fetch_one(&mut *$conn)
        .await?;
        let (rows, faults) = (row.rows, row.faults);
        Check { name: $name, holds: $holds, rows, faults, first: row.first }
    }};
}

pub(super) async fn tenants(db: &Db) -> Result<Vec<(TenantId, String)>, StoreError> {
    let rows = sqlx::query!("SELECT tenant_id, slug FROM tenant ORDER BY slug");
    let rows = rows.fetch_all(&db.auth).await?;
    Ok(rows.into_iter().map(|row| (TenantId::from_uuid(row.tenant_id), row.slug)).collect())
}

/// What is committed meanwhile is not seen, and nothing is written.
pub(super) async fn one_moment(tx: &mut Tx) -> Result<(), StoreError> {
    tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    Ok(())
}

/// What the database keeps the books with: a restore that was cut short, or a hand that helped,
/// may have switched it off.
pub(super) async fn guards(db: &Db) -> Result<Vec<Check>, StoreError> {
    let mut conn = db.auth.acquire().await?;
    Ok(vec![
        check!(
            conn,
            "tables",
            "row-level security is forced",
            "SELECT CASE WHEN NOT (c.relrowsecurity AND c.relforcerowsecurity)
                         THEN format('it is not forced on %s', c.relname) END AS fault
               FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                                  AND NOT a.attisdropped
              WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p')"
        ),
        check!(
            conn,
            "triggers",
            "none is switched off",
            "SELECT CASE WHEN t.tgenabled NOT IN ('O', 'A')
                         THEN format('%s of %s is off', t.tgname, c.relname) END AS fault
               FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
              WHERE c.relnamespace = 'kennet'::regnamespace"
        ),
        check!(
            conn,
            "constraints",
            "every row was held against them",
            "SELECT CASE WHEN NOT convalidated
                         THEN format('%s of %s is not validated', conname, conrelid::regclass)
                         END AS fault
               FROM pg_constraint WHERE connamespace = 'kennet'::regnamespace"
        ),
    ])
}

pub(super) async fn ledger(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<Check>, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(vec![
        check!(
            conn,
            "entries",
            "debits are credits, with the lines and the sum that they were sealed with",
            "SELECT CASE
                 WHEN e.id IS NULL THEN format('postings of entry %s, which is not there', p.entry_id)
                 WHEN p.entry_id IS NULL THEN format('entry %s (%s) has no postings', e.id, e.kind)
                 WHEN p.total <> 0 OR p.lines <> e.n_lines OR p.debits <> e.total_cents
                 THEN format('entry %s (%s of %s %s): debits of %s cents and credits of %s in %s '
                             'lines, sealed with %s in %s', e.id, e.kind, e.source_kind,
                             e.source_id, p.debits, p.debits - p.total, p.lines, e.total_cents,
                             e.n_lines)
               END AS fault
               FROM (SELECT * FROM ledger_entry WHERE tenant_id = $1) e
               FULL JOIN (
                 SELECT entry_id, count(*) AS lines, sum(amount_cents) AS total,
                        coalesce(sum(amount_cents) FILTER (WHERE amount_cents > 0), 0) AS debits
                   FROM ledger_posting WHERE tenant_id = $1 GROUP BY entry_id) p
                 ON p.entry_id = e.id",
            tenant
        ),
        check!(
            conn,
            "postings",
            "all debits together are all credits together",
            "SELECT CASE WHEN n = 1 AND debits <> credits
                         THEN format('debits of %s cents, credits of %s', debits, credits) END AS fault
               FROM (
                 SELECT row_number() OVER () AS n,
                        coalesce(sum(amount_cents) FILTER (WHERE amount_cents > 0) OVER (), 0)
                          AS debits,
                        coalesce(-sum(amount_cents) FILTER (WHERE amount_cents < 0) OVER (), 0)
                          AS credits
                   FROM ledger_posting WHERE tenant_id = $1) every",
            tenant
        ),
        check!(
            conn,
            "wallets",
            "they hold what was posted to them, and are not below their floor",
            "SELECT CASE
                 WHEN a.balance_cents <> -coalesce(p.total, 0)
                 THEN format('%s holds %s cents, its postings make %s', a.code, a.balance_cents,
                             -coalesce(p.total, 0))
                 WHEN a.balance_cents < a.floor_cents
                 THEN format('%s is below its floor: %s cents', a.code, a.balance_cents)
               END AS fault
               FROM ledger_account a
               LEFT JOIN (
                 SELECT account_id, sum(amount_cents) AS total
                   FROM ledger_posting WHERE tenant_id = $1 GROUP BY account_id) p
                 ON p.account_id = a.id
              WHERE a.tenant_id = $1 AND a.code LIKE 'wallet:%'",
            tenant
        ),
        check!(
            conn,
            "other accounts",
            "balances that are kept are what was posted, and not below their floor",
            "SELECT CASE
                 WHEN a.id IS NULL
                 THEN format('postings to account %s, which is not there', p.account_id)
                 WHEN a.track AND a.balance_cents <> coalesce(
                        CASE WHEN a.kind IN ('asset', 'expense') THEN p.total ELSE -p.total END, 0)
                 THEN format('%s has %s cents, its postings make %s', a.code, a.balance_cents,
                        CASE WHEN a.kind IN ('asset', 'expense') THEN p.total ELSE -p.total END)
                 WHEN a.balance_cents < a.floor_cents
                 THEN format('%s is below its floor: %s cents', a.code, a.balance_cents)
               END AS fault
               FROM (SELECT * FROM ledger_account WHERE tenant_id = $1) a
               FULL JOIN (
                 SELECT account_id, sum(amount_cents) AS total
                   FROM ledger_posting WHERE tenant_id = $1 GROUP BY account_id) p
                 ON p.account_id = a.id
              WHERE a.code IS NULL OR a.code NOT LIKE 'wallet:%'",
            tenant
        ),
    ])
}

pub(super) async fn numbers(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<Check>, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(vec![check!(
        conn,
        "numbers",
        "invoices, credit notes and receipts have no gap and no double",
        "SELECT CASE
                 WHEN had.number IS NULL
                 THEN format('%s-%s is missing', taken.series,
                             lpad(taken.number::text, greatest(6, length(taken.number::text)), '0'))
                 WHEN taken.number IS NULL
                 THEN format('%s-%s was never taken', had.series,
                             lpad(had.number::text, greatest(6, length(had.number::text)), '0'))
                 WHEN had.times > 1
                 THEN format('%s-%s is there %s times', had.series,
                             lpad(had.number::text, greatest(6, length(had.number::text)), '0'),
                             had.times)
               END AS fault
               FROM (
                 SELECT series, generate_series(1, next_no - 1) AS number
                   FROM number_series
                  WHERE tenant_id = $1 AND series IN (
                    SELECT series FROM invoice WHERE tenant_id = $1
                    UNION VALUES ('INV'), ('CRN'), ('RCT'))) taken
               FULL JOIN (
                 SELECT series, number, count(*) AS times FROM (
                   SELECT series, number FROM invoice WHERE tenant_id = $1 AND number IS NOT NULL
                   UNION ALL
                   SELECT 'CRN', number FROM credit_note WHERE tenant_id = $1
                   UNION ALL
                   SELECT 'RCT', substring(receipt FROM 5)::bigint FROM payment
                    WHERE tenant_id = $1 AND provider = 'cash' AND receipt ~ '^RCT-[0-9]{1,18}$')
                   every
                  GROUP BY series, number) had
                 ON had.series = taken.series AND had.number = taken.number",
        tenant
    )])
}

pub(super) async fn invoices(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<Check>, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(vec![
        check!(
            conn,
            "invoices",
            "they are their lines, what is paid and credited is not more, and they are booked",
            "SELECT CASE
                 WHEN i.state <> 'draft' AND (i.net_cents, i.excise_cents, i.vat_cents)
                        IS DISTINCT FROM (l.net::bigint, l.excise::bigint, l.vat::bigint)
                 THEN format('%s-%s (%s): %s cents, its lines make %s', i.series, i.number, i.id,
                             i.total_cents, l.net + l.excise + l.vat)
                 WHEN i.paid_cents <> coalesce(a.cents, 0) + coalesce(w.cents, 0)
                 THEN format('%s-%s (%s): %s cents are paid, its allocations make %s', i.series,
                             i.number, i.id, i.paid_cents,
                             coalesce(a.cents, 0) + coalesce(w.cents, 0))
                 WHEN i.credited_cents <> coalesce(c.cents, 0)
                 THEN format('%s-%s (%s): %s cents are credited, its credit notes make %s',
                             i.series, i.number, i.id, i.credited_cents, coalesce(c.cents, 0))
                 WHEN i.paid_cents + i.credited_cents > i.total_cents
                 THEN format('%s-%s (%s): of %s cents %s are paid and %s credited', i.series,
                             i.number, i.id, i.total_cents, i.paid_cents, i.credited_cents)
                 WHEN i.state <> 'draft' AND i.total_cents > 0 AND NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'invoice.issue'
                      AND e.source_kind = 'invoice' AND e.source_id = i.id
                      AND e.total_cents = i.total_cents)
                 THEN format('%s-%s (%s) is not in the books', i.series, i.number, i.id)
               END AS fault
               FROM invoice i
               LEFT JOIN (
                 SELECT invoice_id, sum(net_cents) AS net, sum(excise_cents) AS excise,
                        sum(vat_cents) AS vat
                   FROM invoice_line WHERE tenant_id = $1 GROUP BY invoice_id) l
                 ON l.invoice_id = i.id
               LEFT JOIN (
                 SELECT invoice_id, sum(cents) AS cents
                   FROM payment_allocation WHERE tenant_id = $1 GROUP BY invoice_id) a
                 ON a.invoice_id = i.id
               LEFT JOIN invoice_from_wallet w ON w.tenant_id = $1 AND w.id = i.id
               LEFT JOIN (
                 SELECT invoice_id, sum(total_cents) AS cents
                   FROM credit_note WHERE tenant_id = $1 GROUP BY invoice_id) c
                 ON c.invoice_id = i.id
              WHERE i.tenant_id = $1",
            tenant
        ),
        check!(
            conn,
            "credit notes",
            "they are booked",
            "SELECT CASE WHEN NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'invoice.credit'
                      AND e.source_kind = 'credit_note' AND e.source_id = c.id
                      AND e.total_cents = c.total_cents)
                 THEN format('CRN-%s (%s) is not in the books', c.number, c.id) END AS fault
               FROM credit_note c WHERE c.tenant_id = $1",
            tenant
        ),
    ])
}

pub(super) async fn payments(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<Check>, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(vec![
        check!(
            conn,
            "payments",
            "they are booked, and not more is allocated than came in",
            "SELECT CASE
                 WHEN p.allocated_cents <> coalesce(a.cents, 0)
                 THEN format('%s %s (%s): %s cents are allocated, its allocations make %s',
                             p.provider, p.receipt, p.id, p.allocated_cents, coalesce(a.cents, 0))
                 WHEN p.allocated_cents > p.amount_cents
                 THEN format('%s %s (%s): %s cents came in, %s are allocated', p.provider,
                             p.receipt, p.id, p.amount_cents, p.allocated_cents)
                 WHEN NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'payment.in'
                      AND e.source_kind = 'payment' AND e.source_id = p.id
                      AND e.total_cents = p.amount_cents)
                 THEN format('%s %s (%s) is not in the books', p.provider, p.receipt, p.id)
               END AS fault
               FROM payment p
               LEFT JOIN (
                 SELECT payment_id, sum(cents) AS cents
                   FROM payment_allocation WHERE tenant_id = $1 GROUP BY payment_id) a
                 ON a.payment_id = p.id
              WHERE p.tenant_id = $1",
            tenant
        ),
        check!(
            conn,
            "recognitions",
            "what is earned by time is booked",
            "SELECT CASE WHEN r.cents > 0 AND NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'revenue.earn'
                      AND e.source_kind = 'recognition' AND e.source_id = r.id
                      AND e.total_cents = r.cents)
                 THEN format('%s (%s) is not in the books', r.id, r.during) END AS fault
               FROM recognition r WHERE r.tenant_id = $1",
            tenant
        ),
        check!(
            conn,
            "allocations",
            "they are booked",
            "SELECT CASE WHEN NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'payment.allocate'
                      AND e.source_kind = 'payment_allocation' AND e.source_id = a.id
                      AND e.total_cents = a.cents)
                 THEN format('%s (payment %s to invoice %s) is not in the books', a.id,
                             a.payment_id, a.invoice_id) END AS fault
               FROM payment_allocation a WHERE a.tenant_id = $1",
            tenant
        ),
    ])
}

pub(super) async fn sales(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Vec<Check>, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(vec![
        check!(
            conn,
            "voucher sales",
            "they have the vouchers that they say, and are booked",
            "SELECT CASE
                 WHEN coalesce(v.n, 0) <> s.qty
                 THEN format('sale %s is of %s vouchers, %s name it', s.id, s.qty, coalesce(v.n, 0))
                 WHEN s.face_cents > 0 AND NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'voucher.sale'
                      AND e.source_kind = 'voucher_sale' AND e.source_id = s.id
                      AND e.total_cents = s.face_cents)
                 THEN format('sale %s is not in the books', s.id)
               END AS fault
               FROM voucher_sale s
               LEFT JOIN (
                 SELECT sale_id, count(*) AS n
                   FROM voucher WHERE tenant_id = $1 AND sale_id IS NOT NULL GROUP BY sale_id) v
                 ON v.sale_id = s.id
              WHERE s.tenant_id = $1",
            tenant
        ),
        check!(
            conn,
            "vouchers",
            "who was redeemed gave once, to whom it says, and is booked",
            "SELECT CASE
                 WHEN v.id IS NULL
                 THEN format('voucher %s, which is not there, gave %s times', g.source_id, g.n)
                 WHEN (v.redeemed_at IS NOT NULL)::int <> coalesce(g.n, 0)
                 THEN format('voucher %s (%s of batch %s): redeemed %s, gave %s times', v.id,
                             v.serial, v.batch_id, coalesce(v.redeemed_at::text, 'never'),
                             coalesce(g.n, 0))
                 WHEN v.subscriber_id <> g.subscriber
                 THEN format('voucher %s (%s of batch %s): redeemed by %s, given to %s', v.id,
                             v.serial, v.batch_id, v.subscriber_id, g.subscriber)
                 WHEN v.state IN ('sold', 'active', 'exhausted') AND v.sale_id IS NULL
                 THEN format('voucher %s (%s of batch %s) is %s and was not sold', v.id, v.serial,
                             v.batch_id, v.state)
                 WHEN v.redeemed_at IS NOT NULL AND v.net_cents > 0 AND NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'voucher.redeem'
                      AND e.source_kind = 'voucher' AND e.source_id = v.id
                      AND e.total_cents = v.net_cents)
                 THEN format('voucher %s (%s of batch %s): its use is not in the books', v.id,
                             v.serial, v.batch_id)
               END AS fault
               FROM (SELECT * FROM voucher WHERE tenant_id = $1) v
               FULL JOIN (
                 SELECT source_id, count(*) AS n, min(subscriber_id::text)::uuid AS subscriber
                   FROM entitlement
                  WHERE tenant_id = $1 AND source_kind = 'voucher' GROUP BY source_id) g
                 ON g.source_id = v.id",
            tenant
        ),
        check!(
            conn,
            "entitlements",
            "no more is consumed and leased than was granted",
            "SELECT CASE
                 WHEN e.bytes_consumed + e.bytes_leased > e.bytes_granted
                 THEN format('entitlement %s: of %s bytes %s are consumed and %s leased', e.id,
                             e.bytes_granted, e.bytes_consumed, e.bytes_leased)
                 WHEN e.bytes_leased <> coalesce(l.bytes, 0)
                 THEN format('entitlement %s: %s bytes are leased, its leases make %s', e.id,
                             e.bytes_leased, coalesce(l.bytes, 0))
               END AS fault
               FROM entitlement e
               LEFT JOIN (
                 SELECT entitlement_id, sum(bytes) AS bytes
                   FROM quota_lease WHERE tenant_id = $1 AND state = 'open'
                  GROUP BY entitlement_id) l
                 ON l.entitlement_id = e.id
              WHERE e.tenant_id = $1",
            tenant
        ),
    ])
}

pub(super) async fn payouts(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Check, StoreError> {
    let tenant = tenant.as_uuid();
    Ok(check!(
            conn,
            "payouts",
            "two people, one hold and one end are in the books",
            "SELECT CASE
                 WHEN p.approved_by = p.requested_by
                 THEN format('payout %s was asked for and approved by %s', p.id, p.approved_by)
                 WHEN NOT EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'payout.hold'
                      AND e.source_kind = 'payout' AND e.source_id = p.id
                      AND e.total_cents = p.amount_cents)
                 THEN format('payout %s is not in the books', p.id)
                 WHEN (p.state IN ('paid', 'failed')) <> EXISTS (
                   SELECT FROM ledger_entry e
                    WHERE e.tenant_id = $1 AND e.kind = 'payout.resolve'
                      AND e.source_kind = 'payout' AND e.source_id = p.id)
                 THEN format('payout %s is %s, its end is something else in the books', p.id, p.state)
               END AS fault
               FROM payout p WHERE p.tenant_id = $1",
            tenant
        ))
}

/// The log's chain of hashes.
pub(super) async fn audit(conn: &mut PgConnection, tenant: TenantId) -> Result<Check, StoreError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM audit_log WHERE tenant_id = $1) AS "rows!",
                  ARRAY (SELECT verify_audit() ORDER BY 1) AS "broken!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut *conn)
    .await?;
    let faults = i64::try_from(row.broken.len()).unwrap_or(i64::MAX);
    let first = row.broken.first().map(|block| match block {
        0 => "rows came in around the log: no block has them, and none waits for them".to_owned(),
        block => format!("block {block} is not as it was sealed"),
    });
    let holds = "it is as it was written, block by block";
    Ok(Check { name: "audit log", holds, rows: row.rows, faults, first })
}
