//! A bounded load: so many requests are on their way, each reply makes room for the next.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use radius::{LEN_MAX, Packet, Secret, authenticator::verify_reply, packet::Authenticator};

use super::{
    SECRET, SUBSCRIBERS,
    measured::{Clock, Measured},
    request::{Kind, request},
};

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
    clock: Clock,
}

struct Port {
    socket: UdpSocket,
    /// By identifier: when it was sent, and with which authenticator.
    sent: Vec<Option<(Instant, Authenticator)>>,
    /// By identifier: until when an answer may come that nobody waits for.
    late: Vec<Option<Instant>>,
    outstanding: usize,
    /// Which request is next, and how often all of them were sent.
    next: usize,
    round: u32,
}

/// After so long a request is lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// After so long more nothing comes that was given up.
const LATE_MAX: Duration = Duration::from_secs(5);

/// One reply in so many is verified; all have the right code and identifier.
const VERIFIED: u64 = 32;

/// Whole rounds of 256 identifiers, so that no two on their way have the same.
const REQUESTS: usize = SUBSCRIBERS.next_multiple_of(256);

impl Load {
    /// The NAS has the address `from`.
    pub(super) fn new(
        from: Ipv4Addr,
        to: SocketAddr,
        kind: Kind,
        (ports, outstanding): (usize, usize),
        is_echo: bool,
    ) -> Result<Self> {
        ensure!(outstanding <= 128, "too many outstanding requests for 256 identifiers");
        let port = |at: usize| {
            let socket = UdpSocket::bind((from, 0)).context("cannot bind a socket")?;
            socket.connect(to).with_context(|| format!("cannot connect to {to}"))?;
            socket.set_nonblocking(true)?;
            // Each begins with other subscribers.
            let next = at * (REQUESTS / ports);
            let (sent, late) = (vec![None; 256], vec![None; 256]);
            Ok(Port { socket, sent, late, outstanding: 0, next, round: 0 })
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
            clock: Clock::default(),
        })
    }

    /// From now on so many a second, whatever the server does.
    pub(super) fn at(&mut self, per_second: Option<u32>) {
        self.every = per_second.map(|rate| Duration::from_secs(1) / rate);
    }

    pub(super) fn is_accounting(&self) -> bool {
        self.kind == Kind::Accounting
    }

    /// In the last run.
    pub(super) const fn answered(&self) -> u64 {
        self.clock.replies()
    }

    /// How often every port has sent all requests.
    pub(super) fn laps(&self) -> u32 {
        self.ports.iter().map(|port| port.round).min().unwrap_or(0)
    }

    /// Until the first reply.
    pub(super) fn wait_for_server(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            // It fails with "refused" as long as nobody listens.
            match self.run(Duration::from_millis(100), &|| Ok(0.0)) {
                Ok(_) if self.clock.replies() > 0 => {
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
            let late = Instant::now() + LATE_MAX;
            for (slot, until) in port.sent.iter_mut().zip(&mut port.late) {
                if slot.take().is_some() {
                    *until = Some(late);
                }
            }
            port.outstanding = 0;
        }
    }

    /// Keeps the server busy for `time`; `cpu_seconds` is asked at the begin and at the end.
    pub(super) fn run(
        &mut self,
        time: Duration,
        cpu_seconds: &dyn Fn() -> Result<f64>,
    ) -> Result<Measured> {
        self.forget();
        self.due = Instant::now();
        self.clock.start(cpu_seconds()?);
        let begin = Instant::now();
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
        let measured = self.clock.stop(cpu_seconds()?);
        // What is on its way is not counted any more, and its identifiers are free again.
        let patient = Instant::now() + PATIENCE / 2;
        while self.ports.iter().any(|port| port.outstanding > 0) && Instant::now() < patient {
            for at in 0..self.ports.len() {
                self.receive(at, &mut buffer)?;
            }
        }
        Ok(measured)
    }

    fn send(&mut self, at: usize) -> Result<()> {
        let port = self.ports.get_mut(at).context("no such port")?;
        let mut left_out = 0;
        while port.outstanding < self.outstanding && left_out < 256 {
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
            let late = port.late.get_mut(usize::from(packet.id())).context("no such identifier")?;
            // An identifier that still waits for its answer is left out this time.
            if slot.is_none() && late.is_none_or(|until| until < sent) {
                *late = None;
                match port.socket.send(request) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error).context("cannot send"),
                }
                *slot = Some((sent, *packet.authenticator()));
                port.outstanding += 1;
            } else {
                left_out += 1;
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
            self.clock.replied(sent.elapsed());
            if self.is_echo {
                continue;
            }
            ensure!(reply.code() == self.kind.reply(), "the server says {}", reply.code());
            if self.clock.replies().is_multiple_of(VERIFIED) {
                verify_reply(&reply, &nonce, &self.secret)?;
            }
        }
    }

    fn give_up(&mut self, now: Instant) {
        for port in &mut self.ports {
            for (slot, late) in port.sent.iter_mut().zip(&mut port.late) {
                if slot.is_some_and(|(sent, _)| now.saturating_duration_since(sent) > PATIENCE) {
                    *slot = None;
                    *late = Some(now + LATE_MAX);
                    port.outstanding -= 1;
                    self.clock.lost();
                }
            }
        }
    }
}
