//! The tables `invoice`, `invoice_line` and `credit_note`.

pub(super) mod bulk;

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{CreditNoteId, InvoiceId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{CreditNote, Filter, Invoice, InvoiceState, Line, Open};
use crate::{
    billing::{Cents, Split},
    db::{Cell, StoreError, Tx, one},
    words::Text,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO invoice (tenant_id, id, subscriber_id, created_at) VALUES ($1, $2, $3, $4)",
        tenant.as_uuid(),
        id.as_uuid(),
        subscriber.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_lines(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
    lines: &[Line],
) -> Result<(), StoreError> {
    for (n, line) in (1..).zip(lines) {
        sqlx::query!(
            "INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, descr, net_cents,
               excise_cents, vat_cents)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            tenant.as_uuid(),
            id.as_uuid(),
            n,
            line.kind.as_str(),
            line.descr.as_str(),
            line.split.net.get(),
            line.split.excise.get(),
            line.split.vat.get(),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// All lines of a draft.
pub(super) async fn delete_lines(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM invoice_line WHERE tenant_id = $1 AND invoice_id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What is said of a draft beside its lines. The database counts the versions.
pub(super) async fn amend(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
    due_on: Option<Date>,
    notes: Option<&Text>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE invoice SET due_on = $3, notes = $4 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        due_on.map(Date::to_sqlx) as _,
        notes.map(Text::as_str),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn lock(tx: &mut Tx, tenant: TenantId, id: InvoiceId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM invoice WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
) -> Result<Option<Invoice>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, subscriber_id, series, state, number,
                  issued_at AS "issued_at: jiff_sqlx::Timestamp",
                  due_on AS "due_on: jiff_sqlx::Date", notes, version, net_cents, excise_cents, vat_cents,
                  paid_cents, credited_cents, created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM invoice
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_lines(tx, tenant, vec![row]).await?.pop())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Invoice>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, subscriber_id, series, state, number,
                  issued_at AS "issued_at: jiff_sqlx::Timestamp",
                  due_on AS "due_on: jiff_sqlx::Date", notes, version, net_cents, excise_cents, vat_cents,
                  paid_cents, credited_cents, created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM invoice
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR subscriber_id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.subscriber.map(|id| *id.as_uuid()),
        filter.state.map(InvoiceState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    with_lines(tx, tenant, rows).await
}

async fn with_lines(
    tx: &mut Tx,
    tenant: TenantId,
    rows: Vec<Row>,
) -> Result<Vec<Invoice>, StoreError> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let lines = sqlx::query!(
        "SELECT invoice_id, kind, descr, net_cents, excise_cents, vat_cents
           FROM invoice_line
          WHERE tenant_id = $1 AND invoice_id = ANY ($2)
          ORDER BY invoice_id, line_no",
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut invoices = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "invoice_line", row: row.id };
        let of_invoice = lines.iter().filter(|line| line.invoice_id == row.id);
        let lines = of_invoice
            .map(|line| {
                Ok(Line {
                    kind: at.parse("kind", &line.kind)?,
                    descr: at.parse("descr", &line.descr)?,
                    split: split(line.net_cents, line.excise_cents, line.vat_cents),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        invoices.push(Invoice { lines, ..Invoice::try_from(row)? });
    }
    Ok(invoices)
}

pub(super) async fn delete(tx: &mut Tx, tenant: TenantId, id: InvoiceId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "DELETE FROM invoice WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The database gives the number and sums up the lines.
pub(super) async fn finalise(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvoiceId,
    due_on: Date,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE invoice SET state = 'finalised', issued_at = $3, due_on = $4
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        now.to_sqlx() as _,
        due_on.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn void(tx: &mut Tx, tenant: TenantId, id: InvoiceId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE invoice SET state = 'void' WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Its number.
pub(super) async fn insert_credit_note(
    tx: &mut Tx,
    tenant: TenantId,
    note: &CreditNote,
) -> Result<String, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO credit_note (tenant_id, id, invoice_id, net_cents, excise_cents, vat_cents,
           reason, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING number",
        tenant.as_uuid(),
        note.id.as_uuid(),
        note.invoice.as_uuid(),
        note.split.net.get(),
        note.split.excise.get(),
        note.split.vat.get(),
        note.reason.as_str(),
        note.at.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(number("CRN", row.number))
}

pub(super) async fn credit_notes(
    tx: &mut Tx,
    tenant: TenantId,
    invoice: InvoiceId,
) -> Result<Vec<CreditNote>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, number, net_cents, excise_cents, vat_cents, reason,
                  at AS "at: jiff_sqlx::Timestamp"
             FROM credit_note
            WHERE tenant_id = $1 AND invoice_id = $2
            ORDER BY number"#,
        tenant.as_uuid(),
        invoice.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut notes = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "credit_note", row: row.id };
        notes.push(CreditNote {
            id: CreditNoteId::from_uuid(row.id),
            invoice,
            number: number("CRN", row.number),
            split: split(row.net_cents, row.excise_cents, row.vat_cents),
            reason: at.parse("reason", &row.reason)?,
            at: row.at.to_jiff(),
        });
    }
    Ok(notes)
}

pub(super) async fn lock_open(
    tx: &mut Tx,
    tenant: TenantId,
    subscribers: &[SubscriberId],
    one: Option<InvoiceId>,
) -> Result<Vec<Open>, StoreError> {
    let subscribers: Vec<_> = subscribers.iter().map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT id, subscriber_id, total_cents - paid_cents - credited_cents AS "open!"
             FROM invoice
            WHERE tenant_id = $1 AND subscriber_id = ANY ($2) AND state = 'finalised'
              AND paid_cents + credited_cents < net_cents + excise_cents + vat_cents
              AND ($3::uuid IS NULL OR id = $3)
            ORDER BY subscriber_id, due_on, id
            FOR UPDATE"#,
        tenant.as_uuid(),
        &subscribers,
        one.map(|id| *id.as_uuid()),
    )
    .fetch_all(&mut **tx)
    .await?;
    let open = rows.into_iter().map(|row| Open {
        id: InvoiceId::from_uuid(row.id),
        subscriber: SubscriberId::from_uuid(row.subscriber_id),
        open: Cents::new(row.open),
    });
    Ok(open.collect())
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    subscriber_id: Uuid,
    series: String,
    state: String,
    number: Option<i64>,
    issued_at: Option<jiff_sqlx::Timestamp>,
    due_on: Option<jiff_sqlx::Date>,
    notes: Option<String>,
    version: i64,
    net_cents: i64,
    excise_cents: i64,
    vat_cents: i64,
    paid_cents: i64,
    credited_cents: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Invoice {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "invoice", row: row.id };
        Ok(Self {
            id: InvoiceId::from_uuid(row.id),
            subscriber: SubscriberId::from_uuid(row.subscriber_id),
            state: at.parse("state", &row.state)?,
            number: row.number.map(|n| number(&row.series, n)),
            issued_at: row.issued_at.map(jiff_sqlx::Timestamp::to_jiff),
            due_on: row.due_on.map(jiff_sqlx::Date::to_jiff),
            notes: at.maybe("notes", row.notes.as_deref())?,
            version: row.version,
            split: split(row.net_cents, row.excise_cents, row.vat_cents),
            paid: Cents::new(row.paid_cents),
            credited: Cents::new(row.credited_cents),
            lines: Vec::new(),
            created_at: row.created_at.to_jiff(),
        })
    }
}

const fn split(net: i64, excise: i64, vat: i64) -> Split {
    Split { net: Cents::new(net), excise: Cents::new(excise), vat: Cents::new(vat) }
}

fn number(series: &str, n: i64) -> String {
    format!("{series}-{n:06}")
}
