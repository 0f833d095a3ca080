//! `/api/auth/…`, and the middleware that knows a request by its token.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, FromRef, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{OperatorId, TenantId},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{LoggedIn, LoginError, Logins, Origin, RegisterError, Registrant};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, Need, Problem, RequestId},
    operators::{Operator, OperatorError, Operators, Role},
    tenants::NewTenant,
    words::{Code, Currency, Email, Name, Passphrase, TimeZone},
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Logins: FromRef<S>,
    Operators: FromRef<S>,
{
    Guarded::default()
        .route(Need::Nobody, routes!(login))
        .route(Need::Nobody, routes!(register))
        .route(Need::Staff, routes!(logout))
        .route(Need::Staff, routes!(me))
}

/// Puts the [`Actor`] beside a request that has a good token. Guards decide what follows.
pub async fn identify(
    State(logins): State<Logins>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RequestId(request_id): RequestId,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = Origin { ip: peer.ip().to_canonical(), request: request_id };
    request.extensions_mut().insert(origin);
    if let Some(token) = bearer(request.headers()) {
        match logins.identify(token, origin).await {
            Ok(Some(actor)) => {
                request.extensions_mut().insert(actor);
            }
            Ok(None) => {}
            Err(error) => return Problem::from(error).into_response(),
        }
    }
    next.run(request).await
}

/// Logs in. The token goes into `Authorization: Bearer`.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginBody,
    responses((status = 200, body = LoginView), (status = 401, body = Problem),
        (status = 429, body = Problem)))]
async fn login(
    State(logins): State<Logins>,
    origin: Origin,
    Body(body): Body<LoginBody>,
) -> Result<Json<LoginView>, Problem> {
    Ok(Json(logins.login(&body.email, &body.password, origin).await?.into()))
}

/// Signs up a provider: makes a tenant and its owner, and logs the owner in.
///
/// Open for the first tenant of an installation; after that by invitation, unless the setting
/// `registration` says otherwise.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", request_body = RegisterBody,
    responses((status = 201, body = LoginView), (status = 403, body = Problem),
        (status = 409, body = Problem)))]
async fn register(
    State(logins): State<Logins>,
    origin: Origin,
    Body(body): Body<RegisterBody>,
) -> Result<(StatusCode, Json<LoginView>), Problem> {
    let logged_in = logins.register(body.check()?, origin).await?;
    Ok((StatusCode::CREATED, Json(logged_in.into())))
}

/// Ends the session of the token.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = 204)))]
async fn logout(State(logins): State<Logins>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    logins.logout(bearer(&headers).unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says who is logged in.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth",
    responses((status = 200, body = UserView)))]
async fn me(State(operators): State<Operators>, actor: Actor) -> Result<Json<UserView>, Problem> {
    let operator = actor.operator.ok_or(OperatorError::Unknown)?;
    let operator = operators.find(&actor, operator).await?;
    Ok(Json(UserView::new(operator, actor.tenant)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    email: Email,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    /// Name of the provider.
    tenant: Name,
    /// Its short name; made of its name if there is none.
    slug: Option<Code>,
    tz: Option<TimeZone>,
    currency: Option<Currency>,
    /// Name of the owner.
    name: Name,
    email: Email,
    password: Passphrase,
}

impl RegisterBody {
    fn check(self) -> Result<Registrant, Problem> {
        let Self { tenant, slug, tz, currency, name, email, password } = self;
        let slug = match slug {
            Some(slug) => slug,
            None => slug_of(&tenant).ok_or_else(|| {
                let expected = "expected a short name: none could be made of `tenant`";
                Problem::invalid(vec![FieldError::new("slug", expected)])
            })?,
        };
        let (tz, currency) = (tz.unwrap_or_default(), currency.unwrap_or_default());
        let tenant = NewTenant { slug, name: tenant, tz, currency };
        Ok(Registrant { tenant, name, email, password })
    }
}

fn slug_of(name: &Name) -> Option<Code> {
    let text = name.as_str().to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").parse().ok()
}

#[derive(Debug, Serialize, ToSchema)]
struct LoginView {
    /// Shown once.
    #[schema(value_type = String)]
    token: Secret,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    user: UserView,
}

impl From<LoggedIn> for LoginView {
    fn from(logged_in: LoggedIn) -> Self {
        let LoggedIn { token, expires_at, tenant, operator } = logged_in;
        Self { token, expires_at, user: UserView::new(operator, tenant) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct UserView {
    #[schema(value_type = String, example = "op_0198b2f4c0de7000a000000000000001")]
    id: OperatorId,
    #[schema(value_type = String, example = "ten_0198b2f4c0de7000a000000000000001")]
    tenant: TenantId,
    email: Email,
    name: Name,
    role: Role,
}

impl UserView {
    fn new(operator: Operator, tenant: TenantId) -> Self {
        let Operator { id, email, name, role, .. } = operator;
        Self { id, tenant, email, name, role }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused => {
                Self::new(StatusCode::UNAUTHORIZED, "login-refused", error.to_string())
            }
            LoginError::TooMany { seconds } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::retry_later(status, "too-many-attempts", "too many attempts", seconds)
            }
            LoginError::Hash(error) => Self::internal(&error),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Closed => Self::forbidden(error.to_string()),
            RegisterError::Tenant(error) => error.into(),
            RegisterError::Operator(error) => error.into(),
            RegisterError::Hash(error) => Self::internal(&error),
            RegisterError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_made_of_a_name() {
        let slug = |name: &str| slug_of(&name.parse().unwrap()).map(|slug| slug.to_string());
        assert_eq!(slug("KenNet Demo"), Some("kennet-demo".to_owned()));
        assert_eq!(slug("Émile & Söhne (2)"), Some("mile-s-hne-2".to_owned()));
        assert_eq!(slug("東京"), None);
    }

    #[test]
    fn a_token_is_read_from_its_header() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(read("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(read("Basic abc"), None);
        assert_eq!(read("abc"), None);
    }
}
