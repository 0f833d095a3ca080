//! How somebody is told that they are logged in: in the body, or in cookies.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    id::{OperatorId, TenantId},
    secret::Secret,
};
use utoipa::ToSchema;

use super::cookies;
use crate::{
    logins::{LoggedIn, Tokens},
    operators::{Operator, Role},
    words::{Email, Name},
};

/// How whoever asks is told about a login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(in crate::logins) plain: bool,
}

impl Answer {
    pub(crate) fn with(self, status: StatusCode, new: LoggedIn, browser: bool) -> Response {
        let LoggedIn { tokens, tenant, operator } = new;
        let Tokens { token, expires_at, refresh, csrf } = tokens;
        let user = UserView::new(operator, tenant);
        if !browser {
            let (token, refresh_token) = (Some(token), Some(refresh));
            let view = LoginView { token, refresh_token, expires_at, user };
            return (status, Json(view)).into_response();
        }
        let view = LoginView { token: None, refresh_token: None, expires_at, user };
        let mut response = (status, Json(view)).into_response();
        let jar = cookies::Jar { token: &token, refresh: &refresh, csrf: csrf.as_ref() };
        jar.fill(self.plain, response.headers_mut());
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Answer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { plain: cookies::is_plain(&parts.headers) })
    }
}

/// Who is logged in. A browser finds the tokens in its cookies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginView {
    /// Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token: Option<Secret>,
    /// For `/api/auth/refresh`. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// Of the token.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    user: UserView,
}

/// Somebody of the staff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    #[schema(value_type = String, example = "op_0198b2f4c0de7000a000000000000001")]
    id: OperatorId,
    #[schema(value_type = String, example = "ten_0198b2f4c0de7000a000000000000001")]
    tenant: TenantId,
    email: Email,
    name: Name,
    role: Role,
}

impl UserView {
    pub(in crate::logins) fn new(operator: Operator, tenant: TenantId) -> Self {
        let Operator { id, email, name, role, .. } = operator;
        Self { id, tenant, email, name, role }
    }
}
