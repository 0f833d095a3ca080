//! The table `payment_refund`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use shared::id::{IntentId, MerchantId, PaymentId, RefundId, TenantId};
use uuid::Uuid;

use super::{End, Refund, RefundState};
use crate::{
    billing::Cents,
    db::{Cell, Db, StoreError, Tx, one},
    errands::Due,
    payments::Provider,
    words::Receipt,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    refund: &Refund,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payment_refund (tenant_id, id, payment_id, amount_cents, kind, state,
           owed_cents, reason, requested_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant.as_uuid(),
        refund.id.as_uuid(),
        refund.payment.as_uuid(),
        refund.amount.get(),
        refund.kind.as_str(),
        refund.state.as_str(),
        refund.owed.get(),
        refund.reason.as_str(),
        refund.requested_by,
        refund.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn hold(
    tx: &mut Tx,
    id: RefundId,
    payment: PaymentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT hold_refund($1, $2, $3, $4)",
        id.as_uuid(),
        Uuid::now_v7(),
        payment.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn take_back(
    tx: &mut Tx,
    id: RefundId,
    payment: PaymentId,
    owed: Cents,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT take_back($1, $2, $3, $4, $5)",
        id.as_uuid(),
        Uuid::now_v7(),
        payment.as_uuid(),
        owed.get(),
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn lock(tx: &mut Tx, tenant: TenantId, id: RefundId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM payment_refund WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn approve(
    tx: &mut Tx,
    tenant: TenantId,
    id: RefundId,
    by: &str,
    next: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_refund SET state = 'approved', approved_by = $3, next_at = $4,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        by,
        next.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn resolve(
    tx: &mut Tx,
    tenant: TenantId,
    id: RefundId,
    end: &End,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (state, provider_txn) = match end {
        End::Done { provider_txn } => (RefundState::Done, provider_txn.as_ref()),
        End::Failed => (RefundState::Failed, None),
    };
    sqlx::query!(
        "SELECT resolve_refund($1, $2, $3, $4)",
        id.as_uuid(),
        Uuid::now_v7(),
        state == RefundState::Done,
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE payment_refund SET state = $3, provider_txn = $4, next_at = NULL,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        state.as_str(),
        provider_txn.map(Receipt::as_str),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn note(
    tx: &mut Tx,
    tenant: TenantId,
    id: RefundId,
    code: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_refund SET code = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        code,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// When it is looked at again, if at all; and if it was sent, since when.
pub(super) async fn sent(
    tx: &mut Tx,
    tenant: TenantId,
    id: RefundId,
    state: RefundState,
    next: Option<Timestamp>,
    sent: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payment_refund SET state = $3, next_at = $4, sent_at = coalesce(sent_at, $5),
                version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND state IN ('approved', 'unknown')",
        tenant.as_uuid(),
        id.as_uuid(),
        state.as_str(),
        next.map(ToSqlx::to_sqlx) as _,
        sent.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, next_at AS "at!: jiff_sqlx::Timestamp"
             FROM payment_refund
            WHERE next_at <= $1
            ORDER BY next_at
            LIMIT $2"#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&db.inbox)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        tenant: TenantId::from_uuid(row.tenant_id),
        row: row.id,
        at: row.at.to_jiff(),
    });
    Ok(due.collect())
}

/// Takes one until `until`; false: somebody else was faster, or it has ended.
pub(super) async fn take(tx: &mut Tx, due: Due, until: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_refund SET next_at = $4
          WHERE tenant_id = $1 AND id = $2 AND next_at = $3",
        due.tenant.as_uuid(),
        due.row,
        due.at.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How a payment goes back.
pub(super) struct Way {
    /// The account that took it in.
    pub(super) merchant: MerchantId,
    pub(super) receipt: Receipt,
    pub(super) intent: Option<IntentId>,
}

/// None: no provider took it in.
pub(super) async fn way_back(
    tx: &mut Tx,
    tenant: TenantId,
    payment: PaymentId,
) -> Result<Option<Way>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT m.id AS merchant_id, p.id, p.receipt, p.intent_id
             FROM payment p
             JOIN merchant m ON m.tenant_id = p.tenant_id AND m.provider = p.provider
                            AND m.shortcode = p.shortcode
            WHERE p.tenant_id = $1 AND p.id = $2
            ORDER BY m.disabled, m.id
            LIMIT 1"#,
        tenant.as_uuid(),
        payment.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "payment", row: row.id };
    Ok(Some(Way {
        merchant: MerchantId::from_uuid(row.merchant_id),
        receipt: at.parse("receipt", &row.receipt)?,
        intent: row.intent_id.map(IntentId::from_uuid),
    }))
}

/// Asks the provider at once what came of giving a payment back; false: the payment is ours, and
/// it does not go back.
pub(super) async fn look(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    intent: Option<IntentId>,
    receipt: Option<&Receipt>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"WITH ours AS (
             SELECT id FROM payment
              WHERE tenant_id = $1 AND provider = $2 AND (intent_id = $3 OR receipt = $4)),
           looked AS (
             UPDATE payment_refund r SET next_at = $5
               FROM ours
              WHERE r.tenant_id = $1 AND r.payment_id = ours.id
                AND r.state IN ('approved', 'unknown') AND r.sent_at IS NOT NULL)
           SELECT NOT EXISTS (SELECT FROM ours)
               OR EXISTS (SELECT FROM payment_refund r JOIN ours ON r.payment_id = ours.id
                           WHERE r.tenant_id = $1 AND r.state <> 'failed') AS "known!""#,
        tenant.as_uuid(),
        provider.as_str(),
        intent.map(|id| *id.as_uuid()),
        receipt.map(Receipt::as_str),
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.known)
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<RefundId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Refund>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, payment_id, amount_cents, kind, state, owed_cents, reason, requested_by,
                  approved_by, provider_txn, code, version,
                  sent_at AS "sent_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment_refund
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut refunds = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "payment_refund", row: row.id };
        refunds.push(Refund {
            id: RefundId::from_uuid(row.id),
            payment: PaymentId::from_uuid(row.payment_id),
            amount: Cents::new(row.amount_cents),
            kind: at.parse("kind", &row.kind)?,
            state: at.parse("state", &row.state)?,
            owed: Cents::new(row.owed_cents),
            reason: at.parse("reason", &row.reason)?,
            requested_by: row.requested_by,
            approved_by: row.approved_by,
            provider_txn: at.maybe("provider_txn", row.provider_txn.as_deref())?,
            code: row.code,
            sent_at: row.sent_at.map(jiff_sqlx::Timestamp::to_jiff),
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(refunds)
}
