//! What rehearsals ask of the simulator itself, beside the providers' own addresses.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Behaviour, Moved, Sim, daraja::Paid, elsewhere::Hook};

/// What a phone does next, one after the other, instead of what its number says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    msisdn: String,
    behaviours: VecDeque<Behaviour>,
}

/// Somebody pays to a paybill on their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pay {
    shortcode: String,
    msisdn: String,
    cents: i64,
    reference: String,
    behaviour: Option<Behaviour>,
}

/// Somebody pretends to be the provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forge {
    url: String,
    body: Value,
    /// One of this machine's own addresses, like 127.0.0.2.
    from: IpAddr,
}

impl Sim {
    pub(super) fn script(&self, script: Script) {
        self.state().scripts.insert(script.msisdn, script.behaviours);
    }

    pub(super) fn hook(&self, hook: Hook) {
        self.state().hooks.insert(hook.provider, hook);
    }

    pub(super) async fn pay_in(&self, pay: &Pay) -> Option<Moved> {
        let behaviour = match pay.behaviour {
            Some(behaviour) => behaviour,
            None => self.behaviour(&pay.msisdn),
        };
        let paid = Paid {
            shortcode: &pay.shortcode,
            msisdn: &pay.msisdn,
            cents: pay.cents,
            reference: &pay.reference,
            behaviour,
        };
        self.pay(paid).await
    }

    pub(super) async fn forge(&self, forge: &Forge) -> Value {
        let answer = self.courier.post_from(forge.from, &forge.url, &forge.body).await;
        json!({ "answer": answer })
    }

    /// Nobody answers and nothing is said; money moves all the same.
    pub(super) fn go_out(&self, seconds: u64) {
        let span = self.pace.wait(Duration::from_secs(seconds));
        self.state().out_until = Some(Instant::now() + span);
    }

    /// What only the provider knows of a prompt.
    pub(super) fn prompt_of(&self, checkout: &str) -> Value {
        let state = self.state();
        let prompt = state.prompts.get(checkout);
        json!({ "callback": prompt.map(|prompt| &prompt.callback) })
    }

    pub(super) fn books(&self, all: bool) -> Value {
        let state = self.state();
        let balance = state.books.balance();
        let rows = all.then(|| state.books.taken_in());
        json!({ "balance": balance, "taken_in": rows, "under_way": self.courier.under_way() })
    }
}
