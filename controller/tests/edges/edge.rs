//! An edge that follows a script: a journal in memory, a connection, what it was told.

use std::net::SocketAddr;

use prost::Message as _;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, LastWill, MqttOptions, Packet,
    PublishNotice, PublishOptions, QoS, SubscribeReasonCode,
};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    daemon::Life,
    id::{EdgeId, EpochId, SessionId},
    octets::Counters,
    secret::Secret,
    wire::{
        latest::{
            ack::{Ack, Verdict},
            journal::{self, GENESIS, Hash, Metering, Record, SessionStarted},
            state::{Birth, State},
        },
        topic::{self, Leaf, Topic},
    },
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::world::{World, soon};

/// The connection is cut when it is dropped, without a goodbye.
pub(crate) struct Edge {
    pub(crate) id: EdgeId,
    pub(crate) client: AsyncClient,
    heard: mpsc::Receiver<Result<Packet, String>>,
    life: Life,
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

impl Edge {
    /// Comes in and listens.
    pub(crate) async fn connect(world: &World, birth: u64) -> Self {
        let (id, address) = (world.edge, world.broker.address());
        let name = id.to_string();
        let edge = Self::open(address, id, &name, &world.secret, birth).await;
        let mut edge = edge.unwrap_or_else(|error| panic!("{id} is not let in: {error}"));
        assert_eq!(edge.subscribe(&topic::down_of(id)).await, Ok(()));
        edge
    }

    /// Comes in as whoever it says it is, and does nothing yet.
    pub(crate) async fn open(
        address: SocketAddr,
        id: EdgeId,
        client_id: &str,
        secret: &Secret,
        birth: u64,
    ) -> Result<Self, ConnectionError> {
        let mut options = MqttOptions::new(client_id, (address.ip().to_string(), address.port()));
        options.set_credentials(id.to_string(), secret.expose().to_owned());
        options.set_clean_start(true);
        options.set_keep_alive(5);
        options.set_max_packet_size(Some(1 << 20));
        let will = serde_json::to_vec(&State::Offline { birth }).expect("JSON");
        let state = Topic { edge: id, leaf: Leaf::State }.to_string();
        options.set_last_will(LastWill::new(state, will, QoS::AtLeastOnce, true, None));
        let (client, mut events) = AsyncClient::builder(options).capacity(64).build();
        let (say, heard) = mpsc::channel(4096);
        loop {
            let event = soon("the broker answers", events.poll()).await?;
            if matches!(event, Event::Incoming(Packet::ConnAck(_))) {
                break;
            }
        }
        let life = Life::default();
        life.spawn_short(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(packet)) => {
                        if say.send(Ok(packet)).await.is_err() {
                            return;
                        }
                    }
                    Ok(Event::Outgoing(_) | Event::Auth(_)) => {}
                    Err(error) => {
                        let _ = say.send(Err(error.to_string())).await;
                        return;
                    }
                }
            }
        });
        Ok(Self { id, client, heard, life })
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) -> Result<(), SubscribeReasonCode> {
        let filter = filter.to_owned();
        self.client.subscribe(filter, QoS::AtLeastOnce).await.expect("the client runs");
        loop {
            if let Packet::SubAck(answer) = self.packet("an answer to SUBSCRIBE").await {
                let code = answer.return_codes.into_iter().next().expect("one filter, one code");
                let granted = matches!(code, SubscribeReasonCode::Success(_));
                return if granted { Ok(()) } else { Err(code) };
            }
        }
    }

    /// The next message with this leaf; others are passed over.
    pub(crate) async fn told<T: DeserializeOwned>(&mut self, leaf: Leaf) -> T {
        let topic = Topic { edge: self.id, leaf }.to_string();
        loop {
            if let Packet::Publish(publish) = self.packet(leaf.as_str()).await
                && publish.topic == topic.as_bytes()
            {
                return serde_json::from_slice(&publish.payload).expect("a message of the wire");
            }
        }
    }

    pub(crate) async fn packet(&mut self, what: &str) -> Packet {
        match soon(what, self.heard.recv()).await {
            Some(Ok(packet)) => packet,
            Some(Err(why)) => panic!("cut off before {what}: {why}"),
            None => panic!("cut off before {what}"),
        }
    }

    pub(crate) async fn acked(&mut self) -> (u64, Verdict) {
        let ack: Ack = self.told(Leaf::DownAck).await;
        (ack.next_seq, ack.verdict)
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn cut_off(&mut self) {
        let end = async { while let Some(Ok(_)) = self.heard.recv().await {} };
        soon("the broker ends the connection", end).await;
    }

    pub(crate) async fn send(&self, leaf: Leaf, payload: Vec<u8>) -> PublishNotice {
        let topic = Topic { edge: self.id, leaf }.to_string();
        let options = PublishOptions::at_least_once().retain(leaf == Leaf::State);
        let notice = self.client.publish_tracked(topic, payload, options).await;
        notice.expect("the client runs")
    }

    pub(crate) async fn say(&self, leaf: Leaf, message: &impl Serialize) {
        self.send(leaf, serde_json::to_vec(message).expect("JSON")).await;
    }

    /// Sends a batch and waits for the answer.
    pub(crate) async fn report(&mut self, batch: &journal::Batch) -> (u64, Verdict) {
        self.send(Leaf::UpJournal, batch.encode_to_vec()).await;
        self.acked().await
    }

    pub(crate) async fn be_born(&self, birth: u64, epoch: EpochId, applied_revision: u64) {
        self.say(Leaf::State, &online(birth, epoch, applied_revision)).await;
    }
}

