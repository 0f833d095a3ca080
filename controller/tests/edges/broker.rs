//! Who gets in and who hears what, at both brokers; and a broker that goes away.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use prost::Message as _;
use rumqttc::{Packet, PubAckReason, PublishNoticeError, PublishOptions, PublishResult, QoS};
use shared::{
    id::EdgeId,
    secret::Secret,
    wire::{
        latest::{ack::Verdict, desired::Pointer},
        topic::{self, Leaf, Topic},
    },
};
use uuid::Uuid;

use crate::{
    edge::{Edge, Journal, is_refused, session},
    world::{Kind, World, soon},
};

/// The external broker, with the access rules that an office would give it.
pub(crate) struct Mosquitto {
    pub(crate) address: SocketAddr,
    /// Of the user `controller`.
    pub(crate) password: Secret,
    child: Child,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mosquitto {
    pub(crate) fn start(folder: &Path, edge: EdgeId, secret: &Secret) -> Self {
        let password = Secret::new("the controller's own password".to_owned());
        let users = folder.join("users");
        fs::write(&users, "").expect("a file");
        for (user, password) in [("controller", &password), (&edge.to_string(), secret)] {
            let done = Command::new("mosquitto_passwd")
                .arg("-b")
                .arg(&users)
                .args([user, password.expose()])
                .status()
                .unwrap_or_else(|error| panic!("these tests need mosquitto: {error}"));
            assert!(done.success(), "mosquitto_passwd failed");
        }
        let acl = folder.join("acl");
        let rules = "user controller\n\
                     topic readwrite kennet/v1/#\n\
                     pattern write kennet/v1/e/%u/up/#\n\
                     pattern write kennet/v1/e/%u/state\n\
                     pattern read kennet/v1/e/%u/down/#\n";
        fs::write(&acl, rules).expect("a file");
        // Free a moment ago; mosquitto cannot say which one it would take.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr());
        let address = address.expect("a free port");
        let settings = folder.join("mosquitto.conf");
        let text = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\n\
             acl_file {}\npersistence false\nmax_queued_messages 0\nlog_type error\n",
            address.port(),
            users.display(),
            acl.display()
        );
        fs::write(&settings, text).expect("a file");
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(&settings)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need mosquitto: {error}"));
        let broker = Self { address, password, child };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return broker;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("mosquitto does not listen on {address}");
    }
}

