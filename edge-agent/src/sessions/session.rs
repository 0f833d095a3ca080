//! One session, and the form in which it outlives the process.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    id::{NasId, SessionId, SubscriberId, SubscriptionId},
    net::{Mac, Prefix},
    octets::Counters,
    rate::Shape,
    wire::latest::{
        desired::Class,
        journal::{Metering, SessionStarted, SessionStopped, Usage},
    },
};

use super::{
    Device, Lease,
    event::{NasRef, Open, Place},
    metering::NasMeter,
};
use crate::dataplane::{AccountNumber, Entry, Slot};

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
    /// Whose the NAS says it is, in accounting: not always the `username`.
    pub acct_username: String,
    pub place: Place,
    pub meter: Meter,
    pub shape: Shape,
    /// In class throttled.
    pub slow: Shape,
    pub class: Class,
    /// What several devices of the subscriber share, in the kernel.
    pub account: Option<u32>,
    /// Addresses that are the subscriber's own.
    pub prefixes: Vec<Prefix>,
    pub started_at_ms: u64,
    pub revision: u64,
    pub limits: Limits,
    /// Cumulative, as last read.
    pub counters: Counters,
    /// When `counters` last grew.
    pub active_at_ms: u64,
    /// Cumulative, as last written to the journal.
    pub reported: Counters,
    /// The desired state knows, or knew, whose it is.
    pub is_known: bool,
    /// The shape and the limits as they were last wanted: what somebody else has changed since
    /// stays until something else is wanted.
    pub wanted: (Shape, Limits),
    /// When the NAS last spoke of it, by this host's clock.
    pub heard_at_ms: u64,
    /// When that happened which the NAS last spoke of: earlier, if it had to try for long.
    pub event_at_ms: u64,
    /// When its NAS was last asked to end it.
    pub asked_at_ms: Option<u64>,
    /// It should be over, because of what is wanted and not because of its own limits.
    pub unwanted: Option<Cause>,
    /// When it ended, if that was earlier than it became known.
    pub ended_at_ms: Option<u64>,
    /// Cumulative, as last in its row; only of a session that its NAS meters.
    pub kept: Counters,
}

/// What a NAS calls a session. Acct-Session-Id alone is not unique: NASes count from zero again,
/// and one address may stand for many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcctKey {
    pub nas: Arc<str>,
    pub nas_identifier: String,
    pub session: String,
    /// Last, so that those who do not repeat it are found, too.
    pub username: String,
}

