//! What goes out: one object with its `ETag`, a new object with its place.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// One object, and the version that an `If-Match` must name.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    pub version: i64,
    pub view: T,
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, etag(self.version))], Json(self.view)).into_response()
    }
}

/// An object that was made by this request, or by the same request before.
#[derive(Clone, Debug)]
pub struct Created<T> {
    /// Where it is.
    pub path: String,
    pub version: i64,
    pub view: T,
    pub replayed: bool,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let made = Versioned { version: self.version, view: self.view };
        let mut response = (StatusCode::CREATED, made).into_response();
        let headers = response.headers_mut();
        // A path is made of ids, which are visible ASCII.
        if let Ok(path) = HeaderValue::from_str(&self.path) {
            headers.insert(header::LOCATION, path);
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
