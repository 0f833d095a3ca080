//! Round-trip times, seen in passing (pure).
//!
//! A [`Sample`] remembers the end of one TCP segment of a lane and when it went by; the first
//! segment the other way that acknowledges it ends the measurement. One at a time for each lane is
//! enough: up to one in each round trip. Segments down measure the way to the subscriber and back,
//! with the queue that they wait in here; segments up measure the internet. Nothing has to be in a
//! packet for it, no time stamps, and the handshake counts as any other.

/// A segment on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sample {
    /// Which flow, as [`flow_hash`] of its ports; meaningless while `at` is zero.
    pub flow: u32,
    /// The acknowledgement that is waited for.
    pub ack: u32,
    /// When the segment went by; zero: nothing is measured.
    pub at: u64,
}

/// The fields of TCP that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub seq: u32,
    pub ack: u32,
    /// Payload, and one for each of SYN and FIN: what an acknowledgement counts.
    pub length: u32,
    pub has_ack: bool,
}

/// What a segment means for the sample of its own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// One is measured from now on.
    Set {
        flow: u32,
        ack: u32,
    },
    Forget,
}

impl Sample {
    /// A segment of `flow` goes the way that this sample measures, at about `now`: which both are
    /// asked for only where they decide.
    #[inline(always)]
    pub fn sent(
        self,
        segment: &Segment,
        flow: impl FnOnce() -> u32,
        now: impl FnOnce() -> u64,
    ) -> Step {
        if segment.length == 0 {
            return Step::Nothing;
        }
        if self.at != 0 && now().saturating_sub(self.at) < LOST {
            // What comes a second time may be acknowledged for the first: such a time is none (Karn).
            let again = segment.seq.wrapping_sub(self.ack).cast_signed() < 0 && self.flow == flow();
            return if again { Step::Forget } else { Step::Nothing };
        }
        let ack = segment.seq.wrapping_add(segment.length);
        Step::Set { flow: flow(), ack }
    }

    /// A segment of `flow` comes back: is it what is waited for?
    #[inline(always)]
    pub fn is_answered(self, segment: &Segment, flow: impl FnOnce() -> u32) -> bool {
        self.at != 0
            && segment.has_ack
            && segment.ack.wrapping_sub(self.ack).cast_signed() >= 0
            && self.flow == flow()
    }
}

/// The same both ways, and for the ports of one device as good as unique.
pub const fn flow_hash(local_port: u32, remote_port: u32, remote: u32) -> u32 {
    let ports = local_port << 16 | remote_port;
    mix(ports ^ mix(remote))
}

/// Spreads neighbouring numbers (the finaliser of MurmurHash3).
pub const fn mix(value: u32) -> u32 {
    let value = (value ^ value >> 16).wrapping_mul(0x85eb_ca6b);
    let value = (value ^ value >> 13).wrapping_mul(0xc2b2_ae35);
    value ^ value >> 16
}

/// How many classes of times there are: two for each doubling, from 0.13 ms to 6 s.
pub const BUCKETS: usize = 32;

/// Where a time is counted.
#[inline(always)]
pub const fn bucket(ns: u64) -> usize {
    if ns < 1 << SHORTEST {
        return 0;
    }
    let power = ns.ilog2();
    let half = (ns >> (power - 1) & 1) as usize;
    let index = 1 + 2 * (power - SHORTEST) as usize + half;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The shortest time of a bucket.
pub const fn begin(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(1) else { return 0 };
    let (power, half) = (SHORTEST as usize + above / 2, above as u64 % 2);
    (1 << power) + half * (1 << (power - 1))
}

/// The time that `percent` of all stayed below, in nanoseconds; within a bucket they are taken to
/// lie evenly. `None` when nothing was counted.
pub fn percentile(counts: &[u64; BUCKETS], percent: u64) -> Option<u64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = all * percent;
    let mut before = 0;
    for (bucket, &count) in counts.iter().enumerate() {
        let upto = (before + count) * 100;
        if count != 0 && upto >= wanted {
            let (from, to) = (begin(bucket), begin(bucket + 1));
            let part = wanted.saturating_sub(before * 100);
            return Some(from + (to - from) * part / (count * 100));
        }
        before += count;
    }
    None
}

