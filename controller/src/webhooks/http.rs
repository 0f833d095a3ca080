//! `/api/webhooks`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use shared::{
    id::{AuditId, AuditKind, WebhookId, WebhookKind},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Delivery, DeliveryState, NewWebhook, Pattern, Url, Webhook, WebhookChange, WebhookError,
    Webhooks,
};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Webhooks: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(MAY), routes!(list))
        .route(Need::One(MAY), routes!(create))
        .route(Need::One(MAY), routes!(show))
        .route(Need::One(MAY), routes!(update))
        .route(Need::One(MAY), routes!(deliveries))
        .route(Need::One(MAY), routes!(replay))
}

/// Lists webhooks.
#[utoipa::path(get, path = "/api/webhooks", tag = "webhooks", params(PageQuery),
    responses((status = 200, body = Page<WebhookView>)))]
async fn list(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<WebhookView>>, Problem> {
    let ask = query.check::<WebhookKind>()?;
    let items = webhooks.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |webhook| webhook.id, WebhookView::from)))
}

/// Adds a webhook: it is told of every change that fits its events, from now on.
///
/// Messages are signed: `Kennet-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 with the
/// secret over `SECONDS.BODY`. Whoever takes one answers with 2xx; otherwise it comes again, with
/// the same `Kennet-Delivery`, for two days.
#[utoipa::path(post, path = "/api/webhooks", tag = "webhooks", request_body = WebhookBody,
    responses((status = 201, body = NewWebhookView)))]
async fn create(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Create { body, key }: Create<WebhookBody>,
) -> Result<Created<NewWebhookView>, Problem> {
    let new = NewWebhook { url: body.url, events: some(body.events)? };
    let made = webhooks.create(&actor, key.as_ref(), new).await?;
    let (webhook, secret) = made.value;
    Ok(Created {
        path: format!("/api/webhooks/{}", webhook.id),
        version: webhook.version,
        view: NewWebhookView { webhook: webhook.into(), secret },
        replayed: made.replayed,
    })
}

/// Shows a webhook.
#[utoipa::path(get, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = WebhookView), (status = 404, body = Problem)))]
async fn show(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Path(id): Path<WebhookId>,
) -> Result<Versioned<WebhookView>, Problem> {
    Ok(versioned(webhooks.find(&actor, id).await?))
}

/// Changes a webhook. What is absent stays.
#[utoipa::path(patch, path = "/api/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    request_body = WebhookChangeBody,
    responses((status = 200, body = WebhookView), (status = 412, body = Problem)))]
async fn update(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Path(id): Path<WebhookId>,
    IfMatch(version): IfMatch,
    Body(body): Body<WebhookChangeBody>,
) -> Result<Versioned<WebhookView>, Problem> {
    let events = body.events.map(some).transpose()?;
    let change = WebhookChange { url: body.url, events, active: body.active };
    Ok(versioned(webhooks.update(&actor, id, version, change).await?))
}

/// Lists what a webhook was told, or will be, in the order of the changes.
#[utoipa::path(get, path = "/api/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path), PageQuery, StateQuery),
    responses((status = 200, body = Page<DeliveryView>), (status = 404, body = Problem)))]
async fn deliveries(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Path(id): Path<WebhookId>,
    Query(query): Query<PageQuery>,
    Query(StateQuery { state }): Query<StateQuery>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let ask = query.check::<AuditKind>()?;
    let items = webhooks.deliveries(&actor, id, state, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |delivery| delivery.id, DeliveryView::from)))
}

/// Sends again what was given up.
#[utoipa::path(post, path = "/api/webhooks/{id}/replay", tag = "webhooks",
    params(("id" = String, Path)),
    responses((status = 200, body = ReplayView), (status = 404, body = Problem)))]
async fn replay(
    State(webhooks): State<Webhooks>,
    actor: Actor,
    Path(id): Path<WebhookId>,
) -> Result<Json<ReplayView>, Problem> {
    Ok(Json(ReplayView { again: webhooks.replay(&actor, id).await? }))
}

fn versioned(webhook: Webhook) -> Versioned<WebhookView> {
    Versioned { version: webhook.version, view: webhook.into() }
}

fn some(events: Vec<Pattern>) -> Result<Vec<Pattern>, Problem> {
    if (1..=EVENTS_MAX).contains(&events.len()) {
        return Ok(events);
    }
    let error = FieldError::new("events", format!("expected 1 to {EVENTS_MAX}"));
    Err(Problem::invalid(vec![error]))
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookBody {
    #[schema(value_type = String, example = "https://books.savanna.example/kennet")]
    url: Url,
    /// Actions of the audit log: `invoice.finalise`, all of a noun as `invoice.*`, or all as `*`.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 32)]
    events: Vec<Pattern>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookChangeBody {
    #[schema(value_type = Option<String>)]
    url: Option<Url>,
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Vec<Pattern>>,
    active: Option<bool>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StateQuery {
    state: Option<DeliveryState>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WebhookView {
    #[schema(value_type = String, example = "wh_0198b2f4c0de7000a000000000000001")]
    id: WebhookId,
    #[schema(value_type = String)]
    url: Url,
    #[schema(value_type = Vec<String>)]
    events: Vec<Pattern>,
    active: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let Webhook { id, url, events, active, version: _, created_at } = webhook;
        Self { id, url, events, active, created_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct NewWebhookView {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What messages are signed with; told this once.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DeliveryView {
    /// Of the change, in the audit log.
    #[schema(value_type = String)]
    id: AuditId,
    event: String,
    state: DeliveryState,
    attempts: i32,
    /// When it is tried next, if it waits.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// What was answered last.
    status: Option<i32>,
    error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let Delivery { id, event, state, attempts, due_at, status, error, delivered_at } = delivery;
        Self { id, event, state, attempts, due_at, status, error, delivered_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ReplayView {
    /// How many are sent again.
    again: u64,
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Unknown => Self::not_found("webhook"),
            WebhookError::Stale => Self::stale(),
            WebhookError::Claim(error) => error.into(),
            WebhookError::Store(error) => error.into(),
        }
    }
}

/// Whoever adds one is told everything that fits.
const MAY: &[Role] = &[Role::Owner];
const EVENTS_MAX: usize = 32;
