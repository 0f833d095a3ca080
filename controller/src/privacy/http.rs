//! `/api/subscribers/{id}/export`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use serde_json::Value;
use shared::id::SubscriberId;
use utoipa_axum::routes;

use super::Privacy;
use crate::{
    actor::Actor,
    http::{Guarded, Need, Path, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Privacy: FromRef<S>,
{
    Guarded::default().route(Need::One(MAY), routes!(export))
}

/// Everything that is kept about a subscriber, for who asks for it. That it was read is written
/// down.
#[utoipa::path(get, path = "/api/subscribers/{id}/export", tag = "subscribers",
    params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
async fn export(
    State(privacy): State<Privacy>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
) -> Result<Json<Value>, Problem> {
    let found = privacy.export(&actor, id).await?;
    found.map(Json).ok_or_else(|| Problem::not_found("subscriber"))
}

/// Who answers for what is kept.
const MAY: &[Role] = &[Role::Owner];
