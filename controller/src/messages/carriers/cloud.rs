//! WhatsApp, over Meta's Cloud API: texts that Meta has approved, with facts put into them.
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-message-templates>

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use shared::secret::Secret;
use subtle::ConstantTimeEq as _;

use super::{Carrier, Fate, Letter, Refusal, Report, Sending, Taken, Unreadable, answer, refused};
use crate::{reach::Outward, token};

pub(super) struct Cloud {
    pub(super) outward: Outward,
    pub(super) url: String,
    pub(super) token: Secret,
    pub(super) app_secret: Secret,
}

#[derive(Debug, Deserialize)]
struct Hook {
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    changes: Vec<Changed>,
}

#[derive(Debug, Deserialize)]
struct Changed {
    value: Told,
}

#[derive(Debug, Deserialize)]
struct Told {
    /// Absent where somebody wrote to us.
    #[serde(default)]
    statuses: Vec<Update>,
}

#[derive(Debug, Deserialize)]
struct Update {
    id: String,
    status: String,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    title: String,
}

impl Carrier for Cloud {
    fn send<'a>(&'a self, letter: &'a Letter) -> Sending<'a> {
        Box::pin(self.post(letter))
    }

    fn read(
        &self,
        raw: &[u8],
        headers: &BTreeMap<String, String>,
        _received_at: Timestamp,
    ) -> Result<Vec<Report>, Unreadable> {
        let signature = headers.get("x-hub-signature-256").ok_or(Unreadable::Forged)?;
        let key = self.app_secret.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
        mac.update(raw);
        let right = format!("sha256={}", token::hex(&mac.finalize().into_bytes()));
        if !bool::from(right.as_bytes().ct_eq(signature.as_bytes())) {
            return Err(Unreadable::Forged);
        }
        let hook: Hook = serde_json::from_slice(raw).map_err(|_| Unreadable::Malformed)?;
        let told = hook.entry.into_iter().flat_map(|entry| entry.changes);
        let statuses = told.flat_map(|changed| changed.value.statuses);
        Ok(statuses.map(report).collect())
    }
}

fn report(update: Update) -> Report {
    let fate = match update.status.as_str() {
        "delivered" | "read" => Fate::Delivered,
        "failed" => {
            let faults =
                update.errors.iter().map(|fault| format!("{} {}", fault.code, fault.title));
            Fate::Failed(faults.collect::<Vec<_>>().join("; "))
        }
        _ => Fate::Underway,
    };
    Report { reference: update.id, fate }
}

impl Cloud {
    async fn post(&self, letter: &Letter) -> Result<Taken, Refusal> {
        let text = |fact: &String| json!({ "type": "text", "text": fact });
        let parameters: Vec<_> = letter.facts.iter().map(text).collect();
        let body = json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": letter.to,
            "type": "template",
            "template": {
                "name": letter.subject, "language": { "code": letter.language.as_str() },
                "components": [{ "type": "body", "parameters": parameters }],
            },
        });
        let request = self.outward.post(&self.url).map_err(|e| Refusal::Later(e.to_string()))?;
        let request = request.bearer_auth(self.token.expose()).json(&body);
        let (status, bytes) = answer(request).await?;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            let reference = said.pointer("/messages/0/id").and_then(Value::as_str);
            return Ok(Taken { reference: reference.map(str::to_owned), cost: None });
        }
        let code = said.pointer("/error/code").and_then(Value::as_i64).unwrap_or_default();
        let title = said.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        let text = format!("{code} {title}");
        // Too many, their machines, or a token that is over.
        if [4, 80_007, 130_429, 131_000, 131_016, 131_048, 131_056, 190].contains(&code) {
            return Err(Refusal::Later(text));
        }
        Err(refused(status, &text))
    }
}

pub(super) const URL: &str = "https://graph.facebook.com/v23.0";
