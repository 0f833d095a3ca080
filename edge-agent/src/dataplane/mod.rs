//! What meters and shapes: the kernel, or a stand-in where there is none.
//!
//! A session lives in a [`Slot`]. Its counters stay readable after [`Dataplane::remove`], until
//! the slot is installed for another session: a crash between "taken out of the kernel" and
//! "written to the journal" loses nothing.

use std::{error::Error, path::PathBuf};

use shared::{
    id::SessionId,
    net::{Mac, Prefix},
    octets::Counters,
    rate::{Kbps, Shape},
    wire::latest::desired::Class,
};

mod attach;
pub mod bpf;
pub mod garden;
mod mapped;
pub mod memory;
mod muscle;
pub mod neighbour;
mod netlink;
mod pins;
pub mod rtt;
mod sysctl;
mod tc;
pub mod watch;

pub use garden::Garden;
pub use rtt::Rtt;

/// Index of a session in the kernel's arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Index of an account: what several sessions share. The first is the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(pub u32);

impl AccountNumber {
    pub const SITE: Self = Self(ebpf::layout::SITE);
}

/// What is installed for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub slot: Slot,
    pub session: SessionId,
    /// Whose packets are the session's; without one, those of the `prefixes` are.
    pub mac: Option<Mac>,
    /// What it is found by where there is no device, and what it may send from.
    pub prefixes: Vec<Prefix>,
    /// Of each kind of address that is among the `prefixes`, it may send from these only.
    pub is_bound: bool,
    pub shape: Shape,
    /// In class throttled.
    pub slow: Shape,
    pub class: Class,
    pub account: Option<AccountNumber>,
    /// Without a packet for so long, nothing passes any more.
    pub idle_ms: Option<u32>,
    /// From then on nothing passes, in nanoseconds of `CLOCK_MONOTONIC`.
    pub until_ns: Option<u64>,
}

impl Entry {
    /// The session of a device, with neither limits nor an account.
    pub const fn of_device(slot: Slot, session: SessionId, mac: Mac, shape: Shape) -> Self {
        Self {
            slot,
            session,
            mac: Some(mac),
            prefixes: Vec::new(),
            is_bound: false,
            shape,
            slow: shape,
            class: Class::Active,
            account: None,
            idle_ms: None,
            until_ns: None,
        }
    }

    /// The rates that it has now.
    pub fn rates(&self) -> [Kbps; 2] {
        let shape = if self.class == Class::Throttled { self.slow } else { self.shape };
        [shape.down_kbps, shape.up_kbps]
    }
}

/// What is installed for an account. Its charges go on as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub number: AccountNumber,
    /// Whose it is: stays the same, or what was charged is forgotten.
    pub id: u128,
    /// Of all its sessions together.
    pub shape: Option<Shape>,
    /// From `step` on.
    pub slow: Option<Shape>,
    /// Charged octets from which on `slow` counts.
    pub step: Option<u64>,
    /// Charged octets at which no more passes.
    pub quota: Option<u64>,
    /// What its sessions are then: blocked or in the garden.
    pub beyond: Class,
}

/// What a session's counters say, with what was refused counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Passed, and charged.
    pub passed: Counters,
    /// Refused: over the rate, or not allowed. Not in `passed`.
    pub dropped: Counters,
    /// Passed and not charged. Not in `passed`.
    pub free: Counters,
    /// What has happened since the edge last looked.
    pub happened: Happened,
}

/// What an account's counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Octets of IP, down and up.
    pub charged: u64,
    pub happened: Happened,
}

/// What the programs have found, as the bits of `ebpf::layout::EventKind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened(pub u64);

