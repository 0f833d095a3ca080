//! `/api/portal/{tenant}/…`: without a login.

use axum::{
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{EntitlementId, PortalClaimId, SubscriberId, TenantId},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Claimed, Login, Portal, PortalError, Registered};
use crate::{
    http::{Body, Create, Created, FieldError, Guarded, Need, Path, Problem},
    logins::Origin,
    subscribers::{AccountNo, Subscriber},
    vouchers::VoucherCode,
    words::{Email, Msisdn, Name, RadiusSecret, Username},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Portal: FromRef<S>,
{
    Guarded::default()
        .route(Need::Nobody, routes!(register))
        .route(Need::Nobody, routes!(confirm))
        .route(Need::Nobody, routes!(redeem))
}

/// Makes an account at a provider, for who asks.
///
/// Where the provider sends SMS a code is sent to the number, and the answer has a claim to confirm
/// with it; the account is made, or given back to who has the number, then.
#[utoipa::path(post, path = "/api/portal/{tenant}/register", tag = "portal",
    params(("tenant" = String, Path, description = "`ten_…`")), request_body = PortalAccountBody,
    responses((status = 201, body = PortalAccountView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn register(
    State(portal): State<Portal>,
    origin: Origin,
    Path(tenant): Path<TenantId>,
    Create { body, key }: Create<PortalAccountBody>,
) -> Result<Created<PortalAccountView>, Problem> {
    let (claimed, password) = body.check()?;
    let made = portal.register(tenant, origin, key.as_ref(), claimed, password).await?;
    let replayed = made.replayed;
    Ok(match made.value {
        Registered::Code(id) => {
            let path = format!("/api/portal/{tenant}/confirm");
            let view = PortalAccountView { claim: Some(id), ..PortalAccountView::default() };
            Created { path, version: 1, view, replayed }
        }
        Registered::Account(subscriber) => created(*subscriber, replayed),
    })
}

/// Confirms a claim by the code that was sent to the number.
#[utoipa::path(post, path = "/api/portal/{tenant}/confirm", tag = "portal",
    params(("tenant" = String, Path, description = "`ten_…`")), request_body = PortalConfirmBody,
    responses((status = 201, body = PortalAccountView), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 429, body = Problem)))]
async fn confirm(
    State(portal): State<Portal>,
    origin: Origin,
    Path(tenant): Path<TenantId>,
    Body(body): Body<PortalConfirmBody>,
) -> Result<Created<PortalAccountView>, Problem> {
    let PortalConfirmBody { claim, code } = body;
    Ok(created(portal.confirm(tenant, origin, claim, code.expose()).await?, false))
}

/// Redeems a voucher for the account of who asks.
#[utoipa::path(post, path = "/api/portal/{tenant}/redeem", tag = "portal",
    params(("tenant" = String, Path, description = "`ten_…`")), request_body = PortalRedeemBody,
    responses((status = 201, body = PortalRedeemedView), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 429, body = Problem)))]
async fn redeem(
    State(portal): State<Portal>,
    origin: Origin,
    Path(tenant): Path<TenantId>,
    Create { body, key }: Create<PortalRedeemBody>,
) -> Result<Created<PortalRedeemedView>, Problem> {
    let PortalRedeemBody { username, password, code } = body;
    let login = Login { username, password };
    let made = portal.redeem(tenant, origin, key.as_ref(), &login, &code).await?;
    let redeemed = made.value;
    let path = format!("/api/vouchers?batch={}", redeemed.voucher.batch);
    let (entitlement, serial) = (redeemed.entitlement, redeemed.voucher.serial);
    let view = PortalRedeemedView { entitlement, serial, until: redeemed.until };
    Ok(Created { path, version: 1, view, replayed: made.replayed })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PortalAccountBody {
    full_name: Name,
    msisdn: Msisdn,
    email: Option<Email>,
    /// Not only digits; none: it is chosen, and told in the answer.
    username: Option<Username>,
    password: RadiusSecret,
}

impl PortalAccountBody {
    fn check(self) -> Result<(Claimed, RadiusSecret), Problem> {
        let Self { full_name, msisdn, email, username, password } = self;
        // Whether another has it would tell whose number it is.
        let digits = |name: &Username| name.as_str().bytes().all(|byte| byte.is_ascii_digit());
        if username.as_ref().is_some_and(digits) {
            let error = FieldError::new("username", "expected not only digits");
            return Err(Problem::invalid(vec![error]));
        }
        Ok((Claimed { full_name, msisdn, email, username }, password))
    }
}

fn created(subscriber: Subscriber, replayed: bool) -> Created<PortalAccountView> {
    let path = format!("/api/subscribers/{}", subscriber.id);
    let view = PortalAccountView {
        claim: None,
        subscriber: Some(subscriber.id),
        account_no: Some(subscriber.account_no),
        username: Some(subscriber.username),
    };
    Created { path, version: 1, view, replayed }
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct PortalAccountView {
    /// A code was sent to the number: confirm with it.
    #[schema(value_type = Option<String>, example = "clm_0198b2f4c0de7000a000000000000001")]
    claim: Option<PortalClaimId>,
    #[schema(value_type = Option<String>)]
    subscriber: Option<SubscriberId>,
    /// What is typed when the account is paid for.
    #[schema(value_type = Option<String>)]
    account_no: Option<AccountNo>,
    /// What is typed to log in.
    username: Option<Username>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PortalConfirmBody {
    #[schema(value_type = String, example = "clm_0198b2f4c0de7000a000000000000001")]
    claim: PortalClaimId,
    #[schema(value_type = String, example = "123456")]
    code: Secret,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PortalRedeemBody {
    username: Username,
    password: RadiusSecret,
    /// As it is printed or typed.
    #[schema(value_type = String)]
    code: VoucherCode,
}

#[derive(Debug, Serialize, ToSchema)]
struct PortalRedeemedView {
    #[schema(value_type = String)]
    entitlement: EntitlementId,
    /// What is printed beside the code.
    serial: u32,
    /// Until when what it gave lasts.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl From<PortalError> for Problem {
    fn from(error: PortalError) -> Self {
        let title = error.to_string();
        match error {
            PortalError::UnknownTenant => Self::not_found("provider"),
            PortalError::TooMany { seconds } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::retry_later(status, "too-many-tries", &title, seconds)
            }
            PortalError::WrongLogin => Self::new(StatusCode::UNAUTHORIZED, "wrong-login", title),
            PortalError::WrongCode => Self::new(StatusCode::UNAUTHORIZED, "wrong-code", title),
            PortalError::Seal(error) => Self::internal(&error),
            PortalError::Claim(error) => error.into(),
            PortalError::Store(error) => error.into(),
            PortalError::Tenant(error) => error.into(),
            PortalError::Subscriber(error) => error.into(),
            PortalError::Voucher(error) => error.into(),
        }
    }
}
