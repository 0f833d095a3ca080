//! A crowd behind one NAS begins to log in and goes away: the edge stays small, and who comes
//! from another NAS does not notice.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use radius::{AttrType, Code, LEN_MAX, Packet, Secret, Writer, password};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName};
use xtask::{
    lab::{Lab, Network, Offload},
    provider::{
        authority::{Authority, Role},
        edge::{Edge, Orders},
    },
    workspace,
};

const SECRET: &str = "a secret of the crowd";

const DESIRED: &str = r#"
[[nas]]
name = "crowded"
address = "127.0.0.2"
secret = "a secret of the crowd"

[[nas]]
name = "quiet"
address = "127.0.0.3"
secret = "a secret of the crowd"

[[subscriber]]
username = "amina"
password = "jasmine-1"
down_kbps = 10000
up_kbps = 5000
"#;

const CROWDED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const QUIET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

const CONVERSATIONS: usize = 10_000;

/// At once on their way.
const OUTSTANDING: usize = 32;

/// What an edge may occupy, whatever happens.
const MEMORY_MAX_KIB: u64 = 128 * 1024;

#[test]
fn ten_thousand_half_open_conversations_harm_nobody_else() -> Result<()> {
    let binaries = workspace::binaries()?;
    let lab = Lab::new()?;
    lab.keep_logs(true);
    let network = Network::build(&lab, 0, Offload::Off)?;
    let authority = Authority::new(&lab.folder("certificates")?, "root")?;
    let shown = authority.issue(Role::Server, "radius.lab")?;
    let radius = format!(
        "auth = [\"127.0.0.1:1812\"]\neap = {{ cert = \"{}\", key = \"{}\" }}\n",
        shown.certificate.display(),
        shown.key.display()
    );
    let orders = Orders::File(DESIRED);
    let mut edge = Edge::start_with(&lab, &binaries, &network.edge, orders, &radius)?;
    let log = edge.process.log().to_owned();
    edge.wait_until("running", Duration::from_secs(30), || {
        Ok(fs::read_to_string(&log)?.contains("kennet-edge is running"))
    })?;
    let memory = || memory_kib(edge.process.id());
    network.edge.inside(|| {
        let quiet = socket(QUIET)?;
        let before = (logins(&quiet, 1)?, memory()?);
        let crowd = socket(CROWDED)?;
        let start = Instant::now();
        open(&crowd, CONVERSATIONS)?;
        let took = start.elapsed();
        let after = (logins(&quiet, 2)?, memory()?);
        println!(
            "{CONVERSATIONS} conversations opened in {took:?}; another NAS waits {:?} before and \
             {:?} after; memory {} KiB before and {} KiB after",
            before.0, after.0, before.1, after.1
        );
        ensure!(after.1 < MEMORY_MAX_KIB, "the edge occupies {} KiB", after.1);
        let bound = before.0 * 2 + Duration::from_millis(1);
        ensure!(after.0 < bound, "another NAS waits {:?}, {:?} before", after.0, before.0);
        // The crowded NAS is not locked out either.
        logins(&crowd, 3)?;
        Ok(())
    })?;
    lab.keep_logs(false);
    Ok(())
}

