//! A bounded load: so many requests are on their way, each reply makes room for the next.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use radius::{
    AttrType, Code, LEN_MAX, Packet, Secret, Writer, accounting::Status,
    authenticator::verify_reply, packet::Authenticator, password,
};

use super::{SECRET, SUBSCRIBERS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pap,
    Chap,
    Accounting,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pap => "PAP",
            Self::Chap => "CHAP",
            Self::Accounting => "accounting",
        }
    }

    const fn reply(self) -> Code {
        match self {
            Self::Pap | Self::Chap => Code::ACCESS_ACCEPT,
            Self::Accounting => Code::ACCOUNTING_RESPONSE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) per_cpu_second: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) lost: u64,
}

pub(super) struct Load {
    kind: Kind,
    secret: Secret,
    /// One after another, over and over: neighbours have different identifiers.
    requests: Vec<Vec<u8>>,
    ports: Vec<Port>,
    outstanding: usize,
    /// Time between two requests; none: as fast as replies make room.
    every: Option<Duration>,
    due: Instant,
    is_echo: bool,
    replies: u64,
    lost: u64,
    waited: Vec<Duration>,
}

struct Port {
    socket: UdpSocket,
    /// By identifier: when it was sent, and with which authenticator.
    sent: Vec<Option<(Instant, Authenticator)>>,
    outstanding: usize,
    /// Which request is next, and how often all of them were sent.
    next: usize,
    round: u32,
}

/// After so long a request is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// One reply in so many is verified; all have the right code and identifier.
const VERIFIED: u64 = 32;

/// Whole rounds of 256 identifiers, so that no two on their way have the same.
const REQUESTS: usize = SUBSCRIBERS.next_multiple_of(256);

impl Load {
    pub(super) fn new(
        to: SocketAddr,
        kind: Kind,
        (ports, outstanding): (usize, usize),
        is_echo: bool,
    ) -> Result<Self> {
        ensure!(outstanding <= 128, "too many outstanding requests for 256 identifiers");
        let port = |at: usize| {
            let socket = UdpSocket::bind("127.0.0.1:0").context("cannot bind a socket")?;
            socket.connect(to).with_context(|| format!("cannot connect to {to}"))?;
            socket.set_nonblocking(true)?;
            // Each begins with other subscribers.
            let next = at * (REQUESTS / ports);
            Ok(Port { socket, sent: vec![None; 256], outstanding: 0, next, round: 0 })
        };
        let secret = Secret::new(SECRET.as_bytes());
        let requests =
            (0..REQUESTS).map(|at| request(kind, &secret, at, 0)).collect::<Result<_>>()?;
        Ok(Self {
            kind,
            secret,
            requests,
            ports: (0..ports).map(port).collect::<Result<_>>()?,
            outstanding,
            every: None,
            due: Instant::now(),
            is_echo,
            replies: 0,
            lost: 0,
            waited: Vec::new(),
        })
    }

    /// From now on so many a second, whatever the server does.
    pub(super) fn at(&mut self, per_second: Option<u32>) {
        self.every = per_second.map(|rate| Duration::from_secs(1) / rate);
        self.due = Instant::now();
    }

