//! RADIUS over TLS: with radsecproxy in front, and with a client that does what none should.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use edge_agent::{
    desired::{Current, Snapshot},
    radius::{Running, bind},
    sessions::event::Event,
    settings,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    authenticator::{MessageAuthenticator, message_authenticator_of_reply, verify_reply},
    packet::Authenticator,
    password,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use shared::{daemon::Life, wire::latest::desired::Desired};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NAMED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

const DESIRED: &str = r#"
    [[nas]]
    name = "proxy"
    address = "127.0.0.1"
    secret = "testing123"
    vendor = "mikrotik"
    [[subscriber]]
    username = "amina"
    password = "simba"
    down_kbps = 10000
    up_kbps = 5000
"#;

const WITH_NAME: &str = r#"
    [[nas]]
    name = "roaming"
    address = "127.0.0.2"
    secret = "testing123"
    tls_name = "nas.example"
"#;

fn snapshot(desired: &str) -> Arc<Snapshot> {
    Arc::new(Snapshot::new(toml::from_str::<Desired>(desired).unwrap()).unwrap())
}

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

#[derive(Clone)]
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    /// Says which of its certificates count no more.
    fn revocations(&self, numbers: &[u64]) -> String {
        let revoked = |&number| RevokedCertParams {
            serial_number: SerialNumber::from(number),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// The number of a certificate that counts no more.
const REVOKED: u64 = 42;

/// An edge of which only RADIUS is real.
struct World {
    at: SocketAddr,
    authority: Authority,
    folder: TempDir,
    desired: Current,
    running: Running,
    life: Life,
    accounted: Arc<AtomicUsize>,
    metrics: &'static PrometheusHandle,
    _runtime: Runtime,
    /// The counters belong to the process: one test at a time.
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new(desired: &str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap());

        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("ca.pem"), authority.0.pem()).unwrap();
        fs::write(folder.path().join("crl.pem"), authority.revocations(&[REVOKED])).unwrap();
        write_identity(folder.path(), "edge", &authority.issue("localhost", |_| {}));
        let radius: settings::Radius = toml::from_str(&format!(
            r#"
            tls = {{ listen = "{HERE}:0", cert = "{0}.pem", key = "{0}.key", client_ca = "{1}",
                     client_crl = "{2}" }}
            eap = {{ cert = "{0}.pem", key = "{0}.key" }}
            "#,
            folder.path().join("edge").display(),
            folder.path().join("ca.pem").display(),
            folder.path().join("crl.pem").display(),
        ))
        .unwrap();

        let runtime = Runtime::new().unwrap();
        let inside = runtime.enter();
        let desired: Current = Arc::new(ArcSwap::new(snapshot(desired)));
        let (events, inbox) = sync_channel(64);
        let (accounted, life) = (Arc::new(AtomicUsize::new(0)), Life::default());
        let count = Arc::clone(&accounted);
        thread::spawn(move || {
            for event in inbox {
                if let Event::Accounting(_, ticket) = event {
                    count.fetch_add(1, Ordering::SeqCst);
                    ticket.complete();
                }
            }
        });
        let bound = bind(&radius).unwrap();
        let at = bound.tls_address().unwrap();
        let running = bound.start(&desired, &events, &Arc::default(), &life).unwrap();
        drop(inside);
        Self {
            at,
            authority,
            folder,
            desired,
            running,
            life,
            accounted,
            metrics,
            _runtime: runtime,
            _alone: alone,
        }
    }

    /// How many were dropped or refused for this reason, ever.
    fn drops(&self, reason: &str) -> u64 {
        self.metric(&format!("kennet_radius_drops_total{{reason=\"{reason}\"}}"))
    }

    fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or("0").trim().parse().unwrap()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !is_there(self) {
            assert!(Instant::now() < end, "not within 5 s: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn client(&self) -> Identity {
        self.authority.issue("client.example", |_| {})
    }

    fn connect(&self, who: Option<&Identity>) -> Connection {
        Connection::new(self, HERE, who, &[&TLS12, &TLS13])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

fn write_identity(folder: &Path, name: &str, identity: &Identity) -> (PathBuf, PathBuf) {
    let file = folder.join(name);
    let (certificate, key) = (file.with_extension("pem"), file.with_extension("key"));
    fs::write(&certificate, &identity.certificate).unwrap();
    fs::write(&key, &identity.key).unwrap();
    (certificate, key)
}

/// A client's end of a connection. The handshake is done with the first octets.
struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    fn new(
        world: &World,
        from: Ipv4Addr,
        who: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(world.authority.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match who {
            None => config.with_no_client_auth(),
            Some(who) => {
                let certificate = pem(&who.certificate, "CERTIFICATE");
                let key = PrivatePkcs8KeyDer::from(pem(&who.key, "PRIVATE KEY"));
                let chain = vec![CertificateDer::from(certificate)];
                config.with_client_auth_cert(chain, PrivateKeyDer::from(key)).unwrap()
            }
        };
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&world.at.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(StreamOwned::new(connection, stream))
    }

    #[track_caller]
    fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).unwrap();
        self.0.flush().unwrap();
    }

    /// The next packet.
    #[track_caller]
    fn receive(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 4];
        self.0.read_exact(&mut packet).unwrap();
        packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
        self.0.read_exact(&mut packet[4..]).unwrap();
        packet
    }

    /// Does the other end hang up, saying nothing? It may be said while one still writes.
    fn is_closed(&mut self, octets: &[u8]) -> bool {
        let _it_may_be_closed_already = self.0.write_all(octets).and_then(|()| self.0.flush());
        match self.0.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// The octets of the only section of its kind.
fn pem(text: &str, kind: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    match kind {
        "CERTIFICATE" => CertificateDer::from_pem_slice(text.as_bytes()).unwrap().to_vec(),
        _ => PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap().secret_der().to_vec(),
    }
}

const NONCE: Authenticator = [0x5a; 16];

fn radsec() -> Secret {
    Secret::new(b"radsec")
}

fn login(id: u8, secret: &Secret) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, NONCE);
    let (hidden, len) = password::hide(b"simba", &NONCE, secret).unwrap();
    writer.text(AttrType::USER_NAME, "amina").attr(AttrType::USER_PASSWORD, &hidden[..len]);
    writer.attr(AttrType::PROXY_STATE, b"one").attr(AttrType::PROXY_STATE, b"two");
    writer.sign(secret).unwrap().to_vec()
}

