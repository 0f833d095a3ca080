//! The portal over a real link: redirects, probes, logging in and out, RFC 8908, and what a hostile
//! device can send.
//!
//! Most of it runs against sessions that this test makes up, so that every number is known; the last
//! one against the whole daemon.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    panic,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
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
use serde_json::Value;
use shared::{
    daemon::Life,
    id::SessionId,
    octets::Counters,
    wire::latest::{command::Effect, desired::Desired, live::RoundTrips},
};

mod browser;
mod kernel;
mod wispr;
mod world;

use browser::Browser;
use world::{Cable, DEVICE, Reply, Side, ask, send};

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
fn a_device_that_is_not_on_line_is_sent_to_the_page_whatever_it_asks() {
    let world = World::new("away");
    let page = format!("http://{}/", world.portal);
    let probes = PROBES.iter().map(|&(host, path, ..)| (host, path));
    for (host, path) in probes.chain([("example.com", "/a?b=c"), ("10.77.0.1", "/")]) {
        let reply = world.get(host, path);
        assert_eq!(reply.status, 302, "{host}{path}");
        assert_eq!(reply.header("location"), Some(&*page), "{host}{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.body.contains(&page), "{}", reply.body);
    }
    for request in [
        "GET http://example.com/x HTTP/1.1\r\nHost: ignored\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "POST /login HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\na=b".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned(),
    ] {
        assert_eq!(world.ask(&request).status, 302, "{request}");
    }
    let six = world.cable.inside(Side::Device, || {
        (
            ask(world.portal_v6, &get("example.com", "/")),
            ask(world.portal_v6, &get("[fd77::1]:2080", "/")),
        )
    });
    assert_eq!(six.0.header("location"), Some("http://[fd77::1]:2080/"));
    assert!(six.1.body.contains(&format!("Device {DEVICE}")), "{}", six.1.body);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}

/// As the data plane does for those who are not on-line.
fn rewrite(cable: &Cable) {
    cable.at(Side::Device, "ip route add default via 10.77.0.1");
    for rule in [
        "nft add table ip portal",
        "nft add chain ip portal before { type nat hook prerouting priority dstnat ; }",
        "nft add rule ip portal before iifname lan0 tcp dport 80 redirect to :2080",
        // Who asks for TLS hears at once that there is nobody.
        "nft add rule ip portal before iifname lan0 tcp dport 443 redirect to :1",
    ] {
        cable.at(Side::Edge, rule);
    }
}

#[test]
fn a_person_with_a_browser_comes_in_and_goes_again() {
    let world = World::new("browser");
    rewrite(&world.cable);
    let browser = Browser::start(&world.cable, "203.0.113.9", "10.77.0.1");
    browser.open("http://captive.apple.com/hotspot-detect.html");
    assert_eq!(browser.url(), format!("http://{}/", world.portal));
    // The page is drawn as it is meant: its policy lets its own style through.
    assert_eq!(browser.style(".small", "opacity"), "0.8");
    browser.click("a[lang=sw]");
    browser.reads("button", "Ingia");
    browser.type_into("input[name=username]", "amina");
    browser.type_into("input[name=password]", "simbA & chui");
    browser.click("button");
    browser.reads(".bad", "Jina la mtumiaji au nenosiri si sahihi.");
    browser.type_into("input[name=password]", "simba & chui");
    browser.click("button");
    browser.reads(".good", "Umeunganishwa.");
    assert_eq!(browser.url(), format!("http://{}/?lang=sw", world.portal));
    assert_eq!(world.told(|told| told.opens.len()), 1);
    browser.open("http://captive.apple.com/hotspot-detect.html");
    browser.reads("body", "Success");
    browser.open(&format!("http://{}/?lang=en", world.portal));
    browser.reads("dd", "amina");
    browser.click("button");
    browser.reads("h1 + p", "You are not on-line yet.");
    assert_eq!(world.told(|told| told.live.len()), 0);
}

#[test]
fn what_the_kernel_rewrites_is_answered_in_the_name_of_who_was_asked() {
    let world = World::new("nat");
    rewrite(&world.cable);
    let elsewhere = "203.0.113.9:80".parse().unwrap();
    let asked = || {
        let request = get("captive.apple.com", "/hotspot-detect.html");
        world.cable.inside(Side::Device, || ask(elsewhere, &request))
    };
    assert_eq!(asked().header("location"), Some(&*format!("http://{}/", world.portal)));
    assert_eq!(world.login("amina", "simba+%26+chui").status, 303);
    assert!(asked().body.contains("<TITLE>Success</TITLE>"));
}

#[test]
fn a_page_is_small_whole_and_in_the_language_that_is_liked() {
    let world = World::new("page");
    let reply = world.own("/");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-language"), Some("en"));
    assert!(reply.body.contains("You are not on-line yet."), "{}", reply.body);
    assert!(reply.body.contains(&format!("Device {DEVICE}")), "{}", reply.body);
    assert!(reply.body.len() < 60_000);
    let portal = world.portal;
    let swahili = "Accept-Language: sw-KE, en;q=0.5";
    let reply = world.ask(&format!("GET / HTTP/1.1\r\nHost: {portal}\r\n{swahili}\r\n\r\n"));
    assert!(reply.body.contains("Nenosiri"), "{}", reply.body);
    let reply =
        world.ask(&format!("GET /?lang=en HTTP/1.1\r\nHost: {portal}\r\n{swahili}\r\n\r\n"));
    assert!(reply.body.contains("Password"), "{}", reply.body);
    let head = world.ask(&format!("HEAD / HTTP/1.1\r\nHost: {portal}\r\n\r\n"));
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(world.own("/favicon.ico").status, 404);
    let reply = world.post("/", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn who_is_at_no_link_of_ours_is_unknown_and_cannot_log_in() {
    let world = World::new("unknown");
    let (portal, stranger) = (world.portal, "token=x&username=amina&password=simba+%26+chui");
    // From the edge's own host: it has no neighbour at its own address.
    let (page, login) = world.cable.inside(Side::Edge, || {
        let page = ask(portal, &get(&portal.to_string(), "/"));
        (page, ask(portal, &post(portal, "/login", stranger)))
    });
    assert!(page.body.contains("This device is not known here."), "{}", page.body);
    assert!(!page.body.contains("<form"), "{}", page.body);
    assert_eq!(login.status, 403);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}

#[test]
fn who_logs_in_has_a_session_and_is_on_line_until_they_log_out() {
    let world = World::new("login");
    let reply = world.login("amina", "simba+%26+chui");
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(reply.header("location"), Some("/?lang=en"));
    world.told(|told| {
        let [open] = &told.opens[..] else { panic!("{:?}", told.opens) };
        assert_eq!(open.mac.map(|mac| mac.to_string()).as_deref(), Some(DEVICE));
        assert_eq!(open.ip, Some("10.77.0.2".parse().unwrap()));
        assert_eq!((&*open.subscriber.username, &*open.nas.name), ("amina", "portal"));
    });

    let page = world.own("/");
    for text in ["You are on-line.", "amina", "10 Mbit/s", "5 Mbit/s", "1 GB", " min"] {
        assert!(page.body.contains(text), "{text} in {}", page.body);
    }
    for &(host, path, status, body) in PROBES {
        let reply = world.get(host, path);
        assert_eq!((reply.status, &*reply.body), (status, body), "{host}{path}");
    }
    assert_eq!(world.get("example.com", "/").status, 302);
    // The same device over IPv6.
    let six =
        world.cable.inside(Side::Device, || ask(world.portal_v6, &get("[fd77::1]:2080", "/")));
    assert!(six.body.contains("You are on-line."), "{}", six.body);
    // The form was sent twice.
    let token = page.token().to_owned();
    let again = format!("token={token}&username=amina&password=simba+%26+chui");
    assert_eq!(world.post("/login", &again).status, 303);
    assert_eq!(world.told(|told| told.opens.len()), 1);

    assert_eq!(world.post("/logout", "token=").status, 403, "a form of somebody else's");
    assert_eq!(world.told(|told| told.live.len()), 1);
    assert_eq!(world.post("/logout", &format!("token={token}")).status, 303);
    assert_eq!(world.told(|told| told.live.len()), 0);
    assert!(world.own("/").body.contains("You are not on-line yet."));
    assert_eq!(world.get(PROBES[0].0, PROBES[0].1).status, 302);
}

#[test]
fn a_wrong_password_opens_nothing_and_guessing_is_slow() {
    let world = World::new("wrong");
    let reply = world.login("amina", "<b>\"guess");
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("Wrong username or password."), "{}", reply.body);
    assert!(reply.body.contains("value=\"amina\""), "{}", reply.body);
    let reply = world.login("<script>", "x");
    assert!(reply.body.contains("value=\"&lt;script&gt;\""), "{}", reply.body);
    assert!(!reply.body.contains("<script"), "{}", reply.body);
    assert!(world.login("late", "simba").body.contains("Your access is blocked."));
    // Without a form of ours, even the right password does nothing, and is no try.
    for _ in 0..10 {
        let reply = world.post("/login", "username=amina&password=simba+%26+chui");
        assert_eq!(reply.status, 403);
        assert!(reply.body.contains("This page was too old."), "{}", reply.body);
    }
    assert_eq!(world.login("amina", "").status, 403);
    assert_eq!(world.login("amina", &"x".repeat(200)).status, 403);
    // Five tries; even the right one now waits.
    let reply = world.login("amina", "simba+%26+chui");
    assert_eq!(reply.status, 429);
    assert!(reply.body.contains("Too many attempts."), "{}", reply.body);
    world.told(|told| {
        assert_eq!(told.opens.len(), 0);
        let reasons: Vec<&str> = told.failures.iter().map(|failure| failure.reason).collect();
        let wrong = "wrong password";
        assert_eq!(reasons, [wrong, "unknown subscriber", "blocked", wrong, wrong]);
        assert!(told.failures.iter().all(|failure| &*failure.nas == "portal"));
    });
    let large = format!("token={}", "x".repeat(10_000));
    assert_eq!(world.post("/login", &large).status, 413);
}

#[test]
fn a_hash_is_enough_and_simultaneous_use_counts_here_too() {
    let world = World::new("hash");
    let other = shared::net::Mac([2, 0, 0, 0, 0, 9]);
    let taken = |mac| {
        let device = Some(edge_agent::sessions::Device::Mac(mac));
        world.leases.take("windows", device, 1, Instant::now()).is_ok()
    };
    assert!(taken(other));
    let reply = world.login("windows", "clientPass");
    assert!(reply.body.contains("Too many of your devices"), "{}", reply.body);
    let world = World::new("hash2");
    assert_eq!(world.login("windows", "clientPass").status, 303);
    let device = Some(edge_agent::sessions::Device::Mac(other));
    assert!(world.leases.take("windows", device, 1, Instant::now()).is_err());
}

#[test]
fn a_device_that_asks_hears_the_very_numbers_of_its_session() {
    let world = World::new("capport");
    let state = || -> Value {
        let reply = world.own("/api/captive-portal");
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/captive+json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        serde_json::from_str(&reply.body).unwrap()
    };
    let url = format!("http://{}/", world.portal);
    let captive = serde_json::json!({
        "captive": true, "user-portal-url": url, "can-extend-session": false
    });
    assert_eq!(state(), captive);
    assert_eq!(world.login("amina", "simba+%26+chui").status, 303);
    let moved = |down_bytes, up_bytes| Counters { down_bytes, up_bytes, ..Counters::default() };
    world.counted(moved(123_456_789, 1_000_001), Duration::from_secs(100));
    let said = state();
    assert_eq!(said["captive"], false);
    assert_eq!(said["bytes-remaining"], 1_000_000_000 - 123_456_789 - 1_000_001);
    let seconds = said["seconds-remaining"].as_u64().unwrap();
    assert!((3_490..=3_500).contains(&seconds), "{seconds}");
    world.counted(moved(999_999_999, 0), Duration::ZERO);
    assert_eq!(state()["bytes-remaining"], 1);
    world.counted(moved(999_999_999, 1), Duration::ZERO);
    assert_eq!(state(), captive, "what is used up is over");
}

/// A certificate that vouches for itself, written where `settings` say.
fn certify(settings: &settings::PortalTls) -> rustls::pki_types::CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([settings.name.clone()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(&settings.key, key.serialize_pem()).unwrap();
    std::fs::write(&settings.cert, certificate.pem()).unwrap();
    certificate.der().clone()
}

/// As [`ask`], by a client that trusts only `certificate`.
fn ask_tls(
    settings: &settings::PortalTls,
    certificate: &rustls::pki_types::CertificateDer<'static>,
    request: &str,
) -> Result<Reply, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = settings.name.clone().try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(settings.listen)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    stream.write_all(request.as_bytes())?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(Reply::read(&said))
}

#[test]
fn over_tls_the_portal_has_a_name_and_systems_ask_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let tls = settings::PortalTls {
        name: "portal.wisp.example".to_owned(),
        listen: "10.77.0.1:2443".parse().unwrap(),
        cert: folder.path().join("portal.pem"),
        key: folder.path().join("portal.key"),
    };
    let certificate = certify(&tls);
    let world = World::with_tls("tls", Some(tls.clone()));
    let secure = |certificate: &_, path: &str| {
        let request = get("portal.wisp.example:2443", path);
        world.cable.inside(Side::Device, || ask_tls(&tls, certificate, &request))
    };
    let away = world.get("example.com", "/");
    assert_eq!(away.header("location"), Some("https://portal.wisp.example:2443/"));
    let page = secure(&certificate, "/").unwrap();
    assert!(page.body.contains("Password"), "{}", page.body);
    let form = format!("token={}&username=amina&password=simba+%26+chui", page.token());
    let request = post(tls.listen, "/login", &form).replace("10.77.0.1", "portal.wisp.example");
    let reply = world.cable.inside(Side::Device, || ask_tls(&tls, &certificate, &request)).unwrap();
    assert_eq!((reply.status, reply.header("location")), (303, Some("/?lang=en")));
    let state = secure(&certificate, "/api/captive-portal").unwrap();
    let state: Value = serde_json::from_str(&state.body).unwrap();
    assert_eq!(state["captive"], false);
    assert_eq!(state["user-portal-url"], "https://portal.wisp.example:2443/");
    assert_eq!(state["bytes-remaining"], 1_000_000_000);

    // Who says nothing, or something else than TLS, is dropped as everywhere.
    let said = world.cable.inside(Side::Device, || send(tls.listen, get("a", "/").as_bytes()));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let begun = Instant::now();
    assert!(world.cable.inside(Side::Device, || send(tls.listen, b"")).is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10));

    // Another certificate, and a broken one after it.
    let renewed = certify(&tls);
    let deadline = Instant::now() + Duration::from_secs(30);
    while secure(&renewed, "/").is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(secure(&certificate, "/").is_err(), "the old one is still shown");
    std::fs::write(&tls.cert, "nothing").unwrap();
    thread::sleep(Duration::from_secs(11));
    assert!(secure(&renewed, "/").is_ok(), "what is broken takes the place of what works");
}

