//! One body for all errors: RFC 9457 problem details.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::daemon::Chain;
use utoipa::ToSchema;

use crate::{db::StoreError, idempotency::ClaimError, logins::Lack, operators::Role};

/// What went wrong, as the client is told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of the problem, for programs.
    #[serde(rename = "type")]
    kind: &'static str,
    /// HTTP status code.
    status: u16,
    /// For people.
    title: String,
    /// What is wrong with which field of the body, if that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Seconds after which it is worth to try again.
    #[serde(skip)]
    retry_after: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path in the body; `.` is the body as a whole.
    pub field: String,
    /// What would be right.
    #[schema(example = "expected 1 to 2000 characters")]
    pub message: String,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, title: impl Into<String>) -> Self {
        let (status, title) = (status.as_u16(), title.into());
        Self { kind, status, title, errors: Vec::new(), retry_after: None }
    }

    pub fn login_needed() -> Self {
        let title = "log in first: send `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "login-needed", title)
    }

    pub fn role_needed(has: Role) -> Self {
        let title = format!("the role `{}` may not do this", has.as_str());
        Self::new(StatusCode::FORBIDDEN, "role-needed", title)
    }

    pub fn forbidden(title: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", title)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// It is there, and in the way.
    pub fn conflict(kind: &'static str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, title)
    }

    /// Somebody else was faster.
    pub fn stale() -> Self {
        let title = "it was changed since you saw it: read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "stale", title)
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let title = "some fields do not fit";
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", title);
        problem.errors = errors;
        problem
    }

    pub fn retry_later(status: StatusCode, kind: &'static str, title: &str, seconds: u64) -> Self {
        let mut problem = Self::new(status, kind, title);
        problem.retry_after = Some(seconds);
        problem
    }

    /// The cause goes to the log, once; the client gets the outer sentence.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(error), "a request failed");
        let title = "something went wrong here; it is in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title)
    }
}

/// What is wrong with one field, where only a look at several can tell.
impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<Lack> for Problem {
    fn from(lack: Lack) -> Self {
        let (kind, title) = match lack {
            Lack::Scope => ("scope-needed", "the token's scopes do not include this"),
            Lack::CsrfToken => {
                ("csrf-needed", "send `X-CSRF-Token` with the value of the cookie `kennet_csrf`")
            }
            Lack::SecondFactor => {
                ("second-factor-needed", "your role needs a second factor: set it up first")
            }
            Lack::FreshCode => {
                ("fresh-code-needed", "show the second factor first: `POST /api/auth/prove`")
            }
        };
        Self::new(StatusCode::FORBIDDEN, kind, title)
    }
}

impl From<ClaimError> for Problem {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::OtherRequest => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency-key-reused", error.to_string())
            }
            ClaimError::Seal(error) => Self::internal(&error),
            ClaimError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(error = %Chain(&error), "the database does not answer");
            let title = "the database does not answer";
            return Self::retry_later(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, 1);
        }
        Self::internal(&error)
    }
}

pub(crate) async fn no_route() -> Problem {
    Problem::not_found("route")
}

pub(crate) async fn no_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "not with this method")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
