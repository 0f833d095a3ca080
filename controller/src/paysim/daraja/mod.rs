//! M-Pesa's side: tokens, prompts, questions, the paybill, its list, payouts and reversals.

pub(super) mod http;
mod messages;
mod payouts;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Behaviour, Moved, Paybill, Reply, Sim, chance, courier::Word};
use crate::gateways::daraja::clock;

/// A prompt on a phone.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub(super) merchant_request: String,
    pub(super) checkout: String,
    shortcode: String,
    msisdn: String,
    cents: i64,
    reference: String,
    pub(in super::super) callback: String,
    behaviour: Behaviour,
    /// What came of it; none: the payer looks at it.
    code: Option<&'static str>,
    asked: u64,
}

/// Somebody pays to a paybill.
#[derive(Clone, Debug)]
pub(super) struct Paid<'a> {
    pub(super) shortcode: &'a str,
    pub(super) msisdn: &'a str,
    pub(super) cents: i64,
    pub(super) reference: &'a str,
    pub(super) behaviour: Behaviour,
}

impl Sim {
    fn token(&self, basic: bool) -> Reply {
        if !basic {
            return Reply::error(400, "400.008.01", "Invalid Authentication passed");
        }
        let token = format!("sim{:016x}", chance::throw(self.seed, "token", self.next_number()));
        self.state().tokens.insert(token.clone());
        Reply::ok(json!({ "access_token": token, "expires_in": "3599" }))
    }

    /// None: go on.
    fn refuse(&self, bearer: Option<&str>) -> Option<Reply> {
        if self.is_out() {
            return Some(Reply::Lost);
        }
        let good = bearer.is_some_and(|token| self.state().tokens.contains(token));
        (!good).then(|| Reply::error(404, "404.001.03", "Invalid Access Token"))
    }