fn start(id: u8, secret: &Secret) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, id);
    writer
        .integer(AttrType::ACCT_STATUS_TYPE, 1)
        .text(AttrType::ACCT_SESSION_ID, "81a00001")
        .text(AttrType::USER_NAME, "amina");
    writer.sign(secret).unwrap().to_vec()
}

fn status(id: u8) -> Vec<u8> {
    let mut buffer = [0; LEN_MAX];
    let writer = Writer::request(&mut buffer, Code::STATUS_SERVER, id, NONCE);
    writer.sign(&radsec()).unwrap().to_vec()
}

#[track_caller]
fn check_reply(reply: &[u8], code: Code, secret: &Secret) {
    let reply = Packet::decode(reply).unwrap();
    assert_eq!(reply.code(), code);
    assert_eq!(verify_reply(&reply, &NONCE, secret), Ok(()));
    let proof = message_authenticator_of_reply(&reply, &NONCE, secret);
    assert_eq!(proof, MessageAuthenticator::Valid);
}

#[test]
fn logins_accounting_and_status_share_a_connection_of_either_version() {
    let world = World::new(DESIRED);
    let client = world.client();
    for (version, number) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut connection = Connection::new(&world, HERE, Some(&client), &[version]);
        let accounted = world.accounted.load(Ordering::SeqCst);
        // Several at once, and in pieces that are no packets.
        let mut octets = [login(1, &radsec()), start(2, &radsec()), status(3)].concat();
        let rest = octets.split_off(70);
        connection.send(&octets);
        thread::sleep(Duration::from_millis(50));
        connection.send(&rest);
        let mut replies: Vec<_> = (0..3).map(|_| connection.receive()).collect();
        assert_eq!(connection.0.conn.protocol_version(), Some(number));
        replies.sort_by_key(|reply| reply[1]);
        check_reply(&replies[0], Code::ACCESS_ACCEPT, &radsec());
        assert_eq!(replies[1][..2], [Code::ACCOUNTING_RESPONSE.0, 2]);
        check_reply(&replies[2], Code::ACCESS_ACCEPT, &radsec());
        assert_eq!(world.accounted.load(Ordering::SeqCst), accounted + 1);
        let accept = Packet::decode(&replies[0]).unwrap();
        let states = accept.attrs().filter(|attr| attr.kind == AttrType::PROXY_STATE);
        assert_eq!(states.map(|attr| attr.value).collect::<Vec<_>>(), [b"one", b"two"]);
        // A hundred that wait for nothing.
        for id in 0..100 {
            connection.send(&login(id, &radsec()));
        }
        for id in 0..100 {
            assert_eq!(connection.receive()[1], id);
        }
    }
}

