//! M-Pesa's addresses.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, header},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{super::Reply, Sim};

pub(in super::super) fn routes() -> Router<Sim> {
    Router::new()
        .route("/oauth/v1/generate", get(token))
        .route("/mpesa/stkpush/v1/processrequest", post(prompt))
        .route("/mpesa/stkpushquery/v1/query", post(query))
        .route("/mpesa/c2b/v2/registerurl", post(register))
        .route("/pulltransactions/v1/register", post(register_pull))
        .route("/pulltransactions/v1/query", post(pull))
        .route("/mpesa/b2c/v3/paymentrequest", post(pay_out))
        .route("/mpesa/transactionstatus/v1/query", post(status))
        .route("/mpesa/reversal/v1/request", post(reverse))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

async fn token(State(sim): State<Sim>, headers: HeaderMap) -> Reply {
    if sim.is_out() {
        return Reply::Lost;
    }
    let login = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    sim.token(login.is_some_and(|login| login.starts_with("Basic ")))
}

async fn prompt(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.prompt(bearer(&headers), &body).await
}

async fn query(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.query(bearer(&headers), &body)
}

async fn register(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.register(bearer(&headers), &body)
}

async fn register_pull(
    State(sim): State<Sim>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Reply {
    if let Some(refused) = sim.refuse(bearer(&headers)) {
        return refused;
    }
    Reply::ok(json!({
        "ResponseRefID": "1", "ResponseStatus": "1000", "ShortCode": body.get("ShortCode"),
        "ResponseDescription": "Shortcode Registered Successfully",
    }))
}

async fn pull(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.pull(bearer(&headers), &body)
}

async fn pay_out(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.pay_out(bearer(&headers), &body)
}

async fn status(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.status(bearer(&headers), &body)
}

async fn reverse(State(sim): State<Sim>, headers: HeaderMap, Json(body): Json<Value>) -> Reply {
    sim.reverse(bearer(&headers), &body)
}
