//! Stripe: cards from everywhere, on a page of theirs. Its callbacks are signed, and name the
//! amount.

use jiff::Timestamp;
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::Value;
use shared::{id::IntentId, secret::Secret};
use uuid::Uuid;

use super::{
    About, Answer, Ask, Can, Channel, Collected, Done, Fact, Gateway, GiveBack, Letter, Reply,
    Returned, Secrets, Submit, Unreadable, Verdict,
    said::{receipt, text_at},
    signature,
    wire::{Said, Wire},
};
use crate::billing::Cents;

#[derive(Debug)]
pub(super) struct Stripe {
    wire: Wire,
    secrets: Secrets,
}

impl Stripe {
    pub(super) const fn new(wire: Wire, secrets: Secrets) -> Self {
        Self { wire, secrets }
    }

    fn key(&self) -> &str {
        self.secrets.secret.as_ref().map(Secret::expose).unwrap_or_default()
    }

    async fn page(&self, ask: Ask<'_>) -> Submit {
        let id = ask.intent.as_uuid().simple().to_string();
        let request = self
            .wire
            .request(Method::POST, "/v1/checkout/sessions")
            .bearer_auth(self.key())
            .header("idempotency-key", &id)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form(&ask, &id));
        match self.wire.send(request).await {
            Some(said) => submitted(&said),
            None => Submit::NoAnswer,
        }
    }

    async fn came_of(&self, about: About<'_>) -> Answer {
        let Some(session) = about.provider_ref else { return Answer::NoAnswer };
        let path = format!("/v1/checkout/sessions/{session}");
        let request = self.wire.request(Method::GET, &path).bearer_auth(self.key());
        match self.wire.send(request).await {
            Some(said) => answered(&said),
            None => Answer::NoAnswer,
        }
    }

    /// The same key again is the same refund.
    async fn refund(&self, what: GiveBack<'_>) -> Submit {
        let id = what.refund.as_uuid().simple().to_string();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("payment_intent", what.receipt.as_str())
            .append_pair("amount", &what.amount.get().to_string())
            .append_pair("metadata[refund]", &id)
            .finish();
        let request = self
            .wire
            .request(Method::POST, "/v1/refunds")
            .bearer_auth(self.key())
            .header("idempotency-key", &id)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        match self.wire.send(request).await {
            Some(said) => refunded(&said),
            None => Submit::NoAnswer,
        }
    }

    async fn came_back(&self, what: GiveBack<'_>) -> Returned {
        let path = format!("/v1/refunds?payment_intent={}", what.receipt);
        let request = self.wire.request(Method::GET, &path).bearer_auth(self.key());
        match self.wire.send(request).await {
            Some(said) => returned(&said, what.amount),
            None => Returned::NoAnswer,
        }
    }
}

impl Gateway for Stripe {
    fn can(&self) -> Can {
        Can { push: true, give_back: true, query_give_back: true, signs: true, ..Can::default() }
    }

    fn push<'a>(&'a self, ask: Ask<'a>, _now: Timestamp) -> Reply<'a, Submit> {
        Box::pin(self.page(ask))
    }

    fn query<'a>(&'a self, about: About<'a>, _now: Timestamp) -> Reply<'a, Answer> {
        Box::pin(self.came_of(about))
    }

    fn give_back<'a>(&'a self, what: GiveBack<'a>) -> Reply<'a, Submit> {
        Box::pin(self.refund(what))
    }

    fn given_back<'a>(&'a self, what: GiveBack<'a>) -> Reply<'a, Returned> {
        Box::pin(self.came_back(what))
    }

    fn read(&self, letter: &Letter<'_>) -> Result<Vec<Fact>, Unreadable> {
        if letter.channel != Channel::Hook {
            return Err(Unreadable::Channel);
        }
        let header = letter.headers.get("stripe-signature").ok_or(Unreadable::Unsigned)?;
        let key = self.secrets.webhook.as_ref().ok_or(Unreadable::Unsigned)?;
        signed(header, letter.raw, key, letter.received_at)?;
        event(&serde_json::from_slice(letter.raw)?)
    }
}

fn form(ask: &Ask<'_>, id: &str) -> String {
    let amount = ask.amount.get().to_string();
    // Where the payer goes afterwards: the host that the provider knows anyway.
    let after = ask.callback.split('/').take(3).collect::<Vec<_>>().join("/");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("mode", "payment")
        .append_pair("client_reference_id", id)
        .append_pair("success_url", &after)
        .append_pair("line_items[0][quantity]", "1")
        .append_pair("line_items[0][price_data][currency]", "kes")
        .append_pair("line_items[0][price_data][unit_amount]", &amount)
        .append_pair("line_items[0][price_data][product_data][name]", ask.reference);
    if let Some(email) = ask.email {
        form.append_pair("customer_email", email.as_str());
    }
    form.finish()
}

