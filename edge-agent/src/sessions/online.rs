//! How long somebody was on-line, with any of their devices: each moment once. Pure.

use serde::{Deserialize, Serialize};

/// In milliseconds, by this host's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Online {
    /// Before the one that lasts.
    before: u64,
    /// Since then without a break.
    since: Option<u64>,
    /// When it was seen last: what comes after it is not known when the host was down meanwhile.
    seen: u64,
}

impl Online {
    pub(super) fn begin(&mut self, now_ms: u64) {
        self.since = self.since.or(Some(now_ms));
        self.seen = self.seen.max(now_ms);
    }

    pub(super) fn see(&mut self, now_ms: u64) {
        if self.since.is_some() {
            self.seen = self.seen.max(now_ms);
        }
    }

    /// It ends when it was seen last.
    pub(super) const fn end(&mut self) {
        self.before = self.used_ms(self.seen);
        self.since = None;
    }

    /// From here on it is counted anew.
    pub(super) fn reset(&mut self, now_ms: u64) {
        self.before = 0;
        self.since = self.since.map(|_| now_ms);
        self.seen = now_ms;
    }

    pub(super) const fn used_ms(&self, now_ms: u64) -> u64 {
        match self.since {
            Some(since) => self.before.saturating_add(now_ms.saturating_sub(since)),
            None => self.before,
        }
    }
}
