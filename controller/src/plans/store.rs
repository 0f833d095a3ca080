//! The tables `plan` and `plan_version`.

use std::{collections::HashMap, num::NonZeroU64};

use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{PlanId, PlanVersionId, TenantId},
    net::Vlan,
    rate::{Kbps, Shape},
};
use uuid::Uuid;

use super::{Anchor, Limits, Network, OnExhaust, Plan, PlanVersion, Sold, Step, Terms, Validity};
use crate::{
    db::{Cell, StoreError, Tx},
    words::NasWord,
};

pub(super) async fn insert(tx: &mut Tx, tenant: TenantId, plan: &Plan) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO plan (tenant_id, id, code, name, created_at) VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        plan.id.as_uuid(),
        plan.code.as_str(),
        plan.name.as_str(),
        plan.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The terms are checked: every number fits a `bigint`.
pub(super) async fn insert_version(
    tx: &mut Tx,
    tenant: TenantId,
    plan: PlanId,
    version: &PlanVersion,
) -> Result<(), StoreError> {
    let terms = &version.terms;
    let (months, seconds) = match terms.validity {
        Validity::Months(months) => (months, 0),
        Validity::Seconds(seconds) => (0, seconds.get()),
    };
    sqlx::query!(
        "INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
           price_cents, price_includes_tax, validity_months, validity_seconds, online_seconds,
           data_bytes, down_kbps, up_kbps, max_devices, idle_timeout_seconds, anchor, anchor_day,
           grace_seconds, on_exhaust, overage_cents_per_mib, effective_from, pool, filter, policy,
           vlan, fup_window, slow_down_kbps, slow_up_kbps)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
           $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)",
        tenant.as_uuid(),
        version.id.as_uuid(),
        plan.as_uuid(),
        version.number.cast_signed(),
        terms.access.as_str(),
        terms.billing.as_str(),
        terms.limits.kind(),
        terms.price_cents.cast_signed(),
        terms.price_includes_tax,
        i32::from(months),
        seconds.cast_signed(),
        bigint(terms.limits.online_seconds),
        bigint(terms.limits.data_bytes),
        terms.down_kbps.get().cast_signed(),
        terms.up_kbps.get().cast_signed(),
        i16::from(terms.max_devices),
        terms.idle_timeout_seconds.map(u32::cast_signed),
        terms.anchor.as_str(),
        terms.anchor.day().map(i16::from),
        terms.grace_seconds.cast_signed(),
        terms.on_exhaust.as_str(),
        bigint(terms.on_exhaust.cents_per_mib()),
        version.effective_from.to_sqlx() as _,
        terms.network.pool.as_ref().map(NasWord::as_str),
        terms.network.filter.as_ref().map(NasWord::as_str),
        terms.network.policy.as_ref().map(NasWord::as_str),
        terms.network.vlan.map(|vlan| vlan.get().cast_signed()),
        terms.fair_use.as_str(),
        terms.slow.map(|slow| slow.down_kbps.get().cast_signed()),
        terms.slow.map(|slow| slow.up_kbps.get().cast_signed()),
    )
    .execute(&mut **tx)
    .await?;
    insert_steps(tx, tenant, version).await
}

