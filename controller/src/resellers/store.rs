//! The tables `reseller` and `commission_rule`.

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, PlanId, PlanVersionId, ResellerId, TenantId};
use uuid::Uuid;

use super::{Basis, Keeps, NewReseller, Reseller, Rule, Terms, applying};
use crate::{
    billing::{BasisPoints, Cents},
    db::{Cell, StoreError, Tx},
    words::Msisdn,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    new: &NewReseller,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO reseller (tenant_id, id, name, msisdn, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        id.as_uuid(),
        new.name.as_str(),
        new.msisdn.as_ref().map(Msisdn::as_str),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// From that day on, instead of what was said before for it and for the same plan.
pub(super) async fn set_rule(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    rule: Rule,
) -> Result<(), StoreError> {
    let Rule { terms: Terms { plan, keeps, cap }, from, until } = rule;
    let plan = plan.map(|plan| *plan.as_uuid());
    sqlx::query!(
        "DELETE FROM commission_rule
          WHERE tenant_id = $1 AND reseller_id = $2 AND plan_id IS NOT DISTINCT FROM $3::uuid
            AND lower(during) >= $4::date",
        tenant.as_uuid(),
        id.as_uuid(),
        plan,
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE commission_rule SET during = daterange(lower(during), $4::date)
          WHERE tenant_id = $1 AND reseller_id = $2 AND plan_id IS NOT DISTINCT FROM $3::uuid
            AND during @> $4::date",
        tenant.as_uuid(),
        id.as_uuid(),
        plan,
        from.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    let (basis, rate, fixed) = keeps.parts();
    sqlx::query!(
        "INSERT INTO commission_rule (tenant_id, id, reseller_id, plan_id, basis, rate_bp,
           fixed_cents, cap_cents, during)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, daterange($9::date, $10::date))",
        tenant.as_uuid(),
        Uuid::now_v7(),
        id.as_uuid(),
        plan,
        basis.unwrap_or(Basis::Face).as_str(),
        rate.map(|rate| i32::from(rate.get())),
        fixed.map(Cents::get),
        cap.map(Cents::get),
        from.to_sqlx() as _,
        until.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What these resellers keep from that day on; none: from ever on. By reseller, first what is for
/// all plans, oldest first.
pub(super) async fn rules(
    tx: &mut Tx,
    tenant: TenantId,
    resellers: &[Uuid],
    from: Option<Date>,
) -> Result<Vec<(ResellerId, Rule)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, reseller_id, plan_id, basis, rate_bp, fixed_cents, cap_cents,
                  lower(during) AS "from!: jiff_sqlx::Date",
                  upper(during) AS "until: jiff_sqlx::Date"
             FROM commission_rule
            WHERE tenant_id = $1 AND reseller_id = ANY ($2)
              AND ($3::date IS NULL OR upper(during) IS NULL OR upper(during) > $3::date)
            ORDER BY reseller_id, plan_id NULLS FIRST, lower(during)"#,
        tenant.as_uuid(),
        resellers,
        from.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut rules = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "commission_rule", row: row.id };
        let keeps = match (row.rate_bp, row.fixed_cents) {
            (Some(points), None) => {
                let points = at.number("rate_bp", points.into())?;
                let rate = BasisPoints::new(points).ok_or_else(|| at.corrupt("rate_bp"))?;
                Keeps::Percent { rate, basis: at.parse("basis", &row.basis)? }
            }
            (None, Some(cents)) => Keeps::Fixed(Cents::new(cents)),
            (Some(_), Some(_)) | (None, None) => return Err(at.corrupt("fixed_cents")),
        };
        let plan = row.plan_id.map(PlanId::from_uuid);
        let rule = Rule {
            terms: Terms { plan, keeps, cap: row.cap_cents.map(Cents::new) },
            from: row.from.to_jiff(),
            until: row.until.map(jiff_sqlx::Date::to_jiff),
        };
        rules.push((ResellerId::from_uuid(row.reseller_id), rule));
    }
    Ok(rules)
}

/// Whether it is there and active; and it stays so, with what it keeps, until the transaction ends.
pub(super) async fn sells(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
) -> Result<bool, StoreError> {
    let active = sqlx::query_scalar!(
        "SELECT active FROM reseller WHERE tenant_id = $1 AND id = $2 FOR SHARE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(active.unwrap_or(false))
}

/// Nobody sells to it until the transaction ends; whether something was sold since that moment.
pub(super) async fn lock_sales(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    since: Timestamp,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "SELECT id FROM reseller WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let sold = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM voucher_sale
                           WHERE tenant_id = $1 AND reseller_id = $2 AND at >= $3) AS "sold!""#,
        tenant.as_uuid(),
        id.as_uuid(),
        since.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(sold)
}

pub(super) async fn plan_of(
    tx: &mut Tx,
    tenant: TenantId,
    version: PlanVersionId,
) -> Result<PlanId, StoreError> {
    let plan = sqlx::query_scalar!(
        "SELECT plan_id FROM plan_version WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        version.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(PlanId::from_uuid(plan))
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    reseller: &Reseller,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE reseller SET name = $4, msisdn = $5, active = $6, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        reseller.id.as_uuid(),
        version,
        reseller.name.as_str(),
        reseller.msisdn.as_ref().map(Msisdn::as_str),
        reseller.active,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// False if there is no such operator with the role `reseller`.
pub(super) async fn employ(
    tx: &mut Tx,
    tenant: TenantId,
    id: ResellerId,
    operator: OperatorId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET reseller_id = $3
          WHERE tenant_id = $1 AND id = $2 AND role = 'reseller'",
        tenant.as_uuid(),
        operator.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// With what they keep from that day on: one of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<ResellerId>,
    day: Date,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Reseller>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT r.id, r.name, r.msisdn, r.active, r.version,
                  r.created_at AS "created_at: jiff_sqlx::Timestamp",
                  coalesce(a.balance_cents, 0) AS "float!"
             FROM reseller r
             LEFT JOIN ledger_account a
               ON a.tenant_id = r.tenant_id AND a.code = 'agent:' || r.id
            WHERE r.tenant_id = $1 AND r.id > $2 AND ($3::uuid IS NULL OR r.id = $3)
            ORDER BY r.id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let all = rules(tx, tenant, &ids, Some(day)).await?;
    let mut resellers = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "reseller", row: row.id };
        let id = ResellerId::from_uuid(row.id);
        let rules: Vec<_> =
            all.iter().filter(|(whose, _)| *whose == id).map(|(_, rule)| *rule).collect();
        resellers.push(Reseller {
            id,
            name: at.parse("name", &row.name)?,
            msisdn: at.maybe("msisdn", row.msisdn.as_deref())?,
            active: row.active,
            commission: of_face(applying(&rules, None, day)),
            rules,
            float: Cents::new(row.float),
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(resellers)
}

/// The percentage of the face value that a rule gives; none if it gives something else.
fn of_face(rule: Option<&Rule>) -> Option<BasisPoints> {
    let Some(rule) = rule else { return Some(BasisPoints::default()) };
    match rule.terms.keeps {
        Keeps::Percent { rate, basis: Basis::Face } => Some(rate),
        Keeps::Percent { basis: Basis::Net, .. } | Keeps::Fixed(_) => None,
    }
}
