//! `/api/finance/payouts`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{MerchantId, PayoutId, PayoutKind, ResellerId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{End, NewPayout, Payout, PayoutError, PayoutState, Payouts, policy::PayoutPolicy};
use crate::{
    actor::Actor,
    billing::Cents,
    http::{
        Body, Create, Created, FieldError, Guarded, IfMatch, Need, Page, PageQuery, Path, Problem,
        Query, Versioned,
    },
    operators::Role,
    words::{Msisdn, Receipt},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Payouts: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(request))
        .route(Need::One(Role::BOOKKEEPERS), routes!(show))
        .dangerous(Need::One(Role::SALES), routes!(approve))
        .dangerous(Need::One(Role::SALES), routes!(paid))
        .route(Need::One(Role::SALES), routes!(failed))
        .route(Need::One(Role::BOOKKEEPERS), routes!(policy))
        .dangerous(Need::One(Role::SALES), routes!(set_policy))
}

/// Lists payouts.
#[utoipa::path(get, path = "/api/finance/payouts", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<PayoutView>)))]
async fn list(
    State(payouts): State<Payouts>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<PayoutView>>, Problem> {
    let ask = query.check::<PayoutKind>()?;
    let items = payouts.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |payout| payout.id, PayoutView::from)))
}

/// Asks for a payout out of a reseller's float, and sets the money aside.
#[utoipa::path(post, path = "/api/finance/payouts", tag = "finance", request_body = PayoutBody,
    responses((status = 201, body = PayoutView), (status = 409, body = Problem)))]
async fn request(
    State(payouts): State<Payouts>,
    actor: Actor,
    Create { body, key }: Create<PayoutBody>,
) -> Result<Created<PayoutView>, Problem> {
    let PayoutBody { reseller, msisdn, amount_cents, merchant } = body;
    let new = NewPayout { reseller, msisdn, amount: Cents::new(amount_cents.into()), merchant };
    let made = payouts.request(&actor, key.as_ref(), new).await?;
    Ok(Created {
        path: format!("/api/finance/payouts/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a payout.
#[utoipa::path(get, path = "/api/finance/payouts/{id}", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = PayoutView), (status = 404, body = Problem)))]
async fn show(
    State(payouts): State<Payouts>,
    actor: Actor,
    Path(id): Path<PayoutId>,
) -> Result<Json<PayoutView>, Problem> {
    Ok(Json(payouts.find(&actor, id).await?.into()))
}

/// Approves a payout that somebody else asked for.
#[utoipa::path(post, path = "/api/finance/payouts/{id}/approve", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = PayoutView), (status = 409, body = Problem)))]
async fn approve(
    State(payouts): State<Payouts>,
    actor: Actor,
    Path(id): Path<PayoutId>,
) -> Result<Json<PayoutView>, Problem> {
    Ok(Json(payouts.approve(&actor, id).await?.into()))
}

/// Says that an approved payout was paid, by which transaction of the provider.
#[utoipa::path(post, path = "/api/finance/payouts/{id}/paid", tag = "finance",
    params(("id" = String, Path)), request_body = PaidBody,
    responses((status = 200, body = PayoutView), (status = 409, body = Problem)))]
async fn paid(
    State(payouts): State<Payouts>,
    actor: Actor,
    Path(id): Path<PayoutId>,
    Body(PaidBody { provider_txn }): Body<PaidBody>,
) -> Result<Json<PayoutView>, Problem> {
    Ok(Json(payouts.resolve(&actor, id, End::Paid { provider_txn }).await?.into()))
}

/// Says that a payout failed or was given up: the money goes back.
#[utoipa::path(post, path = "/api/finance/payouts/{id}/failed", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = PayoutView), (status = 409, body = Problem)))]
async fn failed(
    State(payouts): State<Payouts>,
    actor: Actor,
    Path(id): Path<PayoutId>,
) -> Result<Json<PayoutView>, Problem> {
    Ok(Json(payouts.resolve(&actor, id, End::Failed).await?.into()))
}

/// Shows how long payouts to a new number wait.
#[utoipa::path(get, path = "/api/finance/payout-policy", tag = "finance",
    responses((status = 200, body = PayoutPolicyBody)))]
