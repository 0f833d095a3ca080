//! `/api/message-policy`, `/api/message-templates`, `/api/subscribers/{id}/consent`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::{Timestamp, civil::Time};
use serde::{Deserialize, Serialize};
use shared::id::SubscriberId;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Consent, Kind, MessageChannel, MessageError, Messages, Policy, Quiet, Text, Texts, Written,
    template,
};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, IfMatch, Need, Path, Problem, Versioned},
    messages::segments,
    operators::Role,
    prints::Language,
};

pub(in crate::messages) fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Messages: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(policy))
        .route(Need::One(Role::SALES), routes!(set_policy))
        .route(Need::One(Role::READERS), routes!(templates))
        .route(Need::One(Role::SALES), routes!(set_template))
        .route(Need::One(Role::READERS), routes!(preview))
        .route(Need::One(Role::READERS), routes!(consent))
        .route(Need::One(Role::FRONT_DESK), routes!(set_consent))
}

/// Shows when messages are not sent.
#[utoipa::path(get, path = "/api/message-policy", tag = "messages",
    responses((status = 200, body = MessagePolicyBody)))]
async fn policy(
    State(messages): State<Messages>,
    actor: Actor,
) -> Result<Versioned<MessagePolicyBody>, Problem> {
    Ok(versioned_policy(messages.policy(&actor).await?))
}

/// Says when messages are not sent. What somebody waits for is sent at once.
#[utoipa::path(put, path = "/api/message-policy", tag = "messages",
    request_body = MessagePolicyBody,
    responses((status = 200, body = MessagePolicyBody), (status = 412, body = Problem)))]
async fn set_policy(
    State(messages): State<Messages>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(body): Body<MessagePolicyBody>,
) -> Result<Versioned<MessagePolicyBody>, Problem> {
    let policy = body.check()?;
    Ok(versioned_policy(messages.set_policy(&actor, version, policy).await?))
}

/// Shows how each kind of message goes and what it says.
#[utoipa::path(get, path = "/api/message-templates", tag = "messages",
    responses((status = 200, body = Vec<TemplateView>)))]
async fn templates(
    State(messages): State<Messages>,
    actor: Actor,
) -> Result<Json<Vec<TemplateView>>, Problem> {
    Ok(Json(messages.texts(&actor).await?.into_iter().map(TemplateView::from).collect()))
}

/// Says how a kind of message goes and what it says. Texts that are missing are ours; none at all
/// goes back to them. `If-Match` is the version in the list.
#[utoipa::path(put, path = "/api/message-templates", tag = "messages",
    request_body = TemplateBody,
    responses((status = 200, body = TemplateView), (status = 412, body = Problem)))]
async fn set_template(
    State(messages): State<Messages>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(body): Body<TemplateBody>,
) -> Result<Versioned<TemplateView>, Problem> {
    let TemplateBody { kind, mut channels, texts } = body;
    if !Kind::WITH_TEXTS.contains(&kind) {
        return Err(wrong("kind", "its text cannot be changed"));
    }
    let mut seen = Vec::new();
    for text in &texts {
        if seen.contains(&(text.channel, text.language)) {
            return Err(wrong("texts", "expected one for each channel and language"));
        }
        seen.push((text.channel, text.language));
    }
    unique(&mut channels);
    let texts = texts.into_iter().map(Written::from).collect();
    let new = Texts { kind, channels, texts, version };
    let set = messages.set_texts(&actor, version, new).await?;
    Ok(Versioned { version: set.version, view: set.into() })
}

/// Shows how a text would read, and how many parts an SMS would have. Nothing is saved.
#[utoipa::path(post, path = "/api/message-templates/preview", tag = "messages",
    request_body = PreviewBody, responses((status = 200, body = PreviewView)))]
async fn preview(Body(body): Body<PreviewBody>) -> Result<Json<PreviewView>, Problem> {
    let PreviewBody { kind, text } = body;
    let channel = text.channel;
    let text = Text { subject: text.subject, body: text.body };
    template::check(kind, channel, &text).map_err(|(field, error)| MessageError::Text {
        n: 0,
        field,
        error,
    })?;
    let facts = template::sample(kind);
    let body = template::fill(&text.body, &facts);
    let segments = (channel == MessageChannel::Sms).then(|| segments::count(&body));
    Ok(Json(PreviewView { subject: template::fill(&text.subject, &facts), body, segments }))
}

/// Shows what a subscriber has said about being written to.
#[utoipa::path(get, path = "/api/subscribers/{id}/consent", tag = "subscribers",
    params(("id" = String, Path)),
    responses((status = 200, body = ConsentView), (status = 404, body = Problem)))]
async fn consent(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
) -> Result<Versioned<ConsentView>, Problem> {
    Ok(versioned_consent(messages.consent(&actor, id).await?))
}

/// Writes down what a subscriber says about being written to. That somebody did is kept.
#[utoipa::path(put, path = "/api/subscribers/{id}/consent", tag = "subscribers",
    params(("id" = String, Path)), request_body = ConsentBody,
    responses((status = 200, body = ConsentView), (status = 404, body = Problem),
        (status = 412, body = Problem)))]
