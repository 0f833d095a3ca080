//! Money that goes back at Airtel, Paystack and Stripe: once of each payment, and all of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::{
        Behaviour, Reply, Sim, chance,
        courier::{Sign, Word},
    },
    Hook, airtel_status,
};
use crate::payments::Provider;

/// A payment that goes back.
#[derive(Clone, Debug)]
pub(in super::super) struct Return {
    provider: Provider,
    id: String,
    /// What Stripe was told, so that it knows the same request again.
    key: String,
    receipt: String,
    /// What the payment was asked by.
    reference: String,
    cents: i64,
    behaviour: Behaviour,
    /// Did it go? None: it is under way.
    end: Option<bool>,
}

impl Sim {
    /// None: there is no such payment of so much, or it goes back already.
    fn give_back(
        &self,
        provider: Provider,
        receipt: &str,
        cents: Option<i64>,
        key: &str,
    ) -> Option<Return> {
        let moved = self.state().books.find(receipt)?.clone();
        let fits = moved.shortcode == provider.as_str() && cents.is_none_or(|c| c == moved.cents);
        let before = self.state().returns.get(receipt).cloned();
        let open = before.is_some_and(|before| before.end != Some(false));
        if !fits || moved.reversed || open {
            return None;
        }
        let payer = moved.msisdn.split('@').next().unwrap_or_default();
        let number = self.next_number();
        let back = Return {
            provider,
            id: chance::receipt(self.seed, number),
            key: key.to_owned(),
            receipt: receipt.to_owned(),
            reference: moved.reference.clone(),
            cents: moved.cents,
            behaviour: self.behaviour(payer),
            end: None,
        };
        self.state().returns.insert(receipt.to_owned(), back.clone());
        let (sim, receipt) = (self.clone(), receipt.to_owned());
        self.courier.send(async move {
            sim.courier.wait(Duration::from_secs(back.behaviour.takes())).await;
            sim.end_return(&receipt);
        });
        self.return_of(&moved.receipt)
    }

    fn end_return(&self, receipt: &str) {
        let Some(mut back) = self.return_of(receipt) else { return };
        let goes = back.behaviour != Behaviour::NoMoney;
        back.end = Some(goes);
        {
            let mut state = self.state();
            if let Some(moved) = state.books.find_mut(receipt) {
                moved.reversed = goes;
            }
            state.returns.insert(receipt.to_owned(), back.clone());
        }
        let hook = self.state().hooks.get(&back.provider).cloned();
        if let Some(word) = hook.and_then(|hook| back.word(&hook)) {
            self.tell_as(back.behaviour, &word);
        }
    }

    fn return_of(&self, receipt: &str) -> Option<Return> {
        self.state().returns.get(receipt).cloned()
    }

    pub(super) fn airtel_refund(&self, body: &Value) -> Reply {
        let id = body.pointer("/transaction/airtel_money_id").and_then(Value::as_str);
        let back = id.and_then(|id| self.give_back(Provider::Airtel, id, None, ""));
        match back {
            Some(back) if back.behaviour == Behaviour::NoMoney => {
                Reply::ok(airtel_status("DP00800001008", false))
            }
            Some(back) if back.behaviour == Behaviour::AnswerLost => Reply::Lost,
            Some(back) => {
                let mut said = airtel_status("DP00800001001", true);
                if let Some(said) = said.as_object_mut() {
                    let transaction = json!({ "airtel_money_id": back.id, "status": "SUCCESS" });
                    said.insert("data".to_owned(), json!({ "transaction": transaction }));
                }
                Reply::ok(said)
            }
            None => Reply::ok(airtel_status("DP00800001000", false)),
        }
    }

    pub(super) fn paystack_refund(&self, body: &Value) -> Reply {
        let text = body.get("transaction").and_then(Value::as_str).unwrap_or_default();
        let cents = body.get("amount").and_then(Value::as_i64);
        match self.give_back(Provider::Paystack, text, cents, "") {
            Some(back) if back.behaviour == Behaviour::AnswerLost => Reply::Lost,
            Some(back) => {
                let message = "Refund has been queued for processing";
                let data = back.paystack_data();
                Reply::ok(json!({ "status": true, "message": message, "data": data }))
            }
            None => {
                let message = "Transaction has been fully reversed";
                Reply::Json(400, json!({ "status": false, "message": message }))
            }
        }
    }

    pub(super) fn paystack_refunds(&self, receipt: &str) -> Reply {
        let list: Vec<_> = self.return_of(receipt).iter().map(Return::paystack_data).collect();
        Reply::ok(json!({ "status": true, "message": "Refunds retrieved", "data": list }))
    }

    pub(super) fn stripe_refund(&self, form: &[(String, String)], key: &str) -> Reply {
        let field = |name: &str| {
            form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let receipt = field("payment_intent").and_then(|text| text.strip_prefix("pi_"));
        let cents = field("amount").and_then(|text| text.parse().ok());
        let receipt = receipt.unwrap_or_default();
        let back = match self.return_of(receipt).filter(|back| back.key == key) {
            Some(before) => Some(before),
            None => self.give_back(Provider::Stripe, receipt, cents, key),
        };
        match back {
            Some(back) if back.behaviour == Behaviour::AnswerLost => Reply::Lost,
            Some(back) => Reply::ok(back.stripe_refund()),
            None => {
                let code = "charge_already_refunded";
                let error = json!({ "type": "invalid_request_error", "code": code });
                Reply::Json(400, json!({ "error": error }))
            }
        }
    }

    pub(super) fn stripe_refunds(&self, payment_intent: &str) -> Reply {
        let receipt = payment_intent.strip_prefix("pi_").unwrap_or_default();
        let list: Vec<_> = self.return_of(receipt).iter().map(Return::stripe_refund).collect();
        Reply::ok(json!({ "object": "list", "data": list, "has_more": false }))
    }
}

impl Return {
    /// What is said of its end. Airtel says nothing of it.
    fn word(&self, hook: &Hook) -> Option<Word> {
        let (url, secret) = (hook.url.clone(), hook.secret.clone());
        match self.provider {
            Provider::Paystack => {
                let event = if self.end == Some(true) { "processed" } else { "failed" };
                let data = json!({
                    "status": event, "transaction_reference": self.reference,
                    "refund_reference": self.id, "amount": self.cents, "currency": "KES",
                });
                let body = json!({ "event": format!("refund.{event}"), "data": data });
                Some(Word { url, body, sign: Sign::Paystack(secret) })
            }
            Provider::Stripe => {
                let body = json!({ "id": format!("evt_{}", self.id), "type": "refund.updated",
                                   "data": { "object": self.stripe_refund() } });
                Some(Word { url, body, sign: Sign::Stripe(secret) })
            }
            Provider::Airtel | Provider::Cash | Provider::Bank | Provider::Mpesa => None,
        }
    }

    fn paystack_data(&self) -> Value {
        let status = match self.end {
            None => "pending",
            Some(true) => "processed",
            Some(false) => "failed",
        };
        json!({ "id": self.id, "status": status, "transaction": self.receipt,
                "amount": self.cents, "currency": "KES" })
    }

    fn stripe_refund(&self) -> Value {
        let status = match self.end {
            None => "pending",
            Some(true) => "succeeded",
            Some(false) => "failed",
        };
        json!({ "id": format!("re_{}", self.id), "object": "refund", "status": status,
                "payment_intent": format!("pi_{}", self.receipt), "amount": self.cents,
                "currency": "kes" })
    }
}
