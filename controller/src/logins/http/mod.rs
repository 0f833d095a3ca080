//! `/api/auth/…`, and the middleware that knows a request by its token.

pub(super) mod answer;
mod cookies;

use std::net::SocketAddr;

use axum::{
    Extension, Json,
    extract::{ConnectInfo, FromRef, FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{id::LoginId, secret::Secret};
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::answer::{Answer, LoginView, UserView};
use super::{
    Attempt, By, Carrier, Credential, KnownLogin, Login, LoginError, Logins, Origin, OwnError,
    Place, RegisterError, Registrant,
};
use crate::{
    actor::Actor,
    http::{Body, FieldError, Guarded, Need, Path, Problem, RequestId},
    operators::{OperatorError, Operators},
    tenants::NewTenant,
    words::{Code, Currency, Email, Name, Note, Passphrase, TimeZone},
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
        .route(Need::Nobody, routes!(refresh))
        .route(Need::Staff, routes!(logout))
        .route(Need::Staff, routes!(me))
        .route(Need::Staff, routes!(list))
        .route(Need::Staff, routes!(end))
        .route(Need::Staff, routes!(end_others))
        .route(Need::Staff, routes!(password))
        .route(Need::Staff, routes!(prove))
}

/// Puts the [`Actor`] and the [`Credential`] beside a request that has a good token. Guards
/// decide what follows.
pub async fn identify(
    State(logins): State<Logins>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RequestId(request_id): RequestId,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = Origin { ip: peer.ip().to_canonical(), request: request_id };
    request.extensions_mut().insert(origin);
    let headers = request.headers();
    let cookie = || cookies::token(headers).map(|token| (token, cookie(headers)));
    let token = bearer(headers).map(|token| (token, Carrier::Header)).or_else(cookie);
    if let Some((token, carrier)) = token {
        match logins.identify(token, carrier, origin).await {
            Ok(Some((actor, credential))) => {
                request.extensions_mut().insert(actor);
                request.extensions_mut().insert(credential);
            }
            Ok(None) => {}
            Err(error) => return Problem::from(error).into_response(),
        }
    }
    next.run(request).await
}

/// Logs in. The token goes into `Authorization: Bearer`; or, for a browser, into cookies.
///
/// Who has a second factor sends a `code` of it, too. The token is good for an hour; see
/// `/api/auth/refresh`.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = LoginBody,
    responses((status = 200, body = LoginView), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 429, body = Problem)))]
async fn login(
    State(logins): State<Logins>,
    origin: Origin,
    answer: Answer,
    Body(body): Body<LoginBody>,
) -> Result<Response, Problem> {
    let LoginBody { email, password, code, program, browser } = body;
    let place = Place { program: program.unwrap_or_default(), browser };
    let logged_in = logins.login(Attempt { email, password, code, place }, origin).await?;
    Ok(answer.with(StatusCode::OK, logged_in, browser))
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
    answer: Answer,
    Body(body): Body<RegisterBody>,
) -> Result<Response, Problem> {
    let new = body.check()?;
    let browser = new.place.browser;
    let logged_in = logins.register(new, origin).await?;
    Ok(answer.with(StatusCode::CREATED, logged_in, browser))
}

/// Gives new tokens for a refresh token, which is good once: shown again, it ends the login.
///
/// A browser sends it in its cookie, and `X-CSRF-Token` with it.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", request_body = RefreshBody,
    responses((status = 200, body = LoginView), (status = 401, body = Problem)))]
async fn refresh(
    State(logins): State<Logins>,
    origin: Origin,
    answer: Answer,
    headers: HeaderMap,
    Body(body): Body<RefreshBody>,
) -> Result<Response, Problem> {
    let in_cookie = || {
        let token = cookies::refresh(&headers)?;
        Some((Secret::new(token.to_owned()), cookie(&headers)))
    };
    let token = body.refresh_token.map(|token| (token, Carrier::Header)).or_else(in_cookie);
    let (token, carrier) = token.ok_or(LoginError::Over)?;
    let logged_in = logins.refresh(&token, carrier, origin).await?;
    let browser = matches!(carrier, Carrier::Cookie { .. });
    Ok(answer.with(StatusCode::OK, logged_in, browser))
}

/// Ends this login, with all of its tokens.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = 204)))]
async fn logout(
    State(logins): State<Logins>,
    actor: Actor,
    login: KnownLogin,
    answer: Answer,
) -> Result<Response, Problem> {
    logins.end(&actor, login.id).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookies::empty(answer.plain, response.headers_mut());
    Ok(response)
}

/// Says who is logged in.
#[utoipa::path(get, path = "/api/auth/me", tag = "auth",
    responses((status = 200, body = UserView)))]
async fn me(State(operators): State<Operators>, actor: Actor) -> Result<Json<UserView>, Problem> {
    let operator = actor.operator.ok_or(OperatorError::Unknown)?;
    let operator = operators.find(&actor, operator).await?;
    Ok(Json(UserView::new(operator, actor.tenant)))
}

/// Lists where one is logged in, oldest first.
#[utoipa::path(get, path = "/api/auth/logins", tag = "auth",
    responses((status = 200, body = LoginsView)))]
async fn list(
    State(logins): State<Logins>,
    actor: Actor,
    credential: Extension<Credential>,
) -> Result<Json<LoginsView>, Problem> {
    let here = match &credential.by {
        By::Login(login) => Some(login.id),
        By::Program(_) => None,
    };
    let items = logins.own(&actor).await?;
    let view = |login: Login| PlaceView { here: here == Some(login.id), ..login.into() };
    Ok(Json(LoginsView { items: items.into_iter().map(view).collect() }))
}

