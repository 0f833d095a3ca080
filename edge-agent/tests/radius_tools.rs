//! `kennet-edge radius` from outside: against a real edge, against `radclient`, against a NAS.

#![expect(clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    authenticator::{self, MessageAuthenticator},
    mschap,
    password::nt_hash,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

const EDGE: &str = env!("CARGO_BIN_EXE_kennet-edge");
const SECRET: &str = "testing123";

const DESIRED: &str = r#"
    [[nas]]
    name = "lab"
    address = "127.0.0.0/8"
    secret = "testing123"
    vendor = "mikrotik"
    [[subscriber]]
    username = "amina"
    password = "simba"
    down_kbps = 10000
    up_kbps = 5000
    session_timeout = 3600
    static_ip = "10.0.0.20"
"#;

/// A whole edge, without a data plane.
struct World {
    edge: Child,
    auth: SocketAddr,
    acct: SocketAddr,
    tls: SocketAddr,
    folder: TempDir,
}

fn free_port() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (auth, acct, tls) = (free_port(), free_port(), free_port());
        certificates(folder.path());
        let settings = format!(
            r#"
            state_dir = "state"
            [radius]
            auth = ["{auth}"]
            acct = ["{acct}"]
            tls = {{ listen = "{tls}", cert = "server.pem", key = "server.key", client_ca = "ca.pem" }}
            [desired]
            file = "desired.toml"
            "#
        );
        for (name, text) in
            [("edge.toml", settings.as_str()), ("desired.toml", DESIRED), ("secret", SECRET)]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut edge = Command::new(EDGE)
            .args(["run", "--config"])
            .arg(folder.path().join("edge.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(edge.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        while !seen.contains("kennet-edge is running") {
            let line = lines.next().unwrap_or_else(|| panic!("the edge has ended:\n{seen}"));
            seen += &line.unwrap();
            seen.push('\n');
        }
        // What it says from now on, so that it can say it.
        thread::spawn(move || lines.for_each(drop));
        Self { edge, auth, acct, tls, folder }
    }

    fn test(&self, to: SocketAddr, arguments: &[&str], input: &str) -> Outcome {
        test(self.folder.path(), to, arguments, input)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.edge.kill();
        let _ = self.edge.wait();
    }
}

fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for (name, subject) in [("server", "127.0.0.1"), ("nas", "nas.example")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([subject.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    errors: String,
}

fn run(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: apt-get install freeradius-utils"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Outcome { code: status.code(), out: text(stdout), errors: text(stderr) }
}

/// `kennet-edge radius test … SERVER KIND …`; what comes before the kind are options.
fn test(folder: &Path, to: SocketAddr, arguments: &[&str], input: &str) -> Outcome {
    let kind = arguments.iter().position(|argument| !argument.starts_with('-')).unwrap();
    let (options, rest) = arguments.split_at(kind);
    let mut command = Command::new(EDGE);
    command.args(["radius", "test", "--timeout=1"]).args(options);
    command.arg(to.to_string()).args(rest).current_dir(folder);
    run(&mut command, input)
}

const FILE: &str = "--secret-file=secret";

#[test]
fn passwords_of_every_method_are_accepted_and_wrong_ones_rejected() {
    let world = World::new();
    for method in ["pap", "chap", "mschap", "mschapv2"] {
        let method = format!("--method={method}");
        let right = [FILE, &method, "auth", "User-Name=amina", "User-Password=simba"];
        let outcome = world.test(world.auth, &right, "");
        assert_eq!(outcome.code, Some(0), "{method}: {outcome:?}");
        assert!(outcome.out.contains("Received Access-Accept Id "), "{outcome:?}");
        assert!(outcome.out.contains("\tMikrotik-Rate-Limit = \"5000k/10000k"), "{outcome:?}");
        assert!(!outcome.out.contains("simba"), "{outcome:?}");
        assert_eq!(outcome.errors, "");
        let proved = outcome.out.contains("the server knows the password");
        assert_eq!(proved, method.ends_with("v2"));

        let wrong = [FILE, &method, "auth", "User-Name=amina", "User-Password=nala"];
        let outcome = world.test(world.auth, &wrong, "");
        assert_eq!(outcome.code, Some(1), "{method}: {outcome:?}");
        assert!(outcome.out.contains("Received Access-Reject Id "), "{outcome:?}");
    }
    let shown = ["--show-secrets", FILE, "auth", "User-Name=amina", "User-Password=simba"];
    let outcome = world.test(world.auth, &shown, "");
    assert!(outcome.out.contains("\tUser-Password = \"simba\"\n"), "{outcome:?}");
}

#[test]
fn accounting_and_status_are_answered_and_lines_come_from_standard_input() {
    let world = World::new();
    let start = "# A session begins.\nAcct-Status-Type = Start, Acct-Session-Id = '5A,01'\n\
                 User-Name = amina\n";
    let outcome = world.test(world.acct, &[FILE, "acct", "-"], start);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("\tAcct-Session-Id = \"5A,01\"\n"), "{outcome:?}");
    assert!(outcome.out.contains("Received Accounting-Response Id "), "{outcome:?}");
    let outcome = world.test(world.auth, &[FILE, "status"], "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn what_is_printed_is_what_radclient_prints() {
    let world = World::new();
    let login = [FILE, "auth", "User-Name=amina", "User-Password=simba"];
    let ours = world.test(world.auth, &login, "");
    let mut radclient = Command::new("radclient");
    radclient.args(["-x", "-r", "1", &world.auth.to_string(), "auth", SECRET]);
    let request = "User-Name = amina, User-Password = simba, Message-Authenticator = 0x00";
    let theirs = run(&mut radclient, request);
    let reply = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("Received"));
        let changes = ["Message-Authenticator", "Class"];
        lines
            .filter(|line| line.starts_with('\t'))
            .filter(|line| !changes.iter().any(|name| line.contains(name)))
            .map(str::to_owned)
            .collect()
    };
    let (ours, theirs) = (reply(&ours.out), reply(&theirs.out));
    assert!(ours.len() > 3, "{ours:?}");
    assert_eq!(ours, theirs);
}

#[test]
fn over_tls_it_is_the_same_and_a_server_that_is_not_the_right_one_is_not_asked() {
    let world = World::new();
    let tls = ["--tls", "--ca=ca.pem", "--cert=nas.pem", "--key=nas.key"];
    let login = ["auth", "User-Name=amina", "User-Password=simba"];
    let outcome = world.test(world.tls, &[&tls[..], &login].concat(), "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("\tSession-Timeout = 3600\n"), "{outcome:?}");

    let other = [&tls[..], &["--server-name=other.example"], &login].concat();
    let outcome = world.test(world.tls, &other, "");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.errors.contains("certificate"), "{outcome:?}");
    let stranger = [&tls[..2], &login].concat();
    let outcome = world.test(world.tls, &stranger, "");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
}

/// A NAS that answers one request with this code, after a packet of somebody who does not know
/// the secret. Returns what it was asked.
fn nas(code: Code) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    let serve = thread::spawn(move || {
        let mut datagram = [0; LEN_MAX];
        // The first is lost.
        socket.recv_from(&mut datagram).unwrap();
        let (len, peer) = socket.recv_from(&mut datagram).unwrap();
        let request = Packet::decode(datagram.get(..len).unwrap()).unwrap();
        for secret in ["another", SECRET] {
            let mut buffer = [0; LEN_MAX];
            let mut reply = Writer::reply(&mut buffer, code, &request);
            if code == Code::DISCONNECT_NAK {
                reply.integer(AttrType::ERROR_CAUSE, 503);
            }
            let reply = reply.sign(&Secret::new(secret.as_bytes())).unwrap();
            socket.send_to(reply, peer).unwrap();
        }
        request.as_bytes().to_vec()
    });
    (address, serve)
}

