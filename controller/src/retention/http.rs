//! `/api/retention-policy`, `/api/retention` and `/api/legal-holds`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{LegalHoldId, LegalHoldKind, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Hold, Old, Policy, Retention, RetentionClass, RetentionError};
use crate::{
    actor::Actor,
    clock,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::Name,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Retention: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(SEES), routes!(policy))
        .route(Need::One(MAY), routes!(set_policy))
        .route(Need::One(SEES), routes!(old))
        .route(Need::One(SEES), routes!(holds))
        .route(Need::One(MAY), routes!(hold))
        .route(Need::One(MAY), routes!(lift))
}

/// Shows how long what names people is kept.
#[utoipa::path(get, path = "/api/retention-policy", tag = "retention",
    responses((status = 200, body = RetentionPolicyBody)))]
async fn policy(
    State(retention): State<Retention>,
    actor: Actor,
) -> Result<Versioned<RetentionPolicyBody>, Problem> {
    Ok(versioned(&retention.policy(&actor).await?))
}

/// Says how long what names people is kept.
#[utoipa::path(put, path = "/api/retention-policy", tag = "retention",
    request_body = RetentionPolicyBody,
    responses((status = 200, body = RetentionPolicyBody), (status = 412, body = Problem)))]
async fn set_policy(
    State(retention): State<Retention>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(body): Body<RetentionPolicyBody>,
) -> Result<Versioned<RetentionPolicyBody>, Problem> {
    let policy = body.check()?;
    Ok(versioned(&retention.set_policy(&actor, version, policy).await?))
}

/// Counts what is older than it is kept: what goes within the hour, unless it is held.
#[utoipa::path(get, path = "/api/retention", tag = "retention",
    responses((status = 200, body = Vec<OldView>)))]
async fn old(
    State(retention): State<Retention>,
    actor: Actor,
) -> Result<Json<Vec<OldView>>, Problem> {
    let all = retention.old(&actor, clock::now()).await?;
    Ok(Json(all.into_iter().map(OldView::from).collect()))
}

/// Lists legal holds, those that are lifted too.
#[utoipa::path(get, path = "/api/legal-holds", tag = "retention", params(PageQuery),
    responses((status = 200, body = Page<LegalHoldView>)))]
async fn holds(
    State(retention): State<Retention>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<LegalHoldView>>, Problem> {
    let ask = query.check::<LegalHoldKind>()?;
    let items = retention.holds(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |hold| hold.id, LegalHoldView::from)))
}

/// Keeps everything about a subscriber, or about everybody, until the hold is lifted.
#[utoipa::path(post, path = "/api/legal-holds", tag = "retention", request_body = LegalHoldBody,
    responses((status = 201, body = LegalHoldView), (status = 404, body = Problem)))]
async fn hold(
    State(retention): State<Retention>,
    actor: Actor,
    Create { body, key }: Create<LegalHoldBody>,
) -> Result<Created<LegalHoldView>, Problem> {
    let LegalHoldBody { subscriber, reason } = body;
    let made = retention.hold(&actor, key.as_ref(), subscriber, reason).await?;
    let path = format!("/api/legal-holds/{}", made.value.id);
    Ok(Created { path, version: 1, view: made.value.into(), replayed: made.replayed })
}

/// Lifts a legal hold.
#[utoipa::path(post, path = "/api/legal-holds/{id}/lift", tag = "retention",
    params(("id" = String, Path)),
    responses((status = 200, body = LegalHoldView), (status = 404, body = Problem)))]
async fn lift(
    State(retention): State<Retention>,
    actor: Actor,
    Path(id): Path<LegalHoldId>,
) -> Result<Json<LegalHoldView>, Problem> {
    Ok(Json(retention.lift(&actor, id).await?.into()))
}

/// Days.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "sessions": 365, "auth": 90, "messages": 365, "webhooks": 30,
    "callbacks": 90 }))]
struct RetentionPolicyBody {
    /// Who was on-line when, with which device and address.
    sessions: u16,
    /// Logins that failed.
    auth: u16,
    /// What was told to whom.
    messages: u16,
    /// What webhooks were told.
    webhooks: u16,
    /// What payment providers called back, as it came.
    callbacks: u16,
}

impl RetentionPolicyBody {
    fn check(self) -> Result<Policy, Problem> {
        let Self { sessions, auth, messages, webhooks, callbacks } = self;
        let ranges = [
            ("sessions", sessions, 90),
            ("auth", auth, 7),
            ("messages", messages, 7),
            ("webhooks", webhooks, 7),
            ("callbacks", callbacks, 30),
        ];
        let wrong = ranges.iter().filter(|(_, days, least)| !(*least..=3650).contains(days));
        let wrong: Vec<_> = wrong
            .map(|(field, _, least)| {
                FieldError::new(*field, format!("expected {least} to 3650 days"))
            })
            .collect();
        if !wrong.is_empty() {
            return Err(Problem::invalid(wrong));
        }
        Ok(Policy { sessions, auth, messages, webhooks, callbacks, version: 0 })
    }
}

fn versioned(policy: &Policy) -> Versioned<RetentionPolicyBody> {
    let Policy { sessions, auth, messages, webhooks, callbacks, version } = *policy;
    let view = RetentionPolicyBody { sessions, auth, messages, webhooks, callbacks };
    Versioned { version, view }
}

#[derive(Debug, Serialize, ToSchema)]
struct OldView {
    class: RetentionClass,
    days: u16,
    rows: i64,
}

impl From<Old> for OldView {
    fn from(old: Old) -> Self {
        let Old { class, days, rows } = old;
        Self { class, days, rows }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LegalHoldBody {
    /// None: everybody.
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    reason: Name,
}

#[derive(Debug, Serialize, ToSchema)]
struct LegalHoldView {
    #[schema(value_type = String, example = "hld_0198b2f4c0de7000a000000000000001")]
    id: LegalHoldId,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    reason: Name,
    placed_by: String,
    #[schema(value_type = String, format = DateTime)]
    placed_at: Timestamp,
    lifted_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    lifted_at: Option<Timestamp>,
}

impl From<Hold> for LegalHoldView {
    fn from(hold: Hold) -> Self {
        let Hold { id, subscriber, reason, placed_by, placed_at, lifted_by, lifted_at } = hold;
        Self { id, subscriber, reason, placed_by, placed_at, lifted_by, lifted_at }
    }
}

impl From<RetentionError> for Problem {
    fn from(error: RetentionError) -> Self {
        match error {
            RetentionError::Unknown => Self::not_found("legal hold"),
            RetentionError::UnknownSubscriber => Self::not_found("subscriber"),
            RetentionError::Stale => Self::stale(),
            RetentionError::Claim(error) => error.into(),
            RetentionError::Store(error) => error.into(),
        }
    }
}

const SEES: &[Role] = &[Role::Owner, Role::Auditor];
/// Who answers for what is kept.
const MAY: &[Role] = &[Role::Owner];
