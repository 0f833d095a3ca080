//! `/api/audit/books`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Check, Verify};
use crate::{
    actor::Actor,
    http::{Guarded, Need, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Verify: FromRef<S>,
{
    Guarded::default().route(Need::One(Role::BOOKKEEPERS), routes!(verify))
}

/// Reads the tenant's books again, row by row, and says if they are as they must be.
#[utoipa::path(get, path = "/api/audit/books", tag = "audit",
    responses((status = 200, body = VerifiedView)))]
async fn verify(State(verify): State<Verify>, actor: Actor) -> Result<Json<VerifiedView>, Problem> {
    let checks = verify.tenant(&actor).await?;
    Ok(Json(VerifiedView { intact: checks.iter().all(|check| check.faults == 0), checks }))
}

#[derive(Debug, Serialize, ToSchema)]
struct VerifiedView {
    intact: bool,
    checks: Vec<Check>,
}
