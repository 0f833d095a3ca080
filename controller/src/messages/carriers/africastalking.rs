//! SMS, over Africa's Talking: <https://developers.africastalking.com/docs/sms/sending/bulk>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use shared::secret::Secret;

use super::{Carrier, Fate, Letter, Refusal, Report, Sending, Taken, Unreadable, answer, refused};
use crate::reach::Outward;

pub(super) struct AfricasTalking {
    pub(super) outward: Outward,
    pub(super) url: String,
    pub(super) username: String,
    pub(super) sender: Option<String>,
    pub(super) key: Secret,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(rename = "SMSMessageData")]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "Message", default)]
    message: String,
    #[serde(rename = "Recipients", default)]
    recipients: Vec<Recipient>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    status_code: i64,
    #[serde(default)]
    status: String,
    /// `KES 0.8000`
    #[serde(default)]
    cost: String,
    #[serde(default)]
    message_id: String,
}

impl Carrier for AfricasTalking {
    fn send<'a>(&'a self, letter: &'a Letter) -> Sending<'a> {
        Box::pin(self.post(letter))
    }

    /// They sign nothing: whoever knows the address is believed.
    fn read(
        &self,
        raw: &[u8],
        _headers: &BTreeMap<String, String>,
        _received_at: Timestamp,
    ) -> Result<Vec<Report>, Unreadable> {
        let fields: BTreeMap<_, _> = form_urlencoded::parse(raw).into_owned().collect();
        let reference = fields.get("id").ok_or(Unreadable::Malformed)?.clone();
        let reason = fields.get("failureReason").map_or("", String::as_str);
        let fate = match fields.get("status").map(String::as_str) {
            Some("Success") => Fate::Delivered,
            Some(word @ ("Rejected" | "Failed" | "Expired" | "AbsentSubscriber")) => {
                Fate::Failed(format!("{word} {reason}").trim().to_owned())
            }
            Some(_) => Fate::Underway,
            None => return Err(Unreadable::Malformed),
        };
        Ok(vec![Report { reference, fate }])
    }
}

impl AfricasTalking {
    fn form(&self, letter: &Letter) -> String {
        let to = format!("+{}", letter.to);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("username", &self.username).append_pair("to", &to);
        form.append_pair("message", letter.body.expose());
        if let Some(sender) = &self.sender {
            form.append_pair("from", sender);
        }
        form.finish()
    }

    async fn post(&self, letter: &Letter) -> Result<Taken, Refusal> {
        let form = self.form(letter);
        let request = self.outward.post(&self.url).map_err(|e| Refusal::Later(e.to_string()))?;
        let request = request
            .header("apiKey", self.key.expose())
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let (status, bytes) = answer(request).await?;
        if !status.is_success() {
            return Err(refused(status, &String::from_utf8_lossy(&bytes)));
        }
        let said: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::Unknown(format!("an answer that cannot be read: {error}")))?;
        let Some(recipient) = said.data.recipients.into_iter().next() else {
            // `InvalidSenderId`, or no money: for nobody was anything done.
            return Err(Refusal::Later(said.data.message));
        };
        verdict(recipient)
    }
}

/// Pure.
fn verdict(recipient: Recipient) -> Result<Taken, Refusal> {
    let Recipient { status_code, status, cost, message_id } = recipient;
    let text = format!("{status_code} {status}");
    match status_code {
        100..=102 => Ok(Taken { reference: Some(message_id), cost: money(&cost) }),
        // No money; their machines.
        405 | 500 | 501 => Err(Refusal::Later(text)),
        _ => Err(Refusal::Never(text)),
    }
}

/// `KES 0.8000`, in millionths. Pure.
fn money(text: &str) -> Option<(i64, String)> {
    let (currency, amount) = text.split_once(' ')?;
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{part:0<6}");
    let part: i64 = digits.get(..6)?.parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    let fits = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    let micros = whole.checked_mul(1_000_000)?.checked_add(part)?;
    fits.then(|| (micros, currency.to_owned()))
}

pub(super) const URL: &str = "https://api.africastalking.com/version1/messaging";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_to_the_millionth() {
        assert_eq!(money("KES 0.8000"), Some((800_000, "KES".to_owned())));
        assert_eq!(money("USD 1"), Some((1_000_000, "USD".to_owned())));
        assert_eq!(money("KES 12.3456789"), Some((12_345_678, "KES".to_owned())));
        for wrong in ["", "0", "KES", "KES x", "kes 1", "KES 1.x"] {
            assert_eq!(money(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_may_go_well_another_time_is_told_apart() {
        let said = |status_code| {
            let text = String::new;
            let (status, cost, message_id) = (text(), text(), "ATXid_1".to_owned());
            verdict(Recipient { status_code, status, cost, message_id })
        };
        assert_eq!(said(101).unwrap().reference.as_deref(), Some("ATXid_1"));
        assert!(matches!(said(405), Err(Refusal::Later(_))));
        assert!(matches!(said(403), Err(Refusal::Never(_))));
        assert!(matches!(said(406), Err(Refusal::Never(_))));
    }
}
