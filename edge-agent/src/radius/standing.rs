//! What a NAS has shown of itself, and how much it asks (pure).

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use metrics::Counter;

/// It outlives a change of the desired state.
#[derive(Debug)]
pub(super) struct Standing {
    /// It can prove its requests: it has done so.
    proves: AtomicBool,
    /// It was said that its requests prove nothing.
    said_unproved: AtomicBool,
    /// When its allowance is whole again.
    rate: Rate,
    /// Requests that were served without a proof.
    unproved: Counter,
}

impl Standing {
    pub(super) fn new(nas: &str) -> Self {
        let nas = nas.to_owned();
        Self {
            proves: AtomicBool::new(false),
            said_unproved: AtomicBool::new(false),
            rate: Rate::new(Instant::now()),
            unproved: metrics::counter!("kennet_radius_unproved_requests_total", "nas" => nas),
        }
    }

    pub(super) fn proves(&self) -> bool {
        self.proves.load(Ordering::Relaxed)
    }

    /// Was it not known before?
    pub(super) fn has_proved(&self) -> bool {
        !self.proves() && !self.proves.swap(true, Ordering::Relaxed)
    }

    /// Is it the first time?
    pub(super) fn is_unproved(&self) -> bool {
        self.unproved.increment(1);
        !self.said_unproved.load(Ordering::Relaxed)
            && !self.said_unproved.swap(true, Ordering::Relaxed)
    }

    /// May it ask one more?
    pub(super) fn may_ask(&self, now: Instant, per_second: Option<NonZeroU32>) -> bool {
        self.rate.take(now, per_second.unwrap_or(PER_SECOND))
    }
}

/// A token bucket as a clock: a request takes its share of a second from the time to come.
#[derive(Debug)]
struct Rate {
    epoch: Instant,
    /// Nanoseconds after the epoch; all tokens are there when it is past.
    whole_at: AtomicU64,
}

impl Rate {
    const fn new(epoch: Instant) -> Self {
        Self { epoch, whole_at: AtomicU64::new(0) }
    }

    fn take(&self, now: Instant, per_second: NonZeroU32) -> bool {
        let now = now.saturating_duration_since(self.epoch).as_nanos();
        // 584 years.
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let step = 1_000_000_000 / u64::from(per_second.get());
        let taken = self.whole_at.try_update(Ordering::Relaxed, Ordering::Relaxed, |whole_at| {
            let next = whole_at.max(now) + step;
            (next - now <= BURST_NANOS).then_some(next)
        });
        taken.is_ok()
    }
}

/// Many times what the largest NAS asks after a power cut, and a part of what one core answers:
/// a NAS in a loop leaves room for the others.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(20_000).expect("it is not zero");

/// What may come at once: so many seconds' worth.
const BURST: Duration = Duration::from_secs(2);

#[expect(clippy::cast_possible_truncation, reason = "it is some seconds")]
const BURST_NANOS: u64 = BURST.as_nanos() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nas_may_ask_two_seconds_worth_at_once_and_its_rate_after_that() {
        let t0 = Instant::now();
        let rate = Rate::new(t0);
        let ten = NonZeroU32::new(10).unwrap();
        let at = |millis| t0 + Duration::from_millis(millis);
        let taken = |now| (0..50).filter(|_| rate.take(now, ten)).count();
        assert_eq!(taken(at(0)), 20);
        assert!(!rate.take(at(99), ten));
        assert!(rate.take(at(100), ten));
        assert!(!rate.take(at(100), ten));
        assert_eq!(taken(at(1_100)), 10);
        assert_eq!(taken(at(60_000)), 20);
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let t0 = Instant::now();
        let rate = Rate::new(t0);
        let one = NonZeroU32::new(1).unwrap();
        for _ in 0..1_000 {
            rate.take(t0, one);
        }
        assert!(rate.take(t0 + Duration::from_secs(1), one));
    }

    #[test]
    fn a_lower_rate_counts_from_the_next_request() {
        let t0 = Instant::now();
        let rate = Rate::new(t0);
        let (fast, slow) = (NonZeroU32::new(1_000).unwrap(), NonZeroU32::new(1).unwrap());
        for _ in 0..1_500 {
            assert!(rate.take(t0, fast));
        }
        assert!(!rate.take(t0, slow));
        assert!(rate.take(t0 + Duration::from_millis(500), slow));
    }
}
