//! Dynamic authorisation (RFC 5176), both ways.
//!
//! [`Asker`] asks NASes to end or to change sessions: one task with a socket for each family of
//! addresses. The sessions say what ([`Ask`]), [`words`] how (pure), the client of the `radius`
//! crate when and how often; what the NAS says goes back to the sessions, which look at what comes
//! of it. [`asked`] is the other way round: what others want of sessions here (pure).

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};

use radius::{
    Client, LEN_MAX, Packet, Secret,
    client::{Due, Exchange, Outcome, RequestError, Schedule},
    dynauth::ErrorCause,
};
use shared::{
    daemon::Chain,
    wire::latest::{desired::Nas, journal::Answered},
};
use tokio::{net::UdpSocket, sync::mpsc};
use uuid::Uuid;

pub(super) mod asked;
mod words;

use crate::{
    desired::Current,
    sessions::{
        Ask,
        desk::now_ms,
        event::{AskId, Event, NasAnswer},
    },
};

/// Questions that wait to be looked at: a site's sessions that all end at once. About 5 MB.
pub const ASKS_MAX: usize = 16_384;

/// Questions to one NAS at a time: small routers lose more, and answer these in a moment.
const AT_ONCE: usize = 32;

pub struct Asker {
    asks: mpsc::Receiver<Ask>,
    desired: Current,
    events: SyncSender<Event>,
    client: Client,
    sockets: Sockets,
    open: HashMap<Exchange, (AskId, SocketAddr)>,
    /// By NAS, those for which it is not the time yet.
    waiting: HashMap<SocketAddr, VecDeque<Ask>>,
    /// Answers that the sessions had no room for.
    untold: VecDeque<(AskId, NasAnswer)>,
}

