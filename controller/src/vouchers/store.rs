//! The tables `voucher_batch`, `voucher_sale` and `voucher`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{BatchId, PlanVersionId, ResellerId, SubscriberId, TenantId, VoucherId};
use uuid::Uuid;

use super::{Batch, Filter, Voucher, VoucherState};
use crate::{
    billing::{Cents, Split},
    db::{Cell, StoreError, Tx, one},
};

/// Vouchers that a guess could hit.
pub(super) async fn live(tx: &mut Tx, tenant: TenantId) -> Result<u64, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "live!" FROM voucher
            WHERE tenant_id = $1 AND state IN ('generated', 'sold')"#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Cell { table: "voucher", row: *tenant.as_uuid() }.number("count", row.live)
}

pub(super) struct Price {
    pub(super) cents: Cents,
    pub(super) includes_tax: bool,
}

/// None if it is not on sale.
pub(super) async fn price(
    tx: &mut Tx,
    tenant: TenantId,
    plan_version: PlanVersionId,
) -> Result<Option<Price>, StoreError> {
    let row = sqlx::query!(
        "SELECT v.price_cents, v.price_includes_tax
           FROM plan_version v JOIN plan p ON p.tenant_id = v.tenant_id AND p.id = v.plan_id
          WHERE v.tenant_id = $1 AND v.id = $2 AND NOT p.archived",
        tenant.as_uuid(),
        plan_version.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Price {
        cents: Cents::new(row.price_cents),
        includes_tax: row.price_includes_tax,
    }))
}

