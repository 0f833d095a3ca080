//! RADIUS over real sockets: with `radclient`, and with packets that `radclient` would not send.
//!
//! NASes are told apart by their loopback address: .1 is enforced by the edge, .2 is a MikroTik
//! that enforces itself, .3 sends no Message-Authenticator and may, .4 may ask little, .5 has to
//! send a Message-Authenticator once it has, .99 is nobody.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    io::{ErrorKind, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use edge_agent::{
    desired::{Current, Snapshot},
    radius::bind,
    sessions::event::{Accounting, AcctStatus, AuthFailure, Event, Open, Ticket},
    settings,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    authenticator::{MessageAuthenticator, message_authenticator_of_reply, verify_reply},
    packet::Authenticator,
    password,
};
use shared::{daemon::Life, net::Mac, wire::latest::desired::Desired};

const SECRET: &str = "testing123";
const EDGE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const MIKROTIK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const EXCEPTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const SLOW: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const LEARNING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

/// Every NAS with this secret.
fn snapshot(secret: &str) -> Arc<Snapshot> {
    let desired: Desired = toml::from_str(&format!(
        r#"
        [[nas]]
        name = "edge"
        address = "127.0.0.1"
        secret = "{secret}"
        enforce = "edge"
        [[nas]]
        name = "mikrotik"
        address = "127.0.0.2"
        secret = "{secret}"
        vendor = "mikrotik"
        [[nas]]
        name = "old"
        address = "127.0.0.3"
        secret = "{secret}"
        require_message_authenticator = false
        [[nas]]
        name = "slow"
        address = "127.0.0.4"
        secret = "{secret}"
        requests_per_second = 5
        [[nas]]
        name = "learning"
        address = "127.0.0.5"
        secret = "{secret}"
        require_message_authenticator = "auto"
        [[nas]]
        name = "six"
        address = "::1"
        secret = "{secret}"
        [[subscriber]]
        username = "amina"
        password = "simba"
        down_kbps = 10000
        up_kbps = 5000
        session_timeout = 3600
        idle_timeout = 600
        static_ip = "10.0.0.20"
        [[subscriber]]
        username = "printer"
        down_kbps = 1000
        up_kbps = 1000
        macs = ["02:00:00:00:00:02"]
        [[subscriber]]
        username = "late"
        password = "simba"
        class = "blocked"
        down_kbps = 1000
        up_kbps = 1000
        "#
    ))
    .unwrap();
    Arc::new(Snapshot::new(desired).unwrap())
}

/// What the sessions have been told.
#[derive(Debug, Default)]
struct Told {
    opens: Vec<Open>,
    accounting: Vec<Accounting>,
    failures: Vec<AuthFailure>,
    /// Tickets stay here, not completed, while `holds`.
    held: Vec<Ticket>,
    holds: bool,
}

/// An edge of which only RADIUS is real.
struct World {
    auth: SocketAddr,
    acct: SocketAddr,
    desired: Current,
    told: Arc<Mutex<Told>>,
    life: Life,
    metrics: &'static PrometheusHandle,
    /// The counters belong to the process: one test at a time.
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new() -> Self {
        Self::on(IpAddr::V4(EDGE))
    }

