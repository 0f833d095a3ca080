//! What the session thread is told, and by whom.

use std::{fmt, net::IpAddr, sync::Arc};

use shared::{
    id::{NasId, SessionId},
    net::Mac,
    octets::Counters,
    rate::Shape,
    wire::latest::{
        command::Effect,
        desired::{Class, Subscriber},
    },
};

use crate::{
    dataplane::{Reading, Slot},
    desired::Snapshot,
};

#[derive(Debug)]
pub enum Event {
    /// RADIUS: accepted at a NAS whose traffic passes this host. The ticket sends the
    /// Access-Accept.
    Open(Open, Ticket),
    /// RADIUS: an Accounting-Request. The ticket sends the Accounting-Response.
    Accounting(Accounting, Ticket),
    /// RADIUS: refused.
    AuthFailure(AuthFailure),
    /// The desired state has changed. Answered when the kernel has it.
    Desired(Arc<Snapshot>, Option<Answer<()>>),
    /// Uplink: end this session.
    Disconnect(SessionId, Answer<Effect>),
    /// Uplink: everything before this sequence number is committed at the controller.
    Acked(u64),
    /// Metrics and command line: what is there now.
    List(Answer<Vec<Listed>>),
}

/// Completed when what was asked is durable and in the kernel; dropped when it failed, and then
/// nothing is answered: the NAS asks again.
pub struct Ticket(Option<Box<dyn FnOnce() + Send>>);

impl Ticket {
    pub fn new(reply: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(reply)))
    }

    pub fn complete(mut self) {
        if let Some(reply) = self.0.take() {
            reply();
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

pub type Answer<T> = tokio::sync::oneshot::Sender<T>;

/// The NAS that a packet came from, as the desired state names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NasRef {
    pub id: Option<NasId>,
    pub name: Arc<str>,
}

#[derive(Clone, Debug)]
pub struct Open {
    /// Made by the RADIUS thread; it is in the Accept's Class attribute as 16 octets.
    pub session: SessionId,
    pub mac: Mac,
    pub subscriber: Arc<Subscriber>,
    pub nas: NasRef,
    /// Framed-IP-Address of the request or the subscriber's static address.
    pub ip: Option<IpAddr>,
    /// Revision of the desired state that accepted it.
    pub revision: u64,
}

/// RFC 2866, as one record.
#[derive(Clone, Debug)]
pub struct Accounting {
    /// Session id to take if this record opens one.
    pub fresh: SessionId,
    pub nas: NasRef,
    /// True when this host's kernel meters the NAS's sessions.
    pub metered_here: bool,
    pub status: AcctStatus,
    pub acct_session_id: String,
    pub username: String,
    /// Who that is in the desired state, if anybody.
    pub subscriber: Option<Arc<Subscriber>>,
    /// The session that the Class attribute names.
    pub class: Option<SessionId>,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    /// Octets with Gigawords joined. Input is *up*. `None` when the NAS sends none.
    pub counters: Option<Counters>,
    /// Acct-Terminate-Cause; 0 when there is none.
    pub terminate_cause: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcctStatus {
    Start,
    Interim,
    Stop,
    /// The NAS has started: whatever it had is gone.
    On,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthFailure {
    pub nas: Arc<str>,
    pub username: String,
    pub reason: &'static str,
}

/// A live session, for people.
#[derive(Clone, Debug)]
pub struct Listed {
    pub session: SessionId,
    pub username: String,
    pub nas: Arc<str>,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    pub slot: Option<Slot>,
    pub class: Class,
    pub shape: Shape,
    pub started_at_ms: u64,
    /// Since the session started; for a session of a NAS, what that NAS last said.
    pub reading: Reading,
}
