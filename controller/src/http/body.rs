//! What comes in: JSON bodies whose fields are checked words, `Idempotency-Key`, `If-Match`.

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::problem::{FieldError, Problem};
use crate::idempotency;

/// What stands in the path. What does not parse there names nothing, so it is not found.
#[derive(Clone, Copy, Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", rejection.body_text())
    }
}

/// What stands behind the `?`.
#[derive(Clone, Copy, Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-query", rejection.body_text())
    }
}

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// The JSON body of a request that makes something, and its `Idempotency-Key` if it has one.
#[derive(Clone, Debug)]
pub struct Create<T> {
    pub body: T,
    pub key: Option<idempotency::Key>,
}

impl<T, S> FromRequest<S> for Create<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key(request.headers())?;
        let mut hash = Sha256::new_with_prefix(request.uri().path().as_bytes());
        let bytes = read(request, state).await?;
        hash.update([0]);
        hash.update(&bytes);
        let request_hash = hash.finalize().into();
        let key = key.map(|key| idempotency::Key { key, request_hash });
        Ok(Self { body: parse(&bytes)?, key })
    }
}

/// The `Idempotency-Key`, if there is one, of a request that makes something and says no more.
#[derive(Clone, Debug)]
pub struct Bodiless(pub Option<idempotency::Key>);

impl<S: Send + Sync> FromRequestParts<S> for Bodiless {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let request_hash = Sha256::digest(parts.uri.path().as_bytes()).into();
        let key = key(&parts.headers)?;
        Ok(Self(key.map(|key| idempotency::Key { key, request_hash })))
    }
}

/// The version that the client saw: of an `ETag` like `"3"`.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            let title = "send `If-Match` with the ETag of what you saw, so that no change is lost";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if-match-needed", title));
        };
        let version = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        version.map(Self).ok_or_else(|| {
            let title = "`If-Match` should be an ETag as it was given, like \"3\"";
            Problem::new(StatusCode::BAD_REQUEST, "bad-if-match", title)
        })
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let title = "send `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", title));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| {
        Problem::new(rejection.status(), "body-not-read", rejection.body_text())
    })
}

/// Names the field that does not fit, and what would.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let body = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, cause) = (error.path().to_string(), error.inner());
        if cause.is_data() {
            let message = cause.to_string();
            // serde_json ends with ` at line 1 column 20`, which is about the text, not the field.
            let message = message.split(" at line ").next().unwrap_or_default();
            return Problem::invalid(vec![FieldError::new(field, message)]);
        }
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", format!("not JSON: {cause}"))
    })?;
    json.end().map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "bad-json", format!("not JSON: {error}"))
    })?;
    Ok(body)
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if (8..=128).contains(&text.len()) {
        return Ok(Some(text.to_owned()));
    }
    let title = "`Idempotency-Key` should have 8 to 128 visible characters";
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad-idempotency-key", title))
}
