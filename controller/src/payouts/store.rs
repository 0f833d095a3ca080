//! The table `payout`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use shared::id::{MerchantId, PayoutId, ResellerId, TenantId};
use uuid::Uuid;

use super::{End, NewPayout, Payout, PayoutState, policy::PayoutPolicy};
use crate::{
    billing::Cents,
    db::{Cell, Db, StoreError, Tx, one},
    errands::Due,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    new: &NewPayout,
    requested_by: &str,
    now: Timestamp,
    not_before: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, requested_by,
           created_at, merchant_id, not_before)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.reseller.as_uuid(),
        new.msisdn.as_str(),
        new.amount.get(),
        requested_by,
        now.to_sqlx() as _,
        new.merchant.map(|id| *id.as_uuid()),
        not_before.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn lock(tx: &mut Tx, tenant: TenantId, id: PayoutId) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT id FROM payout WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
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
    id: PayoutId,
    by: &str,
    next: Option<Timestamp>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payout SET state = 'approved', approved_by = $3, next_at = $4,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        by,
        next.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn resolve(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    end: &End,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (state, provider_txn) = match end {
        End::Paid { provider_txn } => (PayoutState::Paid, Some(provider_txn.as_str())),
        End::Failed => (PayoutState::Failed, None),
    };
    sqlx::query!(
        "SELECT resolve_payout($1, $2, $3, $4)",
        id.as_uuid(),
        Uuid::now_v7(),
        state == PayoutState::Paid,
        now.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE payout SET state = $3, provider_txn = $4, next_at = NULL, version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        state.as_str(),
        provider_txn,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<PayoutId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Payout>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, reseller_id, msisdn, amount_cents, state, requested_by, approved_by,
                  provider_txn, merchant_id, code, asks, version,
                  sent_at AS "sent_at: jiff_sqlx::Timestamp",
                  not_before AS "not_before: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payout
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
    let mut payouts = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "payout", row: row.id };
        payouts.push(Payout {
            id: PayoutId::from_uuid(row.id),
            reseller: ResellerId::from_uuid(row.reseller_id),
            msisdn: at.parse("msisdn", &row.msisdn)?,
            amount: Cents::new(row.amount_cents),
            state: at.parse("state", &row.state)?,
            requested_by: row.requested_by,
            approved_by: row.approved_by,
            provider_txn: at.maybe("provider_txn", row.provider_txn.as_deref())?,
            merchant: row.merchant_id.map(MerchantId::from_uuid),
            code: row.code,
            sent_at: row.sent_at.map(jiff_sqlx::Timestamp::to_jiff),
            not_before: row.not_before.map(jiff_sqlx::Timestamp::to_jiff),
            asks: row.asks,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(payouts)
}

pub(super) async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, next_at AS "at!: jiff_sqlx::Timestamp"
             FROM payout
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
        "UPDATE payout SET next_at = $4 WHERE tenant_id = $1 AND id = $2 AND next_at = $3",
        due.tenant.as_uuid(),
        due.row,
        due.at.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// It is with the provider; what came of it is not known yet.
pub(super) async fn sent(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    now: Timestamp,
    next: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payout SET sent_at = coalesce(sent_at, $3), next_at = $4, asks = asks + 1
          WHERE tenant_id = $1 AND id = $2 AND state IN ('approved', 'unknown')",
        tenant.as_uuid(),
        id.as_uuid(),
        now.to_sqlx() as _,
        next.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Nobody knows what came of it; a result that came in the meantime stays.
pub(super) async fn unknown(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    code: Option<&str>,
    next: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payout SET state = 'unknown', code = coalesce($3, code), next_at = $4,
                version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND state IN ('approved', 'unknown')",
        tenant.as_uuid(),
        id.as_uuid(),
        code,
        next.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// It is not with the provider, for certain.
pub(super) async fn not_sent(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    code: &str,
    next: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payout SET sent_at = NULL, asks = 0, code = $3, next_at = $4
          WHERE tenant_id = $1 AND id = $2 AND state = 'approved'",
        tenant.as_uuid(),
        id.as_uuid(),
        code,
        next.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Was this reseller paid before, and never at this number?
pub(super) async fn is_new_number(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewPayout,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) > 0 AND NOT coalesce(bool_or(msisdn = $3), false) AS "new!"
             FROM payout
            WHERE tenant_id = $1 AND reseller_id = $2 AND state = 'paid'"#,
        tenant.as_uuid(),
        new.reseller.as_uuid(),
        new.msisdn.as_str(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.new)
}

pub(super) async fn policy(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<Option<PayoutPolicy>, StoreError> {
    let row = sqlx::query!(
        "SELECT new_number_hours, version FROM payout_policy WHERE tenant_id = $1",
        tenant.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "payout_policy", row: *tenant.as_uuid() };
    let new_number_hours = at.number("new_number_hours", row.new_number_hours.into())?;
    Ok(Some(PayoutPolicy { new_number_hours, version: row.version }))
}

/// False if it is not of this version any more.
pub(super) async fn set_policy(
    tx: &mut Tx,
    tenant: TenantId,
    new_number_hours: u16,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO payout_policy AS old (tenant_id, new_number_hours)
         SELECT $1, $3
          WHERE $2::bigint = 0 OR EXISTS (SELECT FROM payout_policy WHERE tenant_id = $1)
         ON CONFLICT (tenant_id) DO UPDATE
            SET new_number_hours = excluded.new_number_hours, version = old.version + 1
          WHERE old.version = $2",
        tenant.as_uuid(),
        version,
        i32::from(new_number_hours),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn note(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    code: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payout SET code = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        code,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}
