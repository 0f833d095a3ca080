//! Airtel's, Paystack's and Stripe's side: charges, questions, and one address for callbacks.

pub(super) mod http;
pub(super) mod refunds;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    Behaviour, Moved, Reply, Sim,
    courier::{Sign, Word},
};
use crate::payments::Provider;

/// Where everything is said, and what signs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    pub(super) provider: Provider,
    url: String,
    secret: String,
}

/// Somebody was asked for money.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    provider: Provider,
    /// What the provider calls it, and what we do.
    id: String,
    reference: String,
    payer: String,
    cents: i64,
    behaviour: Behaviour,
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum End {
    Paid(Moved),
    Failed,
}

/// What a payer is asked for.
struct Asked {
    provider: Provider,
    id: String,
    reference: String,
    payer: String,
    cents: i64,
}

impl Sim {
    /// None: it was asked for before.
    fn charge(&self, asked: Asked) -> Option<Behaviour> {
        let Asked { provider, id, reference, payer, cents } = asked;
        let behaviour = self.behaviour(payer.split('@').next().unwrap_or_default());
        let charge =
            Charge { provider, id: id.clone(), reference, payer, cents, behaviour, end: None };
        {
            let mut state = self.state();
            if state.charges.contains_key(&id) {
                return None;
            }
            state.charges.insert(id.clone(), charge);
        }
        let sim = self.clone();
        self.courier.send(async move {
            sim.courier.wait(Duration::from_secs(behaviour.takes())).await;
            sim.finish(&id);
        });
        Some(behaviour)
    }

    fn finish(&self, id: &str) {
        let Some(mut charge) = self.state().charges.get(id).cloned() else { return };
        // Money that comes late is no prompt's here.
        charge.end = Some(if charge.behaviour.code() == "0" {
            let place = charge.provider.as_str();
            End::Paid(self.take_in(place, &charge.payer, charge.cents, &charge.reference))
        } else {
            End::Failed
        });
        self.state().charges.insert(id.to_owned(), charge.clone());
        let hook = self.state().hooks.get(&charge.provider).cloned();
        if let Some(word) = hook.and_then(|hook| charge.word(&hook)) {
            self.tell_as(charge.behaviour, &word);
        }
    }

    fn charge_of(&self, id: &str) -> Option<Charge> {
        self.state().charges.get(id).cloned()
    }

    fn airtel_pay(&self, body: &Value) -> Reply {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let shillings = body.pointer("/transaction/amount").and_then(Value::as_i64);
        let (Some(id), Some(payer), Some(shillings)) =
            (text("/transaction/id"), text("/subscriber/msisdn"), shillings)
        else {
            return Reply::Json(400, airtel_status("DP00800001004", false));
        };
        let asked = Asked {
            provider: Provider::Airtel,
            id: id.to_owned(),
            reference: id.to_owned(),
            payer: format!("254{payer}"),
            cents: shillings * 100,
        };
        match self.charge(asked) {
            Some(Behaviour::AnswerLost) => Reply::Lost,
            Some(_) => {
                let mut said = airtel_status("DP00800001006", true);
                if let Some(said) = said.as_object_mut() {
                    let transaction = json!({ "transaction": { "id": id, "status": "Success." } });
                    said.insert("data".to_owned(), transaction);
                }
                Reply::ok(said)
            }
            None => {
                let mut said = airtel_status("", false);
                if let Some(status) = said.pointer_mut("/status/result_code") {
                    *status = "ESB000041".into();
                }
                Reply::ok(said)
            }
        }
    }

    fn airtel_query(&self, id: &str) -> Reply {
        let Some(charge) = self.charge_of(id) else {
            return Reply::ok(airtel_status("DP00800001025", false));
        };
        let (status, money_id) = match &charge.end {
            None => ("TIP", None),
            Some(End::Paid(moved)) => {
                let receipt = moved.receipt.clone();
                let back = self.state().books.find(&receipt).is_some_and(|moved| moved.reversed);
                (if back { "TR" } else { "TS" }, Some(receipt))
            }
            Some(End::Failed) => ("TF", None),
        };
        let mut said = airtel_status("DP00800001001", true);
        if let Some(said) = said.as_object_mut() {
            let transaction = json!({
                "airtel_money_id": money_id, "id": id, "message": "", "status": status,
            });
            said.insert("data".to_owned(), json!({ "transaction": transaction }));
        }
        Reply::ok(said)
    }

    fn paystack_charge(&self, body: &Value) -> Reply {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let cents = body.get("amount").and_then(Value::as_i64);
        let (Some(reference), Some(email), Some(cents)) =
            (text("/reference"), text("/email"), cents)
        else {
            return Reply::Json(400, json!({ "status": false, "message": "Invalid amount" }));
        };
        let phone = text("/mobile_money/phone").map(|phone| phone.trim_start_matches('+'));
        let asked = Asked {
            provider: Provider::Paystack,
            id: reference.to_owned(),
            reference: reference.to_owned(),
            payer: phone.unwrap_or(email).to_owned(),
            cents,
        };
        match self.charge(asked) {
            Some(Behaviour::AnswerLost) => Reply::Lost,
            Some(_) => Reply::ok(json!({ "status": true, "message": "Charge attempted", "data": {
                "reference": reference, "status": "pay_offline",
                "authorization_url": format!("https://checkout.example/{reference}"),
            } })),
            None => {
                let message = "Duplicate Transaction Reference";
                Reply::Json(400, json!({ "status": false, "message": message }))
            }
        }
    }

