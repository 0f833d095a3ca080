//! The tables `ticket` and `ticket_note`.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, SubscriberId, TenantId, TicketId, TicketNoteId};
use uuid::Uuid;

use super::{Clock, Filter, Ticket, TicketNote, TicketState};
use crate::{
    actor::Actor,
    db::{Cell, StoreError, Tx, one},
    words::Text,
};

/// Counts from 1, without gaps: what is rolled back is not counted.
pub(super) async fn next_number(tx: &mut Tx, tenant: TenantId) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        r#"INSERT INTO tenant_counter AS counter (tenant_id, name, next_no)
           VALUES ($1, 'ticket', 2)
           ON CONFLICT (tenant_id, name) DO UPDATE SET next_no = counter.next_no + 1
           RETURNING next_no - 1 AS "n!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.n)
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    ticket: &Ticket,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO ticket (tenant_id, id, reference, subscriber_id, subject, channel, priority,
           opened_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        ticket.id.as_uuid(),
        ticket.reference,
        ticket.subscriber.map(|id| *id.as_uuid()),
        ticket.subject.as_str(),
        ticket.channel.as_str(),
        ticket.priority.as_str(),
        ticket.clock.opened_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_note(
    tx: &mut Tx,
    actor: &Actor,
    ticket: TicketId,
    body: &Text,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO ticket_note (tenant_id, id, ticket_id, at, author, body)
         VALUES ($1, $2, $3, $4, $5, $6)",
        actor.tenant.as_uuid(),
        Uuid::now_v7(),
        ticket.as_uuid(),
        now.to_sqlx() as _,
        actor.name(),
        body.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn notes(
    tx: &mut Tx,
    tenant: TenantId,
    ticket: TicketId,
) -> Result<Vec<TicketNote>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, at AS "at: jiff_sqlx::Timestamp", author, body
             FROM ticket_note
            WHERE tenant_id = $1 AND ticket_id = $2
            ORDER BY id"#,
        tenant.as_uuid(),
        ticket.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut notes = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "ticket_note", row: row.id };
        notes.push(TicketNote {
            id: TicketNoteId::from_uuid(row.id),
            at: row.at.to_jiff(),
            author: row.author,
            body: at.parse("body", &row.body)?,
        });
    }
    Ok(notes)
}

pub(super) async fn lock(tx: &mut Tx, tenant: TenantId, id: TicketId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM ticket WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

/// Of a locked row.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    ticket: &Ticket,
) -> Result<(), StoreError> {
    let Clock { acknowledged_at, resolved_at, waiting_since, waited, opened_at: _ } = ticket.clock;
    let done = sqlx::query!(
        "UPDATE ticket SET subject = $3, priority = $4, state = $5, assigned_to = $6,
                acknowledged_at = $7, resolved_at = $8, waiting_since = $9, waited_seconds = $10,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        ticket.id.as_uuid(),
        ticket.subject.as_str(),
        ticket.priority.as_str(),
        ticket.state.as_str(),
        ticket.assigned_to.map(|id| *id.as_uuid()),
        acknowledged_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        resolved_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        waiting_since.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        waited.as_secs(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: TicketId,
) -> Result<Option<Ticket>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, subscriber_id, subject, channel, priority, state, assigned_to,
                  opened_at AS "opened_at: jiff_sqlx::Timestamp",
                  acknowledged_at AS "acknowledged_at: jiff_sqlx::Timestamp",
                  resolved_at AS "resolved_at: jiff_sqlx::Timestamp",
                  waiting_since AS "waiting_since: jiff_sqlx::Timestamp", waited_seconds, version
             FROM ticket
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Ticket::try_from).transpose()
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Ticket>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, reference, subscriber_id, subject, channel, priority, state, assigned_to,
                  opened_at AS "opened_at: jiff_sqlx::Timestamp",
                  acknowledged_at AS "acknowledged_at: jiff_sqlx::Timestamp",
                  resolved_at AS "resolved_at: jiff_sqlx::Timestamp",
                  waiting_since AS "waiting_since: jiff_sqlx::Timestamp", waited_seconds, version
             FROM ticket
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR subscriber_id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.subscriber.map(|id| *id.as_uuid()),
        filter.state.map(TicketState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Ticket::try_from).collect()
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    reference: String,
    subscriber_id: Option<Uuid>,
    subject: String,
    channel: String,
    priority: String,
    state: String,
    assigned_to: Option<Uuid>,
    opened_at: jiff_sqlx::Timestamp,
    acknowledged_at: Option<jiff_sqlx::Timestamp>,
    resolved_at: Option<jiff_sqlx::Timestamp>,
    waiting_since: Option<jiff_sqlx::Timestamp>,
    waited_seconds: i64,
    version: i64,
}

impl TryFrom<Row> for Ticket {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "ticket", row: row.id };
        Ok(Self {
            id: TicketId::from_uuid(row.id),
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
            subject: at.parse("subject", &row.subject)?,
            channel: at.parse("channel", &row.channel)?,
            priority: at.parse("priority", &row.priority)?,
            state: at.parse("state", &row.state)?,
            assigned_to: row.assigned_to.map(OperatorId::from_uuid),
            clock: Clock {
                opened_at: row.opened_at.to_jiff(),
                acknowledged_at: row.acknowledged_at.map(jiff_sqlx::Timestamp::to_jiff),
                resolved_at: row.resolved_at.map(jiff_sqlx::Timestamp::to_jiff),
                waiting_since: row.waiting_since.map(jiff_sqlx::Timestamp::to_jiff),
                waited: SignedDuration::from_secs(row.waited_seconds),
            },
            reference: row.reference,
            version: row.version,
        })
    }
}
