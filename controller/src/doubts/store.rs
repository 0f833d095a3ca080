//! The table `payment_doubt`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{DoubtId, IntentId, MerchantId, TenantId};
use uuid::Uuid;

use super::{Doubt, DoubtKind, DoubtState, NewDoubt};
use crate::db::{Cell, StoreError, Tx};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: DoubtId,
    new: &NewDoubt,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payment_doubt (tenant_id, id, kind, about, merchant_id, intent_id, said,
           created_at)
         VALUES ($1, $2, $3, left($4, 100), $5, $6, left($7, 1000), $8)
         ON CONFLICT ON CONSTRAINT payment_doubt_once DO NOTHING",
        tenant.as_uuid(),
        id.as_uuid(),
        new.kind.as_str(),
        new.about,
        new.merchant.map(|id| *id.as_uuid()),
        new.intent.map(|id| *id.as_uuid()),
        new.said,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// As [`close`], by what it is about.
pub(super) async fn settle(
    tx: &mut Tx,
    tenant: TenantId,
    kind: DoubtKind,
    about: &[&str],
    note: &str,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let about: Vec<_> = about.iter().map(|about| (*about).to_owned()).collect();
    sqlx::query!(
        "UPDATE payment_doubt SET state = 'closed', note = $4, closed_by = $5, closed_at = $6
          WHERE tenant_id = $1 AND kind = $2 AND about = ANY ($3) AND state = 'open'",
        tenant.as_uuid(),
        kind.as_str(),
        &about,
        note,
        by,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False if it is closed already.
pub(super) async fn close(
    tx: &mut Tx,
    tenant: TenantId,
    id: DoubtId,
    note: &str,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_doubt SET state = 'closed', note = $3, closed_by = $4, closed_at = $5
          WHERE tenant_id = $1 AND id = $2 AND state = 'open'",
        tenant.as_uuid(),
        id.as_uuid(),
        note,
        by,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<DoubtId>,
    state: Option<DoubtState>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Doubt>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, about, merchant_id, intent_id, said, state, note, closed_by,
                  closed_at AS "closed_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment_doubt
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        state.map(DoubtState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut doubts = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "payment_doubt", row: row.id };
        doubts.push(Doubt {
            id: DoubtId::from_uuid(row.id),
            kind: at.parse("kind", &row.kind)?,
            about: row.about,
            merchant: row.merchant_id.map(MerchantId::from_uuid),
            intent: row.intent_id.map(IntentId::from_uuid),
            said: row.said,
            state: at.parse("state", &row.state)?,
            note: row.note,
            closed_by: row.closed_by,
            closed_at: row.closed_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(doubts)
}
