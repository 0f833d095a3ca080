//! What a NAS counts, as totals that never go back. Pure.
//!
//! RFC 2866 counters have 32 bits; Gigawords (RFC 2869 §5.1) carry the rest, and some NASes never
//! send them. What such a NAS counts goes round: a value that went down has wrapped once, unless
//! the record is an old one or the NAS has begun to count anew.

use serde::{Deserialize, Serialize};
use shared::octets::Counters;

use super::event::AcctStatus;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NasMeter {
    /// What the NAS had counted when the session began: not zero when it goes on with a session
    /// that was given up here.
    pub base: Counters,
    /// It sends Gigawords.
    wide: bool,
    down: Round,
    up: Round,
    /// Acct-Session-Time of the newest record.
    pub session_time: Option<u32>,
    /// Records after the first.
    pub interims: u32,
    /// Between the last two records: how often it reports.
    pub interval_ms: u64,
}

/// A counter of 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Round {
    last: u64,
    wraps: u32,
}

/// One record's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Gigawords joined.
    pub(super) counters: Counters,
    pub(super) has_gigawords: bool,
    pub(super) session_time: Option<u32>,
    /// What the shape lets pass in a second, down and up; `None` without a limit.
    pub(super) bytes_per_second: Option<(u64, u64)>,
}

/// An hour: a NAS that was away for longer was away, and will report as before.
const INTERVAL_MAX_MS: u64 = 60 * 60 * 1_000;

/// Half of what 32 bits hold.
const HALF: u64 = 1 << 31;

impl NasMeter {
    /// The session's totals after a record; `None` when it is an old one or says nothing.
    pub(super) fn read(&mut self, told: Told) -> Option<Counters> {
        let Told { counters, has_gigawords, session_time, bytes_per_second } = told;
        let seconds = match (session_time, self.session_time) {
            (Some(now), Some(last)) if now < last => return None,
            (Some(now), last) => Some(u64::from(now - last.unwrap_or(0))),
            (None, _) => None,
        };
        self.session_time = session_time.or(self.session_time);
        // A Stop of some NASes has its counters back at zero.
        if counters.total_bytes() == 0 && self.down.last + self.up.last > 0 {
            return None;
        }
        self.wide |= has_gigawords;
        let total = if self.wide {
            counters
        } else {
            let passes = |rate: Option<u64>| Some(rate?.saturating_mul(seconds?));
            let (down, up) = bytes_per_second.unzip();
            Counters {
                down_bytes: self.down.read(counters.down_bytes, seconds.is_some(), passes(down))?,
                up_bytes: self.up.read(counters.up_bytes, seconds.is_some(), passes(up))?,
                ..counters
            }
        };
        Some(less(total, self.base))
    }

    /// A record has come, so long after the one before.
    pub fn heard(&mut self, status: AcctStatus, after_ms: u64) {
        if status == AcctStatus::Interim {
            self.interims = self.interims.saturating_add(1);
            self.interval_ms = after_ms.min(INTERVAL_MAX_MS);
        }
    }

    /// For a session that goes on with what another one has counted so far.
    #[must_use]
    pub fn continued(mut self, counted: Counters) -> Self {
        self.base = self.base + counted;
        self
    }

    /// Is what was counted near enough to a wrap that it must not be forgotten?
    pub fn rounds(&self) -> (u64, u64) {
        let quarter = |round: Round| u64::from(round.wraps) * 4 + round.last / (HALF / 2);
        (quarter(self.down), quarter(self.up))
    }
}

impl Round {
    /// `timed`: the record is known to be newer. `passes`: what could have passed since.
    fn read(&mut self, value: u64, timed: bool, passes: Option<u64>) -> Option<u64> {
        if value < self.last && value > 0 {
            let moved = (2 * HALF).saturating_sub(self.last) + value;
            // More than half is nothing else; less is one if the line is fast enough for it, and
            // not a NAS that counts anew.
            if self.last - value > HALF || (timed && passes.is_some_and(|most| moved <= most)) {
                self.wraps += 1;
            } else {
                return Some(self.total());
            }
        } else if !timed && self.wraps > 0 && value.saturating_sub(self.last) > HALF {
            // From before the wrap, and late.
            return None;
        } else if value < self.last {
            return Some(self.total());
        }
        self.last = value;
        Some(self.total())
    }

    const fn total(self) -> u64 {
        self.wraps as u64 * 2 * HALF + self.last
    }
}

