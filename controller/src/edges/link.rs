//! The controller's MQTT connection: what edges say comes in, what they are told goes out.
//!
//! The only file that knows the MQTT client. It reads envelopes and hands letters on; it decides
//! nothing. It never waits while it reads: what its readers have no room for is dropped and
//! counted, and the edge says it again. Start at [`Link::start`].

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, Packet,
    PublishOptions, QoS, SubscribeFilter, SubscribeReasonCode, TlsError, Transport,
};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    daemon::{Chain, Life},
    id::EdgeId,
    secret::Secret,
    wire::{
        latest::{ack::Ack, command::Command, desired::Pointer, state::State},
        topic::{FROM_ALL_EDGES, Leaf, Topic},
    },
};
use tokio::sync::watch;

use super::{
    commands::Commands,
    live::Live,
    presence::{Births, Heard},
};
use crate::{sessions::queue::Queue, token};

/// Where the broker is, and how the controller logs in there.
#[derive(Clone, Debug)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// With the authorities that this machine trusts.
    pub tls: bool,
    pub login: Option<(String, Secret)>,
}

impl Target {
    /// The embedded broker, or one that a test has started.
    pub fn at(address: SocketAddr, login: Option<(&str, Secret)>) -> Self {
        let login = login.map(|(user, password)| (user.to_owned(), password));
        Self { host: address.ip().to_string(), port: address.port(), tls: false, login }
    }
}

/// Where letters go, by kind.
#[derive(Clone, Debug)]
pub struct Inbox {
    pub journal: Queue,
    pub births: Births,
    pub live: Live,
    pub commands: Commands,
}

/// The way to edges; closed until [`Link::start`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    client: Arc<OnceLock<AsyncClient>>,
    up: watch::Sender<bool>,
}

impl Default for Link {
    fn default() -> Self {
        Self { client: Arc::default(), up: watch::Sender::new(false) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the link is there already")]
    Started,
    #[error("cannot read the authorities that this machine trusts")]
    Authorities(#[source] TlsError),
}

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("there is no connection to the broker")]
    Down,
    #[error("the connection to the broker does not take more")]
    Busy,
    #[error("the message cannot be written")]
    Encode(#[from] serde_json::Error),
    #[error("the MQTT client refused the message")]
    Client(#[source] Box<ClientError>),
}

impl Link {
    /// Connects and keeps connecting; returns at once. Once in a link's life.
    pub fn start(&self, life: &Life, target: Target, inbox: Inbox) -> Result<(), LinkError> {
        let options = options(target)?;
        let (client, events) = AsyncClient::builder(options).capacity(OUTGOING).build();
        self.client.set(client.clone()).map_err(|_| LinkError::Started)?;
        let reader = Reader { client, inbox, up: self.up.clone() };
        life.spawn("edge link", reader.run(events));
        Ok(())
    }

    /// Subscribed, so that everything an edge says from now on is heard.
    pub async fn wait_until_up(&self) {
        // It cannot fail: this link is a sender.
        let _ = self.up.subscribe().wait_for(|up| *up).await;
    }

    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    pub async fn ack(&self, edge: EdgeId, ack: &Ack) -> Result<(), SendError> {
        self.send(edge, Leaf::DownAck, ack, PublishOptions::at_least_once()).await
    }

    pub async fn point(&self, edge: EdgeId, pointer: &Pointer) -> Result<(), SendError> {
        self.send(edge, Leaf::DownDesired, pointer, PublishOptions::at_least_once().retained())
            .await
    }

    pub async fn command(&self, edge: EdgeId, command: &Command) -> Result<(), SendError> {
        self.send(edge, Leaf::DownCommand, command, PublishOptions::at_least_once()).await
    }

    async fn send(
        &self,
        edge: EdgeId,
        leaf: Leaf,
        message: &(impl Serialize + Sync),
        options: PublishOptions,
    ) -> Result<(), SendError> {
        let client = self.client.get().filter(|_| self.is_up()).ok_or(SendError::Down)?;
        let payload = serde_json::to_vec(message)?;
        let publish = client.publish(Topic { edge, leaf }.to_string(), payload, options);
        match tokio::time::timeout(SEND_MAX, publish).await {
            Ok(sent) => sent.map_err(|error| SendError::Client(Box::new(error))),
            Err(_) => Err(SendError::Busy),
        }
    }
}

struct Reader {
    client: AsyncClient,
    inbox: Inbox,
    up: watch::Sender<bool>,
}

impl Reader {
    async fn run(self, mut events: EventLoop) {
        let mut failures = 0;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(packet)) => {
                    if let Packet::ConnAck(_) = packet {
                        failures = 0;
                    }
                    self.read(packet);
                }
                Ok(Event::Outgoing(_) | Event::Auth(_)) => {}
                Err(error) => {
                    self.up.send_replace(false);
                    report(&error, failures);
                    failures += 1;
                    tokio::time::sleep(pause(failures, getrandom::u32().unwrap_or(0))).await;
                }
            }
        }
    }

