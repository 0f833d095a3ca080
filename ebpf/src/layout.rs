//! What is in the maps: the contract between the programs and the edge (pure).
//!
//! | map | key | value | written by |
//! |---|---|---|---|
//! | [`DEVICES`] | [`Device`] | slot, `u32` | edge |
//! | [`SESSIONS`] | slot | [`Session`] | edge |
//! | [`STATES`] | slot | [`State`] | programs; the edge zeroes a slot that no device points to |
//! | [`VERDICTS`] | [`Reason`](crate::verdict::Reason) | packets, `u64` per CPU | programs |
//! | [`HOST`] | 0 | [`Host`] | edge |
//!
//! Sessions and states are `BPF_F_MMAPABLE`: the edge reads and writes them as words of 64 bits,
//! without system calls.

/// Part of the pins' path: programs and edges of different layouts never share a map.
pub const LAYOUT: u32 = 1;

pub const DEVICES: &str = "DEVICES";
pub const SESSIONS: &str = "SESSIONS";
pub const STATES: &str = "STATES";
pub const VERDICTS: &str = "VERDICTS";
pub const HOST: &str = "HOST";

/// Which way a packet goes, seen from the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Down,
    Up,
}

/// A device's MAC address in the low six bytes, first octet lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Device(pub u64);

impl Device {
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

/// What the edge says about a slot. One cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Session {
    /// The session's UUID; zero: the slot was never used.
    pub id: [u64; 2],
    /// [`Device`] of the session, also after it was taken out of [`DEVICES`].
    pub device: u64,
    /// A [`Class`].
    pub class: u32,
    /// No hidden padding.
    pub reserved: u32,
    pub down: Limit,
    pub up: Limit,
}

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Class(pub u32);

impl Class {
    pub const ACTIVE: Self = Self(0);
    pub const BLOCKED: Self = Self(1);
}

/// A rate limit in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// [`clock::ns_per_byte`](crate::clock::ns_per_byte); zero: unlimited.
    pub ns_per_byte: u64,
    /// Goes into `skb->priority`: the HTB class that delays the packet.
    pub priority: u32,
    /// What was asked for; the programs do not read it.
    pub kbps: u32,
}

/// What the programs say about a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    pub down: Lane,
    pub up: Lane,
}

/// One direction of a session. One cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Lane {
    /// When everything that was let through has left at the session's rate: the virtual clock.
    pub clear_at: u64,
    /// Octets of IP, and packets on the wire.
    pub passed_bytes: u64,
    pub passed_packets: u64,
    pub dropped_bytes: u64,
    pub dropped_packets: u64,
    pub codel: crate::clock::Codel,
}

/// What the edge must remember about this host for as long as the pins are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Host {
    /// `net.ipv4.ip_forward_update_priority` as it was found, plus one; zero: not touched.
    pub forward_priority: u64,
}

impl Session {
    pub const WORDS: usize = size_of::<Self>() / 8;
    pub const ID: usize = 0;

    pub const fn words(&self) -> [u64; Self::WORDS] {
        let [high, low] = self.id;
        [
            high,
            low,
            self.device,
            pair(self.class, self.reserved),
            self.down.ns_per_byte,
            pair(self.down.priority, self.down.kbps),
            self.up.ns_per_byte,
            pair(self.up.priority, self.up.kbps),
        ]
    }

    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [high, low, device, class, down, down_rest, up, up_rest] = words;
        let (class, reserved) = halves(class);
        Self {
            id: [high, low],
            device,
            class,
            reserved,
            down: Limit::from_words(down, down_rest),
            up: Limit::from_words(up, up_rest),
        }
    }
}

impl Limit {
    const fn from_words(ns_per_byte: u64, rest: u64) -> Self {
        let (priority, kbps) = halves(rest);
        Self { ns_per_byte, priority, kbps }
    }
}

impl State {
    pub const WORDS: usize = size_of::<Self>() / 8;
    /// Where the words of a lane begin.
    pub const DOWN: usize = 0;
    pub const UP: usize = size_of::<Lane>() / 8;
}

impl Lane {
    // In words from the beginning of the lane.
    pub const PASSED_BYTES: usize = 1;
    pub const PASSED_PACKETS: usize = 2;
    pub const DROPPED_BYTES: usize = 3;
    pub const DROPPED_PACKETS: usize = 4;
}

/// Two fields of 32 bits as they lie in memory.
const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

const fn halves(word: u64) -> (u32, u32) {
    ((word & 0xffff_ffff) as u32, (word >> 32) as u32)
}

// The map ABI. If one of these fails, bump `LAYOUT`.
const _: () = assert!(cfg!(target_endian = "little"));
const _: () = assert!(size_of::<Device>() == 8);
const _: () = assert!(size_of::<Session>() == 64);
const _: () = assert!(size_of::<Limit>() == 16);
const _: () = assert!(core::mem::offset_of!(Session, device) == 16);
const _: () = assert!(core::mem::offset_of!(Session, class) == 24);
const _: () = assert!(core::mem::offset_of!(Session, down) == 32);
const _: () = assert!(core::mem::offset_of!(Session, up) == 48);
const _: () = assert!(size_of::<Lane>() == 64);
const _: () = assert!(size_of::<State>() == 128);
const _: () = assert!(core::mem::offset_of!(State, up) == State::UP * 8);
const _: () = assert!(core::mem::offset_of!(Lane, passed_bytes) == Lane::PASSED_BYTES * 8);
const _: () = assert!(core::mem::offset_of!(Lane, passed_packets) == Lane::PASSED_PACKETS * 8);
const _: () = assert!(core::mem::offset_of!(Lane, dropped_bytes) == Lane::DROPPED_BYTES * 8);
const _: () = assert!(core::mem::offset_of!(Lane, dropped_packets) == Lane::DROPPED_PACKETS * 8);
const _: () = assert!(size_of::<Host>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_through_words_as_it_lies_in_memory() {
        let session = Session {
            id: [1, 2],
            device: Device::from_mac([2, 0, 0, 0, 0xab, 1]).0,
            class: Class::BLOCKED.0,
            reserved: 0,
            down: Limit { ns_per_byte: 3, priority: 4, kbps: 5 },
            up: Limit { ns_per_byte: 6, priority: 7, kbps: 8 },
        };
        assert_eq!(Session::from_words(session.words()), session);
        assert_eq!(Device(session.device).mac(), [2, 0, 0, 0, 0xab, 1]);
    }

    #[test]
    fn broadcast_and_multicast_are_groups() {
        assert!(Device::from_mac([0xff; 6]).is_group());
        assert!(Device::from_mac([0x33, 0x33, 0, 0, 0, 1]).is_group());
        assert!(!Device::from_mac([2, 0, 0, 0, 0, 1]).is_group());
    }
}