/// Ends a login of one's own, with all of its tokens.
#[utoipa::path(delete, path = "/api/auth/logins/{id}", tag = "auth",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn end(
    State(logins): State<Logins>,
    actor: Actor,
    Path(id): Path<LoginId>,
) -> Result<StatusCode, Problem> {
    logins.end(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends every login of one's own but this.
#[utoipa::path(delete, path = "/api/auth/logins", tag = "auth", responses((status = 204)))]
async fn end_others(
    State(logins): State<Logins>,
    actor: Actor,
    login: KnownLogin,
) -> Result<StatusCode, Problem> {
    logins.end_others(&actor, login.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password. Every other login ends.
#[utoipa::path(post, path = "/api/auth/password", tag = "auth", request_body = PasswordBody,
    responses((status = 204), (status = 403, body = Problem), (status = 429, body = Problem)))]
async fn password(
    State(logins): State<Logins>,
    actor: Actor,
    login: KnownLogin,
    Body(PasswordBody { password, new_password }): Body<PasswordBody>,
) -> Result<StatusCode, Problem> {
    logins.change_password(&actor, login.id, &password, &new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the second factor again: what is dangerous wants it within the last ten minutes.
#[utoipa::path(post, path = "/api/auth/prove", tag = "auth", request_body = ProveBody,
    responses((status = 204), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 429, body = Problem)))]
async fn prove(
    State(logins): State<Logins>,
    actor: Actor,
    login: KnownLogin,
    Body(ProveBody { code }): Body<ProveBody>,
) -> Result<StatusCode, Problem> {
    logins.prove(&actor, login.id, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    email: Email,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Of the second factor, if there is one.
    #[schema(value_type = Option<String>)]
    code: Option<Secret>,
    /// What the program calls itself, for the list of logins.
    program: Option<Note>,
    /// Answer with cookies instead of tokens.
    #[serde(default)]
    browser: bool,
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
    program: Option<Note>,
    /// Answer with cookies instead of tokens.
    #[serde(default)]
    browser: bool,
}

impl RegisterBody {
    fn check(self) -> Result<Registrant, Problem> {
        let Self { tenant, slug, tz, currency, name, email, password, program, browser } = self;
        let slug = match slug {
            Some(slug) => slug,
            None => slug_of(&tenant).ok_or_else(|| {
                let expected = "expected a short name: none could be made of `tenant`";
                Problem::invalid(vec![FieldError::new("slug", expected)])
            })?,
        };
        let (tz, currency) = (tz.unwrap_or_default(), currency.unwrap_or_default());
        let tenant = NewTenant { slug, name: tenant, tz, currency };
        let place = Place { program: program.unwrap_or_default(), browser };
        Ok(Registrant { tenant, name, email, password, place })
    }
}

fn slug_of(name: &Name) -> Option<Code> {
    let text = name.as_str().to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").parse().ok()
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    /// A browser leaves it out: it has a cookie.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    #[schema(value_type = String, format = Password)]
    password: Secret,
    new_password: Passphrase,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProveBody {
    /// Six digits of the authenticator, or a recovery code.
    #[schema(value_type = String, example = "123456")]
    code: Secret,
}

#[derive(Debug, Serialize, ToSchema)]
struct LoginsView {
    items: Vec<PlaceView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PlaceView {
    #[schema(value_type = String, example = "lgn_0198b2f4c0de7000a000000000000001")]
    id: LoginId,
    /// What the program calls itself.
    program: Note,
    ip: Option<String>,
    /// It is the one that asks.
    here: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its tokens were renewed last.
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
    /// Then it is over, used or not.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// When the second factor was shown last.
    #[schema(value_type = Option<String>, format = DateTime)]
    proven_at: Option<Timestamp>,
}

impl From<Login> for PlaceView {
    fn from(login: Login) -> Self {
        let Login { id, program, ip, created_at, used_at, ends_at, proven_at } = login;
        let ip = ip.map(|ip| ip.to_string());
        Self { id, program, ip, here: false, created_at, used_at, ends_at, proven_at }
    }
}

/// The login that asks. A program has none.
impl<S: Send + Sync> FromRequestParts<S> for KnownLogin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Credential>().map(|credential| &credential.by) {
            Some(By::Login(login)) => Ok(*login),
            Some(By::Program(_)) | None => Err(Problem::login_needed()),
        }
    }
}

fn cookie(headers: &HeaderMap) -> Carrier<'_> {
    Carrier::Cookie { csrf: cookies::csrf(headers) }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        match error {
            LoginError::Refused => Self::new(status, "login-refused", error.to_string()),
            LoginError::CodeNeeded => Self::new(status, "code-needed", error.to_string()),
            LoginError::Over => Self::new(status, "login-over", error.to_string()),
            LoginError::TooMany { seconds } => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::retry_later(status, "too-many-attempts", "too many attempts", seconds)
            }
            LoginError::Code(error) => error.into(),
            LoginError::Hash(error) => Self::internal(&error),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<OwnError> for Problem {
    fn from(error: OwnError) -> Self {
        match error {
            OwnError::Unknown => Self::not_found("login"),
            OwnError::WrongPassword => {
                Self::new(StatusCode::FORBIDDEN, "password-wrong", error.to_string())
            }
            OwnError::Nobody => Self::forbidden(error.to_string()),
            OwnError::Code(error) => error.into(),
            OwnError::Login(error) => error.into(),
            OwnError::Store(error) => error.into(),
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