#[test]
fn a_nas_may_use_its_own_secret_and_no_other() {
    let world = World::new(DESIRED);
    let own = Secret::new(b"testing123");
    let mut connection = world.connect(Some(&world.client()));
    connection.send(&login(1, &own));
    check_reply(&connection.receive(), Code::ACCESS_ACCEPT, &own);
    let before = world.drops("bad_message_authenticator");
    connection.send(&login(2, &Secret::new(b"other")));
    connection.send(&status(3));
    assert_eq!(connection.receive()[1], 3);
    assert_eq!(world.drops("bad_message_authenticator"), before + 1);
}

#[test]
fn nobody_comes_in_without_a_certificate_that_is_vouched_for_and_valid() {
    let world = World::new(DESIRED);
    let stranger = Authority::new().issue("client.example", |_| {});
    let expired = world.authority.issue("client.example", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let for_servers = world.authority.issue("client.example", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let revoked = world.authority.issue("client.example", |params| {
        params.serial_number = Some(SerialNumber::from(REVOKED));
    });
    for (what, who) in [
        ("none", None),
        ("revoked", Some(&revoked)),
        ("of another authority", Some(&stranger)),
        ("expired", Some(&expired)),
        ("for servers", Some(&for_servers)),
    ] {
        for version in [&TLS12, &TLS13] {
            let before = world.drops("tls_handshake");
            let mut connection = Connection::new(&world, HERE, who, &[version]);
            assert!(connection.is_closed(&status(1)), "{what} is served");
            world.wait_for(what, |world| world.drops("tls_handshake") == before + 1);
        }
    }
    let mut connection = world.connect(Some(&world.client()));
    connection.send(&status(1));
    check_reply(&connection.receive(), Code::ACCESS_ACCEPT, &radsec());
}

#[test]
fn a_nas_with_a_name_comes_from_anywhere_and_from_its_address_nobody_else() {
    let world = World::new(DESIRED);
    // While no NAS has a name, a stranger's address is enough to know.
    let before = world.drops("unknown_nas");
    let named = world.authority.issue("NAS.example", |_| {});
    let mut early = Connection::new(&world, STRANGER, Some(&named), &[&TLS13]);
    assert!(early.is_closed(&status(1)));
    assert_eq!(world.drops("unknown_nas"), before + 1);

    world.desired.store(snapshot(&format!("{DESIRED}{WITH_NAME}")));
    let mut connection = Connection::new(&world, STRANGER, Some(&named), &[&TLS13]);
    connection.send(&login(1, &radsec()));
    check_reply(&connection.receive(), Code::ACCESS_ACCEPT, &radsec());
    for (from, reason) in [(NAMED, "certificate_name"), (STRANGER, "unknown_nas")] {
        let before = world.drops(reason);
        let mut other = Connection::new(&world, from, Some(&world.client()), &[&TLS13]);
        assert!(other.is_closed(&status(1)), "{reason}");
        assert_eq!(world.drops(reason), before + 1);
    }
    // A NAS that is taken away is not served from the next packet on.
    world.desired.store(snapshot(DESIRED));
    assert!(connection.is_closed(&status(2)));
}

#[test]
fn what_is_no_packet_ends_the_connection() {
    let world = World::new(DESIRED);
    let client = world.client();
    let before = world.drops("malformed");
    for (at, octets) in
        [&[1, 1, 0, 19][..], &[1, 1, 0xff, 0xff], b"GET / HTTP/1.1\r\n\r\n"].iter().enumerate()
    {
        let mut connection = world.connect(Some(&client));
        connection.send(&status(1));
        connection.receive();
        assert!(connection.is_closed(octets), "{octets:?}");
        let expected = before + u64::try_from(at).unwrap() + 1;
        world.wait_for("a fault", |world| world.drops("malformed") == expected);
    }
    // One with a wrong attribute is dropped as over UDP, and the next is found.
    let mut garbled = login(1, &radsec());
    garbled[21] = 1;
    let mut connection = world.connect(Some(&client));
    connection.send(&[garbled, status(2)].concat());
    assert_eq!(connection.receive()[1], 2);
    assert_eq!(world.drops("malformed"), before + 4);
}

#[test]
fn half_a_packet_holds_its_seat_for_a_while_only() {
    let world = World::new(DESIRED);
    let mut connection = world.connect(Some(&world.client()));
    connection.0.sock.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    connection.send(&status(1));
    connection.receive();
    let begin = Instant::now();
    let packet = status(2);
    connection.send(&packet[..10]);
    thread::sleep(Duration::from_secs(6));
    // An octet now and then does not help.
    connection.send(&packet[10..11]);
    assert!(connection.is_closed(&[]));
    let took = begin.elapsed();
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
    world.wait_for("no connection", |world| world.metric("kennet_radius_tls_connections") == 0);
}

#[test]
fn one_nas_has_a_limited_number_of_connections() {
    let world = World::new(&format!("{DESIRED}{WITH_NAME}"));
    let client = world.client();
    let mut many: Vec<_> = (0..64)
        .map(|_| {
            let mut connection = world.connect(Some(&client));
            connection.send(&status(1));
            connection.receive();
            connection
        })
        .collect();
    let before = world.drops("too_many_connections");
    assert!(world.connect(Some(&client)).is_closed(&status(1)));
    assert_eq!(world.drops("too_many_connections"), before + 1);
    // Others come in, and it does when one has gone.
    let named = world.authority.issue("nas.example", |_| {});
    let mut other = Connection::new(&world, NAMED, Some(&named), &[&TLS13]);
    other.send(&status(1));
    check_reply(&other.receive(), Code::ACCESS_ACCEPT, &radsec());
    drop(many.pop());
    world.wait_for("one less", |world| world.metric("kennet_radius_tls_connections") == 64);
    let mut next = world.connect(Some(&client));
    next.send(&status(1));
    check_reply(&next.receive(), Code::ACCESS_ACCEPT, &radsec());
}

#[test]
fn new_certificates_are_for_new_connections() {
    let world = World::new(DESIRED);
    let client = world.client();
    let mut old = world.connect(Some(&client));
    old.send(&status(1));
    old.receive();
    let certificate_of =
        |connection: &Connection| connection.0.conn.peer_certificates().unwrap()[0].clone();

    let certificate = world.authority.issue("localhost", |_| {});
    write_identity(world.folder.path(), "edge", &certificate);
    world.running.reload();
    let expected = CertificateDer::from(pem(&certificate.certificate, "CERTIFICATE"));
    let is_shown = |world: &World, expected: &CertificateDer<'_>| {
        let mut new = world.connect(Some(&client));
        new.send(&status(2));
        new.receive();
        certificate_of(&new) == *expected
    };
    world.wait_for("the new certificate", |world| is_shown(world, &expected));
    assert_ne!(certificate_of(&old), expected);
    old.send(&login(2, &radsec()));
    check_reply(&old.receive(), Code::ACCESS_ACCEPT, &radsec());

    // Somebody sees it, too, when nobody says so.
    let certificate = world.authority.issue("localhost", |_| {});
    write_identity(world.folder.path(), "edge", &certificate);
    let expected = CertificateDer::from(pem(&certificate.certificate, "CERTIFICATE"));
    let end = Instant::now() + Duration::from_secs(25);
    while !is_shown(&world, &expected) {
        assert!(Instant::now() < end, "the change was not seen");
        thread::sleep(Duration::from_millis(200));
    }

    // What cannot be read changes nothing.
    fs::write(world.folder.path().join("edge.key"), "no key").unwrap();
    world.running.reload();
    thread::sleep(Duration::from_millis(200));
    let mut after = world.connect(Some(&client));
    after.send(&status(3));
    after.receive();
    assert_eq!(certificate_of(&after), expected);
}

/// A process that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone_already_is_fine = self.0.kill();
        let _gone_already_is_fine = self.0.wait();
    }
}

