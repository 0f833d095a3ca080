//! Which request is new, which is a retransmission, and what it was answered: RFC 5080 §2.2.2.
//!
//! A [`Server`] is told the time. One source address, code and identifier has one request at a
//! time: another authenticator there is a new request, and the old one is forgotten.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use crate::{
    code::Code,
    packet::{Authenticator, Packet},
};

/// The requests of one socket.
#[derive(Debug, Default)]
pub struct Server {
    by_key: HashMap<Key, usize>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// How many slots each address has.
    per_source: HashMap<IpAddr, usize>,
    /// Every used slot once, in the order in which it has to be looked at.
    checks: VecDeque<(Instant, usize)>,
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    from: SocketAddr,
    code: Code,
    id: u8,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    authenticator: Authenticator,
    generation: u64,
    state: State,
    expires: Instant,
    /// Its memory is used again by the next request in this slot.
    reply: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Somebody is deciding.
    InWork,
    Answered,
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// New: decide, then come back with [`Server::finish`] or [`Server::abandon`].
    New(Pending),
    /// A retransmission of a request that is being decided. Nothing is to be done.
    InWork,
    /// A retransmission: these octets go out again.
    Answered(&'a [u8]),
    /// Too many requests are being decided or were just answered, of all or of this address. The
    /// client will send it again.
    Overloaded,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    slot: usize,
    generation: u64,
}

/// How long an answer is kept for a client that sends its request again.
pub const KEPT: Duration = Duration::from_secs(5);

/// After how long a request counts as forgotten by those who decide.
pub const IN_WORK_MAX: Duration = Duration::from_secs(30);

/// 256 requests of as many source ports; about 20 MB when full of 120-octet answers.
pub const REQUESTS_MAX: usize = 65_536;

/// How many of them are one address's: it cannot fill the room of the others.
pub const REQUESTS_PER_SOURCE_MAX: usize = REQUESTS_MAX / 4;

impl Server {
    /// Call it for requests that are verified only, so that nobody else can displace them.
    pub fn handle_request(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &Packet<'_>,
    ) -> Outcome<'_> {
        self.handle_timeout(now);
        let key = Key { from, code: request.code(), id: request.id() };
        self.generation += 1;
        let fresh = Slot {
            key,
            authenticator: *request.authenticator(),
            generation: self.generation,
            state: State::InWork,
            expires: now + IN_WORK_MAX,
            reply: Vec::new(),
        };
        let at = match self.by_key.entry(key) {
            Entry::Occupied(known) => {
                let at = *known.get();
                let slot = self.slots.get_mut(at).expect("a known key has a slot");
                if slot.authenticator == fresh.authenticator {
                    return match slot.state {
                        State::Answered => Outcome::Answered(&slot.reply),
                        State::InWork | State::Free => Outcome::InWork,
                    };
                }
                slot.renew(fresh);
                at
            }
            Entry::Vacant(unknown) => {
                let of_source = self.per_source.entry(from.ip()).or_default();
                if *of_source >= REQUESTS_PER_SOURCE_MAX {
                    return Outcome::Overloaded;
                }
                let at = match self.free.pop() {
                    Some(at) => {
                        self.slots.get_mut(at).expect("a free slot is a slot").renew(fresh);
                        at
                    }
                    None if self.slots.len() < REQUESTS_MAX => {
                        self.slots.push(fresh);
                        self.slots.len() - 1
                    }
                    None => {
                        if *of_source == 0 {
                            self.per_source.remove(&from.ip());
                        }
                        return Outcome::Overloaded;
                    }
                };
                *of_source += 1;
                unknown.insert(at);
                self.checks.push_back((now + KEPT, at));
                at
            }
        };
        Outcome::New(Pending { slot: at, generation: self.generation })
    }

    /// Keeps the answer for retransmissions. `false` if the client has meanwhile asked something
    /// else: then nobody waits for this answer.
    pub fn finish(&mut self, now: Instant, pending: Pending, reply: &[u8]) -> bool {
        let Some(slot) = self.in_work(pending) else { return false };
        slot.state = State::Answered;
        slot.expires = now + KEPT;
        slot.reply.clear();
        slot.reply.extend_from_slice(reply);
        true
    }

    /// There will be no answer: a retransmission is a new request. `false` if nobody waited for
    /// one any more.
    pub fn abandon(&mut self, pending: Pending) -> bool {
        let Some(slot) = self.in_work(pending) else { return false };
        slot.state = State::Free;
        let key = slot.key;
        // The slot itself is free after its next check: it is in `checks` once.
        self.by_key.remove(&key);
        true
    }

    /// When to call [`Server::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.checks.front().map(|&(at, _)| at)
    }

    /// Forgets what is too old. [`Server::handle_request`] does it, too.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, at)) = self.checks.pop_front_if(|(check, _)| *check <= now) {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            let over = match slot.state {
                State::Free => true,
                State::InWork | State::Answered => slot.expires <= now,
            };
            if over {
                if slot.state != State::Free {
                    self.by_key.remove(&slot.key);
                    slot.state = State::Free;
                }
                if let Entry::Occupied(mut count) = self.per_source.entry(slot.key.from.ip()) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
                self.free.push(at);
            } else {
                self.checks.push_back((now + KEPT, at));
            }
        }
    }

    /// How many requests are being decided or kept.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn in_work(&mut self, pending: Pending) -> Option<&mut Slot> {
        self.slots
            .get_mut(pending.slot)
            .filter(|slot| slot.generation == pending.generation && slot.state == State::InWork)
    }
}

