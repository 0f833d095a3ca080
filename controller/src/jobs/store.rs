//! The table `job`, of all tenants.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;
use uuid::Uuid;

use super::{Job, Kind, Taken};
use crate::db::{self, Cell, Db, StoreError, Tx};

async fn begin(db: &Db) -> Result<Tx, StoreError> {
    let mut tx = db.auth_tx().await?;
    db::enter_jobs(&mut tx).await?;
    Ok(tx)
}

/// Sees to it that every tenant has its round and its night, and that a round comes at once where
/// money came in.
pub(super) async fn wake(db: &Db, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = begin(db).await?;
    sqlx::query!(
        "INSERT INTO job (tenant_id, kind, key, due_at, try_at)
         SELECT t.tenant_id, j.kind, 'always', j.at, j.at
           FROM tenant AS t
          CROSS JOIN LATERAL (VALUES
            ('billing.round', $1::timestamptz),
            ('billing.night', (date_trunc('day', $1::timestamptz AT TIME ZONE t.tz)
                               + interval '1 day') AT TIME ZONE t.tz)) AS j (kind, at)
          WHERE t.status = 'active' AND t.slug <> 'platform'
            AND NOT EXISTS (SELECT FROM job AS b WHERE b.tenant_id = t.tenant_id
                               AND b.kind = j.kind AND b.key = 'always')
         ON CONFLICT DO NOTHING",
        now.to_sqlx() as _,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE job SET due_at = $1, try_at = $1
          WHERE (tenant_id, kind, key) IN (
            SELECT tenant_id, kind, key FROM job
             WHERE kind = 'billing.round' AND done_at IS NULL AND lease IS NULL
               AND attempts = 0 AND try_at > $1
               AND tenant_id IN (SELECT DISTINCT tenant_id FROM money_came)
               FOR UPDATE SKIP LOCKED)",
        now.to_sqlx() as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// What is due for the longest, and nobody has.
pub(super) async fn take(
    db: &Db,
    lease: Uuid,
    now: Timestamp,
    keep: SignedDuration,
) -> Result<Option<Taken>, StoreError> {
    let mut tx = begin(db).await?;
    let row = sqlx::query!(
        r#"UPDATE job AS j
              SET lease = $1, leased_until = $3, attempts = j.attempts + 1
             FROM (SELECT tenant_id, kind, key FROM job
                    WHERE done_at IS NULL AND try_at <= $2
                      AND (leased_until IS NULL OR leased_until <= $2)
                    ORDER BY due_at, kind, tenant_id, key
                    LIMIT 1
                    FOR UPDATE SKIP LOCKED) AS next
            WHERE j.tenant_id = next.tenant_id AND j.kind = next.kind AND j.key = next.key
        RETURNING j.tenant_id, j.kind, j.key, j.due_at AS "due_at: jiff_sqlx::Timestamp",
                  j.attempts"#,
        lease,
        now.to_sqlx() as _,
        now.saturating_add(keep).unwrap_or(now).to_sqlx() as _,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "job", row: row.tenant_id };
    Ok(Some(Taken {
        tenant: TenantId::from_uuid(row.tenant_id),
        kind: at.parse::<Kind>("kind", &row.kind)?,
        key: row.key,
        due_at: row.due_at.to_jiff(),
        attempts: row.attempts.unsigned_abs(),
        lease,
    }))
}

/// It takes longer.
pub(super) async fn keep(
    db: &Db,
    taken: &Taken,
    now: Timestamp,
    keep: SignedDuration,
) -> Result<(), StoreError> {
    let mut tx = begin(db).await?;
    sqlx::query!(
        "UPDATE job SET leased_until = $5
          WHERE tenant_id = $1 AND kind = $2 AND key = $3 AND lease = $4",
        taken.tenant.as_uuid(),
        taken.kind.as_str(),
        &taken.key,
        taken.lease,
        now.saturating_add(keep).unwrap_or(now).to_sqlx() as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Done, or to be done again; if it is still ours.
pub(super) async fn done(
    db: &Db,
    taken: &Taken,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = begin(db).await?;
    sqlx::query!(
        "UPDATE job
            SET lease = NULL, leased_until = NULL, attempts = 0, last_error = NULL,
                due_at = coalesce($5, due_at), try_at = coalesce($5, try_at),
                done_at = CASE WHEN $5::timestamptz IS NULL THEN $6::timestamptz END
          WHERE tenant_id = $1 AND kind = $2 AND key = $3 AND lease = $4",
        taken.tenant.as_uuid(),
        taken.kind.as_str(),
        &taken.key,
        taken.lease,
        next.map(Timestamp::to_sqlx) as _,
        now.to_sqlx() as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn failed(
    db: &Db,
    taken: &Taken,
    again: Timestamp,
    error: &str,
) -> Result<(), StoreError> {
    let mut tx = begin(db).await?;
    sqlx::query!(
        "UPDATE job SET lease = NULL, leased_until = NULL, try_at = $5, last_error = left($6, 1000)
          WHERE tenant_id = $1 AND kind = $2 AND key = $3 AND lease = $4",
        taken.tenant.as_uuid(),
        taken.kind.as_str(),
        &taken.key,
        taken.lease,
        again.to_sqlx() as _,
        error,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// When there is something to do, of any tenant.
pub(super) async fn next(db: &Db) -> Result<Option<Timestamp>, StoreError> {
    let mut tx = begin(db).await?;
    let row = sqlx::query!(
        r#"SELECT min(greatest(try_at, leased_until)) AS "at: jiff_sqlx::Timestamp"
             FROM job WHERE done_at IS NULL"#,
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(row.at.map(jiff_sqlx::Timestamp::to_jiff))
}

pub(super) async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT kind, key, due_at AS "due_at: jiff_sqlx::Timestamp",
                  try_at AS "try_at: jiff_sqlx::Timestamp", attempts, last_error,
                  done_at AS "done_at: jiff_sqlx::Timestamp"
             FROM job
            WHERE tenant_id = $1
            ORDER BY done_at DESC NULLS FIRST, try_at, kind, key
            LIMIT 200"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Job {
            kind: row.kind,
            key: row.key,
            due_at: row.due_at.to_jiff(),
            try_at: row.try_at.to_jiff(),
            attempts: row.attempts,
            last_error: row.last_error,
            done_at: row.done_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
        .collect())
}
