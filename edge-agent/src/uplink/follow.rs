//! Follows the controller's desired state: fetch, check, keep a copy, put in force, report. Whose
//! time is over is taken out of it at that moment, whoever can be heard.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use reqwest::StatusCode;
use shared::{daemon::Chain, secret::Secret, wire::latest::desired::Desired};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};

use crate::{
    desired::{Contradiction, Current, Snapshot, disk},
    sessions::{desk::now_ms, event::Event},
    settings,
};

pub struct Follow {
    pub settings: settings::Uplink,
    pub client: reqwest::Client,
    pub state_dir: PathBuf,
    pub current: Current,
    pub events: SyncSender<Event>,
    pub applied: watch::Sender<u64>,
    pub look_again: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot read uplink.ca {file}")]
    Ca { file: PathBuf, source: std::io::Error },
    #[error("uplink.ca {file} is not a certificate in PEM")]
    Pem { file: PathBuf, source: reqwest::Error },
    #[error("cannot set up the client for uplink.api")]
    Build(#[source] reqwest::Error),
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("cannot fetch {url}")]
    Fetch { url: String, source: reqwest::Error },
    #[error("{url} answered {status}")]
    Refused { url: String, status: StatusCode },
    #[error("the desired state of revision {revision} contradicts itself; the one before stays")]
    Contradiction { revision: u64, source: Contradiction },
    #[error("the desired state is not put in force before there is a copy of it")]
    Disk(#[from] disk::DiskError),
    #[error("the session thread is gone")]
    Gone,
}

/// The HTTP client for the controller's API.
pub fn client(settings: &settings::Uplink) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
    if let Some(file) = &settings.ca {
        let pem =
            std::fs::read(file).map_err(|source| ClientError::Ca { file: file.clone(), source })?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|source| ClientError::Pem { file: file.clone(), source })?;
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().map_err(ClientError::Build)
}

impl Follow {
    /// Looks when told and every minute in case nobody told, until it is dropped.
    pub async fn run(self) {
        // Not anew when somebody's time ends: where that is often, nothing would be looked at.
        let mut next_look = Instant::now() + EVERY;
        loop {
            let look = async {
                let _ = tokio::time::timeout_at(next_look, self.look_again.notified()).await;
            };
            tokio::select! {
                () = look => {}
                () = self.next_end() => {
                    if self.leave_out_ended().await.is_err() {
                        return;
                    }
                    continue;
                }
            }
            let wait = match self.look().await {
                Ok(()) => EVERY,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the desired state stays as it is");
                    RETRY
                }
            };
            next_look = Instant::now() + wait;
        }
    }

    /// Waits until somebody's time is over.
    async fn next_end(&self) {
        let Some(end) = self.current.load().next_end_ms() else {
            return std::future::pending().await;
        };
        // The clock may be set meanwhile.
        while let Some(left) = end.checked_sub(now_ms()).filter(|left| *left > 0) {
            tokio::time::sleep(Duration::from_millis(left).min(CLOCK)).await;
        }
    }

    async fn leave_out_ended(&self) -> Result<(), FollowError> {
        let snapshot = Arc::new(self.current.load().without_ended(now_ms()));
        self.current.store(Arc::clone(&snapshot));
        self.put_in_force(snapshot).await
    }

    async fn look(&self) -> Result<(), FollowError> {
        let since = self.current.load().revision;
        let Some(desired) = self.fetch(since).await? else { return Ok(()) };
        let revision = desired.revision;
        let snapshot = Snapshot::new(desired.clone())
            .map_err(|source| FollowError::Contradiction { revision, source })?;
        disk::save(&self.state_dir, &desired)?;
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::clone(&snapshot));
        self.put_in_force(snapshot).await?;
        tracing::info!(revision, "revision {revision} of the desired state is in force");
        self.applied.send_replace(revision);
        Ok(())
    }

    async fn put_in_force(&self, snapshot: Arc<Snapshot>) -> Result<(), FollowError> {
        let (answer, applied) = oneshot::channel();
        let mut event = Event::Desired(snapshot, Some(answer));
        while let Err(error) = self.events.try_send(event) {
            match error {
                std::sync::mpsc::TrySendError::Full(back) => event = back,
                std::sync::mpsc::TrySendError::Disconnected(_) => return Err(FollowError::Gone),
            }
            tokio::time::sleep(FULL).await;
        }
        applied.await.map_err(|_| FollowError::Gone)
    }

    /// `None` when there is nothing newer.
    async fn fetch(&self, since: u64) -> Result<Option<Desired>, FollowError> {
        let url = format!("{}/edge/v1/desired", self.settings.api.trim_end_matches('/'));
        let failed = |source: reqwest::Error| FollowError::Fetch {
            url: url.clone(),
            source: source.without_url(),
        };
        let secret = self.settings.secret.as_ref().map(Secret::expose);
        let request =
            self.client.get(&url).query(&[("since", since)]).basic_auth(self.settings.edge, secret);
        let answer = request.send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map(Some).map_err(failed),
            StatusCode::NOT_MODIFIED => Ok(None),
            status => Err(FollowError::Refused { url, status }),
        }
    }
}

const EVERY: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(20);
const CLOCK: Duration = Duration::from_mins(1);

/// Pause when the session thread's channel is full.
const FULL: Duration = Duration::from_millis(20);
