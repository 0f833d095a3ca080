//! The table `settlement`, and what was sold.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{ResellerId, SettlementId, TenantId};
use uuid::Uuid;

use super::Settlement;
use crate::{
    billing::Cents,
    db::{StoreError, Tx},
};

/// The face value of what was sold, and the commission on it.
pub(super) async fn sold(
    tx: &mut Tx,
    tenant: TenantId,
    reseller: ResellerId,
    (from, until): (Timestamp, Timestamp),
) -> Result<(Cents, Cents), StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(face_cents), 0)::bigint AS "gross!",
                  coalesce(sum(commission_cents), 0)::bigint AS "commission!"
             FROM voucher_sale
            WHERE tenant_id = $1 AND reseller_id = $2 AND at >= $3 AND at < $4"#,
        tenant.as_uuid(),
        reseller.as_uuid(),
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((Cents::new(row.gross), Cents::new(row.commission)))
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO settlement (tenant_id, id, reseller_id, during, gross_cents,
           commission_cents, net_cents, created_at)
         VALUES ($1, $2, $3, daterange($4::date, $5::date), $6::bigint, $7::bigint,
           $6::bigint - $7::bigint, $8)",
        tenant.as_uuid(),
        settlement.id.as_uuid(),
        settlement.reseller.as_uuid(),
        settlement.days.0.to_sqlx() as _,
        settlement.days.1.to_sqlx() as _,
        settlement.gross.get(),
        settlement.commission.get(),
        settlement.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<SettlementId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Settlement>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, reseller_id, gross_cents, commission_cents,
                  lower(during) AS "from!: jiff_sqlx::Date",
                  upper(during) AS "until!: jiff_sqlx::Date",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM settlement
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
    let settlements = rows.into_iter().map(|row| Settlement {
        id: SettlementId::from_uuid(row.id),
        reseller: ResellerId::from_uuid(row.reseller_id),
        days: (row.from.to_jiff(), row.until.to_jiff()),
        gross: Cents::new(row.gross_cents),
        commission: Cents::new(row.commission_cents),
        created_at: row.created_at.to_jiff(),
    });
    Ok(settlements.collect())
}
