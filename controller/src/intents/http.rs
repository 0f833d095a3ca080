//! `/api/payments/intents`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{IntentId, IntentKind, MerchantId, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Filter, Intent, IntentError, IntentState, Intents, NewIntent};
use crate::{
    actor::Actor,
    billing::Cents,
    http::{
        Body, Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query,
    },
    operators::Role,
    payments::Provider,
    words::{Email, Msisdn, Shortcode, Text},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Intents: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::CASHIERS), routes!(create))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::CASHIERS), routes!(check))
        .route(Need::One(Role::SALES), routes!(give_up))
}

/// Lists what payers were asked for.
#[utoipa::path(get, path = "/api/payments/intents", tag = "payments",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<IntentView>)))]
async fn list(
    State(intents): State<Intents>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { subscriber, state, stuck }): Query<FilterQuery>,
) -> Result<Json<Page<IntentView>>, Problem> {
    let ask = query.check::<IntentKind>()?;
    let filter = Filter { subscriber, state, stuck };
    let items = intents.list(&actor, filter, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |intent| intent.id, IntentView::from)))
}

/// Asks a payer: a prompt on the phone, or a page to pay on. What comes of it is said later.
#[utoipa::path(post, path = "/api/payments/intents", tag = "payments", request_body = IntentBody,
    responses((status = 201, body = IntentView), (status = 409, body = Problem)))]
async fn create(
    State(intents): State<Intents>,
    actor: Actor,
    Create { body, key }: Create<IntentBody>,
) -> Result<Created<IntentView>, Problem> {
    let IntentBody { merchant, subscriber, amount_cents, msisdn, email } = body;
    if amount_cents == 0 {
        let error = FieldError::new("amount_cents", "expected more than nothing");
        return Err(Problem::invalid(vec![error]));
    }
    let amount = Cents::new(amount_cents.into());
    let new = NewIntent { merchant, subscriber, amount, msisdn, email };
    let made = intents.create(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/payments/intents/{}", made.value.id),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows what a payer was asked for, and what came of it.
#[utoipa::path(get, path = "/api/payments/intents/{id}", tag = "payments",
    params(("id" = String, Path)),
    responses((status = 200, body = IntentView), (status = 404, body = Problem)))]
async fn show(
    State(intents): State<Intents>,
    actor: Actor,
    Path(id): Path<IntentId>,
) -> Result<Json<IntentView>, Problem> {
    Ok(Json(intents.find(&actor, id).await?.into()))
}

/// Asks the provider now what came of it.
#[utoipa::path(post, path = "/api/payments/intents/{id}/check", tag = "payments",
    params(("id" = String, Path)),
    responses((status = 200, body = IntentView), (status = 404, body = Problem)))]
async fn check(
    State(intents): State<Intents>,
    actor: Actor,
    Path(id): Path<IntentId>,
) -> Result<Json<IntentView>, Problem> {
    Ok(Json(intents.check(&actor, id).await?.into()))
}

/// Gives up on an intent of which nobody knows what came of it. Money that comes in later is
/// credited all the same.
#[utoipa::path(post, path = "/api/payments/intents/{id}/give-up", tag = "payments",
    params(("id" = String, Path)), request_body = GiveUpBody,
    responses((status = 200, body = IntentView), (status = 409, body = Problem)))]
async fn give_up(
    State(intents): State<Intents>,
    actor: Actor,
    Path(id): Path<IntentId>,
    Body(GiveUpBody { note }): Body<GiveUpBody>,
) -> Result<Json<IntentView>, Problem> {
    Ok(Json(intents.give_up(&actor, id, &note).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<IntentState>,
    /// Only those of which no provider will say any more what came of them.
    #[serde(default)]
    stuck: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "merchant": "mer_0198b2f4c0de7000a000000000000001",
    "subscriber": "sub_0198b2f4c0de7000a000000000000001", "amount_cents": 100_000,
    "email": "amina@example.com" }))]
struct IntentBody {
    #[schema(value_type = String)]
    merchant: MerchantId,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    /// M-Pesa and Airtel: whole shillings.
    #[schema(minimum = 1)]
    amount_cents: u32,
    /// M-Pesa and Airtel: whose phone asks for the PIN.
    msisdn: Option<Msisdn>,
    /// Paystack: whom it writes to.
    email: Option<Email>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GiveUpBody {
    note: Text,
}

#[derive(Debug, Serialize, ToSchema)]
struct IntentView {
    #[schema(value_type = String, example = "int_0198b2f4c0de7000a000000000000001")]
    id: IntentId,
    #[schema(value_type = Option<String>)]
    merchant: Option<MerchantId>,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    provider: Provider,
    shortcode: Shortcode,
    amount_cents: i64,
    msisdn: Option<Msisdn>,
    email: Option<Email>,
    /// What the payer may type instead.
    #[schema(example = "KN4T7Q2WA")]
    reference: Option<String>,
    /// Where the payer pays, if not on the phone.
    pay_url: Option<String>,
    state: IntentState,
    /// What the provider said last, in its own code.
    code: Option<String>,
    /// None: the provider is not asked any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_check_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Intent> for IntentView {
    fn from(intent: Intent) -> Self {
        Self {
            id: intent.id,
            merchant: intent.merchant,
            subscriber: intent.subscriber,
            provider: intent.provider,
            shortcode: intent.shortcode,
            amount_cents: intent.amount.get(),
            msisdn: intent.msisdn,
            email: intent.email,
            reference: intent.reference,
            pay_url: intent.pay_url,
            state: intent.state,
            code: intent.code,
            next_check_at: intent.next_check_at,
            created_at: intent.created_at,
        }
    }
}

impl From<IntentError> for Problem {
    fn from(error: IntentError) -> Self {
        let title = error.to_string();
        match error {
            IntentError::Unknown => Self::not_found("intent"),
            IntentError::UnknownSubscriber => Self::conflict("no-such-subscriber", title),
            IntentError::Amount(_) => Self::invalid(vec![FieldError::new("amount_cents", title)]),
            IntentError::Whom(_) => Self::invalid(vec![FieldError::new("msisdn", title)]),
            IntentError::Cannot => Self::conflict("not-with-this-provider", title),
            IntentError::Ended => Self::conflict("ended-already", title),
            IntentError::TooMuch(_) => Self::conflict("too-much", title),
            IntentError::Merchant(error) => error.into(),
            IntentError::Payment(error) => error.into(),
            IntentError::Claim(error) => error.into(),
            IntentError::Store(error) => error.into(),
        }
    }
}
