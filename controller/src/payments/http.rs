//! `/api/payments`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{InvoiceId, PaymentId, PaymentKind, SubscriberId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Allocation, Filter, NewPayment, Payment, PaymentError, PaymentState, Payments, Provider,
};
use crate::{
    actor::Actor,
    billing::Cents,
    http::{
        Body, Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query,
    },
    operators::Role,
    words::{Receipt, Shortcode},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Payments: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS), routes!(list))
        .route(Need::One(Role::CASHIERS), routes!(record))
        .route(Need::One(Role::READERS), routes!(show))
        .route(Need::One(Role::SALES), routes!(assign))
        .route(Need::One(Role::SALES), routes!(allocate))
}

/// Lists payments. Those of nobody known are `unmatched`. None is ever deleted: one that was wrong is
/// given back or taken back by `POST /api/finance/refunds`.
#[utoipa::path(get, path = "/api/payments", tag = "payments",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<PaymentView>)))]
async fn list(
    State(payments): State<Payments>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { subscriber, state }): Query<FilterQuery>,
) -> Result<Json<Page<PaymentView>>, Problem> {
    let ask = query.check::<PaymentKind>()?;
    let items = payments.list(&actor, Filter { subscriber, state }, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |payment| payment.id, PaymentView::from)))
}

/// Records money that came in. A receipt that is known already is that payment again.
#[utoipa::path(post, path = "/api/payments", tag = "payments", request_body = PaymentBody,
    responses((status = 201, body = PaymentView), (status = 409, body = Problem)))]
async fn record(
    State(payments): State<Payments>,
    actor: Actor,
    Create { body, key }: Create<PaymentBody>,
) -> Result<Created<PaymentView>, Problem> {
    let made = payments.record(&actor, key.as_ref(), body.check()?).await?;
    Ok(Created {
        path: format!("/api/payments/{}", made.value.id),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a payment, and what it paid.
#[utoipa::path(get, path = "/api/payments/{id}", tag = "payments", params(("id" = String, Path)),
    responses((status = 200, body = PaymentView), (status = 404, body = Problem)))]
async fn show(
    State(payments): State<Payments>,
    actor: Actor,
    Path(id): Path<PaymentId>,
) -> Result<Json<PaymentView>, Problem> {
    Ok(Json(payments.find(&actor, id).await?.into()))
}

/// Says whose money an unmatched payment is.
#[utoipa::path(post, path = "/api/payments/{id}/assign", tag = "payments",
    params(("id" = String, Path)), request_body = AssignBody,
    responses((status = 200, body = PaymentView), (status = 409, body = Problem)))]
async fn assign(
    State(payments): State<Payments>,
    actor: Actor,
    Path(id): Path<PaymentId>,
    Body(AssignBody { subscriber }): Body<AssignBody>,
) -> Result<Json<PaymentView>, Problem> {
    Ok(Json(payments.assign(&actor, id, subscriber).await?.into()))
}

/// Pays invoices with what is left of a payment: one, or what is due first before the rest.
#[utoipa::path(post, path = "/api/payments/{id}/allocate", tag = "payments",
    params(("id" = String, Path)), request_body = AllocateBody,
    responses((status = 200, body = PaymentView), (status = 409, body = Problem)))]
async fn allocate(
    State(payments): State<Payments>,
    actor: Actor,
    Path(id): Path<PaymentId>,
    Body(AllocateBody { invoice }): Body<AllocateBody>,
) -> Result<Json<PaymentView>, Problem> {
    Ok(Json(payments.allocate(&actor, id, invoice).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    state: Option<PaymentState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "provider": "cash", "amount_cents": 100_000,
    "subscriber": "sub_0198b2f4c0de7000a000000000000001" }))]
struct PaymentBody {
    provider: Provider,
    /// Of who moved the money. Cash without one gets the next of the tenant's own.
    receipt: Option<Receipt>,
    /// Where it came in: a paybill, an account. Cash: the till `till`.
    shortcode: Option<Shortcode>,
    /// None: nobody knows yet whose money it is.
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    #[schema(minimum = 1)]
    amount_cents: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    /// Pay what is open, what is due first before the rest.
    #[serde(default = "yes")]
    allocate: bool,
}

impl PaymentBody {
    fn check(self) -> Result<NewPayment, Problem> {
        let wrong = |field: &str, message: &str| {
            Err(Problem::invalid(vec![FieldError::new(field, message)]))
        };
        if self.amount_cents == 0 {
            return wrong("amount_cents", "expected more than nothing");
        }
        let shortcode = match (self.shortcode, self.provider) {
            (Some(shortcode), _) => shortcode,
            (None, Provider::Cash) => Shortcode::till(),
            (
                None,
                Provider::Bank
                | Provider::Mpesa
                | Provider::Airtel
                | Provider::Paystack
                | Provider::Stripe,
            ) => {
                return wrong("shortcode", "expected where the money came in");
            }
        };
        if self.subscriber.is_none() && self.provider == Provider::Cash {
            return wrong("subscriber", "who pays in cash is there to be asked");
        }
        Ok(NewPayment {
            provider: self.provider,
            receipt: self.receipt,
            shortcode,
            subscriber: self.subscriber,
            amount: Cents::new(self.amount_cents.into()),
            paid_at: self.paid_at,
            allocate: self.allocate,
        })
    }
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AssignBody {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AllocateBody {
    /// None: all that are open.
    #[schema(value_type = Option<String>)]
    invoice: Option<InvoiceId>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PaymentView {
    #[schema(value_type = String, example = "pay_0198b2f4c0de7000a000000000000001")]
    id: PaymentId,
    provider: Provider,
    receipt: Receipt,
    shortcode: Shortcode,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    amount_cents: i64,
    allocated_cents: i64,
    state: PaymentState,
    #[schema(value_type = String, format = DateTime)]
    paid_at: Timestamp,
    /// What the payer typed, if it was nobody known.
    reference: Option<String>,
    /// Who that is, as the provider says.
    payer: Option<String>,
    allocations: Vec<AllocationView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct AllocationView {
    #[schema(value_type = String)]
    invoice: InvoiceId,
    cents: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let allocation = |Allocation { invoice, cents, at }| AllocationView {
            invoice,
            cents: Cents::get(cents),
            at,
        };
        Self {
            id: payment.id,
            provider: payment.provider,
            receipt: payment.receipt,
            shortcode: payment.shortcode,
            subscriber: payment.subscriber,
            amount_cents: payment.amount.get(),
            allocated_cents: payment.allocated.get(),
            state: payment.state,
            paid_at: payment.paid_at,
            reference: payment.reference,
            payer: payment.payer,
            allocations: payment.allocations.into_iter().map(allocation).collect(),
            created_at: payment.created_at,
        }
    }
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        let title = error.to_string();
        match error {
            PaymentError::Unknown => Self::not_found("payment"),
            PaymentError::UnknownSubscriber => Self::conflict("no-such-subscriber", title),
            PaymentError::ReceiptNeeded | PaymentError::ReceiptReserved => {
                Self::invalid(vec![FieldError::new("receipt", title)])
            }
            PaymentError::ReceiptTaken => Self::conflict("receipt-taken", title),
            PaymentError::MatchedAlready => Self::conflict("matched-already", title),
            PaymentError::NotMatched => Self::conflict("not-matched", title),
            PaymentError::NothingToPay => Self::conflict("nothing-to-pay", title),
            PaymentError::NothingLeft => Self::conflict("nothing-left", title),
            PaymentError::TooMuch(_) => Self::conflict("too-much", title),
            PaymentError::Claim(error) => error.into(),
            PaymentError::Store(error) => error.into(),
        }
    }
}
