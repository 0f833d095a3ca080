//! What the session thread is told, and by whom.

use std::{fmt, net::IpAddr, sync::Arc};

use radius::dynauth::{Action, ErrorCause};
use serde::{Deserialize, Serialize};
use shared::{
    id::{NasId, SessionId},
    net::Mac,
    octets::Counters,
    rate::{Kbps, Shape},
    wire::latest::{
        command::Effect,
        desired::{Class, Subscriber},
        journal::Answered,
        lease::{self, Question},
        live::RoundTrips,
    },
};

use crate::{
    dataplane::{Reading, Slot},
    desired::Snapshot,
};

use super::Limits;

#[derive(Debug)]
pub enum Event {
    /// RADIUS: accepted at a NAS whose traffic passes this host. The ticket sends the
    /// Access-Accept.
    Open(Box<Open>, Ticket),
    /// RADIUS: an Accounting-Request. The ticket sends the Accounting-Response.
    Accounting(Box<Accounting>, Ticket),
    /// RADIUS: refused.
    AuthFailure(AuthFailure),
    /// The desired state has changed. Answered when the kernel has it.
    Desired(Arc<Snapshot>, Option<Answer<()>>),
    /// Uplink: end this session.
    Disconnect(SessionId, Answer<Effect>),
    /// Dynamic authorisation: what a NAS has said to [`super::Act::Ask`].
    Answered(AskId, NasAnswer),
    /// Dynamic authorisation: somebody wants a session of ours ended or changed.
    Authorise(Box<Authorise>, Verdict),
    /// Data plane: something has happened to a session or an account.
    Kernel,
    /// Kernel: a device has this address now.
    Neighbour {
        mac: Mac,
        ip: IpAddr,
    },
    /// Uplink: what is to be asked about quotas that other edges use, too; and what was answered.
    Questions(Answer<Vec<Question>>),
    Leased(Vec<lease::Answer>),
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

/// What a NAS was asked; counted from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What came of asking a NAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NasAnswer {
    pub answered: Answered,
    /// Of a NAK, when it gave one.
    pub cause: Option<ErrorCause>,
}

/// What somebody asks for by RFC 5176. Everything that is there has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorise {
    pub action: Action,
    pub which: Which,
    pub change: Change,
}

/// A session, as others name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// NAS-Identifier and address, where they mean another than this host.
    pub nas_identifier: Option<String>,
    pub nas_address: Option<IpAddr>,
    pub username: Option<String>,
    /// Acct-Session-Id: the NAS's, or our own id of the session.
    pub acct_session_id: Option<String>,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    pub port: Option<u32>,
    pub port_id: Option<String>,
    pub called: Option<String>,
}

/// What becomes different; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub down_kbps: Option<Kbps>,
    pub up_kbps: Option<Kbps>,
    pub session_seconds: Option<u64>,
    pub idle_seconds: Option<u64>,
}

/// Told when what was asked is durable and in the kernel, or why it cannot be; dropped when it
/// failed.
pub struct Verdict(Box<dyn FnOnce(Result<(), ErrorCause>) + Send>);

impl Verdict {
    pub fn new(tell: impl FnOnce(Result<(), ErrorCause>) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    pub fn tell(self, result: Result<(), ErrorCause>) {
        (self.0)(result);
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verdict")
    }
}

pub type Answer<T> = tokio::sync::oneshot::Sender<T>;

/// The NAS that a packet came from, as the desired state names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NasRef {
    pub id: Option<NasId>,
    pub name: Arc<str>,
}

/// Where a session is at its NAS, in the NAS's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// Where its packets come from, and so where it is asked.
    pub address: Option<IpAddr>,
    /// Which of this host's links that is, of an address that is only valid on one.
    pub scope: u32,
    /// NAS-Identifier, or NAS-IP-Address as text: behind a proxy or in a prefix are many. Empty
    /// when it says neither.
    pub nas_identifier: String,
    /// Called-Station-Id: of an access point, its radio and network.
    pub called: String,
    /// Calling-Station-Id.
    pub calling: String,
    /// NAS-Port. 0 is none: NASes that count no ports send it.
    pub port: Option<u32>,
    /// NAS-Port-Id.
    pub port_id: String,
    /// NAS-Port-Type.
    pub port_type: Option<u32>,
}

impl Place {
    /// Is it, as far as both say, the same device that speaks, and the same radio of it?
    pub fn is_of(&self, other: &Self) -> bool {
        let agree = |one: &str, two: &str| one.is_empty() || two.is_empty() || one == two;
        let named = !self.nas_identifier.is_empty() && !other.nas_identifier.is_empty();
        let address = self.address.is_none()
            || other.address.is_none()
            || self.address == other.address
            // Behind another proxy, or after its address has changed.
            || named;
        address
            && agree(&self.nas_identifier, &other.nas_identifier)
            && agree(&self.called, &other.called)
    }
}

#[derive(Clone, Debug)]
pub struct Open {
    /// Made by the RADIUS thread; it is in the Accept's Class attribute as 16 octets.
    pub session: SessionId,
    /// Without one, the session is told by its addresses.
    pub mac: Option<Mac>,
    pub subscriber: Arc<Subscriber>,
    pub nas: NasRef,
    /// Framed-IP-Address of the request or the subscriber's static address.
    pub ip: Option<IpAddr>,
    /// Revision of the desired state that accepted it.
    pub revision: u64,
    pub place: Place,
    /// Acct-Session-Id of the request; empty when there is none.
    pub acct_session_id: String,
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
    /// There were Gigawords, so that what seems to go back has not wrapped.
    pub has_gigawords: bool,
    /// Acct-Session-Time, seconds.
    pub session_time: Option<u32>,
    /// Acct-Delay-Time: how long ago that was, seconds.
    pub delay_seconds: u32,
    pub place: Place,
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
    pub limits: Limits,
    pub started_at_ms: u64,
    /// What is left of the subscriber's data; `None` without a quota.
    pub left_bytes: Option<u64>,
    /// Since the session started; for a session of a NAS, what that NAS last said.
    pub reading: Reading,
    /// As they were last seen in passing.
    pub round_trips: RoundTrips,
}
