//! Which request waits for which reply, and when it is sent again: RFC 5080 §2.2.1.
//!
//! A [`Client`] stands behind one socket. It is told the time and given random numbers; octets to
//! send come out of it, replies go in. It gives a request its identifier, keeps the packet for
//! retransmission, and takes a reply only from the server that was asked and only when it proves
//! that it is this request's. The rest is counted in [`Counts`] and changes nothing.
//!
//! ```
//! use std::time::Instant;
//!
//! use radius::{
//!     Code, Packet, Secret, Writer,
//!     client::{Client, Due, Outcome, Schedule},
//! };
//!
//! let secret = Secret::new(b"a long and random secret");
//! let server = "192.0.2.1:3799".parse()?;
//! let (mut client, now) = (Client::default(), Instant::now());
//! let exchange = client.request(now, server, &secret, Schedule::default(), |id, buffer| {
//!     Writer::change_request(buffer, Code::DISCONNECT_REQUEST, id).sign(&secret)
//! })?;
//!
//! // The socket sends what is due, now and when `poll_timeout` says; 7 is random.
//! let Some(Due::Send { to, packet, .. }) = client.handle_timeout(now, 7) else {
//!     panic!("a new request is due at once");
//! };
//! assert_eq!(to, server);
//!
//! // The server answers.
//! let mut buffer = [0; radius::LEN_MAX];
//! let reply = Writer::reply(&mut buffer, Code::DISCONNECT_ACK, &Packet::decode(packet)?);
//! let reply = Packet::decode(reply.sign(&secret)?)?;
//! assert_eq!(client.handle_reply(server, &reply), Outcome::Answers(exchange));
//! assert_eq!(client.poll_timeout(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

mod ids;
mod schedule;

use self::ids::Ids;
pub use self::schedule::Schedule;
use crate::{
    attr::AttrType,
    authenticator::{self, MessageAuthenticator},
    code::Code,
    packet::{Authenticator, LEN_MAX, Packet},
    secret::Secret,
    writer::{Buffer, EncodeError},
};

/// The requests of one socket, to any number of servers. A server has 256 of them at a time:
/// whoever needs more uses more source ports, RFC 2865 §5.
#[derive(Debug, Default)]
pub struct Client {
    servers: HashMap<SocketAddr, Ids>,
    exchanges: HashMap<Exchange, Request>,
    /// Every exchange that has a packet, by when something is due.
    due: BTreeSet<(Instant, Exchange)>,
    next: u64,
    counts: Counts,
}

/// A request that waits for its reply. Its number is not the identifier on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exchange(u64);

/// What has to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a> {
    /// These octets go out.
    Send {
        /// Whose they are.
        exchange: Exchange,
        /// Where they go.
        to: SocketAddr,
        /// A signed request.
        packet: &'a [u8],
    },
    /// The packet has to be written again ([`Client::rewrite`]), and is then due at once.
    Write(Exchange),
    /// Nobody has answered. The exchange is forgotten.
    GivenUp(Exchange),
}

/// What a packet is that came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply to this exchange, which is over.
    Answers(Exchange),
    /// Nothing to act on.
    Ignored(Ignored),
}

/// Why a packet is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Nothing waits for it: it is late, or there was one before.
    Late,
    /// A code that does not answer the request.
    Code,
    /// Not made with the secret, or not for this request: RFC 2865 §3 drops it, and the exchange
    /// still waits.
    Forged,
}

impl Ignored {
    /// For metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Code => "code",
            Self::Forged => "forged",
        }
    }
}

/// What has happened since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests, without retransmissions.
    pub requests: u64,
    /// Sent again.
    pub retransmissions: u64,
    /// Replies that were taken.
    pub answers: u64,
    /// Requests that nobody has answered.
    pub given_up: u64,
    /// Replies that nothing waited for.
    pub late: u64,
    /// Replies of a wrong code or with a wrong proof.
    pub forged: u64,
}

/// Why there is no request. If there was one, it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no identifier left.
    #[error("256 requests to {0} wait for their reply already")]
    Exhausted(SocketAddr),
    /// The packet cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What was written is not a request with the identifier that was given.
    #[error("the packet is not a request with the identifier that was given")]
    Identifier,
    /// There is no such exchange any more.
    #[error("the exchange is over")]
    Over,
}

#[derive(Debug)]
struct Request {
    to: SocketAddr,
    id: u8,
    secret: Secret,
    schedule: Schedule,
    began: Instant,
    /// When it is in `due`.
    due: Option<Instant>,
    sends: u32,
    /// RT: the current wait.
    wait: Duration,
    code: Code,
    authenticator: Authenticator,
    /// Does it carry a Message-Authenticator?
    proved: bool,
    /// Empty until it is written.
    packet: Vec<u8>,
    /// A packet that changes has gone out as it is.
    stale: bool,
}

