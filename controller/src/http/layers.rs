//! The layers around all routes: number, log, measure, limit, protect.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::Response,
};
use tower_http::timeout::TimeoutLayer;

use super::request;

/// From the inside out; routes added later are not covered.
pub(crate) fn around(router: Router) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(from_fn(protect))
        .layer(from_fn(measure))
        .layer(from_fn(request::number))
}

/// Nothing here is a page that another may frame, sniff or cache.
async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Counted by route and not by path: a path has ids in it.
async fn measure(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let started = Instant::now();
    let response = next.run(request).await;
    let (took, status) = (started.elapsed(), response.status());
    tracing::debug!(
        http.method = method,
        http.route = route,
        http.status = status.as_u16(),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    let labels = [("method", method.clone()), ("route", route.clone())];
    metrics::histogram!("kennet_http_request_seconds", &labels).record(took);
    let status = status.as_u16().to_string();
    let labels = [("method", method), ("route", route), ("status", status)];
    metrics::counter!("kennet_http_requests_total", &labels).increment(1);
    response
}

const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];
/// The largest body is a subscriber with all of its devices.
const BODY_MAX: usize = 256 << 10;
const TIMEOUT: Duration = Duration::from_secs(30);
