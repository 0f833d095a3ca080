//! Carries what the simulator says to whoever is to be told, on the provider's clock.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Sha256, Sha512};
use shared::daemon::Life;
use tokio::sync::Semaphore;

use crate::{clock, gateways::Pace, token};

/// Something to be said.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) url: String,
    pub(super) body: Value,
    pub(super) sign: Sign,
}

/// How a provider signs.
#[derive(Clone, Debug)]
pub(super) enum Sign {
    Nothing,
    /// Over the body.
    Paystack(String),
    /// Over the time and the body.
    Stripe(String),
}

impl Word {
    pub(super) fn unsigned(url: &str, body: Value) -> Self {
        Self { url: url.to_owned(), body, sign: Sign::Nothing }
    }
}

impl Sign {
    fn header(&self, raw: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Nothing => None,
            Self::Paystack(key) => {
                let mac = Hmac::<Sha512>::new_from_slice(key.as_bytes());
                let mut mac = mac.expect("HMAC takes keys of every length");
                mac.update(raw.as_bytes());
                let mac = token::hex(&mac.finalize().into_bytes());
                Some(("x-paystack-signature", mac))
            }
            Self::Stripe(key) => {
                let time = clock::now().as_second();
                let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes());
                let mut mac = mac.expect("HMAC takes keys of every length");
                mac.update(format!("{time}.{raw}").as_bytes());
                let mac = token::hex(&mac.finalize().into_bytes());
                Some(("stripe-signature", format!("t={time},v1={mac}")))
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Courier {
    http: reqwest::Client,
    life: Life,
    pace: Pace,
    under_way: Arc<AtomicUsize>,
    /// Who says too much at once waits.
    lines: Arc<Semaphore>,
}

impl Courier {
    pub(super) fn new(life: &Life, pace: Pace) -> Self {
        // Fails only if a provider is there already, which is as good.
        let _there = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: client(None),
            life: life.clone(),
            pace,
            under_way: Arc::default(),
            lines: Arc::new(Semaphore::new(LINES)),
        }
    }

    /// Runs until it ends; until then it is under way.
    pub(super) fn send(&self, task: impl Future<Output = ()> + Send + 'static) {
        let under_way = Arc::clone(&self.under_way);
        under_way.fetch_add(1, Ordering::SeqCst);
        self.life.spawn_short(async move {
            task.await;
            under_way.fetch_sub(1, Ordering::SeqCst);
        });
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(self.pace.wait(time)).await;
    }

    /// Once, whatever comes back: nobody is called twice for a mistake of theirs.
    pub(super) async fn post(&self, url: &str, body: &Value) -> Option<Value> {
        let _line = self.lines.acquire().await.ok()?;
        answer(self.http.post(url).json(body)).await
    }

    /// The same, as the provider signs it.
    pub(super) async fn say(&self, word: &Word) -> Option<Value> {
        let _line = self.lines.acquire().await.ok()?;
        let raw = word.body.to_string();
        let mut request = self.http.post(&word.url).header("content-type", "application/json");
        if let Some((name, value)) = word.sign.header(&raw) {
            request = request.header(name, value);
        }
        answer(request.body(raw)).await
    }

    /// Pretends to come from another of this machine's addresses.
    pub(super) async fn post_from(&self, from: IpAddr, url: &str, body: &Value) -> Option<Value> {
        answer(client(Some(from)).post(url).json(body)).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Option<Value> {
    match request.send().await {
        Ok(response) => response.json().await.ok(),
        Err(error) => {
            tracing::debug!(%error, "nobody listens to a callback");
            None
        }
    }
}

fn client(from: Option<IpAddr>) -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(ANSWER_MAX).local_address(from);
    builder.build().unwrap_or_default()
}

/// M-Pesa waits eight seconds for a validation.
const ANSWER_MAX: Duration = Duration::from_secs(8);
const LINES: usize = 32;
