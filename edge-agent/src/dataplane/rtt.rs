//! Round-trip times of a session, as the programs have counted them (pure).

use ebpf::rtt::{self, BUCKETS};
use shared::wire::latest::live::Percentiles;

/// How many times fell into each bucket, each way; the kernel's counters go round at 65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    pub subscriber: [u16; BUCKETS],
    pub internet: [u16; BUCKETS],
}

impl Rtt {
    /// From the words of both histograms.
    pub fn from_words(subscriber: &[u64], internet: &[u64]) -> Self {
        Self { subscriber: unpack(subscriber), internet: unpack(internet) }
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let minus = |now: &[u16; BUCKETS], then: &[u16; BUCKETS]| {
            std::array::from_fn(|at| {
                let of = |counts: &[u16; BUCKETS]| counts.get(at).copied().unwrap_or_default();
                of(now).wrapping_sub(of(then))
            })
        };
        Self {
            subscriber: minus(&self.subscriber, &before.subscriber),
            internet: minus(&self.internet, &before.internet),
        }
    }

    pub fn to_subscriber(&self) -> Option<Percentiles> {
        percentiles(&self.subscriber.map(u64::from))
    }

    pub fn to_internet(&self) -> Option<Percentiles> {
        percentiles(&self.internet.map(u64::from))
    }
}

/// Of many sessions together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    subscriber: [u64; BUCKETS],
    internet: [u64; BUCKETS],
}

impl Times {
    pub fn add(&mut self, rtt: &Rtt) {
        let more = self.subscriber.iter_mut().zip(rtt.subscriber);
        for (all, one) in more.chain(self.internet.iter_mut().zip(rtt.internet)) {
            *all += u64::from(one);
        }
    }

    pub fn subscriber(&self) -> Option<Percentiles> {
        percentiles(&self.subscriber)
    }

    pub fn internet(&self) -> Option<Percentiles> {
        percentiles(&self.internet)
    }
}

fn percentiles(counts: &[u64; BUCKETS]) -> Option<Percentiles> {
    let at = |percent| rtt::percentile(counts, percent).map(|ns| ns / 1_000);
    Some(Percentiles { p50_us: at(50)?, p95_us: at(95)? })
}

fn unpack(words: &[u64]) -> [u16; BUCKETS] {
    let mut counts = [0; BUCKETS];
    let parts = words.iter().flat_map(|word| word.to_le_bytes());
    let parts: Vec<u8> = parts.collect();
    for (count, bytes) in counts.iter_mut().zip(parts.chunks_exact(2)) {
        *count = bytes.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_does_not_count_again_also_when_it_goes_round() {
        let mut words = [0_u64; BUCKETS / 4];
        words[2] = 7 << 16;
        let before = Rtt::from_words(&words, &[0; BUCKETS / 4]);
        assert_eq!(before.subscriber[9], 7);
        words[2] = 3 << 16;
        let now = Rtt::from_words(&words, &[0; BUCKETS / 4]);
        let since = now.since(&before);
        assert_eq!(since.subscriber[9], u16::MAX - 3);
        assert_eq!(since.to_internet(), None);
        let times = since.to_subscriber().unwrap();
        assert!(times.p50_us >= rtt::begin(9) / 1_000 && times.p95_us <= rtt::begin(10) / 1_000);
    }
}
