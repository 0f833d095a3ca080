//! Carries what the simulator says to whoever is to be told, on the provider's clock.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use shared::daemon::Life;
use tokio::sync::Semaphore;

use crate::gateways::Pace;

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
