//! Paystack: cards, and M-Pesa in Kenya. Its callbacks are signed, and name the amount.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
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
pub(super) struct Paystack {
    wire: Wire,
    secrets: Secrets,
}

impl Paystack {
    pub(super) const fn new(wire: Wire, secrets: Secrets) -> Self {
        Self { wire, secrets }
    }

    fn key(&self) -> &str {
        self.secrets.secret.as_ref().map(Secret::expose).unwrap_or_default()
    }

    async fn charge(&self, ask: Ask<'_>) -> Submit {
        let reference = ask.intent.as_uuid().simple().to_string();
        let mut body = json!({
            "email": ask.email, "amount": ask.amount.get(), "currency": "KES",
            "reference": reference,
        });
        // Who has a phone is asked there; who has none gets a page.
        let path = match (ask.msisdn, body.as_object_mut()) {
            (Some(msisdn), Some(body)) => {
                let phone = format!("+{msisdn}");
                let money = json!({ "phone": phone, "provider": "mpesa" });
                body.insert("mobile_money".to_owned(), money);
                "/charge"
            }
            (_, _) => "/transaction/initialize",
        };
        let request = self.wire.request(Method::POST, path).bearer_auth(self.key()).json(&body);
        match self.wire.send(request).await {
            Some(said) => submitted(&said, reference),
            None => Submit::NoAnswer,
        }
    }

    async fn verify(&self, about: About<'_>) -> Answer {
        let path = format!("/transaction/verify/{}", about.intent.as_uuid().simple());
        let request = self.wire.request(Method::GET, &path).bearer_auth(self.key());
        match self.wire.send(request).await {
            Some(said) => answered(&said),
            None => Answer::NoAnswer,
        }
    }

    /// Nothing is given back twice of one transaction.
    async fn refund(&self, what: GiveBack<'_>) -> Submit {
        let body = json!({ "transaction": what.receipt, "amount": what.amount.get(),
                           "currency": "KES", "merchant_note": what.refund });
        let request = self.wire.request(Method::POST, "/refund").bearer_auth(self.key());
        match self.wire.send(request.json(&body)).await {
            Some(said) => refunded(&said),
            None => Submit::NoAnswer,
        }
    }

    async fn came_back(&self, what: GiveBack<'_>) -> Returned {
        let path = format!("/refund?transaction={}", what.receipt);
        let request = self.wire.request(Method::GET, &path).bearer_auth(self.key());
        match self.wire.send(request).await {
            Some(said) => returned(&said, what.amount),
            None => Returned::NoAnswer,
        }
    }
}

impl Gateway for Paystack {
    fn can(&self) -> Can {
        Can {
            push: true,
            query_by_our_id: true,
            give_back: true,
            query_give_back: true,
            signs: true,
            ..Can::default()
        }
    }

    fn push<'a>(&'a self, ask: Ask<'a>, _now: Timestamp) -> Reply<'a, Submit> {
        Box::pin(self.charge(ask))
    }

    fn query<'a>(&'a self, about: About<'a>, _now: Timestamp) -> Reply<'a, Answer> {
        Box::pin(self.verify(about))
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
        let mac = letter.headers.get("x-paystack-signature").ok_or(Unreadable::Unsigned)?;
        signature::sha512(self.key(), letter.raw, &signature::unhex(mac)?)?;
        event(&serde_json::from_slice(letter.raw)?)
    }
}

fn event(body: &Value) -> Result<Vec<Fact>, Unreadable> {
    let data = body.get("data").ok_or(Unreadable::Field("data"))?;
    let intent = text_at(data, "/reference").and_then(|text| Uuid::try_parse(&text).ok());
    let intent = intent.map(IntentId::from_uuid);
    match body.get("event").and_then(Value::as_str) {
        Some("charge.success") => Ok(vec![Fact::Collected(paid(data, intent)?)]),
        Some("charge.failed") => Ok(vec![Fact::NotCollected {
            intent,
            provider_ref: None,
            code: text_at(data, "/gateway_response").unwrap_or_else(|| "failed".to_owned()),
            verdict: Verdict::Failed,
        }]),
        Some(event) if event.starts_with("refund.") => {
            let intent = text_at(data, "/transaction_reference");
            let intent = intent.and_then(|text| Uuid::try_parse(&text).ok());
            let intent = intent.map(IntentId::from_uuid);
            Ok(vec![Fact::LookBack { intent, receipt: None, went: event == "refund.processed" }])
        }
        // Of things that this program does not ask for.
        Some(_) => Ok(Vec::new()),
        None => Err(Unreadable::Field("event")),
    }
}

fn paid(data: &Value, intent: Option<IntentId>) -> Result<Collected, Unreadable> {
    if data.get("currency").and_then(Value::as_str) != Some("KES") {
        return Err(Unreadable::Field("data.currency"));
    }
    let cents = data.get("amount").and_then(Value::as_i64).filter(|cents| *cents > 0);
    Ok(Collected {
        receipt: receipt(text_at(data, "/id"), "data.id")?,
        amount: cents.map(Cents::new).ok_or(Unreadable::Field("data.amount"))?,
        paid_at: text_at(data, "/paid_at").and_then(|text| text.parse().ok()),
        reference: text_at(data, "/reference"),
        provider_ref: None,
        payer: text_at(data, "/customer/email"),
        intent,
    })
}

fn submitted(said: &Said, reference: String) -> Submit {
    match said.body.get("status").and_then(Value::as_bool) {
        Some(true) => Submit::Accepted {
            provider_ref: reference,
            pay_url: text_at(&said.body, "/data/authorization_url"),
        },
        Some(false) => {
            let code = text_at(&said.body, "/message").unwrap_or_default();
            // It has taken this one before.
            if code.contains("Duplicate") {
                return Submit::NoAnswer;
            }
            let again = said.status == reqwest::StatusCode::TOO_MANY_REQUESTS;
            Submit::Refused { code, again }
        }
        None => Submit::NoAnswer,
    }
}

