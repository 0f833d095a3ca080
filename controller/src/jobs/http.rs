//! `/api/jobs`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Job, Jobs};
use crate::{
    actor::Actor,
    http::{Guarded, Need, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Jobs: FromRef<S>,
{
    Guarded::default().route(Need::One(Role::READERS), routes!(list))
}

/// Lists what is done at its time, and what of it fails.
#[utoipa::path(get, path = "/api/jobs", tag = "jobs",
    responses((status = 200, body = Vec<JobView>)))]
async fn list(State(jobs): State<Jobs>, actor: Actor) -> Result<Json<Vec<JobView>>, Problem> {
    Ok(Json(jobs.list(&actor).await?.into_iter().map(JobView::from).collect()))
}

#[derive(Debug, Serialize, ToSchema)]
struct JobView {
    kind: String,
    key: String,
    /// The time that it is about.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// When it is tried next.
    #[schema(value_type = String, format = DateTime)]
    try_at: Timestamp,
    /// Since it succeeded last.
    attempts: i32,
    last_error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    done_at: Option<Timestamp>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let Job { kind, key, due_at, try_at, attempts, last_error, done_at } = job;
        Self { kind, key, due_at, try_at, attempts, last_error, done_at }
    }
}