#[test]
fn a_nas_is_asked_to_disconnect_and_only_a_genuine_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
    for (code, expected) in [(Code::DISCONNECT_ACK, 0), (Code::DISCONNECT_NAK, 1)] {
        let (to, served) = nas(code);
        let arguments = [FILE, "disconnect", "Acct-Session-Id=5A01"];
        let outcome = test(folder.path(), to, &arguments, "");
        assert_eq!(outcome.code, Some(expected), "{outcome:?}");
        assert!(outcome.out.contains("Sent it again"), "{outcome:?}");
        assert!(outcome.errors.contains("does not prove itself"), "{outcome:?}");
        let is_refused = outcome.out.contains("\tError-Cause = Session-Context-Not-Found\n");
        assert_eq!(is_refused, expected == 1, "{outcome:?}");

        let asked = served.join().unwrap();
        let asked = Packet::decode(&asked).unwrap();
        let secret = Secret::new(SECRET.as_bytes());
        assert_eq!(authenticator::verify_accounting(&asked, &secret), Ok(()));
        let proof = authenticator::message_authenticator(&asked, &secret);
        assert_eq!(proof, MessageAuthenticator::Valid);
        assert!(asked.attr(AttrType::EVENT_TIMESTAMP).is_some());
    }
}

#[test]
fn nobody_there_is_2_and_a_fault_of_the_command_line_says_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    let to = free_port();
    let outcome = test(folder.path(), to, &[FILE, "--tries=1", "status"], "");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.errors.contains("does not answer"), "{outcome:?}");

    for (arguments, expected) in [
        (&["status"][..], "name a --secret-file, or set KENNET_RADIUS_SECRET"),
        (&[FILE, "auth", "User-Nmae=x"], "no dictionary has an attribute `User-Nmae`"),
        (&[FILE, "auth", "Framed-IP-Address=here"], "is of the type ipaddr, and `here` is none"),
        (&[FILE, "--method=chap", "auth"], "needs a User-Name and a User-Password"),
        (&["--secret-file=none", "status"], "cannot read none"),
        (&[FILE, "--dictionary=none", "status"], "cannot read none"),
    ] {
        let outcome = test(folder.path(), to, arguments, "");
        assert_eq!(outcome.code, Some(64), "{outcome:?}");
        assert!(outcome.errors.contains(expected), "{outcome:?}");
    }
}

#[test]
fn dictionaries_are_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.dict");
    fs::write(&file, "VENDOR Mine 32473\nBEGIN-VENDOR Mine\nATTRIBUTE My-Rate 1 integer\n")
        .unwrap();
    let look = |arguments: &[&str]| {
        let mut command = Command::new(EDGE);
        command.args(["radius", "dictionary"]).args(arguments).current_dir(folder.path());
        run(&mut command, "")
    };
    let outcome = look(&["--dictionary=my.dict"]);
    assert_eq!(outcome.code, Some(64), "{outcome:?}");
    assert!(outcome.errors.contains("my.dict:3: expected `END-VENDOR mine`"), "{outcome:?}");
    fs::write(&file, "VENDOR Mine 32473\nATTRIBUTE My-Rate 1 integer Mine\n").unwrap();
    for (arguments, expected) in [
        (&[][..], "Mikrotik             14988"),
        (&["--dictionary=my.dict"], "     1 Mine                 32473"),
        (&["--dictionary=my.dict", "my-rate"], "ATTRIBUTE  My-Rate"),
        (&["Service-Type"], "Framed-User"),
        (&["mikrotik"], "26.14988.8"),
        (&["26.14122"], "WISPr-Bandwidth-Max-Up"),
        (&["bandwidth"], "ChilliSpot-Bandwidth-Max-Down"),
    ] {
        let outcome = look(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains(expected), "{outcome:?}");
    }
    assert_eq!(look(&["no such thing"]).code, Some(1));
}

const FREERADIUS: &str = "
    prefix = /usr
    logdir = FOLDER
    run_dir = FOLDER
    raddbdir = FOLDER
    libdir = /usr/lib/freeradius
    pidfile = FOLDER/pid
    security {
        reject_delay = 0
    }
    client lab {
        ipaddr = 127.0.0.1
        secret = testing123
    }
    modules {
        mschap {
            use_mppe = yes
        }
        pap {
        }
        files {
            usersfile = FOLDER/users
        }
    }
    server default {
        listen {
            type = auth
            ipaddr = 127.0.0.1
            port = PORT
        }
        authorize {
            mschap
            files
            pap
        }
        authenticate {
            Auth-Type PAP {
                pap
            }
            Auth-Type MS-CHAP {
                mschap
            }
        }
    }
