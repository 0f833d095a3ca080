//! `/api/subscriptions`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{PlanVersionId, SubscriberId, SubscriptionId, SubscriptionKind};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Event, Filter, NewSubscription, State as SubscriptionState, Subscription, SubscriptionChange,
    SubscriptionError, Subscriptions, Verb,
};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    operators::Role,
    words::{Note, choices},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Subscriptions: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::FRONT_DESK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::FRONT_DESK), routes!(update))
        .route(Need::One(Role::FRONT_DESK), routes!(change_state))
        .route(Need::One(Role::READERS), routes!(events))
}

/// Lists subscriptions.
#[utoipa::path(get, path = "/api/subscriptions", tag = "subscriptions",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<SubscriptionView>)))]
async fn list(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(filter): Query<FilterQuery>,
) -> Result<Json<Page<SubscriptionView>>, Problem> {
    let ask = query.check::<SubscriptionKind>()?;
    let FilterQuery { subscriber, state } = filter;
    let filter = Filter { subscriber, state };
    let items = subscriptions.list(&actor, filter, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |subscription| subscription.id, SubscriptionView::from)))
}

/// Gives a subscriber a plan.
#[utoipa::path(post, path = "/api/subscriptions", tag = "subscriptions",
    request_body = SubscriptionBody,
    responses((status = 201, body = SubscriptionView), (status = 409, body = Problem)))]
async fn create(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Create { body, key }: Create<SubscriptionBody>,
) -> Result<Created<SubscriptionView>, Problem> {
    let SubscriptionBody { subscriber, plan_version, auto_renew, activate } = body;
    let new = NewSubscription { subscriber, plan_version, auto_renew, activate };
    let made = subscriptions.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/subscriptions/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a subscription.
#[utoipa::path(get, path = "/api/subscriptions/{id}", tag = "subscriptions",
    params(("id" = String, Path)),
    responses((status = 200, body = SubscriptionView), (status = 404, body = Problem)))]
async fn show(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
) -> Result<Versioned<SubscriptionView>, Problem> {
    Ok(versioned(subscriptions.find(&actor, id).await?))
}

/// Changes a subscription. Another plan version takes effect at once, with what its rest costs more
/// out of the wallet, or at the end of the term if it costs less.
#[utoipa::path(patch, path = "/api/subscriptions/{id}", tag = "subscriptions",
    params(("id" = String, Path)), request_body = SubscriptionChangeBody,
    responses((status = 200, body = SubscriptionView), (status = 412, body = Problem)))]
async fn update(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
    IfMatch(version): IfMatch,
    Body(body): Body<SubscriptionChangeBody>,
) -> Result<Versioned<SubscriptionView>, Problem> {
    let SubscriptionChangeBody { plan_version, auto_renew } = body;
    let change = SubscriptionChange { plan_version, auto_renew };
    Ok(versioned(subscriptions.update(&actor, id, version, change).await?))
}

/// Moves a subscription to another state: `activate`, `suspend`, `resume`, `expire`, `cancel`.
#[utoipa::path(post, path = "/api/subscriptions/{id}/{verb}", tag = "subscriptions",
    params(("id" = String, Path), ("verb" = inline(VerbWord), Path)), request_body = ReasonBody,
    responses((status = 200, body = SubscriptionView), (status = 409, body = Problem)))]
async fn change_state(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Path((id, verb)): Path<(SubscriptionId, VerbWord)>,
    Body(body): Body<ReasonBody>,
) -> Result<Versioned<SubscriptionView>, Problem> {
    let verb = match verb {
        VerbWord::Activate => Verb::Activate,
        VerbWord::Suspend => Verb::Suspend,
        VerbWord::Resume => Verb::Resume,
        VerbWord::Expire => Verb::Expire,
        VerbWord::Cancel => Verb::Cancel,
    };
    Ok(versioned(subscriptions.change_state(&actor, id, verb, body.reason.as_ref()).await?))
}

/// Lists what happened to a subscription, oldest first.
#[utoipa::path(get, path = "/api/subscriptions/{id}/events", tag = "subscriptions",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<EventView>), (status = 404, body = Problem)))]
async fn events(
    State(subscriptions): State<Subscriptions>,
    actor: Actor,
    Path(id): Path<SubscriptionId>,
) -> Result<Json<Vec<EventView>>, Problem> {
    let events = subscriptions.events(&actor, id).await?;
    Ok(Json(events.into_iter().map(EventView::from).collect()))
}

choices! {
    VerbWord {
        Activate = "activate",
        Suspend = "suspend",
        Resume = "resume",
        Expire = "expire",
        Cancel = "cancel",
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<SubscriptionState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionBody {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    /// The subscriber has asked for it: each term is paid from the wallet when the one before ends,
    /// and what the wallet lacks is asked for on the phone, two hours and ten minutes before.
    #[serde(default)]
    auto_renew: bool,
    /// At once, instead of when it is paid.
    #[serde(default)]
    activate: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionChangeBody {
    #[schema(value_type = Option<String>)]
    plan_version: Option<PlanVersionId>,
    auto_renew: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonBody {
    reason: Option<Note>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionView {
    #[schema(value_type = String, example = "subn_0198b2f4c0de7000a000000000000001")]
    id: SubscriptionId,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    state: SubscriptionState,
    #[schema(value_type = Option<String>, format = DateTime)]
    bill_anchor: Option<Timestamp>,
    auto_renew: bool,
    /// What is paid for, or what the next invoice is about.
    #[schema(value_type = Option<String>, format = DateTime)]
    term_start: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    term_end: Option<Timestamp>,
    /// From the end of the term on.
    #[schema(value_type = Option<String>)]
    next_plan_version: Option<PlanVersionId>,
    /// Not paid, and still in the walled garden, where it can be.
    walled: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    promise_until: Option<Timestamp>,
    /// What the edges should have.
    desired_rev: i64,
    /// What they say they have.
    applied_rev: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Subscription> for SubscriptionView {
    fn from(subscription: Subscription) -> Self {
        Self {
            id: subscription.id,
            subscriber: subscription.subscriber,
            plan_version: subscription.plan_version,
            state: subscription.state,
            bill_anchor: subscription.bill_anchor,
            auto_renew: subscription.auto_renew,
            term_start: subscription.term.map(|term| term.0),
            term_end: subscription.term.map(|term| term.1),
            next_plan_version: subscription.next_plan_version,
            walled: subscription.walled,
            promise_until: subscription.promise_until,
            desired_rev: subscription.desired_rev,
            applied_rev: subscription.applied_rev,
            created_at: subscription.created_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    from: Option<SubscriptionState>,
    to: SubscriptionState,
    reason: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let Event { seq, at, from, to, reason } = event;
        Self { seq, at, from, to, reason }
    }
}

fn versioned(subscription: Subscription) -> Versioned<SubscriptionView> {
    Versioned { version: subscription.version, view: subscription.into() }
}

impl From<SubscriptionError> for Problem {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Unknown => Self::not_found("subscription"),
            SubscriptionError::Dangling => Self::conflict("not-for-sale", error.to_string()),
            SubscriptionError::LiveAlready => Self::conflict("live-already", error.to_string()),
            SubscriptionError::NotFrom { .. } => Self::conflict("not-from-here", error.to_string()),
            SubscriptionError::Over => Self::conflict("over", error.to_string()),
            SubscriptionError::Stale => Self::stale(),
            SubscriptionError::Period(error) => error.into(),
            SubscriptionError::Claim(error) => error.into(),
            SubscriptionError::Store(error) => error.into(),
        }
    }
}
