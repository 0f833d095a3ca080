//! A load of whole EAP authentications: many peers at once behind one NAS, each checked to its
//! keys. [`peer`] is one of them.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer,
    attr::{microsoft, vendor::Vendor},
    authenticator::{MessageAuthenticator, message_authenticator_of_reply, verify_reply},
    packet::Authenticator,
    salted,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

pub(super) use self::peer::Method;
use self::peer::Peer;
use super::{
    SECRET, SUBSCRIBERS,
    certificates::{self, Certificates, SERVER},
    measured::{Clock, Measured},
    request::{calling_station_id, password_of, username},
};

mod framing;
mod peer;

/// What the peers do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) method: Method,
    pub(super) version: Version,
    /// Whether TLS sessions are resumed after the first time.
    pub(super) resumes: bool,
    /// Whether the peers go away when the server has shown its certificate.
    pub(super) abandons: bool,
    /// So many peers at once.
    pub(super) peers: usize,
}

/// Of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

pub(super) struct EapLoad {
    plan: Plan,
    socket: UdpSocket,
    secret: Secret,
    server: ServerName<'static>,
    conversations: Vec<Conversation>,
    /// Which conversation waits for the answer with this identifier.
    waiting: Vec<Option<usize>>,
    next_id: u8,
    /// Requests so far.
    sent: u64,
    next_subscriber: usize,
    clock: Clock,
    /// How often a TLS session could have been resumed, and was.
    could_resume: u64,
    resumed: u64,
}

struct Conversation {
    tls: Arc<ClientConfig>,
    peer: Peer,
    subscriber: usize,
    was_let_in: bool,
    challenges: u32,
    began: Instant,
    sent: Instant,
    id: u8,
    nonce: Authenticator,
    state: Vec<u8>,
}

/// After so long a request is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// A piece of EAP in one attribute.
const EAP_MESSAGE_MAX: usize = 253;

impl EapLoad {
    /// The NAS has the address `from`.
    pub(super) fn new(
        from: Ipv4Addr,
        to: SocketAddr,
        plan: Plan,
        certificates: &Certificates,
    ) -> Result<Self> {
        let socket = UdpSocket::bind((from, 0)).context("cannot bind a socket")?;
        socket.connect(to).with_context(|| format!("cannot connect to {to}"))?;
        socket.set_nonblocking(true)?;
        let server = ServerName::try_from(SERVER)?;
        let shared = Arc::new(config(plan, certificates)?);
        let mut conversations = Vec::new();
        for subscriber in 0..plan.peers {
            // Each device keeps its own session.
            let tls = if plan.resumes {
                Arc::new(config(plan, certificates)?)
            } else {
                Arc::clone(&shared)
            };
            let who = identity(plan.method, subscriber);
            let peer = Peer::new(plan.method, who, &tls, &server)?;
            let now = Instant::now();
            conversations.push(Conversation {
                tls,
                peer,
                subscriber,
                was_let_in: false,
                challenges: 0,
                began: now,
                sent: now,
                id: 0,
                nonce: [0; 16],
                state: Vec::new(),
            });
        }
        Ok(Self {
            plan,
            socket,
            secret: Secret::new(SECRET.as_bytes()),
            server,
            conversations,
            waiting: vec![None; 256],
            next_id: 0,
            sent: 0,
            next_subscriber: plan.peers,
            clock: Clock::default(),
            could_resume: 0,
            resumed: 0,
        })
    }

