//! What the programs say about a session (pure).

use crate::{clock::Codel, rtt};

/// What the programs say about a slot. Six cache lines, of which a packet touches one or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    pub down: Lane,
    pub up: Lane,
    pub shared: Shared,
    pub rest: Rest,
    /// Round-trip times to the subscriber: how many fell into each [`rtt::bucket`]. They go round.
    pub rtt_down: [u16; rtt::BUCKETS],
    /// And to the internet.
    pub rtt_up: [u16; rtt::BUCKETS],
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
    pub codel: Codel,
    pub sample: rtt::Sample,
}

/// Of both directions, where a session has such limits. One cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Shared {
    /// `CLOCK_MONOTONIC` of about the last packet, if there is an idle time-out.
    pub seen_at: u64,
    /// [`EventKind`](super::EventKind)s that have happened, as bits; the edge takes them back.
    pub events: u64,
    /// Clocks of what all sparse flows take.
    pub sparse_down_at: u64,
    pub sparse_up_at: u64,
    /// Clocks at the session's fair part of the site.
    pub fair_down_at: u64,
    pub fair_up_at: u64,
    pub reserved: [u64; 2],
}

/// What is not simply passed. One cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Rest {
    pub down_dropped_bytes: u64,
    pub down_dropped_packets: u64,
    pub down_free_bytes: u64,
    pub down_free_packets: u64,
    pub up_dropped_bytes: u64,
    pub up_dropped_packets: u64,
    pub up_free_bytes: u64,
    pub up_free_packets: u64,
}

impl State {
    pub const WORDS: usize = size_of::<Self>() / 8;
    // In words from the beginning.
    pub const DOWN: usize = 0;
    pub const UP: usize = size_of::<Lane>() / 8;
    pub const SEEN_AT: usize = 2 * Self::UP;
    pub const EVENTS: usize = Self::SEEN_AT + 1;
    pub const REST: usize = 3 * Self::UP;
    pub const RTT_DOWN: usize = 4 * Self::UP;
    pub const RTT_UP: usize = 5 * Self::UP;
}

impl Lane {
    // In words from the beginning of the lane.
    pub const PASSED_BYTES: usize = 1;
    pub const PASSED_PACKETS: usize = 2;
}

impl Rest {
    // In words: of down; up follows.
    pub const DROPPED_BYTES: usize = 0;
    pub const DROPPED_PACKETS: usize = 1;
    pub const FREE_BYTES: usize = 2;
    pub const FREE_PACKETS: usize = 3;
    pub const UP: usize = 4;
}

const _: () = assert!(size_of::<Lane>() == 64);
const _: () = assert!(size_of::<Shared>() == 64);
const _: () = assert!(size_of::<Rest>() == 64);
const _: () = assert!(size_of::<State>() == 384);
const _: () = assert!(core::mem::offset_of!(State, up) == State::UP * 8);
const _: () = assert!(core::mem::offset_of!(State, shared) == State::SEEN_AT * 8);
const _: () =
    assert!(core::mem::offset_of!(Shared, events) == (State::EVENTS - State::SEEN_AT) * 8);
const _: () = assert!(core::mem::offset_of!(State, rest) == State::REST * 8);
const _: () = assert!(core::mem::offset_of!(State, rtt_down) == State::RTT_DOWN * 8);
const _: () = assert!(core::mem::offset_of!(State, rtt_up) == State::RTT_UP * 8);
const _: () = assert!(core::mem::offset_of!(Lane, passed_bytes) == Lane::PASSED_BYTES * 8);
const _: () = assert!(core::mem::offset_of!(Lane, passed_packets) == Lane::PASSED_PACKETS * 8);
const _: () = assert!(core::mem::offset_of!(Rest, up_dropped_bytes) == Rest::UP * 8);
const _: () = assert!(core::mem::offset_of!(Rest, down_free_bytes) == Rest::FREE_BYTES * 8);
