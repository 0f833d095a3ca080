//! Rates.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

/// Kilobits (1,000 bits) per second of IP in full-size packets. Never zero: who may not send at
/// all is *blocked*, which is a class and not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kbps(pub NonZeroU32);

impl Kbps {
    pub const fn new(kbps: u32) -> Option<Self> {
        match NonZeroU32::new(kbps) {
            Some(kbps) => Some(Self(kbps)),
            None => None,
        }
    }

    pub const fn get(self) -> u32 {
        self.0.get()
    }

    pub const fn bits_per_second(self) -> u64 {
        self.0.get() as u64 * 1_000
    }
}

impl fmt::Display for Kbps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kbit/s", self.0)
    }
}

/// The rate limits of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    pub down_kbps: Kbps,
    pub up_kbps: Kbps,
}
