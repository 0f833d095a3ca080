//! EAP with a real supplicant: `eapol_test` (of wpa_supplicant) as NAS and peer in one. It ends
//! well only if the keys in the Access-Accept are its own.
//!
//! NASes are told apart by their loopback address: .1 hands the session to nobody.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use edge_agent::{
    agent,
    desired::{Current, Snapshot},
    radius::{Offer, bind},
    sessions::event::{AuthFailure, Event, Open},
    settings,
};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    eap::{self, Kind, message, packet::encode},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring};
use shared::{
    daemon::{Chain, Life},
    wire::latest::desired::Desired,
};
use tempfile::TempDir;

const SECRET: &str = "testing123";

fn snapshot(amina: &str) -> Arc<Snapshot> {
    let desired: Desired = toml::from_str(&format!(
        r#"
        realms = ["wisp.example"]
        [[nas]]
        name = "switch"
        address = "127.0.0.1"
        secret = "{SECRET}"
        enforce = "edge"
        [[nas]]
        name = "access point"
        address = "127.0.0.2"
        secret = "{SECRET}"
        [[subscriber]]
        username = "amina"
        password = "{amina}"
        down_kbps = 10000
        up_kbps = 5000
        session_timeout = 3600
        [[subscriber]]
        username = "windows"
        nt_hash = "44ebba8d5312b8d611474411f56989ae"
        down_kbps = 10000
        up_kbps = 5000
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

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a certificate says.
#[derive(Clone, Copy)]
struct Says<'a> {
    name: &'a str,
    purpose: ExtendedKeyUsagePurposeOf,
    /// It ends with the beginning of it.
    year: i32,
    /// How many names more than it needs.
    ballast: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ExtendedKeyUsagePurposeOf {
    Server,
    Client,
}

use ExtendedKeyUsagePurposeOf::{Client, Server};

const RADIUS: Says<'_> = Says { name: "radius.example", purpose: Server, year: 2090, ballast: 0 };
const AMINA: Says<'_> = Says { name: "amina", purpose: Client, year: 2090, ballast: 0 };

/// Writes `NAME.pem` (with the authority's) and `NAME.key`.
fn write_certificate(folder: &Path, file: &str, ca: &Issuer, says: Says<'_>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, says.name);
    params.not_after = date_time_ymd(says.year, 1, 1);
    let purpose = match says.purpose {
        Server => ExtendedKeyUsagePurpose::ServerAuth,
        Client => ExtendedKeyUsagePurpose::ClientAuth,
    };
    params.extended_key_usages.push(purpose);
    let names = (0..says.ballast).map(|number| format!("{number}-{}.example", "x".repeat(40)));
    params.subject_alt_names =
        names.map(|name| SanType::DnsName(name.try_into().unwrap())).collect();
    let key = KeyPair::generate().unwrap();
    let pem = params.signed_by(&key, ca).unwrap().pem() + &ca.pem();
    fs::write(folder.join(format!("{file}.pem")), pem).unwrap();
    fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
}

/// What the sessions have been told.
#[derive(Debug, Default)]
struct Told {
    opens: Vec<Open>,
    failures: Vec<AuthFailure>,
}

/// An edge of which only RADIUS is real.
struct World {
    address: SocketAddr,
    folder: TempDir,
    ca: Issuer,
    offer: Arc<Offer>,
    desired: Current,
    told: Arc<Mutex<Told>>,
    life: Life,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut settings::Eap)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority("KenNet test authority");
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        write_certificate(folder.path(), "server", &ca, RADIUS);
        let file = |name: &str| folder.path().join(name);
        let mut eap: settings::Eap = toml::from_str("cert = 'x'\nkey = 'x'").unwrap();
        eap.cert = file("server.pem");
        eap.key = file("server.key");
        eap.client_ca = Some(file("ca.pem"));
        change(&mut eap);
        Self::serve(Some(eap), folder, ca)
    }

    fn serve(eap: Option<settings::Eap>, folder: TempDir, ca: Issuer) -> Self {
        let auth = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let settings = settings::Radius { auth, eap, ..settings::Radius::default() };
        let desired: Current = Arc::new(ArcSwap::new(snapshot("simba")));
        let (told, life) = (Arc::<Mutex<Told>>::default(), Life::default());
        let (sender, events) = sync_channel(64);
        let bound = bind(&settings).unwrap();
        let (address, offer) = (bound.auth_address().unwrap(), Arc::clone(bound.eap()));
        bound.start(&desired, &sender, &Arc::default(), &life).unwrap();
        let listener = Arc::clone(&told);
        thread::spawn(move || listen(&events, &listener));
        Self { address, folder, ca, offer, desired, told, life }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The reason of the last failure, within a while.
    #[track_caller]
    fn last_failure(&self) -> (String, &'static str) {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(failure) = self.told().failures.pop() {
                return (failure.username, failure.reason);
            }
            assert!(Instant::now() < end, "nothing has failed");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn run(&self, login: &Login<'_>) -> Done {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut number = NUMBER.lock().unwrap();
            *number += 1;
            *number
        };
        let conf = self.file(&format!("{number}.conf"));
        fs::write(&conf, login.network(self)).unwrap();
        let mut command = Command::new("eapol_test");
        command
            .args(["-c", conf.to_str().unwrap(), "-s", SECRET, "-t", "10", "-a", "127.0.0.1"])
            .args(["-p", &self.address.port().to_string()])
            .args(["-A", &login.nas.to_string(), "-M", login.mac]);
        if login.again > 0 {
            command.args(["-r", &login.again.to_string()]);
        }
        if login.is_keyless {
            command.arg("-n");
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("eapol_test: {error}: apt-get install eapoltest"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Done { is_well: output.status.success(), text }
    }

    #[track_caller]
    fn well(&self, login: &Login<'_>) -> Done {
        let done = self.run(login);
        assert!(done.is_well, "{}\n{}", login.network(self), done.tail());
        done
    }

    #[track_caller]
    fn refused(&self, login: &Login<'_>, reason: &str) -> Done {
        let done = self.run(login);
        assert!(!done.is_well, "{}\n{}", login.network(self), done.tail());
        assert_eq!(self.last_failure().1, reason, "{}\n{}", login.network(self), done.tail());
        assert!(done.text.contains("code=3 (Access-Reject)"), "{}", done.tail());
        done
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

/// Stands in for the sessions.
fn listen(events: &Receiver<Event>, told: &Mutex<Told>) {
    for event in events {
        let mut told = told.lock().unwrap();
        if let Event::Open(open, ticket) = event {
            told.opens.push(*open);
            ticket.complete();
        } else if let Event::AuthFailure(failure) = event {
            told.failures.push(failure);
        } else {
            panic!("RADIUS does not say {event:?} here");
        }
    }
}

struct Done {
    is_well: bool,
    text: String,
}

impl Done {
    fn tail(&self) -> &str {
        let (mut from, least) = (self.text.len(), self.text.len().saturating_sub(6_000));
        while let Some(at) = self.text.get(..from).and_then(|text| text.rfind('\n')) {
            if at < least {
                break;
            }
            from = at;
        }
        self.text.get(from..).unwrap_or_default()
    }

    /// How many packets were sent.
    fn rounds(&self) -> usize {
        self.text.matches("Sending RADIUS message to authentication server").count()
    }
}

/// A login as wpa_supplicant is configured for it.
#[derive(Clone, Copy)]
struct Login<'a> {
    eap: &'a str,
    name: &'a str,
    password: &'a str,
    phase2: &'a str,
    /// `None`: the method is left to itself.
    is_tls13: Option<bool>,
    /// More lines.
    more: &'a str,
    /// File names in the folder of the world.
    ca: &'a str,
    certificate: &'a str,
    nas: Ipv4Addr,
    /// How many logins follow on the same TLS session.
    again: u32,
    is_keyless: bool,
    mac: &'a str,
}

const LOGIN: Login<'_> = Login {
    eap: "PEAP",
    name: "amina",
    password: "simba",
    phase2: "auth=MSCHAPV2",
    is_tls13: None,
    more: "",
    ca: "ca.pem",
    certificate: "",
    nas: Ipv4Addr::LOCALHOST,
    again: 0,
    is_keyless: false,
    mac: "02:00:00:00:00:07",
};

impl Login<'_> {
    fn network(&self, world: &World) -> String {
        let Self { eap, name, password, phase2, more, .. } = self;
        let management = if self.is_keyless { "NONE" } else { "WPA-EAP" };
        let mut lines = vec![
            "network={".to_owned(),
            format!("key_mgmt={management}\neap={eap}"),
            format!("identity=\"{name}\"\npassword=\"{password}\"\n{more}"),
        ];
        if matches!(*eap, "PEAP" | "TTLS" | "TLS") {
            let file = |name: &str| world.file(name).display().to_string();
            lines.push(format!("ca_cert=\"{}\"", file(self.ca)));
            if *eap == "TLS" {
                let certificate = file(self.certificate);
                lines.push(format!("client_cert=\"{certificate}.pem\""));
                lines.push(format!("private_key=\"{certificate}.key\""));
            } else {
                lines.push(format!("anonymous_identity=\"anonymous\"\nphase2=\"{phase2}\""));
            }
            let tls13 = u8::from(self.is_tls13 != Some(true));
            let tls12 = u8::from(self.is_tls13 == Some(true));
            lines.push(format!(
                "phase1=\"tls_disable_tlsv1_0=1 tls_disable_tlsv1_1=1 \
                 tls_disable_tlsv1_3={tls13} tls_disable_tlsv1_2={tls12} \
                 tls_disable_session_ticket=0\""
            ));
        }
        lines.push("}\n".to_owned());
        lines.join("\n")
    }
}

/// Every method with TLS, and how it is asked for.
const TUNNELS: [(&str, &str); 11] = [
    ("PEAP", "auth=MSCHAPV2"),
    ("PEAP", "auth=MD5"),
    ("PEAP", "auth=GTC"),
    ("TTLS", "auth=PAP"),
    ("TTLS", "auth=CHAP"),
    ("TTLS", "auth=MSCHAP"),
    ("TTLS", "auth=MSCHAPV2"),
    ("TTLS", "autheap=MSCHAPV2"),
    ("TTLS", "autheap=MD5"),
    ("TTLS", "autheap=GTC"),
    ("TLS", ""),
];

#[test]
fn every_method_logs_in_with_tls_1_2_and_1_3_and_the_keys_are_equal() {
    let world = World::new();
    write_certificate(world.folder.path(), "amina", &world.ca, AMINA);
    for (eap, phase2) in TUNNELS {
        for is_tls13 in [false, true] {
            let is_tls13 = Some(is_tls13);
            let login = Login { eap, phase2, is_tls13, certificate: "amina", ..LOGIN };
            let done = world.well(&login);
            assert!(done.text.contains("MS-MPPE-Recv-Key"), "{}", done.tail());
            let version = if is_tls13 == Some(true) { "TLSv1.3" } else { "TLSv1.2" };
            assert!(done.text.contains(&format!("SSL: Using TLS version {version}")));
            assert!(done.rounds() <= 12, "{eap} {phase2} {is_tls13:?}: {}", done.rounds());
        }
    }
    world.well(&Login { eap: "MSCHAPV2", ..LOGIN });
    world.well(&Login { eap: "MD5", is_keyless: true, ..LOGIN });
    // The sessions know who it is behind `anonymous`, and on which device.
    let told = world.told();
    assert_eq!(told.opens.len(), 2 * TUNNELS.len() + 2);
    for open in &told.opens {
        assert_eq!(open.subscriber.username, "amina");
        assert_eq!(open.mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:07"));
    }
}

#[test]
fn the_accept_names_the_subscriber_and_carries_the_plan() {
    let world = World::new();
    let nas = Ipv4Addr::new(127, 0, 0, 2);
    let name = "amina@wisp.example";
    let done = world.well(&Login { eap: "TTLS", phase2: "auth=PAP", name, nas, ..LOGIN });
    let accept = done.text.rsplit_once("code=2 (Access-Accept)").unwrap().1;
    assert!(accept.contains("Attribute 1 (User-Name) length=7\n      Value: 'amina'"), "{accept}");
    assert!(accept.contains("Attribute 27 (Session-Timeout)"), "{accept}");
    assert!(!done.text.contains("Attribute 18 (Reply-Message)"), "{}", done.tail());
}

#[test]
fn a_wrong_password_an_unknown_name_and_a_blocked_subscriber_stay_out() {
    let world = World::new();
    for (eap, phase2) in TUNNELS.into_iter().filter(|(eap, _)| *eap != "TLS") {
        let login = Login { eap, phase2, is_tls13: Some(true), ..LOGIN };
        let wrong = world.refused(&Login { password: "Simba", ..login }, "wrong password");
        let unknown = world.refused(&Login { name: "nobody", ..login }, "unknown subscriber");
        // A stranger cannot tell one from the other.
        assert_eq!(wrong.rounds(), unknown.rounds(), "{eap} {phase2}");
        assert!(!wrong.text.contains("Reply-Message"), "{}", wrong.tail());
    }
    for (eap, phase2) in [("MD5", ""), ("MSCHAPV2", "")] {
        let login = Login { eap, phase2, is_keyless: true, ..LOGIN };
        world.refused(&Login { password: "Simba", ..login }, "wrong password");
        world.refused(&Login { name: "nobody", ..login }, "unknown subscriber");
    }
    world.refused(&Login { name: "late", ..LOGIN }, "blocked");
    assert_eq!(world.told().opens.len(), 0);
}

#[test]
fn who_has_only_a_hash_can_use_what_works_with_it() {
    let world = World::new();
    let login = Login { name: "windows", password: "clientPass", ..LOGIN };
    world.well(&login);
    for phase2 in ["auth=PAP", "auth=MSCHAP", "auth=MSCHAPV2", "autheap=MSCHAPV2"] {
        world.well(&Login { eap: "TTLS", phase2, ..login });
    }
    world.well(&Login { phase2: "auth=GTC", ..login });
    let unusable = "password not known in the form that the method needs";
    world.refused(&Login { eap: "TTLS", phase2: "auth=CHAP", ..login }, unusable);
    world.refused(&Login { eap: "MD5", is_keyless: true, ..login }, unusable);
}

#[test]
fn a_switch_logs_its_devices_in_by_eap_md5() {
    let world = World::new();
    let mac = "02-00-00-00-00-02";
    let login = Login { eap: "MD5", name: mac, password: mac, is_keyless: true, ..LOGIN };
    // This is another device that says so.
    world.refused(&login, "unknown subscriber");
    let login = Login { mac: "02:00:00:00:00:02", ..login };
    world.well(&login);
    assert_eq!(world.told().opens[0].subscriber.username, "printer");
    world.refused(&Login { password: "simba", ..login }, "wrong password");
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let world = World::new();
    let other = authority("the next authority");
    fs::write(world.file("next.pem"), other.pem()).unwrap();
    write_certificate(world.folder.path(), "server", &other, RADIUS);
    let login = Login { ca: "next.pem", ..LOGIN };
    assert!(!world.run(&login).is_well);
    world.offer.reload_if_changed();
    world.well(&login);
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority("KenNet test authority");
    write_certificate(folder.path(), "server", &ca, RADIUS);
    write_certificate(folder.path(), "other", &ca, RADIUS);
    let file = folder.path().join("edge.toml");
    let check = |eap: &str| {
        let text = format!(
            "state_dir = 'state'\n[radius]\nauth = ['127.0.0.1:0']\neap = {{ {eap} }}\n\
             [desired]\nfile = 'desired.toml'\n"
        );
        fs::write(&file, text).unwrap();
        fs::write(folder.path().join("desired.toml"), "").unwrap();
        let settings =
            settings::Settings::read(&file).map_err(|error| Chain(&error).to_string())?;
        agent::check(&settings).map(|_| ()).map_err(|error| Chain(&error).to_string())
    };
    assert_eq!(check("cert = 'server.pem', key = 'server.key'"), Ok(()));
    for (eap, expected) in [
        ("cert = 'absent.pem', key = 'server.key'", "cannot read "),
        ("cert = 'server.pem', key = 'other.key'", "certificate and private key do not fit"),
        ("cert = 'server.key', key = 'server.key'", "there is no certificate in the file"),
        (
            "cert = 'server.pem', key = 'server.key', client_ca = 'other.key'",
            "the certificates of clients cannot be verified",
        ),
        ("cert = 'server.pem', key = 'server.key', min_tls = '1.1'", "unknown variant `1.1`"),
        ("cert = 'server.pem', key = 'server.key', methods = ['leap']", "unknown variant `leap`"),
    ] {
        let fault = check(eap).unwrap_err();
        assert!(fault.contains(expected), "{fault}");
        assert!(!fault.contains("cert = 'server.pem', key = 'absent"), "{fault}");
    }
}

/// A NAS that sends EAP packets and may not care for the answers.
struct Nas {
    socket: UdpSocket,
    to: SocketAddr,
    /// How many requests it has made.
    asked: u32,
}

/// What a challenge says.
struct Challenge {
    eap: Vec<u8>,
    state: Vec<u8>,
}

impl Nas {
    fn new(world: &World, address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, to: world.address, asked: 0 }
    }

    fn ask(&mut self, eap: &[u8], state: &[u8]) -> (Code, Challenge) {
        let secret = Secret::new(SECRET.as_bytes());
        self.asked += 1;
        let count = self.asked.to_be_bytes();
        // Never twice the same, or it is a retransmission.
        let mut nonce = [0x5a; 16];
        nonce[..4].copy_from_slice(&count);
        let mut buffer = [0; LEN_MAX];
        let mut request = Writer::request(&mut buffer, Code::ACCESS_REQUEST, count[3], nonce);
        request.text(AttrType::USER_NAME, "anonymous").integer(AttrType::FRAMED_MTU, 1400);
        if eap.is_empty() {
            request.attr(AttrType::EAP_MESSAGE, b"");
        }
        message::write(&mut request, eap);
        if !state.is_empty() {
            request.attr(AttrType::STATE, state);
        }
        self.socket.send_to(request.sign(&secret).unwrap(), self.to).unwrap();
        let mut buffer = [0; LEN_MAX];
        let len = self.socket.recv(&mut buffer).unwrap();
        let reply = Packet::decode(&buffer[..len]).unwrap();
        let state = reply.attr(AttrType::STATE).map_or(&[][..], |attr| attr.value).to_vec();
        let eap = message::of(&reply).unwrap_or_default().into_owned();
        (reply.code(), Challenge { eap, state })
    }

    /// Begins, and says nothing more.
    fn begin(&mut self) -> Challenge {
        let identity = encode(eap::Code::Response, 1, Kind::IDENTITY, b"anonymous");
        let (code, challenge) = self.ask(&identity, b"");
        assert_eq!(code, Code::ACCESS_CHALLENGE);
        challenge
    }

    /// And does so in the middle of a handshake.
    fn greet(&mut self, hello: &[u8]) -> Challenge {
        let Challenge { eap, state } = self.begin();
        let data = [&[0], hello].concat();
        let hello = encode(eap::Code::Response, eap[1], Kind::PEAP, &data);
        let (code, challenge) = self.ask(&hello, &state);
        assert_eq!(code, Code::ACCESS_CHALLENGE);
        challenge
    }
}

/// What a peer says first.
fn hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "radius.example".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// How much of its memory this process really has.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn ten_thousand_logins_that_nobody_ends_take_little_and_harm_nobody() {
    let world = World::new();
    let mut modest = Nas::new(&world, Ipv4Addr::LOCALHOST);
    let mut greedy = Nas::new(&world, Ipv4Addr::new(127, 0, 0, 2));
    let hello = hello();
    let waiting = modest.greet(&hello);
    greedy.greet(&hello);
    let before = resident();
    let mut begun = Vec::new();
    for number in 0..10_000 {
        begun.push(if number >= 8_500 { greedy.greet(&hello) } else { greedy.begin() });
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{} MiB", grown >> 20);
    // What another NAS has begun goes on, its own newest do, and its oldest made room for them.
    let goes_on = |nas: &mut Nas, begun: &Challenge| {
        let more = encode(eap::Code::Response, begun.eap[1], Kind::PEAP, &[0x40, 22]);
        nas.ask(&more, &begun.state).0 == Code::ACCESS_CHALLENGE
    };
    assert!(goes_on(&mut modest, &waiting));
    assert!(goes_on(&mut greedy, &begun[9_999]));
    assert!(goes_on(&mut greedy, &begun[9_000]));
    assert!(!goes_on(&mut greedy, &begun[8_900]));
    assert_eq!(world.last_failure().1, "unknown EAP conversation");
    world.well(&LOGIN);
}

#[test]
fn a_peer_that_says_nothing_more_is_told_of_after_a_while() {
    let world = World::new();
    Nas::new(&world, Ipv4Addr::LOCALHOST).begin();
    let end = Instant::now() + Duration::from_secs(40);
    while world.told().failures.is_empty() {
        assert!(Instant::now() < end, "nothing was told");
        thread::sleep(Duration::from_millis(100));
    }
    let expected = ("anonymous".to_owned(), "EAP conversation not finished");
    assert_eq!(world.last_failure(), expected);
}

#[test]
fn a_conversation_goes_on_only_in_its_own_order() {
    let world = World::new();
    let mut nas = Nas::new(&world, Ipv4Addr::LOCALHOST);
    let response = |id| encode(eap::Code::Response, id, Kind::PEAP, &[0]);
    for state in [&b"never given"[..], &[7; 16]] {
        assert_eq!(nas.ask(&response(2), state).0, Code::ACCESS_REJECT);
        assert_eq!(world.last_failure().1, "unknown EAP conversation");
    }
    // Another NAS has it from somewhere.
    let Challenge { eap, state } = nas.begin();
    let mut thief = Nas::new(&world, Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(thief.ask(&response(eap[1]), &state).0, Code::ACCESS_REJECT);
    assert_eq!(world.last_failure().1, "unknown EAP conversation");
    // The identifier of another request.
    let (code, end) = nas.ask(&response(eap[1] ^ 1), &state);
    assert_eq!((code, &end.eap[..]), (Code::ACCESS_REJECT, &[4, eap[1] ^ 1, 0, 4][..]));
    assert_eq!(nas.ask(&response(eap[1]), &state).0, Code::ACCESS_REJECT);
    // A NAS may ask us to ask who it is.
    let (code, challenge) = nas.ask(b"", b"");
    assert_eq!((code, &challenge.eap[..]), (Code::ACCESS_CHALLENGE, &[1, 0, 0, 5, 1][..]));
    let identity = encode(eap::Code::Response, 0, Kind::IDENTITY, b"anonymous");
    assert_eq!(nas.ask(&identity, &challenge.state).0, Code::ACCESS_CHALLENGE);
}

#[test]
fn certificates_that_are_not_good_are_refused() {
    let world = World::new();
    let folder = world.folder.path();
    let stranger = authority("another authority");
    write_certificate(folder, "expired", &world.ca, Says { year: 2020, ..AMINA });
    write_certificate(folder, "stranger", &stranger, AMINA);
    write_certificate(folder, "nobody", &world.ca, Says { name: "nobody", ..AMINA });
    write_certificate(folder, "server-like", &world.ca, Says { purpose: Server, ..AMINA });
    fs::write(folder.join("stranger-ca.pem"), stranger.pem()).unwrap();
    for is_tls13 in [Some(false), Some(true)] {
        let login = Login { eap: "TLS", is_tls13, ..LOGIN };
        for (certificate, reason) in [
            ("expired", "client certificate refused"),
            ("stranger", "client certificate refused"),
            ("server-like", "client certificate refused"),
            ("nobody", "unknown client certificate"),
        ] {
            world.refused(&Login { certificate, ..login }, reason);
        }
        // The peer does not trust us.
        let refused = world.run(&Login { ca: "stranger-ca.pem", is_tls13, ..LOGIN });
        assert!(!refused.is_well && refused.text.contains("unknown CA"), "{}", refused.tail());
        assert_eq!(world.last_failure().1, "TLS handshake failed");
    }
    assert_eq!(world.told().opens.len(), 0);
}

#[test]
fn peers_refuse_our_certificate_when_it_has_expired() {
    let world = World::new();
    write_certificate(world.folder.path(), "server", &world.ca, Says { year: 2020, ..RADIUS });
    world.offer.reload();
    for is_tls13 in [Some(false), Some(true)] {
        let refused = world.run(&Login { is_tls13, ..LOGIN });
        assert!(!refused.is_well && refused.text.contains("expired"), "{}", refused.tail());
        assert_eq!(world.last_failure().1, "TLS handshake failed");
    }
}

#[test]
fn long_certificates_come_in_fragments_both_ways() {
    let world = World::new();
    let folder = world.folder.path();
    write_certificate(folder, "server", &world.ca, Says { ballast: 100, ..RADIUS });
    write_certificate(folder, "amina", &world.ca, Says { ballast: 100, ..AMINA });
    assert!(fs::metadata(folder.join("amina.pem")).unwrap().len() > 6_000);
    world.offer.reload();
    for is_tls13 in [Some(false), Some(true)] {
        for more in ["", "fragment_size=200"] {
            let login = Login { eap: "TLS", certificate: "amina", is_tls13, more, ..LOGIN };
            let done = world.well(&login);
            let least = if more.is_empty() { 12 } else { 30 };
            assert!(done.rounds() >= least, "{more}: {} rounds", done.rounds());
        }
    }
}

#[test]
fn sessions_are_resumed_and_authorised_again() {
    let world = World::new();
    write_certificate(world.folder.path(), "amina", &world.ca, AMINA);
    for (eap, phase2) in [("PEAP", "auth=MSCHAPV2"), ("TTLS", "auth=PAP"), ("TLS", "")] {
        for is_tls13 in [Some(false), Some(true)] {
            let login = Login { eap, phase2, is_tls13, certificate: "amina", ..LOGIN };
            let once = world.well(&login).rounds();
            let twice = world.well(&Login { again: 2, ..login });
            assert!(twice.text.contains("resumed=1"), "{eap} {is_tls13:?}\n{}", twice.tail());
            assert!(twice.rounds() <= 3 * once, "{eap} {is_tls13:?}: {}", twice.rounds());
        }
    }
    let opens = &world.told().opens;
    assert_eq!(opens.len(), 3 * 2 * 4);
    assert!(opens.iter().all(|open| open.subscriber.username == "amina"));
}

#[test]
fn certificates_are_read_again_and_bad_ones_are_not_taken() {
    let world = World::new();
    world.well(&LOGIN);
    fs::write(world.file("server.pem"), "not a certificate").unwrap();
    world.offer.reload();
    world.well(&LOGIN);
    let other = authority("the next authority");
    fs::write(world.file("next.pem"), other.pem()).unwrap();
    write_certificate(world.folder.path(), "server", &other, RADIUS);
    world.offer.reload();
    world.well(&Login { ca: "next.pem", ..LOGIN });
    assert!(!world.run(&LOGIN).is_well);
}

#[test]
fn without_certificates_there_are_the_methods_that_need_none() {
    let folder = tempfile::tempdir().unwrap();
    let ca = authority("KenNet test authority");
    fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
    let world = World::serve(None, folder, ca);
    for eap in ["MD5", "MSCHAPV2"] {
        world.well(&Login { eap, is_keyless: true, ..LOGIN });
    }
    world.refused(&LOGIN, "no EAP method in common");
}

#[test]
fn what_is_offered_can_be_chosen() {
    let world = World::with(|eap| {
        eap.methods = Some(vec![settings::EapMethod::Ttls]);
        eap.min_tls = settings::TlsVersion::V1_3;
        eap.session_seconds = 0;
    });
    let login = Login { eap: "TTLS", phase2: "auth=PAP", is_tls13: Some(true), ..LOGIN };
    let done = world.well(&Login { again: 1, ..login });
    assert!(!done.text.contains("resumed=1"), "{}", done.tail());
    let old = world.run(&Login { is_tls13: Some(false), ..login });
    assert!(!old.is_well && old.text.contains("protocol version"), "{}", old.tail());
    world.refused(&LOGIN, "no EAP method in common");
}

#[test]
fn a_password_that_has_changed_ends_what_could_be_resumed() {
    let world = World::new();
    for (eap, phase2) in [("PEAP", "auth=MSCHAPV2"), ("TTLS", "auth=PAP")] {
        world.desired.store(snapshot("simba"));
        let login = Login { eap, phase2, again: 1, ..LOGIN };
        world.well(&login);
        world.desired.store(snapshot("changed"));
        world.refused(&Login { again: 0, ..login }, "wrong password");
        world.well(&Login { password: "changed", ..login });
    }
}
