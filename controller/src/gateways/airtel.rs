//! Airtel Money in Kenya: prompts under our own id, and questions by it.
//!
//! A callback names no amount, so it is only a reason to ask. Errors of the kind `ESB…` contradict
//! each other and decide nothing.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::{id::IntentId, secret::Secret};
use uuid::Uuid;

use super::{
    About, Answer, Ask, Can, Channel, Done, Fact, Gateway, GiveBack, Letter, Reply, Returned,
    Secrets, Submit, Unreadable,
    said::{receipt, text_at},
    signature,
    wire::{Said, Wire},
};
use crate::words::Receipt;

#[derive(Debug)]
pub(super) struct Airtel {
    wire: Wire,
    secrets: Secrets,
}

impl Airtel {
    pub(super) const fn new(wire: Wire, secrets: Secrets) -> Self {
        Self { wire, secrets }
    }

    async fn token(&self) -> Option<Secret> {
        self.wire
            .token(|| async {
                let Secrets { key, secret, .. } = &self.secrets;
                let body = json!({
                    "client_id": key, "client_secret": secret, "grant_type": "client_credentials",
                });
                let request = self.wire.request(Method::POST, "/auth/oauth2/token").json(&body);
                let said = self.wire.send(request).await?;
                let token = said.body.get("access_token")?.as_str()?.to_owned();
                let seconds = text_at(&said.body, "/expires_in")?.parse().ok()?;
                Some((Secret::new(token), Duration::from_secs(seconds)))
            })
            .await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Said> {
        let token = self.token().await?;
        let request = self.wire.request(method, path).bearer_auth(token.expose());
        let request = request.header("x-country", "KE").header("x-currency", "KES");
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let said = self.wire.send(request).await?;
        if said.status == reqwest::StatusCode::UNAUTHORIZED {
            self.wire.forget(&token).await;
        }
        Some(said)
    }

    async fn prompt(&self, ask: Ask<'_>) -> Submit {
        let Some(msisdn) = ask.msisdn else {
            return Submit::Refused { code: "no-msisdn".to_owned(), again: false };
        };
        let local = msisdn.as_str().strip_prefix("254").unwrap_or(msisdn.as_str());
        let id = ask.intent.as_uuid().simple().to_string();
        let body = json!({
            "reference": ask.reference,
            "subscriber": { "country": "KE", "currency": "KES", "msisdn": local },
            "transaction": { "amount": ask.amount.get() / 100, "country": "KE",
                             "currency": "KES", "id": id },
        });
        match self.ask(Method::POST, "/merchant/v1/payments/", Some(&body)).await {
            Some(said) => submitted(&said, id),
            None => Submit::NoAnswer,
        }
    }

    async fn status_of(&self, intent: IntentId) -> Option<Said> {
        let path = format!("/standard/v1/payments/{}", intent.as_uuid().simple());
        self.ask(Method::GET, &path, None).await
    }

    async fn came_of(&self, about: About<'_>) -> Answer {
        match self.status_of(about.intent).await {
            Some(said) => answered(&said, about),
            None => Answer::NoAnswer,
        }
    }

    /// It has no id of its own, and nothing is given back twice of one transaction.
    async fn reverse(&self, what: GiveBack<'_>) -> Submit {
        let body = json!({ "transaction": { "airtel_money_id": what.receipt } });
        match self.ask(Method::POST, "/standard/v2/payments/refund", Some(&body)).await {
            Some(said) => reversed(&said),
            None => Submit::NoAnswer,
        }
    }

    /// What was paid is asked about by our own id; who paid on their own is no intent's.
    async fn came_back(&self, what: GiveBack<'_>) -> Returned {
        let Some(intent) = what.intent else { return Returned::NoAnswer };
        match self.status_of(intent).await {
            Some(said) => returned(&said, what.receipt),
            None => Returned::NoAnswer,
        }
    }
}

impl Gateway for Airtel {
    fn can(&self) -> Can {
        Can {
            push: true,
            query_by_our_id: true,
            give_back: true,
            query_give_back: true,
            ..Can::default()
        }
    }

    fn push<'a>(&'a self, ask: Ask<'a>, _now: Timestamp) -> Reply<'a, Submit> {
        Box::pin(self.prompt(ask))
    }

    fn query<'a>(&'a self, about: About<'a>, _now: Timestamp) -> Reply<'a, Answer> {
        Box::pin(self.came_of(about))
    }

    fn give_back<'a>(&'a self, what: GiveBack<'a>) -> Reply<'a, Submit> {
        Box::pin(self.reverse(what))
    }

    fn given_back<'a>(&'a self, what: GiveBack<'a>) -> Reply<'a, Returned> {
        Box::pin(self.came_back(what))
    }