#[test]
fn who_keeps_asking_does_not_keep_the_sessions_busy() {
    let world = World::new("often");
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(world.own("/").status, 200);
    }
    let lists = u128::try_from(world.told(|told| told.lists)).unwrap();
    let most = begun.elapsed().as_millis() / 500 + 1;
    assert!((1..=most).contains(&lists), "{lists} lists, at most {most}");
}

#[test]
fn ten_thousand_requests_of_random_octets_break_nothing() {
    let world = World::new("random");
    let own = world.portal.to_string();
    let seeds = [
        get(&own, "/?lang=sw"),
        get("captive.apple.com", "/hotspot-detect.html"),
        get(&own, "/api/captive-portal"),
        post(world.portal, "/login", "token=00&username=amina&password=simba"),
        "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na=b&c\r\n0\r\n\r\n"
            .to_owned(),
    ];
    let answered = world.cable.inside(Side::Device, || {
        let mut random = Random(0x5eed);
        let mut answered = 0;
        for round in 0..10_000 {
            let mut octets = match round % 4 {
                0 => (0..random.below(600)).map(|_| random.octet()).collect(),
                _ => seeds[random.below(seeds.len())].clone().into_bytes(),
            };
            for _ in 0..random.below(6) {
                if octets.is_empty() {
                    break;
                }
                let at = random.below(octets.len());
                match random.below(4) {
                    0 => octets.truncate(at),
                    1 => octets.insert(at, random.octet()),
                    2 => drop(octets.remove(at)),
                    _ => octets[at] = random.octet(),
                }
            }
            let mut stream = TcpStream::connect(world.portal).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let _gone = stream.write_all(&octets);
            let _gone = stream.shutdown(std::net::Shutdown::Write);
            let mut said = Vec::new();
            let _reset = stream.read_to_end(&mut said);
            answered += usize::from(said.starts_with(b"HTTP/1."));
        }
        answered
    });
    assert!(answered > 3_000, "only {answered} of them were answered at all");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something has panicked");
    assert_eq!(world.own("/").status, 200);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}