    fn read(&self, packet: Packet) {
        if let Packet::ConnAck(_) = packet {
            let filters = FROM_ALL_EDGES
                .map(|filter| SubscribeFilter::new(filter.to_owned(), QoS::AtLeastOnce));
            // There is room: nothing is sent while the connection is down.
            if let Err(error) = self.client.try_subscribe_many(filters) {
                tracing::error!(error = %Chain(&error), "cannot subscribe to the edges");
            }
        } else if let Packet::SubAck(answer) = packet {
            let refused =
                |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
            if answer.return_codes.iter().any(refused) {
                tracing::error!(
                    answer = ?answer.return_codes,
                    "the broker does not let the controller hear the edges"
                );
                return;
            }
            tracing::info!("connected to the broker; edges are heard");
            self.up.send_replace(true);
        } else if let Packet::Publish(publish) = packet {
            let topic = std::str::from_utf8(&publish.topic).ok().and_then(|text| text.parse().ok());
            let Some(Topic { edge, leaf }) = topic else {
                metrics::counter!("kennet_link_ignored_total", "why" => "topic").increment(1);
                return;
            };
            self.inbox.births.seen(edge);
            self.open(edge, leaf, &publish.payload, publish.retain);
        }
    }

    fn open(&self, edge: EdgeId, leaf: Leaf, payload: &[u8], retained: bool) {
        match leaf {
            Leaf::UpJournal => self.inbox.journal.push(edge, payload),
            Leaf::State => {
                if let Some(state) = json::<State>(edge, leaf, payload) {
                    self.inbox.births.hear(edge, Heard { state, retained });
                }
            }
            Leaf::UpLive => {
                if let Some(message) = json(edge, leaf, payload) {
                    self.inbox.live.hear(edge, message);
                }
            }
            Leaf::UpReply => {
                if let Some(reply) = json(edge, leaf, payload) {
                    self.inbox.commands.resolve(edge, reply);
                }
            }
            // Our own words; not subscribed to.
            Leaf::DownAck | Leaf::DownDesired | Leaf::DownCommand => {}
        }
    }
}

fn report(error: &ConnectionError, failures: u32) {
    metrics::counter!("kennet_link_failures_total").increment(1);
    if failures == 0 {
        tracing::warn!(error = %Chain(error), "the connection to the broker is lost");
    } else {
        tracing::debug!(error = %Chain(error), failures, "the broker is not reached");
    }
}

fn json<T: DeserializeOwned>(edge: EdgeId, leaf: Leaf, payload: &[u8]) -> Option<T> {
    match serde_json::from_slice(payload) {
        Ok(message) => Some(message),
        Err(error) => {
            metrics::counter!("kennet_link_ignored_total", "why" => "body").increment(1);
            tracing::warn!(edge.id = %edge, %error, "{edge} sent an unreadable `{}`", leaf.as_str());
            None
        }
    }
}

fn options(target: Target) -> Result<MqttOptions, LinkError> {
    // Two controllers, or an old and a new one, must not throw each other out.
    let client_id = format!("controller-{}", token::random());
    let mut options = MqttOptions::new(client_id, (target.host, target.port));
    if let Some((user, password)) = target.login {
        options.set_credentials(user, password.expose().to_owned());
    }
    if target.tls {
        let trusting = Transport::try_tls_with_default_config().map_err(LinkError::Authorities)?;
        options.set_transport(trusting);
    }
    // Nothing is kept for a controller that is away: edges repeat what was not acknowledged.
    options.set_clean_start(true);
    options.set_keep_alive(KEEP_ALIVE_SECONDS);
    options.set_connect_timeout(CONNECT_MAX);
    options.set_max_packet_size(Some(PACKET_MAX));
    options.set_receive_maximum(Some(RECEIVE_MAX));
    // An acknowledgement is small, and an edge waits for it: Nagle's algorithm would hold it back.
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    Ok(options)
}

/// From 0.1 s doubling to 30 s, each between half and all of it, so that many do not come at once.
fn pause(failures: u32, random: u32) -> Duration {
    let most = (100_u64 << failures.saturating_sub(1).min(9)).min(30_000);
    let jitter = u64::from(random) * (most / 2) / u64::from(u32::MAX);
    Duration::from_millis(most / 2 + jitter)
}

/// Messages that wait for the connection to take them: acknowledgements of a full queue.
const OUTGOING: usize = 1024;
/// Then the edge asks again.
const SEND_MAX: Duration = Duration::from_secs(5);
const KEEP_ALIVE_SECONDS: u16 = 20;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// As the broker's.
const PACKET_MAX: u32 = 4 << 20;
/// Deliveries that the client has not yet acknowledged; it does so as it reads.
const RECEIVE_MAX: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let check = |failures, random, want_ms| {
            assert_eq!(pause(failures, random), Duration::from_millis(want_ms), "{failures}");
        };
        check(1, 0, 50);
        check(1, u32::MAX, 100);
        check(4, u32::MAX, 800);
        check(20, 0, 15_000);
        check(u32::MAX, u32::MAX, 30_000);
    }
}