    /// Until the first peer is let in.
    pub(super) fn wait_for_server(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut last = None;
        while Instant::now() < end {
            // It fails with "refused" as long as nobody listens.
            match self.run(Duration::from_millis(200), &|| Ok(0.0)) {
                Ok(measured) if measured.per_second > 0.0 => return Ok(()),
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        match last {
            Some(error) => Err(error.context("nobody was let in within 20 s")),
            None => bail!("nobody was let in within 20 s"),
        }
    }

    /// How many were let in, or have gone away, in the last run.
    pub(super) const fn finished(&self) -> u64 {
        self.clock.replies()
    }

    /// Keeps the server busy for `time`.
    pub(super) fn run(
        &mut self,
        time: Duration,
        cpu_seconds: &dyn Fn() -> Result<f64>,
    ) -> Result<Measured> {
        self.forget();
        (self.could_resume, self.resumed) = (0, 0);
        self.clock.start(cpu_seconds()?);
        let begin = Instant::now();
        for at in 0..self.conversations.len() {
            self.begin(at)?;
        }
        let mut check = begin + PATIENCE / 10;
        let mut buffer = [0; LEN_MAX];
        loop {
            let now = Instant::now();
            if now - begin >= time {
                break;
            }
            self.receive(&mut buffer)?;
            if now >= check {
                self.give_up(now)?;
                check = now + PATIENCE / 10;
            }
        }
        let (resumed, of) = (self.resumed, self.could_resume);
        ensure!(resumed * 10 >= of * 9, "the server resumes {resumed} of {of} sessions");
        Ok(self.clock.stop(cpu_seconds()?))
    }

    /// Forgets what is on its way and drops what has come.
    fn forget(&mut self) {
        let mut buffer = [0; LEN_MAX];
        std::thread::sleep(Duration::from_millis(5));
        while self.socket.recv(&mut buffer).is_ok() {}
        self.waiting.fill(None);
    }

    fn begin(&mut self, at: usize) -> Result<()> {
        let conversation = self.conversations.get_mut(at).context("no such conversation")?;
        if !self.plan.resumes {
            conversation.subscriber = self.next_subscriber % SUBSCRIBERS;
            self.next_subscriber += 1;
        }
        let who = identity(self.plan.method, conversation.subscriber);
        conversation.peer = Peer::new(self.plan.method, who, &conversation.tls, &self.server)?;
        conversation.began = Instant::now();
        conversation.challenges = 0;
        conversation.state.clear();
        let identity = conversation.peer.identity();
        self.send(at, &identity)
    }

    fn send(&mut self, at: usize, eap: &[u8]) -> Result<()> {
        let free = (0..=u8::MAX).map(|step| self.next_id.wrapping_add(step));
        let mut free = free.filter(|&id| self.waiting.get(usize::from(id)) == Some(&None));
        let id = free.next().context("256 requests are on their way")?;
        self.next_id = id.wrapping_add(1);
        let conversation = self.conversations.get_mut(at).context("no such conversation")?;
        let mut buffer = [0; LEN_MAX];
        // It need not be random for this, only another one each time.
        self.sent += 1;
        let mut nonce = [0x5a; 16];
        nonce.get_mut(..8).context("16 are more than 8")?.copy_from_slice(&self.sent.to_be_bytes());
        let mut writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce);
        writer
            .text(AttrType::USER_NAME, conversation.peer.outer_identity())
            .attr(AttrType::NAS_IP_ADDRESS, &[127, 0, 0, 1])
            .text(AttrType::CALLED_STATION_ID, "02-00-00-00-00-01:KenNet")
            .text(AttrType::CALLING_STATION_ID, &calling_station_id(conversation.subscriber))
            .integer(AttrType::NAS_PORT_TYPE, 19)
            .integer(AttrType::FRAMED_MTU, 1400);
        for piece in eap.chunks(EAP_MESSAGE_MAX) {
            writer.attr(AttrType::EAP_MESSAGE, piece);
        }
        if !conversation.state.is_empty() {
            writer.attr(AttrType::STATE, &conversation.state);
        }
        let request = writer.sign(&self.secret)?;
        self.socket.send(request).context("cannot send")?;
        (conversation.id, conversation.nonce, conversation.sent) = (id, nonce, Instant::now());
        *self.waiting.get_mut(usize::from(id)).context("no such identifier")? = Some(at);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8; LEN_MAX]) -> Result<()> {
        loop {
            let len = match self.socket.recv(buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot receive"),
            };
            let reply = Packet::decode(buffer.get(..len).unwrap_or_default())?;
            let slot = self.waiting.get_mut(usize::from(reply.id()));
            // A reply to what was given up is of no use to anybody.
            let Some(at) = slot.context("no such identifier")?.take() else { continue };
            self.go_on(at, &reply)?;
        }
    }

