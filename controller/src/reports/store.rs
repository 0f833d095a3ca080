//! Reads the ledger and the documents.

use jiff_sqlx::ToSqlx as _;
use shared::id::{SubscriberId, TenantId};

use super::{Ageing, Churn, Days, Revenue, Stock, TaxMonth};
use crate::db::{StoreError, Tx};

pub(super) async fn revenue(
    tx: &mut Tx,
    tenant: TenantId,
    days: Days,
    zone: &str,
) -> Result<Vec<Revenue>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH moved AS (
             SELECT to_char(e.at AT TIME ZONE $4, 'YYYY-MM') AS month,
                    coalesce(-sum(p.amount_cents) FILTER (WHERE a.kind = 'revenue'), 0) AS revenue,
                    coalesce(sum(p.amount_cents) FILTER (WHERE a.code = 'expense:commission'), 0)
                      AS commission,
                    coalesce(-sum(p.amount_cents) FILTER (WHERE a.code = 'tax:excise'), 0) AS excise,
                    coalesce(-sum(p.amount_cents) FILTER (WHERE a.code = 'tax:vat'), 0) AS vat
               FROM ledger_entry e
               JOIN ledger_posting p ON p.tenant_id = $1 AND p.entry_id = e.id
               JOIN ledger_account a ON a.tenant_id = $1 AND a.id = p.account_id
              WHERE e.tenant_id = $1
                AND e.at >= $2::date::timestamp AT TIME ZONE $4
                AND e.at < $3::date::timestamp AT TIME ZONE $4
              GROUP BY 1),
           bought AS (
             SELECT to_char(at AT TIME ZONE $4, 'YYYY-MM') AS month,
                    count(DISTINCT subscriber_id) AS payers
               FROM (SELECT issued_at AS at, subscriber_id FROM invoice
                      WHERE tenant_id = $1 AND state = 'finalised'
                     UNION ALL
                     SELECT redeemed_at, subscriber_id FROM voucher
                      WHERE tenant_id = $1 AND redeemed_at IS NOT NULL) purchase
              GROUP BY 1)
           SELECT m.month AS "month!", m.revenue::bigint AS "revenue!",
                  m.commission::bigint AS "commission!", m.excise::bigint AS "excise!",
                  m.vat::bigint AS "vat!", coalesce(b.payers, 0) AS "payers!"
             FROM moved m LEFT JOIN bought b ON b.month = m.month
            ORDER BY 1"#,
        tenant.as_uuid(),
        days.from.to_sqlx() as _,
        days.until.to_sqlx() as _,
        zone,
    )
    .fetch_all(&mut **tx)
    .await?;
    let revenue = rows.into_iter().map(|row| Revenue {
        month: row.month,
        revenue_cents: row.revenue,
        commission_cents: row.commission,
        excise_cents: row.excise,
        vat_cents: row.vat,
        payers: row.payers,
        arpu_cents: 0,
    });
    Ok(revenue.collect())
}

pub(super) async fn churn(
    tx: &mut Tx,
    tenant: TenantId,
    days: Days,
    zone: &str,
) -> Result<Vec<Churn>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH purchase AS (
             SELECT issued_at AT TIME ZONE $4 AS at, subscriber_id FROM invoice
              WHERE tenant_id = $1 AND state = 'finalised'
             UNION ALL
             SELECT redeemed_at AT TIME ZONE $4, subscriber_id FROM voucher
              WHERE tenant_id = $1 AND redeemed_at IS NOT NULL),
           month AS (
             SELECT start, start + interval '1 month' AS stop
               FROM generate_series(date_trunc('month', $2::date::timestamp),
                                    $3::date::timestamp - interval '1 day',
                                    interval '1 month') AS start),
           first AS (SELECT subscriber_id, min(at) AS at FROM purchase GROUP BY 1)
           SELECT to_char(m.start, 'YYYY-MM') AS "month!",
                  (SELECT count(DISTINCT subscriber_id) FROM purchase p
                    WHERE p.at >= m.start - interval '30 days' AND p.at < m.start) AS "began!",
                  (SELECT count(DISTINCT p.subscriber_id) FROM purchase p
                    WHERE p.at >= m.start - interval '30 days' AND p.at < m.start
                      AND NOT EXISTS (SELECT FROM purchase q
                                       WHERE q.subscriber_id = p.subscriber_id
                                         AND q.at >= m.stop - interval '30 days'
                                         AND q.at < m.stop)) AS "lost!",
                  (SELECT count(*) FROM first f WHERE f.at >= m.start AND f.at < m.stop) AS "gained!"
             FROM month m ORDER BY 1"#,
        tenant.as_uuid(),
        days.from.to_sqlx() as _,
        days.until.to_sqlx() as _,
        zone,
    )
    .fetch_all(&mut **tx)
    .await?;
    let churn = rows.into_iter().map(|row| Churn {
        month: row.month,
        began: row.began,
        lost: row.lost,
        gained: row.gained,
        churn_bp: 0,
    });
    Ok(churn.collect())
}