/// What is beyond `base`, never below zero.
fn less(total: Counters, base: Counters) -> Counters {
    total.max(base) - base
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(down_bytes: u64) -> Counters {
        Counters { down_bytes, ..Counters::default() }
    }

    fn told(down: u64, session_time: Option<u32>) -> Told {
        Told {
            counters: bytes(down),
            has_gigawords: false,
            session_time,
            bytes_per_second: Some((1_250_000, 1_250_000)),
        }
    }

    #[track_caller]
    fn check(steps: &[(u64, Option<u32>, Option<u64>)]) {
        let mut meter = NasMeter::default();
        for &(value, session_time, expected) in steps {
            let got = meter.read(told(value, session_time)).map(|got| got.down_bytes);
            assert_eq!(got, expected, "{value} at {session_time:?}");
        }
    }

    const G4: u64 = 1 << 32;

    #[test]
    fn a_value_that_went_down_has_wrapped_once() {
        check(&[
            (4_200_000_000, Some(60), Some(4_200_000_000)),
            (5_000, Some(120), Some(G4 + 5_000)),
            (4_294_967_295, Some(8_000), Some(2 * G4 - 1)),
            (1, Some(8_060), Some(2 * G4 + 1)),
        ]);
        // Without a session time, when it is beyond doubt.
        check(&[(4_200_000_000, None, Some(4_200_000_000)), (5_000, None, Some(G4 + 5_000))]);
        // Down by less than half, on a line on which the rest passes in that time.
        check(&[
            (3_000_000_000, Some(60), Some(3_000_000_000)),
            (1_000_000_000, Some(2_060), Some(G4 + 1_000_000_000)),
        ]);
    }

    #[test]
    fn what_only_looks_like_a_wrap_adds_nothing() {
        // It counts anew: that much cannot have passed in a minute.
        check(&[(300, Some(60), Some(300)), (200, Some(120), Some(300))]);
        check(&[(300, None, Some(300)), (200, None, Some(300)), (400, None, Some(400))]);
        // An old record comes late, from before or after a wrap.
        check(&[(300, Some(60), Some(300)), (200, Some(59), None)]);
        check(&[
            (4_200_000_000, Some(60), Some(4_200_000_000)),
            (100, Some(120), Some(G4 + 100)),
            (4_200_000_000, Some(60), None),
        ]);
        check(&[
            (4_200_000_000, None, Some(4_200_000_000)),
            (100, None, Some(G4 + 100)),
            (4_200_000_000, None, None),
            (200, None, Some(G4 + 200)),
        ]);
        // A Stop whose counters are zero.
        check(&[(4_200_000_000, Some(60), Some(4_200_000_000)), (0, Some(61), None)]);
    }

    #[test]
    fn a_nas_that_sends_gigawords_is_believed() {
        let mut meter = NasMeter::default();
        let mut wide = told(G4 * 3 + 7, Some(60));
        wide.has_gigawords = true;
        assert_eq!(meter.read(wide), Some(bytes(G4 * 3 + 7)));
        // It leaves out a zero.
        assert_eq!(meter.read(told(5, Some(120))), Some(bytes(5)));
    }

    #[test]
    fn what_was_counted_before_does_not_count_again() {
        let mut meter = NasMeter::default();
        let first = meter.read(told(500, Some(60))).unwrap();
        let mut meter = meter.continued(first);
        assert_eq!(meter.read(told(500, Some(60))), Some(bytes(0)));
        assert_eq!(meter.read(told(800, Some(600))), Some(bytes(300)));
    }

    proptest! {
        /// Whatever a NAS without Gigawords moves, up to a quarter of a round between two
        /// records, and whichever records come twice or late: the total is what passed.
        #[test]
        fn no_byte_is_lost_or_invented(
            moves in prop::collection::vec((0..HALF / 2, 0..3_usize), 1..60),
            timed: bool,
        ) {
            let mut meter = NasMeter::default();
            let (mut truth, mut best) = (0_u64, 0_u64);
            let mut sent: Vec<(u64, u32)> = Vec::new();
            for (second, (moved, again)) in (1_u32..).zip(moves) {
                truth += moved;
                sent.push((truth % G4, second));
                // The newest, then some older ones again.
                let back = if timed { again } else { 0 };
                for &(value, time) in sent.iter().rev().take(1 + back) {
                    if let Some(got) = meter.read(Told {
                        bytes_per_second: None,
                        ..told(value, timed.then_some(time))
                    }) {
                        best = best.max(got.down_bytes);
                    }
                }
                prop_assert!(best <= truth, "{best} of {truth}");
            }
            // A zero in the middle of a round says nothing, and the next record says it all.
            let last = meter.read(Told {
                bytes_per_second: None,
                ..told((truth + 1) % G4, timed.then_some(u32::MAX))
            });
            best = best.max(last.map_or(0, |last| last.down_bytes));
            prop_assert!(best == truth + 1 || (truth + 1) % G4 == 0);
        }
    }
}
