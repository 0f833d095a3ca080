//! `/api/resellers`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use shared::id::{OperatorId, PlanId, ResellerId, ResellerKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Basis, Keeps, NewReseller, Reseller, ResellerChange, ResellerError, Resellers, Rule, Terms,
};
use crate::{
    actor::Actor,
    billing::{BasisPoints, Cents},
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Change, Msisdn, Name},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Resellers: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(create))
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(show))
        .route(Need::One(Role::SALES), routes!(update))
        .route(Need::One(Role::HEADS), routes!(employ))
        .route(Need::One(Role::CASHIERS), routes!(pay_in))
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(commissions))
        .route(Need::One(Role::SALES), routes!(set_commission))
}

/// Lists resellers; a reseller's staff sees their own.
#[utoipa::path(get, path = "/api/resellers", tag = "resellers", params(PageQuery),
    responses((status = 200, body = Page<ResellerView>)))]
async fn list(
    State(resellers): State<Resellers>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ResellerView>>, Problem> {
    let ask = query.check::<ResellerKind>()?;
    let items = resellers.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |reseller| reseller.id, ResellerView::from)))
}

/// Adds a reseller.
#[utoipa::path(post, path = "/api/resellers", tag = "resellers", request_body = ResellerBody,
    responses((status = 201, body = ResellerView)))]
async fn create(
    State(resellers): State<Resellers>,
    actor: Actor,
    Create { body, key }: Create<ResellerBody>,
) -> Result<Created<ResellerView>, Problem> {
    let ResellerBody { name, msisdn, commission_bp } = body;
    let new = NewReseller { name, msisdn, commission: points(commission_bp)? };
    Ok(created(resellers.create(&actor, key.as_ref(), new).await?))
}

/// Shows a reseller, and what is left of its float.
#[utoipa::path(get, path = "/api/resellers/{id}", tag = "resellers",
    params(("id" = String, Path)),
    responses((status = 200, body = ResellerView), (status = 404, body = Problem)))]
async fn show(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
) -> Result<Versioned<ResellerView>, Problem> {
    Ok(versioned(resellers.find(&actor, id).await?))
}

/// Changes a reseller. Another commission is from tomorrow on, for plans without one of their own.
#[utoipa::path(patch, path = "/api/resellers/{id}", tag = "resellers",
    params(("id" = String, Path)), request_body = ResellerChangeBody,
    responses((status = 200, body = ResellerView), (status = 412, body = Problem)))]
async fn update(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
    IfMatch(version): IfMatch,
    Body(body): Body<ResellerChangeBody>,
) -> Result<Versioned<ResellerView>, Problem> {
    let ResellerChangeBody { name, msisdn, active, commission_bp } = body;
    let commission = commission_bp.map(points).transpose()?;
    let change = ResellerChange { name, msisdn, active, commission };
    Ok(versioned(resellers.update(&actor, id, version, change).await?))
}

/// Makes an operator with the role `reseller` staff of this one: it sees what is its own.
#[utoipa::path(post, path = "/api/resellers/{id}/staff", tag = "resellers",
    params(("id" = String, Path)), request_body = EmployBody,
    responses((status = 200, body = ResellerView), (status = 409, body = Problem)))]
async fn employ(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
    Body(EmployBody { operator }): Body<EmployBody>,
) -> Result<Versioned<ResellerView>, Problem> {
    Ok(versioned(resellers.employ(&actor, id, operator).await?))
}

/// Takes cash for the reseller's float.
#[utoipa::path(post, path = "/api/resellers/{id}/float", tag = "resellers",
    params(("id" = String, Path)), request_body = FloatBody,
    responses((status = 201, body = ResellerView), (status = 404, body = Problem)))]
async fn pay_in(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
    Create { body, key }: Create<FloatBody>,
) -> Result<Created<ResellerView>, Problem> {
    if body.cents == 0 {
        let error = FieldError::new("cents", "expected more than nothing");
        return Err(Problem::invalid(vec![error]));
    }
    let cents = Cents::new(body.cents.into());
    Ok(created(resellers.pay_in(&actor, key.as_ref(), id, cents).await?))
}