/// radsecproxy between datagrams and the edge; gives its addresses.
fn proxy(world: &World) -> (Guard, SocketAddr) {
    let (certificate, key) = write_identity(world.folder.path(), "proxy", &world.client());
    let free = UdpSocket::bind((HERE, 0)).unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let file = world.folder.path().join("radsecproxy.conf");
    let settings = format!(
        "ListenUDP {at}\n\
         LogLevel 2\n\
         LogDestination file://{folder}/radsecproxy.log\n\
         tls default {{\n  CACertificateFile {folder}/ca.pem\n  CertificateFile {certificate}\n\
         \x20 CertificateKeyFile {key}\n}}\n\
         client 127.0.0.1 {{\n  type udp\n  secret testing123\n}}\n\
         server edge {{\n  host {host}\n  port {port}\n  type tls\n  secret radsec\n\
         \x20 StatusServer on\n  CertificateNameCheck off\n}}\n\
         realm * {{\n  server edge\n  accountingServer edge\n}}\n",
        folder = world.folder.path().display(),
        certificate = certificate.display(),
        key = key.display(),
        host = world.at.ip(),
        port = world.at.port(),
    );
    fs::write(&file, settings).unwrap();
    let child = Command::new("radsecproxy")
        .args(["-f", "-c"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("radsecproxy: {error}: apt-get install radsecproxy"));
    (Guard(child), at)
}

#[track_caller]
fn radclient(to: SocketAddr, kind: &str, attributes: &str) -> String {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "3", "-t", "2", &to.to_string(), kind, "testing123"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("radclient: {error}: apt-get install freeradius-utils"));
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn radsecproxy_brings_logins_and_accounting() {
    let world = World::new(DESIRED);
    let (mut proxy, at) = proxy(&world);
    world.wait_for("radsecproxy's connection", |world| {
        world.metric("kennet_radius_tls_connections") == 1
    });
    for proof in ["\nMessage-Authenticator = 0x00", ""] {
        let login = format!("User-Name = amina, User-Password = simba{proof}\n");
        let output = radclient(at, "auth", &login);
        assert!(output.contains("Received Access-Accept"), "{output}");
        assert!(output.contains("Mikrotik-Rate-Limit = \"5000k/10000k\""), "{output}");
    }
    let output = radclient(at, "auth", "User-Name = amina, CHAP-Password = simba\n");
    assert!(output.contains("Received Access-Accept"), "{output}");
    let output = radclient(at, "auth", "User-Name = amina, User-Password = wrong\n");
    assert!(output.contains("Received Access-Reject"), "{output}");
    let record = "Acct-Status-Type = Start, Acct-Session-Id = 1, User-Name = amina\n";
    let output = radclient(at, "acct", record);
    assert!(output.contains("Received Accounting-Response"), "{output}");
    assert_eq!(world.accounted.load(Ordering::SeqCst), 1);
    assert!(proxy.0.try_wait().unwrap().is_none(), "radsecproxy has ended");
}

#[test]
fn eap_goes_through_radsecproxy_with_its_keys() {
    let world = World::new(DESIRED);
    let (_proxy, at) = proxy(&world);
    world.wait_for("radsecproxy's connection", |world| {
        world.metric("kennet_radius_tls_connections") == 1
    });
    let folder = world.folder.path();
    for tls in ["tls_disable_tlsv1_3=1", "tls_disable_tlsv1_3=0"] {
        let file = folder.join("peap.conf");
        let network = format!(
            "network={{\n key_mgmt=WPA-EAP\n eap=PEAP\n identity=\"amina\"\n password=\"simba\"\n \
             anonymous_identity=\"anonymous\"\n ca_cert=\"{}/ca.pem\"\n \
             phase1=\"peapver=0 {tls}\"\n phase2=\"auth=MSCHAPV2\"\n}}\n",
            folder.display()
        );
        fs::write(&file, network).unwrap();
        let port = at.port().to_string();
        let output = Command::new("eapol_test")
            .arg("-c")
            .arg(&file)
            .args(["-a", "127.0.0.1", "-p", &port, "-s", "testing123", "-t", "10"])
            .output()
            .unwrap_or_else(|error| panic!("eapol_test: {error}: apt-get install eapoltest"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // It says so only if the keys in the Access-Accept are its own.
        assert!(output.status.success(), "{text}");
        assert!(text.trim_end().ends_with("SUCCESS"), "{text}");
    }
}