impl Slot {
    fn renew(&mut self, mut fresh: Self) {
        std::mem::swap(&mut self.reply, &mut fresh.reply);
        *self = fresh;
        self.reply.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Writer;

    /// Any moment: only differences count.
    fn t0() -> Instant {
        Instant::now()
    }

    fn request(id: u8, nonce: u8) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let secret = crate::secret::Secret::new(b"s");
        let writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, id, [nonce; 16]);
        writer.sign(&secret).unwrap().to_vec()
    }

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// What the server says about a request that comes at `now`.
    fn ask(server: &mut Server, now: Instant, port: u16, (id, nonce): (u8, u8)) -> Outcome<'_> {
        let bytes = request(id, nonce);
        server.handle_request(now, from(port), &Packet::decode(&bytes).unwrap())
    }

    fn new(outcome: &Outcome<'_>) -> Pending {
        match outcome {
            Outcome::New(pending) => *pending,
            Outcome::InWork | Outcome::Answered(_) | Outcome::Overloaded => {
                panic!("expected a new request, not {outcome:?}")
            }
        }
    }

    #[test]
    fn a_retransmission_gets_the_same_answer_and_no_second_decision() {
        let (mut server, now) = (Server::default(), t0());
        let pending = new(&ask(&mut server, now, 1, (7, 1)));
        assert_eq!(ask(&mut server, now, 1, (7, 1)), Outcome::InWork);
        assert!(server.finish(now, pending, b"answer"));
        assert_eq!(ask(&mut server, now, 1, (7, 1)), Outcome::Answered(b"answer"));
        assert_eq!(ask(&mut server, now + KEPT / 2, 1, (7, 1)), Outcome::Answered(b"answer"));
    }

    #[test]
    fn another_port_identifier_or_authenticator_is_another_request() {
        let (mut server, now) = (Server::default(), t0());
        new(&ask(&mut server, now, 1, (7, 1)));
        new(&ask(&mut server, now, 2, (7, 1)));
        new(&ask(&mut server, now, 1, (8, 1)));
        new(&ask(&mut server, now, 1, (7, 2)));
        assert_eq!(server.len(), 3);
    }

    #[test]
    fn an_answer_that_comes_too_late_does_not_answer_the_next_request() {
        let (mut server, now) = (Server::default(), t0());
        let old = new(&ask(&mut server, now, 1, (7, 1)));
        let young = new(&ask(&mut server, now, 1, (7, 2)));
        assert!(!server.finish(now, old, b"old"));
        assert_eq!(ask(&mut server, now, 1, (7, 2)), Outcome::InWork);
        assert!(server.finish(now, young, b"young"));
        assert_eq!(ask(&mut server, now, 1, (7, 2)), Outcome::Answered(b"young"));
    }

    #[test]
    fn what_is_abandoned_is_asked_again() {
        let (mut server, now) = (Server::default(), t0());
        let pending = new(&ask(&mut server, now, 1, (7, 1)));
        assert!(server.abandon(pending));
        assert!(!server.abandon(pending));
        assert!(!server.finish(now, pending, b"too late"));
        new(&ask(&mut server, now, 1, (7, 1)));
    }

    #[test]
    fn answers_and_forgotten_requests_go_in_time_and_their_slots_are_used_again() {
        let (mut server, mut now) = (Server::default(), t0());
        for round in 0..20_u8 {
            for id in 0..=255 {
                let pending = new(&ask(&mut server, now, 1, (id, round)));
                match id % 3 {
                    0 => assert!(server.finish(now, pending, &[id])),
                    1 => assert!(server.abandon(pending)),
                    _ => {}
                }
            }
            now += 2 * KEPT;
        }
        now += IN_WORK_MAX;
        server.handle_timeout(now);
        server.handle_timeout(now + KEPT);
        assert!(server.is_empty());
        assert_eq!(server.poll_timeout(), None);
        assert!(server.slots.len() <= 512, "{} slots", server.slots.len());
        assert_eq!(server.free.len(), server.slots.len());
    }

    /// Takes all the room that one address has.
    fn fill(server: &mut Server, now: Instant, octet: u8) {
        for at in 0..REQUESTS_PER_SOURCE_MAX {
            let [.., port, id] = at.to_be_bytes();
            let bytes = request(id, 1);
            let from = SocketAddr::from(([127, 0, 0, octet], u16::from(port)));
            new(&server.handle_request(now, from, &Packet::decode(&bytes).unwrap()));
        }
    }

    #[test]
    fn one_address_does_not_fill_the_room_of_the_others() {
        let (mut server, now) = (Server::default(), t0());
        fill(&mut server, now, 1);
        assert_eq!(ask(&mut server, now, 1000, (0, 1)), Outcome::Overloaded);
        // What it asks again it gets, and others come in.
        assert_eq!(ask(&mut server, now, 0, (0, 1)), Outcome::InWork);
        new(&ask(&mut server, now, 0, (0, 2)));
        fill(&mut server, now, 2);
        new(&ask(&mut server, now + IN_WORK_MAX + KEPT, 1000, (0, 1)));
        assert_eq!(server.per_source.len(), 1);
    }

    #[test]
    fn the_number_of_requests_is_bounded() {
        let (mut server, now) = (Server::default(), t0());
        for octet in 2..6 {
            fill(&mut server, now, octet);
        }
        assert_eq!(server.len(), REQUESTS_MAX);
        assert_eq!(ask(&mut server, now, 1, (0, 1)), Outcome::Overloaded);
        assert_eq!(server.per_source.len(), 4);
        new(&ask(&mut server, now + IN_WORK_MAX + KEPT, 1, (0, 1)));
    }
}
