//! What a plan version gives, in words and numbers for paper.

use shared::id::{PlanVersionId, TenantId};

use crate::db::{StoreError, Tx};

pub(super) struct Given {
    pub(super) plan: String,
    pub(super) validity_seconds: i64,
    pub(super) validity_months: i32,
    pub(super) data_bytes: Option<i64>,
}

pub(super) async fn given(
    tx: &mut Tx,
    tenant: TenantId,
    version: PlanVersionId,
) -> Result<Given, StoreError> {
    let row = sqlx::query!(
        "SELECT p.name, v.validity_seconds, v.validity_months, v.data_bytes
           FROM plan_version v JOIN plan p ON p.tenant_id = v.tenant_id AND p.id = v.plan_id
          WHERE v.tenant_id = $1 AND v.id = $2",
        tenant.as_uuid(),
        version.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    let (validity_seconds, validity_months) = (row.validity_seconds, row.validity_months);
    Ok(Given { plan: row.name, validity_seconds, validity_months, data_bytes: row.data_bytes })
}
