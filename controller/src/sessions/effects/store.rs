//! The table `session_effect`.

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{EpochId, SessionId, TenantId};

use super::{Effect, Kept};
use crate::{
    db::{StoreError, Tx},
    sessions::store::Books,
};

pub(super) async fn insert(
    books: &mut Books<'_>,
    epoch: EpochId,
    effects: &[(u64, Effect)],
) -> Result<(), StoreError> {
    for (seq, effect) in effects {
        let seq = i64::try_from(*seq).unwrap_or(i64::MAX);
        sqlx::query!(
            "INSERT INTO session_effect (tenant_id, edge_id, epoch, seq, session_id, nas_name,
               asked, asked_at, answered, error_cause, observed, after_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            books.tenant.as_uuid(),
            books.edge.as_uuid(),
            epoch.as_uuid(),
            seq,
            effect.session.as_uuid(),
            effect.nas_name,
            effect.asked,
            effect.asked_at.to_sqlx() as _,
            effect.answered,
            effect.error_cause,
            effect.observed,
            effect.after_ms,
        )
        .execute(&mut *books.conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    session: SessionId,
) -> Result<Vec<Kept>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT e.nas_name, e.asked, e.asked_at AS "asked_at: SqlTimestamp", e.answered,
                  e.error_cause, e.observed, e.after_ms
             FROM session_effect e
             JOIN session s ON s.tenant_id = e.tenant_id AND s.id = e.session_id
                           AND s.edge_id = e.edge_id
            WHERE e.tenant_id = $1 AND e.session_id = $2
            ORDER BY e.asked_at DESC, e.seq DESC
            LIMIT 50"#,
        tenant.as_uuid(),
        session.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let kept = rows.into_iter().map(|row| Kept {
        nas_name: row.nas_name,
        asked: row.asked,
        asked_at: row.asked_at.to_jiff(),
        answered: row.answered,
        error_cause: row.error_cause,
        observed: row.observed,
        after_ms: row.after_ms,
    });
    Ok(kept.collect())
}
