//! The table `tax_rate`.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;

use super::{Tax, TaxRate};
use crate::{
    billing::BasisPoints,
    db::{Cell, StoreError, Tx},
};

/// By tax, oldest first.
pub(super) async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<TaxRate>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT code, rate_bp, lower(during) AS "from!: jiff_sqlx::Date",
                  upper(during) AS "until: jiff_sqlx::Date"
             FROM tax_rate
            WHERE tenant_id = $1
            ORDER BY code, lower(during)"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let at = Cell { table: "tax_rate", row: *tenant.as_uuid() };
    let mut rates = Vec::with_capacity(rows.len());
    for row in rows {
        let points = at.number("rate_bp", row.rate_bp.into())?;
        rates.push(TaxRate {
            tax: at.parse("code", &row.code)?,
            rate: BasisPoints::new(points).ok_or_else(|| at.corrupt("rate_bp"))?,
            from: row.from.to_jiff(),
            until: row.until.map(jiff_sqlx::Date::to_jiff),
        });
    }
    Ok(rates)
}

pub(super) async fn set(
    tx: &mut Tx,
    tenant: TenantId,
    tax: Tax,
    rate: BasisPoints,
    from: Date,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM tax_rate WHERE tenant_id = $1 AND code = $2 AND lower(during) >= $3::date",
        tenant.as_uuid(),
        tax.as_str(),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE tax_rate SET during = daterange(lower(during), $3::date)
          WHERE tenant_id = $1 AND code = $2 AND during @> $3::date",
        tenant.as_uuid(),
        tax.as_str(),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO tax_rate (tenant_id, code, rate_bp, during)
         VALUES ($1, $2, $3, daterange($4::date, NULL))",
        tenant.as_uuid(),
        tax.as_str(),
        i32::from(rate.get()),
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
