//! `/api/subscribers/{id}/export` and `/api/subscribers/{id}/anonymise`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use serde::Serialize;
use serde_json::Value;
use shared::id::SubscriberId;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{ForgetError, Privacy};
use crate::{
    actor::Actor,
    http::{Guarded, Need, Path, Problem},
    operators::Role,
    subscribers::SubscriberStatus,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Privacy: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(MAY), routes!(export))
        .dangerous(Need::One(MAY), routes!(anonymise))
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

/// Forgets a subscriber who has left and asks for it: takes away what names them, wherever it stands
/// but in the books and the audit log, which the law wants. It cannot be undone.
#[utoipa::path(post, path = "/api/subscribers/{id}/anonymise", tag = "subscribers",
    params(("id" = String, Path)),
    responses((status = 200, body = ForgottenView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn anonymise(
    State(privacy): State<Privacy>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
) -> Result<Json<ForgottenView>, Problem> {
    privacy.forget(&actor, id).await?;
    let (status, full_name) = (SubscriberStatus::Anonymised, "Anonymised");
    Ok(Json(ForgottenView { id, full_name, status }))
}

#[derive(Debug, Serialize, ToSchema)]
struct ForgottenView {
    #[schema(value_type = String, example = "sub_0198b2f4c0de7000a000000000000001")]
    id: SubscriberId,
    full_name: &'static str,
    status: SubscriberStatus,
}

impl From<ForgetError> for Problem {
    fn from(error: ForgetError) -> Self {
        let title = error.to_string();
        match error {
            ForgetError::Unknown => Self::not_found("subscriber"),
            ForgetError::Held => Self::conflict("held", title),
            ForgetError::Served => Self::conflict("still-served", title),
            ForgetError::Money => Self::conflict("money-open", title),
            ForgetError::Store(error) => error.into(),
        }
    }
}

/// Who answers for what is kept.
const MAY: &[Role] = &[Role::Owner];
