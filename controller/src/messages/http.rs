//! `/api/messages`, and the routes of its parts.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{MessageId, MessageKind, MessageProviderId, SubscriberId},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Class, Filter, Kind, Message, MessageChannel, MessageError, MessageState, Messages, NewMessage,
    providers, reports, texts,
};
use crate::{
    actor::Actor,
    http::{Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    idempotency::Made,
    operators::Role,
    prints::Language,
    words::{Name, Text},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Messages: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::MAIL_READERS), routes!(list))
        .route(Need::One(Role::FRONT_DESK), routes!(write))
        .route(Need::One(Role::MAIL_READERS), routes!(show))
        .route(Need::One(RESENDERS), routes!(resend))
        .merge(providers::http::routes())
        .merge(texts::http::routes())
        .merge(reports::http::routes())
}

/// Lists messages, oldest first.
#[utoipa::path(get, path = "/api/messages", tag = "messages", params(PageQuery, FilterQuery),
    responses((status = 200, body = Page<MessageView>)))]
async fn list(
    State(messages): State<Messages>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { subscriber, state }): Query<FilterQuery>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let ask = query.check::<MessageKind>()?;
    let filter = Filter { subscriber, state };
    let items = messages.list(&actor, filter, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |message| message.id, MessageView::from)))
}

/// Writes to a subscriber. What they have not agreed to is written down and withheld.
#[utoipa::path(post, path = "/api/messages", tag = "messages", request_body = MessageBody,
    responses((status = 201, body = MessageView), (status = 409, body = Problem)))]
async fn write(
    State(messages): State<Messages>,
    actor: Actor,
    Create { body, key }: Create<MessageBody>,
) -> Result<Created<MessageView>, Problem> {
    let MessageBody { subscriber, channel, class, subject, body } = body;
    if (channel == MessageChannel::Email) != subject.is_some() {
        let error = FieldError::new("subject", "expected for e-mail, and only for it");
        return Err(Problem::invalid(vec![error]));
    }
    let new = NewMessage { subscriber, channel, class, subject, body };
    Ok(created(messages.write(&actor, key.as_ref(), new).await?))
}

/// Shows a message.
#[utoipa::path(get, path = "/api/messages/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = MessageView), (status = 404, body = Problem)))]
async fn show(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageView>, Problem> {
    Ok(Json(messages.find(&actor, id).await?.into()))
}

/// Sends again what was given up. It may come twice, if nobody knew whether it was taken.
#[utoipa::path(post, path = "/api/messages/{id}/resend", tag = "messages",
    params(("id" = String, Path)),
    responses((status = 200, body = MessageView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn resend(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageView>, Problem> {
    Ok(Json(messages.resend(&actor, id).await?.into()))
}

pub(super) fn created(made: Made<Message>) -> Created<MessageView> {
    let path = format!("/api/messages/{}", made.value.id);
    Created { path, version: 1, view: made.value.into(), replayed: made.replayed }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<MessageState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "subscriber": "sub_0198b2f4c0de7000a000000000000001",
    "channel": "sms", "class": "transactional", "body": "We are back on-line." }))]
struct MessageBody {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    channel: MessageChannel,
    /// Marketing is only sent to who has agreed to it.
    class: Class,
    /// Of an e-mail.
    subject: Option<Name>,
    body: Text,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageView {
    #[schema(value_type = String, example = "msg_0198b2f4c0de7000a000000000000001")]
    id: MessageId,
    kind: Kind,
    class: Class,
    channel: MessageChannel,
    language: Language,
    /// An address or a number.
    recipient: String,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    subject: String,
    /// Without links and codes that only the recipient may know.
    body: String,
    /// SMS: in how many parts it is sent.
    segments: Option<u16>,
    state: MessageState,
    attempts: i32,
    /// When it is sent, if it waits.
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    #[schema(value_type = Option<String>)]
    message_provider: Option<MessageProviderId>,
    /// What the provider calls it.
    reference: Option<String>,
    /// What the provider says that it costs, in millionths of `cost_currency`.
    cost_micros: Option<i64>,
    cost_currency: Option<String>,
    /// Why it was not sent or not delivered.
    said: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    done_at: Option<Timestamp>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let (cost_micros, cost_currency) = message.cost.unzip();
        Self {
            id: message.id,
            kind: message.kind,
            class: message.class,
            channel: message.channel,
            language: message.language,
            recipient: message.recipient,
            subscriber: message.subscriber,
            subject: message.subject,
            body: message.body,
            segments: message.segments,
            state: message.state,
            attempts: message.attempts,
            due_at: message.due_at,
            message_provider: message.provider,
            reference: message.reference,
            cost_micros,
            cost_currency,
            said: message.said,
            created_at: message.created_at,
            sent_at: message.sent_at,
            done_at: message.done_at,
        }
    }
}

/// No empty password, by mistake.
pub(super) fn secret(field: &str, secret: Option<Secret>) -> Result<Option<Secret>, Problem> {
    let fits = |secret: &Secret| (1..=2000).contains(&secret.expose().len());
    if secret.as_ref().is_none_or(fits) {
        return Ok(secret);
    }
    Err(Problem::invalid(vec![FieldError::new(field, "expected 1 to 2000 characters")]))
}

impl From<MessageError> for Problem {
    fn from(error: MessageError) -> Self {
        let title = error.to_string();
        match error {
            MessageError::Unknown => Self::not_found("message"),
            MessageError::UnknownProvider => Self::not_found("message provider"),
            MessageError::UnknownSubscriber => Self::not_found("subscriber"),
            MessageError::ChannelTaken => Self::conflict("channel-taken", title),
            MessageError::NoProvider => Self::conflict("no-provider", title),
            MessageError::NoAddress => Self::conflict("no-address", title),
            MessageError::NotAgain => Self::conflict("not-again", title),
            MessageError::Setup { field, message } => {
                Self::invalid(vec![FieldError::new(field, message)])
            }
            MessageError::Text { n, field, error } => {
                let field = format!("texts[{n}].{field}");
                Self::invalid(vec![FieldError::new(field, error.to_string())])
            }
            MessageError::Stale => Self::stale(),
            MessageError::Seal(error) => Self::internal(&error),
            MessageError::Corrupt(error) => Self::internal(&error),
            MessageError::Print(error) => Self::internal(&error),
            MessageError::Claim(error) => error.into(),
            MessageError::Store(error) => error.into(),
        }
    }
}

/// Who looks after subscribers, and after the platform.
const RESENDERS: &[Role] = &[Role::Platform, Role::Owner, Role::Finance, Role::Noc, Role::Support];
