//! MQTT 5, behind our own words. The only file of the edge that knows the client library.
//!
//! Each connection is a new client with a clean start: nothing is kept in the library or in the
//! broker that the journal does not have, so that there is one way to recover from anything.

use std::{path::PathBuf, time::Duration};

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, LastWill, MqttOptions,
    PublishOptions, TlsConfiguration, Transport, mqttbytes::QoS,
};
use shared::{
    id::EdgeId,
    secret::Secret,
    wire::topic::{Leaf, Topic, down_of},
};

#[derive(Clone, Debug)]
pub struct Broker {
    host: String,
    port: u16,
    /// PEM, for `mqtts`.
    ca: Option<Vec<u8>>,
    tls: bool,
    edge: EdgeId,
    secret: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("uplink.url `{0}` should be mqtts://HOST:PORT or mqtt://HOST:PORT")]
    Url(String),
    #[error("cannot read uplink.ca {file}")]
    Ca { file: PathBuf, source: std::io::Error },
    #[error("mqtts needs uplink.ca, the authority that signed the broker's certificate")]
    NoCa,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("the connection to the broker ended")]
    Connection(#[source] Box<ConnectionError>),
    #[error("the client does not take any more")]
    Closed,
}

impl Broker {
    pub(super) fn new(settings: &crate::settings::Uplink) -> Result<Self, BrokerError> {
        let malformed = || BrokerError::Url(settings.url.clone());
        let (scheme, rest) = settings.url.split_once("://").ok_or_else(malformed)?;
        let (tls, default_port) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(malformed()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| malformed())?)
            }
            Some(_) | None => (rest, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(malformed());
        }
        let ca = match &settings.ca {
            Some(file) => Some(
                std::fs::read(file)
                    .map_err(|source| BrokerError::Ca { file: file.clone(), source })?,
            ),
            None if tls => return Err(BrokerError::NoCa),
            None => None,
        };
        let secret = settings.secret.clone().unwrap_or_else(|| Secret::new(String::new()));
        Ok(Self { host: host.to_owned(), port, ca, tls, edge: settings.edge, secret })
    }

    /// Nothing happens before [`Connection::next`] is polled. `will` is published for us, retained,
    /// when the connection ends without a goodbye.
    pub(super) fn connect(&self, will: Vec<u8>) -> (Sender, Connection) {
        let edge = self.edge;
        let mut options = MqttOptions::new(edge.to_string(), (self.host.clone(), self.port));
        options
            .set_credentials(edge.to_string(), self.secret.expose().to_owned())
            .set_keep_alive(KEEP_ALIVE_SECONDS)
            .set_connect_timeout(CONNECT_TIMEOUT)
            .set_clean_start(true)
            .set_max_packet_size(Some(PACKET_MAX));
        // A batch of few records is small, and the next one waits for its acknowledgement.
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let state = Topic { edge, leaf: Leaf::State }.to_string();
        options.set_last_will(LastWill::new(state, will, QoS::AtLeastOnce, true, None));
        if self.tls {
            let ca = self.ca.clone().unwrap_or_default();
            let tls = TlsConfiguration::Simple { ca, alpn: None, client_auth: None };
            options.set_transport(Transport::tls_with_config(tls));
        }
        let (client, events) = AsyncClient::builder(options).capacity(REQUESTS_MAX).build();
        (Sender { client, edge }, Connection { events })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: AsyncClient,
    edge: EdgeId,
}

impl Sender {
    pub(super) async fn subscribe(&self) -> Result<(), TransportError> {
        let done = self.client.subscribe(down_of(self.edge), QoS::AtLeastOnce).await;
        done.map_err(|_| TransportError::Closed)
    }

    pub(super) async fn publish(&self, leaf: Leaf, payload: Vec<u8>) -> Result<(), TransportError> {
        let options = match leaf {
            Leaf::State => PublishOptions::at_least_once().retained(),
            Leaf::UpLive => PublishOptions::at_most_once(),
            Leaf::UpJournal
            | Leaf::UpReply
            | Leaf::DownAck
            | Leaf::DownDesired
            | Leaf::DownCommand => PublishOptions::at_least_once(),
        };
        let topic = Topic { edge: self.edge, leaf }.to_string();
        let done = self.client.publish(topic, payload, options).await;
        done.map_err(|_| TransportError::Closed)
    }
}

pub(super) struct Connection {
    events: EventLoop,
}

#[derive(Debug)]
pub(super) enum Received {
    Connected,
    Message { leaf: Leaf, payload: Vec<u8> },
}

impl Connection {
    /// Drives the connection until something for us arrives. After an error this connection is
    /// over.
    pub(super) async fn next(&mut self) -> Result<Received, TransportError> {
        loop {
            let event = self.events.poll().await;
            let event = event.map_err(|error| TransportError::Connection(Box::new(error)))?;
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the rest is the library's business"
            )]
            match event {
                Event::Incoming(Incoming::ConnAck(_)) => return Ok(Received::Connected),
                Event::Incoming(Incoming::Publish(message)) => {
                    let topic = str::from_utf8(&message.topic).ok();
                    let topic: Option<Topic> = topic.and_then(|topic| topic.parse().ok());
                    let Some(topic) = topic else {
                        tracing::warn!("a message on a topic of no known version is ignored");
                        continue;
                    };
                    let payload = message.payload.to_vec();
                    return Ok(Received::Message { leaf: topic.leaf, payload });
                }
                _ => {}
            }
        }
    }
}

const KEEP_ALIVE_SECONDS: u16 = 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Larger than the largest batch; also what we take.
const PACKET_MAX: u32 = 1 << 20;

/// Requests that wait for the socket: a window of batches and what goes beside them.
const REQUESTS_MAX: usize = 32;
