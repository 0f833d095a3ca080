//! The tables `reconciliation` and `reconciliation_difference`.

use jiff_sqlx::ToSqlx as _;
use shared::id::{MerchantId, ReconciliationId, TenantId};
use uuid::Uuid;

use super::{Difference, Reconciliation, Sum, statement::Fee};
use crate::{
    billing::Cents,
    db::{Cell, StoreError, Tx},
    merchants::Merchant,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    made: &Reconciliation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO reconciliation (tenant_id, id, merchant_id, day, source, ours_count,
           ours_cents, theirs_count, theirs_cents, made_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tenant.as_uuid(),
        made.id.as_uuid(),
        made.merchant.as_uuid(),
        made.day.to_sqlx() as _,
        made.source.as_str(),
        made.ours.count,
        made.ours.cents.get(),
        made.theirs.count,
        made.theirs.cents.get(),
        made.made_by,
        made.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    for (line, one) in (1_i32..).zip(&made.differences) {
        sqlx::query!(
            "INSERT INTO reconciliation_difference (tenant_id, reconciliation_id, line_no, kind,
               receipt, ours_cents, theirs_cents, recovered)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            tenant.as_uuid(),
            made.id.as_uuid(),
            line,
            one.kind.as_str(),
            one.receipt.as_str(),
            one.ours.map(Cents::get),
            one.theirs.map(Cents::get),
            one.recovered,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Writes down what the provider has kept, each once; says how much of it was not in the books.
pub(super) async fn book_fees(
    tx: &mut Tx,
    tenant: TenantId,
    made: &Reconciliation,
    merchant: &Merchant,
    fees: &[Fee],
) -> Result<Cents, StoreError> {
    let mut booked = 0;
    for fee in fees {
        let id = Uuid::now_v7();
        let done = sqlx::query!(
            "INSERT INTO provider_fee (tenant_id, id, reconciliation_id, provider, shortcode,
               receipt, descr, amount_cents, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT ON CONSTRAINT provider_fee_once DO NOTHING",
            tenant.as_uuid(),
            id,
            made.id.as_uuid(),
            merchant.provider.as_str(),
            merchant.shortcode.as_str(),
            fee.receipt.as_str(),
            fee.descr,
            fee.amount.get(),
            made.created_at.to_sqlx() as _,
        )
        .execute(&mut **tx)
        .await?;
        if done.rows_affected() == 1 {
            let (entry, at) = (Uuid::now_v7(), made.created_at.to_sqlx());
            sqlx::query!("SELECT book_fee($1, $2, $3)", id, entry, at as _)
                .fetch_one(&mut **tx)
                .await?;
            booked += fee.amount.get();
        }
    }
    Ok(Cents::new(booked))
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<ReconciliationId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Reconciliation>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, merchant_id, day AS "day: jiff_sqlx::Date", source, ours_count, ours_cents,
                  theirs_count, theirs_cents, made_by,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  coalesce((SELECT sum(f.amount_cents) FROM provider_fee f
                             WHERE f.tenant_id = r.tenant_id AND f.reconciliation_id = r.id),
                           0)::bigint AS "fees_cents!"
             FROM reconciliation r
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let lines = sqlx::query!(
        "SELECT reconciliation_id, kind, receipt, ours_cents, theirs_cents, recovered
           FROM reconciliation_difference
          WHERE tenant_id = $1 AND reconciliation_id = ANY ($2)
          ORDER BY reconciliation_id, line_no",
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "reconciliation", row: row.id };
        let mut differences = Vec::new();
        for line in lines.iter().filter(|line| line.reconciliation_id == row.id) {
            differences.push(Difference {
                kind: at.parse("kind", &line.kind)?,
                receipt: at.parse("receipt", &line.receipt)?,
                ours: line.ours_cents.map(Cents::new),
                theirs: line.theirs_cents.map(Cents::new),
                recovered: line.recovered,
            });
        }
        found.push(Reconciliation {
            id: ReconciliationId::from_uuid(row.id),
            merchant: MerchantId::from_uuid(row.merchant_id),
            day: row.day.to_jiff(),
            source: at.parse("source", &row.source)?,
            ours: Sum { count: row.ours_count, cents: Cents::new(row.ours_cents) },
            theirs: Sum { count: row.theirs_count, cents: Cents::new(row.theirs_cents) },
            made_by: row.made_by,
            differences,
            fees: Cents::new(row.fees_cents),
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(found)
}
