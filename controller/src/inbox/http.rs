//! `/cb/…`: the door at which providers call.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRef, State},
    http::HeaderMap,
};
use serde_json::{Value, json};
use shared::{daemon::Chain, id::MerchantId, secret::Secret};
use utoipa_axum::routes;

use super::{Inbox, NewEvent};
use crate::{
    gateways::Channel,
    http::{Guarded, Need, Path, Problem},
    logins::Origin,
};

pub fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Inbox: FromRef<S>,
{
    Guarded::default()
        .route(Need::Nobody, routes!(called))
        .route(Need::Nobody, routes!(called_about))
}

/// A provider says something. It is stored, answered in the provider's words, and applied later.
#[utoipa::path(post, path = "/cb/{channel}/{token}", tag = "callbacks",
    params(("channel" = String, Path), ("token" = String, Path)),
    responses((status = 200, description = "It is stored"), (status = 404, body = Problem)))]
async fn called(
    State(inbox): State<Inbox>,
    origin: Origin,
    Path((channel, token)): Path<(Channel, Secret)>,
    headers: HeaderMap,
    raw: Bytes,
) -> Result<Json<Value>, Problem> {
    take(&inbox, origin, channel, token, None, &headers, raw).await
}

/// A provider says what came of one thing. Its id is in the address, with a mark.
#[utoipa::path(post, path = "/cb/{channel}/{token}/{subject}", tag = "callbacks",
    params(("channel" = String, Path), ("token" = String, Path), ("subject" = String, Path)),
    responses((status = 200, description = "It is stored"), (status = 404, body = Problem)))]
async fn called_about(
    State(inbox): State<Inbox>,
    origin: Origin,
    Path((channel, token, subject)): Path<(Channel, Secret, String)>,
    headers: HeaderMap,
    raw: Bytes,
) -> Result<Json<Value>, Problem> {
    take(&inbox, origin, channel, token, Some(subject), &headers, raw).await
}

async fn take(
    inbox: &Inbox,
    origin: Origin,
    channel: Channel,
    token: Secret,
    subject: Option<String>,
    headers: &HeaderMap,
    raw: Bytes,
) -> Result<Json<Value>, Problem> {
    let kept = |name: &&str| headers.get(*name)?.to_str().ok().map(str::to_owned);
    let headers: BTreeMap<_, _> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), kept(name)?))).collect();
    let new = NewEvent { channel, token, subject, raw: raw.to_vec(), headers, source: origin.ip };
    let merchant = inbox.store(new).await?.ok_or_else(|| Problem::not_found("address"))?;
    let asks = channel == Channel::Check;
    Ok(Json(if asks { check(inbox, merchant, &raw).await } else { answer(channel) }))
}

/// Somebody wants to pay. Who cannot be answered for some reason of ours may.
async fn check(inbox: &Inbox, merchant: MerchantId, raw: &[u8]) -> Value {
    match inbox.check(merchant, raw).await {
        Ok(Ok(())) => answer(Channel::Check),
        Ok(Err(why)) => json!({ "ResultCode": why.code(), "ResultDesc": why.to_string() }),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "a payment is let through unchecked");
            answer(Channel::Check)
        }
    }
}

/// What the provider wants to read.
fn answer(channel: Channel) -> Value {
    match channel {
        Channel::Check => json!({ "ResultCode": "0", "ResultDesc": "Accepted" }),
        Channel::C2b => json!({ "ResultCode": 0, "ResultDesc": "Success" }),
        Channel::Stk
        | Channel::B2c
        | Channel::B2cLate
        | Channel::Status
        | Channel::StatusLate
        | Channel::Back
        | Channel::BackLate => json!({ "ResultCode": 0, "ResultDesc": "Accepted" }),
        Channel::Hook => json!({ "received": true }),
    }
}

/// Signatures, and what helps to find out who it was. Nothing else is of use, and some is secret.
const KEPT: &[&str] = &[
    "businessshortcode",
    "content-type",
    "stripe-signature",
    "user-agent",
    "x-forwarded-for",
    "x-paystack-signature",
];
