//! SQL of presence: an edge's row as the link reads and writes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{EdgeId, EpochId, TenantId},
    wire::latest::{desired::Pointer, state::Birth},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{super::secret::SecretHash, Known};
use crate::db::{StoreError, one};

/// An edge that may come in, before its tenant is known.
#[tracing::instrument(name = "db.edge.find", skip_all, fields(edge.id = %edge), err)]
pub(super) async fn find(
    conn: &mut PgConnection,
    edge: EdgeId,
) -> Result<Option<(TenantId, SecretHash)>, StoreError> {
    let row = sqlx::query!(
        "SELECT tenant_id, secret_hash FROM edge WHERE id = $1 AND NOT revoked",
        edge.as_uuid()
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let hash = row.secret_hash.try_into().map_err(|_| corrupt(edge, "secret_hash"))?;
        Ok((TenantId::from_uuid(row.tenant_id), SecretHash(hash)))
    })
    .transpose()
}

/// Those of them that may come in.
#[tracing::instrument(name = "db.edge.by_tenant", skip_all, err)]
pub(super) async fn by_tenant(
    conn: &mut PgConnection,
    edges: &BTreeSet<EdgeId>,
) -> Result<BTreeMap<TenantId, Vec<Uuid>>, StoreError> {
    let ids: Vec<Uuid> = edges.iter().map(|edge| *edge.as_uuid()).collect();
    let rows = sqlx::query!(
        "SELECT tenant_id, id FROM edge WHERE id = ANY ($1) AND NOT revoked ORDER BY id",
        ids as _
    )
    .fetch_all(conn)
    .await?;
    let mut by_tenant: BTreeMap<_, Vec<Uuid>> = BTreeMap::new();
    for row in rows {
        by_tenant.entry(TenantId::from_uuid(row.tenant_id)).or_default().push(row.id);
    }
    Ok(by_tenant)
}

/// Edges of one tenant, in its transaction.
pub(super) struct Presences<'c> {
    pub(super) conn: &'c mut PgConnection,
    pub(super) tenant: TenantId,
}

struct Row {
    birth: i64,
    online: bool,
    epoch: Option<Uuid>,
    applied_revision: i64,
    desired_revision: i64,
    desired_hash: Option<String>,
}

impl Presences<'_> {
    #[tracing::instrument(name = "db.edge.lock", skip_all, fields(edge.id = %edge), err)]
    pub(super) async fn lock(&mut self, edge: EdgeId) -> Result<Option<Known>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT birth, online, epoch, applied_revision, desired_revision, desired_hash \
               FROM edge WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            self.tenant.as_uuid(),
            edge.as_uuid()
        )
        .fetch_optional(&mut *self.conn)
        .await?;
        row.map(|row| {
            let revision = number(edge, "desired_revision", row.desired_revision)?;
            Ok(Known {
                birth: number(edge, "birth", row.birth)?,
                online: row.online,
                epoch: row.epoch.map(EpochId::from_uuid),
                applied_revision: number(edge, "applied_revision", row.applied_revision)?,
                desired: row.desired_hash.map(|hash| Pointer { revision, hash }),
            })
        })
        .transpose()
    }

    #[tracing::instrument(name = "db.edge.write_birth", skip_all, fields(edge.id = %edge), err)]
    pub(super) async fn write_birth(
        &mut self,
        edge: EdgeId,
        birth: &Birth,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = serde_json::json!({
            "version": birth.version,
            "journal_depth": birth.journal_depth,
            // How far the edge's clock is ahead.
            "clock_offset_ms": i64::try_from(birth.clock_ms)
                .ok()
                .and_then(|clock| clock.checked_sub(now.as_millisecond())),
            "interfaces": birth.interfaces,
            "capabilities": birth.capabilities,
        });
        let done = sqlx::query!(
            "UPDATE edge SET online = true, birth = $3, epoch = $4, applied_revision = $5, \
                             last_seen = $6, state = $7 \
              WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_uuid(),
            edge.as_uuid(),
            claimed(birth.birth),
            birth.epoch.as_uuid(),
            claimed(birth.applied_revision),
            now.to_sqlx() as _,
            state
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    #[tracing::instrument(name = "db.edge.write_death", skip_all, fields(edge.id = %edge), err)]
    pub(super) async fn write_death(
        &mut self,
        edge: EdgeId,
        birth: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // The broker heard of it now, and of the edge itself before.
        let done = sqlx::query!(
            "UPDATE edge SET online = false, birth = $3, last_seen = coalesce(last_seen, $4) \
              WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_uuid(),
            edge.as_uuid(),
            claimed(birth),
            now.to_sqlx() as _
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    #[tracing::instrument(name = "db.edge.write_seen", skip_all, err)]
    pub(super) async fn write_seen(
        &mut self,
        edges: &[Uuid],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE edge SET last_seen = $3 WHERE tenant_id = $1 AND id = ANY ($2)",
            self.tenant.as_uuid(),
            edges as _,
            now.to_sqlx() as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }
}

/// An edge's own count: what does not fit is as large as can be said.
fn claimed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(edge: EdgeId, column: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| corrupt(edge, column))
}

fn corrupt(edge: EdgeId, column: &'static str) -> StoreError {
    StoreError::Corrupt { table: "edge", column, row: *edge.as_uuid() }
}