impl Client {
    /// A request to `to`, which is due at once. `write` gets the identifier that its packet has to
    /// have.
    pub fn request(
        &mut self,
        now: Instant,
        to: SocketAddr,
        secret: &Secret,
        schedule: Schedule,
        write: impl FnOnce(u8, &mut Buffer) -> Result<&[u8], EncodeError>,
    ) -> Result<Exchange, RequestError> {
        let exchange = Exchange(self.next);
        let ids = self.servers.entry(to).or_default();
        let id = ids.take(exchange).ok_or(RequestError::Exhausted(to))?;
        self.next += 1;
        let request = Request {
            to,
            id,
            secret: secret.clone(),
            schedule,
            began: now,
            due: None,
            sends: 0,
            wait: Duration::ZERO,
            code: Code(0),
            authenticator: [0; 16],
            proved: false,
            packet: Vec::new(),
            stale: false,
        };
        self.exchanges.insert(exchange, request);
        self.rewrite(exchange, write)?;
        self.counts.requests += 1;
        Ok(exchange)
    }

    /// Other octets for an exchange, with another identifier; see [`Due::Write`].
    pub fn rewrite(
        &mut self,
        exchange: Exchange,
        write: impl FnOnce(u8, &mut Buffer) -> Result<&[u8], EncodeError>,
    ) -> Result<(), RequestError> {
        let written = self.try_write(exchange, write);
        if written.is_err() {
            self.forget(exchange);
        }
        written
    }

    fn try_write(
        &mut self,
        exchange: Exchange,
        write: impl FnOnce(u8, &mut Buffer) -> Result<&[u8], EncodeError>,
    ) -> Result<(), RequestError> {
        let request = self.exchanges.get_mut(&exchange).ok_or(RequestError::Over)?;
        if !request.packet.is_empty() {
            let ids = self.servers.entry(request.to).or_default();
            let id = ids.take(exchange).ok_or(RequestError::Exhausted(request.to))?;
            ids.give_back(std::mem::replace(&mut request.id, id));
        }
        let mut buffer = [0; LEN_MAX];
        let written = write(request.id, &mut buffer)?;
        let packet = Packet::decode(written).map_err(|_| RequestError::Identifier)?;
        if packet.id() != request.id || replies_to(packet.code()).is_empty() {
            return Err(RequestError::Identifier);
        }
        request.code = packet.code();
        request.authenticator = *packet.authenticator();
        request.proved = packet.attr(AttrType::MESSAGE_AUTHENTICATOR).is_some();
        request.packet.clear();
        request.packet.extend_from_slice(packet.as_bytes());
        request.stale = false;
        // That is: at once.
        let at = request.began;
        reschedule(&mut self.due, exchange, request, Some(at));
        Ok(())
    }

