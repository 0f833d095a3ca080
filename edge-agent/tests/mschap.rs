//! MS-CHAP over real sockets: version 1 with `radclient`, version 2 with packets made here.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a fault is a failed test")]

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Command, Stdio},
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use arc_swap::ArcSwap;
use edge_agent::{
    desired::{Current, Snapshot},
    radius::bind,
    settings,
};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    attr::{microsoft, vendor::Vendor},
    mschap,
    password::{Password, nt_hash},
    salted,
};
use shared::{daemon::Life, wire::latest::desired::Desired};

const SECRET: &str = "testing123";
const NONCE: [u8; 16] = [0x5a; 16];

struct World {
    address: SocketAddr,
    life: Life,
}

impl World {
    fn new() -> Self {
        let desired: Desired = toml::from_str(&format!(
            r#"
            [[nas]]
            name = "concentrator"
            address = "127.0.0.1"
            secret = "{SECRET}"
            [[subscriber]]
            username = "amina"
            password = "simba"
            down_kbps = 10000
            up_kbps = 5000
            [[subscriber]]
            username = "windows"
            nt_hash = "44ebba8d5312b8d611474411f56989ae"
            down_kbps = 10000
            up_kbps = 5000
            "#
        ))
        .unwrap();
        let desired: Current = Arc::new(ArcSwap::from_pointee(Snapshot::new(desired).unwrap()));
        let auth = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let bound = bind(&settings::Radius { auth, ..settings::Radius::default() }).unwrap();
        let (address, life) = (bound.auth_address().unwrap(), Life::default());
        let (events, _) = sync_channel(64);
        bound.start(&desired, &events, &Arc::default(), &life).unwrap();
        Self { address, life }
    }

    fn ask(&self, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = [0; LEN_MAX];
        let mut request = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 7, NONCE);
        fill(&mut request);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let request = request.sign(&Secret::new(SECRET.as_bytes())).unwrap();
        socket.send_to(request, self.address).unwrap();
        let mut buffer = [0; LEN_MAX];
        let len = socket.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

/// What Microsoft's attribute of this number says.
fn microsoft<'a>(reply: &Packet<'a>, kind: u8) -> Option<&'a [u8]> {
    let mut all = reply.attrs().flat_map(|attr| attr.vendor_attrs());
    let found = all.find(|it| it.vendor == Vendor::MICROSOFT && it.attr.kind.0 == kind)?;
    Some(found.attr.value)
}

#[test]
fn radclient_logs_in_by_ms_chap() {
    let world = World::new();
    let ask = |name: &str, password: &str| {
        let mut child = Command::new("radclient")
            .args(["-x", "-r", "1", "-t", "2", &world.address.to_string(), "auth", SECRET])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("radclient: {error}: apt-get install freeradius-utils"));
        let request = format!(
            "User-Name = {name}\nMS-CHAP-Password = {password}\nMessage-Authenticator = 0x00\n"
        );
        child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for (name, password) in [("amina", "simba"), ("windows", "clientPass")] {
        let output = ask(name, password);
        for text in ["Received Access-Accept", "MS-CHAP-MPPE-Keys", "MS-MPPE-Encryption-Policy"] {
            assert!(output.contains(text), "no `{text}` in:\n{output}");
        }
    }
    for (name, password) in [("amina", "Simba"), ("nobody", "simba"), ("windows", "simba")] {
        let output = ask(name, password);
        for text in ["Received Access-Reject", "E=691 R=0", "Wrong username or password."] {
            assert!(output.contains(text), "no `{text}` in:\n{output}");
        }
    }
}

#[test]
fn version_1_gives_the_keys_of_its_rfc() {
    let world = World::new();
    let (hash, challenge) = (nt_hash("simba"), [3; 8]);
    let response = mschap::challenge_response(&challenge, &hash);
    let reply = world.ask(|request| {
        request.text(AttrType::USER_NAME, "amina");
        request.vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, &challenge);
        let value = [&[1, 1], &[0; 24][..], &response].concat();
        request.vendor(Vendor::MICROSOFT, microsoft::CHAP_RESPONSE, &value);
    });
    let reply = Packet::decode(&reply).unwrap();
    assert_eq!(reply.code(), Code::ACCESS_ACCEPT);
    let hidden = microsoft(&reply, microsoft::CHAP_MPPE_KEYS).unwrap();
    let keys = Password::reveal(hidden, &NONCE, &Secret::new(SECRET.as_bytes())).unwrap();
    // The padding at the end is gone.
    assert_eq!(keys.as_bytes(), &mschap::v1_mppe_keys(&hash)[..24]);
}

#[test]
fn version_2_proves_both_sides_and_gives_keys() {
    let world = World::new();
    let secret = Secret::new(SECRET.as_bytes());
    let hash = nt_hash("simba");
    for (name, password, expected) in [
        ("amina", "simba", Code::ACCESS_ACCEPT),
        ("OFFICE\\amina", "simba", Code::ACCESS_REJECT),
        ("amina", "Simba", Code::ACCESS_REJECT),
        ("nobody", "simba", Code::ACCESS_REJECT),
    ] {
        let (challenge, peer_challenge) = ([3; 16], [9; 16]);
        let hashed = mschap::challenge_hash(&peer_challenge, &challenge, b"amina");
        let response = mschap::challenge_response(&hashed, &nt_hash(password));
        let reply = world.ask(|request| {
            request.text(AttrType::USER_NAME, name);
            request.vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, &challenge);
            let value = [&[42, 0], &peer_challenge[..], &[0; 8], &response].concat();
            request.vendor(Vendor::MICROSOFT, microsoft::CHAP2_RESPONSE, &value);
        });
        let reply = Packet::decode(&reply).unwrap();
        assert_eq!(reply.code(), expected, "{name} {password}");
        if expected == Code::ACCESS_REJECT {
            let error = microsoft(&reply, microsoft::CHAP_ERROR).unwrap();
            assert!(error.starts_with(b"*E=691 R=0 C=") && error.ends_with(b" V=3"), "{error:?}");
            continue;
        }
        let v2 = mschap::V2 {
            ident: 42,
            challenge: &challenge,
            peer_challenge: &peer_challenge,
            response: &response,
        };
        let success = microsoft(&reply, microsoft::CHAP2_SUCCESS).unwrap();
        assert_eq!(success, v2.success(b"amina", &hash));
        let keys = mschap::Keys::of(&response, &hash);
        for (kind, key) in
            [(microsoft::MPPE_SEND_KEY, keys.send), (microsoft::MPPE_RECV_KEY, keys.recv)]
        {
            let hidden = microsoft(&reply, kind).unwrap();
            let plain = salted::decrypt(hidden, &NONCE, &secret).unwrap();
            assert_eq!(plain.as_bytes(), key);
        }
    }
}

#[test]
fn attributes_of_another_form_are_refused() {
    let world = World::new();
    let reply = world.ask(|request| {
        request.text(AttrType::USER_NAME, "amina");
        request.vendor(Vendor::MICROSOFT, microsoft::CHAP_CHALLENGE, &[3; 8]);
        request.vendor(Vendor::MICROSOFT, microsoft::CHAP2_RESPONSE, &[0; 50]);
    });
    assert_eq!(Packet::decode(&reply).unwrap().code(), Code::ACCESS_REJECT);
}
