//! The table `tax_rate`.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;

use crate::{
    billing::{BasisPoints, Rates},
    db::{Cell, StoreError, Tx},
};

pub(super) async fn on(tx: &mut Tx, tenant: TenantId, day: Date) -> Result<Rates, StoreError> {
    let rows = sqlx::query!(
        "SELECT code, rate_bp FROM tax_rate WHERE tenant_id = $1 AND during @> $2::date",
        tenant.as_uuid(),
        day.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let at = Cell { table: "tax_rate", row: *tenant.as_uuid() };
    let mut rates = Rates::default();
    for row in rows {
        let points = at.number("rate_bp", row.rate_bp.into())?;
        let points = BasisPoints::new(points).ok_or_else(|| at.corrupt("rate_bp"))?;
        match row.code.as_str() {
            "excise" => rates.excise = points,
            "vat" => rates.vat = points,
            _ => return Err(at.corrupt("code")),
        }
    }
    Ok(rates)
}