impl Happened {
    const fn has(self, kind: ebpf::layout::EventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// A packet would have gone beyond the quota.
    pub const fn is_used_up(self) -> bool {
        self.has(ebpf::layout::EventKind::QUOTA)
    }

    /// A packet has gone beyond the step.
    pub const fn has_stepped(self) -> bool {
        self.has(ebpf::layout::EventKind::STEP)
    }

    pub const fn is_over_time(self) -> bool {
        self.has(ebpf::layout::EventKind::TIME)
    }

    pub const fn was_idle(self) -> bool {
        self.has(ebpf::layout::EventKind::IDLE)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    #[error("cannot {attempt}")]
    System { attempt: String, source: Box<dyn Error + Send + Sync> },
    #[error("no slot {0:?}: the data plane was set up for {1} of them")]
    NoSuchSlot(Slot, u32),
    #[error(
        "this kennet-edge was built without the kernel programs; \
         `cargo xtask setup` installs what building them needs"
    )]
    NoProgram,
    #[error("there is no interface `{name}` here; there are: {there}")]
    NoInterface { name: String, there: String },
    #[error("{0} carries neither Ethernet nor IP alone")]
    Unfit(String),
    #[error(
        "{interface} has a root queue `{kind}` of somebody else's; \
         `tc qdisc del dev {interface} root` makes room"
    )]
    Occupied { interface: String, kind: String },
    #[error("this kernel has no queue `{0}`")]
    NoQueue(&'static str),
    #[error("{wanted} sessions are more than the {max} that HTB has class ids for")]
    TooManySlots { wanted: u32, max: u32 },
    #[error(
        "{0} is not on a BPF file system, where maps outlive a process; \
         `mount -t bpf bpf /sys/fs/bpf` makes one"
    )]
    NoBpffs(PathBuf),
    #[error("the pinned maps have entries of {0} bytes: they are of another program")]
    Layout(u32),
}

/// Says what was attempted, beside the cause.
trait Within<T> {
    fn within(self, attempt: impl FnOnce() -> String) -> Result<T, DataplaneError>;
}

impl<T, E: Error + Send + Sync + 'static> Within<T> for Result<T, E> {
    fn within(self, attempt: impl FnOnce() -> String) -> Result<T, DataplaneError> {
        self.map_err(|source| DataplaneError::System {
            attempt: attempt(),
            source: Box::new(source),
        })
    }
}

pub trait Dataplane: Send {
    /// Brings accounts to this; before the sessions that have them.
    fn set_accounts(&mut self, accounts: &[Account]) -> Result<(), DataplaneError>;

    /// What was charged to these accounts, in their order; zero where an account is another's.
    fn charges(&self, accounts: &[(AccountNumber, u128)]) -> Result<Vec<Charge>, DataplaneError>;

    /// Brings the walled garden, and what else is for everybody, to this.
    fn set_garden(&mut self, garden: &Garden) -> Result<(), DataplaneError>;

    /// How many sessions move something now: of the site's rate each has its part.
    fn set_busy(&mut self, sessions: u32) -> Result<(), DataplaneError>;

    /// Round-trip times since the session began, in the order of `slots`.
    fn rtts(&self, slots: &[Slot]) -> Result<Vec<Rtt>, DataplaneError>;

    /// Brings the kernel to `entry`, whatever was in the slot. Counters start at zero when the
    /// slot held another session, and go on when it held this one. Idempotent.
    fn install(&mut self, entry: &Entry) -> Result<(), DataplaneError>;

    /// As [`install`](Self::install) for each; after a failure some of them may be in.
    fn install_all(&mut self, entries: &[Entry]) -> Result<(), DataplaneError> {
        entries.iter().try_for_each(|entry| self.install(entry))
    }

    /// Takes devices out, waits until no packet in flight can still be counted, and returns the
    /// final readings in the order of `slots`.
    fn remove(&mut self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError>;

    /// Readings of these slots now, in their order.
    fn read(&self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError>;

    /// Everything that is installed, e.g. by a process that ran before this one, removed entries
    /// included as long as their counters are there.
    fn observe(&self) -> Result<Vec<Entry>, DataplaneError>;

    /// How many slots there are; the valid ones are `0..slots()`.
    fn slots(&self) -> u32;

    /// Attaches where an interface has come back, and says which.
    fn reattach(&mut self) -> Result<Vec<String>, DataplaneError> {
        Ok(Vec::new())
    }

    /// For the state message, e.g. `shape:htb`.
    fn capabilities(&self) -> Vec<String>;

    /// Packets by verdict, for metrics: (reason, packets).
    fn verdicts(&self) -> Vec<(&'static str, u64)>;
}
