//! What a session has moved.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Cumulative since the session started. Octets of IP (layer 3): no Ethernet header, no tag.
///
/// *Down* is towards the subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub down_bytes: u64,
    pub up_bytes: u64,
    pub down_packets: u64,
    pub up_packets: u64,
}

impl Counters {
    pub const fn total_bytes(self) -> u64 {
        self.down_bytes.saturating_add(self.up_bytes)
    }

    /// The larger of each: cumulative counters never go back, whatever order they arrive in.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    fn zip(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            down_bytes: op(self.down_bytes, other.down_bytes),
            up_bytes: op(self.up_bytes, other.up_bytes),
            down_packets: op(self.down_packets, other.down_packets),
            up_packets: op(self.up_packets, other.up_packets),
        }
    }
}

impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }
}