pub(crate) fn online(birth: u64, epoch: EpochId, applied_revision: u64) -> State {
    State::Online(Birth {
        birth,
        version: "1.2.3".to_owned(),
        epoch,
        applied_revision,
        clock_ms: World::now_ms(),
        journal_depth: 0,
        interfaces: vec!["lan0".to_owned()],
        capabilities: vec!["shape:htb".to_owned()],
    })
}

/// Refused at the door?
pub(crate) fn is_refused(result: Result<Edge, ConnectionError>) -> bool {
    match result {
        Ok(_) => false,
        Err(ConnectionError::ConnectionRefused(code)) => {
            assert_ne!(code, ConnectReturnCode::Success);
            true
        }
        Err(other) => panic!("neither let in nor refused: {other}"),
    }
}

/// A journal in memory, all of it, for sending any part.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) epoch: EpochId,
    records: Vec<Vec<u8>>,
    /// Of the edge; none: it goes right.
    pub(crate) clock_ms: Option<u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let epoch = EpochId::from_uuid(Uuid::now_v7());
        Self { epoch, records: Vec::new(), clock_ms: None }
    }

    pub(crate) fn add(&mut self, event: journal::Event) {
        let at_ms = self.clock_ms.unwrap_or_else(World::now_ms);
        let record = Record { at_ms, event: Some(event) };
        self.records.push(record.encode_to_vec());
    }

    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.records.push(bytes.to_vec());
    }

    pub(crate) fn start(&mut self, session: SessionId, change: impl FnOnce(&mut SessionStarted)) {
        let mut started = SessionStarted {
            session: session.to_vec(),
            username: "amina".to_owned(),
            nas_name: "lab".to_owned(),
            mac: vec![2, 0, 0, 0, 0, 1],
            ip: "10.0.0.20".to_owned(),
            down_kbps: 10_000,
            up_kbps: 5_000,
            metering: Metering::Kernel.into(),
            revision: 1,
            ..SessionStarted::default()
        };
        change(&mut started);
        self.add(journal::Event::SessionStarted(started));
    }

    pub(crate) fn usage(&mut self, session: SessionId, down_bytes: u64, up_bytes: u64) {
        let octets = octets(down_bytes, up_bytes);
        self.add(journal::Event::Usage(journal::Usage { session: session.to_vec(), octets }));
    }

    pub(crate) fn stop(&mut self, session: SessionId, down_bytes: u64, up_bytes: u64) {
        let (session, octets) = (session.to_vec(), octets(down_bytes, up_bytes));
        self.add(journal::Event::SessionStopped(journal::SessionStopped {
            session,
            octets,
            cause: 1,
        }));
    }

    /// Sequence number of the record that is written next.
    pub(crate) fn head(&self) -> u64 {
        self.records.len() as u64 + 1
    }

    /// Records `from` to before `to`.
    pub(crate) fn batch(&self, from: u64, to: u64) -> journal::Batch {
        let index = |seq: u64| usize::try_from(seq - 1).expect("a small journal");
        let (before, rest) = self.records.split_at(index(from));
        let prev_hash: Hash = before.iter().fold(GENESIS, |hash, one| journal::link(&hash, one));
        journal::Batch {
            epoch: self.epoch.to_vec(),
            first_seq: from,
            prev_hash: prev_hash.to_vec(),
            records: rest.iter().take(index(to) - index(from)).cloned().collect(),
        }
    }

    pub(crate) fn all(&self) -> journal::Batch {
        self.batch(1, self.head())
    }
}

fn octets(down_bytes: u64, up_bytes: u64) -> journal::Octets {
    let (down_packets, up_packets) = (down_bytes / 1000, up_bytes / 1000);
    Counters { down_bytes, up_bytes, down_packets, up_packets }.into()
}

pub(crate) fn session() -> SessionId {
    SessionId::from_uuid(Uuid::now_v7())
}