";

/// What it replies; each of these prints as it stands here.
const REPLY: &[&str] = &[
    "Tunnel-Type:1 = VLAN",
    "Tunnel-Medium-Type:1 = IEEE-802",
    "Tunnel-Private-Group-Id:1 = \"200\"",
    "Tunnel-Password:1 = \"correct horse battery\"",
    "Ascend-Send-Secret = \"arctangent\"",
    "Framed-IPv6-Prefix = 2001:db8:1::/64",
    "Delegated-IPv6-Prefix = 2001:db8:2::/56",
    "Frag-Status = More-Data-Pending",
    "Framed-Interface-Id = 1200:10ff:fe00:1001",
    "WiMAX-Packet-Data-Flow-Id = 5",
    "Mikrotik-Rate-Limit = \"5M/10M\"",
    "Cisco-AVPair = \"ip:sub-qos-policy-in=gold \\\"x\\\"\"",
];

const WIMAX: &str = "
    VENDOR WiMAX 24757 format=1,1,c
    BEGIN-VENDOR WiMAX
    ATTRIBUTE WiMAX-Packet-Flow-Descriptor 28 tlv
    ATTRIBUTE WiMAX-Packet-Data-Flow-Id 28.1 short
    END-VENDOR WiMAX
";

/// The keys in the reply are those of the answer in the request.
fn check_keys(printed: &str) {
    let octets = |name: &str| -> Vec<u8> {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(name));
        let digits =
            line.unwrap_or_else(|| panic!("{name}: {printed}")).trim_start_matches(" = 0x");
        let (pairs, _) = digits.as_bytes().as_chunks::<2>();
        pairs
            .iter()
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let answer = octets("MS-CHAP2-Response");
    let response = answer.last_chunk::<24>().unwrap();
    let keys = mschap::Keys::of(response, &nt_hash("simba"));
    assert_eq!(octets("MS-MPPE-Send-Key"), keys.send);
    assert_eq!(octets("MS-MPPE-Recv-Key"), keys.recv);
}

/// A FreeRADIUS that is killed in the end.
struct FreeRadius(Child);

impl FreeRadius {
    fn start(folder: &Path, at: SocketAddr) -> Self {
        let folder_text = folder.to_str().unwrap();
        let settings =
            FREERADIUS.replace("FOLDER", folder_text).replace("PORT", &at.port().to_string());
        let users = format!("amina Cleartext-Password := \"simba\"\n\t{}\n", REPLY.join(",\n\t"));
        let dictionary = "$INCLUDE /usr/share/freeradius/dictionary\n".to_owned();
        for (name, text) in
            [("radiusd.conf", settings), ("users", users), ("dictionary", dictionary)]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut server = Command::new("freeradius")
            .args(["-f", "-x", "-x", "-l", "stdout", "-d", folder_text])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("freeradius: {error}: apt-get install freeradius"));
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut seen = String::new();
        while !seen.contains("Ready to process requests") {
            let line = lines.next().unwrap_or_else(|| panic!("FreeRADIUS has ended:\n{seen}"));
            seen += &line.unwrap();
            seen.push('\n');
        }
        thread::spawn(move || lines.for_each(drop));
        Self(server)
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_freeradius_encrypts_tags_and_nests_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let at = free_port();
    let _server = FreeRadius::start(folder.path(), at);
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    fs::write(folder.path().join("wimax.dict"), WIMAX).unwrap();
    for method in ["pap", "mschapv2"] {
        let method = format!("--method={method}");
        let outcome = test(
            folder.path(),
            at,
            &[
                FILE,
                "--show-secrets",
                "--dictionary=wimax.dict",
                // Debian's has none in its replies to these.
                "--no-message-authenticator",
                &method,
                "auth",
                "User-Name=amina",
                "User-Password=simba",
            ],
            "",
        );
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        for line in REPLY {
            assert!(outcome.out.contains(&format!("\t{line}\n")), "{line}: {}", outcome.out);
        }
        if method.ends_with("v2") {
            assert!(outcome.out.contains("the server knows the password"), "{outcome:?}");
            check_keys(&outcome.out);
        }
    }
}