/// xorshift64: the same octets in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        for shift in [13, -7, 17_i32] {
            let by = shift.unsigned_abs();
            self.0 ^= if shift > 0 { self.0 << by } else { self.0 >> by };
        }
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % limit.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

#[test]
fn who_is_slow_is_dropped_and_keeps_nobody_out() {
    let world = World::new("slow");
    let portal = world.portal;
    let begun = Instant::now();
    world.cable.inside(Side::Device, || {
        thread::scope(|scope| {
            let drip = |head: &'static str, within: Duration| {
                let mut stream = TcpStream::connect(portal).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                stream.write_all(head.as_bytes()).unwrap();
                let mut one = [0; 256];
                loop {
                    match stream.read(&mut one) {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            if !head.is_empty() && stream.write_all(b"x").is_err() {
                                break;
                            }
                        }
                        Err(_) => break,
                    }
                    assert!(begun.elapsed() < within, "still there: {head:?}");
                }
                assert!(begun.elapsed() > Duration::from_secs(3), "dropped at once: {head:?}");
            };
            let head = Duration::from_secs(10);
            let slow: Vec<_> = (0..12)
                .map(|n| {
                    let request = match n {
                        0 => "POST /login HTTP/1.1\r\nHost: 10.77.0.1:2080\r\nContent-Length: 4000\r\n\r\n",
                        1..6 => "GET / HTTP/1.1\r\nHost: 10.77.0.1:2080\r\nX: ",
                        _ => "",
                    };
                    let within = if n == 0 { Duration::from_secs(25) } else { head };
                    let thread = scope.spawn(move || drip(request, within));
                    thread::sleep(Duration::from_millis(20));
                    thread
                })
                .collect();
            // That is all that one device may have open.
            thread::sleep(Duration::from_millis(300));
            assert!(send(portal, get("10.77.0.1:2080", "/").as_bytes()).is_empty());
            for thread in slow {
                thread.join().unwrap();
            }
        });
    });
    assert_eq!(world.own("/").status, 200);
}