/// Where a counters come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// This host's data plane. `base` is what the session had moved before the kernel's counters
    /// began: not zero when the host was restarted in the middle of it. Until it is `installed`,
    /// the slot's counters may be another session's.
    Kernel { slot: Slot, base: Counters, installed: bool },
    /// Accounting packets.
    Nas(NasMeter),
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
    pub const LOST_SERVICE: Self = Self(3);
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
            Meter::Nas(_) => None,
        }
    }

    /// The slot, once the kernel counts for this session in it.
    pub const fn installed_slot(&self) -> Option<Slot> {
        match self.meter {
            Meter::Kernel { slot, installed: true, .. } => Some(slot),
            Meter::Kernel { .. } | Meter::Nas(_) => None,
        }
    }

    /// Its device is on-line.
    pub fn lease(&self, lasting: Option<Duration>) -> Option<Lease> {
        let device = Device::of(self.mac, &self.nas.name, &self.place, &self.acct_session_id)?;
        let (username, session) = (self.username.clone(), self.id);
        Some(Lease::Held { username, device, session, lasting })
    }

    pub const fn is_metered_here(&self) -> bool {
        matches!(self.meter, Meter::Kernel { .. })
    }

    /// Does the login begin another session, or does the NAS only look again who it is, as a
    /// switch does from time to time (802.1X)? Then it still calls the session the same.
    pub fn goes_on_with(&self, login: &Open) -> bool {
        self.is_metered_here()
            && !login.acct_session_id.is_empty()
            && self.acct_session_id == login.acct_session_id
            && self.username == login.subscriber.username
            && self.nas.name == login.nas.name
            && self.place.is_of(&login.place)
    }

    /// What its NAS calls it, once that is known.
    pub fn acct_key(&self) -> Option<AcctKey> {
        (!self.acct_session_id.is_empty()).then(|| AcctKey {
            nas: Arc::clone(&self.nas.name),
            nas_identifier: self.place.nas_identifier.clone(),
            session: self.acct_session_id.clone(),
            username: self.acct_username.clone(),
        })
    }

    /// What was moved before the kernel's counters began.
    pub const fn base(&self) -> Counters {
        match self.meter {
            Meter::Kernel { base, .. } => base,
            Meter::Nas(_) => self.counters,
        }
    }

    /// What the data plane has to hold for this session; `boot_ms` is when its clock began.
    pub fn entry(&self, boot_ms: u64) -> Option<Entry> {
        let slot = self.slot()?;
        let ends_ms = self
            .limits
            .session_seconds
            .map(|limit| self.started_at_ms.saturating_add(limit.saturating_mul(1_000)));
        let idle_ms = self
            .limits
            .idle_seconds
            .map(|limit| u32::try_from(limit.saturating_mul(1_000)).unwrap_or(u32::MAX));
        Some(Entry {
            slot,
            session: self.id,
            mac: self.mac,
            prefixes: self.prefixes.clone(),
            is_bound: self.mac.is_some() && !self.prefixes.is_empty(),
            shape: self.shape,
            slow: self.slow,
            class: self.class,
            account: self.account.map(AccountNumber),
            idle_ms,
            until_ns: ends_ms.map(|ms| ms.saturating_sub(boot_ms).max(1) * 1_000_000),
        })
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

    /// What the journal says and the row does not know yet, after a crash.
    pub fn catch_up(&mut self, told: Counters) {
        if !self.is_metered_here() {
            self.counters = self.counters.max(told);
            self.reported = self.reported.max(told);
        }
    }

    /// Has a limit been reached at which its NAS should have ended it? A NAS keeps the limits that
    /// it was told; how long nobody has moved anything only the NAS knows.
    pub fn overdue(&self, now_ms: u64) -> Option<Cause> {
        let limits = Limits { idle_seconds: None, ..self.limits };
        let then = now_ms.saturating_sub(OVERDUE_MS);
        exhausted(limits, (self.started_at_ms, self.active_at_ms), self.counters, then)
    }

    /// Has a limit of the session itself been reached?
    /// Data of a session that the kernel meters is its account's.
    pub fn exhausted(&self, now_ms: u64) -> Option<Cause> {
        let limits = Limits { data_bytes: None, ..self.limits };
        let times = (self.started_at_ms, self.active_at_ms);
        exhausted(limits, times, self.counters, now_ms)
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
                Meter::Nas(_) => Metering::Nas,
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

    /// For a session that has ended: its NAS may not know yet that this is written down.
    pub fn to_row_of_ended(&self, cause: Cause, at_ms: u64) -> Vec<u8> {
        let stored = Stored { ended: Some((cause.0, at_ms)), ..Stored::from(self) };
        serde_json::to_vec(&stored).expect("a session is plain text and numbers")
    }

    /// `None` if the row is not one of this program's.
    pub fn from_row(row: &[u8]) -> Option<Kept> {
        let stored = serde_json::from_slice::<Stored>(row).ok()?;
        Some(match stored.ended {
            None => Kept::Live(Self::from(stored)),
            Some((cause, at_ms)) => {
                Kept::Ended { session: Self::from(stored), cause: Cause(cause), at_ms }
            }
        })
    }
}

/// Which of the limits is reached at `now_ms`, if one is.
fn exhausted(
    limits: Limits,
    (started_at_ms, active_at_ms): (u64, u64),
    counters: Counters,
    now_ms: u64,
) -> Option<Cause> {
    let since = |then: u64| now_ms.saturating_sub(then) / 1_000;
    let Limits { data_bytes, session_seconds, idle_seconds } = limits;
    if session_seconds.is_some_and(|limit| since(started_at_ms) >= limit) {
        return Some(Cause::SESSION_TIMEOUT);
    }
    if data_bytes.is_some_and(|limit| counters.total_bytes() >= limit) {
        return Some(Cause::SERVICE_UNAVAILABLE);
    }
    if idle_seconds.is_some_and(|limit| since(active_at_ms) >= limit) {
        return Some(Cause::IDLE_TIMEOUT);
    }
    None
}

/// For how long a NAS may go on with a session whose time is over: clocks differ, and its Stop
/// has to come.
const OVERDUE_MS: u64 = 30_000;

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Live(Session),
    Ended { session: Session, cause: Cause, at_ms: u64 },
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
    #[serde(default)]
    acct_username: String,
    #[serde(default)]
    place: Place,
    #[serde(default)]
    nas_meter: NasMeter,
    #[serde(default)]
    counters: Counters,
    #[serde(default)]
    is_known: bool,
    #[serde(default)]
    slow: Option<Shape>,
    #[serde(default)]
    account: Option<u32>,
    #[serde(default)]
    prefixes: Vec<Prefix>,
    wanted: Option<(Shape, Limits)>,
    /// Acct-Terminate-Cause, and when.
    #[serde(default)]
    ended: Option<(u32, u64)>,
}

impl From<&Session> for Stored {
    fn from(session: &Session) -> Self {
        let (slot, base) = match session.meter {
            Meter::Kernel { slot, base, .. } => (Some(slot.0), base),
            Meter::Nas(_) => (None, Counters::default()),
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
            acct_username: session.acct_username.clone(),
            place: session.place.clone(),
            nas_meter: match session.meter {
                Meter::Kernel { .. } => NasMeter::default(),
                Meter::Nas(meter) => meter,
            },
            counters: session.counters,
            is_known: session.is_known,
            slow: Some(session.slow),
            account: session.account,
            prefixes: session.prefixes.clone(),
            wanted: Some(session.wanted),
            ended: None,
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
                None => Meter::Nas(stored.nas_meter),
            },
            shape: stored.shape,
            slow: stored.slow.unwrap_or(stored.shape),
            class: stored.class,
            account: stored.account,
            prefixes: stored.prefixes,
            started_at_ms: stored.started_at_ms,
            revision: stored.revision,
            limits: stored.limits,
            counters: match stored.slot {
                // What the kernel has counted since is read from the kernel.
                Some(_) => stored.reported,
                None => stored.reported.max(stored.counters),
            },
            active_at_ms: stored.started_at_ms,
            reported: stored.reported,
            acct_username: stored.acct_username,
            place: stored.place,
            is_known: stored.is_known || stored.subscriber.is_some(),
            wanted: stored.wanted.unwrap_or((stored.shape, stored.limits)),
            heard_at_ms: stored.started_at_ms,
            event_at_ms: stored.started_at_ms,
            asked_at_ms: None,
            unwanted: None,
            ended_at_ms: None,
            kept: stored.counters,
        }
    }
}
