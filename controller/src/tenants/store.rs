//! The table `tenant`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;
use uuid::Uuid;

use super::{NewTenant, Tenant, TenantStatus};
use crate::{
    db::{Cell, StoreError, Tx, one},
    words::{Code, Realm},
};

pub(super) async fn insert(
    tx: &mut Tx,
    id: TenantId,
    new: &NewTenant,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tenant (tenant_id, slug, name, tz, currency, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id.as_uuid(),
        new.slug.as_str(),
        new.name.as_str(),
        new.tz.as_str(),
        new.currency.as_str(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The platform's own tenant is not one of the list.
pub(super) async fn list(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Tenant>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, slug, name, tz, currency, status, realms, second_factor_roles,
                  version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM tenant
            WHERE tenant_id > $1 AND slug <> 'platform'
            ORDER BY tenant_id
            LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Tenant::try_from).collect()
}

pub(super) async fn find(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, slug, name, tz, currency, status, realms, second_factor_roles,
                  version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM tenant
            WHERE tenant_id = $1 AND slug <> 'platform'"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Tenant::try_from).transpose()
}

pub(super) async fn find_by_slug(tx: &mut Tx, slug: &Code) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, slug, name, tz, currency, status, realms, second_factor_roles,
                  version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM tenant
            WHERE slug = $1"#,
        slug.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Tenant::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(tx: &mut Tx, tenant: &Tenant, version: i64) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE tenant SET name = $3, tz = $4, realms = $5, second_factor_roles = $6,
                version = version + 1
          WHERE tenant_id = $1 AND version = $2",
        tenant.id.as_uuid(),
        version,
        tenant.name.as_str(),
        tenant.tz.as_str(),
        &tenant.realms.iter().map(Realm::to_string).collect::<Vec<_>>(),
        &tenant.second_factor_roles.iter().map(|role| role.as_str().to_owned()).collect::<Vec<_>>(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Only the platform's role has a right to this column.
pub(super) async fn set_status(
    tx: &mut Tx,
    id: TenantId,
    status: TenantStatus,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE tenant SET status = $2 WHERE tenant_id = $1",
        id.as_uuid(),
        status.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// What came of it: see the function.
pub(super) async fn delete(tx: &mut Tx, id: TenantId) -> Result<String, StoreError> {
    let row = sqlx::query!(r#"SELECT delete_tenant($1) AS "said!""#, id.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.said)
}

/// A registration waits here for the one before it.
pub(super) async fn lock_platform(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query!("SELECT tenant_id FROM tenant WHERE slug = 'platform' FOR UPDATE")
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn zone(tx: &mut Tx, id: TenantId) -> Result<String, StoreError> {
    let row = sqlx::query!("SELECT tz FROM tenant WHERE tenant_id = $1", id.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.tz)
}

pub(super) async fn any(tx: &mut Tx) -> Result<bool, StoreError> {
    let row =
        sqlx::query!(r#"SELECT EXISTS (SELECT FROM tenant WHERE slug <> 'platform') AS "any!""#)
            .fetch_one(&mut **tx)
            .await?;
    Ok(row.any)
}

/// The row as Postgres returns it.
struct Row {
    tenant_id: Uuid,
    slug: String,
    name: String,
    tz: String,
    currency: String,
    status: String,
    realms: Vec<String>,
    second_factor_roles: Vec<String>,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Tenant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "tenant", row: row.tenant_id };
        Ok(Self {
            id: TenantId::from_uuid(row.tenant_id),
            slug: at.parse("slug", &row.slug)?,
            name: at.parse("name", &row.name)?,
            tz: at.parse("tz", &row.tz)?,
            currency: at.parse("currency", &row.currency)?,
            status: at.parse("status", &row.status)?,
            realms: row
                .realms
                .iter()
                .map(|realm| at.parse("realms", realm))
                .collect::<Result<_, _>>()?,
            second_factor_roles: row
                .second_factor_roles
                .iter()
                .map(|role| at.parse("second_factor_roles", role))
                .collect::<Result<_, _>>()?,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
