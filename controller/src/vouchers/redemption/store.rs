//! What redeeming asks of the tables `voucher`, `voucher_batch`, `plan_version` and `entitlement`.

use std::num::NonZeroU64;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{EntitlementId, TenantId};
use uuid::Uuid;

use super::{
    super::{Redeemed, VoucherState, store::Row},
    Redemption,
};
use crate::{
    db::{Cell, StoreError, Tx, exactly},
    plans::Validity,
};

/// What is known before it is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// Is the subscriber?
    pub(super) active: bool,
    /// How long lasts what the voucher gives; none: there is no such voucher.
    pub(super) validity: Option<Validity>,
    /// It lasts from its first use on.
    pub(super) waits: bool,
}

/// In the order of the asks.
pub(super) async fn planned(
    tx: &mut Tx,
    tenant: TenantId,
    asks: &[Redemption],
) -> Result<Vec<Planned>, StoreError> {
    let marks: Vec<_> = asks.iter().map(|ask| ask.mark.to_vec()).collect();
    let subscribers: Vec<_> = asks.iter().map(|ask| *ask.subscriber.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT s.id IS NOT NULL AS "active!", p.id AS "version?",
                  p.validity_months AS "months?", p.validity_seconds AS "seconds?",
                  coalesce(p.anchor = 'first_use', false) AS "waits!"
             FROM unnest($2::bytea[], $3::uuid[]) WITH ORDINALITY AS a (mark, subscriber, n)
             LEFT JOIN subscriber s
               ON s.tenant_id = $1 AND s.id = a.subscriber AND s.status = 'active'
             LEFT JOIN (voucher v
                   JOIN voucher_batch b ON b.tenant_id = v.tenant_id AND b.id = v.batch_id
                   JOIN plan_version p ON p.tenant_id = v.tenant_id AND p.id = b.plan_version_id)
               ON v.tenant_id = $1 AND v.code_hash = a.mark
            ORDER BY a.n"#,
        tenant.as_uuid(),
        &marks,
        &subscribers,
    )
    .fetch_all(&mut **tx)
    .await?;
    let planned = rows.into_iter().map(|row| {
        let validity = match (row.version, row.months, row.seconds) {
            (Some(version), Some(months), Some(seconds)) => {
                let at = Cell { table: "plan_version", row: version };
                Some(validity(at, months, seconds)?)
            }
            (Some(_) | None, _, _) => None,
        };
        Ok(Planned { active: row.active, validity, waits: row.waits })
    });
    planned.collect()
}

fn validity(at: Cell, months: i32, seconds: i64) -> Result<Validity, StoreError> {
    if months > 0 {
        return Ok(Validity::Months(at.number("validity_months", months.into())?));
    }
    let seconds = NonZeroU64::new(at.number("validity_seconds", seconds)?);
    Ok(Validity::Seconds(seconds.ok_or_else(|| at.corrupt("validity_seconds"))?))
}

/// One that is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redeeming<'a> {
    pub(super) ask: &'a Redemption,
    pub(super) entitlement: EntitlementId,
    pub(super) until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Redeemed,
    /// The state that was in the way.
    InTheWay(VoucherState),
    /// There is no such voucher.
    Unknown,
}

/// In their order.
pub(super) async fn redeem(
    tx: &mut Tx,
    some: &[Redeeming<'_>],
) -> Result<Vec<Outcome>, StoreError> {
    if some.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "SELECT outcome
           FROM redeem_vouchers($1::bytea[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[],
                                $6::timestamptz[])
          ORDER BY n",
        &some.iter().map(|one| one.ask.mark.to_vec()).collect::<Vec<_>>(),
        &some.iter().map(|one| *one.ask.subscriber.as_uuid()).collect::<Vec<_>>(),
        &some.iter().map(|one| *one.entitlement.as_uuid()).collect::<Vec<_>>(),
        &some.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        some.iter().map(|one| one.until.to_sqlx()).collect::<Vec<_>>() as _,
        some.iter().map(|one| one.ask.now.to_sqlx()).collect::<Vec<_>>() as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    exactly(some.len() as u64, rows.len() as u64)?;
    let outcomes = rows.iter().zip(some).map(|(row, one)| match row.outcome.as_deref() {
        None => Ok(Outcome::Unknown),
        Some("redeemed") => Ok(Outcome::Redeemed),
        Some(state) => {
            let at = Cell { table: "voucher", row: *one.entitlement.as_uuid() };
            Ok(Outcome::InTheWay(at.parse("state", state)?))
        }
    });
    outcomes.collect()
}

/// What these entitlements are, in their order.
pub(super) async fn redeemed(
    tx: &mut Tx,
    tenant: TenantId,
    entitlements: &[EntitlementId],
) -> Result<Vec<Redeemed>, StoreError> {
    if entitlements.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = entitlements.iter().map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT e.id AS entitlement, v.id, v.batch_id, v.serial, v.state, v.subscriber_id,
                  v.redeemed_at AS "redeemed_at: jiff_sqlx::Timestamp",
                  upper(e.valid) AS "until!: jiff_sqlx::Timestamp"
             FROM unnest($2::uuid[]) WITH ORDINALITY AS a (id, n)
             JOIN entitlement e
               ON e.tenant_id = $1 AND e.id = a.id AND e.source_kind = 'voucher'
             JOIN voucher v ON v.tenant_id = e.tenant_id AND v.id = e.source_id
            ORDER BY a.n"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    exactly(ids.len() as u64, rows.len() as u64)?;
    let redeemed = rows.into_iter().map(|row| {
        let voucher = Row {
            id: row.id,
            batch_id: row.batch_id,
            serial: row.serial,
            state: row.state,
            redeemed_at: row.redeemed_at,
            subscriber_id: row.subscriber_id,
        };
        Ok(Redeemed {
            entitlement: EntitlementId::from_uuid(row.entitlement),
            voucher: voucher.try_into()?,
            until: row.until.to_jiff(),
        })
    });
    redeemed.collect()
}
