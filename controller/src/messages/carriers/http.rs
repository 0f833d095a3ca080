//! SMS, over a program of the tenant's own: JSON, a bearer token, signed reports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::secret::Secret;
use subtle::ConstantTimeEq as _;

use super::{Carrier, Fate, Letter, Refusal, Report, Sending, Taken, Unreadable, answer, refused};
use crate::{reach::Outward, webhooks};

pub(super) struct Http {
    pub(super) outward: Outward,
    pub(super) url: String,
    pub(super) secret: Secret,
}

#[derive(Debug, Deserialize)]
struct Said {
    id: String,
    state: State,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Delivered,
    Failed,
    Underway,
}

impl Carrier for Http {
    fn send<'a>(&'a self, letter: &'a Letter) -> Sending<'a> {
        Box::pin(self.post(letter))
    }

    /// Signed as webhooks are, with the same secret.
    fn read(
        &self,
        raw: &[u8],
        headers: &BTreeMap<String, String>,
        received_at: Timestamp,
    ) -> Result<Vec<Report>, Unreadable> {
        let body = str::from_utf8(raw).map_err(|_| Unreadable::Malformed)?;
        let signature = headers.get("kennet-signature").ok_or(Unreadable::Forged)?;
        let seconds = signature.strip_prefix("t=").and_then(|rest| rest.split(',').next());
        let seconds: i64 = seconds.and_then(|s| s.parse().ok()).ok_or(Unreadable::Forged)?;
        let at = Timestamp::from_second(seconds).map_err(|_| Unreadable::Forged)?;
        let right = webhooks::sign(&self.secret, at, body);
        let signed = bool::from(right.as_bytes().ct_eq(signature.as_bytes()));
        // An old one that somebody kept is not new.
        if !signed || received_at.duration_since(at).abs() > AGE_MAX {
            return Err(Unreadable::Forged);
        }
        let said: Said = serde_json::from_str(body).map_err(|_| Unreadable::Malformed)?;
        let fate = match said.state {
            State::Delivered => Fate::Delivered,
            State::Failed => Fate::Failed(said.reason),
            State::Underway => Fate::Underway,
        };
        Ok(vec![Report { reference: said.id, fate }])
    }
}

impl Http {
    async fn post(&self, letter: &Letter) -> Result<Taken, Refusal> {
        let id = letter.id.to_string();
        let request = self.outward.post(&self.url).map_err(|e| Refusal::Later(e.to_string()))?;
        let body = json!({ "id": id, "to": letter.to, "text": letter.body.expose() });
        let request = request.bearer_auth(self.secret.expose()).json(&body);
        let (status, bytes) = answer(request).await?;
        if !status.is_success() {
            return Err(refused(status, &String::from_utf8_lossy(&bytes)));
        }
        // It may call it as it likes.
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let theirs = said.get("id").and_then(Value::as_str).map(str::to_owned);
        Ok(Taken { reference: Some(theirs.unwrap_or(id)), cost: None })
    }
}

const AGE_MAX: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
