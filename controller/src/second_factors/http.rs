//! `/api/auth/second-factor…`, and what a head does about a colleague's.

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use shared::{id::OperatorId, secret::Secret};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{CodeError, FactorError, SecondFactors};
use crate::{
    actor::Actor,
    http::{Body, Guarded, Need, Path, Problem},
    logins::{KnownLogin, Logins},
    operators::Role,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    SecondFactors: FromRef<S>,
    Logins: FromRef<S>,
{
    Guarded::default()
        .route(Need::Staff, routes!(begin))
        .route(Need::Staff, routes!(confirm))
        .route(Need::Staff, routes!(codes))
        .route(Need::Staff, routes!(remove))
        .dangerous(Need::One(Role::HEADS), routes!(clear))
}

/// Makes the secret of a second factor, told this once.
///
/// It counts when a code of it was sent to `/api/auth/second-factor/confirm`. The password is asked
/// for, so that who finds a desk unattended does not set up their own phone.
#[utoipa::path(post, path = "/api/auth/second-factor", tag = "auth", request_body = BeginBody,
    responses((status = 200, body = BegunView), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn begin(
    State(factors): State<SecondFactors>,
    State(logins): State<Logins>,
    actor: Actor,
    _login: KnownLogin,
    Body(BeginBody { password }): Body<BeginBody>,
) -> Result<Json<BegunView>, Problem> {
    logins.demand_password(&actor, &password).await?;
    let begun = factors.begin(&actor).await?;
    Ok(Json(BegunView { secret: begun.secret, url: begun.url }))
}

/// Confirms that the authenticator has the secret. The answer has the recovery codes, this once.
#[utoipa::path(post, path = "/api/auth/second-factor/confirm", tag = "auth",
    request_body = CodeBody,
    responses((status = 200, body = CodesView), (status = 403, body = Problem),
        (status = 409, body = Problem)))]
async fn confirm(
    State(factors): State<SecondFactors>,
    actor: Actor,
    login: KnownLogin,
    Body(CodeBody { code }): Body<CodeBody>,
) -> Result<Json<CodesView>, Problem> {
    let recovery_codes = factors.confirm(&actor, login.id, &code).await?;
    Ok(Json(CodesView { recovery_codes }))
}

/// Makes new recovery codes; those of before are good for nothing.
#[utoipa::path(post, path = "/api/auth/second-factor/recovery-codes", tag = "auth",
    request_body = CodeBody,
    responses((status = 200, body = CodesView), (status = 403, body = Problem),
        (status = 409, body = Problem)))]
async fn codes(
    State(factors): State<SecondFactors>,
    actor: Actor,
    _login: KnownLogin,
    Body(CodeBody { code }): Body<CodeBody>,
) -> Result<Json<CodesView>, Problem> {
    Ok(Json(CodesView { recovery_codes: factors.renew_codes(&actor, &code).await? }))
}

/// Removes one's own second factor, if the role may do without.
#[utoipa::path(post, path = "/api/auth/second-factor/remove", tag = "auth",
    request_body = CodeBody,
    responses((status = 204), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    State(factors): State<SecondFactors>,
    actor: Actor,
    _login: KnownLogin,
    Body(CodeBody { code }): Body<CodeBody>,
) -> Result<StatusCode, Problem> {
    factors.remove(&actor, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the second factor of a colleague who lost phone and codes, and ends their logins.
#[utoipa::path(delete, path = "/api/operators/{id}/second-factor", tag = "operators",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn clear(
    State(factors): State<SecondFactors>,
    actor: Actor,
    Path(id): Path<OperatorId>,
) -> Result<StatusCode, Problem> {
    factors.clear(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginBody {
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeBody {
    /// Six digits of the authenticator, or a recovery code.
    #[schema(value_type = String, example = "123456")]
    code: Secret,
}

#[derive(Debug, Serialize, ToSchema)]
struct BegunView {
    /// For who types it.
    #[schema(value_type = String, example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: Secret,
    /// For a QR code.
    #[schema(value_type = String,
        example = "otpauth://totp/KenNet:amina?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=KenNet")]
    url: Secret,
}

#[derive(Debug, Serialize, ToSchema)]
struct CodesView {
    /// Each is good once.
    #[schema(value_type = Vec<String>, example = json!(["ABCDE-23456"]))]
    recovery_codes: Vec<Secret>,
}

impl From<CodeError> for Problem {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Wrong => Self::new(StatusCode::FORBIDDEN, "code-wrong", error.to_string()),
            CodeError::Locked => {
                let (status, seconds) = (StatusCode::TOO_MANY_REQUESTS, 900);
                Self::retry_later(status, "too-many-attempts", &error.to_string(), seconds)
            }
            CodeError::NotSetUp => Self::conflict("no-second-factor", error.to_string()),
            CodeError::Seal(error) => Self::internal(&error),
            CodeError::Store(error) => error.into(),
        }
    }
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::AlreadyThere => {
                Self::conflict("second-factor-already-there", error.to_string())
            }
            FactorError::NotBegun => Self::conflict("no-second-factor", error.to_string()),
            FactorError::Needed => Self::conflict("role-needs-it", error.to_string()),
            FactorError::Code(error) => error.into(),
            FactorError::Operator(error) => error.into(),
            FactorError::Store(error) => error.into(),
        }
    }
}
