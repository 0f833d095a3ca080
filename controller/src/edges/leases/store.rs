//! The functions `lease_to_edge` and `forsake_edge`: nobody writes leases but they.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{EdgeId, EpochId},
    wire::latest::lease::{Answer, Question},
};

use crate::db::{Cell, StoreError, Tx};

/// None: there is no such subscriber, or the edge is revoked.
pub(super) async fn lease(
    tx: &mut Tx,
    edge: EdgeId,
    epoch: EpochId,
    question: &Question,
    now: Timestamp,
) -> Result<Option<Answer>, StoreError> {
    let Question { subscriber, counted_from_ms, fence, used_bytes, more_bytes } = *question;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // Two of them are added up.
    let bytes = |bytes: u64| number(bytes).min(BYTES_MAX);
    let counted_from =
        Timestamp::from_millisecond(number(counted_from_ms)).unwrap_or(Timestamp::UNIX_EPOCH);
    let row = sqlx::query!(
        r#"SELECT bytes AS "bytes!", free AS "free!", elsewhere AS "elsewhere!",
                  newest AS "newest!"
             FROM lease_to_edge($1, $2, $3, $4, $5, $6, $7, $8)"#,
        subscriber.as_uuid(),
        edge.as_uuid(),
        epoch.as_uuid(),
        counted_from.to_sqlx() as _,
        number(fence),
        bytes(used_bytes),
        bytes(more_bytes),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "quota_lease", row: *subscriber.as_uuid() };
    Ok(Some(Answer {
        subscriber,
        counted_from_ms,
        fence: at.number("fence", row.newest)?,
        bytes: at.number("bytes", row.bytes)?,
        free_bytes: at.number("bytes", row.free.max(0))?,
        elsewhere_bytes: at.number("bytes", row.elsewhere)?,
    }))
}

/// Says how many leases were open.
pub(super) async fn forsake(tx: &mut Tx, edge: EdgeId) -> Result<u64, StoreError> {
    let row = sqlx::query!(r#"SELECT forsake_edge($1) AS "settled!""#, edge.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.settled.unsigned_abs())
}

const BYTES_MAX: i64 = i64::MAX / 4;