    async fn prompt(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let mut prompt = match read(body) {
            Ok(prompt) => prompt,
            Err(field) => {
                let text = format!("Bad Request - Invalid {field}");
                return Reply::error(400, "400.002.02", &text);
            }
        };
        // The same intent again is the same payer.
        let times = self.times(&prompt.reference, "prompt");
        let chosen = self.state().chosen.get(&prompt.reference).copied();
        prompt.behaviour = chosen.unwrap_or_else(|| self.behaviour(&prompt.msisdn));
        self.state().chosen.insert(prompt.reference.clone(), prompt.behaviour);
        if prompt.behaviour == Behaviour::TokenRevoked && times == 0 {
            if let Some(token) = bearer {
                self.state().tokens.remove(token);
            }
            return Reply::error(404, "404.001.03", "Invalid Access Token");
        }
        if prompt.behaviour == Behaviour::SpikeArrest && times == 0 {
            return Reply::error(500, "500.003.02", "Error Occurred - Spike Arrest Violation");
        }
        if prompt.behaviour == Behaviour::BusyTwice && times < 2 {
            let text = "Unable to lock subscriber, a transaction is already in process for the \
                        current subscriber";
            return Reply::error(500, "500.001.1001", text);
        }
        let number = self.next_number();
        prompt.merchant_request = format!("{:08x}-{number}", self.seed);
        prompt.checkout = format!("ws_CO_{}{number:09}", clock::pack(crate::clock::now()));
        let answer = json!({
            "MerchantRequestID": prompt.merchant_request, "CheckoutRequestID": prompt.checkout,
            "ResponseCode": "0", "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        });
        let (checkout, behaviour) = (prompt.checkout.clone(), prompt.behaviour);
        self.state().prompts.insert(checkout.clone(), prompt);
        if behaviour == Behaviour::CallbackFirst {
            if let Some(word) = self.end(&checkout) {
                self.courier.say(&word).await;
            }
        } else {
            let sim = self.clone();
            self.courier.send(async move {
                sim.courier.wait(Duration::from_secs(behaviour.takes())).await;
                if let Some(word) = sim.end(&checkout) {
                    sim.tell_as(behaviour, &word);
                }
            });
        }
        if behaviour == Behaviour::AnswerLost { Reply::Lost } else { Reply::ok(answer) }
    }

    /// The payer has done what payers do. Where to say what.
    fn end(&self, checkout: &str) -> Option<Word> {
        let mut prompt = self.state().prompts.get(checkout).cloned()?;
        let code = prompt.behaviour.code();
        let maybe = chance::throw(self.seed, &prompt.reference, 1).is_multiple_of(2);
        let pays = code == "0" || (prompt.behaviour == Behaviour::UnknownCode && maybe);
        let Prompt { shortcode, msisdn, cents, reference, .. } = &prompt;
        let moved = pays.then(|| self.take_in(shortcode, msisdn, *cents, reference));
        prompt.code = Some(code);
        self.state().prompts.insert(checkout.to_owned(), prompt.clone());
        if prompt.behaviour == Behaviour::LateMoney {
            let (sim, prompt) = (self.clone(), prompt.clone());
            self.courier.send(async move {
                sim.courier.wait(Duration::from_secs(90)).await;
                let Prompt { shortcode, msisdn, cents, reference, .. } = &prompt;
                let moved = sim.take_in(shortcode, msisdn, *cents, reference);
                sim.confirm(&moved, Behaviour::Success);
            });
        }
        let said = match &moved {
            Some(moved) if code == "0" => messages::paid(&prompt, moved),
            Some(_) | None => messages::not_paid(&prompt, code),
        };
        if let (Some(moved), Behaviour::ConfirmationFirst) = (&moved, prompt.behaviour) {
            self.confirm(moved, Behaviour::Success);
            self.tell(Word::unsigned(&prompt.callback, said), 2);
            return None;
        }
        Some(Word::unsigned(&prompt.callback, said))
    }

    fn query(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let checkout = body.get("CheckoutRequestID").and_then(Value::as_str).unwrap_or_default();
        let mut state = self.state();
        let Some(prompt) = state.prompts.get_mut(checkout) else {
            return Reply::error(500, "500.001.1001", "The transaction does not Exist");
        };
        prompt.asked += 1;
        let asked = prompt.asked;
        // Four of nineteen were seen to.
        let chance = chance::throw(self.seed, checkout, asked) % 19 < 4;
        let flaps = if prompt.behaviour == Behaviour::QueryFlaps { asked <= 2 } else { chance };
        match prompt.code {
            Some(code) if !flaps => Reply::ok(messages::answered(prompt, code)),
            _ if asked % 2 == 1 => {
                Reply::error(500, "500.001.1001", "The transaction is being processed")
            }
            _ => Reply::ok(messages::answered(prompt, "4999")),
        }
    }

    fn register(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (confirmation, validation) = (text("ConfirmationURL"), text("ValidationURL"));
        for url in [confirmation, validation] {
            if !may_be_called(url) {
                return Reply::error(400, "400.002.02", "Bad Request - Invalid URL");
            }
        }
        let paybill =
            Paybill { confirmation: confirmation.to_owned(), validation: validation.to_owned() };
        self.state().paybills.insert(text("ShortCode").to_owned(), paybill);
        Reply::ok(json!({
            "OriginatorCoversationID": format!("{:x}", self.next_number()), "ResponseCode": "0",
            "ResponseDescription": "Success",
        }))
    }

    /// Somebody pays to a paybill. None: it was refused by its owner.
    pub(super) async fn pay(&self, paid: Paid<'_>) -> Option<Moved> {
        let Paid { shortcode, msisdn, cents, reference, behaviour } = paid;
        let paybill = self.state().paybills.get(shortcode).cloned().unwrap_or_default();
        if !paybill.validation.is_empty() {
            let ask = messages::validation(&paid);
            let said = self.courier.post(&paybill.validation, &ask).await;
            // Who takes longer than eight seconds is not heard.
            let heard = said.filter(|_| behaviour != Behaviour::SlowValidation);
            let code = heard.and_then(|said| Some(said.get("ResultCode")?.as_str()?.to_owned()));
            if code.is_some_and(|code| code != "0") {
                return None;
            }
        }
        let moved = self.take_in(shortcode, msisdn, cents, reference);
        self.confirm(&moved, behaviour);
        Some(moved)
    }

    fn confirm(&self, moved: &Moved, behaviour: Behaviour) {
        let paybill = self.state().paybills.get(&moved.shortcode).cloned().unwrap_or_default();
        if paybill.confirmation.is_empty() {
            return;
        }
        let said = messages::confirmation(moved, behaviour, self.seed);
        self.tell_as(behaviour, &Word::unsigned(&paybill.confirmation, said));
    }

    fn pull(&self, bearer: Option<&str>, body: &Value) -> Reply {
        if let Some(refused) = self.refuse(bearer) {
            return refused;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let (from, until) = (clock::written(text("StartDate")), clock::written(text("EndDate")));
        let (Some(from), Some(until)) = (from, until) else {
            return Reply::error(400, "400.002.02", "Bad Request - Invalid StartDate");
        };
        let offset = text("OffSetValue").parse::<usize>().unwrap_or(0);
        let shortcode = text("ShortCode");
        let second = |at: Timestamp| at.as_second();
        let state = self.state();
        let within = |moved: &&Moved| {
            moved.shortcode == shortcode
                && (second(from)..=second(until)).contains(&second(moved.at))
        };
        let rows = state.books.taken_in().iter().filter(within).skip(offset).take(PAGE);
        let rows: Vec<_> = rows.map(messages::row).collect();
        let code = if rows.is_empty() { "1001" } else { "1000" };
        Reply::ok(json!({
            "ResponseRefID": "1", "ResponseCode": code, "ResponseMessage": "Success",
            "Response": [rows],
        }))
    }
}

/// What is asked of a payer; or the field that is wrong.
fn read(body: &Value) -> Result<Prompt, &'static str> {
    let text = |name: &'static str| {
        let value = body.get(name)?;
        value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()))
    };
    let shortcode = text("BusinessShortCode").ok_or("BusinessShortCode")?;
    let stamp = text("Timestamp").filter(|stamp| clock::packed(stamp).is_some());
    let stamp = stamp.ok_or("Timestamp")?;
    let password = STANDARD.decode(text("Password").ok_or("Password")?).map_err(|_| "Password")?;
    if !(password.starts_with(shortcode.as_bytes()) && password.ends_with(stamp.as_bytes())) {
        return Err("Password");
    }
    let amount: i64 = text("Amount").and_then(|text| text.parse().ok()).ok_or("Amount")?;
    if !(1..=250_000).contains(&amount) {
        return Err("Amount");
    }
    let msisdn = text("PhoneNumber").filter(|text| text.len() == 12).ok_or("PhoneNumber")?;
    let short = |name: &'static str, most: usize| {
        text(name).filter(|text| (1..=most).contains(&text.len())).ok_or(name)
    };
    short("TransactionDesc", 13)?;
    Ok(Prompt {
        merchant_request: String::new(),
        checkout: String::new(),
        shortcode,
        msisdn,
        cents: amount * 100,
        reference: short("AccountReference", 12)?,
        callback: text("CallBackURL").filter(|url| may_be_called(url)).ok_or("CallBackURL")?,
        behaviour: Behaviour::Success,
        code: None,
        asked: 0,
    })
}

/// Some words may not be in an address, and no capital letter in its host.
fn may_be_called(url: &str) -> bool {
    let host = url.split('/').nth(2).unwrap_or_default();
    let lower = url.to_lowercase();
    url.starts_with("http")
        && !host.is_empty()
        && !host.bytes().any(|byte| byte.is_ascii_uppercase())
        && !FORBIDDEN.iter().any(|word| lower.contains(word))
}

const FORBIDDEN: &[&str] = &["mpesa", "safaricom", "exe", "exec", "cmd", "sql", "query"];
/// Rows of the list at once.
const PAGE: usize = 1000;
