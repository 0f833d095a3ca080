//! The MQTT broker inside the controller, for an office of one machine.
//!
//! It is not a place where anything is decided about edges: it lets them in and carries bytes. The
//! rest of the controller does not know whether the broker is this one or one beside it: both are
//! reached by [`crate::edges::link`]. Nothing here has to survive for the books to be right (the
//! edges keep their records until they are committed); the folder makes restarts quieter.
//!
//! Start at [`Broker::start`]; who may say what is in [`guard`].

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use mqtt5::broker::{
    BrokerConfig, BrokerShutdownHandle, MqttBroker, StorageBackendType, StorageConfig,
    router::MessageRouter,
};
use shared::{
    daemon::{Chain, Life},
    id::EdgeId,
    secret::Secret,
};
use tokio::sync::watch;

use crate::{edges::secret::EdgeSecrets, token};

mod guard;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where retained and queued messages are kept over a restart.
    pub folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the MQTT broker on {listen} with its folder {folder}")]
    Start { listen: SocketAddr, folder: PathBuf, source: mqtt5::MqttError },
    #[error("the MQTT broker on {listen} ended while it started")]
    Ended { listen: SocketAddr },
}

/// A running broker. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    address: SocketAddr,
    own_password: Secret,
    /// Weak, because a router keeps the folder open.
    router: Weak<MessageRouter>,
    shutdown: BrokerShutdownHandle,
    running: watch::Receiver<bool>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Broker {
    /// Listens and serves. If it ends by itself, so does the daemon.
    pub async fn start(
        life: &Life,
        settings: Settings,
        edges: impl EdgeSecrets,
    ) -> Result<Self, StartError> {
        let own_password = Secret::new(token::random());
        let Settings { listen, folder } = settings;
        let guard = guard::Guard::new(&own_password, edges);
        let mut broker = MqttBroker::with_config(config(listen, folder.clone()))
            .await
            .map_err(|source| StartError::Start { listen, folder, source })?
            .with_auth_provider(Arc::new(guard));
        let address = broker.local_addr().ok_or(StartError::Ended { listen })?;
        let router = Arc::downgrade(&broker.router());
        let shutdown = broker.shutdown_handle();
        let mut ready = broker.ready_receiver();
        let (still_running, running) = watch::channel(true);

        let daemon = life.clone();
        let asked = shutdown.clone();
        life.spawn_short(async move {
            let result = broker.run().await;
            // With it goes the lock of its folder.
            drop(broker);
            still_running.send_replace(false);
            if let Err(error) = result {
                tracing::error!(error = %Chain(&error), "the MQTT broker failed");
                daemon.ask_to_stop();
            }
            // Kept to here: the broker stops when the last handle is gone.
            drop(asked);
        });
        ready.wait_for(|ready| *ready).await.map_err(|_| StartError::Ended { listen })?;
        tracing::info!(address = %address, "MQTT broker listens on {address}");
        Ok(Self { address, own_password, router, shutdown, running })
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// User name and password of the controller's own connection; new with every start.
    pub fn own_login(&self) -> (&'static str, Secret) {
        (guard::CONTROLLER, self.own_password.clone())
    }

    /// Ends an edge's connection now. Whether it comes back in is for [`EdgeSecrets`] to say.
    pub async fn disconnect(&self, edge: EdgeId) {
        if let Some(router) = self.router.upgrade() {
            router.disconnect_client(&edge.to_string()).await;
        }
    }

    /// Says goodbye to every connection and writes what is not yet on disk. Before `Life::stop`,
    /// which would only drop it.
    pub async fn stop(&self) {
        self.shutdown.shutdown();
        let mut running = self.running.clone();
        let stopped = running.wait_for(|running| !*running);
        // The daemon's own grace ends it otherwise.
        let _ = tokio::time::timeout(STOP_GRACE, stopped).await;
    }
}

fn config(listen: SocketAddr, folder: PathBuf) -> BrokerConfig {
    let mut config = BrokerConfig::default()
        .with_bind_address(listen)
        .with_maximum_qos(1)
        .with_session_expiry(SESSION_EXPIRY)
        .with_max_packet_size(PACKET_MAX)
        .with_max_subscriptions_per_client(SUBSCRIPTIONS_MAX)
        .with_max_retained_message_size(RETAINED_SIZE_MAX);
    config.sys_topics_enabled = false;
    // `guard` takes the place of what this would make, before anybody can come in.
    config.auth_config.rate_limit.enabled = false;
    // Aliases do not survive a reconnect in the clients we speak with.
    config.topic_alias_maximum = 0;
    config.server_receive_maximum = Some(RECEIVE_MAX);
    config.storage_config = StorageConfig::default()
        .with_backend(StorageBackendType::File)
        .with_base_dir(folder)
        .with_persistence(true);
    config
}

/// An edge that is away longer gets the present pointer at its birth anyway.
const SESSION_EXPIRY: Duration = Duration::from_hours(24);
/// A journal batch is at most 256 KiB; live counters of ten thousand sessions are 1.5 MB.
const PACKET_MAX: usize = 4 << 20;
/// An edge needs one, the controller two.
const SUBSCRIPTIONS_MAX: usize = 16;
/// Births and pointers.
const RETAINED_SIZE_MAX: usize = 64 << 10;
/// Unacknowledged messages of one client; an edge's window is far smaller.
const RECEIVE_MAX: u16 = 256;
const STOP_GRACE: Duration = Duration::from_secs(5);
