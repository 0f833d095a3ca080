//! `/api/payments/doubts`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{self, DoubtId, IntentId, MerchantId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Doubt, DoubtError, DoubtKind, DoubtState, Doubts};
use crate::{
    actor::Actor,
    http::{Body, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    operators::Role,
    words::Text,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Doubts: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(close))
}

/// Lists what did not fit about payments.
#[utoipa::path(get, path = "/api/payments/doubts", tag = "payments",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<DoubtView>)))]
async fn list(
    State(doubts): State<Doubts>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { state }): Query<FilterQuery>,
) -> Result<Json<Page<DoubtView>>, Problem> {
    let ask = query.check::<id::DoubtKind>()?;
    let items = doubts.list(&actor, state, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |doubt| doubt.id, DoubtView::from)))
}

/// Closes a doubt, and says what came of it.
#[utoipa::path(post, path = "/api/payments/doubts/{id}/close", tag = "payments",
    params(("id" = String, Path)), request_body = CloseBody,
    responses((status = 200, body = DoubtView), (status = 409, body = Problem)))]
async fn close(
    State(doubts): State<Doubts>,
    actor: Actor,
    Path(id): Path<DoubtId>,
    Body(CloseBody { note }): Body<CloseBody>,
) -> Result<Json<DoubtView>, Problem> {
    Ok(Json(doubts.close(&actor, id, note).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    state: Option<DoubtState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CloseBody {
    note: Text,
}

#[derive(Debug, Serialize, ToSchema)]
struct DoubtView {
    #[schema(value_type = String, example = "dbt_0198b2f4c0de7000a000000000000001")]
    id: DoubtId,
    kind: DoubtKind,
    /// An event, a receipt or an intent.
    about: String,
    #[schema(value_type = Option<String>)]
    merchant: Option<MerchantId>,
    #[schema(value_type = Option<String>)]
    intent: Option<IntentId>,
    said: String,
    state: DoubtState,
    note: String,
    closed_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Doubt> for DoubtView {
    fn from(doubt: Doubt) -> Self {
        Self {
            id: doubt.id,
            kind: doubt.kind,
            about: doubt.about,
            merchant: doubt.merchant,
            intent: doubt.intent,
            said: doubt.said,
            state: doubt.state,
            note: doubt.note,
            closed_by: doubt.closed_by,
            closed_at: doubt.closed_at,
            created_at: doubt.created_at,
        }
    }
}

impl From<DoubtError> for Problem {
    fn from(error: DoubtError) -> Self {
        match error {
            DoubtError::Unknown => Self::not_found("doubt"),
            DoubtError::Closed => Self::conflict("closed-already", error.to_string()),
            DoubtError::Store(error) => error.into(),
        }
    }
}