/// Begins so many conversations and takes each to the server's certificate.
fn open(socket: &UdpSocket, count: usize) -> Result<()> {
    let hello = client_hello()?;
    let secret = Secret::new(SECRET.as_bytes());
    let mut buffer = [0; LEN_MAX];
    // By identifier of RADIUS: whether the peer has said hello already.
    let mut said_hello = [false; OUTSTANDING];
    let (mut begun, mut opened) = (0, 0);
    let start_one = |id: u8, begun: &mut usize| -> Result<()> {
        *begun += 1;
        let identity = eap(0, 1, b"anonymous")?;
        send(socket, id, &secret, *begun, &identity, None)
    };
    for id in 0..u8::try_from(OUTSTANDING)? {
        start_one(id, &mut begun)?;
    }
    while opened < count {
        let len = socket.recv(&mut buffer).with_context(|| format!("after {opened}"))?;
        let reply = Packet::decode(buffer.get(..len).unwrap_or_default())?;
        ensure!(reply.code() == Code::ACCESS_CHALLENGE, "{} after {opened}", reply.code());
        let id = reply.id();
        let said = said_hello.get_mut(usize::from(id)).context("an identifier of ours")?;
        if *said {
            *said = false;
            opened += 1;
            start_one(id, &mut begun)?;
            continue;
        }
        let state = reply.attr(AttrType::STATE).context("a challenge has a State")?;
        let request = reply.attr(AttrType::EAP_MESSAGE).context("and EAP")?;
        let &[_, eap_id, _, _, kind, ..] = request.value else {
            anyhow::bail!("not a request of a method: {:02x?}", request.value)
        };
        *said = true;
        let answer = eap(eap_id, kind, &[&[0][..], &hello].concat())?;
        send(socket, id, &secret, begun, &answer, Some(state.value))?;
    }
    Ok(())
}

fn send(
    socket: &UdpSocket,
    id: u8,
    secret: &Secret,
    number: usize,
    eap: &[u8],
    state: Option<&[u8]>,
) -> Result<()> {
    let mut buffer = [0; LEN_MAX];
    // It need not be random for this, only another one each time.
    let mut nonce = [u8::from(state.is_some()); 16];
    for (octet, part) in nonce.iter_mut().zip(number.to_be_bytes()) {
        *octet ^= part;
    }
    let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce);
    writer.text(AttrType::USER_NAME, "anonymous").attr(AttrType::NAS_IP_ADDRESS, &[127, 0, 0, 2]);
    for piece in eap.chunks(253) {
        writer.attr(AttrType::EAP_MESSAGE, piece);
    }
    if let Some(state) = state {
        writer.attr(AttrType::STATE, state);
    }
    socket.send(writer.sign(secret)?).context("cannot send")?;
    Ok(())
}

/// A response.
fn eap(id: u8, kind: u8, data: &[u8]) -> Result<Vec<u8>> {
    let [high, low] = u16::try_from(5 + data.len())?.to_be_bytes();
    Ok([&[2, id, high, low, kind][..], data].concat())
}

/// What a peer says first in TLS; the same for all.
fn client_hello() -> Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from("radius.lab")?)?;
    let mut hello = Vec::new();
    tls.write_tls(&mut hello)?;
    Ok(hello)
}

/// Some logins one after another, all let in: how long half of them wait at most.
fn logins(socket: &UdpSocket, round: u8) -> Result<Duration> {
    let secret = Secret::new(SECRET.as_bytes());
    let mut waited = Vec::new();
    let mut buffer = [0; LEN_MAX];
    for number in 0..101_u8 {
        let id = 128 + number;
        // Another one in each round, or it would be a retransmission.
        let mut nonce = [number; 16];
        nonce[0] = round;
        let hidden = password::hide(b"jasmine-1", &nonce, &secret);
        let (hidden, len) = hidden.context("it is short")?;
        let mut request = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce);
        request
            .text(AttrType::USER_NAME, "amina")
            .attr(AttrType::USER_PASSWORD, hidden.get(..len).unwrap_or_default());
        let start = Instant::now();
        socket.send(request.sign(&secret)?)?;
        // Of the crowd, something may still come.
        let code = loop {
            let len = socket.recv(&mut buffer).with_context(|| format!("login {number}"))?;
            let reply = Packet::decode(buffer.get(..len).unwrap_or_default())?;
            if reply.id() == id {
                break reply.code();
            }
        };
        ensure!(code == Code::ACCESS_ACCEPT, "login {number}: {code}");
        waited.push(start.elapsed());
    }
    waited.sort_unstable();
    waited.get(waited.len() / 2).copied().context("there were some")
}

fn socket(from: Ipv4Addr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0)).with_context(|| format!("cannot bind {from}"))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, 1812)))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

fn memory_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.context("a process has an RSS")
}