pub(super) async fn ageing(
    tx: &mut Tx,
    tenant: TenantId,
    on: jiff::civil::Date,
) -> Result<Vec<Ageing>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.account_no, s.full_name,
                  coalesce(sum(open) FILTER (WHERE late <= 0), 0)::bigint AS "not_due!",
                  coalesce(sum(open) FILTER (WHERE late BETWEEN 1 AND 30), 0)::bigint AS "to_30!",
                  coalesce(sum(open) FILTER (WHERE late BETWEEN 31 AND 60), 0)::bigint AS "to_60!",
                  coalesce(sum(open) FILTER (WHERE late BETWEEN 61 AND 90), 0)::bigint AS "to_90!",
                  coalesce(sum(open) FILTER (WHERE late > 90), 0)::bigint AS "over_90!",
                  sum(open)::bigint AS "total!"
             FROM (SELECT subscriber_id, total_cents - paid_cents - credited_cents AS open,
                          $2::date - due_on AS late
                     FROM invoice
                    WHERE tenant_id = $1 AND state = 'finalised'
                      AND paid_cents + credited_cents < total_cents) i
             JOIN subscriber s ON s.tenant_id = $1 AND s.id = i.subscriber_id
            GROUP BY s.id, s.account_no, s.full_name
            ORDER BY s.account_no"#,
        tenant.as_uuid(),
        on.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ageing = rows.into_iter().map(|row| Ageing {
        subscriber: SubscriberId::from_uuid(row.id),
        account_no: row.account_no,
        full_name: row.full_name,
        not_due_cents: row.not_due,
        days_1_to_30_cents: row.to_30,
        days_31_to_60_cents: row.to_60,
        days_61_to_90_cents: row.to_90,
        days_over_90_cents: row.over_90,
        total_cents: row.total,
    });
    Ok(ageing.collect())
}

/// What has a tax in its entry, and the price that the tax is on.
pub(super) async fn tax(
    tx: &mut Tx,
    tenant: TenantId,
    days: Days,
    zone: &str,
) -> Result<Vec<TaxMonth>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT to_char(e.at AT TIME ZONE $4, 'YYYY-MM') AS "month!", e.kind AS "event!",
                  coalesce(-sum(p.amount_cents) FILTER (WHERE a.code LIKE 'revenue:%'
                                                          OR a.code LIKE 'deferred:%'), 0)::bigint
                    AS "net!",
                  coalesce(-sum(p.amount_cents) FILTER (WHERE a.code = 'tax:excise'), 0)::bigint
                    AS "excise!",
                  coalesce(-sum(p.amount_cents) FILTER (WHERE a.code = 'tax:vat'), 0)::bigint
                    AS "vat!"
             FROM ledger_entry e
             JOIN ledger_posting p ON p.tenant_id = $1 AND p.entry_id = e.id
             JOIN ledger_account a ON a.tenant_id = $1 AND a.id = p.account_id
            WHERE e.tenant_id = $1
              AND e.at >= $2::date::timestamp AT TIME ZONE $4
              AND e.at < $3::date::timestamp AT TIME ZONE $4
            GROUP BY 1, 2
           HAVING bool_or(a.code LIKE 'tax:%')
            ORDER BY 1, 2"#,
        tenant.as_uuid(),
        days.from.to_sqlx() as _,
        days.until.to_sqlx() as _,
        zone,
    )
    .fetch_all(&mut **tx)
    .await?;
    let tax = rows.into_iter().map(|row| TaxMonth {
        month: row.month,
        event: row.event,
        net_cents: row.net,
        excise_cents: row.excise,
        vat_cents: row.vat,
    });
    Ok(tax.collect())
}

pub(super) async fn vouchers(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Stock>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT p.code, coalesce(r.name, '') AS "reseller!",
                  count(*) FILTER (WHERE v.state = 'generated') AS "generated!",
                  count(*) FILTER (WHERE v.state = 'sold') AS "sold!",
                  count(*) FILTER (WHERE v.state = 'active') AS "active!",
                  count(*) FILTER (WHERE v.state = 'exhausted') AS "exhausted!",
                  count(*) FILTER (WHERE v.state = 'expired') AS "expired!",
                  count(*) FILTER (WHERE v.state = 'void') AS "void!",
                  coalesce(sum(v.net_cents) FILTER (WHERE v.state = 'sold'), 0)::bigint AS "owed!"
             FROM voucher v
             JOIN voucher_batch b ON b.tenant_id = $1 AND b.id = v.batch_id
             JOIN plan_version pv ON pv.tenant_id = $1 AND pv.id = b.plan_version_id
             JOIN plan p ON p.tenant_id = $1 AND p.id = pv.plan_id
             LEFT JOIN reseller r ON r.tenant_id = $1 AND r.id = v.reseller_id
            WHERE v.tenant_id = $1
            GROUP BY p.code, r.id, r.name
            ORDER BY p.code, 2"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let stock = rows.into_iter().map(|row| Stock {
        plan: row.code,
        reseller: row.reseller,
        generated: row.generated,
        sold: row.sold,
        active: row.active,
        exhausted: row.exhausted,
        expired: row.expired,
        void: row.void,
        owed_cents: row.owed,
    });
    Ok(stock.collect())
}
