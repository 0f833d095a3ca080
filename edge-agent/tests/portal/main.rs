//! The portal over a real link: redirects, probes, logging in and out, RFC 8908, and what a hostile
//! device can send.
//!
//! Most of it runs against sessions that this test makes up, so that every number is known; `daemon`
//! against the whole daemon.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    panic,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use edge_agent::{
    dataplane::{Reading, Slot, neighbour},
    desired::{Current, Snapshot},
    portal,
    sessions::{
        Limits,
        event::{AuthFailure, Event, Listed, Open},
        leases::Leases,
    },
    settings,
};
use shared::{
    daemon::Life,
    id::SessionId,
    octets::Counters,
    wire::latest::{command::Effect, desired::Desired, live::RoundTrips},
};

mod browser;
mod daemon;
mod hostile;
mod logins;
mod pages;
mod tls;
mod wispr;
mod world;

use world::{Cable, DEVICE, Reply, Side, ask};

const DESIRED: &str = r#"
    [[subscriber]]
    username = "amina"
    password = "simba & chui"
    down_kbps = 10000
    up_kbps = 5000
    data_bytes = 1000000000
    session_timeout = 3600
    [[subscriber]]
    username = "windows"
    nt_hash = "44ebba8d5312b8d611474411f56989ae"
    down_kbps = 1000
    up_kbps = 1000
    max_sessions = 1
    [[subscriber]]
    username = "late"
    password = "simba"
    class = "blocked"
    down_kbps = 1000
    up_kbps = 1000
"#;

/// What the sessions have been told, and what they say.
#[derive(Default)]
struct Told {
    opens: Vec<Open>,
    failures: Vec<AuthFailure>,
    live: BTreeMap<SessionId, Listed>,
    lists: usize,
}

/// A portal in a namespace, with sessions that this test makes up.
struct World {
    portal: SocketAddr,
    portal_v6: SocketAddr,
    told: Arc<Mutex<Told>>,
    leases: Arc<Leases>,
    life: Life,
    runtime: Option<tokio::runtime::Runtime>,
    /// Last: what was made in it goes first.
    cable: Cable,
}

impl World {
    fn new(name: &str) -> Self {
        Self::with_tls(name, None)
    }

