//! `/api/sessions/start`.

use axum::extract::{FromRef, State};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::id::{EntitlementId, PlanVersionId, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{NewStart, Start, StartError};
use crate::{
    actor::Actor,
    db::Db,
    edges::office::Office,
    http::{Create, Created, FieldError, Guarded, Need, Problem},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Db: FromRef<S>,
    Office: FromRef<S>,
{
    Guarded::default().route(Need::One(MAY_START), routes!(start))
}

/// Lets somebody on-line for a while who has not paid
///
/// A courtesy: no money moves, and there is one at a time. The device comes in by itself, at the
/// portal or its NAS; the session that it then has ends when the time is over.
#[utoipa::path(
    post,
    path = "/api/sessions/start",
    tag = "sessions",
    request_body = StartBody,
    responses((status = 201, body = StartView), (status = 404, body = Problem),
        (status = 409, body = Problem)),
)]
#[tracing::instrument(name = "http.session.start", skip_all)]
async fn start(
    State(db): State<Db>,
    State(office): State<Office>,
    actor: Actor,
    Create { body, key }: Create<StartBody>,
) -> Result<Created<StartView>, Problem> {
    let new = body.check()?;
    let made = super::start(&db, &office.desk.look_again, &actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/sessions?subscriber={}", made.value.subscriber),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartBody {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    /// How long, from a minute to a day; a quarter of an hour if it is not said.
    #[serde(default = "quarter")]
    #[schema(minimum = 60, maximum = 86_400)]
    seconds: u32,
    /// No more than this, down and up together.
    #[schema(minimum = 1)]
    data_bytes: Option<u64>,
    /// Whose rates it has; those of the last plan if it is not said.
    #[schema(value_type = Option<String>)]
    plan_version: Option<PlanVersionId>,
}

impl StartBody {
    fn check(self) -> Result<NewStart, Problem> {
        let Self { subscriber, seconds, data_bytes, plan_version } = self;
        let mut errors = Vec::new();
        if !(60..=86_400).contains(&seconds) {
            errors.push(FieldError::new("seconds", "expected 60 to 86400"));
        }
        if data_bytes.is_some_and(|bytes| bytes == 0 || i64::try_from(bytes).is_err()) {
            errors.push(FieldError::new("data_bytes", "expected 1 to 9223372036854775807"));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let lasting = SignedDuration::from_secs(i64::from(seconds));
        Ok(NewStart { subscriber, lasting, data_bytes, plan_version })
    }
}

const fn quarter() -> u32 {
    900
}

#[derive(Debug, Serialize, ToSchema)]
struct StartView {
    #[schema(value_type = String)]
    entitlement: EntitlementId,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    data_bytes: Option<u64>,
}

impl From<Start> for StartView {
    fn from(start: Start) -> Self {
        let Start { id: entitlement, subscriber, plan_version, from, until, data_bytes } = start;
        Self { entitlement, subscriber, plan_version, from, until, data_bytes }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let title = error.to_string();
        match error {
            StartError::UnknownSubscriber => Self::not_found("subscriber"),
            StartError::LiveAlready => Self::conflict("live-already", title),
            StartError::NoPlan => Self::conflict("no-plan", title),
            StartError::Claim(error) => error.into(),
            StartError::Store(error) => error.into(),
        }
    }
}

/// Who is on the telephone with somebody off-line.
const MAY_START: &[Role] = &[Role::Owner, Role::Noc, Role::Support];
