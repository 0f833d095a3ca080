//! `kennet-paysim`: a payment provider that is not there. It speaks the providers' JSON, keeps
//! books of its own, and misbehaves when it is told to; the same seed does the same.
//!
//! For tests, demonstrations and rehearsals: no money moves, and nobody is asked for a PIN. The
//! last three digits of a phone number say what its owner does ([`Behaviour`]). Start at
//! [`Sim::serve`](http).

mod behaviours;
mod books;
mod chance;
mod courier;
mod daraja;
mod desk;
mod elsewhere;
pub mod http;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use shared::daemon::Life;
use tokio::time::Instant;

pub use self::{
    behaviours::Behaviour,
    books::{Balance, Moved, Sum},
};
use self::{
    books::Books,
    courier::{Courier, Word},
};
use crate::{clock, gateways::Pace, payments::Provider};

/// Everything there is of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sim {
    seed: u64,
    pace: Pace,
    life: Life,
    courier: Courier,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    books: Books,
    /// Those that are good.
    tokens: HashSet<String>,
    /// Where a paybill's owner is called, by its number.
    paybills: HashMap<String, Paybill>,
    /// By what they are called in answers.
    prompts: HashMap<String, daraja::Prompt>,
    /// At Airtel, Paystack and Stripe, by what they are called in answers.
    charges: HashMap<String, elsewhere::Charge>,
    /// What goes back at these three, by the receipt of the payment.
    returns: HashMap<String, elsewhere::refunds::Return>,
    /// Where these three say everything, by provider.
    hooks: HashMap<Provider, elsewhere::Hook>,
    /// What was done once, and how often.
    times: HashMap<(String, &'static str), u32>,
    /// What was chosen for a prompt, by its reference: sent again, it is the same payer.
    chosen: HashMap<String, Behaviour>,
    /// What phones do next, instead of what their number says.
    scripts: HashMap<String, VecDeque<Behaviour>>,
    counter: u64,
    out_until: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Paybill {
    confirmation: String,
    validation: String,
}

/// What is answered.
#[derive(Clone, Debug)]
enum Reply {
    Json(u16, Value),
    /// A page of a gateway on the way, which has lost the answer.
    Lost,
}

impl Sim {
    pub fn new(seed: u64, pace: Pace, life: &Life) -> Self {
        let courier = Courier::new(life, pace);
        Self { seed, pace, life: life.clone(), courier, state: Arc::default() }
    }

    /// Changes of it are whole, so a panic in between leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_out(&self) -> bool {
        self.state().out_until.is_some_and(|until| Instant::now() < until)
    }

    /// What the owner of this phone does now.
    fn behaviour(&self, msisdn: &str) -> Behaviour {
        let next = self.state().scripts.get_mut(msisdn).and_then(VecDeque::pop_front);
        next.unwrap_or_else(|| Behaviour::of(msisdn))
    }

    /// How often this was done before.
    fn times(&self, name: &str, what: &'static str) -> u32 {
        let mut state = self.state();
        let times = state.times.entry((name.to_owned(), what)).or_default();
        *times += 1;
        *times - 1
    }

    fn next_number(&self) -> u64 {
        let mut state = self.state();
        state.counter += 1;
        state.counter
    }

    /// Money has moved: it is in the books before anybody is told.
    fn take_in(&self, shortcode: &str, msisdn: &str, cents: i64, reference: &str) -> Moved {
        let receipt = chance::receipt(self.seed, self.next_number());
        let moved = Moved {
            receipt,
            shortcode: shortcode.to_owned(),
            msisdn: msisdn.to_owned(),
            cents,
            reference: reference.to_owned(),
            at: clock::now(),
            reversed: false,
        };
        self.state().books.take_in(moved.clone());
        moved
    }

    /// Says something to somebody, after `seconds` of the provider's clock.
    fn tell(&self, word: Word, seconds: u64) {
        let sim = self.clone();
        self.courier.send(async move {
            sim.courier.wait(Duration::from_secs(seconds)).await;
            // What an outage swallows is not said later.
            if !sim.is_out() {
                sim.courier.say(&word).await;
            }
        });
    }

    /// As its behaviour is: once, never, often, or late.
    fn tell_as(&self, behaviour: Behaviour, word: &Word) {
        match behaviour {
            Behaviour::CallbackLost => {}
            Behaviour::FiveTimes => {
                for seconds in [0, 0, 1, 5, 30] {
                    self.tell(word.clone(), seconds);
                }
            }
            Behaviour::TenMinutesLate => self.tell(word.clone(), 600),
            Behaviour::Success
            | Behaviour::Cancelled
            | Behaviour::NobodyThere
            | Behaviour::NoMoney
            | Behaviour::WrongPin
            | Behaviour::AnswerLost
            | Behaviour::CallbackFirst
            | Behaviour::TokenRevoked
            | Behaviour::SpikeArrest
            | Behaviour::ConfirmationFirst
            | Behaviour::OtherAmount
            | Behaviour::LateMoney
            | Behaviour::QueryFlaps
            | Behaviour::BusyTwice
            | Behaviour::SlowValidation
            | Behaviour::Masked
            | Behaviour::UnknownCode => self.tell(word.clone(), 0),
        }
    }
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }

    /// As all of Daraja's errors look.
    fn error(status: u16, code: &str, text: &str) -> Self {
        let body = json!({ "requestId": "1-1-1", "errorCode": code, "errorMessage": text });
        Self::Json(status, body)
    }
}