    fn on(address: IpAddr) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap());
        let desired: Current = Arc::new(ArcSwap::new(snapshot(SECRET)));
        let (told, life) = (Arc::<Mutex<Told>>::default(), Life::default());
        let (sender, events) = sync_channel(64);
        let (auth, acct) = serve(address, &desired, &sender, &life);
        let listener = Arc::clone(&told);
        thread::spawn(move || listen(&events, &listener));
        Self { auth, acct, desired, told, life, metrics, _alone: alone }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// Waits until the sessions have been told enough.
    #[track_caller]
    fn wait_until(&self, what: &str, is_enough: impl Fn(&Told) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !is_enough(&self.told()) {
            assert!(Instant::now() < end, "not within 5 s: {what}; there is {:?}", self.told());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many packets were dropped for this reason, ever.
    fn drops(&self, reason: &str) -> u64 {
        let series = format!("kennet_radius_drops_total{{reason=\"{reason}\"}} ");
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("0");
        value.trim().parse().unwrap()
    }

    /// `radclient` sends `attributes` from `nas`; what it prints comes back.
    #[track_caller]
    fn radclient(&self, (kind, nas): (&str, IpAddr), secret: &str, attributes: &str) -> String {
        let to = if kind == "acct" { self.acct } else { self.auth };
        let source =
            if nas.is_ipv4() { "Packet-Src-IP-Address" } else { "Packet-Src-IPv6-Address" };
        let mut child = Command::new("radclient")
            .args(["-x", "-r", "1", "-t", "1", &to.to_string(), kind, secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("radclient: {error}: apt-get install freeradius-utils"));
        let request = format!("{source} = {nas}\n{attributes}\n");
        child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[track_caller]
    fn login(&self, nas: Ipv4Addr, attributes: &str) -> String {
        let attributes = format!("{attributes}\nMessage-Authenticator = 0x00");
        self.radclient(("auth", IpAddr::V4(nas)), SECRET, &attributes)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

/// Serves a free port of `address` for each of authentication and accounting.
fn serve(
    address: IpAddr,
    desired: &Current,
    events: &SyncSender<Event>,
    life: &Life,
) -> (SocketAddr, SocketAddr) {
    let any = SocketAddr::new(address, 0);
    let bound = bind(&radius_at(vec![any], vec![any])).unwrap();
    let addresses = (bound.auth_address().unwrap(), bound.acct_address().unwrap());
    bound.start(desired, events, &Arc::default(), life).unwrap();
    addresses
}

/// Stands in for the sessions.
fn listen(events: &Receiver<Event>, told: &Mutex<Told>) {
    for event in events {
        let mut told = told.lock().unwrap();
        let ticket = match event {
            Event::Open(open, ticket) => {
                told.opens.push(*open);
                ticket
            }
            Event::Accounting(accounting, ticket) => {
                told.accounting.push(*accounting);
                ticket
            }
            Event::AuthFailure(failure) => {
                told.failures.push(failure);
                continue;
            }
            other @ (Event::Desired(..)
            | Event::Disconnect(..)
            | Event::Answered(..)
            | Event::Authorise(..)
            | Event::Kernel
            | Event::Neighbour { .. }
            | Event::Acked(..)
            | Event::Questions(..)
            | Event::Leased(..)
            | Event::List(..)) => panic!("RADIUS does not say {other:?}"),
        };
        if told.holds {
            told.held.push(ticket);
        } else {
            ticket.complete();
        }
    }
}

/// A NAS that sends what it is told, octet for octet.
struct Nas(UdpSocket);

impl Nas {
    fn new(address: Ipv4Addr, patience_ms: u64) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(patience_ms))).unwrap();
        Self(socket)
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.0.send_to(bytes, to).unwrap();
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; LEN_MAX];
        match self.0.recv_from(&mut buffer) {
            Ok((len, _)) => Some(buffer[..len].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot receive: {error}"),
        }
    }

    fn ask(&self, to: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        self.send(to, bytes);
        self.receive()
    }
}

/// As long as an old secret counts, and the time until its change is seen.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// Longer than a reject takes.
const PATIENT: u64 = 2_000;
/// Long enough for what is answered at once.
const SHORT: u64 = 200;

const NONCE: Authenticator = [0x5a; 16];

/// An Access-Request of amina, with a Message-Authenticator.
fn request(id: u8, password: &str, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    request_with(SECRET, id, password, fill)
}

fn request_with(
    secret: &str,
    id: u8,
    password: &str,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, NONCE);
    filled(writer, secret, password, fill)
}

/// And without one.
fn unsigned_request(id: u8, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let writer = Writer::unsigned_request(&mut buffer, Code::ACCESS_REQUEST, id, NONCE);
    filled(writer, SECRET, "simba", fill)
}

fn filled(
    mut writer: Writer<'_>,
    secret: &str,
    password: &str,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let secret = Secret::new(secret.as_bytes());
    let (hidden, len) = password::hide(password.as_bytes(), &NONCE, &secret).unwrap();
    writer.text(AttrType::USER_NAME, "amina").attr(AttrType::USER_PASSWORD, &hidden[..len]);
    fill(&mut writer);
    writer.sign(&secret).unwrap().to_vec()
}

fn from_device(writer: &mut Writer<'_>) {
    writer.text(AttrType::CALLING_STATION_ID, "02:00:00:00:00:aa");
}

#[track_caller]
fn has(output: &str, texts: &[&str]) {
    for text in texts {
        assert!(output.contains(text), "no `{text}` in:\n{output}");
    }
}

/// It is genuine, and its first attribute proves it.
#[track_caller]
fn check_reply(reply: &[u8], code: Code, id: u8) {
    check_reply_with(SECRET, reply, code, id);
}

#[track_caller]
fn check_reply_with(secret: &str, reply: &[u8], code: Code, id: u8) {
    let secret = Secret::new(secret.as_bytes());
    let reply = Packet::decode(reply).unwrap();
    assert_eq!((reply.code(), reply.id()), (code, id));
    assert_eq!(verify_reply(&reply, &NONCE, &secret), Ok(()));
    assert_eq!(reply.attrs().next().unwrap().kind, AttrType::MESSAGE_AUTHENTICATOR);
    let proof = message_authenticator_of_reply(&reply, &NONCE, &secret);
    assert_eq!(proof, MessageAuthenticator::Valid);
}

#[test]
fn a_login_by_pap_opens_the_session_of_its_device() {
    let world = World::new();
    let output = world.login(
        EDGE,
        "User-Name = amina, User-Password = simba, Calling-Station-Id = 02-00-00-00-00-AA",
    );
    has(
        &output,
        &[
            "Received Access-Accept",
            "Session-Timeout = 3600",
            "Idle-Timeout = 600",
            "Acct-Interim-Interval = 60",
            "Framed-IP-Address = 10.0.0.20",
        ],
    );
    let told = world.told();
    let [open] = &told.opens[..] else { panic!("not one session: {told:?}") };
    assert_eq!(open.mac, Some(Mac([2, 0, 0, 0, 0, 0xaa])));
    assert_eq!((&*open.subscriber.username, &*open.nas.name), ("amina", "edge"));
    assert_eq!(open.ip, Some(IpAddr::from([10, 0, 0, 20])));
    has(&output, &[&format!("Class = 0x{}", open.session.as_uuid().simple())]);
}

#[test]
fn a_login_by_chap_gets_the_rates_in_the_words_of_its_nas() {
    let world = World::new();
    let output = world.login(MIKROTIK, "User-Name = amina, CHAP-Password = simba");
    has(&output, &["Received Access-Accept", "Mikrotik-Rate-Limit = \"5000k/10000k\""]);
    assert!(!output.contains("Class ="), "{output}");
    assert!(world.told().opens.is_empty());
    let wrong = world.login(MIKROTIK, "User-Name = amina, CHAP-Password = Simba");
    has(&wrong, &["Received Access-Reject"]);
}

#[test]
fn a_device_logs_in_by_its_mac() {
    let world = World::new();
    let output = world.login(
        EDGE,
        "User-Name = 020000000002, User-Password = 020000000002, \
         Calling-Station-Id = 02-00-00-00-00-02",
    );
    has(&output, &["Received Access-Accept", "User-Name = \"printer\""]);
    assert_eq!(world.told().opens[0].subscriber.username, "printer");
}

#[test]
fn who_may_not_log_in_is_told_so_after_a_while() {
    let world = World::new();
    let begin = Instant::now();
    let output = world.login(EDGE, "User-Name = amina, User-Password = wrong");
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    has(&output, &["Received Access-Reject", "Reply-Message = \"Wrong username or password.\""]);
    let output = world.login(EDGE, "User-Name = late, User-Password = simba");
    has(&output, &["Received Access-Reject", "Your access is blocked."]);
    let failure = |username: &str, reason| AuthFailure {
        nas: Arc::from("edge"),
        username: username.to_owned(),
        reason,
    };
    world.wait_until("two failures", |told| told.failures.len() == 2);
    let expected = [failure("amina", "wrong password"), failure("late", "blocked")];
    assert_eq!(world.told().failures, expected);
}

#[test]
fn a_wrong_secret_gets_no_answer_until_it_is_the_right_one() {
    let world = World::new();
    let login = "User-Name = amina, User-Password = simba, Message-Authenticator = 0x00";
    let nas = ("auth", IpAddr::V4(EDGE));
    let before = world.drops("bad_message_authenticator");
    has(&world.radclient(nas, "testing124", login), &["No reply from server"]);
    assert_eq!(world.drops("bad_message_authenticator"), before + 1);

    world.desired.store(snapshot("testing124"));
    has(&world.radclient(nas, "testing124", login), &["Received Access-Accept"]);
    // What was sent before the change may still be under way.
    thread::sleep(IN_FLIGHT);
    has(&world.radclient(nas, SECRET, login), &["No reply from server"]);

    let before = world.drops("bad_authenticator");
    let start = "Acct-Status-Type = Start, Acct-Session-Id = 1, User-Name = amina";
    let output = world.radclient(("acct", IpAddr::V4(EDGE)), "other", start);
    has(&output, &["No reply from server"]);
    assert_eq!(world.drops("bad_authenticator"), before + 1);
    assert!(world.told().accounting.is_empty());
}

#[test]
fn a_secret_changes_under_load_and_every_request_is_answered() {
    const SECRETS: [&str; 2] = [SECRET, "karibu"];
    let world = World::new();
    // Where the secret in force is, and whether to go on. It is held while something is sent.
    let current = RwLock::new((0, true));
    let answered = AtomicUsize::new(0);
    let ask = |at: usize, own: Ipv4Addr| {
        let mut nas = Nas::new(own, PATIENT);
        for id in (0..=255).cycle() {
            if id == 0 {
                // From the same port it would be asked again.
                nas = Nas::new(own, PATIENT);
            }
            let in_force = current.read().unwrap();
            let (secret, goes_on) = (SECRETS[in_force.0], in_force.1);
            // Of a device: its session is opened before the reply goes out.
            nas.send(world.auth, &request_with(secret, id, "simba", from_device));
            drop(in_force);
            let reply = nas.receive();
            let reply = reply.unwrap_or_else(|| panic!("{at}: no answer to {id} with {secret}"));
            check_reply_with(secret, &reply, Code::ACCESS_ACCEPT, id);
            answered.fetch_add(1, Ordering::SeqCst);
            if !goes_on {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for (at, own) in [EDGE, EDGE, MIKROTIK, MIKROTIK].into_iter().enumerate() {
            scope.spawn(move || ask(at, own));
        }
        for change in 1..=20 {
            thread::sleep(Duration::from_millis(25));
            let before = answered.load(Ordering::SeqCst);
            let mut in_force = current.write().unwrap();
            in_force.0 = change % 2;
            world.desired.store(snapshot(SECRETS[in_force.0]));
            drop(in_force);
            let end = Instant::now() + Duration::from_secs(5);
            while answered.load(Ordering::SeqCst) < before + 8 && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
        }
        current.write().unwrap().1 = false;
    });
    assert!(answered.load(Ordering::SeqCst) > 160, "{answered:?}");

    // What is being decided while the secret changes is answered with the secret it was asked
    // with, and that one is worth nothing after.
    let nas = Nas::new(EDGE, SHORT);
    let bytes = request(1, "simba", from_device);
    world.told().holds = true;
    let before = world.told().held.len();
    nas.send(world.auth, &bytes);
    world.wait_until("an open session", |told| told.held.len() == before + 1);
    world.desired.store(snapshot("karibu"));
    thread::sleep(IN_FLIGHT);
    let ticket = world.told().held.pop().unwrap();
    ticket.complete();
    check_reply(&nas.receive().unwrap(), Code::ACCESS_ACCEPT, 1);
    world.told().holds = false;
    assert_eq!(nas.ask(world.auth, &request(2, "simba", from_device)), None);
    let reply = nas.ask(world.auth, &request_with("karibu", 3, "simba", |_| {})).unwrap();
    check_reply_with("karibu", &reply, Code::ACCESS_ACCEPT, 3);
}

#[test]
fn a_nas_that_asks_too_much_is_dropped_and_others_are_not() {
    let world = World::new();
    let before = world.drops("rate_limit");
    let slow = Nas::new(SLOW, SHORT);
    for id in 0..40 {
        slow.send(world.auth, &request(id, "simba", |_| {}));
    }
    let answered = std::iter::from_fn(|| slow.receive()).count();
    // Two seconds' worth, and what time brings.
    assert!((10..15).contains(&answered), "{answered} answers");
    assert_eq!(world.drops("rate_limit"), before + 40 - u64::try_from(answered).unwrap());
    let reply = Nas::new(MIKROTIK, PATIENT).ask(world.auth, &request(1, "simba", |_| {}));
    check_reply(&reply.unwrap(), Code::ACCESS_ACCEPT, 1);
    // What it does not prove to have sent is not counted as its own.
    thread::sleep(Duration::from_secs(1));
    let forged = request_with("forged", 1, "simba", |_| {});
    for _ in 0..40 {
        slow.send(world.auth, &forged);
    }
    check_reply(
        &slow.ask(world.auth, &request(50, "simba", |_| {})).unwrap(),
        Code::ACCESS_ACCEPT,
        50,
    );
}

#[test]
fn a_nas_that_learns_to_send_its_proof_has_to_from_then_on() {
    let world = World::new();
    let nas = Nas::new(LEARNING, SHORT);
    let unproved = || {
        let series = "kennet_radius_unproved_requests_total{nas=\"learning\"}";
        let text = world.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or("0");
        value.trim().parse::<u64>().unwrap()
    };
    let before = unproved();
    let reply = nas.ask(world.auth, &unsigned_request(1, |_| {})).unwrap();
    check_reply(&reply, Code::ACCESS_ACCEPT, 1);
    assert_eq!(unproved(), before + 1);
    assert!(nas.ask(world.auth, &request(2, "simba", |_| {})).is_some());
    let before = world.drops("no_message_authenticator");
    assert_eq!(nas.ask(world.auth, &unsigned_request(3, |_| {})), None);
    // A new desired state does not make it forget.
    world.desired.store(snapshot(SECRET));
    assert_eq!(nas.ask(world.auth, &unsigned_request(4, |_| {})), None);
    assert_eq!(world.drops("no_message_authenticator"), before + 2);
}

#[test]
fn what_proves_nothing_gets_no_answer_and_is_counted() {
    let world = World::new();
    let signed = request(1, "simba", |_| {});
    let mut truncated = signed.clone();
    truncated.pop();
    let mut oversized = vec![1, 1, 0x10, 0x01];
    oversized.resize(4097, 0);
    let mut response = signed.clone();
    response[0] = Code::ACCESS_ACCEPT.0;
    let proxied = unsigned_request(1, |writer| {
        writer.attr(AttrType::PROXY_STATE, b"forged");
    });
    for (nas, reason, bytes) in [
        (EDGE, "malformed", &truncated[..]),
        (EDGE, "malformed", &oversized),
        (EDGE, "malformed", &[0xff; 64]),
        (EDGE, "malformed", &[]),
        (EDGE, "malformed", &signed[..19]),
        (EDGE, "unexpected_code", &response),
        (EDGE, "no_message_authenticator", &unsigned_request(1, |_| {})),
        (NOBODY, "unknown_nas", &signed),
        (EXCEPTED, "unproved_proxy_state", &proxied),
    ] {
        let before = world.drops(reason);
        assert_eq!(Nas::new(nas, SHORT).ask(world.auth, bytes), None, "{reason}");
        assert_eq!(world.drops(reason), before + 1, "{reason}");
    }
    assert!(world.told().opens.is_empty());
    // After all that it still serves.
    assert!(Nas::new(EDGE, PATIENT).ask(world.auth, &signed).is_some());
}

#[test]
fn a_nas_that_may_leaves_the_message_authenticator_out() {
    let world = World::new();
    let bytes = unsigned_request(9, |_| {});
    let reply = Nas::new(EXCEPTED, PATIENT).ask(world.auth, &bytes).unwrap();
    check_reply(&reply, Code::ACCESS_ACCEPT, 9);
}

#[test]
fn every_access_reply_begins_with_its_proof_and_brings_proxy_states_back() {
    let world = World::new();
    let nas = Nas::new(EDGE, PATIENT);
    for (id, password, code) in
        [(1, "simba", Code::ACCESS_ACCEPT), (2, "wrong", Code::ACCESS_REJECT)]
    {
        let bytes = request(id, password, |writer| {
            writer.attr(AttrType::PROXY_STATE, b"one").attr(AttrType::PROXY_STATE, b"two");
        });
        let reply = nas.ask(world.auth, &bytes).unwrap();
        check_reply(&reply, code, id);
        let reply = Packet::decode(&reply).unwrap();
        let states: Vec<_> = reply
            .attrs()
            .filter(|attr| attr.kind == AttrType::PROXY_STATE)
            .map(|attr| attr.value)
            .collect();
        assert_eq!(states, [b"one", b"two"]);
    }
}

#[test]
fn proxy_states_come_back_in_their_order_from_accounting_and_status_too() {
    let world = World::new();
    let nas = Nas::new(EDGE, PATIENT);
    let secret = Secret::new(SECRET.as_bytes());
    let mut buffers = [[0; LEN_MAX]; 2];
    let [first, second] = &mut buffers;
    let mut accounting = Writer::accounting_request(first, Code::ACCOUNTING_REQUEST, 1);
    accounting.integer(AttrType::ACCT_STATUS_TYPE, 1).text(AttrType::ACCT_SESSION_ID, "1");
    let asking = Writer::request(second, Code::STATUS_SERVER, 2, NONCE);
    for (mut writer, code) in
        [(accounting, Code::ACCOUNTING_RESPONSE), (asking, Code::ACCOUNTING_RESPONSE)]
    {
        writer.attr(AttrType::PROXY_STATE, b"b").attr(AttrType::PROXY_STATE, b"a");
        writer.attr(AttrType::NAS_IDENTIFIER, b"between").attr(AttrType::PROXY_STATE, b"b");
        let request = writer.sign(&secret).unwrap();
        let authenticator = *Packet::decode(request).unwrap().authenticator();
        let reply = nas.ask(world.acct, request).unwrap();
        let reply = Packet::decode(&reply).unwrap();
        assert_eq!(reply.code(), code);
        assert_eq!(verify_reply(&reply, &authenticator, &secret), Ok(()));
        let states = reply.attrs().filter(|attr| attr.kind == AttrType::PROXY_STATE);
        assert_eq!(states.map(|attr| attr.value).collect::<Vec<_>>(), [b"b", b"a", b"b"]);
    }
}

#[test]
fn a_retransmission_gets_the_same_octets_and_opens_nothing() {
    let world = World::new();
    let nas = Nas::new(EDGE, SHORT);
    let bytes = request(1, "simba", from_device);
    // While the session is being opened there is no answer, however often the NAS asks.
    world.told().holds = true;
    let in_work = world.drops("in_work");
    for _ in 0..3 {
        nas.send(world.auth, &bytes);
    }
    world.wait_until("an open session", |told| told.held.len() == 1);
    assert_eq!(nas.receive(), None);
    assert_eq!(world.drops("in_work"), in_work + 2);
    let ticket = world.told().held.pop().unwrap();
    ticket.complete();
    let first = nas.receive().unwrap();
    check_reply(&first, Code::ACCESS_ACCEPT, 1);
    assert_eq!(nas.receive(), None);
    for _ in 0..3 {
        assert_eq!(nas.ask(world.auth, &bytes).as_ref(), Some(&first));
    }
    assert_eq!(world.told().opens.len(), 1);
    // From another port it is another request.
    world.told().holds = false;
    let other = Nas::new(EDGE, PATIENT).ask(world.auth, &bytes).unwrap();
    assert_ne!(other, first);
    assert_eq!(world.told().opens.len(), 2);
}

#[test]
fn what_could_not_be_made_durable_is_not_acknowledged_and_asked_again() {
    let world = World::new();
    let nas = Nas::new(EDGE, PATIENT);
    let bytes = request(1, "simba", from_device);
    world.told().holds = true;
    let before = world.drops("not_durable");
    nas.send(world.auth, &bytes);
    world.wait_until("an open session", |told| told.held.len() == 1);
    world.told().held.clear();
    assert_eq!(world.drops("not_durable"), before + 1);
    world.told().holds = false;
    check_reply(&nas.ask(world.auth, &bytes).unwrap(), Code::ACCESS_ACCEPT, 1);
    assert_eq!(world.told().opens.len(), 2);
}

#[test]
fn more_than_the_sessions_can_take_is_left_to_retransmission() {
    let world = World::new();
    let (sender, events) = sync_channel(1);
    let (auth, _) = serve(IpAddr::V4(EDGE), &world.desired, &sender, &world.life);
    let nas = Nas::new(EDGE, SHORT);
    let before = (world.drops("overload"), world.drops("not_durable"));
    for id in 0..3 {
        assert_eq!(nas.ask(auth, &request(id, "simba", from_device)), None);
    }
    assert_eq!((world.drops("overload"), world.drops("not_durable")), (before.0 + 2, before.1));
    let Ok(Event::Open(_, ticket)) = events.recv() else { panic!("not a session") };
    ticket.complete();
    check_reply(&nas.receive().unwrap(), Code::ACCESS_ACCEPT, 0);
}

#[test]
fn accounting_is_acknowledged_when_it_is_recorded() {
    use AcctStatus::{Interim, On, Start, Stop};

    let world = World::new();
    let nas = ("acct", IpAddr::V4(MIKROTIK));
    let session = "Acct-Session-Id = 81a00001, User-Name = amina, \
                   Calling-Station-Id = 02-00-00-00-00-AA, Framed-IP-Address = 10.0.0.20";
    let counters = "Acct-Input-Octets = 5, Acct-Input-Gigawords = 1, Acct-Output-Octets = 9";
    let cause = "Acct-Terminate-Cause = User-Request";
    for record in [
        format!("Acct-Status-Type = Start, {session}"),
        format!("Acct-Status-Type = Interim-Update, {session}, {counters}"),
        format!("Acct-Status-Type = Stop, {session}, {counters}, {cause}"),
        format!("Acct-Status-Type = Stop, {session}, Message-Authenticator = 0x00"),
        "Acct-Status-Type = Accounting-On".to_owned(),
    ] {
        has(&world.radclient(nas, SECRET, &record), &["Received Accounting-Response"]);
    }
    let told = world.told();
    let statuses: Vec<_> = told.accounting.iter().map(|record| record.status).collect();
    assert_eq!(statuses, [Start, Interim, Stop, Stop, On]);
    let stop = &told.accounting[2];
    assert_eq!(stop.counters.unwrap().up_bytes, 0x1_0000_0005);
    assert_eq!((stop.terminate_cause, &*stop.acct_session_id), (1, "81a00001"));
    assert!(!stop.metered_here);
    assert_eq!(told.accounting[0].counters, None);
}

#[test]
fn status_server_is_answered_on_both_ports() {
    let world = World::new();
    let nas = ("status", IpAddr::V4(EDGE));
    let output = world.radclient(nas, SECRET, "Message-Authenticator = 0x00");
    has(&output, &["Received Access-Accept"]);
    let mut buffer = [0; LEN_MAX];
    let writer = Writer::request(&mut buffer, Code::STATUS_SERVER, 4, NONCE);
    let bytes = writer.sign(&Secret::new(SECRET.as_bytes())).unwrap();
    let reply = Nas::new(EDGE, PATIENT).ask(world.acct, bytes).unwrap();
    check_reply(&reply, Code::ACCOUNTING_RESPONSE, 4);
}

#[test]
fn ipv6_is_served_alike() {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let world = World::on(address);
    let login = "User-Name = amina, User-Password = simba, Message-Authenticator = 0x00";
    let output = world.radclient(("auth", address), SECRET, login);
    has(&output, &["Received Access-Accept", "WISPr-Bandwidth-Max-Down = 10000000"]);
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let world = World::on(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    // A connected socket hears only whom it has asked.
    let nas = Nas::new(EDGE, PATIENT);
    nas.0.connect((Ipv4Addr::new(127, 0, 0, 5), world.auth.port())).unwrap();
    for (id, password, code) in
        [(1, "simba", Code::ACCESS_ACCEPT), (2, "wrong", Code::ACCESS_REJECT)]
    {
        nas.0.send(&request(id, password, from_device)).unwrap();
        check_reply(&nas.receive().unwrap(), code, id);
    }

    drop(world);
    let world = World::on(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let here = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), world.auth.port());
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(PATIENT))).unwrap();
    socket.connect(here).unwrap();
    let nas = Nas(socket);
    nas.0.send(&request(3, "simba", |_| {})).unwrap();
    check_reply(&nas.receive().unwrap(), Code::ACCESS_ACCEPT, 3);
}

#[test]
fn an_address_that_somebody_has_is_named() {
    let taken = UdpSocket::bind((EDGE, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(&radius_at(vec![address], Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot bind the RADIUS socket to {address}"));
}

fn radius_at(auth: Vec<SocketAddr>, acct: Vec<SocketAddr>) -> settings::Radius {
    settings::Radius { auth, acct, ..settings::Radius::default() }
}
