//! The tables `reseller` and `commission_rule`.

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, ResellerId, TenantId};
use uuid::Uuid;

use super::{NewReseller, Reseller};
use crate::{
    billing::{BasisPoints, Cents},
    db::{Cell, StoreError, Tx},
    words::Msisdn,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    new: &NewReseller,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO reseller (tenant_id, id, name, msisdn, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.name.as_str(),
        new.msisdn.as_ref().map(Msisdn::as_str),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// From that day on, instead of what was said before for it.
pub(super) async fn set_commission(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    commission: BasisPoints,
    from: Date,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM commission_rule
          WHERE tenant_id = $1 AND reseller_id = $2 AND lower(during) >= $3::date",
        tenant.as_uuid(),
        id.as_uuid(),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE commission_rule SET during = daterange(lower(during), $3::date)
          WHERE tenant_id = $1 AND reseller_id = $2 AND during @> $3::date",
        tenant.as_uuid(),
        id.as_uuid(),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO commission_rule (tenant_id, id, reseller_id, rate_bp, during)
         VALUES ($1, $2, $3, $4, daterange($5::date, NULL))",
        tenant.as_uuid(),
        Uuid::now_v7(),
        id.as_uuid(),
        i32::from(commission.get()),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    reseller: &Reseller,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE reseller SET name = $4, msisdn = $5, active = $6, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        reseller.id.as_uuid(),
        version,
        reseller.name.as_str(),
        reseller.msisdn.as_ref().map(Msisdn::as_str),
        reseller.active,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// False if there is no such operator with the role `reseller`.
pub(super) async fn employ(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    operator: OperatorId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET reseller_id = $3
          WHERE tenant_id = $1 AND id = $2 AND role = 'reseller'",
        tenant.as_uuid(),
        operator.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// With the commission of that day: one of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<ResellerId>,
    day: Date,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Reseller>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.name, r.msisdn, r.active, r.version,
                  r.created_at AS "created_at: jiff_sqlx::Timestamp",
                  coalesce(c.rate_bp, 0) AS "rate_bp!",
                  coalesce(a.balance_cents, 0) AS "float!"
             FROM reseller r
             LEFT JOIN commission_rule c
               ON c.tenant_id = r.tenant_id AND c.reseller_id = r.id AND c.during @> $4::date
             LEFT JOIN ledger_account a
               ON a.tenant_id = r.tenant_id AND a.code = 'agent:' || r.id
            WHERE r.tenant_id = $1 AND r.id > $2 AND ($3::uuid IS NULL OR r.id = $3)
            ORDER BY r.id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        day.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut resellers = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "reseller", row: row.id };
        let points = at.number("rate_bp", row.rate_bp.into())?;
        resellers.push(Reseller {
            id: ResellerId::from_uuid(row.id),
            name: at.parse("name", &row.name)?,
            msisdn: at.maybe("msisdn", row.msisdn.as_deref())?,
            active: row.active,
            commission: BasisPoints::new(points).ok_or_else(|| at.corrupt("rate_bp"))?,
            float: Cents::new(row.float),
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(resellers)
}
