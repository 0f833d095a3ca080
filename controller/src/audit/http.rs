//! `/api/audit`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::{AuditId, AuditKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Audit, Filter, Proof, Recorded};
use crate::{
    actor::Actor,
    http::{Guarded, Need, Page, PageQuery, Problem, Query},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Audit: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::OVERSIGHT), routes!(list))
        .route(Need::One(Role::OVERSIGHT), routes!(prove))
}

/// Lists who changed what, oldest first.
#[utoipa::path(get, path = "/api/audit", tag = "audit", params(PageQuery, FilterQuery),
    responses((status = 200, body = Page<RecordedView>)))]
async fn list(
    State(audit): State<Audit>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(filter): Query<FilterQuery>,
) -> Result<Json<Page<RecordedView>>, Problem> {
    let ask = query.check::<AuditKind>()?;
    let filter = Filter { object: filter.object, actor: filter.actor };
    let items = audit.list(&actor, &filter, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |recorded| recorded.id, RecordedView::from)))
}

/// Computes the log's chain of hashes again, and says if it is as it was written.
#[utoipa::path(get, path = "/api/audit/proof", tag = "audit",
    responses((status = 200, body = ProofView)))]
async fn prove(State(audit): State<Audit>, actor: Actor) -> Result<Json<ProofView>, Problem> {
    let Proof { blocks, waiting, head, broken } = audit.prove(&actor).await?;
    Ok(Json(ProofView { intact: broken.is_empty(), blocks, waiting, head, broken }))
}

#[derive(Debug, Serialize, ToSchema)]
struct ProofView {
    intact: bool,
    blocks: i64,
    /// Rows that the next block will have.
    waiting: i64,
    /// Hash of the last block: kept elsewhere, it proves all that is before it.
    head: Option<String>,
    /// Blocks that are not as they were sealed; 0: rows that came in around the log.
    broken: Vec<i64>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    /// Only about this object: its id.
    object: Option<String>,
    /// Only by this operator, `op_…`, or by `command-line`.
    actor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RecordedView {
    #[schema(value_type = String)]
    id: AuditId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    actor: String,
    actor_ip: Option<String>,
    action: String,
    object_kind: String,
    object: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl From<Recorded> for RecordedView {
    fn from(recorded: Recorded) -> Self {
        Self {
            id: recorded.id,
            at: recorded.at,
            actor: recorded.actor,
            actor_ip: recorded.actor_ip.map(|ip| ip.to_string()),
            action: recorded.action,
            object_kind: recorded.object_kind,
            object: recorded.object_id,
            before: recorded.before,
            after: recorded.after,
        }
    }
}
