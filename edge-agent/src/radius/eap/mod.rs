//! EAP: logins of several round trips.
//!
//! The conversations are values of the `radius` crate; here they wait for their next packet
//! ([`table`]), are given the names of the desired state ([`directory`]) and our certificates
//! ([`methods`]), and what takes long is done by [`workers`], so that nobody's PAP waits for
//! somebody's handshake.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use radius::{
    AttrType, Writer,
    attr::VALUE_LEN_MAX,
    eap::{Around, Conversation, Failure, Step, Success, message},
};
use shared::{daemon::Life, net::Mac};

use super::{
    auth::{
        self, Accept, Refusal,
        reply::{self, Hide},
    },
    drops::DropReason,
    exchange::Exchange,
    random::Random,
    responder::Received,
};
use crate::{
    desired::Snapshot,
    sessions::event::{AuthFailure, Event},
};

mod directory;
mod methods;
mod table;
mod workers;

pub use self::methods::{EapError, Offer};
use self::{
    directory::{Known, whose},
    table::{State, Table},
    workers::Workers,
};

/// What all ways in share of EAP.
#[derive(Debug)]
pub(super) struct Eap {
    inner: Arc<Inner>,
    workers: Workers,
}

/// What the threads that work share.
#[derive(Debug)]
struct Inner {
    offer: Arc<Offer>,
    table: Mutex<Table<Waiting>>,
    random: Random,
}

/// A conversation between two packets.
#[derive(Debug)]
struct Waiting {
    nas: Arc<str>,
    conversation: Conversation,
}

/// A packet of a conversation, and the right to answer it.
#[derive(Debug)]
struct Turn {
    exchange: Exchange,
    conversation: Conversation,
    state: State,
    source: IpAddr,
    message: Box<[u8]>,
    calling: Option<Mac>,
    len_max: usize,
    snapshot: Arc<Snapshot>,
}

impl Eap {
    pub(super) fn new(offer: Arc<Offer>) -> Self {
        let table = Mutex::new(Table::default());
        let inner = Arc::new(Inner { offer, table, random: Random::new() });
        Self { workers: Workers::new(), inner }
    }

    /// The threads, until `life` ends.
    pub(super) fn start(&self, events: &SyncSender<Event>, life: &Life) -> io::Result<()> {
        self.workers.start(&self.inner, life)?;
        let (inner, events) = (Arc::clone(&self.inner), events.clone());
        super::run_thread("radius-eap-tidy".to_owned(), life, move |life| {
            inner.tidy(&events, life);
        })
    }

    /// An Access-Request with this EAP packet.
    pub(super) fn handle(
        &self,
        exchange: Exchange,
        received: Received<'_>,
        message: &[u8],
        snapshot: &Arc<Snapshot>,
    ) {
        let Received { now, from, request, .. } = received;
        let source = from.peer.ip().to_canonical();
        let known = request.attr(AttrType::STATE).map(|attr| State::parse(attr.value));
        let (state, conversation) = match known {
            None => {
                let methods = self.inner.offer.current();
                (State::new(self.inner.random.fill()), Some(Conversation::new(methods)))
            }
            Some(None) => (State::new([0; 16]), None),
            Some(Some(state)) => {
                let waiting = self.inner.table().take(now, source, state);
                (state, waiting.map(|waiting| waiting.conversation))
            }
        };
        let Some(conversation) = conversation else {
            let username = request.attr(AttrType::USER_NAME).map_or(&[][..], |attr| attr.value);
            return exchange.reject(Refusal::Stale, username, |_| {});
        };
        let turn = Turn {
            exchange,
            conversation,
            state,
            source,
            message: Box::from(message),
            calling: request.attr(AttrType::CALLING_STATION_ID).and_then(auth::mac),
            len_max: message::len_max(&request),
            snapshot: Arc::clone(snapshot),
        };
        if !turn.conversation.is_heavy() {
            return self.inner.take(turn);
        }
        if let Err(turn) = self.workers.put(Box::new(turn)) {
            let turn = *turn;
            // The NAS asks again; then perhaps there is room.
            self.inner.wait(&turn.exchange, turn.source, turn.state, turn.conversation);
            turn.exchange.give_up(DropReason::Overload);
        }
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table<Waiting>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, exchange: &Exchange, source: IpAddr, state: State, conversation: Conversation) {
        let nas = Arc::clone(&exchange.client().named.name);
        self.table().put(Instant::now(), source, state, Waiting { nas, conversation });
    }

