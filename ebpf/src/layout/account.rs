//! What several sessions share: a subscriber's rate and quota, the site's uplink (pure).

use super::{Limit, halves, pair};

/// What the edge says about an account. Two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Account {
    pub down: Limit,
    pub up: Limit,
    /// What may be charged in all; [`Account::WITHOUT_END`] for no quota.
    pub quota: u64,
    /// From here on the slow rates count; [`Account::WITHOUT_END`] for never.
    pub step: u64,
    /// A [`Class`](super::Class): what a session is beyond the quota.
    pub beyond: u32,
    pub reserved: u32,
    /// Of the site only: its rates times the sessions that are busy, so that a session that stays
    /// below its part does not wait for those that do not. Nanoseconds per byte.
    pub fair_down: u64,
    pub slow_down: Limit,
    pub slow_up: Limit,
    pub fair_up: u64,
    pub reserved_too: [u64; 3],
}

/// What the programs say about an account. Two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct AccountState {
    /// Octets of IP that were charged, down and up.
    pub charged: u64,
    /// [`EventKind`](super::EventKind)s that have happened, as bits; the edge takes them back.
    pub events: u64,
    /// Virtual clocks.
    pub down_clear_at: u64,
    pub up_clear_at: u64,
    pub reserved: [u64; 4],
}

impl Account {
    pub const WORDS: usize = size_of::<Self>() / 8;
    pub const WITHOUT_END: u64 = u64::MAX;
    /// In words.
    pub const FAIR_DOWN: usize = 7;
    pub const FAIR_UP: usize = 12;

    /// Whether its rates can concern a packet.
    #[inline(always)]
    pub const fn has_rate(&self, is_up: bool) -> bool {
        let limit = if is_up { self.up } else { self.down };
        limit.ns_per_byte != 0 || self.step != Self::WITHOUT_END
    }

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn words(&self) -> [u64; Self::WORDS] {
        let ([a, b], [c, d]) = (self.down.words(), self.up.words());
        let ([e, f], [g, h]) = (self.slow_down.words(), self.slow_up.words());
        let [x, y, z] = self.reserved_too;
        [
            a,
            b,
            c,
            d,
            self.quota,
            self.step,
            pair(self.beyond, self.reserved),
            self.fair_down,
            e,
            f,
            g,
            h,
            self.fair_up,
            x,
            y,
            z,
        ]
    }

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [a, b, c, d, quota, step, beyond, fair_down, e, f, g, h, fair_up, x, y, z] = words;
        let (beyond, reserved) = halves(beyond);
        Self {
            down: Limit::from_words([a, b]),
            up: Limit::from_words([c, d]),
            quota,
            step,
            beyond,
            reserved,
            fair_down,
            slow_down: Limit::from_words([e, f]),
            slow_up: Limit::from_words([g, h]),
            fair_up,
            reserved_too: [x, y, z],
        }
    }
}

impl AccountState {
    pub const WORDS: usize = size_of::<Self>() / 8;
    // In words.
    pub const CHARGED: usize = 0;
    pub const EVENTS: usize = 1;
    pub const DOWN_CLEAR_AT: usize = 2;
    pub const UP_CLEAR_AT: usize = 3;
}

const _: () = assert!(size_of::<Account>() == 128);
const _: () = assert!(core::mem::offset_of!(Account, fair_down) == Account::FAIR_DOWN * 8);
const _: () = assert!(core::mem::offset_of!(Account, fair_up) == Account::FAIR_UP * 8);
const _: () = assert!(size_of::<AccountState>() == 64);
const _: () = assert!(core::mem::offset_of!(AccountState, charged) == AccountState::CHARGED * 8);
const _: () = assert!(core::mem::offset_of!(AccountState, events) == AccountState::EVENTS * 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_lie_where_the_fields_do() {
        let account = Account {
            quota: 4,
            step: 5,
            beyond: 6,
            fair_down: 7,
            fair_up: 12,
            slow_down: Limit { ns_per_byte: 8, priority: 9, kbps: 0 },
            ..Account::default()
        };
        let words = account.words();
        assert_eq!(words[4..10], [4, 5, 6, 7, 8, 9]);
        assert_eq!(words[Account::FAIR_UP], 12);
        assert_eq!(Account::from_words(words), account);
    }
}
