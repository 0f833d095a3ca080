//! `/api/subscribers`.

use std::net::IpAddr;

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{SubscriberId, SubscriberKind},
    net::{Ipv6Prefix, Mac},
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    AccountNo, NewSubscriber, Subscriber, SubscriberChange, SubscriberError, SubscriberStatus,
    Subscribers,
};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    operators::Role,
    words::{Change, Email, Msisdn, Name, RadiusSecret, Username},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Subscribers: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::FRONT_DESK), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::FRONT_DESK), routes!(update))
        .route(Need::One(Role::FRONT_DESK), routes!(delete))
}

/// Lists subscribers.
#[utoipa::path(get, path = "/api/subscribers", tag = "subscribers",
    params(PageQuery, SearchQuery), responses((status = 200, body = Page<SubscriberView>)))]
async fn list(
    State(subscribers): State<Subscribers>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(SearchQuery { search }): Query<SearchQuery>,
) -> Result<Json<Page<SubscriberView>>, Problem> {
    let ask = query.check::<SubscriberKind>()?;
    let search = search.as_deref().filter(|search| !search.is_empty());
    let items = subscribers.list(&actor, search, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |subscriber| subscriber.id, SubscriberView::from)))
}

/// Adds a subscriber. The account number is given by the system.
#[utoipa::path(post, path = "/api/subscribers", tag = "subscribers",
    request_body = SubscriberBody,
    responses((status = 201, body = SubscriberView), (status = 409, body = Problem)))]
async fn create(
    State(subscribers): State<Subscribers>,
    actor: Actor,
    Create { body, key }: Create<SubscriberBody>,
) -> Result<Created<SubscriberView>, Problem> {
    let made = subscribers.create(&actor, key.as_ref(), body.into()).await?;
    Ok(Created {
        path: format!("/api/subscribers/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a subscriber.
#[utoipa::path(get, path = "/api/subscribers/{id}", tag = "subscribers",
    params(("id" = String, Path)),
    responses((status = 200, body = SubscriberView), (status = 404, body = Problem)))]
async fn show(
    State(subscribers): State<Subscribers>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
) -> Result<Versioned<SubscriberView>, Problem> {
    Ok(versioned(subscribers.find(&actor, id).await?))
}

/// Changes a subscriber. What is absent stays; `null` takes away what may be missing.
#[utoipa::path(patch, path = "/api/subscribers/{id}", tag = "subscribers",
    params(("id" = String, Path)), request_body = SubscriberChangeBody,
    responses((status = 200, body = SubscriberView), (status = 412, body = Problem)))]
async fn update(
    State(subscribers): State<Subscribers>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
    IfMatch(version): IfMatch,
    Body(change): Body<SubscriberChangeBody>,
) -> Result<Versioned<SubscriberView>, Problem> {
    Ok(versioned(subscribers.update(&actor, id, version, change.into()).await?))
}

/// Deletes a subscriber who was added by mistake, with devices and consent. Who paid or was billed
/// (`has-money`), was served (`was-served`) or is told of elsewhere (`has-history`) stays: the
/// account is closed by an update, or `anonymise` takes away what names the person.
#[utoipa::path(delete, path = "/api/subscribers/{id}", tag = "subscribers",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(subscribers): State<Subscribers>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
) -> Result<StatusCode, Problem> {
    subscribers.delete(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// The beginning of a username or of an account number.
    search: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriberBody {
    username: Username,
    /// Of RADIUS. Without one, only the devices of `macs` can log in.
    password: Option<RadiusSecret>,
    full_name: Name,
    msisdn: Option<Msisdn>,
    email: Option<Email>,
    #[schema(value_type = Option<String>, example = "10.0.0.20")]
    static_ip: Option<IpAddr>,
    /// For the subscriber's router to hand out.
    #[schema(value_type = Option<String>, example = "2001:db8:0:100::/56")]
    delegated_prefix: Option<Ipv6Prefix>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["02:00:00:00:00:01"]))]
    macs: Vec<Mac>,
}

impl From<SubscriberBody> for NewSubscriber {
    fn from(body: SubscriberBody) -> Self {
        Self {
            username: body.username,
            password: body.password,
            full_name: body.full_name,
            msisdn: body.msisdn,
            email: body.email,
            static_ip: body.static_ip,
            delegated_prefix: body.delegated_prefix,
            macs: body.macs,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriberChangeBody {
    username: Option<Username>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    password: Change<RadiusSecret>,
    full_name: Option<Name>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    msisdn: Change<Msisdn>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Change<Email>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    static_ip: Change<IpAddr>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    delegated_prefix: Change<Ipv6Prefix>,
    #[schema(value_type = Option<Vec<String>>)]
    macs: Option<Vec<Mac>>,
    status: Option<SubscriberStatus>,
}

impl From<SubscriberChangeBody> for SubscriberChange {
    fn from(body: SubscriberChangeBody) -> Self {
        Self {
            username: body.username,
            password: body.password,
            full_name: body.full_name,
            msisdn: body.msisdn,
            email: body.email,
            static_ip: body.static_ip,
            delegated_prefix: body.delegated_prefix,
            macs: body.macs,
            status: body.status,
        }
    }
}

/// A subscriber. The password is never shown.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriberView {
    #[schema(value_type = String, example = "sub_0198b2f4c0de7000a000000000000001")]
    id: SubscriberId,
    #[schema(value_type = String, example = "1000004")]
    account_no: AccountNo,
    username: Username,
    has_password: bool,
    full_name: Name,
    msisdn: Option<Msisdn>,
    email: Option<Email>,
    #[schema(value_type = Option<String>)]
    static_ip: Option<IpAddr>,
    #[schema(value_type = Option<String>)]
    delegated_prefix: Option<Ipv6Prefix>,
    #[schema(value_type = Vec<String>)]
    macs: Vec<Mac>,
    status: SubscriberStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Subscriber> for SubscriberView {
    fn from(subscriber: Subscriber) -> Self {
        Self {
            id: subscriber.id,
            account_no: subscriber.account_no,
            username: subscriber.username,
            has_password: subscriber.has_password,
            full_name: subscriber.full_name,
            msisdn: subscriber.msisdn,
            email: subscriber.email,
            static_ip: subscriber.static_ip,
            delegated_prefix: subscriber.delegated_prefix,
            macs: subscriber.macs,
            status: subscriber.status,
            created_at: subscriber.created_at,
        }
    }
}

fn versioned(subscriber: Subscriber) -> Versioned<SubscriberView> {
    Versioned { version: subscriber.version, view: subscriber.into() }
}

impl From<SubscriberError> for Problem {
    fn from(error: SubscriberError) -> Self {
        match error {
            SubscriberError::Unknown => Self::not_found("subscriber"),
            SubscriberError::UsernameTaken => Self::conflict("username-taken", error.to_string()),
            SubscriberError::MsisdnTaken => Self::conflict("msisdn-taken", error.to_string()),
            SubscriberError::DeviceTaken => Self::conflict("device-taken", error.to_string()),
            SubscriberError::NotByUpdate => Self::conflict("not-by-update", error.to_string()),
            SubscriberError::Held => Self::conflict("held", error.to_string()),
            SubscriberError::HasMoney => Self::conflict("has-money", error.to_string()),
            SubscriberError::WasServed => Self::conflict("was-served", error.to_string()),
            SubscriberError::HasHistory => Self::conflict("has-history", error.to_string()),
            SubscriberError::Stale => Self::stale(),
            SubscriberError::Claim(error) => error.into(),
            SubscriberError::Seal(error) => Self::internal(&error),
            SubscriberError::Store(error) => error.into(),
        }
    }
}