    /// One step of a conversation.
    fn take(&self, turn: Turn) {
        let Turn { exchange, mut conversation, state, source, message, calling, len_max, snapshot } =
            turn;
        let directory = Known { snapshot: &snapshot, calling };
        let now = seconds_since_1970();
        let step = conversation.step(
            &message,
            &mut Around {
                directory: &directory,
                random: &mut |octets| self.random.fill_slice(octets),
                now,
                len_max,
            },
        );
        match step {
            Step::Challenge(packet) => {
                // Before the peer can answer.
                self.wait(&exchange, source, state, conversation);
                exchange.challenge(|reply| {
                    message::write(reply, &packet);
                    reply.attr(AttrType::STATE, state.as_bytes());
                });
            }
            Step::Success(success) => self.success(exchange, &success, &snapshot, calling),
            Step::Failure(Failure { reason, identity, detail, .. }) => {
                let identity = shortened(identity.unwrap_or_default());
                if let Some(detail) = detail {
                    tracing::debug!("EAP of `{identity}` fails: {reason}: {detail}");
                }
                exchange.reject(reason.into(), identity.as_bytes(), |_| {});
            }
        }
    }

    /// It is who it says it is. May it come in?
    fn success(
        &self,
        exchange: Exchange,
        success: &Success,
        snapshot: &Snapshot,
        calling: Option<Mac>,
    ) {
        let recognised = whose(snapshot, &success.identity, calling);
        let recognised = recognised.ok_or(Refusal::UnknownSubscriber);
        let accept = recognised.and_then(|(subscriber, by)| {
            auth::may_come_in(Accept { subscriber: Arc::clone(subscriber), mac: calling, by })
        });
        let accept = match accept {
            Ok(accept) => accept,
            Err(refusal) => {
                return exchange.reject(
                    refusal,
                    shortened(success.identity.clone()).as_bytes(),
                    |_| {},
                );
            }
        };
        let method = success.method.name().unwrap_or_default();
        let resumed = if success.is_resumed { "yes" } else { "no" };
        metrics::counter!("kennet_radius_eap_logins_total", "method" => method, "resumed" => resumed)
            .increment(1);
        tracing::debug!(
            "{} is in by EAP-{}{}",
            accept.subscriber.username,
            success.method,
            if success.is_resumed { ", resumed" } else { "" }
        );
        let client = Arc::clone(exchange.client());
        let request = exchange.authenticator();
        let hide = Hide { secret: &client.secret, request, salt: self.random.fill() };
        // The name outside of a tunnel is nobody's: accounting has to name the subscriber.
        let username = match accept.by {
            auth::By::Password => Some(accept.subscriber.username.clone()),
            auth::By::Device => None,
        };
        exchange.accept(accept, |reply: &mut Writer<'_>| {
            message::write(reply, &success.packet);
            if let Some(username) = &username {
                reply.text(AttrType::USER_NAME, username);
            }
            if let Some(keys) = &success.keys {
                reply::write_keys(reply, &keys.send, &keys.recv, hide);
            }
        });
    }

    /// Forgets who does not go on, and looks for new certificates.
    fn tidy(&self, events: &SyncSender<Event>, life: &Life) {
        let mut look = Instant::now();
        while !life.is_stopping() {
            std::thread::sleep(super::IDLE);
            let now = Instant::now();
            let left = self.table().sweep(now);
            for Waiting { nas, conversation } in left {
                // So does a peer that does not like our certificate, often without a word.
                let refusal = conversation.refusal().map_or(Refusal::Unfinished, Refusal::from);
                let username = shortened(conversation.identity().unwrap_or_default().to_owned());
                let reason = refusal.as_str();
                let _ = events.try_send(Event::AuthFailure(AuthFailure { nas, username, reason }));
            }
            if now.duration_since(look) >= LOOK_EVERY {
                look = now;
                self.offer.reload_if_changed();
                self.offer.watch_end(seconds_since_1970());
            }
        }
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// As long as a User-Name can be: inside a tunnel there is no such limit.
fn shortened(mut identity: String) -> String {
    identity.truncate(identity.floor_char_boundary(VALUE_LEN_MAX));
    identity
}

/// How often the files of certificates are looked at; who is in a hurry sends SIGHUP.
const LOOK_EVERY: Duration = Duration::from_secs(10);
