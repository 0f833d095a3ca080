//! Airtel's, Paystack's and Stripe's addresses.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Reply, Sim};

pub(in super::super) fn routes() -> Router<Sim> {
    Router::new()
        .route("/auth/oauth2/token", post(airtel_token))
        .route("/merchant/v1/payments/", post(airtel_pay))
        .route("/standard/v1/payments/{id}", get(airtel_query))
        .route("/charge", post(paystack_charge))
        .route("/transaction/initialize", post(paystack_charge))
        .route("/transaction/verify/{reference}", get(paystack_verify))
        .route("/standard/v2/payments/refund", post(airtel_refund))
        .route("/refund", post(paystack_refund).get(paystack_refunds))
        .route("/v1/refunds", post(stripe_refund).get(stripe_refunds))
        .route("/v1/checkout/sessions", post(stripe_page))
        .route("/v1/checkout/sessions/{id}", get(stripe_query))
}

async fn airtel_token(State(sim): State<Sim>) -> Reply {
    if sim.is_out() {
        return Reply::Lost;
    }
    Reply::ok(json!({ "token_type": "bearer", "expires_in": "180", "access_token": "sim" }))
}

async fn airtel_pay(State(sim): State<Sim>, Json(body): Json<Value>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.airtel_pay(&body) }
}

async fn airtel_query(State(sim): State<Sim>, Path(id): Path<String>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.airtel_query(&id) }
}

async fn paystack_charge(State(sim): State<Sim>, Json(body): Json<Value>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.paystack_charge(&body) }
}

async fn paystack_verify(State(sim): State<Sim>, Path(reference): Path<String>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.paystack_verify(&reference) }
}

/// A form, as Stripe takes everything.
async fn stripe_page(State(sim): State<Sim>, body: String) -> Reply {
    let form: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    if sim.is_out() { Reply::Lost } else { sim.stripe_page(&form) }
}

async fn stripe_query(State(sim): State<Sim>, Path(id): Path<String>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.stripe_query(&id) }
}

async fn airtel_refund(State(sim): State<Sim>, Json(body): Json<Value>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.airtel_refund(&body) }
}

async fn paystack_refund(State(sim): State<Sim>, Json(body): Json<Value>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.paystack_refund(&body) }
}

#[derive(Debug, Deserialize)]
struct PaystackRefunds {
    transaction: String,
}

async fn paystack_refunds(State(sim): State<Sim>, query: Query<PaystackRefunds>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.paystack_refunds(&query.transaction) }
}

async fn stripe_refund(State(sim): State<Sim>, headers: HeaderMap, body: String) -> Reply {
    let form: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if sim.is_out() { Reply::Lost } else { sim.stripe_refund(&form, key) }
}

#[derive(Debug, Deserialize)]
struct StripeRefunds {
    payment_intent: String,
}

async fn stripe_refunds(State(sim): State<Sim>, query: Query<StripeRefunds>) -> Reply {
    if sim.is_out() { Reply::Lost } else { sim.stripe_refunds(&query.payment_intent) }
}
