//! `/api/live`: Server-Sent Events.

use std::{collections::VecDeque, convert::Infallible};

use axum::{
    Extension,
    extract::{FromRef, State},
    http::{HeaderName, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use shared::daemon::Chain;
use utoipa_axum::routes;

use super::{EVERY, LiveError, Topic, Watch, Watching, feed::Event};
use crate::{
    actor::Actor,
    http::{FieldError, Guarded, Need, Problem, Query},
    logins::Credential,
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Watching: FromRef<S>,
{
    Guarded::default().route(Need::One(Role::READERS), routes!(watch))
}

/// Tells what is there, and then what changes, as Server-Sent Events.
///
/// For each topic a `snapshot` with all `items`, the newest 500; then `change` with an `item`, and
/// `gone` with an `id`. It ends after five minutes, and with the login: connect again, and begin
/// with the snapshots.
#[utoipa::path(get, path = "/api/live", tag = "live", params(TopicsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 503, body = Problem)))]
async fn watch(
    State(watching): State<Watching>,
    actor: Actor,
    credential: Extension<Credential>,
    Query(query): Query<TopicsQuery>,
) -> Result<Response, Problem> {
    let watch = watching.watch(actor, credential.0, &query.check()?)?;
    // A proxy in between is not to collect what it gets.
    let at_once = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let events = Sse::new(events(watch)).keep_alive(KeepAlive::default());
    Ok((at_once, events).into_response())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct TopicsQuery {
    /// `edges`, `payments`, `sessions`, `tickets`; several with commas.
    #[param(example = "edges,sessions")]
    topics: String,
}

impl TopicsQuery {
    fn check(&self) -> Result<Vec<Topic>, Problem> {
        let mut topics: Vec<Topic> = Vec::new();
        for word in self.topics.split(',') {
            let topic = word.trim().parse().map_err(|error: crate::words::NotAWord| {
                Problem::invalid(vec![FieldError::new("topics", error.to_string())])
            })?;
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        Ok(topics)
    }
}

/// Looks once a second, and tells one event after the other, as fast as they are taken.
fn events(watch: Watch) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let state = (watch, VecDeque::<Event>::new(), tokio::time::interval(EVERY));
    stream::unfold(state, |(mut watch, mut waiting, mut every)| async {
        loop {
            if let Some(event) = waiting.pop_front() {
                let event = sse::Event::default().event(event.name).data(event.data.to_string());
                return Some((Ok(event), (watch, waiting, every)));
            }
            every.tick().await;
            match watch.look().await {
                Ok(Some(events)) => waiting.extend(events),
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "a live view ends");
                    return None;
                }
            }
        }
    })
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::TooMany => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Self::retry_later(status, "too-many-watchers", &error.to_string(), 30)
            }
            LiveError::Store(error) => error.into(),
        }
    }
}
