//! `/api/reports/…`, as JSON or as CSV.

use axum::{
    Json,
    extract::{FromRef, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Ageing, Churn, Days, Reports, Revenue, Stock, TaxMonth, last_year};
use crate::{
    actor::Actor,
    http::{FieldError, Guarded, Need, Problem, Query},
    operators::Role,
    words::choices,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Reports: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(revenue))
        .route(Need::One(Role::BOOKKEEPERS), routes!(churn))
        .route(Need::One(Role::BOOKKEEPERS), routes!(ageing))
        .route(Need::One(Role::BOOKKEEPERS), routes!(tax))
        .route(Need::One(Role::BOOKKEEPERS), routes!(vouchers))
}

/// Revenue by month, and what a subscriber brings (ARPU).
#[utoipa::path(get, path = "/api/reports/revenue", tag = "reports", params(DaysQuery),
    responses((status = 200, body = Rows<Revenue>)))]
async fn revenue(
    State(reports): State<Reports>,
    actor: Actor,
    Query(query): Query<DaysQuery>,
) -> Result<Response, Problem> {
    let days = query.check(reports.today(&actor).await?)?;
    answer(reports.revenue(&actor, days).await?, query.format)
}

/// Subscribers who came and went, by month.
#[utoipa::path(get, path = "/api/reports/churn", tag = "reports", params(DaysQuery),
    responses((status = 200, body = Rows<Churn>)))]
async fn churn(
    State(reports): State<Reports>,
    actor: Actor,
    Query(query): Query<DaysQuery>,
) -> Result<Response, Problem> {
    let days = query.check(reports.today(&actor).await?)?;
    answer(reports.churn(&actor, days).await?, query.format)
}

/// What is owed, by subscriber and by how long it is overdue.
#[utoipa::path(get, path = "/api/reports/ageing", tag = "reports", params(DayQuery),
    responses((status = 200, body = Rows<Ageing>)))]
async fn ageing(
    State(reports): State<Reports>,
    actor: Actor,
    Query(query): Query<DayQuery>,
) -> Result<Response, Problem> {
    let on = match query.on {
        Some(day) => day,
        None => reports.today(&actor).await?,
    };
    answer(reports.ageing(&actor, on).await?, query.format)
}

/// Excise and VAT by month, and what they were taken on.
#[utoipa::path(get, path = "/api/reports/tax", tag = "reports", params(DaysQuery),
    responses((status = 200, body = Rows<TaxMonth>)))]
async fn tax(
    State(reports): State<Reports>,
    actor: Actor,
    Query(query): Query<DaysQuery>,
) -> Result<Response, Problem> {
    let days = query.check(reports.today(&actor).await?)?;
    answer(reports.tax(&actor, days).await?, query.format)
}

/// Vouchers by plan and reseller, and what is owed for those that were sold.
#[utoipa::path(get, path = "/api/reports/vouchers", tag = "reports", params(FormatQuery),
    responses((status = 200, body = Rows<Stock>)))]
async fn vouchers(
    State(reports): State<Reports>,
    actor: Actor,
    Query(query): Query<FormatQuery>,
) -> Result<Response, Problem> {
    answer(reports.vouchers(&actor).await?, query.format)
}

choices! {
    /// How a report is answered.
    Format {
        Json = "json",
        Csv = "csv",
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DaysQuery {
    /// First day; none: the first of the month, eleven months ago.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// This day is not in it; none: tomorrow.
    #[param(value_type = Option<String>, format = Date)]
    until: Option<Date>,
    #[param(inline)]
    format: Option<Format>,
}

impl DaysQuery {
    fn check(&self, today: Date) -> Result<Days, Problem> {
        let year = last_year(today);
        let days =
            Days { from: self.from.unwrap_or(year.from), until: self.until.unwrap_or(year.until) };
        if days.from < days.until {
            return Ok(days);
        }
        let error = FieldError::new("until", "expected a day after `from`");
        Err(Problem::invalid(vec![error]))
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DayQuery {
    /// Which day's evening; none: today's.
    #[param(value_type = Option<String>, format = Date)]
    on: Option<Date>,
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FormatQuery {
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rows<R> {
    items: Vec<R>,
}

fn answer<R: Serialize>(items: Vec<R>, format: Option<Format>) -> Result<Response, Problem> {
    match format.unwrap_or(Format::Json) {
        Format::Json => Ok(Json(Rows { items }).into_response()),
        Format::Csv => {
            let mut out = csv::Writer::from_writer(Vec::new());
            for item in &items {
                out.serialize(item).map_err(|error| Problem::internal(&error))?;
            }
            let bytes = out.into_inner().map_err(|error| Problem::internal(error.error()))?;
            Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response())
        }
    }
}
