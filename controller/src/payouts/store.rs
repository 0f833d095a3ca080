//! The table `payout`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{PayoutId, ResellerId, TenantId};
use uuid::Uuid;

use super::{End, NewPayout, Payout, PayoutState};
use crate::{
    billing::Cents,
    db::{Cell, StoreError, Tx, one},
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: PayoutId,
    new: &NewPayout,
    requested_by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, requested_by,
           created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.reseller.as_uuid(),
        new.msisdn.as_str(),
        new.amount.get(),
        requested_by,
        now.to_sqlx() as _,
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
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payout SET state = 'approved', approved_by = $3, version = version + 1
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        by,
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
) -> Result<(), StoreError> {
    let (state, provider_txn) = match end {
        End::Paid { provider_txn } => (PayoutState::Paid, Some(provider_txn.as_str())),
        End::Failed => (PayoutState::Failed, None),
    };
    let done = sqlx::query!(
        "UPDATE payout SET state = $3, provider_txn = $4, version = version + 1
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
                  provider_txn, version, created_at AS "created_at: jiff_sqlx::Timestamp"
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
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(payouts)
}