/// Binary logarithm of the end of the first bucket, in nanoseconds.
const SHORTEST: u32 = 17;

/// A segment that was not acknowledged for so long is not waited for.
const LOST: u64 = 4_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(seq: u32, length: u32, ack: u32) -> Segment {
        Segment { seq, ack, length, has_ack: true }
    }

    #[track_caller]
    fn measured(segment: &Segment) -> Sample {
        match Sample::default().sent(segment, || 7, || 1_000) {
            Step::Set { flow, ack } => Sample { flow, ack, at: 1_000 },
            other @ (Step::Nothing | Step::Forget) => panic!("data is measured: {other:?}"),
        }
    }

    #[test]
    fn an_acknowledgement_ends_the_measurement() {
        let sample = measured(&segment(100, 50, 1));
        assert!(!sample.is_answered(&segment(1, 0, 149), || 7));
        assert!(sample.is_answered(&segment(1, 0, 150), || 7));
        assert!(sample.is_answered(&segment(1, 0, 9_000), || 7));
        assert!(!sample.is_answered(&segment(1, 0, 150), || 8));
        assert!(!sample.is_answered(&Segment { has_ack: false, ..segment(1, 0, 150) }, || 7));
        assert!(!Sample { at: 0, ..sample }.is_answered(&segment(1, 0, 150), || 7));
    }

    #[test]
    fn what_is_sent_again_measures_nothing() {
        let sample = Sample { flow: 7, ack: 150, at: 1_000 };
        let again = segment(100, 50, 1);
        assert_eq!(sample.sent(&again, || 7, || 2_000), Step::Forget);
        assert_eq!(sample.sent(&segment(150, 50, 1), || 7, || 2_000), Step::Nothing);
        // Others go on measuring.
        assert_eq!(sample.sent(&again, || 8, || 2_000), Step::Nothing);
        // What was lost is given up.
        let set = Step::Set { flow: 8, ack: 150 };
        assert_eq!(sample.sent(&again, || 8, || 1_000 + LOST), set);
        // The clock of ticks is behind.
        assert_eq!(sample.sent(&again, || 8, || 0), Step::Nothing);
    }

    #[test]
    fn an_acknowledgement_alone_starts_nothing() {
        let alone = segment(100, 0, 1);
        assert_eq!(Sample::default().sent(&alone, || 7, || 1_000), Step::Nothing);
    }

    #[test]
    fn numbers_go_round() {
        let sample = measured(&segment(u32::MAX - 9, 20, 1));
        assert_eq!(sample.ack, 10);
        assert!(!sample.is_answered(&segment(1, 0, u32::MAX), || 7));
        assert!(sample.is_answered(&segment(1, 0, 10), || 7));
    }

    #[test]
    fn both_ways_are_the_same_flow() {
        assert_ne!(flow_hash(1_000, 443, 9), flow_hash(443, 1_000, 9));
        assert_ne!(flow_hash(1_000, 443, 9), flow_hash(1_000, 443, 10));
    }

    #[test]
    fn percentiles_lie_where_the_times_are() {
        let mut counts = [0; BUCKETS];
        for ms in 1..=100 {
            counts[bucket(ms * 1_000_000)] += 1;
        }
        let at = |percent| percentile(&counts, percent).unwrap();
        assert!((45_000_000..55_000_000).contains(&at(50)), "{}", at(50));
        assert!((88_000_000..101_000_000).contains(&at(95)), "{}", at(95));
        assert_eq!(percentile(&[0; BUCKETS], 50), None);
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_bucket(ns: u64) {
            let bucket = bucket(ns);
            prop_assert!(begin(bucket) <= ns);
            prop_assert!(bucket == BUCKETS - 1 || ns < begin(bucket + 1));
        }
    }
}
