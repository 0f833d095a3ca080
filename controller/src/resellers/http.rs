//! `/api/resellers`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{OperatorId, ResellerId, ResellerKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewReseller, Reseller, ResellerChange, ResellerError, Resellers};
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

/// Changes a reseller. Another commission is from tomorrow on.
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

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResellerBody {
    name: Name,
    /// Where payouts go.
    msisdn: Option<Msisdn>,
    /// Hundredths of a percent of the face value of what is sold.
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
    commission_bp: u16,
    /// What was paid in and not sold yet.
    float_cents: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Reseller> for ResellerView {
    fn from(reseller: Reseller) -> Self {
        let Reseller { id, name, msisdn, active, commission, float, version: _, created_at } =
            reseller;
        let (commission_bp, float_cents) = (commission.get(), float.get());
        Self { id, name, msisdn, active, commission_bp, float_cents, created_at }
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
            ResellerError::TooMuch(_) => Self::conflict("too-much", error.to_string()),
            ResellerError::Claim(error) => error.into(),
            ResellerError::Store(error) => error.into(),
        }
    }
}