    fn paystack_verify(&self, reference: &str) -> Reply {
        match self.charge_of(reference) {
            Some(charge) => {
                let data = charge.paystack_data();
                Reply::ok(json!({ "status": true, "message": "Verified", "data": data }))
            }
            None => Reply::Json(400, json!({ "status": false, "message": "Not found" })),
        }
    }

    fn stripe_page(&self, form: &[(String, String)]) -> Reply {
        let field = |name: &str| {
            form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let amount = field("line_items[0][price_data][unit_amount]");
        let amount = amount.and_then(|text| text.parse().ok());
        let (Some(reference), Some(cents)) = (field("client_reference_id"), amount) else {
            let error = json!({ "error": { "type": "invalid_request_error" } });
            return Reply::Json(400, error);
        };
        let id = format!("cs_{reference}");
        let asked = Asked {
            provider: Provider::Stripe,
            id: id.clone(),
            reference,
            payer: field("customer_email").unwrap_or_default(),
            cents,
        };
        // The same key again is the same page.
        if self.charge(asked) == Some(Behaviour::AnswerLost) {
            return Reply::Lost;
        }
        match self.charge_of(&id) {
            Some(charge) => Reply::ok(charge.stripe_session()),
            None => Reply::Lost,
        }
    }

    fn stripe_query(&self, id: &str) -> Reply {
        match self.charge_of(id) {
            Some(charge) => Reply::ok(charge.stripe_session()),
            None => Reply::Json(404, json!({ "error": { "code": "resource_missing" } })),
        }
    }
}

impl Charge {
    /// What is said of its end.
    fn word(&self, hook: &Hook) -> Option<Word> {
        let (url, paid) = (hook.url.clone(), matches!(self.end, Some(End::Paid(_))));
        let secret = hook.secret.clone();
        match self.provider {
            Provider::Airtel => {
                let body = airtel_callback(self, &secret);
                Some(Word { url, body, sign: Sign::Nothing })
            }
            // A charge that was declined is not spoken of.
            Provider::Paystack if !paid => None,
            Provider::Paystack => {
                let body = json!({ "event": "charge.success", "data": self.paystack_data() });
                Some(Word { url, body, sign: Sign::Paystack(secret) })
            }
            Provider::Stripe => {
                let kind = if paid { "completed" } else { "expired" };
                let kind = format!("checkout.session.{kind}");
                let object = self.stripe_session();
                let body = json!({ "id": self.id, "type": kind, "data": { "object": object } });
                Some(Word { url, body, sign: Sign::Stripe(secret) })
            }
            Provider::Cash | Provider::Bank | Provider::Mpesa => None,
        }
    }

    fn paystack_data(&self) -> Value {
        let (status, id, paid_at) = match &self.end {
            None => ("ongoing", None, None),
            Some(End::Paid(moved)) => ("success", Some(&moved.receipt), Some(moved.at)),
            Some(End::Failed) => ("failed", None, None),
        };
        json!({
            "id": id, "status": status, "reference": self.reference, "amount": self.cents,
            "currency": "KES", "channel": "mobile_money", "paid_at": paid_at,
            "gateway_response": "Declined", "metadata": {},
        })
    }

    fn stripe_session(&self) -> Value {
        let (status, payment_status, payment) = match &self.end {
            None => ("open", "unpaid", None),
            Some(End::Paid(moved)) => ("complete", "paid", Some(format!("pi_{}", moved.receipt))),
            Some(End::Failed) => ("expired", "unpaid", None),
        };
        json!({
            "id": self.id, "object": "checkout.session", "status": status,
            "payment_status": payment_status, "payment_intent": payment,
            "amount_total": self.cents, "currency": "kes",
            "client_reference_id": self.reference,
            "url": format!("https://checkout.example/{}", self.id),
        })
    }
}

fn airtel_callback(charge: &Charge, secret: &str) -> Value {
    let (status, money_id) = match &charge.end {
        Some(End::Paid(moved)) => ("TS", Some(&moved.receipt)),
        Some(End::Failed) | None => ("TF", None),
    };
    let transaction = json!({
        "id": charge.id, "message": "", "status_code": status, "airtel_money_id": money_id,
    });
    let plain = json!({ "transaction": transaction }).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("HMAC takes keys of every length");
    mac.update(plain.as_bytes());
    json!({ "transaction": transaction, "hash": STANDARD.encode(mac.finalize().into_bytes()) })
}

fn airtel_status(code: &str, success: bool) -> Value {
    json!({ "status": {
        "response_code": code, "code": "200", "success": success, "result_code": "ESB000010",
        "message": "",
    } })
}
