//! `/api/finance/refunds`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{self, PaymentId, RefundId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{End, Refund, RefundError, RefundKind, RefundState, Refunds};
use crate::{
    actor::Actor,
    http::{Body, Create, Created, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    operators::Role,
    words::{Name, Receipt},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Refunds: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::BOOKKEEPERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(request))
        .route(Need::One(Role::BOOKKEEPERS), routes!(show))
        .dangerous(Need::One(Role::SALES), routes!(approve))
        .dangerous(Need::One(Role::SALES), routes!(done))
        .route(Need::One(Role::SALES), routes!(failed))
}

/// Lists refunds.
#[utoipa::path(get, path = "/api/finance/refunds", tag = "finance", params(PageQuery),
    responses((status = 200, body = Page<RefundView>)))]
async fn list(
    State(refunds): State<Refunds>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RefundView>>, Problem> {
    let ask = query.check::<id::RefundKind>()?;
    let items = refunds.list(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |refund| refund.id, RefundView::from)))
}

/// Asks for a payment to be given back, and sets the money aside; or says that the provider has
/// taken it back.
#[utoipa::path(post, path = "/api/finance/refunds", tag = "finance", request_body = RefundBody,
    responses((status = 201, body = RefundView), (status = 409, body = Problem)))]
async fn request(
    State(refunds): State<Refunds>,
    actor: Actor,
    Create { body, key }: Create<RefundBody>,
) -> Result<Created<RefundView>, Problem> {
    let RefundBody { payment, reason, taken_back } = body;
    let made = if taken_back {
        refunds.taken_back(&actor, key.as_ref(), payment, reason).await?
    } else {
        refunds.request(&actor, key.as_ref(), payment, reason).await?
    };
    Ok(Created {
        path: format!("/api/finance/refunds/{}", made.value.id),
        version: made.value.version,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Shows a refund.
#[utoipa::path(get, path = "/api/finance/refunds/{id}", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = RefundView), (status = 404, body = Problem)))]
async fn show(
    State(refunds): State<Refunds>,
    actor: Actor,
    Path(id): Path<RefundId>,
) -> Result<Json<RefundView>, Problem> {
    Ok(Json(refunds.find(&actor, id).await?.into()))
}

/// Approves a refund that somebody else asked for. The provider is told, if it can do it.
#[utoipa::path(post, path = "/api/finance/refunds/{id}/approve", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = RefundView), (status = 409, body = Problem)))]
async fn approve(
    State(refunds): State<Refunds>,
    actor: Actor,
    Path(id): Path<RefundId>,
) -> Result<Json<RefundView>, Problem> {
    Ok(Json(refunds.approve(&actor, id).await?.into()))
}

/// Says that an approved refund was made.
#[utoipa::path(post, path = "/api/finance/refunds/{id}/done", tag = "finance",
    params(("id" = String, Path)), request_body = DoneBody,
    responses((status = 200, body = RefundView), (status = 409, body = Problem)))]
async fn done(
    State(refunds): State<Refunds>,
    actor: Actor,
    Path(id): Path<RefundId>,
    Body(DoneBody { provider_txn }): Body<DoneBody>,
) -> Result<Json<RefundView>, Problem> {
    Ok(Json(refunds.resolve(&actor, id, End::Done { provider_txn }).await?.into()))
}

/// Says that a refund failed or was given up: the money stays the payer's.
#[utoipa::path(post, path = "/api/finance/refunds/{id}/failed", tag = "finance",
    params(("id" = String, Path)),
    responses((status = 200, body = RefundView), (status = 409, body = Problem)))]
async fn failed(
    State(refunds): State<Refunds>,
    actor: Actor,
    Path(id): Path<RefundId>,
) -> Result<Json<RefundView>, Problem> {
    Ok(Json(refunds.resolve(&actor, id, End::Failed).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    /// The whole of it goes back.
    #[schema(value_type = String)]
    payment: PaymentId,
    reason: Name,
    /// The provider has done it already, without us.
    #[serde(default)]
    taken_back: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DoneBody {
    /// Of the provider; cash has none.
    provider_txn: Option<Receipt>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefundView {
    #[schema(value_type = String, example = "rfd_0198b2f4c0de7000a000000000000001")]
    id: RefundId,
    #[schema(value_type = String)]
    payment: PaymentId,
    amount_cents: i64,
    kind: RefundKind,
    state: RefundState,
    /// What was not in the wallet any more when it was taken back.
    owed_cents: i64,
    reason: Name,
    requested_by: String,
    approved_by: Option<String>,
    provider_txn: Option<Receipt>,
    /// What the provider said last, in its own code.
    code: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Refund> for RefundView {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            payment: refund.payment,
            amount_cents: refund.amount.get(),
            kind: refund.kind,
            state: refund.state,
            owed_cents: refund.owed.get(),
            reason: refund.reason,
            requested_by: refund.requested_by,
            approved_by: refund.approved_by,
            provider_txn: refund.provider_txn,
            code: refund.code,
            created_at: refund.created_at,
        }
    }
}

impl From<RefundError> for Problem {
    fn from(error: RefundError) -> Self {
        let title = error.to_string();
        match error {
            RefundError::Unknown => Self::not_found("refund"),
            RefundError::Already => Self::conflict("refunded-already", title),
            RefundError::Spent => Self::conflict("spent-already", title),
            RefundError::Oneself => Self::conflict("oneself", title),
            RefundError::NotFrom(_) => Self::conflict("not-from-here", title),
            RefundError::TooMuch(_) => Self::conflict("too-much", title),
            RefundError::Payment(error) => error.into(),
            RefundError::Merchant(error) => error.into(),
            RefundError::Claim(error) => error.into(),
            RefundError::Store(error) => error.into(),
        }
    }
}