async fn nobody_else_comes_in(kind: Kind) {
    let world = World::new(kind).await;
    let (address, id, name) = (world.broker.address(), world.edge, world.edge.to_string());
    let wrong = Secret::new("not the secret".to_owned());
    assert!(is_refused(Edge::open(address, id, &name, &wrong, 1).await));
    let stranger = EdgeId::from_uuid(Uuid::now_v7());
    let called = stranger.to_string();
    assert!(is_refused(Edge::open(address, stranger, &called, &world.secret, 1).await));
    assert!(Edge::open(address, id, &name, &world.secret, 1).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_comes_in_at_the_embedded_broker() {
    nobody_else_comes_in(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_comes_in_at_mosquitto() {
    nobody_else_comes_in(Kind::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_comes_in_under_its_own_name_until_it_is_revoked() {
    let world = World::new(Kind::Embedded).await;
    let (address, id, name) = (world.broker.address(), world.edge, world.edge.to_string());
    let other = format!("{name}-2");
    assert!(is_refused(Edge::open(address, id, &other, &world.secret, 1).await));
    assert!(is_refused(Edge::open(address, id, "controller-x", &world.secret, 1).await));

    let mut inside = Edge::connect(&world, 1).await;
    world.run(format!("UPDATE edge SET revoked = true WHERE id = '{}'", id.as_uuid())).await;
    world.office.cutter().cut_off(id).await;
    inside.cut_off().await;
    assert!(is_refused(Edge::open(address, id, &name, &world.secret, 2).await));
}

/// What is published elsewhere is not taken, and what is said to others is not heard.
async fn an_edge_keeps_to_its_own_topics(kind: Kind) {
    let world = World::new(kind).await;
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let edge = Edge::connect(&world, 1).await;

    let mut journal = Journal::new();
    journal.usage(session(), 1000, 1000);
    let foreign = Topic { edge: other, leaf: Leaf::UpJournal }.to_string();
    let payload = journal.all().encode_to_vec();
    let notice = edge.client.publish_tracked(foreign, payload, PublishOptions::at_least_once());
    let answer = notice.await.expect("the client runs").wait_async().await;
    assert!(is_not_authorized(&answer), "{answer:?}");
    // mosquitto also ends the connection of who tries.
    drop(edge);
    let mut edge = Edge::connect(&world, 2).await;

    for filter in [topic::down_of(other), "kennet/v1/e/+/down/#".to_owned(), "#".to_owned()] {
        // mosquitto's rules are about messages, not about filters: it takes the filter and
        // delivers nothing.
        let taken = edge.subscribe(&filter).await.is_ok();
        assert!(!taken || matches!(kind, Kind::Mosquitto), "{filter}");
    }
    let pointer = |revision| Pointer { revision, hash: String::new() };
    world.office.link.point(other, &pointer(1)).await.expect("the link is up");
    world.office.link.point(world.edge, &pointer(2)).await.expect("the link is up");
    loop {
        if let Packet::Publish(publish) = edge.packet("the edge's own pointer").await {
            let own = Topic { edge: world.edge, leaf: Leaf::DownDesired }.to_string();
            assert_eq!(publish.topic, own.as_bytes());
            break;
        }
    }
    // Its own journal is answered, so the foreign one, sent before, would be there by now.
    assert_eq!(edge.report(&journal.all()).await, (2, Verdict::Committed));
    assert_eq!(world.ask("SELECT count(*) FROM journal_cursor").await, "1");
}

fn is_not_authorized(answer: &Result<PublishResult, PublishNoticeError>) -> bool {
    match answer {
        Ok(PublishResult::Qos1(ack)) => ack.reason == PubAckReason::NotAuthorized,
        Err(PublishNoticeError::V5PubAck(reason)) => *reason == PubAckReason::NotAuthorized,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_keeps_to_its_own_topics_at_the_embedded_broker() {
    an_edge_keeps_to_its_own_topics(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_keeps_to_its_own_topics_at_mosquitto() {
    an_edge_keeps_to_its_own_topics(Kind::Mosquitto).await;
}

/// Who comes later hears all of a thousand retained messages.
async fn a_thousand_pointers_are_kept(kind: Kind) {
    const POINTERS: usize = 1000;
    let world = World::new(kind).await;
    let edges: BTreeSet<_> = (0..POINTERS).map(|_| EdgeId::from_uuid(Uuid::now_v7())).collect();
    for edge in &edges {
        let pointer = Pointer { revision: 7, hash: "0".repeat(64) };
        world.office.link.point(*edge, &pointer).await.expect("the link is up");
    }
    let target = world.broker.target();
    let (user, password) = target.login.expect("a login");
    let mut options = rumqttc::MqttOptions::new("controller-late", (target.host, target.port));
    options.set_credentials(user, password.expose().to_owned());
    let (client, mut events) = rumqttc::AsyncClient::builder(options).capacity(8).build();
    client.subscribe("kennet/v1/e/+/down/desired", QoS::AtLeastOnce).await.expect("it runs");
    let mut heard = BTreeSet::new();
    let all = async {
        while heard.len() < POINTERS {
            let event = events.poll().await.expect("the broker stays");
            if let rumqttc::Event::Incoming(Packet::Publish(publish)) = event {
                let topic = std::str::from_utf8(&publish.topic).expect("text");
                let edge = topic.parse::<Topic>().expect("a topic of ours").edge;
                // The world's own edge has a pointer too.
                heard.extend(edges.get(&edge));
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(in_time.is_ok(), "only {} of {POINTERS} pointers are there", heard.len());
    assert_eq!(heard, edges);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pointers_are_kept_by_the_embedded_broker() {
    a_thousand_pointers_are_kept(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pointers_are_kept_by_mosquitto() {
    a_thousand_pointers_are_kept(Kind::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_loses_no_record_and_doubles_none() {
    let mut world = World::new(Kind::Embedded).await;
    let session = session();
    let mut journal = Journal::new();
    journal.start(session, |_| {});
    (1..=10).for_each(|n| journal.usage(session, n * 1000, n * 100));

    let mut edge = Edge::connect(&world, 1).await;
    assert_eq!(edge.report(&journal.batch(1, 6)).await, (6, Verdict::Committed));
    // On its way when the broker goes; whether it arrived is not known.
    edge.send(Leaf::UpJournal, journal.batch(6, 9).encode_to_vec()).await;
    world.restart_broker().await;
    drop(edge);

    // The controller's password is another one with every start of the embedded broker, as every
    // start of the daemon makes both anew.
    world.restart_office().await;
    let mut edge = Edge::connect(&world, 2).await;
    edge.be_born(2, journal.epoch, 0).await;
    let (next, verdict) = edge.acked().await;
    assert_eq!(verdict, Verdict::Committed);
    assert!(next == 6 || next == 9, "{next}");
    assert_eq!(edge.report(&journal.batch(6, journal.head())).await.1, Verdict::Committed);
    assert_eq!(world.ask("SELECT down_bytes FROM session").await, "10000");
    assert_eq!(world.ask("SELECT sum(down_bytes) FROM usage").await, "10000");
}

/// The same broker is away for a while: the link comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_comes_back_by_itself() {
    let world = World::new(Kind::Mosquitto).await;
    let crate::world::Running::Mosquitto(mosquitto) = &world.broker else { panic!("mosquitto") };
    // Stopped by the scheduler it answers nothing: a broker whose machine hangs.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(mosquitto.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    soon("the link is up", world.office.link.wait_until_up()).await;
    let mut journal = Journal::new();
    journal.usage(session(), 1000, 1000);
    let mut edge = Edge::connect(&world, 1).await;
    assert_eq!(edge.report(&journal.all()).await, (2, Verdict::Committed));
}