    fn read(&self, letter: &Letter<'_>) -> Result<Vec<Fact>, Unreadable> {
        if letter.channel != Channel::Hook {
            return Err(Unreadable::Channel);
        }
        let body: Value = serde_json::from_slice(letter.raw)?;
        if let Some(key) = &self.secrets.webhook {
            signed(letter.raw, &body, key)?;
        }
        let id = text_at(&body, "/transaction/id").ok_or(Unreadable::Field("transaction.id"))?;
        let id = Uuid::try_parse(&id).map_err(|_| Unreadable::Field("transaction.id"))?;
        Ok(vec![Fact::Look { intent: Some(IntentId::from_uuid(id)), provider_ref: None }])
    }
}

fn reversed(said: &Said) -> Submit {
    let id = text_at(&said.body, "/data/transaction/airtel_money_id");
    let success = said.body.pointer("/status/success").and_then(Value::as_bool);
    match (success, id) {
        (Some(true), Some(provider_ref)) => Submit::Accepted { provider_ref, pay_url: None },
        (_, _) => match submitted(said, String::new()) {
            refused @ Submit::Refused { .. } => refused,
            Submit::Accepted { .. } | Submit::NoAnswer => Submit::NoAnswer,
        },
    }
}

fn returned(said: &Said, paid: &Receipt) -> Returned {
    match text_at(&said.body, "/data/transaction/status").as_deref() {
        Some("TR") => {
            let id = receipt(text_at(&said.body, "/data/transaction/airtel_money_id"), "");
            // Some of its answers name only what was reversed.
            let provider_txn = id.unwrap_or_else(|_| paid.clone());
            Returned::Ended(Done::Paid { provider_txn })
        }
        Some("TS" | "TIP" | "TA") => Returned::Pending,
        Some(_) | None => Returned::NoAnswer,
    }
}

/// The hash is over the body without it, as it was written.
fn signed(raw: &[u8], body: &Value, key: &Secret) -> Result<(), Unreadable> {
    let hash = body.get("hash").and_then(Value::as_str).ok_or(Unreadable::Unsigned)?;
    let raw = str::from_utf8(raw).map_err(|_| Unreadable::Forged)?;
    let quoted = Value::from(hash).to_string();
    let mut without = raw.to_owned();
    for part in [format!(",\"hash\":{quoted}"), format!("\"hash\":{quoted},")] {
        without = without.replace(&part, "");
    }
    let mac = STANDARD.decode(hash).map_err(|_| Unreadable::Forged)?;
    signature::sha256(key.expose(), &[without.as_bytes()], &mac)
}

fn submitted(said: &Said, id: String) -> Submit {
    let code = text_at(&said.body, "/status/response_code").unwrap_or_default();
    match code.as_str() {
        // Under way, or done already.
        "DP00800001006" | "DP00800001001" => Submit::Accepted { provider_ref: id, pay_url: None },
        // Limits, amounts, refusals, nobody of this number, a wrong signature.
        "DP00800001003" | "DP00800001004" | "DP00800001008" | "DP00800001009" | "DP00800001010"
        | "DP00800001025" | "DP00800001026" => Submit::Refused { code, again: false },
        _ => Submit::NoAnswer,
    }
}

fn answered(said: &Said, about: About<'_>) -> Answer {
    let status = text_at(&said.body, "/data/transaction/status").unwrap_or_default();
    match status.as_str() {
        "TS" => {
            let money_id = text_at(&said.body, "/data/transaction/airtel_money_id");
            match receipt(money_id, "airtel_money_id") {
                // Nobody can pay another amount than the prompt says.
                Ok(receipt) => Answer::Paid { receipt: Some(receipt), amount: Some(about.amount) },
                Err(_) => Answer::NoAnswer,
            }
        }
        // For some minutes a failure may still become a success.
        "TF" if about.is_old => {
            let code = text_at(&said.body, "/status/response_code");
            Answer::Failed { code: code.unwrap_or(status) }
        }
        "TF" | "TIP" | "TA" => Answer::Pending,
        _ => Answer::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::billing::Cents;

    #[test]
    fn a_failure_is_believed_after_a_while() {
        let said = |status: &str| Said {
            status: StatusCode::OK,
            body: json!({ "data": { "transaction": { "status": status,
                          "airtel_money_id": "MP210603.1234.L06941" } } }),
        };
        let intent = IntentId::from_uuid(Uuid::from_u128(1));
        let of = |status, is_old| {
            let amount = Cents::new(5000);
            answered(&said(status), About { intent, provider_ref: None, amount, is_old })
        };
        let receipt = Some("MP210603.1234.L06941".parse().unwrap());
        assert_eq!(of("TS", false), Answer::Paid { receipt, amount: Some(Cents::new(5000)) });
        assert_eq!(of("TF", false), Answer::Pending);
        assert_eq!(of("TF", true), Answer::Failed { code: "TF".to_owned() });
        assert_eq!(of("TA", true), Answer::Pending);
        assert_eq!(of("?", true), Answer::NoAnswer);
    }

    #[test]
    fn what_was_reversed_has_gone_back() {
        let paid: Receipt = "MP210603.1234.L06941".parse().unwrap();
        let said = |status: &str| {
            let body = json!({ "data": { "transaction": { "status": status } } });
            returned(&Said { status: StatusCode::OK, body }, &paid)
        };
        let provider_txn = paid.clone();
        assert_eq!(said("TR"), Returned::Ended(Done::Paid { provider_txn }));
        assert_eq!(said("TS"), Returned::Pending);
        assert_eq!(said("?"), Returned::NoAnswer);
        let refused = json!({ "status": { "success": false, "response_code": "DP00800001008" } });
        let refused = Said { status: StatusCode::OK, body: refused };
        assert!(matches!(reversed(&refused), Submit::Refused { again: false, .. }));
    }

    #[test]
    fn the_hash_is_over_the_body_without_it() {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let plain = r#"{"transaction":{"id":"1","status_code":"TS"}}"#;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
        mac.update(plain.as_bytes());
        let hash = STANDARD.encode(mac.finalize().into_bytes());
        let raw = plain.replace("}}", &format!("}},\"hash\":\"{hash}\"}}"));
        let body: Value = serde_json::from_str(&raw).unwrap();
        let key = |key: &str| Secret::new(key.to_owned());
        assert!(signed(raw.as_bytes(), &body, &key("key")).is_ok());
        assert!(signed(raw.as_bytes(), &body, &key("other")).is_err());
        let other = raw.replace("TS", "TF");
        assert!(signed(other.as_bytes(), &body, &key("key")).is_err());
        assert!(matches!(
            signed(plain.as_bytes(), &serde_json::from_str(plain).unwrap(), &key("key")),
            Err(Unreadable::Unsigned)
        ));
    }
}
