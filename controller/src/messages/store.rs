//! The table `message`, as staff sees it.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{MessageId, MessageProviderId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{Draft, Filter, Message, MessageState};
use crate::db::{Cell, StoreError, Tx};

/// Nothing is written if the same was told before.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    draft: &Draft,
    sealed: Option<&[u8]>,
    parts: Option<u16>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let state = match draft.withheld {
        Some(_) => MessageState::Withheld,
        None => MessageState::Waiting,
    };
    sqlx::query!(
        "INSERT INTO message (tenant_id, id, kind, key, class, channel, language, recipient,
           subscriber_id, subject, body, secret_sealed, facts, attachment, segments, state, due_at,
           said, created_at, done_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
           $19, CASE WHEN $18::text IS NOT NULL THEN $19::timestamptz END)
         ON CONFLICT ON CONSTRAINT message_once DO NOTHING",
        tenant.as_uuid(),
        draft.id,
        draft.kind.as_str(),
        draft.key,
        draft.class.as_str(),
        draft.channel.as_str(),
        draft.language.as_str(),
        draft.recipient,
        draft.subscriber.map(|id| *id.as_uuid()),
        draft.text.subject,
        draft.text.body,
        sealed,
        &draft.facts,
        draft.attachment,
        parts.map(u16::cast_signed),
        state.as_str(),
        draft.due_at.to_sqlx() as _,
        draft.withheld,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    id: Option<MessageId>,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, class, channel, language, recipient, subscriber_id, subject, body,
                  segments, state, attempts, due_at AS "due_at: SqlTimestamp", provider_id,
                  reference, cost_micros, cost_currency, said,
                  created_at AS "created_at: SqlTimestamp", sent_at AS "sent_at: SqlTimestamp",
                  done_at AS "done_at: SqlTimestamp"
             FROM message
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
              AND ($4::uuid IS NULL OR subscriber_id = $4)
              AND ($5::text IS NULL OR state = $5)
            ORDER BY id LIMIT $6"#,
        tenant.as_uuid(),
        after,
        id.map(|id| *id.as_uuid()),
        filter.subscriber.map(|id| *id.as_uuid()),
        filter.state.map(MessageState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let messages = rows.into_iter().map(|row| {
        let cell = Cell { table: "message", row: row.id };
        Ok(Message {
            id: MessageId::from_uuid(row.id),
            kind: cell.parse("kind", &row.kind)?,
            class: cell.parse("class", &row.class)?,
            channel: cell.parse("channel", &row.channel)?,
            language: cell.parse("language", &row.language)?,
            recipient: row.recipient,
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
            subject: row.subject,
            body: row.body,
            segments: row.segments.map(i16::cast_unsigned),
            state: cell.parse("state", &row.state)?,
            attempts: row.attempts,
            due_at: row.due_at.to_jiff(),
            provider: row.provider_id.map(MessageProviderId::from_uuid),
            reference: row.reference,
            cost: row.cost_micros.zip(row.cost_currency),
            said: row.said,
            created_at: row.created_at.to_jiff(),
            sent_at: row.sent_at.map(SqlTimestamp::to_jiff),
            done_at: row.done_at.map(SqlTimestamp::to_jiff),
        })
    });
    messages.collect()
}

/// False: it was not given up, or a part of it is not kept any more.
pub(super) async fn resend(
    tx: &mut Tx,
    tenant: TenantId,
    id: MessageId,
    hidden: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE message
            SET state = 'waiting', attempts = 0, due_at = $3, said = NULL, done_at = NULL,
                sent_at = NULL, reference = NULL
          WHERE tenant_id = $1 AND id = $2 AND state = 'dead'
            AND (secret_sealed IS NOT NULL OR position($4 IN body) = 0)",
        tenant.as_uuid(),
        id.as_uuid(),
        now.to_sqlx() as _,
        hidden,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
