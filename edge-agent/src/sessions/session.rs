//! One session, and the form in which it outlives the process.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use shared::{
    id::{NasId, SessionId, SubscriberId, SubscriptionId},
    net::Mac,
    octets::Counters,
    rate::Shape,
    wire::latest::{
        desired::Class,
        journal::{Metering, SessionStarted, SessionStopped, Usage},
    },
};

use super::event::NasRef;
use crate::dataplane::{Entry, Slot};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub username: String,
    pub subscriber: Option<SubscriberId>,
    pub subscription: Option<SubscriptionId>,
    pub nas: NasRef,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    /// Empty until the NAS has named one.
    pub acct_session_id: String,
    pub meter: Meter,
    pub shape: Shape,
    pub class: Class,
    pub started_at_ms: u64,
    pub revision: u64,
    pub limits: Limits,
    /// Cumulative, as last read.
    pub counters: Counters,
    /// When `counters` last grew.
    pub active_at_ms: u64,
    /// Cumulative, as last written to the journal.
    pub reported: Counters,
}

/// Where a session's counters come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// This host's data plane. `base` is what the session had moved before the kernel's counters
    /// began: not zero when the host was restarted in the middle of it. Until it is `installed`,
    /// the slot's counters may be another session's.
    Kernel { slot: Slot, base: Counters, installed: bool },
    /// Accounting packets.
    Nas,
}

/// When a session ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub data_bytes: Option<u64>,
    pub session_seconds: Option<u64>,
    pub idle_seconds: Option<u64>,
}

/// Why a session ended. Acct-Terminate-Cause, RFC 2866 §5.10 and RFC 3580 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(pub u32);

impl Cause {
    pub const IDLE_TIMEOUT: Self = Self(4);
    pub const SESSION_TIMEOUT: Self = Self(5);
    pub const ADMIN_RESET: Self = Self(6);
    pub const NAS_ERROR: Self = Self(9);
    pub const NAS_REQUEST: Self = Self(10);
    pub const NAS_REBOOT: Self = Self(11);
    pub const SERVICE_UNAVAILABLE: Self = Self(15);
    pub const PORT_REINITIALIZED: Self = Self(21);
}

impl Session {
    pub const fn slot(&self) -> Option<Slot> {
        match self.meter {
            Meter::Kernel { slot, .. } => Some(slot),
            Meter::Nas => None,
        }
    }

    /// The slot, once the kernel counts for this session in it.
    pub const fn installed_slot(&self) -> Option<Slot> {
        match self.meter {
            Meter::Kernel { slot, installed: true, .. } => Some(slot),
            Meter::Kernel { .. } | Meter::Nas => None,
        }
    }

    /// What was moved before the kernel's counters began.
    pub const fn base(&self) -> Counters {
        match self.meter {
            Meter::Kernel { base, .. } => base,
            Meter::Nas => self.counters,
        }
    }

    /// What the data plane has to hold for this session.
    pub fn entry(&self) -> Option<Entry> {
        let (slot, mac) = (self.slot()?, self.mac?);
        Some(Entry { slot, session: self.id, mac, shape: self.shape, class: self.class })
    }

    /// Takes a reading of the kernel's counters.
    pub fn observe(&mut self, kernel: Counters, now_ms: u64) {
        if let Meter::Kernel { base, installed: true, .. } = self.meter {
            self.count(base + kernel, now_ms);
        }
    }

    /// Takes cumulative counters; they never go back, whatever order they arrive in.
    pub fn count(&mut self, counters: Counters, now_ms: u64) {
        let counters = self.counters.max(counters);
        if counters != self.counters {
            self.counters = counters;
            self.active_at_ms = now_ms;
        }
    }

    /// Has a limit of the session itself been reached?
    pub fn exhausted(&self, now_ms: u64) -> Option<Cause> {
        let since = |then: u64| now_ms.saturating_sub(then) / 1_000;
        let Limits { data_bytes, session_seconds, idle_seconds } = self.limits;
        if session_seconds.is_some_and(|limit| since(self.started_at_ms) >= limit) {
            return Some(Cause::SESSION_TIMEOUT);
        }
        if data_bytes.is_some_and(|limit| self.counters.total_bytes() >= limit) {
            return Some(Cause::SERVICE_UNAVAILABLE);
        }
        if idle_seconds.is_some_and(|limit| since(self.active_at_ms) >= limit) {
            return Some(Cause::IDLE_TIMEOUT);
        }
        None
    }

