//! `/api/finance/tax-rates`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Tax, TaxError, TaxRate, Taxes};
use crate::{
    actor::Actor,
    billing::BasisPoints,
    http::{Body, FieldError, Guarded, Need, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Taxes: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .dangerous(Need::One(Role::SALES), routes!(set))
}

/// Lists the rates of excise duty and VAT, with their dates.
#[utoipa::path(get, path = "/api/finance/tax-rates", tag = "finance",
    responses((status = 200, body = Vec<TaxRateView>)))]
async fn list(State(taxes): State<Taxes>, actor: Actor) -> Result<Json<Vec<TaxRateView>>, Problem> {
    Ok(Json(taxes.list(&actor).await?.into_iter().map(TaxRateView::from).collect()))
}

/// Sets a rate from a day on, today or later. What was invoiced stays as it was.
#[utoipa::path(post, path = "/api/finance/tax-rates", tag = "finance",
    request_body = TaxRateBody,
    responses((status = 200, body = Vec<TaxRateView>), (status = 422, body = Problem)))]
async fn set(
    State(taxes): State<Taxes>,
    actor: Actor,
    Body(TaxRateBody { tax, rate_bp, from }): Body<TaxRateBody>,
) -> Result<Json<Vec<TaxRateView>>, Problem> {
    let rate = BasisPoints::new(rate_bp)
        .ok_or_else(|| Problem::invalid(vec![FieldError::new("rate_bp", "expected 0 to 10000")]))?;
    let rates = taxes.set(&actor, tax, rate, from).await?;
    Ok(Json(rates.into_iter().map(TaxRateView::from).collect()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TaxRateBody {
    tax: Tax,
    /// Hundredths of a percent; 0: there is no such tax.
    #[schema(maximum = 10000)]
    rate_bp: u16,
    #[schema(value_type = String, format = Date)]
    from: Date,
}

#[derive(Debug, Serialize, ToSchema)]
struct TaxRateView {
    tax: Tax,
    rate_bp: u16,
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// This day is not one of its; none: until further notice.
    #[schema(value_type = Option<String>, format = Date)]
    until: Option<Date>,
}

impl From<TaxRate> for TaxRateView {
    fn from(TaxRate { tax, rate, from, until }: TaxRate) -> Self {
        Self { tax, rate_bp: rate.get(), from, until }
    }
}

impl From<TaxError> for Problem {
    fn from(error: TaxError) -> Self {
        match error {
            TaxError::Past => Self::invalid(vec![FieldError::new("from", error.to_string())]),
            TaxError::Used => Self::conflict("rate-in-use", error.to_string()),
            TaxError::Store(error) => error.into(),
        }
    }
}