pub(super) async fn insert_batch(
    tx: &mut Tx,
    tenant: TenantId,
    batch: &Batch,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO voucher_batch (tenant_id, id, plan_version_id, qty, face_cents, net_cents,
           excise_cents, vat_cents, redeem_by, code_key_id, created_at, reseller_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11)",
        tenant.as_uuid(),
        batch.id.as_uuid(),
        batch.plan_version.as_uuid(),
        batch.qty.cast_signed(),
        batch.face.get(),
        batch.split.net.get(),
        batch.split.excise.get(),
        batch.split.vat.get(),
        batch.redeem_by.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        batch.created_at.to_sqlx() as _,
        batch.reseller.map(|id| *id.as_uuid()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The serials are 1, 2, 3…, in the order of the marks.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    batch: &Batch,
    marks: &[[u8; 32]],
) -> Result<(), StoreError> {
    let ids: Vec<_> = marks.iter().map(|_| Uuid::now_v7()).collect();
    let marks: Vec<_> = marks.iter().map(|mark| mark.to_vec()).collect();
    sqlx::query!(
        "INSERT INTO voucher (tenant_id, id, batch_id, serial, code_hash, net_cents, reseller_id)
         SELECT $1, id, $2, n, mark, $3, $6
           FROM unnest($4::uuid[], $5::bytea[]) WITH ORDINALITY AS new (id, mark, n)",
        tenant.as_uuid(),
        batch.id.as_uuid(),
        batch.split.net.get(),
        &ids,
        &marks,
        batch.reseller.map(|id| *id.as_uuid()),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many of the batch are not sold; nobody else sells or voids them until the transaction ends.
pub(super) async fn lock_unsold(
    tx: &mut Tx,
    tenant: TenantId,
    batch: BatchId,
) -> Result<u32, StoreError> {
    let rows = sqlx::query!(
        "SELECT id FROM voucher WHERE tenant_id = $1 AND batch_id = $2 AND state = 'generated'
          ORDER BY id FOR UPDATE",
        tenant.as_uuid(),
        batch.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

pub(super) async fn insert_sale(
    tx: &mut Tx,
    tenant: TenantId,
    id: Uuid,
    batch: &Batch,
    qty: u32,
    (total, commission): (Cents, Cents),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO voucher_sale (tenant_id, id, batch_id, qty, face_cents, at, reseller_id,
           commission_cents)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        id,
        batch.id.as_uuid(),
        qty.cast_signed(),
        total.get(),
        now.to_sqlx() as _,
        batch.reseller.map(|id| *id.as_uuid()),
        commission.get(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What [`lock_unsold`] has counted.
pub(super) async fn mark_sold(
    tx: &mut Tx,
    tenant: TenantId,
    batch: BatchId,
    sale: Uuid,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE voucher SET state = 'sold', sale_id = $3
          WHERE tenant_id = $1 AND batch_id = $2 AND state = 'generated'",
        tenant.as_uuid(),
        batch.as_uuid(),
        sale,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many were voided.
pub(super) async fn void(tx: &mut Tx, tenant: TenantId, batch: BatchId) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE voucher SET state = 'void'
          WHERE tenant_id = $1 AND batch_id = $2 AND state = 'generated'",
        tenant.as_uuid(),
        batch.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Voucher>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, batch_id, serial, state, subscriber_id,
                  redeemed_at AS "redeemed_at: jiff_sqlx::Timestamp"
             FROM voucher
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR batch_id = $3)
              AND ($4::text IS NULL OR state = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.batch.map(|batch| *batch.as_uuid()),
        filter.state.map(VoucherState::as_str),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Voucher::try_from).collect()
}

/// One of them, or those after an id.
pub(super) async fn batches(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<BatchId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Batch>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, plan_version_id, reseller_id, qty, face_cents, net_cents, excise_cents, vat_cents,
                  redeem_by AS "redeem_by: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM voucher_batch
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        one.map(|batch| *batch.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let states = sqlx::query!(
        r#"SELECT batch_id, state, count(*) AS "count!" FROM voucher
            WHERE tenant_id = $1 AND batch_id = ANY ($2)
            GROUP BY batch_id, state
            ORDER BY batch_id, state"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "voucher_batch", row: row.id };
        let of_batch = states.iter().filter(|state| state.batch_id == row.id);
        let states = of_batch
            .map(|one| Ok((at.parse("state", &one.state)?, at.number("count", one.count)?)))
            .collect::<Result<_, StoreError>>()?;
        batches.push(Batch {
            id: BatchId::from_uuid(row.id),
            plan_version: PlanVersionId::from_uuid(row.plan_version_id),
            reseller: row.reseller_id.map(ResellerId::from_uuid),
            qty: at.number("qty", row.qty.into())?,
            face: Cents::new(row.face_cents),
            split: Split {
                net: Cents::new(row.net_cents),
                excise: Cents::new(row.excise_cents),
                vat: Cents::new(row.vat_cents),
            },
            redeem_by: row.redeem_by.map(jiff_sqlx::Timestamp::to_jiff),
            created_at: row.created_at.to_jiff(),
            states,
        });
    }
    Ok(batches)
}

/// One that nobody else changes until the transaction ends, with what was paid for it without taxes.
pub(super) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: VoucherId,
) -> Result<Option<(Voucher, Cents)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT batch_id, serial, state, net_cents, subscriber_id,
                  redeemed_at AS "redeemed_at: jiff_sqlx::Timestamp"
             FROM voucher WHERE tenant_id = $1 AND id = $2
              FOR UPDATE"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let net = Cents::new(row.net_cents);
    let row = Row {
        id: *id.as_uuid(),
        batch_id: row.batch_id,
        serial: row.serial,
        state: row.state,
        redeemed_at: row.redeemed_at,
        subscriber_id: row.subscriber_id,
    };
    Ok(Some((row.try_into()?, net)))
}

pub(super) async fn void_one(
    tx: &mut Tx,
    tenant: TenantId,
    id: VoucherId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE voucher SET state = 'void' WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The row as Postgres returns it.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) batch_id: Uuid,
    pub(super) serial: i32,
    pub(super) state: String,
    pub(super) redeemed_at: Option<jiff_sqlx::Timestamp>,
    pub(super) subscriber_id: Option<Uuid>,
}

impl TryFrom<Row> for Voucher {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "voucher", row: row.id };
        Ok(Self {
            id: VoucherId::from_uuid(row.id),
            batch: BatchId::from_uuid(row.batch_id),
            serial: at.number("serial", row.serial.into())?,
            state: at.parse("state", &row.state)?,
            redeemed_at: row.redeemed_at.map(jiff_sqlx::Timestamp::to_jiff),
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
        })
    }
}

/// In the order of the marks.
pub(super) async fn serials(
    tx: &mut Tx,
    tenant: TenantId,
    batch: BatchId,
    marks: &[[u8; 32]],
) -> Result<Vec<Option<u32>>, StoreError> {
    let marks: Vec<_> = marks.iter().map(|mark| mark.to_vec()).collect();
    let rows = sqlx::query!(
        r#"SELECT v.serial AS "serial?"
             FROM unnest($3::bytea[]) WITH ORDINALITY AS asked (mark, n)
             LEFT JOIN voucher v
               ON v.tenant_id = $1 AND v.batch_id = $2 AND v.code_hash = asked.mark
            ORDER BY asked.n"#,
        tenant.as_uuid(),
        batch.as_uuid(),
        &marks,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.serial.and_then(|serial| serial.try_into().ok())).collect())
}