    pub fn started(&self) -> SessionStarted {
        let octets = |id: Option<Vec<u8>>| id.unwrap_or_default();
        SessionStarted {
            session: self.id.to_vec(),
            subscriber: octets(self.subscriber.map(|id| id.to_vec())),
            subscription: octets(self.subscription.map(|id| id.to_vec())),
            nas: octets(self.nas.id.map(|id| id.to_vec())),
            username: self.username.clone(),
            nas_name: self.nas.name.to_string(),
            mac: octets(self.mac.map(|mac| mac.0.to_vec())),
            ip: self.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            acct_session_id: self.acct_session_id.clone(),
            down_kbps: self.shape.down_kbps.get(),
            up_kbps: self.shape.up_kbps.get(),
            metering: i32::from(match self.meter {
                Meter::Kernel { .. } => Metering::Kernel,
                Meter::Nas => Metering::Nas,
            }),
            revision: self.revision,
        }
    }

    pub fn usage(&self) -> Usage {
        Usage { session: self.id.to_vec(), octets: self.counters.into() }
    }

    pub fn stopped(&self, cause: Cause) -> SessionStopped {
        SessionStopped { session: self.id.to_vec(), octets: self.counters.into(), cause: cause.0 }
    }

    /// For the row beside the journal.
    pub fn to_row(&self) -> Vec<u8> {
        serde_json::to_vec(&Stored::from(self)).expect("a session is plain text and numbers")
    }

    /// `None` if the row is not one of this program's.
    pub fn from_row(row: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Stored>(row).ok().map(Self::from)
    }
}

/// The row's form. Fields are added with a default, so that an upgraded agent takes over the
/// sessions of the older one.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: SessionId,
    username: String,
    subscriber: Option<SubscriberId>,
    subscription: Option<SubscriptionId>,
    nas: Option<NasId>,
    nas_name: String,
    mac: Option<Mac>,
    ip: Option<IpAddr>,
    acct_session_id: String,
    slot: Option<u32>,
    base: Counters,
    shape: Shape,
    class: Class,
    started_at_ms: u64,
    revision: u64,
    limits: Limits,
    reported: Counters,
}

impl From<&Session> for Stored {
    fn from(session: &Session) -> Self {
        let (slot, base) = match session.meter {
            Meter::Kernel { slot, base, .. } => (Some(slot.0), base),
            Meter::Nas => (None, Counters::default()),
        };
        Self {
            id: session.id,
            username: session.username.clone(),
            subscriber: session.subscriber,
            subscription: session.subscription,
            nas: session.nas.id,
            nas_name: session.nas.name.to_string(),
            mac: session.mac,
            ip: session.ip,
            acct_session_id: session.acct_session_id.clone(),
            slot,
            base,
            shape: session.shape,
            class: session.class,
            started_at_ms: session.started_at_ms,
            revision: session.revision,
            limits: session.limits,
            reported: session.reported,
        }
    }
}

impl From<Stored> for Session {
    fn from(stored: Stored) -> Self {
        Self {
            id: stored.id,
            username: stored.username,
            subscriber: stored.subscriber,
            subscription: stored.subscription,
            nas: NasRef { id: stored.nas, name: Arc::from(stored.nas_name) },
            mac: stored.mac,
            ip: stored.ip,
            acct_session_id: stored.acct_session_id,
            meter: match stored.slot {
                Some(slot) => {
                    Meter::Kernel { slot: Slot(slot), base: stored.base, installed: false }
                }
                None => Meter::Nas,
            },
            shape: stored.shape,
            class: stored.class,
            started_at_ms: stored.started_at_ms,
            revision: stored.revision,
            limits: stored.limits,
            counters: stored.reported,
            active_at_ms: stored.started_at_ms,
            reported: stored.reported,
        }
    }
}
