//! `/cb/messages/…`: the door at which message providers report.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRef, State},
    http::HeaderMap,
};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::secret::Secret;
use utoipa_axum::routes;

use super::Messages;
use crate::http::{Guarded, Need, Path, Problem, Query};

pub(in crate::messages) fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Messages: FromRef<S>,
{
    Guarded::default().route(Need::Nobody, routes!(report)).route(Need::Nobody, routes!(prove))
}

/// A provider reports what became of messages. It is stored, and applied later.
#[utoipa::path(post, path = "/cb/messages/{token}", tag = "callbacks",
    params(("token" = String, Path)),
    responses((status = 200, description = "It is stored"), (status = 404, body = Problem)))]
async fn report(
    State(messages): State<Messages>,
    Path(token): Path<Secret>,
    headers: HeaderMap,
    raw: Bytes,
) -> Result<Json<Value>, Problem> {
    let kept = |name: &&str| headers.get(*name)?.to_str().ok().map(str::to_owned);
    let headers: BTreeMap<_, _> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), kept(name)?))).collect();
    if messages.report(&token, &raw, &headers).await? {
        Ok(Json(json!({ "received": true })))
    } else {
        Err(Problem::not_found("address"))
    }
}

/// Meta asks whether the address is ours: the token is what it was told to verify by.
#[utoipa::path(get, path = "/cb/messages/{token}", tag = "callbacks",
    params(("token" = String, Path), ChallengeQuery),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = Problem)))]
async fn prove(
    State(messages): State<Messages>,
    Path(token): Path<Secret>,
    Query(query): Query<ChallengeQuery>,
) -> Result<String, Problem> {
    let told = query.verify_token == token;
    if told && query.mode == "subscribe" && messages.is_address(&token).await? {
        return Ok(query.challenge);
    }
    Err(Problem::not_found("address"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ChallengeQuery {
    #[serde(rename = "hub.mode")]
    mode: String,
    #[serde(rename = "hub.challenge")]
    challenge: String,
    #[serde(rename = "hub.verify_token")]
    #[param(value_type = String)]
    verify_token: Secret,
}

/// Signatures, and what helps to read it.
const KEPT: &[&str] = &["content-type", "kennet-signature", "user-agent", "x-hub-signature-256"];