/// `t=1492774577,v1=…`: any of the signatures, over the time and the body.
fn signed(header: &str, raw: &[u8], key: &Secret, now: Timestamp) -> Result<(), Unreadable> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let (_, time) = parts().find(|(name, _)| *name == "t").ok_or(Unreadable::Unsigned)?;
    let message: [&[u8]; 3] = [time.as_bytes(), b".", raw];
    let fits = |signature: &str| {
        let bytes = signature::unhex(signature)?;
        signature::sha256(key.expose(), &message, &bytes)
    };
    let mut signatures = parts().filter(|(name, _)| *name == "v1").map(|(_, text)| text);
    if !signatures.any(|signature| fits(signature).is_ok()) {
        return Err(Unreadable::Forged);
    }
    // Only now: a time that is not signed says nothing.
    let second: i64 = time.parse().map_err(|_| Unreadable::Forged)?;
    if now.as_second().abs_diff(second) > AGE_MAX { Err(Unreadable::Old) } else { Ok(()) }
}

fn event(body: &Value) -> Result<Vec<Fact>, Unreadable> {
    let object = body.pointer("/data/object").ok_or(Unreadable::Field("data.object"))?;
    let kind = body.get("type").and_then(Value::as_str).ok_or(Unreadable::Field("type"))?;
    let intent = text_at(object, "/client_reference_id");
    let intent = intent.and_then(|text| Uuid::try_parse(&text).ok()).map(IntentId::from_uuid);
    let paid_up = object.get("payment_status").and_then(Value::as_str) == Some("paid");
    match kind {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" if paid_up => {
            Ok(vec![Fact::Collected(paid(object, intent)?)])
        }
        "checkout.session.expired" | "checkout.session.async_payment_failed" => {
            Ok(vec![Fact::NotCollected {
                intent,
                provider_ref: text_at(object, "/id"),
                code: kind.to_owned(),
                verdict: Verdict::Failed,
            }])
        }
        "charge.refunded"
        | "refund.created"
        | "refund.updated"
        | "refund.failed"
        | "charge.refund.updated" => {
            let receipt = receipt(text_at(object, "/payment_intent"), "payment_intent")?;
            let status = object.get("status").and_then(Value::as_str);
            let went = kind == "charge.refunded" || status == Some("succeeded");
            Ok(vec![Fact::LookBack { intent: None, receipt: Some(receipt), went }])
        }
        // Of things that this program does not ask for, or that are not decided yet.
        _ => Ok(Vec::new()),
    }
}

fn paid(session: &Value, intent: Option<IntentId>) -> Result<Collected, Unreadable> {
    if session.get("currency").and_then(Value::as_str) != Some("kes") {
        return Err(Unreadable::Field("currency"));
    }
    let cents = session.get("amount_total").and_then(Value::as_i64).filter(|cents| *cents > 0);
    Ok(Collected {
        receipt: receipt(text_at(session, "/payment_intent"), "payment_intent")?,
        amount: cents.map(Cents::new).ok_or(Unreadable::Field("amount_total"))?,
        paid_at: None,
        reference: None,
        provider_ref: text_at(session, "/id"),
        payer: text_at(session, "/customer_details/email"),
        intent,
    })
}

fn submitted(said: &Said) -> Submit {
    if let Some(provider_ref) = text_at(&said.body, "/id") {
        return Submit::Accepted { provider_ref, pay_url: text_at(&said.body, "/url") };
    }
    let code = text_at(&said.body, "/error/code").or_else(|| text_at(&said.body, "/error/type"));
    match (code, said.status.is_client_error()) {
        (Some(code), true) => {
            let again = said.status == reqwest::StatusCode::TOO_MANY_REQUESTS;
            Submit::Refused { code, again }
        }
        (Some(_) | None, _) => Submit::NoAnswer,
    }
}

fn refunded(said: &Said) -> Submit {
    match submitted(said) {
        // It went back before, by us or by hand: its list says which.
        Submit::Refused { code, .. } if code == "charge_already_refunded" => Submit::NoAnswer,
        submit @ (Submit::Accepted { .. } | Submit::Refused { .. } | Submit::NoAnswer) => submit,
    }
}