    fn go_on(&mut self, at: usize, reply: &Packet<'_>) -> Result<()> {
        let conversation = self.conversations.get_mut(at).context("no such conversation")?;
        verify_reply(reply, &conversation.nonce, &self.secret)?;
        let proof = message_authenticator_of_reply(reply, &conversation.nonce, &self.secret);
        ensure!(proof == MessageAuthenticator::Valid, "the Message-Authenticator is {proof:?}");
        let eap: Vec<u8> = reply
            .attrs()
            .filter(|attr| attr.kind == AttrType::EAP_MESSAGE)
            .flat_map(|attr| attr.value.iter().copied())
            .collect();
        if reply.code() == Code::ACCESS_CHALLENGE {
            let state = reply.attr(AttrType::STATE).context("a challenge without State")?;
            state.value.clone_into(&mut conversation.state);
            // The start, then the server's side of the handshake.
            conversation.challenges += 1;
            if self.plan.abandons && conversation.challenges == 2 {
                self.clock.replied(conversation.began.elapsed());
                return self.begin(at);
            }
            let response = conversation.peer.respond(&eap)?;
            return self.send(at, &response);
        }
        ensure!(reply.code() == Code::ACCESS_ACCEPT, "the server says {}", reply.code());
        ensure!(eap.first() == Some(&3), "an accept without EAP's success: {eap:02x?}");
        let finished = conversation.peer.finish()?;
        if let Some(keys) = finished.keys {
            let given = mppe_keys(reply, &conversation.nonce, &self.secret)?;
            ensure!(given == keys, "the NAS was given other keys than the peer has");
        }
        self.could_resume += u64::from(self.plan.resumes && conversation.was_let_in);
        self.resumed += u64::from(finished.was_resumed);
        conversation.was_let_in = true;
        self.clock.replied(conversation.began.elapsed());
        self.begin(at)
    }

    fn give_up(&mut self, now: Instant) -> Result<()> {
        for at in 0..self.conversations.len() {
            let conversation = self.conversations.get(at).context("no such conversation")?;
            if now.saturating_duration_since(conversation.sent) > PATIENCE {
                let slot = self.waiting.get_mut(usize::from(conversation.id));
                *slot.context("no such identifier")? = None;
                self.clock.lost();
                self.begin(at)?;
            }
        }
        Ok(())
    }
}

/// MS-MPPE-Recv-Key, then MS-MPPE-Send-Key: the peer's first half is what it sends with.
fn mppe_keys(reply: &Packet<'_>, nonce: &Authenticator, secret: &Secret) -> Result<[u8; 64]> {
    let key = |kind: u8| -> Result<Vec<u8>> {
        let mut microsoft = reply.attrs().flat_map(|attr| attr.vendor_attrs().collect::<Vec<_>>());
        let found = microsoft.find(|it| it.vendor == Vendor::MICROSOFT && it.attr.kind.0 == kind);
        let found = found.with_context(|| format!("an accept without Microsoft's {kind}"))?;
        Ok(salted::decrypt(found.attr.value, nonce, secret)?.as_bytes().to_vec())
    };
    let keys = [key(microsoft::MPPE_RECV_KEY)?, key(microsoft::MPPE_SEND_KEY)?].concat();
    keys.try_into().ok().context("keys of another length than 32 octets each")
}

fn identity(method: Method, subscriber: usize) -> (String, String) {
    let name = if method == Method::Tls { certificates::client() } else { username(subscriber) };
    (name, password_of(subscriber))
}

fn config(plan: Plan, certificates: &Certificates) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificates.ca)?)?;
    let version: &SupportedProtocolVersion = match plan.version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots);
    let mut config = if plan.method == Method::Tls {
        let chain = CertificateDer::pem_file_iter(&certificates.client.certificate)?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&certificates.client.key)?;
        builder.with_client_auth_cert(chain, key)?
    } else {
        builder.with_no_client_auth()
    };
    config.resumption =
        if plan.resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    Ok(config)
}