    /// When to call [`Client::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    /// What is due, one thing at a time: call it until it is `None`. `random` is any number, a new
    /// one for each call, so that clients that lost one server do not come back as one.
    pub fn handle_timeout(&mut self, now: Instant, random: u32) -> Option<Due<'_>> {
        let &(at, exchange) = self.due.first()?;
        if at > now {
            return None;
        }
        let request = self.exchanges.get_mut(&exchange).expect("what is due has an exchange");
        let Schedule { sends, changes, .. } = request.schedule;
        let ends = request.schedule.ends(request.began);
        let tried = request.sends > 0
            && (sends.is_some_and(|sends| request.sends >= sends)
                || ends.is_some_and(|ends| now >= ends));
        if tried {
            self.counts.given_up += 1;
            self.forget(exchange);
            return Some(Due::GivenUp(exchange));
        }
        if request.stale {
            // Whoever does not write it again sends it as it was, later.
            request.stale = false;
            let later = now.checked_add(request.wait);
            reschedule(&mut self.due, exchange, request, later);
            return Some(Due::Write(exchange));
        }
        request.wait = match request.sends {
            0 => request.schedule.first(random),
            _ => request.schedule.next(request.wait, random),
        };
        if request.sends > 0 {
            self.counts.retransmissions += 1;
        }
        request.sends = request.sends.saturating_add(1);
        request.stale = changes;
        let mut next = now.checked_add(request.wait);
        if let (Some(at), Some(ends)) = (next, ends) {
            next = Some(at.min(ends));
        }
        reschedule(&mut self.due, exchange, request, next);
        let request = self.exchanges.get(&exchange).expect("it was there just now");
        Some(Due::Send { exchange, to: request.to, packet: &request.packet })
    }

    /// A packet that came from `from`.
    pub fn handle_reply(&mut self, from: SocketAddr, reply: &Packet<'_>) -> Outcome {
        let holder = self.servers.get(&from).and_then(|ids| ids.holder(reply.id()));
        let Some((exchange, request)) =
            holder.and_then(|exchange| Some((exchange, self.exchanges.get(&exchange)?)))
        else {
            self.counts.late += 1;
            return Outcome::Ignored(Ignored::Late);
        };
        if let Err(why) = request.check(reply) {
            self.counts.forged += 1;
            return Outcome::Ignored(why);
        }
        self.counts.answers += 1;
        self.forget(exchange);
        Outcome::Answers(exchange)
    }

    /// Nobody wants to know any more. `false` if it was over already.
    pub fn cancel(&mut self, exchange: Exchange) -> bool {
        self.forget(exchange)
    }

    /// The Request Authenticator: what is hidden in a reply needs it.
    pub fn authenticator(&self, exchange: Exchange) -> Option<&Authenticator> {
        self.exchanges.get(&exchange).map(|request| &request.authenticator)
    }

    /// How many requests to this server wait.
    pub fn waiting(&self, server: SocketAddr) -> usize {
        self.servers.get(&server).map_or(0, |ids| usize::from(ids.used))
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// What has happened so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn forget(&mut self, exchange: Exchange) -> bool {
        let Some(mut request) = self.exchanges.remove(&exchange) else { return false };
        reschedule(&mut self.due, exchange, &mut request, None);
        if let Some(ids) = self.servers.get_mut(&request.to) {
            ids.give_back(request.id);
            // A server that is asked no more costs nothing; the order of its identifiers is then
            // lost, and its replies are told apart by their authenticator.
            if ids.used == 0 && self.servers.len() > SERVERS_IDLE {
                self.servers.remove(&request.to);
            }
        }
        true
    }
}

fn reschedule(
    due: &mut BTreeSet<(Instant, Exchange)>,
    exchange: Exchange,
    request: &mut Request,
    at: Option<Instant>,
) {
    if let Some(before) = request.due {
        due.remove(&(before, exchange));
    }
    request.due = at;
    if let Some(at) = at {
        due.insert((at, exchange));
    }
}

/// From how many servers on those without a request are forgotten.
const SERVERS_IDLE: usize = 256;

impl Request {
    fn check(&self, reply: &Packet<'_>) -> Result<(), Ignored> {
        if !replies_to(self.code).contains(&reply.code()) {
            return Err(Ignored::Code);
        }
        authenticator::verify_reply(reply, &self.authenticator, &self.secret)
            .map_err(|_| Ignored::Forged)?;
        // Nobody says over which authenticator that of an Accounting-Response is, and servers
        // differ; its Response Authenticator covers all of it.
        if reply.code() == Code::ACCOUNTING_RESPONSE && self.code == Code::ACCOUNTING_REQUEST {
            return Ok(());
        }
        let proof =
            authenticator::message_authenticator_of_reply(reply, &self.authenticator, &self.secret);
        // CVE-2024-3596: who asks with one must not believe an answer without. A CoA- or
        // Disconnect-Request's reply may come without, RFC 5176 §3.4: its request cannot be chosen
        // by whoever wants to forge the reply.
        let required =
            self.proved && matches!(self.code, Code::ACCESS_REQUEST | Code::STATUS_SERVER);
        match proof {
            MessageAuthenticator::Absent if required => Err(Ignored::Forged),
            MessageAuthenticator::Valid | MessageAuthenticator::Absent => Ok(()),
            MessageAuthenticator::Invalid => Err(Ignored::Forged),
        }
    }
}

/// What may answer a request; nothing if it is not one.
const fn replies_to(request: Code) -> &'static [Code] {
    match request {
        Code::ACCESS_REQUEST => &[Code::ACCESS_ACCEPT, Code::ACCESS_REJECT, Code::ACCESS_CHALLENGE],
        Code::ACCOUNTING_REQUEST => &[Code::ACCOUNTING_RESPONSE],
        // RFC 5997 §2.3: as an authentication or an accounting port answers.
        Code::STATUS_SERVER => &[Code::ACCESS_ACCEPT, Code::ACCOUNTING_RESPONSE],
        Code::DISCONNECT_REQUEST => &[Code::DISCONNECT_ACK, Code::DISCONNECT_NAK],
        Code::COA_REQUEST => &[Code::COA_ACK, Code::COA_NAK],
        _ => &[],
    }
}