    fn with_tls(name: &str, tls: Option<settings::PortalTls>) -> Self {
        count_panics();
        let cable = Cable::new(name);
        let desired: Desired = toml::from_str(DESIRED).unwrap();
        let current: Current = Arc::new(ArcSwap::from_pointee(Snapshot::new(desired).unwrap()));
        let (told, life) = (Arc::<Mutex<Told>>::default(), Life::default());
        let (sender, events) = sync_channel(64);
        let leases = Arc::<Leases>::default();
        let listener = Arc::clone(&told);
        thread::spawn(move || listen(&events, &listener));
        let (runtime, addresses) = cable.inside(Side::Edge, || {
            // Its threads are made here, and so in the namespace.
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime =
                runtime.worker_threads(2).thread_name(SERVER).enable_all().build().unwrap();
            let inside = runtime.enter();
            let settings = settings::Portal {
                listen: "10.77.0.1:2080".parse().unwrap(),
                listen_v6: Some("[fd77::1]:2080".parse().unwrap()),
                tls,
            };
            let bound = portal::bind(&settings).unwrap();
            let addresses = bound.addresses();
            bound.start(&current, &sender, &leases, &life);
            drop(inside);
            (runtime, addresses)
        });
        let [portal, portal_v6] = addresses.try_into().unwrap();
        Self { portal, portal_v6, told, leases, life, runtime: Some(runtime), cable }
    }

    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap())
    }

    /// From the device.
    #[track_caller]
    fn ask(&self, request: &str) -> Reply {
        self.cable.inside(Side::Device, || ask(self.portal, request))
    }

    #[track_caller]
    fn get(&self, host: &str, path: &str) -> Reply {
        self.ask(&get(host, path))
    }

    #[track_caller]
    fn own(&self, path: &str) -> Reply {
        self.get(&self.portal.to_string(), path)
    }

    #[track_caller]
    fn post(&self, path: &str, form: &str) -> Reply {
        self.ask(&post(self.portal, path, form))
    }

    /// As a person does: with the form that the page has.
    #[track_caller]
    fn login(&self, username: &str, password: &str) -> Reply {
        let token = self.own("/").token().to_owned();
        self.post("/login", &format!("token={token}&username={username}&password={password}"))
    }

    /// What the device has moved from now on, and when its session began.
    fn counted(&self, passed: Counters, ago: Duration) {
        self.told(|told| {
            for listed in told.live.values_mut() {
                listed.reading.passed = passed;
                listed.started_at_ms -= u64::try_from(ago.as_millis()).unwrap();
            }
        });
        // The portal asks again after half a second.
        thread::sleep(Duration::from_millis(600));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else there is fails the test")]
fn listen(events: &Receiver<Event>, told: &Mutex<Told>) {
    for event in events {
        let mut told = told.lock().unwrap();
        match event {
            Event::Open(open, ticket) => {
                let subscriber = &open.subscriber;
                let listed = Listed {
                    session: open.session,
                    username: subscriber.username.clone(),
                    nas: Arc::clone(&open.nas.name),
                    mac: open.mac,
                    ip: open.ip,
                    slot: Some(Slot(0)),
                    class: subscriber.class,
                    shape: subscriber.shape(),
                    limits: Limits {
                        data_bytes: subscriber.data_bytes,
                        session_seconds: subscriber.session_timeout.map(u64::from),
                        idle_seconds: None,
                    },
                    started_at_ms: now_ms(),
                    left_bytes: None,
                    reading: Reading::default(),
                    round_trips: RoundTrips::default(),
                };
                told.live.insert(open.session, listed);
                told.opens.push(*open);
                ticket.complete();
            }
            Event::List(answer) => {
                told.lists += 1;
                let _ = answer.send(told.live.values().cloned().collect());
            }
            Event::Disconnect(session, answer) => {
                let gone = told.live.remove(&session);
                let _ = answer.send(if gone.is_some() { Effect::Done } else { Effect::Nothing });
            }
            Event::AuthFailure(failure) => told.failures.push(failure),
            other => panic!("a portal has no business with {other:?}"),
        }
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn post(portal: SocketAddr, path: &str, form: &str) -> String {
    let form = form.replace(' ', "+");
    format!(
        "POST {path} HTTP/1.1\r\nHost: {portal}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    )
}

/// The name of the threads that serve.
const SERVER: &str = "portal-server";

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A task that panics is caught by the runtime: nobody would hear of it.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let count = thread::current().name() == Some(SERVER);
            PANICS.fetch_add(usize::from(count), Ordering::SeqCst);
            before(info);
        }));
    });
}

/// Where systems look, and what they hear when they are on-line.
const PROBES: &[(&str, &str, u16, &str)] = &[
    (
        "captive.apple.com",
        "/hotspot-detect.html",
        200,
        "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>",
    ),
    ("connectivitycheck.gstatic.com", "/generate_204", 204, ""),
    ("clients3.google.com", "/generate_204", 204, ""),
    ("www.google.com", "/generate_204", 204, ""),
    ("www.msftconnecttest.com", "/connecttest.txt", 200, "Microsoft Connect Test"),
    ("www.msftncsi.com", "/ncsi.txt", 200, "Microsoft NCSI"),
    ("detectportal.firefox.com", "/success.txt", 200, "success\n"),
];

#[test]
fn a_neighbour_is_found_by_its_address() {
    let cable = Cable::new("neighbour");
    cable.at(Side::Device, "ping -c 1 -W 2 10.77.0.1");
    cable.at(Side::Device, "ping -c 1 -W 2 fd77::1");
    let found = cable.inside(Side::Edge, || {
        [
            "10.77.0.2",
            "fd77::2",
            "::ffff:10.77.0.2",
            "10.77.0.3",
            "10.77.0.1",
            "127.0.0.1",
            "8.8.8.8",
        ]
        .map(|address| neighbour::mac_of(address.parse().unwrap()).unwrap())
    });
    let device = Some(DEVICE.parse().unwrap());
    assert_eq!(found, [device, device, device, None, None, None, None]);
}
