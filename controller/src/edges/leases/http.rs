//! `/edge/v1/lease`: an edge asks for parts of quotas.

use axum::{
    Json,
    extract::{FromRef, State},
};
use shared::wire::latest::lease::{Answers, QUESTIONS_MAX, Questions};
use utoipa_axum::routes;

use crate::{
    clock,
    db::Db,
    edges::desired::http::Caller,
    http::{Body, FieldError, Guarded, Need, Problem},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Db: FromRef<S>,
{
    Guarded::default().route(Need::Edge, routes!(lease))
}

/// Parts of quotas for the edge who asks
///
/// JSON of the wire's `Questions`, and of its `Answers`. Everything is cumulative, so that asking
/// again changes nothing; an answer that is lost is asked for with a newer fence.
#[utoipa::path(
    post,
    path = "/edge/v1/lease",
    tag = "edge",
    request_body = Object,
    responses(
        (status = 200, description = "How far the edge may go; without those it does not know"),
        (status = 401, description = "Not an edge that is known here", body = Problem),
        (status = 422, description = "Not the wire's `Questions`, or too many", body = Problem),
    ),
)]
#[tracing::instrument(name = "http.edge.lease", skip_all, fields(edge.id = %caller.edge))]
async fn lease(
    caller: Caller,
    State(db): State<Db>,
    Body(asked): Body<Questions>,
) -> Result<Json<Answers>, Problem> {
    if asked.questions.len() > QUESTIONS_MAX {
        let most = format!("expected at most {QUESTIONS_MAX}");
        return Err(Problem::invalid(vec![FieldError::new("questions", most)]));
    }
    let answers = super::lease(&db, (caller.tenant, caller.edge), &asked, clock::now()).await?;
    Ok(Json(Answers { answers }))
}
