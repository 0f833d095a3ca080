//! `/api/outages`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::id::{EdgeId, OutageId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewOutage, Outage, OutageError, Outages};
use crate::{
    actor::Actor,
    http::{Create, Created, FieldError, Guarded, Need, Problem},
    operators::Role,
    words::Name,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Outages: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::NETWORK), routes!(record))
}

/// Lists outages, newest first.
#[utoipa::path(get, path = "/api/outages", tag = "outages",
    responses((status = 200, body = Vec<OutageView>)))]
async fn list(
    State(outages): State<Outages>,
    actor: Actor,
) -> Result<Json<Vec<OutageView>>, Problem> {
    Ok(Json(outages.list(&actor).await?.into_iter().map(OutageView::from).collect()))
}

/// Writes down that something was down, and gives everybody what is due for it.
#[utoipa::path(post, path = "/api/outages", tag = "outages", request_body = OutageBody,
    responses((status = 201, body = OutageView), (status = 409, body = Problem)))]
async fn record(
    State(outages): State<Outages>,
    actor: Actor,
    Create { body, key }: Create<OutageBody>,
) -> Result<Created<OutageView>, Problem> {
    let OutageBody { edge, start, end, cause, attributable, evidence } = body;
    let evidence = Sha256::digest(evidence.as_bytes()).into();
    let new = NewOutage { edge, start, end, cause, attributable, evidence };
    let made = outages.record(&actor, key.as_ref(), &new).await?;
    Ok(Created {
        path: "/api/outages".to_owned(),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OutageBody {
    /// None: everywhere.
    #[schema(value_type = Option<String>)]
    edge: Option<EdgeId>,
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T06:00:00Z")]
    start: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:30:00Z")]
    end: Timestamp,
    cause: Name,
    /// Ours. Otherwise nobody gets anything, and `cause` says why.
    #[serde(default = "yes")]
    attributable: bool,
    /// What was measured, as text; only its SHA-256 is kept.
    evidence: String,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, ToSchema)]
struct OutageView {
    #[schema(value_type = String)]
    id: OutageId,
    #[schema(value_type = Option<String>)]
    edge: Option<EdgeId>,
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T06:00:00Z")]
    start: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-03-01T09:30:00Z")]
    end: Timestamp,
    cause: Name,
    attributable: bool,
    /// How many subscriptions got something.
    credits: i64,
}

impl From<Outage> for OutageView {
    fn from(outage: Outage) -> Self {
        let Outage { id, edge, start, end, cause, attributable, credits } = outage;
        Self { id, edge, start, end, cause, attributable, credits }
    }
}

impl From<OutageError> for Problem {
    fn from(error: OutageError) -> Self {
        match error {
            OutageError::UnknownEdge => {
                Self::invalid(vec![FieldError::new("edge", error.to_string())])
            }
            OutageError::NotOver => Self::invalid(vec![FieldError::new("end", error.to_string())]),
            OutageError::RecordedAlready => Self::conflict("recorded-already", error.to_string()),
            OutageError::TooMuch(error) => {
                Self::invalid(vec![FieldError::new("end", error.to_string())])
            }
            OutageError::Claim(error) => error.into(),
            OutageError::Store(error) => error.into(),
        }
    }
}
