//! What is in the maps: the contract between the programs and the edge (pure).
//!
//! | map | key | value | written by |
//! |---|---|---|---|
//! | [`CONFIG`] | 0 | [`Config`] | edge |
//! | [`DEVICES`] | [`Device`] | slot, `u32` | edge |
//! | [`NEAR`] | [`Place`](near::Place) of a device | [`Bucket`](near::Bucket) | edge |
//! | [`ADDRESSES`] | [`Address`], of an IPv6 network of 64 bits the first | slot, `u32` | edge |
//! | [`PREFIXES`] | prefix of an [`Address`] | slot, `u32` | edge |
//! | [`SESSIONS`] | slot | [`Session`] | edge |
//! | [`STATES`] | slot | [`State`] | programs; the edge zeroes a slot that nothing points to |
//! | [`COUNTS`] | slot times [`SHARDS`], and a CPU | [`Counts`] | programs; the edge as it does states |
//! | [`ACCOUNTS`] | number | [`Account`] | edge |
//! | [`ACCOUNT_STATES`] | number | [`AccountState`] | programs; the edge sets it before it is used |
//! | [`GARDEN`] | prefix of an [`Address`] | [`Plot`] | edge |
//! | [`FLOWS`] | slot, direction and flow | [`Flow`](crate::clock::Flow) | programs |
//! | [`REDIRECTS`] | [`Visitor`] | the [`Address`] it wanted | programs |
//! | [`STRANGERS`] | device, spread over [`STRANGERS_MAX`] | [`Stranger`] | programs |
//! | [`REFUSALS`] | 0 | a clock per CPU | programs |
//! | [`EVENTS`] | | [`Event`], [`DnsAnswer`] | programs |
//! | [`VERDICTS`] | [`Reason`](crate::verdict::Reason) | packets, `u64` per CPU | programs |
//! | [`HOST`] | 0 | [`Host`] | edge |
//!
//! Configuration, near devices, sessions, accounts, their states and counts are `BPF_F_MMAPABLE`:
//! the edge reads and writes them as words of 64 bits, without system calls.
//!
//! Account 0 is the site: everybody's.

mod account;
mod address;
mod config;
mod event;
pub mod near;
mod session;
mod state;
pub mod v1;

pub use account::{Account, AccountState};
pub use address::Address;
pub use config::{Config, Host, Plot, Stranger, Visitor};
pub use event::{DNS_BYTES_MAX, DnsAnswer, Event, EventKind};
pub use session::{Binding, Class, Limit, Session};
pub use state::{Counts, Lane, Passed, Shared, State};

/// Part of the pins' path: programs and edges of different layouts never share a map.
pub const LAYOUT: u32 = 2;

pub const CONFIG: &str = "CONFIG";
pub const DEVICES: &str = "DEVICES";
pub const NEAR: &str = "NEAR";
pub const ADDRESSES: &str = "ADDRESSES";
pub const PREFIXES: &str = "PREFIXES";
pub const SESSIONS: &str = "SESSIONS";
pub const STATES: &str = "STATES";
pub const COUNTS: &str = "COUNTS";
pub const ACCOUNTS: &str = "ACCOUNTS";
pub const ACCOUNT_STATES: &str = "ACCOUNT_STATES";
pub const GARDEN: &str = "GARDEN";
pub const FLOWS: &str = "FLOWS";
pub const REDIRECTS: &str = "REDIRECTS";
pub const STRANGERS: &str = "STRANGERS";
pub const REFUSALS: &str = "REFUSALS";
pub const EVENTS: &str = "EVENTS";
pub const VERDICTS: &str = "VERDICTS";
pub const HOST: &str = "HOST";

/// What the programs share with their successors.
pub const MAPS: [&str; 18] = [
    CONFIG,
    DEVICES,
    NEAR,
    ADDRESSES,
    PREFIXES,
    SESSIONS,
    STATES,
    COUNTS,
    ACCOUNTS,
    ACCOUNT_STATES,
    GARDEN,
    FLOWS,
    REDIRECTS,
    STRANGERS,
    REFUSALS,
    EVENTS,
    VERDICTS,
    HOST,
];

/// A constant of the programs that is set when they are loaded: a
/// [`Muscle`](crate::clock::Muscle).
pub const MUSCLE: &str = "MUSCLE";

/// Another: not zero where links carry IP and nothing around it.
pub const BARE: &str = "BARE";

/// Nanoseconds between two of the kernel's ticks.
pub const TICK: &str = "TICK";

/// How many [`COUNTS`] each slot has: one for each CPU, and the last for the edge and for CPUs that
/// came later.
pub const SHARDS: &str = "SHARDS";

/// Devices without a session share the clocks of so many.
pub const STRANGERS_MAX: u32 = 4_096;

/// The site's number among accounts.
pub const SITE: u32 = 0;

/// Which way a packet goes, seen from the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Down,
    Up,
}

/// A device's MAC address in the low six bytes, first octet lowest. Zero: the link has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Device(pub u64);

impl Device {
    pub const NONE: Self = Self(0);

    pub const fn from_mac(mac: [u8; 6]) -> Self {
        Self(u64::from_le_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], 0, 0]))
    }

    pub const fn mac(self) -> [u8; 6] {
        let octets = self.0.to_le_bytes();
        [octets[0], octets[1], octets[2], octets[3], octets[4], octets[5]]
    }

    /// Multicast or broadcast.
    pub const fn is_group(self) -> bool {
        self.0 & 1 != 0
    }
}

/// Two fields of 32 bits as they lie in memory.
const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

const fn halves(word: u64) -> (u32, u32) {
    ((word & 0xffff_ffff) as u32, (word >> 32) as u32)
}

// The map ABI. If one of these fails, bump `LAYOUT`, and say in `v1`'s like what was before.
const _: () = assert!(cfg!(target_endian = "little"));
const _: () = assert!(size_of::<Device>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_its_address() {
        assert_eq!(Device::from_mac([2, 0, 0, 0, 0xab, 1]).mac(), [2, 0, 0, 0, 0xab, 1]);
    }

    #[test]
    fn broadcast_and_multicast_are_groups() {
        assert!(Device::from_mac([0xff; 6]).is_group());
        assert!(Device::from_mac([0x33, 0x33, 0, 0, 0, 1]).is_group());
        assert!(!Device::from_mac([2, 0, 0, 0, 0, 1]).is_group());
    }
}
