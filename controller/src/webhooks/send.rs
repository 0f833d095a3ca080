//! Sends what is due. The shell around two pure rules: [`sign`] and [`pause`].

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::Sha256;
use shared::{daemon::Chain, id::TenantId, secret::Secret};

use super::{
    place,
    store::{self, Due, Outcome},
};
use crate::{
    audit, clock,
    db::{Db, StoreError},
    reach::Outward,
    seal::Seal,
    token,
};

/// Goes round the tenants. Several controllers may do so at once: each takes what no other has.
#[derive(Clone, Debug)]
pub struct Courier {
    db: Db,
    seal: Seal,
    outward: Outward,
}

impl Courier {
    pub const fn new(db: Db, seal: Seal, outward: Outward) -> Self {
        Self { db, seal, outward }
    }

    pub async fn run(self) {
        let mut often = tokio::time::interval(EVERY);
        loop {
            often.tick().await;
            if let Err(error) = self.round(clock::now()).await {
                tracing::error!(error = %Chain(&error), "webhooks are not told");
            }
        }
    }

    /// Tells everything that is due; says how many were told.
    pub async fn round(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut told = 0;
        for tenant in audit::tenants(&self.db).await? {
            loop {
                let mut tx = self.db.tenant(tenant).await?;
                // Until this lease ends nobody else tries, also if this program is killed now.
                let due = store::take(&mut tx, tenant, now, now + LEASE, TAKE).await?;
                tx.commit().await?;
                let took = due.len();
                for one in due {
                    told += u64::from(self.tell(tenant, one, now).await?);
                }
                if took < usize::try_from(TAKE).unwrap_or(usize::MAX) {
                    break;
                }
            }
        }
        Ok(told)
    }

    async fn tell(&self, tenant: TenantId, due: Due, now: Timestamp) -> Result<bool, StoreError> {
        let outcome = match self.seal.open(&place(tenant, due.webhook), &due.secret_sealed) {
            Ok(secret) => self.post(&due, &secret, now).await,
            Err(error) => Outcome { status: None, error: Some(Chain(&error).to_string()) },
        };
        let taken = outcome.error.is_none();
        let next = if taken { None } else { pause(due.attempts).map(|pause| now + pause) };
        let mut tx = self.db.tenant(tenant).await?;
        store::done(&mut tx, tenant, &due, &outcome, next, now).await?;
        tx.commit().await?;
        metrics::counter!("kennet_webhooks_total", "taken" => taken.to_string()).increment(1);
        Ok(taken)
    }

    async fn post(&self, due: &Due, secret: &Secret, now: Timestamp) -> Outcome {
        let body = json!({
            "id": due.audit, "event": due.event, "at": due.at, "actor": due.actor,
            "object": { "kind": due.object_kind, "id": due.object_id },
            "before": due.before, "after": due.after,
        })
        .to_string();
        let signature = sign(secret, now, &body);
        let request = match self.outward.post(&due.url) {
            Ok(request) => request,
            Err(error) => return Outcome { status: None, error: Some(error.to_string()) },
        };
        let request = request
            .header("content-type", "application/json")
            .header("kennet-event", &due.event)
            .header("kennet-delivery", due.audit.to_string())
            .header("kennet-signature", signature);
        match request.body(body).send().await {
            Ok(answer) if answer.status().is_success() => {
                Outcome { status: Some(answer.status().as_u16()), error: None }
            }
            Ok(answer) => {
                let status = answer.status();
                Outcome { status: Some(status.as_u16()), error: Some(format!("answered {status}")) }
            }
            Err(error) => {
                let text = Chain(&error.without_url()).to_string();
                Outcome { status: None, error: Some(text) }
            }
        }
    }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 with the secret over `SECONDS.BODY`, so that an old message
/// cannot be sent again later.
pub(crate) fn sign(secret: &Secret, now: Timestamp, body: &str) -> String {
    let seconds = now.as_second();
    let key = secret.expose().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", token::hex(&mac.finalize().into_bytes()))
}

/// How long after the `attempts`th time it is tried again; none: it is given up, after two days.
fn pause(attempts: i32) -> Option<SignedDuration> {
    let minutes = match attempts {
        ..=1 => return Some(SignedDuration::from_secs(10)),
        2 => 1,
        3 => 5,
        4 => 30,
        5 => 2 * 60,
        6 => 6 * 60,
        7 => 12 * 60,
        8 => 24 * 60,
        9.. => return None,
    };
    Some(SignedDuration::from_mins(minutes))
}

const EVERY: Duration = Duration::from_secs(2);
/// Longer than all that is taken at once can need.
const LEASE: SignedDuration = SignedDuration::from_mins(5);
const TAKE: i64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_the_time_and_the_body() {
        let secret = Secret::new("key".to_owned());
        let now = Timestamp::from_second(1_000).unwrap();
        // printf '1000.{}' | openssl dgst -sha256 -hmac key
        let want = "t=1000,v1=c32de42341dece79a1511c9e7f74a2734112edcfcf48943c976faf07047065db";
        let made = sign(&secret, now, "{}");
        assert_eq!(made, want);
        assert_ne!(made, sign(&secret, now, "{ }"));
        assert_ne!(made, sign(&secret, now + SignedDuration::from_secs(1), "{}"));
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<_> = (1..20).map_while(pause).collect();
        assert!(pauses.is_sorted() && pauses.len() == 8);
        let all: SignedDuration = pauses.iter().copied().fold(SignedDuration::ZERO, |a, b| a + b);
        assert!(all > SignedDuration::from_hours(40), "{all:?}");
    }
}
