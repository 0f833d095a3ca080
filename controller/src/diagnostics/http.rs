//! `/api/network/diagnostics`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{EdgeId, SessionId, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Check, Diagnosis, Diagnostics, DiagnosticsError, Facts, Verdict, Who};
use crate::{
    actor::Actor,
    http::{FieldError, Guarded, Need, Problem, Query},
    operators::Role,
    sessions::effects::Kept,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Diagnostics: FromRef<S>,
{
    Guarded::default().route(Need::One(Role::READERS), routes!(diagnose))
}

/// Says why a subscriber is off-line: checks from the contract to the device, with what each was
/// seen by. The first that is bad is to blame.
#[utoipa::path(get, path = "/api/network/diagnostics", tag = "network", params(WhoQuery),
    responses((status = 200, body = DiagnosisView), (status = 404, body = Problem)))]
async fn diagnose(
    State(diagnostics): State<Diagnostics>,
    actor: Actor,
    Query(query): Query<WhoQuery>,
) -> Result<Json<DiagnosisView>, Problem> {
    let who = match (query.subscriber, query.search) {
        (Some(id), None) => Who::Id(id),
        (None, Some(search)) => Who::Search(search),
        (Some(_), Some(_)) | (None, None) => {
            let expected = "expected `subscriber` or `search`, and not both";
            return Err(Problem::invalid(vec![FieldError::new("subscriber", expected)]));
        }
    };
    let (facts, diagnosis) = diagnostics.of(&actor, &who).await?;
    Ok(Json(DiagnosisView::new(facts, diagnosis)))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct WhoQuery {
    /// `sub_…`
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    /// An account number, a username, a mobile number or a MAC address.
    search: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DiagnosisView {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    username: String,
    online: bool,
    /// Name of the first check that is bad.
    blame: Option<&'static str>,
    /// What to do about it.
    advice: Option<&'static str>,
    checks: Vec<CheckView>,
    /// Where the subscriber was last, or the edge that was heard last.
    #[schema(value_type = Option<String>)]
    edge: Option<EdgeId>,
    /// The one that is live, or was last.
    #[schema(value_type = Option<String>)]
    session: Option<SessionId>,
    /// What came of asking its NAS, newest first.
    effects: Vec<EffectView>,
    /// Logins that failed, newest first.
    failures: Vec<FailureView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckView {
    name: &'static str,
    /// `good`, `bad`, `doubtful` or `unknown`.
    verdict: &'static str,
    says: String,
    /// When what it was seen by was so.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EffectView {
    nas: String,
    asked: String,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    answered: String,
    /// RFC 5176 §3.5
    error_cause: Option<i32>,
    observed: String,
    after_ms: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct FailureView {
    reason: String,
    nas: String,
    count: i64,
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

impl DiagnosisView {
    fn new(facts: Facts, diagnosis: Diagnosis) -> Self {
        let Diagnosis { online, checks, blame, advice } = diagnosis;
        Self {
            subscriber: facts.subscriber,
            username: facts.username,
            online,
            blame,
            advice,
            checks: checks.into_iter().map(CheckView::from).collect(),
            edge: facts.edge.map(|edge| edge.id),
            session: facts.last.map(|session| session.id),
            effects: facts.effects.into_iter().map(EffectView::from).collect(),
            failures: facts
                .failures
                .into_iter()
                .map(|one| FailureView {
                    reason: one.reason,
                    nas: one.nas_name,
                    count: one.count,
                    last_at: one.last_at,
                })
                .collect(),
        }
    }
}

impl From<Check> for CheckView {
    fn from(Check { name, verdict, says, at }: Check) -> Self {
        let verdict = match verdict {
            Verdict::Good => "good",
            Verdict::Bad => "bad",
            Verdict::Doubtful => "doubtful",
            Verdict::Unknown => "unknown",
        };
        Self { name, verdict, says, at }
    }
}

impl From<Kept> for EffectView {
    fn from(kept: Kept) -> Self {
        let Kept { nas_name, asked, asked_at, answered, error_cause, observed, after_ms } = kept;
        Self { nas: nas_name, asked, asked_at, answered, error_cause, observed, after_ms }
    }
}

impl From<DiagnosticsError> for Problem {
    fn from(error: DiagnosticsError) -> Self {
        match error {
            DiagnosticsError::Unknown => Self::not_found("subscriber"),
            DiagnosticsError::Store(error) => error.into(),
        }
    }
}
