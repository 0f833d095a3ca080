//! The table `message`, as who sends sees it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{MessageProviderId, TenantId};
use uuid::Uuid;

use super::{Leased, MessageState, Outcome};
use crate::db::{Cell, StoreError, Tx};

/// What is due, leased until `until`: what another controller has is passed over.
pub(super) async fn take(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<Leased>, StoreError> {
    let lease = Uuid::now_v7();
    let rows = sqlx::query!(
        "UPDATE message m
            SET state = 'sending', lease = $4, leased_until = $3, attempts = m.attempts + 1
           FROM (SELECT id FROM message
                  WHERE tenant_id = $1 AND state = 'waiting' AND due_at <= $2
                  ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED) due
          WHERE m.tenant_id = $1 AND m.id = due.id
         RETURNING m.id, m.channel, m.language, m.recipient, m.subject, m.body, m.secret_sealed,
                   m.facts, m.attachment, m.attempts",
        tenant.as_uuid(),
        now.to_sqlx() as _,
        until.to_sqlx() as _,
        lease,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let leased = rows.into_iter().map(|row| {
        let cell = Cell { table: "message", row: row.id };
        Ok(Leased {
            id: row.id,
            lease,
            channel: cell.parse("channel", &row.channel)?,
            language: cell.parse("language", &row.language)?,
            recipient: row.recipient,
            subject: row.subject,
            body: row.body,
            secret_sealed: row.secret_sealed,
            facts: row.facts,
            attachment: row.attachment,
            attempts: row.attempts,
        })
    });
    leased.collect()
}

/// Those whose lease ran out without a word.
pub(super) async fn give_up(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    said: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE message
            SET state = 'dead', lease = NULL, leased_until = NULL, said = $3, done_at = $2
          WHERE tenant_id = $1 AND state = 'sending' AND leased_until < $2",
        tenant.as_uuid(),
        now.to_sqlx() as _,
        said,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False: it is not ours any more.
pub(super) async fn done(
    tx: &mut Tx,
    tenant: TenantId,
    leased: &Leased,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sent = outcome.state == MessageState::Sent;
    let over = outcome.state == MessageState::Dead;
    let (micros, currency) = outcome.taken.cost.clone().unzip();
    let done = sqlx::query!(
        "UPDATE message
            SET state = $4, lease = NULL, leased_until = NULL, provider_id = $5, reference = $6,
                cost_micros = $7, cost_currency = $8, said = left($9, 1000), due_at = $10,
                sent_at = $11, done_at = $12,
                secret_sealed = CASE WHEN $11::timestamptz IS NULL THEN secret_sealed END
          WHERE tenant_id = $1 AND id = $2 AND lease = $3",
        tenant.as_uuid(),
        leased.id,
        leased.lease,
        outcome.state.as_str(),
        outcome.provider.map(|id: MessageProviderId| *id.as_uuid()),
        outcome.taken.reference,
        micros,
        currency,
        outcome.said,
        outcome.due_at.to_sqlx() as _,
        sent.then(|| now.to_sqlx()) as _,
        over.then(|| now.to_sqlx()) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
