//! The tables `payment` and `payment_allocation`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{InvoiceId, PaymentId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{
    Allocation, Filter, Incoming, OWN_RECEIPTS, Payment, PaymentState, Provider, allocation::Part,
};
use crate::{
    billing::Cents,
    db::{Cell, StoreError, Tx, exactly, one},
    gateways::Window,
    ledger,
    words::{Receipt, Shortcode},
};

/// The next of the tenant's own, without gaps.
pub(super) async fn next_receipts(
    tx: &mut Tx,
    tenant: TenantId,
    count: usize,
) -> Result<Vec<Receipt>, StoreError> {
    let at = Cell { table: "number_series", row: *tenant.as_uuid() };
    let Ok(count @ 1..) = i32::try_from(count) else { return Ok(Vec::new()) };
    let row = sqlx::query!(r#"SELECT take_numbers('RCT', $1) AS "first!""#, count)
        .fetch_one(&mut **tx)
        .await?;
    let numbers = row.first..row.first + i64::from(count);
    numbers.map(|number| at.parse("next_no", &format!("{OWN_RECEIPTS}{number:06}"))).collect()
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applied {
    /// Its payment.
    pub(super) id: PaymentId,
    /// It was made now.
    pub(super) fresh: bool,
}

/// Credits each that is new, in their order. With the ids that they get.
pub(super) async fn apply(
    tx: &mut Tx,
    some: &[(PaymentId, Incoming<'_>, Timestamp)],
) -> Result<Vec<Applied>, StoreError> {
    if some.is_empty() {
        return Ok(Vec::new());
    }
    let texts = |of: fn(&Incoming<'_>) -> String| {
        some.iter().map(|(_, new, _)| of(new)).collect::<Vec<_>>()
    };
    let ids = |of: fn(&Incoming<'_>) -> Option<Uuid>| {
        some.iter().map(|(_, new, _)| of(new)).collect::<Vec<_>>()
    };
    let rows = sqlx::query!(
        r#"SELECT payment_id AS "payment_id!", fresh AS "fresh!"
             FROM apply_payments($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[],
                                 $6::uuid[], $7::uuid[], $8::bigint[], $9::timestamptz[],
                                 $10::timestamptz[])
            ORDER BY n"#,
        &some.iter().map(|(id, ..)| *id.as_uuid()).collect::<Vec<_>>(),
        &some.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &texts(|new| new.provider.as_str().to_owned()),
        &texts(|new| new.receipt.as_str().to_owned()),
        &texts(|new| new.shortcode.as_str().to_owned()),
        ids(|new| new.subscriber.map(|id| *id.as_uuid())) as _,
        ids(|new| new.intent.map(|id| *id.as_uuid())) as _,
        &some.iter().map(|(_, new, _)| new.amount.get()).collect::<Vec<_>>(),
        some.iter().map(|(_, new, now)| new.paid_at.unwrap_or(*now).to_sqlx()).collect::<Vec<_>>()
            as _,
        some.iter().map(|(.., now)| now.to_sqlx()).collect::<Vec<_>>() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    exactly(some.len() as u64, rows.len() as u64)?;
    let applied = rows
        .iter()
        .map(|row| Applied { id: PaymentId::from_uuid(row.payment_id), fresh: row.fresh });
    Ok(applied.collect())
}

/// What helps to find out whose money it is.
pub(super) async fn note(
    tx: &mut Tx,
    tenant: TenantId,
    id: PaymentId,
    reference: Option<&str>,
    payer: Option<&str>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment SET reference = left($3, 64), payer = left($4, 128)
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        reference,
        payer,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Those of the receipts that are in the books.
pub(super) async fn known(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    receipts: &[String],
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query!(
        "SELECT receipt FROM payment
          WHERE tenant_id = $1 AND provider = $2 AND receipt = ANY ($3)",
        tenant.as_uuid(),
        provider.as_str(),
        receipts,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.receipt).collect())
}

pub(super) async fn of_day(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    shortcode: &Shortcode,
    window: Window,
) -> Result<Vec<(Receipt, Cents)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, receipt, amount_cents FROM payment
          WHERE tenant_id = $1 AND provider = $2 AND shortcode = $3
            AND paid_at >= $4 AND paid_at < $5",
        tenant.as_uuid(),
        provider.as_str(),
        shortcode.as_str(),
        window.from.to_sqlx() as _,
        window.until.to_sqlx() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| amount(row.id, &row.receipt, row.amount_cents)).collect()
}

pub(super) async fn amounts(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    receipts: &[String],
) -> Result<Vec<(Receipt, Cents)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, receipt, amount_cents FROM payment
          WHERE tenant_id = $1 AND provider = $2 AND receipt = ANY ($3)",
        tenant.as_uuid(),
        provider.as_str(),
        receipts,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|row| amount(row.id, &row.receipt, row.amount_cents)).collect()
}

fn amount(id: Uuid, receipt: &str, cents: i64) -> Result<(Receipt, Cents), StoreError> {
    let at = Cell { table: "payment", row: id };
    Ok((at.parse("receipt", receipt)?, Cents::new(cents)))
}

pub(super) async fn assign(
    tx: &mut Tx,
    tenant: TenantId,
    id: PaymentId,
    subscriber: SubscriberId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment SET subscriber_id = $3, state = 'matched'
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        subscriber.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn insert_allocations(
    tx: &mut Tx,
    tenant: TenantId,
    parts: &[Part],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payment_allocation (tenant_id, id, payment_id, invoice_id, cents, at)
         SELECT $1, a.id, a.payment, a.invoice, a.cents, $6
           FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[])
                  WITH ORDINALITY AS a (id, payment, invoice, cents, n)
          ORDER BY a.n",
        tenant.as_uuid(),
        &parts.iter().map(|part| part.id).collect::<Vec<_>>(),
        &parts.iter().map(|part| *part.payment.as_uuid()).collect::<Vec<_>>(),
        &parts.iter().map(|part| *part.invoice.as_uuid()).collect::<Vec<_>>(),
        &parts.iter().map(|part| part.cents.get()).collect::<Vec<_>>(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn wallet(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Cents, StoreError> {
    let row = sqlx::query!(
        "SELECT balance_cents FROM ledger_account WHERE tenant_id = $1 AND code = $2",
        tenant.as_uuid(),
        ledger::wallet_of(subscriber),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or(Cents::ZERO, |row| Cents::new(row.balance_cents)))
}

pub(super) async fn lock(tx: &mut Tx, tenant: TenantId, id: PaymentId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM payment WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

/// Those that are there.
pub(super) async fn find_all(
    tx: &mut Tx,
    tenant: TenantId,
    ids: &[PaymentId],
) -> Result<Vec<Payment>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, provider, receipt, shortcode, subscriber_id, amount_cents, allocated_cents,
                  state, paid_at AS "paid_at: jiff_sqlx::Timestamp", reference, payer,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment
            WHERE tenant_id = $1 AND id = ANY ($2)"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    with_allocations(tx, tenant, rows).await
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Payment>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, provider, receipt, shortcode, subscriber_id, amount_cents, allocated_cents,
                  state, paid_at AS "paid_at: jiff_sqlx::Timestamp", reference, payer,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR subscriber_id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.subscriber.map(|id| *id.as_uuid()),
        filter.state.map(PaymentState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    with_allocations(tx, tenant, rows).await
}

async fn with_allocations(
    tx: &mut Tx,
    tenant: TenantId,
    rows: Vec<Row>,
) -> Result<Vec<Payment>, StoreError> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let allocations = sqlx::query!(
        r#"SELECT payment_id, invoice_id, cents, at AS "at: jiff_sqlx::Timestamp"
             FROM payment_allocation
            WHERE tenant_id = $1 AND payment_id = ANY ($2)
            ORDER BY id"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut payments = Vec::with_capacity(rows.len());
    for row in rows {
        let of_payment = allocations.iter().filter(|one| one.payment_id == row.id);
        let allocations = of_payment.map(|one| Allocation {
            invoice: InvoiceId::from_uuid(one.invoice_id),
            cents: Cents::new(one.cents),
            at: one.at.to_jiff(),
        });
        let allocations = allocations.collect();
        payments.push(Payment { allocations, ..Payment::try_from(row)? });
    }
    Ok(payments)
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    provider: String,
    receipt: String,
    shortcode: String,
    subscriber_id: Option<Uuid>,
    amount_cents: i64,
    allocated_cents: i64,
    state: String,
    paid_at: jiff_sqlx::Timestamp,
    reference: Option<String>,
    payer: Option<String>,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Payment {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "payment", row: row.id };
        Ok(Self {
            id: PaymentId::from_uuid(row.id),
            provider: at.parse("provider", &row.provider)?,
            receipt: at.parse("receipt", &row.receipt)?,
            shortcode: at.parse("shortcode", &row.shortcode)?,
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
            amount: Cents::new(row.amount_cents),
            allocated: Cents::new(row.allocated_cents),
            state: at.parse("state", &row.state)?,
            paid_at: row.paid_at.to_jiff(),
            reference: row.reference,
            payer: row.payer,
            allocations: Vec::new(),
            created_at: row.created_at.to_jiff(),
        })
    }
}