async fn set_consent(
    State(messages): State<Messages>,
    actor: Actor,
    Path(id): Path<SubscriberId>,
    IfMatch(version): IfMatch,
    Body(body): Body<ConsentBody>,
) -> Result<Versioned<ConsentView>, Problem> {
    let ConsentBody { language, mut transactional, mut marketing } = body;
    unique(&mut transactional);
    unique(&mut marketing);
    let new = Consent { language, transactional, marketing, ..Consent::default() };
    Ok(versioned_consent(messages.set_consent(&actor, id, version, new).await?))
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(field, message)])
}

fn unique(channels: &mut Vec<MessageChannel>) {
    let mut seen = Vec::new();
    channels.retain(|channel| {
        let new = !seen.contains(channel);
        seen.push(*channel);
        new
    });
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessagePolicyBody {
    /// Of who has not said another.
    language: Language,
    /// From then on nobody is written to, in the tenant's time zone; the same as `quiet_until`:
    /// never.
    #[schema(example = "21:00")]
    quiet_from: String,
    #[schema(example = "07:00")]
    quiet_until: String,
}

impl MessagePolicyBody {
    fn check(self) -> Result<Policy, Problem> {
        let time = |field: &str, text: &str| {
            let digits = text.len() == 5;
            let parsed = text.parse::<Time>().ok().filter(|_| digits);
            parsed.ok_or_else(|| wrong(field, "expected a time like 21:00"))
        };
        let from = time("quiet_from", &self.quiet_from)?;
        let until = time("quiet_until", &self.quiet_until)?;
        let quiet = (from != until).then_some(Quiet { from, until });
        Ok(Policy { language: self.language, quiet, version: 0 })
    }
}

fn versioned_policy(policy: Policy) -> Versioned<MessagePolicyBody> {
    let at = |time: Option<Time>| time.unwrap_or_default().strftime("%H:%M").to_string();
    let view = MessagePolicyBody {
        language: policy.language,
        quiet_from: at(policy.quiet.map(|quiet| quiet.from)),
        quiet_until: at(policy.quiet.map(|quiet| quiet.until)),
    };
    Versioned { version: policy.version, view }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "payment", "channels": ["sms"], "texts": [{ "channel": "sms",
    "language": "en", "body": "We received {amount}, {name}. Thank you. {provider}" }] }))]
struct TemplateBody {
    kind: Kind,
    /// How it goes; none: it is not told.
    channels: Vec<MessageChannel>,
    texts: Vec<TextBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TextBody {
    channel: MessageChannel,
    language: Language,
    /// E-mail: the subject. WhatsApp: what the text is called there, where it was approved.
    #[serde(default)]
    subject: String,
    /// With facts in braces, like `{name}`.
    #[schema(example = "We received {amount}. {provider}")]
    body: String,
}

impl From<TextBody> for Written {
    fn from(text: TextBody) -> Self {
        let TextBody { channel, language, subject, body } = text;
        Self { channel, language, subject, body, own: true }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TemplateView {
    kind: Kind,
    channels: Vec<MessageChannel>,
    /// What its texts may name.
    facts: Vec<&'static str>,
    texts: Vec<TextView>,
    /// For `If-Match`; 0: nothing was changed.
    version: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TextView {
    channel: MessageChannel,
    language: Language,
    subject: String,
    body: String,
    /// The tenant's; otherwise ours.
    own: bool,
}

impl From<Texts> for TemplateView {
    fn from(texts: Texts) -> Self {
        let Texts { kind, channels, texts, version } = texts;
        let view = |text: Written| {
            let Written { channel, language, subject, body, own } = text;
            TextView { channel, language, subject, body, own }
        };
        let texts = texts.into_iter().map(view).collect();
        Self { kind, channels, facts: kind.facts().to_vec(), texts, version }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "payment", "text": { "channel": "sms", "language": "en",
    "body": "We received {amount}, {name}." } }))]
struct PreviewBody {
    kind: Kind,
    text: TextBody,
}

#[derive(Debug, Serialize, ToSchema)]
struct PreviewView {
    subject: String,
    body: String,
    segments: Option<u16>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConsentBody {
    /// None: the tenant's.
    language: Option<Language>,
    /// By which channels they are told about their account.
    #[schema(example = json!(["sms"]))]
    transactional: Vec<MessageChannel>,
    /// By which channels they agree to be told what is for sale.
    #[schema(example = json!([]))]
    marketing: Vec<MessageChannel>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConsentView {
    language: Option<Language>,
    transactional: Vec<MessageChannel>,
    marketing: Vec<MessageChannel>,
    /// Who wrote it down, and when; none: nobody has asked.
    said_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    said_at: Option<Timestamp>,
}

fn versioned_consent(consent: Consent) -> Versioned<ConsentView> {
    let Consent { language, transactional, marketing, said_by, said_at, version } = consent;
    let view = ConsentView { language, transactional, marketing, said_by, said_at };
    Versioned { version, view }
}
