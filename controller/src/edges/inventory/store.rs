//! The table `edge`, as staff sees it.

use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use shared::id::{EdgeId, TenantId};
use uuid::Uuid;

use super::{Edge, Heard};
use crate::{
    db::{Cell, StoreError, Tx, one},
    edges::secret::SecretHash,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    edge: &Edge,
    secret: SecretHash,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO edge (tenant_id, id, name, site, secret_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        edge.id.as_uuid(),
        edge.name.as_str(),
        edge.site.as_str(),
        secret.0.as_slice(),
        edge.created_at.to_sqlx() as _,
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
) -> Result<Vec<Edge>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, name, site, revoked, version, online, program, desired_revision,
                  applied_revision, state,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  last_seen AS "last_seen: jiff_sqlx::Timestamp",
                  forked_at AS "forked_at: jiff_sqlx::Timestamp"
             FROM edge
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Edge::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: EdgeId,
) -> Result<Option<Edge>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, site, revoked, version, online, program, desired_revision,
                  applied_revision, state,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  last_seen AS "last_seen: jiff_sqlx::Timestamp",
                  forked_at AS "forked_at: jiff_sqlx::Timestamp"
             FROM edge
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Edge::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    edge: &Edge,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE edge SET name = $4, site = $5, revoked = $6, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        edge.id.as_uuid(),
        version,
        edge.name.as_str(),
        edge.site.as_str(),
        edge.revoked,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_secret(
    tx: &mut Tx,
    tenant: TenantId,
    id: EdgeId,
    secret: SecretHash,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE edge SET secret_hash = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        secret.0.as_slice(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    name: String,
    site: String,
    revoked: bool,
    version: i64,
    online: bool,
    program: String,
    desired_revision: i64,
    applied_revision: i64,
    state: Option<Value>,
    created_at: jiff_sqlx::Timestamp,
    last_seen: Option<jiff_sqlx::Timestamp>,
    forked_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for Edge {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "edge", row: row.id };
        Ok(Self {
            id: EdgeId::from_uuid(row.id),
            name: at.parse("name", &row.name)?,
            site: at.parse("site", &row.site)?,
            revoked: row.revoked,
            version: row.version,
            created_at: row.created_at.to_jiff(),
            heard: Heard {
                online: row.online,
                last_seen: row.last_seen.map(jiff_sqlx::Timestamp::to_jiff),
                program: row.program,
                desired_revision: row.desired_revision,
                applied_revision: row.applied_revision,
                forked_at: row.forked_at.map(jiff_sqlx::Timestamp::to_jiff),
                state: row.state,
            },
        })
    }
}