/// Made when they are needed: not every host has both families.
#[derive(Default)]
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Asker {
    pub fn new(asks: mpsc::Receiver<Ask>, desired: Current, events: SyncSender<Event>) -> Self {
        Self {
            asks,
            desired,
            events,
            client: Client::default(),
            sockets: Sockets::default(),
            open: HashMap::new(),
            waiting: HashMap::new(),
            untold: VecDeque::new(),
        }
    }

    /// Until nobody asks any more.
    pub async fn run(mut self) {
        let (mut v4, mut v6) = ([0; LEN_MAX], [0; LEN_MAX]);
        loop {
            self.send_due().await;
            self.tell();
            let deadline = self.client.poll_timeout().map(tokio::time::Instant::from_std);
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let retell = async {
                if self.untold.is_empty() {
                    std::future::pending::<()>().await;
                } else {
                    tokio::time::sleep(RETELL).await;
                }
            };
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                got = receive(self.sockets.v4.as_ref(), &mut v4) => self.received(got, &v4),
                got = receive(self.sockets.v6.as_ref(), &mut v6) => self.received(got, &v6),
                () = due => {}
                () = retell => {}
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        let snapshot = self.desired.load();
        // By its name as it is now: a NAS that was taken away is not asked, and a changed secret
        // or port holds from here on.
        let nas = snapshot.nas().iter().find(|nas| *nas.name == *ask.nas.name);
        let Some(nas) = nas.filter(|nas| nas.dynauth_port != 0).map(Arc::clone) else {
            return self.untold.push_back((ask.id, NOT_ASKED));
        };
        drop(snapshot);
        let to = at(ask.to, nas.dynauth_port, ask.place.scope);
        if self.client.waiting(to) >= AT_ONCE {
            self.waiting.entry(to).or_default().push_back(ask);
            return;
        }
        if let Err(error) = self.begin(&ask, &nas, to) {
            tracing::warn!(nas.name = %nas.name, error = %Chain(&error),
                "NAS {} is not asked about a session", nas.name);
            self.untold.push_back((ask.id, NOT_ASKED));
        }
    }

    fn begin(&mut self, ask: &Ask, nas: &Nas, to: SocketAddr) -> Result<(), AskError> {
        self.sockets.open(to).map_err(|source| AskError::Socket { to, source })?;
        if !words::can_say(nas, ask.want) {
            return Err(AskError::NoWords);
        }
        let secret = Secret::new(nas.secret.expose().as_bytes());
        let seconds = u32::try_from(now_ms() / 1_000).unwrap_or(u32::MAX);
        let exchange =
            self.client.request(now(), to, &secret, Schedule::default(), |id, buffer| {
                words::write(ask, nas, seconds, id, buffer, &secret)
            })?;
        self.open.insert(exchange, (ask.id, to));
        Ok(())
    }

    async fn send_due(&mut self) {
        loop {
            let random = Uuid::new_v4().as_fields().0;
            let over = match self.client.handle_timeout(now(), random) {
                None => return,
                Some(Due::Send { to, packet, .. }) => {
                    let sent = match self.sockets.of(to) {
                        Some(socket) => socket.send_to(packet, to).await,
                        None => continue,
                    };
                    if let Err(error) = sent {
                        // It is sent again.
                        tracing::debug!(%error, "cannot send to {to}");
                    }
                    continue;
                }
                // What is in these packets does not change with time: RFC 5176 §6.3 gives them
                // minutes, and they are tried for half of one.
                Some(Due::Write(_)) => continue,
                Some(Due::GivenUp(exchange)) => exchange,
            };
            self.over(over, NasAnswer { answered: Answered::Silence, cause: None });
        }
    }

    fn received(&mut self, got: io::Result<(usize, SocketAddr)>, buffer: &[u8]) {
        let (len, from) = match got {
            Ok(got) => got,
            Err(error) => return tracing::debug!(%error, "cannot receive answers of NASes"),
        };
        let scope = match from {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(from) => from.scope_id(),
        };
        let from = at(from.ip().to_canonical(), from.port(), scope);
        let reply = match Packet::decode(buffer.get(..len).unwrap_or_default()) {
            Ok(reply) => reply,
            Err(error) => return tracing::debug!(%error, "{from} sent something else than RADIUS"),
        };
        match self.client.handle_reply(from, &reply) {
            Outcome::Answers(exchange) => {
                let is_ack =
                    matches!(reply.code(), radius::Code::DISCONNECT_ACK | radius::Code::COA_ACK);
                let answered = if is_ack { Answered::Ack } else { Answered::Nak };
                let cause = ErrorCause::of(&reply).filter(|_| !is_ack);
                self.over(exchange, NasAnswer { answered, cause });
            }
            Outcome::Ignored(why) => {
                metrics::counter!("kennet_dynauth_ignored_total", "reason" => why.as_str())
                    .increment(1);
                tracing::debug!("an answer from {from} is ignored: {}", why.as_str());
            }
        }
    }

    fn over(&mut self, exchange: Exchange, answer: NasAnswer) {
        let Some((id, to)) = self.open.remove(&exchange) else { return };
        self.untold.push_back((id, answer));
        // The next one for this NAS.
        let Some(waiting) = self.waiting.get_mut(&to) else { return };
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&to);
        }
        if let Some(ask) = next {
            self.ask(ask);
        }
    }

    fn tell(&mut self) {
        while let Some((id, answer)) = self.untold.pop_front() {
            match self.events.try_send(Event::Answered(id, answer)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return self.untold.push_front((id, answer)),
                Err(TrySendError::Disconnected(_)) => self.untold.clear(),
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("cannot open a socket to {to}")]
    Socket { to: SocketAddr, source: io::Error },
    #[error("there are no words for this change at such a NAS")]
    NoWords,
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Sockets {
    fn open(&mut self, to: SocketAddr) -> io::Result<()> {
        let (place, any) = match to {
            SocketAddr::V4(_) => (&mut self.v4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            SocketAddr::V6(_) => (&mut self.v6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        if place.is_none() {
            let socket = std::net::UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            *place = Some(UdpSocket::from_std(socket)?);
        }
        Ok(())
    }

    const fn of(&self, to: SocketAddr) -> Option<&UdpSocket> {
        match to {
            SocketAddr::V4(_) => self.v4.as_ref(),
            SocketAddr::V6(_) => self.v6.as_ref(),
        }
    }
}

/// Never, from a socket that is not there.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

fn at(address: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(address) => SocketAddr::from((address, port)),
        IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)),
    }
}

fn now() -> Instant {
    Instant::now()
}

const NOT_ASKED: NasAnswer = NasAnswer { answered: Answered::NotAsked, cause: None };

/// How soon the sessions are told again.
const RETELL: Duration = Duration::from_millis(50);
