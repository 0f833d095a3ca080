//! Dynamic authorisation and accounting on the wire: an edge with its journal and its session
//! thread, and a NAS by hand that answers, loses, lies and keeps silent.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use edge_agent::{
    dataplane::{Garden, memory::Memory},
    desired::{Current, Snapshot},
    journal::{Journal, Reader},
    radius::{ASKS_MAX, Asker, bind},
    sessions::{
        Pace,
        desk::{Desk, EVENTS_MAX, Ways},
        event::{Event, Listed},
    },
    settings,
};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    attr::{mikrotik, vendor::Vendor},
    authenticator::{self, MessageAuthenticator},
    dynauth::{ErrorCause, Target},
    password,
};
use shared::{
    daemon::Life,
    id::{EpochId, SessionId},
    wire::latest::{
        command::Effect,
        desired::Desired,
        journal::{Answered, Asked, Event as Told, Observed, SessionEffect},
    },
};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

const SECRET: &str = "testing123";

/// Sooner than this something is there, or it does not come.
const SOON: Duration = Duration::from_secs(5);

fn secret() -> Secret {
    Secret::new(SECRET.as_bytes())
}

/// An edge, and a NAS at an address of its own.
struct World {
    auth: SocketAddr,
    acct: SocketAddr,
    dynauth: SocketAddr,
    current: Current,
    events: SyncSender<Event>,
    journal: PathBuf,
    nas: Nas,
    life: Life,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

struct Nas {
    at: IpAddr,
    /// Where it is asked.
    dynauth: UdpSocket,
    /// Where it asks from.
    asks: UdpSocket,
    next: std::cell::Cell<u8>,
}

fn socket(at: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((at, 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

impl World {
    /// `n` is the NAS's address, `nas` more of its keys, `amina` of hers.
    fn new(n: u8, nas: &str, amina: &str) -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::new(127, 0, 6, n)), nas, amina)
    }

    fn at(at: IpAddr, nas: &str, amina: &str) -> Self {
        let nas_sockets =
            Nas { at, dynauth: socket(at), asks: socket(at), next: std::cell::Cell::new(0) };
        let snapshot = snapshot(&nas_sockets, nas, Some(amina));
        let current: Current = Arc::new(ArcSwap::new(Arc::clone(&snapshot)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = Journal::open(&path, EpochId::from_uuid(Uuid::now_v7())).unwrap();
        let (written, _) = watch::channel(0);
        let (asks_sender, asks) = mpsc::channel(ASKS_MAX);
        let ways = Ways {
            written,
            asks: asks_sender,
            leases: Arc::default(),
            hungry: Arc::default(),
            base: Garden::default(),
        };
        let leases = Arc::clone(&ways.leases);
        let pace = Pace { report_ms: 2_000, silence_ms: 300_000 };
        let desk = Desk::open(journal, Box::new(Memory::default()), pace, ways).unwrap();
        let (events, inbox) = sync_channel(EVENTS_MAX);
        events.send(Event::Desired(snapshot, None)).unwrap();
        let life = Life::default();
        let desk_life = life.clone();
        thread::spawn(move || desk.run(&inbox, &desk_life));
        let here = match at {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let anywhere = SocketAddr::from((here, 0));
        let bound = bind(&settings::Radius {
            auth: vec![anywhere],
            acct: vec![anywhere],
            dynauth: vec![anywhere],
            ..settings::Radius::default()
        })
        .unwrap();
        let auth = bound.auth_address().unwrap();
        let acct = bound.acct_address().unwrap();
        let dynauth = bound.dynauth_address().unwrap();
        bound.start(&current, &events, &leases, &life).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(Asker::new(asks, Arc::clone(&current), events.clone()).run());
        let journal = path;
        Self {
            auth,
            acct,
            dynauth,
            current,
            events,
            journal,
            nas: nas_sockets,
            life,
            _runtime: runtime,
            _folder: folder,
        }
    }

    /// Other wishes from now on; without amina if there is nothing to say of her.
    fn want(&self, nas: &str, amina: Option<&str>) {
        let snapshot = snapshot(&self.nas, nas, amina);
        self.current.store(Arc::clone(&snapshot));
        self.events.send(Event::Desired(snapshot, None)).unwrap();
    }

    fn sessions(&self) -> Vec<Listed> {
        let (answer, listed) = oneshot::channel();
        self.events.send(Event::List(answer)).unwrap();
        listed.blocking_recv().unwrap()
    }

    fn disconnect(&self, session: SessionId) -> oneshot::Receiver<Effect> {
        let (answer, effect) = oneshot::channel();
        self.events.send(Event::Disconnect(session, answer)).unwrap();
        effect
    }

    fn told(&self) -> Vec<Told> {
        let records = Reader::open(&self.journal).unwrap().records(0).unwrap();
        records.into_iter().filter_map(|numbered| numbered.record?.event).collect()
    }

    #[track_caller]
    fn effect(&self, patience: Duration) -> SessionEffect {
        let end = Instant::now() + patience;
        loop {
            for told in self.told() {
                if let Told::SessionEffect(effect) = told {
                    return effect;
                }
            }
            assert!(Instant::now() < end, "no effect within {patience:?}: {:?}", self.told());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// An Accounting-Request of amina's session that is acknowledged.
    #[track_caller]
    fn says(&self, status: u32, fill: impl FnOnce(&mut Writer<'_>)) {
        let reply = self.nas.exchange(self.acct, |id, buffer| {
            let mut writer = Writer::accounting_request(buffer, Code::ACCOUNTING_REQUEST, id);
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, status)
                .text(AttrType::ACCT_SESSION_ID, "81a00001")
                .text(AttrType::USER_NAME, "amina")
                .text(AttrType::CALLING_STATION_ID, "02-00-00-00-00-01");
            fill(&mut writer);
            writer.sign(&secret()).unwrap().to_vec()
        });
        assert_eq!(Packet::decode(&reply.unwrap()).unwrap().code(), Code::ACCOUNTING_RESPONSE);
    }

    /// amina logs in with a device: the reply's code, and what it says.
    #[track_caller]
    fn logs_in(&self, device: u8) -> (Code, String) {
        let reply = self
            .nas
            .exchange(self.auth, |id, buffer| {
                let nonce = *Uuid::new_v4().as_bytes();
                let (hidden, len) = password::hide(b"simba", &nonce, &secret()).unwrap();
                let mut writer = Writer::request(buffer, Code::ACCESS_REQUEST, id, nonce);
                writer
                    .text(AttrType::USER_NAME, "amina")
                    .attr(AttrType::USER_PASSWORD, &hidden[..len])
                    .text(AttrType::CALLING_STATION_ID, &format!("02-00-00-00-00-{device:02X}"));
                writer.sign(&secret()).unwrap().to_vec()
            })
            .unwrap();
        let reply = Packet::decode(&reply).unwrap();
        let message = reply.attr(AttrType::REPLY_MESSAGE);
        let message = message.and_then(|attr| attr.text()).unwrap_or_default();
        (reply.code(), message.to_owned())
    }

    /// Somebody asks for something about a session here; `None` when there is no answer.
    fn asks(
        &self,
        code: Code,
        timestamp: Option<u32>,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Option<(Code, Option<ErrorCause>, Vec<u8>)> {
        let reply = self.nas.exchange(self.dynauth, |id, buffer| {
            let mut writer = Writer::change_request(buffer, code, id);
            if let Some(timestamp) = timestamp {
                writer.integer(AttrType::EVENT_TIMESTAMP, timestamp);
            }
            fill(&mut writer);
            writer.sign(&secret()).unwrap().to_vec()
        })?;
        let packet = Packet::decode(&reply).unwrap();
        let state = packet.attr(AttrType::STATE).map_or(Vec::new(), |attr| attr.value.to_vec());
        Some((packet.code(), ErrorCause::of(&packet), state))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

fn snapshot(nas: &Nas, more: &str, amina: Option<&str>) -> Arc<Snapshot> {
    let port = nas.dynauth.local_addr().unwrap().port();
    let at = nas.at;
    let amina = amina.map_or(String::new(), |more| {
        let rates =
            if more.contains("down_kbps") { "" } else { "down_kbps = 10000\nup_kbps = 5000\n" };
        format!("[[subscriber]]\nusername = \"amina\"\npassword = \"simba\"\n{rates}{more}\n")
    });
    let desired: Desired = toml::from_str(&format!(
        "[[nas]]\nname = \"n\"\naddress = \"{at}\"\nsecret = \"{SECRET}\"\n\
         dynauth_port = {port}\n{more}\n{amina}"
    ))
    .unwrap();
    Arc::new(Snapshot::new(desired).unwrap())
}

impl Nas {
    /// Sends a request and waits for its genuine reply.
    fn exchange(
        &self,
        to: SocketAddr,
        write: impl FnOnce(u8, &mut [u8; LEN_MAX]) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let request = write(id, &mut [0; LEN_MAX]);
        self.asks.send_to(&request, to).unwrap();
        let mut buffer = [0; LEN_MAX];
        let reply = match self.asks.recv_from(&mut buffer) {
            Ok((len, from)) => {
                assert_eq!(from, to);
                buffer[..len].to_vec()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        };
        let asked = Packet::decode(&request).unwrap();
        let packet = Packet::decode(&reply).unwrap();
        assert_eq!(packet.id(), id);
        authenticator::verify_reply(&packet, asked.authenticator(), &secret()).unwrap();
        Some(reply)
    }

    /// What this NAS is asked: genuine, and of now.
    #[track_caller]
    fn is_asked(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; LEN_MAX];
        let (len, from) = self.dynauth.recv_from(&mut buffer).expect("it is asked nothing");
        let request = buffer[..len].to_vec();
        let packet = Packet::decode(&request).unwrap();
        authenticator::verify_accounting(&packet, &secret()).unwrap();
        assert_eq!(
            authenticator::message_authenticator(&packet, &secret()),
            MessageAuthenticator::Valid
        );
        let made = radius::dynauth::event_timestamp(&packet).unwrap();
        assert!(now().abs_diff(made) <= 10);
        (request, from)
    }

    fn answers(&self, asked: &(Vec<u8>, SocketAddr), with: &Secret, code: Code, cause: u32) {
        let mut buffer = [0; LEN_MAX];
        let mut reply = Writer::reply(&mut buffer, code, &Packet::decode(&asked.0).unwrap());
        if cause != 0 {
            reply.integer(AttrType::ERROR_CAUSE, cause);
        }
        self.dynauth.send_to(reply.sign(with).unwrap(), asked.1).unwrap();
    }
}

fn now() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

const START: u32 = 1;
const STOP: u32 = 2;
const INTERIM: u32 = 3;

fn texts(request: &[u8]) -> HashMap<u8, Vec<u8>> {
    let packet = Packet::decode(request).unwrap();
    packet.attrs().map(|attr| (attr.kind.0, attr.value.to_vec())).collect()
}

#[test]
fn what_is_lost_is_sent_again_and_an_ack_with_its_stop_is_an_end() {
    let world = World::new(1, "", "");
    world.says(START, |_| {});
    let session = world.sessions()[0].session;
    let effect = world.disconnect(session);
    let first = world.nas.is_asked();
    assert_eq!(Packet::decode(&first.0).unwrap().code(), Code::DISCONNECT_REQUEST);
    let named = texts(&first.0);
    assert_eq!(named[&AttrType::ACCT_SESSION_ID.0], b"81a00001");
    assert_eq!(named[&AttrType::USER_NAME.0], b"amina");
    let asked_at = Instant::now();
    let second = world.nas.is_asked();
    assert_eq!(first, second, "the same octets from the same port");
    assert!(asked_at.elapsed() > Duration::from_millis(1_500), "{:?}", asked_at.elapsed());
    world.nas.answers(&second, &secret(), Code::DISCONNECT_ACK, 0);
    world.says(STOP, |writer| {
        writer.integer(AttrType::ACCT_TERMINATE_CAUSE, 6);
    });
    assert_eq!(effect.blocking_recv(), Ok(Effect::Done));
    let effect = world.effect(SOON);
    assert_eq!((effect.asked(), effect.answered()), (Asked::Disconnect, Answered::Ack));
    assert_eq!(effect.observed(), Observed::Ended);
    assert_eq!(SessionId::from_slice(&effect.session), Some(session));
    assert!(world.sessions().is_empty());
}

#[test]
fn a_forged_answer_is_none_and_a_refusal_says_why() {
    let world = World::new(2, "", "");
    world.says(START, |_| {});
    let effect = world.disconnect(world.sessions()[0].session);
    let asked = world.nas.is_asked();
    world.nas.answers(&asked, &Secret::new(b"guess"), Code::DISCONNECT_ACK, 0);
    // From another port of the NAS nothing counts either.
    let other = socket(world.nas.at);
    let mut buffer = [0; LEN_MAX];
    let request = Packet::decode(&asked.0).unwrap();
    let reply = Writer::reply(&mut buffer, Code::DISCONNECT_ACK, &request);
    other.send_to(reply.sign(&secret()).unwrap(), asked.1).unwrap();
    thread::sleep(Duration::from_millis(200));
    world.nas.answers(&asked, &secret(), Code::DISCONNECT_NAK, 501);
    match effect.blocking_recv().unwrap() {
        Effect::Failed { reason } => {
            assert!(reason.contains("Administratively-Prohibited"), "{reason}");
        }
        other @ (Effect::Done | Effect::Nothing | Effect::Expired) => panic!("{other:?}"),
    }
    let effect = world.effect(SOON);
    assert_eq!((effect.answered(), effect.error_cause), (Answered::Nak, 501));
    assert_eq!(effect.observed(), Observed::StillThere);
    assert_eq!(world.sessions().len(), 1);
}

#[test]
fn a_nas_that_lies_is_found_out() {
    let world = World::new(3, "", "");
    world.says(START, |_| {});
    let effect = world.disconnect(world.sessions()[0].session);
    let asked = world.nas.is_asked();
    world.nas.answers(&asked, &secret(), Code::DISCONNECT_ACK, 0);
    thread::sleep(Duration::from_secs(1));
    world.says(INTERIM, |writer| {
        writer.integer(AttrType::ACCT_INPUT_OCTETS, 100);
    });
    assert!(matches!(effect.blocking_recv().unwrap(), Effect::Failed { .. }));
    assert_eq!(world.effect(SOON).observed(), Observed::StillThere);
}

#[test]
fn a_nas_that_keeps_silent_is_given_up_in_half_a_minute() {
    let world = World::new(4, "", "");
    world.says(START, |_| {});
    let since = Instant::now();
    let effect = world.disconnect(world.sessions()[0].session);
    match effect.blocking_recv().unwrap() {
        Effect::Failed { reason } => assert!(reason.contains("does not answer"), "{reason}"),
        other @ (Effect::Done | Effect::Nothing | Effect::Expired) => panic!("{other:?}"),
    }
    let took = since.elapsed();
    assert!((29..35).contains(&took.as_secs()), "{took:?}");
    let effect = world.effect(SOON);
    assert_eq!((effect.answered(), effect.observed()), (Answered::Silence, Observed::Unknown));
    world.nas.dynauth.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sent = (0..9).take_while(|_| world.nas.dynauth.recv_from(&mut [0; LEN_MAX]).is_ok());
    let sent = sent.count();
    // After 0, 2, 6, 14 and 30 seconds, each wait a tenth more or less: the last one may be late.
    assert!((4..=5).contains(&sent), "{sent}");
}

#[test]
fn a_session_that_its_nas_does_not_know_is_over() {
    let world = World::new(5, "", "");
    world.says(START, |_| {});
    let effect = world.disconnect(world.sessions()[0].session);
    let asked = world.nas.is_asked();
    world.nas.answers(&asked, &secret(), Code::DISCONNECT_NAK, 503);
    assert_eq!(effect.blocking_recv(), Ok(Effect::Done));
    assert!(world.sessions().is_empty());
}

#[test]
fn over_ipv6_it_is_the_same() {
    let world = World::at(IpAddr::V6(Ipv6Addr::LOCALHOST), "", "");
    world.says(START, |_| {});
    let effect = world.disconnect(world.sessions()[0].session);
    let asked = world.nas.is_asked();
    world.says(STOP, |_| {});
    world.nas.answers(&asked, &secret(), Code::DISCONNECT_ACK, 0);
    assert_eq!(effect.blocking_recv(), Ok(Effect::Done));
}

#[test]
fn a_changed_plan_goes_to_the_nas_in_its_words() {
    let mikrotik = "vendor = \"mikrotik\"";
    let world = World::new(6, mikrotik, "");
    world.says(START, |writer| {
        writer.address(AttrType::FRAMED_IP_ADDRESS, IpAddr::from([10, 0, 0, 20]));
    });
    world.want(mikrotik, Some("down_kbps = 20000\nup_kbps = 8000"));
    let asked = world.nas.is_asked();
    let packet = Packet::decode(&asked.0).unwrap();
    assert_eq!(packet.code(), Code::COA_REQUEST);
    let rate = packet.attrs().find_map(|attr| attr.vendor_attrs().next()).unwrap();
    assert_eq!(rate.vendor, Vendor::MIKROTIK);
    assert_eq!((rate.attr.kind.0, rate.attr.value), (mikrotik::RATE_LIMIT, &b"8000k/20000k"[..]));
    assert_eq!(texts(&asked.0)[&AttrType::FRAMED_IP_ADDRESS.0], [10, 0, 0, 20]);
    world.nas.answers(&asked, &secret(), Code::COA_NAK, 402);
    let effect = world.effect(SOON);
    assert_eq!((effect.asked(), effect.answered()), (Asked::Change, Answered::Nak));
    assert_eq!((effect.error_cause, effect.observed()), (402, Observed::StillThere));
}

#[test]
fn who_is_removed_is_put_off_the_port_of_the_nas() {
    let here = "enforce = \"edge\"";
    let world = World::new(7, here, "");
    assert_eq!(world.logs_in(1).0, Code::ACCESS_ACCEPT);
    let session = world.sessions()[0].session;
    world.says(START, |writer| {
        writer.attr(AttrType::CLASS, &session.to_vec());
    });
    world.want(here, None);
    let asked = world.nas.is_asked();
    let named = texts(&asked.0);
    assert_eq!(named[&AttrType::CALLING_STATION_ID.0], b"02-00-00-00-00-01");
    assert_eq!(named[&AttrType::ACCT_SESSION_ID.0], b"81a00001");
    assert!(world.sessions().is_empty(), "the kernel's session needs no NAS to end");
    world.nas.answers(&asked, &secret(), Code::DISCONNECT_ACK, 0);
    // As hostapd does it: without an Acct-Terminate-Cause.
    world.says(STOP, |writer| {
        writer.attr(AttrType::CLASS, &session.to_vec());
    });
    assert_eq!(world.effect(SOON).observed(), Observed::Ended);
}

#[test]
fn who_is_blocked_is_put_off_the_port_too() {
    let here = "enforce = \"edge\"";
    let world = World::new(8, here, "");
    world.logs_in(1);
    world.want(here, Some("class = \"blocked\""));
    let asked = world.nas.is_asked();
    assert_eq!(Packet::decode(&asked.0).unwrap().code(), Code::DISCONNECT_REQUEST);
    // Accounting has not begun: the device is all that both know.
    assert_eq!(texts(&asked.0)[&AttrType::CALLING_STATION_ID.0], b"02-00-00-00-00-01");
}

#[test]
fn many_are_asked_off_at_once_and_none_is_forgotten() {
    const SESSIONS: usize = 300;
    let world = World::new(9, "", "");
    for n in 0..SESSIONS {
        let reply = world.nas.exchange(world.acct, |id, buffer| {
            let mut writer = Writer::accounting_request(buffer, Code::ACCOUNTING_REQUEST, id);
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, START)
                .text(AttrType::ACCT_SESSION_ID, &format!("s{n}"))
                .text(AttrType::USER_NAME, "amina");
            writer.sign(&secret()).unwrap().to_vec()
        });
        reply.unwrap();
    }
    world.want("", None);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < SESSIONS {
        let asked = world.nas.is_asked();
        seen.insert(texts(&asked.0)[&AttrType::ACCT_SESSION_ID.0].clone());
        world.nas.answers(&asked, &secret(), Code::DISCONNECT_NAK, 503);
    }
    let end = Instant::now() + 3 * SOON;
    while !world.sessions().is_empty() {
        assert!(Instant::now() < end, "{} are left", world.sessions().len());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn others_end_and_change_sessions_of_this_edge() {
    let here = "enforce = \"edge\"";
    let world = World::new(10, here, "");
    world.nas.asks.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    world.logs_in(1);
    let amina = |writer: &mut Writer<'_>| {
        Target { username: Some(b"amina"), ..Target::default() }.write(writer);
    };
    let (change, end) = (Code::COA_REQUEST, Code::DISCONNECT_REQUEST);

    let faster = |writer: &mut Writer<'_>| {
        amina(writer);
        writer.attr(AttrType::STATE, b"as it was");
        writer.vendor(Vendor::MIKROTIK, mikrotik::RATE_LIMIT, b"2M/40M");
    };
    let answer = world.asks(change, Some(now()), faster).unwrap();
    assert_eq!(answer, (Code::COA_ACK, None, b"as it was".to_vec()));
    let shape = world.sessions()[0].shape;
    assert_eq!((shape.down_kbps.get(), shape.up_kbps.get()), (40_000, 2_000));

    let nak = |code, why| Some((code, Some(why), Vec::new()));
    let unsupported = world.asks(change, Some(now()), |writer| {
        amina(writer);
        writer.text(AttrType::FILTER_ID, "x");
    });
    assert_eq!(unsupported, nak(Code::COA_NAK, ErrorCause::UNSUPPORTED_ATTRIBUTE));
    let brian = world.asks(end, Some(now()), |writer| {
        writer.text(AttrType::USER_NAME, "brian");
    });
    assert_eq!(brian, nak(Code::DISCONNECT_NAK, ErrorCause::SESSION_CONTEXT_NOT_FOUND));
    let elsewhere = world.asks(end, Some(now()), |writer| {
        amina(writer);
        writer.text(AttrType::NAS_IDENTIFIER, "ap-7");
    });
    assert_eq!(elsewhere, nak(Code::DISCONNECT_NAK, ErrorCause::NAS_IDENTIFICATION_MISMATCH));
    let timeless = world.asks(end, None, amina);
    assert_eq!(timeless, nak(Code::DISCONNECT_NAK, ErrorCause::MISSING_ATTRIBUTE));

    // Recorded and sent again; with another secret; from nowhere: no answer at all.
    assert_eq!(world.asks(end, Some(now() - 301), amina), None);
    let forged = world.nas.exchange(world.dynauth, |id, buffer| {
        let mut writer = Writer::change_request(buffer, end, id);
        amina(&mut writer);
        writer.integer(AttrType::EVENT_TIMESTAMP, now());
        writer.sign(&Secret::new(b"guess")).unwrap().to_vec()
    });
    assert_eq!(forged, None);
    assert_eq!(world.sessions().len(), 1);

    world.logs_in(2);
    let several = world.asks(end, Some(now()), amina);
    let why = ErrorCause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED;
    assert_eq!(several, nak(Code::DISCONNECT_NAK, why));
    let first = |writer: &mut Writer<'_>| {
        amina(writer);
        writer.text(AttrType::CALLING_STATION_ID, "02:00:00:00:00:01");
    };
    let done = world.asks(end, Some(now()), first).unwrap();
    assert_eq!((done.0, world.sessions().len()), (Code::DISCONNECT_ACK, 1));
}

/// `radclient` asks for `what` and prints what it gets.
fn radclient(world: &World, what: &str, attributes: &str) -> String {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "1", "-t", "2", &world.dynauth.to_string(), what, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("radclient: {error}: apt-get install freeradius-utils"));
    let from = world.nas.at;
    let request =
        format!("Packet-Src-IP-Address = {from}\nEvent-Timestamp = {}\n{attributes}\n", now());
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn radclient_changes_and_ends_a_session_here() {
    let world = World::new(15, "enforce = \"edge\"", "");
    world.logs_in(1);
    let said = radclient(
        &world,
        "coa",
        "User-Name = amina\nWISPr-Bandwidth-Max-Down = 7000000\nState = 0x6162",
    );
    assert!(said.contains("Received CoA-ACK") && said.contains("State = 0x6162"), "{said}");
    assert_eq!(world.sessions()[0].shape.down_kbps.get(), 7_000);
    let said = radclient(&world, "disconnect", "User-Name = brian");
    assert!(said.contains("Error-Cause = Session-Context-Not-Found"), "{said}");
    let said = radclient(
        &world,
        "disconnect",
        "Calling-Station-Id = 02-00-00-00-00-01\nMessage-Authenticator = 0x00",
    );
    assert!(said.contains("Received Disconnect-ACK"), "{said}");
    assert!(world.sessions().is_empty());
}

#[test]
fn a_repeated_question_has_the_same_answer() {
    let world = World::new(11, "enforce = \"edge\"", "");
    world.logs_in(1);
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::change_request(&mut buffer, Code::DISCONNECT_REQUEST, 77);
    writer.text(AttrType::USER_NAME, "amina").integer(AttrType::EVENT_TIMESTAMP, now());
    let request = writer.sign(&secret()).unwrap().to_vec();
    let answers: Vec<Vec<u8>> = (0..2)
        .map(|_| {
            world.nas.asks.send_to(&request, world.dynauth).unwrap();
            let mut buffer = [0; LEN_MAX];
            let len = world.nas.asks.recv(&mut buffer).unwrap();
            buffer[..len].to_vec()
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][0], Code::DISCONNECT_ACK.0);
}

#[test]
fn one_device_more_than_may_be_waits_until_one_is_gone() {
    let world = World::new(12, "", "max_sessions = 2");
    assert_eq!(world.logs_in(1).0, Code::ACCESS_ACCEPT);
    assert_eq!(world.logs_in(2).0, Code::ACCESS_ACCEPT);
    let (code, message) = world.logs_in(3);
    assert_eq!(code, Code::ACCESS_REJECT);
    assert!(message.contains("Too many"), "{message}");
    // Who is on-line may log in again.
    assert_eq!(world.logs_in(1).0, Code::ACCESS_ACCEPT);
    world.says(START, |_| {});
    world.says(STOP, |_| {});
    assert_eq!(world.logs_in(3).0, Code::ACCESS_ACCEPT);
    assert_eq!(world.logs_in(1).0, Code::ACCESS_REJECT);
    let end = Instant::now() + SOON;
    let reasons = || {
        world.told().into_iter().find_map(|told| {
            let Told::AuthFailures(failures) = told else { return None };
            Some((failures.username, failures.reason))
        })
    };
    while reasons().is_none() {
        assert!(Instant::now() < end, "the journal does not say why");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(reasons(), Some(("amina".to_owned(), "too many devices".to_owned())));
}

#[test]
fn a_thousand_records_at_once_share_the_disk() {
    let world = World::new(13, "", "");
    let sockets: Vec<UdpSocket> = (0..10).map(|_| socket(world.nas.at)).collect();
    for (n, socket) in sockets.iter().enumerate() {
        for id in 0..100 {
            let mut buffer = [0; LEN_MAX];
            let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, id);
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, START)
                .text(AttrType::ACCT_SESSION_ID, &format!("{n}-{id}"))
                .text(AttrType::USER_NAME, "amina");
            socket.send_to(writer.sign(&secret()).unwrap(), world.acct).unwrap();
        }
    }
    for socket in &sockets {
        for _ in 0..100 {
            socket.recv(&mut [0; LEN_MAX]).expect("each is acknowledged");
        }
    }
    let records = world.told();
    let started = records.iter().filter(|told| matches!(told, Told::SessionStarted(_)));
    assert_eq!(started.count(), 1_000);
    // Each batch is one transaction with one fsync.
    let db = rusqlite::Connection::open(&world.journal).unwrap();
    let batches: u32 = db.query_row("select count(*) from batch", [], |row| row.get(0)).unwrap();
    assert!(batches < 300, "{batches} transactions for 1,000 records");
}

#[test]
fn what_could_not_be_written_down_is_not_acknowledged() {
    let world = World::new(14, "", "");
    world.nas.asks.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    world.says(START, |_| {});
    let db = rusqlite::Connection::open(&world.journal).unwrap();
    db.execute_batch("alter table batch rename to batch_that_was").unwrap();
    let reply = world.nas.exchange(world.acct, |id, buffer| {
        let mut writer = Writer::accounting_request(buffer, Code::ACCOUNTING_REQUEST, id);
        writer
            .integer(AttrType::ACCT_STATUS_TYPE, STOP)
            .text(AttrType::ACCT_SESSION_ID, "81a00001")
            .text(AttrType::USER_NAME, "amina");
        writer.sign(&secret()).unwrap().to_vec()
    });
    assert_eq!(reply, None);
    assert!(world.life.is_stopping(), "half a daemon is worse than none");
}