/// The whole of a payment goes back, so another amount is somebody else's. Newest first.
fn returned(said: &Said, amount: Cents) -> Returned {
    let Some(list) = said.body.get("data").and_then(Value::as_array) else {
        return Returned::NoAnswer;
    };
    let whole = |one: &&Value| one.get("amount").and_then(Value::as_i64) == Some(amount.get());
    let Some(one) = list.iter().find(whole) else { return Returned::NotAsked };
    match one.get("status").and_then(Value::as_str) {
        Some("succeeded") => match receipt(text_at(one, "/id"), "id") {
            Ok(provider_txn) => Returned::Ended(Done::Paid { provider_txn }),
            Err(_) => Returned::NoAnswer,
        },
        Some(code @ ("failed" | "canceled")) => {
            Returned::Ended(Done::Failed { code: code.to_owned() })
        }
        Some(_) => Returned::Pending,
        None => Returned::NoAnswer,
    }
}

fn answered(said: &Said) -> Answer {
    let session = &said.body;
    let word = |field: &str| session.get(field).and_then(Value::as_str);
    match (word("payment_status"), word("status")) {
        (Some("paid"), _) => match paid(session, None) {
            Ok(paid) => Answer::Paid { receipt: Some(paid.receipt), amount: Some(paid.amount) },
            Err(_) => Answer::NoAnswer,
        },
        (Some(_), Some("expired")) => Answer::Failed { code: "expired".to_owned() },
        (Some(_), Some(_)) => Answer::Pending,
        (Some(_) | None, _) => Answer::NoAnswer,
    }
}

/// Seconds that a signature is good for.
const AGE_MAX: u64 = 300;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use serde_json::json;

    use super::*;
    use crate::token;

    #[test]
    fn a_signature_is_good_for_five_minutes() {
        let key = Secret::new("whsec_x".to_owned());
        let raw = b"{}";
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"whsec_x").unwrap();
        mac.update(b"1492774577.{}");
        let good = token::hex(&mac.finalize().into_bytes());
        let header = format!("t=1492774577,v1={},v1={good}", "0".repeat(64));
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert!(signed(&header, raw, &key, at(1_492_774_577)).is_ok());
        assert!(signed(&header, raw, &key, at(1_492_774_877)).is_ok());
        assert!(matches!(signed(&header, raw, &key, at(1_492_774_878)), Err(Unreadable::Old)));
        let forged = signed(&header, b"{ }", &key, at(1_492_774_577));
        assert!(matches!(forged, Err(Unreadable::Forged)));
        assert!(matches!(signed("v1=00", raw, &key, at(0)), Err(Unreadable::Unsigned)));
    }

    #[test]
    fn a_refund_of_all_of_it_is_ours() {
        let said = |status: &str, amount: i64| {
            let data = json!([{ "id": "re_1", "status": status, "amount": amount }]);
            let body = json!({ "object": "list", "data": data });
            returned(&Said { status: reqwest::StatusCode::OK, body }, Cents::new(5000))
        };
        let provider_txn = "re_1".parse().unwrap();
        assert_eq!(said("succeeded", 5000), Returned::Ended(Done::Paid { provider_txn }));
        let failed = Done::Failed { code: "canceled".to_owned() };
        assert_eq!(said("canceled", 5000), Returned::Ended(failed));
        assert_eq!(said("requires_action", 5000), Returned::Pending);
        assert_eq!(said("succeeded", 100), Returned::NotAsked);
        let gone = json!({ "error": { "code": "charge_already_refunded" } });
        let gone = Said { status: reqwest::StatusCode::BAD_REQUEST, body: gone };
        assert_eq!(refunded(&gone), Submit::NoAnswer);
    }

    #[test]
    fn a_session_is_money_when_it_is_paid() {
        let body = |kind: &str, status: &str| {
            json!({ "type": kind, "data": { "object": {
                "id": "cs_1", "client_reference_id": "0198b2f4c0de7000a000000000000001",
                "payment_status": status, "payment_intent": "pi_1", "amount_total": 5000,
                "currency": "kes" } } })
        };
        let facts = event(&body("checkout.session.completed", "paid")).unwrap();
        let [Fact::Collected(paid)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((paid.receipt.as_str(), paid.amount.get()), ("pi_1", 5000));
        assert!(event(&body("checkout.session.completed", "unpaid")).unwrap().is_empty());
        let facts = event(&body("checkout.session.expired", "unpaid")).unwrap();
        assert!(matches!(facts.as_slice(), [Fact::NotCollected { .. }]));
    }
}