async fn policy(
    State(payouts): State<Payouts>,
    actor: Actor,
) -> Result<Versioned<PayoutPolicyBody>, Problem> {
    Ok(payouts.policy(&actor).await?.into())
}

/// Says how long payouts wait that go to a number at which the reseller was never paid.
#[utoipa::path(put, path = "/api/finance/payout-policy", tag = "finance",
    request_body = PayoutPolicyBody,
    responses((status = 200, body = PayoutPolicyBody), (status = 412, body = Problem)))]
async fn set_policy(
    State(payouts): State<Payouts>,
    actor: Actor,
    IfMatch(version): IfMatch,
    Body(PayoutPolicyBody { new_number_hours }): Body<PayoutPolicyBody>,
) -> Result<Versioned<PayoutPolicyBody>, Problem> {
    if new_number_hours > HOURS_MAX {
        let error = FieldError::new("new_number_hours", format!("expected 0 to {HOURS_MAX}"));
        return Err(Problem::invalid(vec![error]));
    }
    Ok(payouts.set_policy(&actor, version, new_number_hours).await?.into())
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PayoutPolicyBody {
    /// Hours; 0: they do not wait.
    #[schema(maximum = 720, example = 72)]
    new_number_hours: u16,
}

impl From<PayoutPolicy> for Versioned<PayoutPolicyBody> {
    fn from(policy: PayoutPolicy) -> Self {
        let PayoutPolicy { new_number_hours, version } = policy;
        Self { version, view: PayoutPolicyBody { new_number_hours } }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PayoutBody {
    #[schema(value_type = String)]
    reseller: ResellerId,
    msisdn: Msisdn,
    /// Whole shillings.
    #[schema(minimum = 1000, maximum = 25_000_000, multiple_of = 100)]
    amount_cents: u32,
    /// The account that it is paid from when it is approved; none: it is paid by hand.
    #[schema(value_type = Option<String>)]
    merchant: Option<MerchantId>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaidBody {
    provider_txn: Receipt,
}

#[derive(Debug, Serialize, ToSchema)]
struct PayoutView {
    #[schema(value_type = String, example = "po_0198b2f4c0de7000a000000000000001")]
    id: PayoutId,
    #[schema(value_type = String)]
    reseller: ResellerId,
    msisdn: Msisdn,
    amount_cents: i64,
    state: PayoutState,
    requested_by: String,
    approved_by: Option<String>,
    provider_txn: Option<Receipt>,
    #[schema(value_type = Option<String>)]
    merchant: Option<MerchantId>,
    /// What the provider said last, in its own code.
    code: Option<String>,
    /// It is not paid before, because the reseller was paid at other numbers until now.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Payout> for PayoutView {
    fn from(payout: Payout) -> Self {
        Self {
            id: payout.id,
            reseller: payout.reseller,
            msisdn: payout.msisdn,
            amount_cents: payout.amount.get(),
            state: payout.state,
            requested_by: payout.requested_by,
            approved_by: payout.approved_by,
            provider_txn: payout.provider_txn,
            merchant: payout.merchant,
            code: payout.code,
            not_before: payout.not_before,
            created_at: payout.created_at,
        }
    }
}

impl From<PayoutError> for Problem {
    fn from(error: PayoutError) -> Self {
        let title = error.to_string();
        match error {
            PayoutError::Unknown => Self::not_found("payout"),
            PayoutError::UnknownReseller => Self::conflict("no-such-reseller", title),
            PayoutError::Amount => Self::invalid(vec![FieldError::new("amount_cents", title)]),
            PayoutError::FloatTooLow => Self::conflict("float-too-low", title),
            PayoutError::Oneself => Self::conflict("oneself", title),
            PayoutError::NotFrom(_) => Self::conflict("not-from-here", title),
            PayoutError::Stale => Self::stale(),
            PayoutError::NumberNew { .. } => Self::conflict("number-new", title),
            PayoutError::CannotPay => Self::conflict("not-with-this-provider", title),
            PayoutError::Merchant(error) => error.into(),
            PayoutError::TransactionTaken => Self::conflict("transaction-taken", title),
            PayoutError::TooMuch(_) => Self::conflict("too-much", title),
            PayoutError::Claim(error) => error.into(),
            PayoutError::Store(error) => error.into(),
        }
    }
}

/// A month.
const HOURS_MAX: u16 = 720;
