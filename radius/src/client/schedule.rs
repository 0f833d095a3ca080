//! When to send again: RFC 5080 §2.2.1.

use std::time::{Duration, Instant};

/// When a request is sent again, and when it is given up: the words of RFC 5080 §2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// IRT: after this the request is sent for the second time. The wait then doubles.
    pub initial: Duration,
    /// MRT: the longest wait.
    pub longest: Option<Duration>,
    /// MRC: how often a request is sent at most.
    pub sends: Option<u32>,
    /// MRD: how long it is tried.
    pub duration: Option<Duration>,
    /// What is in the packet changes with time, as an Acct-Delay-Time does: it is written again
    /// for every retransmission, which makes it another request with another identifier
    /// (RFC 2866 §5.2, RFC 5176 §2.3).
    pub changes: bool,
}

impl Default for Schedule {
    /// IRT 2 s, MRT 16 s, MRC 5, MRD 30 s: what RFC 5080 §2.2.1 recommends.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(2),
            longest: Some(Duration::from_secs(16)),
            sends: Some(5),
            duration: Some(Duration::from_secs(30)),
            changes: false,
        }
    }
}

impl Schedule {
    /// RT of the first wait: `IRT + RAND * IRT`.
    pub(super) fn first(&self, random: u32) -> Duration {
        shaken(self.initial, self.initial, random)
    }

    /// RT of the next: `2 * RTprev + RAND * RTprev`, at most `MRT + RAND * MRT`.
    pub(super) fn next(&self, before: Duration, random: u32) -> Duration {
        let wait = shaken(before.saturating_mul(2), before, random);
        match self.longest {
            Some(longest) if wait > longest => shaken(longest, longest, random),
            _ => wait,
        }
    }

    pub(super) fn ends(&self, began: Instant) -> Option<Instant> {
        began.checked_add(self.duration?)
    }
}

/// `base + RAND * of`, where RAND is between -0.1 and 0.1.
fn shaken(base: Duration, of: Duration, random: u32) -> Duration {
    let tenth = of / 10;
    let steps = tenth.saturating_mul(2) / STEPS;
    base.saturating_sub(tenth).saturating_add(steps.saturating_mul(random % (STEPS + 1)))
}

/// How finely a random number moves a wait.
const STEPS: u32 = 1_000;