fn refunded(said: &Said) -> Submit {
    match said.body.get("status").and_then(Value::as_bool) {
        Some(true) => match text_at(&said.body, "/data/id") {
            Some(provider_ref) => Submit::Accepted { provider_ref, pay_url: None },
            None => Submit::NoAnswer,
        },
        // It may be that one of ours was there before: its list says so.
        Some(false) if said.status == reqwest::StatusCode::BAD_REQUEST => Submit::NoAnswer,
        Some(false) if said.status.is_client_error() => {
            let code = text_at(&said.body, "/message").unwrap_or_default();
            let again = said.status == reqwest::StatusCode::TOO_MANY_REQUESTS;
            Submit::Refused { code, again }
        }
        Some(false) | None => Submit::NoAnswer,
    }
}

/// The whole of a payment goes back, so another amount is somebody else's.
fn returned(said: &Said, amount: Cents) -> Returned {
    if said.body.get("status").and_then(Value::as_bool) != Some(true) {
        return Returned::NoAnswer;
    }
    let Some(list) = said.body.get("data").and_then(Value::as_array) else {
        return Returned::NoAnswer;
    };
    let whole = |one: &&Value| one.get("amount").and_then(Value::as_i64) == Some(amount.get());
    let Some(one) = list.iter().rfind(whole) else { return Returned::NotAsked };
    match one.get("status").and_then(Value::as_str) {
        Some("processed") => match receipt(text_at(one, "/id"), "id") {
            Ok(provider_txn) => Returned::Ended(Done::Paid { provider_txn }),
            Err(_) => Returned::NoAnswer,
        },
        Some("failed") => Returned::Ended(Done::Failed { code: "failed".to_owned() }),
        Some(_) => Returned::Pending,
        None => Returned::NoAnswer,
    }
}

fn answered(said: &Said) -> Answer {
    let Some(data) = said.body.get("data") else { return Answer::NoAnswer };
    match data.get("status").and_then(Value::as_str) {
        Some("success") => match paid(data, None) {
            Ok(paid) => Answer::Paid { receipt: Some(paid.receipt), amount: Some(paid.amount) },
            Err(_) => Answer::NoAnswer,
        },
        Some("failed" | "reversed") => {
            let code = text_at(data, "/gateway_response");
            Answer::Failed { code: code.unwrap_or_else(|| "failed".to_owned()) }
        }
        // Who has left the page may come back to it.
        Some(_) => Answer::Pending,
        None => Answer::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hmac::{Hmac, KeyInit as _, Mac as _};

    use super::*;
    use crate::{
        gateways::{Environment, Hosts},
        payments::Provider,
        token,
    };

    #[test]
    fn only_what_is_signed_is_believed() {
        let hosts = Hosts::new(None);
        let wire = hosts.wire(Provider::Paystack, Environment::Production).unwrap();
        let secret = Some(Secret::new("sk_live_x".to_owned()));
        let paystack = Paystack::new(wire, Secrets { secret, ..Secrets::default() });
        let raw = json!({ "event": "charge.success", "data": {
            "id": 302_961, "status": "success", "reference": "0198b2f4c0de7000a000000000000001",
            "amount": 5000, "currency": "KES", "paid_at": "2026-11-22T11:30:22.000Z",
        } })
        .to_string();
        let read = |key: &[u8]| {
            let mut mac = Hmac::<sha2::Sha512>::new_from_slice(key).unwrap();
            mac.update(raw.as_bytes());
            let mac = token::hex(&mac.finalize().into_bytes());
            let headers = BTreeMap::from([("x-paystack-signature".to_owned(), mac)]);
            let received_at = Timestamp::UNIX_EPOCH;
            let channel = Channel::Hook;
            paystack.read(&Letter { channel, raw: raw.as_bytes(), headers: &headers, received_at })
        };
        let facts = read(b"sk_live_x").unwrap();
        let [Fact::Collected(paid)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((paid.receipt.as_str(), paid.amount.get()), ("302961", 5000));
        assert!(paid.intent.is_some());
        assert!(matches!(read(b"sk_live_y"), Err(Unreadable::Forged)));
    }

    #[test]
    fn dollars_are_no_shillings() {
        let body = json!({ "event": "charge.success", "data": {
            "id": 1, "amount": 5000, "currency": "USD" } });
        assert!(matches!(event(&body), Err(Unreadable::Field("data.currency"))));
        assert!(event(&json!({ "event": "transfer.success", "data": {} })).unwrap().is_empty());
    }

    #[test]
    fn what_goes_back_is_asked_about() {
        let said = |status: &str, amount: i64| {
            let data = json!([{ "id": 77, "status": status, "amount": amount }]);
            let body = json!({ "status": true, "data": data });
            returned(&Said { status: reqwest::StatusCode::OK, body }, Cents::new(5000))
        };
        let provider_txn = "77".parse().unwrap();
        assert_eq!(said("processed", 5000), Returned::Ended(Done::Paid { provider_txn }));
        let failed = Done::Failed { code: "failed".to_owned() };
        assert_eq!(said("failed", 5000), Returned::Ended(failed));
        assert_eq!(said("needs-attention", 5000), Returned::Pending);
        // A part of it was given back by hand.
        assert_eq!(said("processed", 100), Returned::NotAsked);
        let event = event(&json!({ "event": "refund.processed", "data": {
            "transaction_reference": "0198b2f4c0de7000a000000000000001" } }));
        assert!(matches!(event.unwrap()[..], [Fact::LookBack { intent: Some(_), went: true, .. }]));
    }
}
