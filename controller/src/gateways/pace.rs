//! How fast a provider's clock runs. Pure.

use std::{num::NonZeroU32, time::Duration};

use jiff::SignedDuration;

/// How many times as fast as the world: 1, but with `kennet-paysim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(NonZeroU32);

impl Default for Pace {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Pace {
    pub const fn new(times: NonZeroU32) -> Self {
        Self(times)
    }

    pub fn span(self, seconds: i64) -> SignedDuration {
        SignedDuration::from_micros(seconds.saturating_mul(1_000_000) / i64::from(self.0.get()))
    }

    pub fn wait(self, wait: Duration) -> Duration {
        wait / self.0.get()
    }
}
