//! `/api/portal/{tenant}/…`: without a login.

use axum::{
    extract::{FromRef, State},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::id::{EntitlementId, SubscriberId, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Login, Portal, PortalError};
use crate::{
    http::{Create, Created, Guarded, Need, Path, Problem},
    logins::Origin,
    subscribers::{AccountNo, NewSubscriber},
    vouchers::VoucherCode,
    words::{Email, Msisdn, Name, RadiusSecret, Username},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Portal: FromRef<S>,
{
    Guarded::default().route(Need::Nobody, routes!(register)).route(Need::Nobody, routes!(redeem))
}

/// Makes an account at a provider, for who asks.
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
    let made = portal.register(tenant, origin, key.as_ref(), body.check()).await?;
    let subscriber = made.value;
    let path = format!("/api/subscribers/{}", subscriber.id);
    let view = PortalAccountView {
        subscriber: subscriber.id,
        account_no: subscriber.account_no,
        username: subscriber.username,
    };
    Ok(Created { path, version: 1, view, replayed: made.replayed })
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
    /// None: the mobile number.
    username: Option<Username>,
    password: RadiusSecret,
}

impl PortalAccountBody {
    fn check(self) -> NewSubscriber {
        let Self { full_name, msisdn, email, username, password } = self;
        let number = || msisdn.as_str().parse().expect("twelve digits are a username");
        NewSubscriber {
            username: username.unwrap_or_else(number),
            password: Some(password),
            full_name,
            msisdn: Some(msisdn),
            email,
            static_ip: None,
            delegated_prefix: None,
            macs: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct PortalAccountView {
    #[schema(value_type = String)]
    subscriber: SubscriberId,
    /// What is typed when the account is paid for.
    #[schema(value_type = String)]
    account_no: AccountNo,
    username: Username,
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
            PortalError::Tenant(error) => error.into(),
            PortalError::Subscriber(error) => error.into(),
            PortalError::Voucher(error) => error.into(),
        }
    }
}