#[test]
fn more_than_can_be_is_refused_in_words() {
    let world = World::new("large");
    let own = world.portal.to_string();
    let long = format!("GET /{} HTTP/1.1\r\nHost: {own}\r\n\r\n", "x".repeat(40_000));
    assert!([414, 431].contains(&world.ask(&long).status));
    let many = "X: y\r\n".repeat(100);
    let many = format!("GET / HTTP/1.1\r\nHost: {own}\r\n{many}\r\n");
    assert_eq!(world.ask(&many).status, 431);
    // One request is all that a connection carries.
    let two = get(&own, "/").repeat(2);
    let said = world.cable.inside(Side::Device, || send(world.portal, two.as_bytes()));
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
}

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

/// A daemon that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn the_daemon_lets_a_device_in_and_writes_it_down() {
    let folder = tempfile::tempdir().unwrap();
    let cable = Cable::new("daemon");
    let config = folder.path().join("edge.toml");
    std::fs::write(folder.path().join("desired.toml"), DESIRED).unwrap();
    std::fs::write(
        &config,
        "state_dir = \"state\"\n[portal]\nlisten = \"10.77.0.1:2080\"\n\
         listen_v6 = \"[fd77::1]:2080\"\n[desired]\nfile = \"desired.toml\"\n",
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_kennet-edge");
    let run = |arguments: &[&str]| {
        let mut command = cable.command(Side::Edge, program);
        command.args(arguments).arg("--config").arg(&config);
        command
    };
    let daemon = run(&["run"]).stderr(Stdio::inherit()).spawn().unwrap();
    let _daemon = Daemon(daemon);
    let portal: SocketAddr = "10.77.0.1:2080".parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    cable.inside(Side::Device, || {
        while TcpStream::connect(portal).is_err() {
            assert!(Instant::now() < deadline, "the portal does not come up");
            thread::sleep(Duration::from_millis(50));
        }
        // It takes connections before it serves them.
        assert_eq!(ask(portal, &get("example.com", "/")).status, 302);
    });

    let own = portal.to_string();
    let sessions = || -> Vec<Value> {
        let output = run(&["sessions", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(sessions(), Vec::<Value>::new());
    cable.inside(Side::Device, || {
        let page = ask(portal, &get(&own, "/"));
        let form = format!("token={}&username=amina&password=simba+%26+chui", page.token());
        let reply = ask(portal, &post(portal, "/login", &form));
        assert_eq!(reply.status, 303, "{}", reply.body);
        let page = ask(portal, &get(&own, "/"));
        assert!(page.body.contains("You are on-line."), "{}", page.body);
    });
    let listed = sessions();
    let [session] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(session["mac"], DEVICE);
    assert_eq!(session["username"], "amina");
    assert_eq!(session["nas"], "portal");

    // Without a data plane nothing is counted.
    let reply = cable.inside(Side::Device, || ask(portal, &get(&own, "/api/captive-portal")));
    let state: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(state["bytes-remaining"], 1_000_000_000);

    let journal = run(&["journal"]).output().unwrap();
    let journal = String::from_utf8_lossy(&journal.stdout).into_owned();
    assert!(journal.contains("session_started") && journal.contains("amina"), "{journal}");
    cable.inside(Side::Device, || {
        let page = ask(portal, &get(&own, "/"));
        let reply = ask(portal, &post(portal, "/logout", &format!("token={}", page.token())));
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert!(ask(portal, &get(&own, "/")).body.contains("You are not on-line yet."));
    });
    assert_eq!(sessions(), Vec::<Value>::new());
    let journal = run(&["journal"]).output().unwrap();
    assert!(String::from_utf8_lossy(&journal.stdout).contains("session_stopped"));
}