async fn insert_steps(
    tx: &mut Tx,
    tenant: TenantId,
    version: &PlanVersion,
) -> Result<(), StoreError> {
    for (n, step) in (1_i16..).zip(&version.terms.steps) {
        sqlx::query!(
            "INSERT INTO plan_fup_step (tenant_id, plan_version_id, step, after_bytes, down_kbps,
                                        up_kbps)
             VALUES ($1, $2, $3, $4, $5, $6)",
            tenant.as_uuid(),
            version.id.as_uuid(),
            n,
            step.after_bytes.get().cast_signed(),
            step.shape.down_kbps.get().cast_signed(),
            step.shape.up_kbps.get().cast_signed(),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn bigint(number: Option<NonZeroU64>) -> Option<i64> {
    number.map(|number| number.get().cast_signed())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Plan>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, code, name, archived, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM plan
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let latest = sqlx::query_as!(
        VersionRow,
        r#"SELECT DISTINCT ON (plan_id)
                  id, plan_id, version, access, billing, price_cents, price_includes_tax,
                  validity_months, validity_seconds, online_seconds, data_bytes, down_kbps,
                  up_kbps, max_devices, idle_timeout_seconds, anchor, anchor_day, grace_seconds,
                  on_exhaust, overage_cents_per_mib, pool, filter, policy, vlan, fup_window, slow_down_kbps,
                  slow_up_kbps,
                  ARRAY (SELECT s.after_bytes FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_after!",
                  ARRAY (SELECT s.down_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_down!",
                  ARRAY (SELECT s.up_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_up!",
                  effective_from AS "effective_from: jiff_sqlx::Timestamp"
             FROM plan_version
            WHERE tenant_id = $1 AND plan_id = ANY ($2)
            ORDER BY plan_id, version DESC"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut latest: std::collections::BTreeMap<_, _> =
        latest.into_iter().map(|row| (row.plan_id, row)).collect();
    let mut plans = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "plan", row: row.id };
        // Made in one transaction with its first version.
        let latest = latest.remove(&row.id).ok_or_else(|| at.corrupt("version"))?;
        plans.push(Plan {
            id: PlanId::from_uuid(row.id),
            code: at.parse("code", &row.code)?,
            name: at.parse("name", &row.name)?,
            archived: row.archived,
            latest: latest.try_into()?,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(plans)
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: PlanId,
) -> Result<Option<Plan>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT code, name, archived, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM plan
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "plan", row: *id.as_uuid() };
    let versions = versions(tx, tenant, id).await?;
    Ok(Some(Plan {
        id,
        code: at.parse("code", &row.code)?,
        name: at.parse("name", &row.name)?,
        archived: row.archived,
        latest: versions.into_iter().next().ok_or_else(|| at.corrupt("version"))?,
        version: row.version,
        created_at: row.created_at.to_jiff(),
    }))
}

/// Newest first.
pub(super) async fn versions(
    tx: &mut Tx,
    tenant: TenantId,
    id: PlanId,
) -> Result<Vec<PlanVersion>, StoreError> {
    let rows = sqlx::query_as!(
        VersionRow,
        r#"SELECT id, plan_id, version, access, billing, price_cents, price_includes_tax,
                  validity_months, validity_seconds, online_seconds, data_bytes, down_kbps,
                  up_kbps, max_devices, idle_timeout_seconds, anchor, anchor_day, grace_seconds,
                  on_exhaust, overage_cents_per_mib, pool, filter, policy, vlan, fup_window, slow_down_kbps,
                  slow_up_kbps,
                  ARRAY (SELECT s.after_bytes FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_after!",
                  ARRAY (SELECT s.down_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_down!",
                  ARRAY (SELECT s.up_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_up!",
                  effective_from AS "effective_from: jiff_sqlx::Timestamp"
             FROM plan_version
            WHERE tenant_id = $1 AND plan_id = $2
            ORDER BY version DESC"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(PlanVersion::try_from).collect()
}

pub(super) async fn sold(
    tx: &mut Tx,
    tenant: TenantId,
    versions: &[PlanVersionId],
) -> Result<HashMap<PlanVersionId, Sold>, StoreError> {
    let ids: Vec<_> = versions.iter().map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query_as!(
        VersionRow,
        r#"SELECT id, plan_id, version, access, billing, price_cents, price_includes_tax,
                  validity_months, validity_seconds, online_seconds, data_bytes, down_kbps,
                  up_kbps, max_devices, idle_timeout_seconds, anchor, anchor_day, grace_seconds,
                  on_exhaust, overage_cents_per_mib, pool, filter, policy, vlan, fup_window, slow_down_kbps,
                  slow_up_kbps,
                  ARRAY (SELECT s.after_bytes FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_after!",
                  ARRAY (SELECT s.down_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_down!",
                  ARRAY (SELECT s.up_kbps FROM plan_fup_step AS s
                          WHERE s.tenant_id = plan_version.tenant_id
                            AND s.plan_version_id = plan_version.id ORDER BY s.step) AS "steps_up!",
                  effective_from AS "effective_from: jiff_sqlx::Timestamp"
             FROM plan_version
            WHERE tenant_id = $1 AND id = ANY ($2)"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let names = sqlx::query!(
        "SELECT id, name FROM plan WHERE tenant_id = $1 AND id = ANY ($2)",
        tenant.as_uuid(),
        &rows.iter().map(|row| row.plan_id).collect::<Vec<_>>(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let names: HashMap<_, _> = names.into_iter().map(|row| (row.id, row.name)).collect();
    let mut sold = HashMap::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "plan", row: row.plan_id };
        let name = names.get(&row.plan_id).ok_or_else(|| at.corrupt("name"))?;
        let (id, name) = (PlanVersionId::from_uuid(row.id), at.parse("name", name)?);
        sold.insert(id, Sold { name, terms: row.terms()? });
    }
    Ok(sold)
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    plan: &Plan,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE plan SET name = $4, archived = $5, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        plan.id.as_uuid(),
        version,
        plan.name.as_str(),
        plan.archived,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What came of it: see the function.
pub(super) async fn delete(tx: &mut Tx, id: PlanId) -> Result<String, StoreError> {
    let row = sqlx::query!(r#"SELECT delete_plan($1) AS "said!""#, id.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.said)
}

/// The row as Postgres returns it.
struct VersionRow {
    id: Uuid,
    plan_id: Uuid,
    version: i32,
    access: String,
    billing: String,
    price_cents: i64,
    price_includes_tax: bool,
    validity_months: i32,
    validity_seconds: i64,
    online_seconds: Option<i64>,
    data_bytes: Option<i64>,
    down_kbps: i32,
    up_kbps: i32,
    max_devices: i16,
    idle_timeout_seconds: Option<i32>,
    anchor: String,
    anchor_day: Option<i16>,
    grace_seconds: i64,
    on_exhaust: String,
    overage_cents_per_mib: Option<i64>,
    pool: Option<String>,
    filter: Option<String>,
    policy: Option<String>,
    vlan: Option<i16>,
    fup_window: String,
    slow_down_kbps: Option<i32>,
    slow_up_kbps: Option<i32>,
    steps_after: Vec<i64>,
    steps_down: Vec<i32>,
    steps_up: Vec<i32>,
    effective_from: jiff_sqlx::Timestamp,
}

impl VersionRow {
    fn terms(&self) -> Result<Terms, StoreError> {
        let at = Cell { table: "plan_version", row: self.id };
        let positive = |column, number: i64| {
            at.number::<u64>(column, number)
                .and_then(|number| NonZeroU64::new(number).ok_or_else(|| at.corrupt(column)))
        };
        let maybe =
            |column, number: Option<i64>| number.map(|number| positive(column, number)).transpose();
        let kbps = |column, kbps: i32| {
            at.number(column, kbps.into())
                .and_then(|kbps| Kbps::new(kbps).ok_or_else(|| at.corrupt(column)))
        };
        let day = self.anchor_day.map(|day| at.number("anchor_day", day.into())).transpose()?;
        let per_mib = maybe("overage_cents_per_mib", self.overage_cents_per_mib)?;
        let idle = self.idle_timeout_seconds.map(i64::from);
        Ok(Terms {
            access: at.parse("access", &self.access)?,
            billing: at.parse("billing", &self.billing)?,
            limits: Limits {
                online_seconds: maybe("online_seconds", self.online_seconds)?,
                data_bytes: maybe("data_bytes", self.data_bytes)?,
            },
            price_cents: at.number("price_cents", self.price_cents)?,
            price_includes_tax: self.price_includes_tax,
            validity: match self.validity_months {
                0 => Validity::Seconds(positive("validity_seconds", self.validity_seconds)?),
                months => Validity::Months(at.number("validity_months", months.into())?),
            },
            down_kbps: kbps("down_kbps", self.down_kbps)?,
            up_kbps: kbps("up_kbps", self.up_kbps)?,
            max_devices: at.number("max_devices", self.max_devices.into())?,
            idle_timeout_seconds: idle
                .map(|idle| at.number("idle_timeout_seconds", idle))
                .transpose()?,
            anchor: match (self.anchor.as_str(), day) {
                ("first_use", None) => Anchor::FirstUse,
                ("purchase", None) => Anchor::Purchase,
                ("calendar_day", Some(day)) => Anchor::Day(day),
                _ => return Err(at.corrupt("anchor")),
            },
            grace_seconds: at.number("grace_seconds", self.grace_seconds)?,
            on_exhaust: match (self.on_exhaust.as_str(), per_mib) {
                ("block", None) => OnExhaust::Block,
                ("throttle", None) => OnExhaust::Throttle,
                ("overage", Some(cents_per_mib)) => OnExhaust::Overage { cents_per_mib },
                _ => return Err(at.corrupt("on_exhaust")),
            },
            slow: match (self.slow_down_kbps, self.slow_up_kbps) {
                (Some(down), Some(up)) => Some(Shape {
                    down_kbps: kbps("slow_down_kbps", down)?,
                    up_kbps: kbps("slow_up_kbps", up)?,
                }),
                (Some(_) | None, Some(_) | None) => None,
            },
            fair_use: at.parse("fup_window", &self.fup_window)?,
            steps: self
                .steps_after
                .iter()
                .zip(self.steps_down.iter().zip(&self.steps_up))
                .map(|(after, (down, up))| {
                    let shape = Shape {
                        down_kbps: kbps("down_kbps", *down)?,
                        up_kbps: kbps("up_kbps", *up)?,
                    };
                    Ok(Step { after_bytes: positive("after_bytes", *after)?, shape })
                })
                .collect::<Result<_, StoreError>>()?,
            network: Network {
                pool: at.maybe("pool", self.pool.as_deref())?,
                filter: at.maybe("filter", self.filter.as_deref())?,
                policy: at.maybe("policy", self.policy.as_deref())?,
                vlan: self
                    .vlan
                    .map(|vlan| {
                        let vlan = at.number("vlan", vlan.into())?;
                        Vlan::new(vlan).ok_or_else(|| at.corrupt("vlan"))
                    })
                    .transpose()?,
            },
        })
    }
}

impl TryFrom<VersionRow> for PlanVersion {
    type Error = StoreError;

    fn try_from(row: VersionRow) -> Result<Self, StoreError> {
        let at = Cell { table: "plan_version", row: row.id };
        Ok(Self {
            id: PlanVersionId::from_uuid(row.id),
            number: at.number("version", row.version.into())?,
            terms: row.terms()?,
            effective_from: row.effective_from.to_jiff(),
        })
    }
}
