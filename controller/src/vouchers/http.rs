//! `/api/vouchers`.

use axum::{
    Json,
    extract::{FromRef, State},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use shared::id::{
    BatchId, BatchKind, EntitlementId, PlanVersionId, ResellerId, SubscriberId, VoucherId,
    VoucherKind,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    Batch, Filter, Issued, NewBatch, Redeemed, Voucher, VoucherCode, VoucherError, VoucherState,
    Vouchers, code,
};
use crate::{
    actor::Actor,
    billing::Cents,
    http::{Create, Created, FieldError, Guarded, Need, Page, PageQuery, Path, Problem, Query},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Vouchers: FromRef<S>,
{
    Guarded::default()
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(list))
        .route(Need::One(Role::SALES), routes!(issue))
        .route(Need::One(Role::FRONT_DESK), routes!(redeem))
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(batches))
        .route(Need::One(Role::READERS_AND_RESELLERS), routes!(show_batch))
        .route(Need::One(Role::SALES), routes!(sell))
        .route(Need::One(Role::SALES), routes!(void))
        .route(Need::One(Role::SALES), routes!(void_one))
}

/// Lists vouchers, without their codes: nobody has them but who holds the voucher.
#[utoipa::path(get, path = "/api/vouchers", tag = "vouchers",
    params(PageQuery, FilterQuery), responses((status = 200, body = Page<VoucherView>)))]
async fn list(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Query(query): Query<PageQuery>,
    Query(FilterQuery { batch, state }): Query<FilterQuery>,
) -> Result<Json<Page<VoucherView>>, Problem> {
    let ask = query.check::<VoucherKind>()?;
    let items = vouchers.list(&actor, Filter { batch, state }, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |voucher| voucher.id, VoucherView::from)))
}

/// Issues a batch of vouchers. The codes are in this answer and nowhere else.
#[utoipa::path(post, path = "/api/vouchers/issue", tag = "vouchers", request_body = IssueBody,
    responses((status = 201, body = IssuedView), (status = 409, body = Problem)))]
async fn issue(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Create { body, key }: Create<IssueBody>,
) -> Result<Created<IssuedView>, Problem> {
    let made = vouchers.issue(&actor, key.as_ref(), body.check()?).await?;
    Ok(Created {
        path: format!("/api/vouchers/batches/{}", made.value.batch.id),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Redeems a voucher for a subscriber.
#[utoipa::path(post, path = "/api/vouchers/redeem", tag = "vouchers", request_body = RedeemBody,
    responses((status = 201, body = RedeemedView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn redeem(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Create { body, key }: Create<RedeemBody>,
) -> Result<Created<RedeemedView>, Problem> {
    let RedeemBody { code, subscriber } = body;
    let made = vouchers.redeem(&actor, key.as_ref(), &code, subscriber).await?;
    Ok(Created {
        path: format!("/api/vouchers?batch={}", made.value.voucher.batch),
        version: 1,
        view: made.value.into(),
        replayed: made.replayed,
    })
}

/// Lists batches.
#[utoipa::path(get, path = "/api/vouchers/batches", tag = "vouchers", params(PageQuery),
    responses((status = 200, body = Page<BatchView>)))]
async fn batches(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<BatchView>>, Problem> {
    let ask = query.check::<BatchKind>()?;
    let items = vouchers.batches(&actor, ask.after, ask.limit).await?;
    Ok(Json(Page::new(items, ask, |batch| batch.id, BatchView::from)))
}

/// Shows a batch, and how many of its vouchers are in which state.
#[utoipa::path(get, path = "/api/vouchers/batches/{id}", tag = "vouchers",
    params(("id" = String, Path)),
    responses((status = 200, body = BatchView), (status = 404, body = Problem)))]
async fn show_batch(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Path(id): Path<BatchId>,
) -> Result<Json<BatchView>, Problem> {
    Ok(Json(vouchers.batch(&actor, id).await?.into()))
}

/// Sells what is left of a batch: the tenant's own shops owe its value from then on; a reseller's
/// float pays it, less the commission.
#[utoipa::path(post, path = "/api/vouchers/batches/{id}/sell", tag = "vouchers",
    params(("id" = String, Path)),
    responses((status = 200, body = BatchView), (status = 409, body = Problem)))]
async fn sell(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Path(id): Path<BatchId>,
) -> Result<Json<BatchView>, Problem> {
    Ok(Json(vouchers.sell(&actor, id).await?.into()))
}

/// Voids what is left of a batch. What was sold stays.
#[utoipa::path(post, path = "/api/vouchers/batches/{id}/void", tag = "vouchers",
    params(("id" = String, Path)),
    responses((status = 200, body = BatchView), (status = 409, body = Problem)))]
async fn void(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Path(id): Path<BatchId>,
) -> Result<Json<BatchView>, Problem> {
    Ok(Json(vouchers.void(&actor, id).await?.into()))
}

