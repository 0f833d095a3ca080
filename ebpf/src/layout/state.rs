//! What the programs say about a session (pure).

use crate::{clock::Codel, rtt};

/// What the programs say about a slot, beside its [`Counts`]. Five cache lines, of which a packet
/// touches one or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    pub down: Lane,
    pub up: Lane,
    pub shared: Shared,
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
    pub codel: Codel,
    /// The clock of what all sparse flows take.
    pub sparse_at: u64,
    /// The clock at the session's fair part of the site.
    pub fair_at: u64,
    /// Octets of IP, and packets on the wire.
    pub dropped_bytes: u64,
    pub dropped_packets: u64,
}

/// Of both directions, and seldom written: packets up and down may be on different CPUs, and a line
/// that either writes for each packet would go to and fro between them. One cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Shared {
    /// `CLOCK_MONOTONIC` of about the last packet, if there is an idle time-out.
    pub seen_at: u64,
    /// [`EventKind`](super::EventKind)s that have happened, as bits; the edge takes them back.
    pub events: u64,
    /// Segments that went down, or up, and are waited for.
    pub sample_down: rtt::Sample,
    pub sample_up: rtt::Sample,
    pub reserved: [u64; 2],
}

/// What one CPU has let through of a slot: octets of IP, and packets on the wire. One cache line,
/// which no other CPU writes, so that nothing has to be locked. The sum over all of them is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Counts {
    pub passed: Passed,
    /// What nobody is charged for.
    pub free: Passed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Passed {
    pub down_bytes: u64,
    pub down_packets: u64,
    pub up_bytes: u64,
    pub up_packets: u64,
}

impl State {
    pub const WORDS: usize = size_of::<Self>() / 8;
    // In words from the beginning.
    pub const DOWN: usize = 0;
    pub const UP: usize = size_of::<Lane>() / 8;
    pub const SEEN_AT: usize = 2 * Self::UP;
    pub const EVENTS: usize = Self::SEEN_AT + 1;
    pub const RTT_DOWN: usize = 3 * Self::UP;
    pub const RTT_UP: usize = 4 * Self::UP;
}

impl Lane {
    // In words from the beginning of the lane.
    pub const DROPPED_BYTES: usize = 6;
    pub const DROPPED_PACKETS: usize = 7;
}

impl Counts {
    pub const WORDS: usize = size_of::<Self>() / 8;
    // In words: of down; up follows.
    pub const PASSED: usize = 0;
    pub const FREE: usize = 4;
    pub const UP: usize = 2;
}

const _: () = assert!(size_of::<Lane>() == 64);
const _: () = assert!(size_of::<Shared>() == 64);
const _: () = assert!(size_of::<State>() == 320);
const _: () = assert!(core::mem::offset_of!(State, up) == State::UP * 8);
const _: () = assert!(core::mem::offset_of!(State, shared) == State::SEEN_AT * 8);
const _: () =
    assert!(core::mem::offset_of!(Shared, events) == (State::EVENTS - State::SEEN_AT) * 8);
const _: () = assert!(core::mem::offset_of!(State, rtt_down) == State::RTT_DOWN * 8);
const _: () = assert!(core::mem::offset_of!(State, rtt_up) == State::RTT_UP * 8);
const _: () = assert!(core::mem::offset_of!(Lane, dropped_bytes) == Lane::DROPPED_BYTES * 8);
const _: () = assert!(core::mem::offset_of!(Lane, dropped_packets) == Lane::DROPPED_PACKETS * 8);
const _: () = assert!(size_of::<Counts>() == 64);
const _: () = assert!(core::mem::offset_of!(Counts, free) == Counts::FREE * 8);
const _: () = assert!(core::mem::offset_of!(Passed, up_bytes) == Counts::UP * 8);
