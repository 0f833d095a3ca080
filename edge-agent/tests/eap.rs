//! EAP with a real supplicant: `eapol_test` (of wpa_supplicant) as NAS and peer in one. It ends
//! well only if the keys in the Access-Accept are its own.
//!
//! NASes are told apart by their loopback address: .1 hands the session to nobody.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
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
    desired::{Current, Snapshot},
    radius::{Offer, bind},
    sessions::event::{AuthFailure, Event, Open},
    settings,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use shared::{daemon::Life, wire::latest::desired::Desired};
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
            .args(["-A", &login.nas.to_string(), "-M", "02:00:00:00:00:07"]);
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
const TUNNELS: [(&str, &str); 9] = [
    ("PEAP", "auth=MSCHAPV2"),
    ("PEAP", "auth=MD5"),
    ("TTLS", "auth=PAP"),
    ("TTLS", "auth=CHAP"),
    ("TTLS", "auth=MSCHAP"),
    ("TTLS", "auth=MSCHAPV2"),
    ("TTLS", "autheap=MSCHAPV2"),
    ("TTLS", "autheap=MD5"),
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
    for (eap, phase2) in [("MD5", ""), ("MSCHAPV2", "")] {
        world.well(&Login { eap, phase2, is_keyless: true, ..LOGIN });
    }
    // The sessions know who it is behind `anonymous`, and on which device.
    let told = world.told();
    assert_eq!(told.opens.len(), 2 * TUNNELS.len() + 2);
    for open in &told.opens {
        assert_eq!(open.subscriber.username, "amina");
        assert_eq!(open.mac.to_string(), "02:00:00:00:00:07");
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
