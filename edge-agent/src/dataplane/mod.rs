//! What meters and shapes: the kernel, or a stand-in where there is none.
//!
//! A session lives in a [`Slot`]. Its counters stay readable after [`Dataplane::remove`], until
//! the slot is installed for another session: a crash between "taken out of the kernel" and
//! "written to the journal" loses nothing.

use std::{error::Error, path::PathBuf};

use shared::{
    id::SessionId, net::Mac, octets::Counters, rate::Shape, wire::latest::desired::Class,
};

pub mod bpf;
mod htb;
mod mapped;
pub mod memory;
pub mod neighbour;
mod netlink;
mod pins;
mod sysctl;

/// Index of a session in the kernel's arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What is installed for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub slot: Slot,
    pub session: SessionId,
    pub mac: Mac,
    pub shape: Shape,
    pub class: Class,
}

/// What a session's counters say, with what was refused counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Passed.
    pub passed: Counters,
    /// Refused: over the rate, or blocked. Not in `passed`.
    pub dropped: Counters,
}

#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    #[error("cannot {attempt}")]
    System { attempt: String, source: Box<dyn Error + Send + Sync> },
    #[error("no slot {0:?}: the data plane was set up for {1} sessions")]
    NoSuchSlot(Slot, u32),
    #[error(
        "this kennet-edge was built without the kernel programs; \
         `cargo xtask setup` installs what building them needs"
    )]
    NoProgram,
    #[error("there is no interface `{name}` here; there are: {there}")]
    NoInterface { name: String, there: String },
    #[error("{0} does not carry Ethernet: there are no devices to be told apart")]
    NotEthernet(String),
    #[error(
        "{interface} has a root queue `{kind}` of somebody else's; \
         `tc qdisc del dev {interface} root` makes room"
    )]
    Occupied { interface: String, kind: String },
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

    /// For the state message, e.g. `shape:htb`.
    fn capabilities(&self) -> Vec<String>;

    /// Packets by verdict, for metrics: (reason, packets).
    fn verdicts(&self) -> Vec<(&'static str, u64)>;
}