/// Lists what a reseller keeps of what is sold to it, with the dates; what is over, too.
#[utoipa::path(get, path = "/api/resellers/{id}/commissions", tag = "resellers",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<CommissionView>), (status = 404, body = Problem)))]
async fn commissions(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
) -> Result<Json<Vec<CommissionView>>, Problem> {
    let rules = resellers.rules(&actor, id).await?;
    Ok(Json(rules.into_iter().map(CommissionView::from).collect()))
}

/// Sets what a reseller keeps from a day on, instead of what was said before for the same plan. What
/// was sold stays as it was.
#[utoipa::path(post, path = "/api/resellers/{id}/commissions", tag = "resellers",
    params(("id" = String, Path)), request_body = CommissionBody,
    responses((status = 200, body = ResellerView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn set_commission(
    State(resellers): State<Resellers>,
    actor: Actor,
    Path(id): Path<ResellerId>,
    Body(body): Body<CommissionBody>,
) -> Result<Versioned<ResellerView>, Problem> {
    let (from, until) = (body.from, body.until);
    Ok(versioned(resellers.set_rule(&actor, id, body.check()?, from, until).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResellerBody {
    name: Name,
    /// Where payouts go.
    msisdn: Option<Msisdn>,
    /// Hundredths of a percent of the face value of what is sold, from today on.
    #[serde(default)]
    #[schema(maximum = 10000)]
    commission_bp: u16,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResellerChangeBody {
    name: Option<Name>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    msisdn: Change<Msisdn>,
    active: Option<bool>,
    /// Hundredths of a percent of the face value of what is sold.
    #[schema(maximum = 10000)]
    commission_bp: Option<u16>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmployBody {
    #[schema(value_type = String)]
    operator: OperatorId,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FloatBody {
    #[schema(minimum = 1, example = 500_000)]
    cents: u32,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "basis": "net", "rate_bp": 1000, "cap_cents": 500 }))]
struct CommissionBody {
    /// Of vouchers of this plan only, for which it goes before what is for all plans; none: for all.
    #[schema(value_type = Option<String>)]
    plan: Option<PlanId>,
    /// Of what the percentage is: `face` (if nothing is said), or `net`, without taxes.
    basis: Option<Basis>,
    /// Hundredths of a percent. This or `fixed_cents`.
    #[schema(maximum = 10000)]
    rate_bp: Option<u16>,
    /// So much of each voucher, and never more than its face value. This or `rate_bp`.
    fixed_cents: Option<u32>,
    /// No more than so much of each voucher.
    #[schema(minimum = 1)]
    cap_cents: Option<u32>,
    /// Today, as long as nothing was sold to the reseller today, or later; none: tomorrow.
    #[schema(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// This day is not one of its; none: until further notice.
    #[schema(value_type = Option<String>, format = Date)]
    until: Option<Date>,
}

impl CommissionBody {
    fn check(self) -> Result<Terms, Problem> {
        let Self { plan, basis, rate_bp, fixed_cents, cap_cents, from: _, until: _ } = self;
        let mut errors = Vec::new();
        let mut wrong = |field, message| errors.push(FieldError::new(field, message));
        if cap_cents == Some(0) {
            wrong("cap_cents", "expected more than nothing");
        }
        if fixed_cents.is_some() && basis == Some(Basis::Net) {
            wrong("basis", "expected only with `rate_bp`: an amount is not of anything");
        }
        let rate = rate_bp.and_then(BasisPoints::new);
        if rate.is_none() && rate_bp.is_some() {
            wrong("rate_bp", "expected 0 to 10000");
        }
        let keeps = match (rate, fixed_cents) {
            (Some(rate), None) => {
                Some(Keeps::Percent { rate, basis: basis.unwrap_or(Basis::Face) })
            }
            (None, Some(cents)) if rate_bp.is_none() => {
                Some(Keeps::Fixed(Cents::new(cents.into())))
            }
            (_, Some(_)) => {
                wrong("fixed_cents", "expected this or `rate_bp`, not both");
                None
            }
            (None, None) => {
                if rate_bp.is_none() {
                    wrong("rate_bp", "expected this or `fixed_cents`");
                }
                None
            }
        };
        let cap = cap_cents.map(|cents| Cents::new(cents.into()));
        keeps
            .filter(|_| errors.is_empty())
            .map(|keeps| Terms { plan, keeps, cap })
            .ok_or_else(|| Problem::invalid(errors))
    }
}

fn points(points: u16) -> Result<BasisPoints, Problem> {
    BasisPoints::new(points).ok_or_else(|| {
        Problem::invalid(vec![FieldError::new("commission_bp", "expected 0 to 10000")])
    })
}

#[derive(Debug, Serialize, ToSchema)]
struct ResellerView {
    #[schema(value_type = String, example = "rsl_0198b2f4c0de7000a000000000000001")]
    id: ResellerId,
    name: Name,
    msisdn: Option<Msisdn>,
    active: bool,
    /// Hundredths of a percent of the face value, today and for plans without a commission of their
    /// own; none: it is something else, which `commissions` says.
    commission_bp: Option<u16>,
    /// What it keeps of what is sold to it, today and later.
    commissions: Vec<CommissionView>,
    /// What was paid in and not sold yet.
    float_cents: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Reseller> for ResellerView {
    fn from(reseller: Reseller) -> Self {
        let Reseller { id, name, msisdn, active, commission, rules, float, version: _, created_at } =
            reseller;
        Self {
            id,
            name,
            msisdn,
            active,
            commission_bp: commission.map(BasisPoints::get),
            commissions: rules.into_iter().map(CommissionView::from).collect(),
            float_cents: float.get(),
            created_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct CommissionView {
    /// None: for all plans that have none of their own on that day.
    #[schema(value_type = Option<String>)]
    plan: Option<PlanId>,
    /// None: it is an amount.
    basis: Option<Basis>,
    rate_bp: Option<u16>,
    /// Of each voucher, and never more than its face value.
    fixed_cents: Option<i64>,
    /// No more than so much of each voucher.
    cap_cents: Option<i64>,
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// This day is not one of its; none: until further notice.
    #[schema(value_type = Option<String>, format = Date)]
    until: Option<Date>,
}

impl From<Rule> for CommissionView {
    fn from(Rule { terms: Terms { plan, keeps, cap }, from, until }: Rule) -> Self {
        let (basis, rate, fixed) = keeps.parts();
        Self {
            plan,
            basis,
            rate_bp: rate.map(BasisPoints::get),
            fixed_cents: fixed.map(Cents::get),
            cap_cents: cap.map(Cents::get),
            from,
            until,
        }
    }
}

fn versioned(reseller: Reseller) -> Versioned<ResellerView> {
    Versioned { version: reseller.version, view: reseller.into() }
}

fn created(made: crate::idempotency::Made<Reseller>) -> Created<ResellerView> {
    Created {
        path: format!("/api/resellers/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    }
}

impl From<ResellerError> for Problem {
    fn from(error: ResellerError) -> Self {
        match error {
            ResellerError::Unknown => Self::not_found("reseller"),
            ResellerError::NotItsStaff => Self::conflict("not-its-staff", error.to_string()),
            ResellerError::Stale => Self::stale(),
            ResellerError::UnknownPlan => Self::conflict("no-such-plan", error.to_string()),
            ResellerError::Past => Self::invalid(vec![FieldError::new("from", error.to_string())]),
            ResellerError::NoDays => {
                Self::invalid(vec![FieldError::new("until", error.to_string())])
            }
            ResellerError::Used => Self::conflict("rate-in-use", error.to_string()),
            ResellerError::TooMuch(_) => Self::conflict("too-much", error.to_string()),
            ResellerError::Claim(error) => error.into(),
            ResellerError::Store(error) => error.into(),
        }
    }
}
