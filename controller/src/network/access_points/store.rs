//! The table `access_point`.

use jiff_sqlx::ToSqlx as _;
use shared::id::{AccessPointId, NasId, TenantId};
use uuid::Uuid;

use super::AccessPoint;
use crate::db::{Cell, StoreError, Tx};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    ap: &AccessPoint,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO access_point (tenant_id, id, nas_id, name, mac, model, site, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        ap.id.as_uuid(),
        ap.nas.map(|nas| *nas.as_uuid()),
        ap.name.as_str(),
        ap.mac.to_string(),
        ap.model.as_str(),
        ap.site.as_str(),
        ap.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<AccessPoint>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, nas_id, name, mac, model, site, disabled, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM access_point
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(AccessPoint::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: AccessPointId,
) -> Result<Option<AccessPoint>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, nas_id, name, mac, model, site, disabled, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM access_point
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(AccessPoint::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    ap: &AccessPoint,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE access_point
            SET nas_id = $4, name = $5, mac = $6, model = $7, site = $8, disabled = $9,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        ap.id.as_uuid(),
        version,
        ap.nas.map(|nas| *nas.as_uuid()),
        ap.name.as_str(),
        ap.mac.to_string(),
        ap.model.as_str(),
        ap.site.as_str(),
        ap.disabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    nas_id: Option<Uuid>,
    name: String,
    mac: String,
    model: String,
    site: String,
    disabled: bool,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for AccessPoint {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "access_point", row: row.id };
        Ok(Self {
            id: AccessPointId::from_uuid(row.id),
            nas: row.nas_id.map(NasId::from_uuid),
            name: at.parse("name", &row.name)?,
            mac: at.parse("mac", &row.mac)?,
            model: at.parse("model", &row.model)?,
            site: at.parse("site", &row.site)?,
            disabled: row.disabled,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
