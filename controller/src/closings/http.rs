//! `/api/finance/closings`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Closing, ClosingError, Closings};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, Need, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Closings: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(close))
}

/// Lists the months that are closed, newest first.
#[utoipa::path(get, path = "/api/finance/closings", tag = "finance",
    responses((status = 200, body = Vec<ClosingView>)))]
async fn list(
    State(closings): State<Closings>,
    actor: Actor,
) -> Result<Json<Vec<ClosingView>>, Problem> {
    Ok(Json(closings.list(&actor).await?.into_iter().map(ClosingView::from).collect()))
}

/// Closes a month: nothing is posted into it any more, and nobody opens it again. A second time is
/// refused, so that it needs no `Idempotency-Key`.
#[utoipa::path(post, path = "/api/finance/closings", tag = "finance",
    request_body = ClosingBody,
    responses((status = 201, body = ClosingView), (status = 409, body = Problem)))]
async fn close(
    State(closings): State<Closings>,
    actor: Actor,
    Body(body): Body<ClosingBody>,
) -> Result<(StatusCode, Json<ClosingView>), Problem> {
    let closing = closings.close(&actor, body.month).await?;
    Ok((StatusCode::CREATED, Json(closing.into())))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClosingBody {
    /// Its first day.
    #[schema(value_type = String, format = Date, example = "2027-01-01")]
    month: Date,
}

#[derive(Debug, Serialize, ToSchema)]
struct ClosingView {
    #[schema(value_type = String, format = Date)]
    month: Date,
    /// In the books until its end.
    entries: i64,
    debit_cents: i64,
    credit_cents: i64,
    #[schema(value_type = String, format = DateTime)]
    closed_at: Timestamp,
}

impl From<Closing> for ClosingView {
    fn from(closing: Closing) -> Self {
        let Closing { month, entries, debits, credits, closed_at } = closing;
        Self { month, entries, debit_cents: debits.get(), credit_cents: credits.get(), closed_at }
    }
}

impl From<ClosingError> for Problem {
    fn from(error: ClosingError) -> Self {
        match error {
            ClosingError::NotAMonth => {
                Self::invalid(vec![FieldError::new("month", error.to_string())])
            }
            ClosingError::NotOver => Self::conflict("not-over", error.to_string()),
            ClosingError::ClosedAlready => Self::conflict("closed-already", error.to_string()),
            ClosingError::TooMuch(error) => {
                Self::invalid(vec![FieldError::new("month", error.to_string())])
            }
            ClosingError::Store(error) => error.into(),
        }
    }
}
