//! The uplink against a real broker (mosquitto): what the controller sees of an edge, and what
//! the edge does with what the controller says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use edge_agent::{
    journal::{Journal, Reader},
    sessions::event::Event,
    settings,
    uplink::{Births, Uplink},
};
use prost::Message as _;
use rumqttc::{
    AsyncClient, Event as Mqtt, EventLoop, Incoming, MqttOptions, PublishOptions, mqttbytes::QoS,
};
use shared::{
    daemon::Life,
    id::{CommandId, EdgeId, EpochId, SessionId},
    secret::Secret,
    wire::{
        latest::{
            ack::{Ack, Verdict},
            command::{Action, Effect, Reply},
            journal::{Batch, EdgeStarted, GENESIS, Record, link},
            state::State,
        },
        topic::{FROM_ALL_EDGES, Leaf, Topic},
    },
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use uuid::Uuid;

/// Everything here is over in this time, or it hangs.
const SOON: Duration = Duration::from_secs(20);

struct Broker {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Broker {
    fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let mut broker = Self { port, folder: tempfile::tempdir().unwrap(), process: None };
        drop(free);
        broker.resume();
        broker
    }

    fn resume(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", self.port);
        std::fs::write(&config, text).unwrap();
        let process = Command::new(mosquitto())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn mosquitto() -> PathBuf {
    let places = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.expect("this test needs the broker `mosquitto`: cargo xtask setup").to_owned()
}

/// The controller's side, by hand.
struct Office {
    client: AsyncClient,
    events: EventLoop,
    edge: EdgeId,
}

impl Office {
    async fn open(port: u16, edge: EdgeId) -> Self {
        let mut options = MqttOptions::new("office", ("127.0.0.1", port));
        options.set_clean_start(true).set_keep_alive(5);
        let (client, events) = AsyncClient::builder(options).capacity(16).build();
        for filter in FROM_ALL_EDGES {
            client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        }
        Self { client, events, edge }
    }

    /// The next message below `leaf`; others are passed over.
    async fn next(&mut self, leaf: Leaf) -> Vec<u8> {
        let wanted = Topic { edge: self.edge, leaf }.to_string();
        let search = async {
            loop {
                match self.events.poll().await {
                    Ok(Mqtt::Incoming(Incoming::Publish(message)))
                        if message.topic == wanted.as_bytes() =>
                    {
                        return message.payload.to_vec();
                    }
                    Ok(_) => {}
                    // The broker is not there (yet, or again).
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        timeout(SOON, search).await.unwrap_or_else(|_| panic!("nothing on {wanted}"))
    }

    async fn batch(&mut self) -> Batch {
        Batch::decode(self.next(Leaf::UpJournal).await.as_slice()).unwrap()
    }

    async fn state(&mut self) -> State {
        serde_json::from_slice(&self.next(Leaf::State).await).unwrap()
    }

    /// Says it, and drives the connection until the broker has it.
    async fn say(&mut self, leaf: Leaf, message: &impl serde::Serialize) {
        let topic = Topic { edge: self.edge, leaf }.to_string();
        let payload = serde_json::to_vec(message).unwrap();
        let options = PublishOptions::at_least_once();
        self.client.publish(topic, payload, options).await.unwrap();
        let sent = async {
            loop {
                if let Ok(Mqtt::Incoming(Incoming::PubAck(_))) = self.events.poll().await {
                    return;
                }
            }
        };
        timeout(SOON, sent).await.unwrap();
    }
}

struct Edge {
    id: EdgeId,
    journal: Journal,
    path: PathBuf,
    written: watch::Sender<u64>,
    _applied: watch::Sender<u64>,
    events: Receiver<Event>,
    life: Life,
    _folder: tempfile::TempDir,
}

impl Edge {
    fn start(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let epoch = EpochId::from_uuid(Uuid::now_v7());
        let journal = Journal::open(&path, epoch).unwrap();
        let id = EdgeId::from_uuid(Uuid::now_v7());
        let (events_sender, events) = sync_channel(64);
        let (written, written_receiver) = watch::channel(journal.head().next_seq);
        let (applied_sender, applied) = watch::channel(3);
        let life = Life::default();
        let settings = settings::Uplink {
            url: format!("mqtt://127.0.0.1:{port}"),
            api: "http://127.0.0.1:1".to_owned(),
            edge: id,
            secret_file: PathBuf::new(),
            ca: None,
            secret: Some(Secret::new("s".to_owned())),
        };
        let uplink = Uplink {
            broker: Uplink::broker(&settings).unwrap(),
            journal: path.clone(),
            events: events_sender,
            written: written_receiver,
            applied,
            look_again: Arc::new(Notify::new()),
            births: Births::new(journal.birth()),
            interfaces: vec!["lan0".to_owned()],
            capabilities: vec!["shape:htb".to_owned()],
            live_every: Duration::from_mins(1),
            life: life.clone(),
        };
        life.spawn("uplink", uplink.run());
        Self { id, journal, path, written, _applied: applied_sender, events, life, _folder: folder }
    }

    fn append(&mut self, count: u64) {
        let records: Vec<Record> = (0..count)
            .map(|n| {
                let started = EdgeStarted { version: String::new(), birth: n, sessions: 0 };
                let event = shared::wire::latest::journal::Event::EdgeStarted(started);
                Record { at_ms: n, event: Some(event) }
            })
            .collect();
        self.journal.append(1, &records, &[]).unwrap();
        self.written.send_replace(self.journal.head().next_seq);
    }

    fn ack(&self, next_seq: u64, verdict: Verdict) -> Ack {
        Ack { epoch: self.journal.head().epoch, next_seq, verdict }
    }

    /// Waits until the session thread would have been told.
    async fn acknowledged(&mut self) -> u64 {
        let until = Instant::now() + SOON;
        while Instant::now() < until {
            match self.events.try_recv() {
                Ok(Event::Acked(next_seq)) => return next_seq,
                Ok(Event::List(answer)) => drop(answer.send(Vec::new())),
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("no acknowledgement arrived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_arrives_in_order_and_is_sent_until_it_is_acknowledged() {
    let broker = Broker::start();
    let mut edge = Edge::start(broker.port);
    let mut office = Office::open(broker.port, edge.id).await;
    let State::Online(birth) = office.state().await else { panic!("the edge is on-line") };
    assert_eq!((birth.applied_revision, birth.epoch), (3, edge.journal.head().epoch));

    edge.append(3);
    let first = office.batch().await;
    assert_eq!((first.first_seq, first.records.len()), (1, 3));
    assert_eq!(first.prev_hash, GENESIS);
    edge.append(2);
    let second = office.batch().await;
    assert_eq!(second.first_seq, 4);
    let hash = first.records.iter().fold(GENESIS, |hash, record| link(&hash, record));
    assert_eq!(second.prev_hash, hash);

    // Nothing is acknowledged: the broker's own acknowledgement proves nothing, so it comes again.
    let again = office.batch().await;
    assert_eq!((again.first_seq, again.records.len()), (1, 5));
    assert_eq!(Reader::open(&edge.path).unwrap().depth().unwrap(), 5);

    office.say(Leaf::DownAck, &edge.ack(6, Verdict::Committed)).await;
    assert_eq!(edge.acknowledged().await, 6);
    edge.life.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_filled_from_where_the_controller_says() {
    let broker = Broker::start();
    let mut edge = Edge::start(broker.port);
    let mut office = Office::open(broker.port, edge.id).await;
    let _ = office.state().await;
    edge.append(1);
    assert_eq!(office.batch().await.first_seq, 1);
    edge.append(1);
    assert_eq!(office.batch().await.first_seq, 2);
    office.say(Leaf::DownAck, &edge.ack(1, Verdict::Gap)).await;
    assert_eq!(office.batch().await.first_seq, 1);
    edge.life.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_is_found_again_and_nothing_is_missing() {
    let mut broker = Broker::start();
    let mut edge = Edge::start(broker.port);
    let mut office = Office::open(broker.port, edge.id).await;
    let State::Online(before) = office.state().await else { panic!("the edge is on-line") };
    broker.kill();
    edge.append(4);
    broker.resume();
    let mut office = Office::open(broker.port, edge.id).await;
    let State::Online(after) = office.state().await else { panic!("the edge is on-line") };
    assert!(after.birth > before.birth, "each connection is a new birth");
    let batch = office.batch().await;
    assert_eq!((batch.first_seq, batch.records.len()), (1, 4));
    edge.life.stop(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_dies_is_off_line_under_the_birth_that_died() {
    let broker = Broker::start();
    let edge = Edge::start(broker.port);
    let mut office = Office::open(broker.port, edge.id).await;
    let State::Online(alive) = office.state().await else { panic!("the edge is on-line") };
    edge.life.stop(SOON).await.unwrap();
    assert_eq!(office.state().await, State::Offline { birth: alive.birth });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_carried_out_once_and_what_was_observed_is_replied() {
    let broker = Broker::start();
    let edge = Edge::start(broker.port);
    let mut office = Office::open(broker.port, edge.id).await;
    // The edge subscribes before it says that it is on-line.
    let _ = office.state().await;
    let command = |expires_at_ms| shared::wire::latest::command::Command {
        id: CommandId::from_uuid(Uuid::now_v7()),
        expires_at_ms,
        action: Action::Disconnect { session: SessionId::from_uuid(Uuid::now_v7()) },
    };
    let Edge { events, life, .. } = edge;
    let answered = tokio::task::spawn_blocking(move || {
        loop {
            match events.recv_timeout(SOON) {
                Ok(Event::Disconnect(session, answer)) => {
                    answer.send(Effect::Done).unwrap();
                    return session;
                }
                Ok(Event::List(answer)) => drop(answer.send(Vec::new())),
                Ok(_) => {}
                Err(error) => panic!("no command arrived: {error}"),
            }
        }
    });
    let in_time = command(u64::MAX);
    office.say(Leaf::DownCommand, &in_time).await;
    let reply: Reply = serde_json::from_slice(&office.next(Leaf::UpReply).await).unwrap();
    assert_eq!(reply, Reply { id: in_time.id, effect: Effect::Done });
    let Action::Disconnect { session } = in_time.action else { panic!("as above") };
    assert_eq!(answered.await.unwrap(), session);

    let late = command(1);
    office.say(Leaf::DownCommand, &late).await;
    let reply: Reply = serde_json::from_slice(&office.next(Leaf::UpReply).await).unwrap();
    assert_eq!(reply, Reply { id: late.id, effect: Effect::Expired });
    life.stop(SOON).await.unwrap();
}