    /// Until the first reply.
    pub(super) fn wait_for_server(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            // It fails with "refused" as long as nobody listens.
            match self.run(Duration::from_millis(100), || Ok(0.0)) {
                Ok(_) if self.replies > 0 => {
                    // What was lost before the server listened is not its fault.
                    std::thread::sleep(Duration::from_millis(200));
                    self.forget();
                    return Ok(());
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
            self.forget();
        }
        bail!("the server does not answer within 20 s")
    }

    /// Forgets what is on its way and drops what has come.
    fn forget(&mut self) {
        let mut buffer = [0; LEN_MAX];
        for port in &mut self.ports {
            while port.socket.recv(&mut buffer).is_ok() {}
            port.sent.fill(None);
            port.outstanding = 0;
        }
    }

    /// Keeps the server busy for `time`; `cpu_seconds` is asked at the begin and at the end.
    #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement")]
    pub(super) fn run(
        &mut self,
        time: Duration,
        cpu_seconds: impl Fn() -> Result<f64>,
    ) -> Result<Measured> {
        (self.replies, self.lost) = (0, 0);
        self.waited.clear();
        let (begin, cpu) = (Instant::now(), cpu_seconds()?);
        let (end, mut check) = (begin + time, begin + PATIENCE);
        let mut buffer = [0; LEN_MAX];
        let mut now = begin;
        while now < end {
            for at in 0..self.ports.len() {
                self.receive(at, &mut buffer)?;
                self.send(at)?;
            }
            now = Instant::now();
            if now >= check {
                self.give_up(now);
                check = now + PATIENCE / 10;
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        let cpu = cpu_seconds()? - cpu;
        self.waited.sort_unstable();
        let percentile = |percent: usize| {
            let at = self.waited.len() * percent / 100;
            let waited = self.waited.get(at).copied().unwrap_or_default();
            u64::try_from(waited.as_micros()).unwrap_or(u64::MAX)
        };
        Ok(Measured {
            per_second: self.replies as f64 / seconds,
            per_cpu_second: self.replies as f64 / cpu,
            p50_us: percentile(50),
            p99_us: percentile(99),
            lost: self.lost,
        })
    }

    fn send(&mut self, at: usize) -> Result<()> {
        let port = self.ports.get_mut(at).context("no such port")?;
        while port.outstanding < self.outstanding {
            // With a rate, a request is late from the moment in which it should have been sent.
            let mut sent = Instant::now();
            if let Some(every) = self.every {
                if self.due > sent {
                    return Ok(());
                }
                sent = self.due;
                self.due += every;
            }
            let request = self.requests.get_mut(port.next).context("no such request")?;
            if self.kind == Kind::Accounting && port.round > 0 {
                // The counters of a session grow.
                *request = self::request(self.kind, &self.secret, port.next, port.round)?;
            }
            let packet = Packet::decode(request)?;
            let slot = port.sent.get_mut(usize::from(packet.id())).context("no such identifier")?;
            // An identifier that still waits for its answer is left out this time.
            if slot.is_none() {
                match port.socket.send(request) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error).context("cannot send"),
                }
                *slot = Some((sent, *packet.authenticator()));
                port.outstanding += 1;
            }
            port.next += 1;
            if port.next == REQUESTS {
                (port.next, port.round) = (0, port.round + 1);
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize, buffer: &mut [u8; LEN_MAX]) -> Result<()> {
        let port = self.ports.get_mut(at).context("no such port")?;
        loop {
            let len = match port.socket.recv(buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot receive"),
            };
            let reply = Packet::decode(buffer.get(..len).unwrap_or_default())?;
            let slot = port.sent.get_mut(usize::from(reply.id())).context("no such identifier")?;
            // A reply to what was given up is of no use to anybody.
            let Some((sent, nonce)) = slot.take() else { continue };
            port.outstanding -= 1;
            self.replies += 1;
            self.waited.push(sent.elapsed());
            if self.is_echo {
                continue;
            }
            ensure!(reply.code() == self.kind.reply(), "the server says {}", reply.code());
            if self.replies.is_multiple_of(VERIFIED) {
                verify_reply(&reply, &nonce, &self.secret)?;
            }
        }
    }

    fn give_up(&mut self, now: Instant) {
        for port in &mut self.ports {
            for slot in &mut port.sent {
                if slot.is_some_and(|(sent, _)| now.saturating_duration_since(sent) > PATIENCE) {
                    *slot = None;
                    port.outstanding -= 1;
                    self.lost += 1;
                }
            }
        }
    }
}

pub(super) fn username(subscriber: usize) -> String {
    format!("subscriber{subscriber:05}")
}

pub(super) fn password_of(subscriber: usize) -> String {
    format!("password{subscriber:05}")
}

fn request(kind: Kind, secret: &Secret, at: usize, round: u32) -> Result<Vec<u8>> {
    let mut buffer = [0; LEN_MAX];
    let id = u8::try_from(at % 256)?;
    let subscriber = at % SUBSCRIBERS;
    let (username, typed) = (username(subscriber), password_of(subscriber));
    // It need not be random for this, only another one each time.
    let mut nonce = [0x5a; 16];
    for (octet, bits) in nonce.iter_mut().zip(at.to_be_bytes()) {
        *octet ^= bits;
    }
    let mut writer = match kind {
        Kind::Pap | Kind::Chap => Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, nonce),
        Kind::Accounting => Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, id),
    };
    writer.text(AttrType::USER_NAME, &username);
    match kind {
        Kind::Pap => {
            let hidden = password::hide(typed.as_bytes(), &nonce, secret);
            let (hidden, len) = hidden.context("a password is too long")?;
            writer.attr(AttrType::USER_PASSWORD, hidden.get(..len).unwrap_or_default());
        }
        Kind::Chap => {
            let answer = password::chap_answer(id, typed.as_bytes(), &nonce);
            writer.attr(AttrType::CHAP_PASSWORD, &[&[id][..], &answer].concat());
        }
        Kind::Accounting => {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, Status::INTERIM.0)
                .text(AttrType::ACCT_SESSION_ID, &format!("{subscriber:08x}"))
                .integer(AttrType::ACCT_INPUT_OCTETS, round.wrapping_mul(100_000))
                .integer(AttrType::ACCT_OUTPUT_OCTETS, round.wrapping_mul(1_000_000))
                .integer(AttrType::ACCT_SESSION_TIME, round.wrapping_mul(60));
        }
    }
    writer
        .attr(AttrType::NAS_IP_ADDRESS, &[127, 0, 0, 1])
        .text(AttrType::CALLED_STATION_ID, "02-00-00-00-00-01:KenNet")
        .text(AttrType::CALLING_STATION_ID, &calling_station_id(subscriber))
        .integer(AttrType::NAS_PORT_TYPE, 19);
    Ok(writer.sign(secret)?.to_vec())
}

fn calling_station_id(subscriber: usize) -> String {
    let [.., high, low] = subscriber.to_be_bytes();
    format!("02-00-00-00-{high:02X}-{low:02X}")
}
