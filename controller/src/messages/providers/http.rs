//! `/api/message-providers`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{MessageProviderId, MessageProviderKind},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{MessageChannel, Messages, NewProvider, Provider, ProviderChange, Setup};
use crate::{
    actor::Actor,
    http::{
        Body, Create, Created, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem, Query,
        Versioned,
    },
    messages::http::{MessageView, created, secret},
    operators::Role,
    words::Name,
};

pub(in crate::messages) fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Messages: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::MAIL_READERS), routes!(list))
        .route(Need::One(MAY), routes!(create))
        .route(Need::One(Role::MAIL_READERS), routes!(show))
        .route(Need::One(MAY), routes!(update))
        .route(Need::One(MAY), routes!(address))
        .route(Need::One(MAY), routes!(test))
}

/// Lists who carries messages.
#[utoipa::path(get, path = "/api/message-providers", tag = "messages", params(PageQuery),
    responses((status = 200, body = Page<MessageProviderView>)))]
async fn list(
    State(messages): State<Messages>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<MessageProviderView>>, Problem> {
    let ask = query.check::<MessageProviderKind>()?;
    let items = messages.providers(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |provider| provider.id, MessageProviderView::from)))
}

/// Adds a mail server, or an account at an SMS or WhatsApp provider. What opens it is sealed and
/// never shown.
#[utoipa::path(post, path = "/api/message-providers", tag = "messages",
    request_body = MessageProviderBody,
    responses((status = 201, body = MessageProviderView), (status = 409, body = Problem)))]
async fn create(
    State(messages): State<Messages>,
    actor: Actor,
    Create { body, key }: Create<MessageProviderBody>,
) -> Result<Created<MessageProviderView>, Problem> {
    let new = NewProvider {
        name: body.name,
        setup: body.setup,
        secret: secret("secret", body.secret)?,
        report_secret: secret("report_secret", body.report_secret)?,
    };
    let made = messages.add_provider(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/message-providers/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows who carries messages of a channel.
#[utoipa::path(get, path = "/api/message-providers/{id}", tag = "messages",
    params(("id" = String, Path)),
    responses((status = 200, body = MessageProviderView), (status = 404, body = Problem)))]
async fn show(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageProviderId>,
) -> Result<Versioned<MessageProviderView>, Problem> {
    Ok(versioned(messages.provider(&actor, id).await?))
}

/// Changes who carries messages. What is absent stays, of the secrets too.
#[utoipa::path(patch, path = "/api/message-providers/{id}", tag = "messages",
    params(("id" = String, Path)), request_body = MessageProviderChangeBody,
    responses((status = 200, body = MessageProviderView), (status = 412, body = Problem)))]
async fn update(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageProviderId>,
    IfMatch(version): IfMatch,
    Body(body): Body<MessageProviderChangeBody>,
) -> Result<Versioned<MessageProviderView>, Problem> {
    let change = ProviderChange {
        name: body.name,
        setup: body.setup,
        secret: secret("secret", body.secret)?,
        report_secret: secret("report_secret", body.report_secret)?,
        active: body.active,
    };
    Ok(versioned(messages.change_provider(&actor, id, version, change).await?))
}

/// Says where the provider has to report what became of messages.
#[utoipa::path(get, path = "/api/message-providers/{id}/address", tag = "messages",
    params(("id" = String, Path)),
    responses((status = 200, body = ReportAddressView), (status = 404, body = Problem)))]
async fn address(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageProviderId>,
) -> Result<Json<ReportAddressView>, Problem> {
    let reports = messages.report_address(&actor, id).await?;
    Ok(Json(ReportAddressView { reports }))
}

/// Sends a message that says that it is a test. What came of it stands in the message.
#[utoipa::path(post, path = "/api/message-providers/{id}/test", tag = "messages",
    params(("id" = String, Path)), request_body = TestBody,
    responses((status = 201, body = MessageView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn test(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageProviderId>,
    Create { body, key }: Create<TestBody>,
) -> Result<Created<MessageView>, Problem> {
    let recipient = body.recipient.as_str().trim_start_matches('+').to_owned();
    Ok(created(messages.test_provider(&actor, key.as_ref(), id, recipient).await?))
}

fn versioned(provider: Provider) -> Versioned<MessageProviderView> {
    Versioned { version: provider.version, view: provider.into() }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Office", "setup": { "kind": "smtp",
    "host": "mail.savanna.example", "port": 587, "security": "starttls",
    "from": "billing@savanna.example", "username": "kennet" },
    "secret": "correct horse battery" }))]
struct MessageProviderBody {
    name: Name,
    setup: Setup,
    /// A password, an API key, a token.
    #[schema(value_type = Option<String>, format = Password)]
    secret: Option<Secret>,
    /// What signs reports, if it is another.
    #[schema(value_type = Option<String>, format = Password)]
    report_secret: Option<Secret>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessageProviderChangeBody {
    name: Option<Name>,
    setup: Option<Setup>,
    #[schema(value_type = Option<String>, format = Password)]
    secret: Option<Secret>,
    #[schema(value_type = Option<String>, format = Password)]
    report_secret: Option<Secret>,
    active: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestBody {
    /// An e-mail address or a number, as the channel wants it.
    recipient: Name,
}

#[derive(Debug, Serialize, ToSchema)]
struct MessageProviderView {
    #[schema(value_type = String, example = "mpv_0198b2f4c0de7000a000000000000001")]
    id: MessageProviderId,
    channel: MessageChannel,
    name: Name,
    setup: Setup,
    /// It carries what is sent over its channel.
    active: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Provider> for MessageProviderView {
    fn from(provider: Provider) -> Self {
        let Provider { id, channel, name, setup, active, version: _, created_at } = provider;
        Self { id, channel, name, setup, active, created_at }
    }
}

/// Whoever knows it can pretend to be the provider.
#[derive(Debug, Serialize, ToSchema)]
struct ReportAddressView {
    #[schema(example = "https://pay.savanna.example/cb/messages/0123")]
    reports: String,
}

/// Whoever sets one up writes in the tenant's name.
const MAY: &[Role] = Role::HEADS;