/// Voids one voucher that was lost or stolen, and not redeemed. What was paid for it stays, and is
/// earned now: it can be found by its serial in the list of its batch.
#[utoipa::path(post, path = "/api/vouchers/{id}/void", tag = "vouchers",
    params(("id" = String, Path)),
    responses((status = 200, body = VoucherView), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn void_one(
    State(vouchers): State<Vouchers>,
    actor: Actor,
    Path(id): Path<VoucherId>,
) -> Result<Json<VoucherView>, Problem> {
    Ok(Json(vouchers.void_one(&actor, id).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FilterQuery {
    #[param(value_type = Option<String>)]
    batch: Option<BatchId>,
    state: Option<VoucherState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueBody {
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    /// For whom; none: the tenant's own shops.
    #[schema(value_type = Option<String>)]
    reseller: Option<ResellerId>,
    #[schema(minimum = 1, maximum = 10000)]
    qty: u32,
    /// What one costs, taxes included; none: the price of the plan.
    face_cents: Option<u32>,
    /// Until when one can be redeemed; none: for ever.
    #[schema(value_type = Option<String>, format = DateTime)]
    redeem_by: Option<Timestamp>,
    /// Characters of a code before its check character.
    #[serde(default = "length")]
    #[schema(minimum = 7, maximum = 15)]
    length: u8,
    /// Sold at once, so that they can be redeemed.
    #[serde(default)]
    presold: bool,
}

impl IssueBody {
    fn check(self) -> Result<NewBatch, Problem> {
        if !(1..=QTY_MAX).contains(&self.qty) {
            let error = FieldError::new("qty", format!("expected 1 to {QTY_MAX}"));
            return Err(Problem::invalid(vec![error]));
        }
        Ok(NewBatch {
            plan_version: self.plan_version,
            reseller: self.reseller,
            qty: self.qty,
            face: self.face_cents.map(|cents| Cents::new(cents.into())),
            redeem_by: self.redeem_by,
            length: self.length,
            presold: self.presold,
        })
    }
}

const fn length() -> u8 {
    code::LEN_DEFAULT
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedeemBody {
    /// As it is printed or typed: small letters, spaces and hyphens do not matter.
    #[schema(value_type = String, example = "KEN3T-7QW")]
    code: VoucherCode,
    #[schema(value_type = String)]
    subscriber: SubscriberId,
}

impl<'de> Deserialize<'de> for VoucherCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct VoucherView {
    #[schema(value_type = String, example = "vou_0198b2f4c0de7000a000000000000001")]
    id: VoucherId,
    #[schema(value_type = String)]
    batch: BatchId,
    serial: u32,
    state: VoucherState,
    #[schema(value_type = Option<String>, format = DateTime)]
    redeemed_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
}

impl From<Voucher> for VoucherView {
    fn from(voucher: Voucher) -> Self {
        let Voucher { id, batch, serial, state, redeemed_at, subscriber } = voucher;
        Self { id, batch, serial, state, redeemed_at, subscriber }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct BatchView {
    #[schema(value_type = String, example = "vb_0198b2f4c0de7000a000000000000001")]
    id: BatchId,
    #[schema(value_type = String)]
    plan_version: PlanVersionId,
    /// Whose vouchers they are; none: the tenant's own.
    #[schema(value_type = Option<String>)]
    reseller: Option<ResellerId>,
    qty: u32,
    /// What one costs, taxes included.
    face_cents: i64,
    net_cents: i64,
    excise_cents: i64,
    vat_cents: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    redeem_by: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    states: Vec<CountView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CountView {
    state: VoucherState,
    count: u32,
}

impl From<Batch> for BatchView {
    fn from(batch: Batch) -> Self {
        let Batch { id, plan_version, reseller, qty, face, split, redeem_by, created_at, states } =
            batch;
        let states = states.into_iter().map(|(state, count)| CountView { state, count });
        Self {
            id,
            plan_version,
            reseller,
            qty,
            face_cents: face.get(),
            net_cents: split.net.get(),
            excise_cents: split.excise.get(),
            vat_cents: split.vat.get(),
            redeem_by,
            created_at,
            states: states.collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct IssuedView {
    batch: BatchView,
    /// By serial, from 1. They are shown this once.
    codes: Vec<String>,
}

impl From<Issued> for IssuedView {
    fn from(Issued { batch, codes }: Issued) -> Self {
        Self { batch: batch.into(), codes: codes.iter().map(VoucherCode::grouped).collect() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct RedeemedView {
    #[schema(value_type = String, example = "ent_0198b2f4c0de7000a000000000000001")]
    entitlement: EntitlementId,
    voucher: VoucherView,
    /// Until when what it gave lasts.
    #[schema(value_type = String, format = DateTime)]
    /// At the latest: with the anchor `first_use` it counts from when something is used.
    until: Timestamp,
}

impl From<Redeemed> for RedeemedView {
    fn from(Redeemed { entitlement, voucher, until }: Redeemed) -> Self {
        Self { entitlement, voucher: voucher.into(), until }
    }
}

impl From<VoucherError> for Problem {
    fn from(error: VoucherError) -> Self {
        let title = error.to_string();
        match error {
            VoucherError::UnknownBatch => Self::not_found("batch"),
            VoucherError::Unknown | VoucherError::UnknownCode => Self::not_found("voucher"),
            VoucherError::NotForSale => Self::conflict("not-for-sale", title),
            VoucherError::UnknownSubscriber => Self::conflict("no-such-subscriber", title),
            VoucherError::TooShort => Self::invalid(vec![FieldError::new("length", title)]),
            VoucherError::UnknownReseller => Self::conflict("no-such-reseller", title),
            VoucherError::FloatTooLow => Self::conflict("float-too-low", title),
            VoucherError::NothingToSell => Self::conflict("nothing-to-sell", title),
            VoucherError::NothingToVoid => Self::conflict("nothing-to-void", title),
            VoucherError::NotSold => Self::conflict("voucher-not-sold", title),
            VoucherError::Used => Self::conflict("voucher-used", title),
            VoucherError::Void => Self::conflict("voucher-void", title),
            VoucherError::Expired => Self::conflict("voucher-expired", title),
            VoucherError::TooMuch(_) => Self::conflict("too-much", title),
            VoucherError::Claim(error) => error.into(),
            VoucherError::Store(error) => error.into(),
        }
    }
}

const QTY_MAX: u32 = 10_000;
