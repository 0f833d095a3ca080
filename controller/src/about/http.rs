//! `/healthz`, `/readyz`, `/metrics`, `/api/openapi.json`, `/downloads/…`.

use axum::{
    Json,
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::About;
use crate::http::{Guarded, Need};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    About: FromRef<S>,
{
    Guarded::default()
        .route(Need::Nobody, routes!(healthz))
        .route(Need::Nobody, routes!(readyz))
        .route(Need::Nobody, routes!(metrics))
        .route(Need::Nobody, routes!(openapi))
        .route(Need::Nobody, routes!(documentation))
        .route(Need::Nobody, routes!(walkthrough))
        .route(Need::Nobody, routes!(backup))
}

/// Answers when the process does.
#[utoipa::path(get, path = "/healthz", tag = "about", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers 200 when the database and the broker do.
#[utoipa::path(get, path = "/readyz", tag = "about",
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
async fn readyz(State(about): State<About>) -> (StatusCode, Json<Ready>) {
    let ready = Ready { database: about.db.is_ready().await, broker: about.link.is_up() };
    let all = ready.database && ready.broker;
    (if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(ready))
}

/// What is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "about", responses((status = 200, body = String)))]
async fn metrics(State(about): State<About>) -> Response {
    let text = about.metrics.render(&about.db, about.link.is_up());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "about",
    responses((status = 200, content_type = "application/json", body = Object)))]
async fn openapi(State(about): State<About>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, about.openapi.to_string()).into_response()
}

/// What there is and how it is used, as Markdown.
#[utoipa::path(get, path = "/downloads/KenNet-Platform-Documentation.md", tag = "about",
    responses((status = 200, content_type = "text/markdown", body = String)))]
async fn documentation() -> Response {
    markdown("attachment; filename=\"KenNet-Platform-Documentation.md\"", DOCUMENTATION)
}

/// A provider's first day, request by request, as Markdown.
#[utoipa::path(get, path = "/downloads/walkthrough.md", tag = "about",
    responses((status = 200, content_type = "text/markdown", body = String)))]
async fn walkthrough() -> Response {
    markdown("attachment; filename=\"walkthrough.md\"", WALKTHROUGH)
}

/// Backups, and how to come back from one, as Markdown.
#[utoipa::path(get, path = "/downloads/backup.md", tag = "about",
    responses((status = 200, content_type = "text/markdown", body = String)))]
async fn backup() -> Response {
    markdown("attachment; filename=\"backup.md\"", BACKUP)
}

fn markdown(disposition: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/markdown; charset=utf-8"),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, text).into_response()
}

/// Does what the controller stands on answer?
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    database: bool,
    broker: bool,
}

const DOCUMENTATION: &str = include_str!("../../docs/KenNet-Platform-Documentation.md");
const WALKTHROUGH: &str = include_str!("../../docs/walkthrough.md");
const BACKUP: &str = include_str!("../../docs/backup.md");
