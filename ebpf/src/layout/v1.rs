//! The maps as they were in layout 1, for edges that take its sessions over (pure). Frozen.

use super::{Limit, halves};

pub const LAYOUT: u32 = 1;

pub const DEVICES: &str = "DEVICES";
pub const SESSIONS: &str = "SESSIONS";
pub const STATES: &str = "STATES";
pub const HOST: &str = "HOST";

pub const SESSION_WORDS: usize = 8;
pub const STATE_WORDS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: [u64; 2],
    pub device: u64,
    pub class: u32,
    pub down: Limit,
    pub up: Limit,
}

impl Session {
    pub const fn from_words(words: [u64; SESSION_WORDS]) -> Self {
        let [high, low, device, class, a, b, c, d] = words;
        let (class, _) = halves(class);
        Self {
            id: [high, low],
            device,
            class,
            down: Limit::from_words([a, b]),
            up: Limit::from_words([c, d]),
        }
    }
}

/// Where a lane's counters were, in words: passed bytes and packets, dropped bytes and packets.
pub const LANE_COUNTERS: usize = 1;
pub const LANE_WORDS: usize = 8;
