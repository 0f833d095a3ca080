//! The state of a session, as many CPUs see it at once.

use super::{atomic::Word, packet::Size, time};
use crate::{
    clock::Codel,
    layout::{Counts, Direction, Lane, Shared, State},
    rtt::{self, Sample, Segment, Step},
};

#[derive(Clone, Copy)]
pub struct SharedState(*mut State);

impl SharedState {
    /// # Safety
    ///
    /// `state` points to a map value.
    #[inline(always)]
    pub unsafe fn new(state: *mut State) -> Self {
        Self(state)
    }

    #[inline(always)]
    pub fn lane(self, direction: Direction) -> SharedLane {
        // SAFETY: by `new`.
        unsafe {
            SharedLane(match direction {
                Direction::Down => &raw mut (*self.0).down,
                Direction::Up => &raw mut (*self.0).up,
            })
        }
    }

    #[inline(always)]
    pub fn seen_at(self) -> Word {
        self.shared(|shared| {
            // SAFETY: by `new`.
            unsafe { &raw mut (*shared).seen_at }
        })
    }

    #[inline(always)]
    pub fn events(self) -> Word {
        self.shared(|shared| {
            // SAFETY: by `new`.
            unsafe { &raw mut (*shared).events }
        })
    }

    #[inline(always)]
    fn sample(self, direction: Direction) -> SharedSample {
        // SAFETY: by `new`.
        unsafe {
            let shared = &raw mut (*self.0).shared;
            SharedSample(match direction {
                Direction::Down => &raw mut (*shared).sample_down,
                Direction::Up => &raw mut (*shared).sample_up,
            })
        }
    }

    #[inline(always)]
    fn shared(self, field: impl FnOnce(*mut Shared) -> *mut u64) -> Word {
        // SAFETY: by `new`.
        unsafe { Word::new(field(&raw mut (*self.0).shared)) }
    }

    /// Measures round-trip times with a segment that was let through.
    #[inline(always)]
    pub fn time(self, direction: Direction, segment: &Segment, flow: impl Fn() -> u32) {
        let (own, other) = match direction {
            Direction::Down => (self.sample(Direction::Down), self.sample(Direction::Up)),
            Direction::Up => (self.sample(Direction::Up), self.sample(Direction::Down)),
        };
        let waiting = other.load();
        if waiting.is_answered(segment, &flow) {
            other.store(Sample::default());
            self.count_rtt(direction, time::exactly().saturating_sub(waiting.at));
        }
        match own.load().sent(segment, flow, time::about) {
            Step::Nothing => {}
            Step::Set { flow, ack } => own.store(Sample { flow, ack, at: time::exactly() }),
            Step::Forget => own.store(Sample::default()),
        }
    }

    /// `answer`: which way the answer went. Lost steps are lost: it is for screens.
    #[inline(always)]
    fn count_rtt(self, answer: Direction, took: u64) {
        // The verifier wants to see it.
        let bucket = rtt::bucket(took) & (rtt::BUCKETS - 1);
        // SAFETY: by `new`, and the index is in the array.
        unsafe {
            let first: *mut u16 = match answer {
                Direction::Up => (&raw mut (*self.0).rtt_down).cast(),
                Direction::Down => (&raw mut (*self.0).rtt_up).cast(),
            };
            let count = first.add(bucket);
            count.write_volatile(count.read_volatile().wrapping_add(1));
        }
    }
}

/// One direction of a session.
#[derive(Clone, Copy)]
pub struct SharedLane(*mut Lane);

impl SharedLane {
    #[inline(always)]
    pub fn count_dropped(self, size: Size) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            Word::new(&raw mut (*self.0).dropped_bytes).add(size.octets);
            Word::new(&raw mut (*self.0).dropped_packets).add(size.segments);
        }
    }

    #[inline(always)]
    pub fn clear_at(self) -> Word {
        // SAFETY: by `SharedState::new`.
        unsafe { Word::new(&raw mut (*self.0).clear_at) }
    }

    /// The clock of what all sparse flows take.
    #[inline(always)]
    pub fn sparse_at(self) -> Word {
        // SAFETY: by `SharedState::new`.
        unsafe { Word::new(&raw mut (*self.0).sparse_at) }
    }

    /// The clock at the session's fair part of the site.
    #[inline(always)]
    pub fn fair_at(self) -> Word {
        // SAFETY: by `SharedState::new`.
        unsafe { Word::new(&raw mut (*self.0).fair_at) }
    }

    /// Nothing waits: CoDel has nothing to say.
    #[inline(always)]
    pub fn calm(self) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            let codel = &raw mut (*self.0).codel;
            if (&raw const (*codel).above_until).read_volatile() != 0 {
                (&raw mut (*codel).above_until).write_volatile(0);
                (&raw mut (*codel).dropping).write_volatile(0);
            }
        }
    }

    #[inline(always)]
    pub fn codel(self) -> Codel {
        // SAFETY: by `SharedState::new`. Field by field, each in one piece.
        unsafe {
            let codel = &raw const (*self.0).codel;
            Codel {
                above_until: (&raw const (*codel).above_until).read_volatile(),
                drop_at: (&raw const (*codel).drop_at).read_volatile(),
                count: (&raw const (*codel).count).read_volatile(),
                last_count: (&raw const (*codel).last_count).read_volatile(),
                dropping: (&raw const (*codel).dropping).read_volatile(),
            }
        }
    }

    #[inline(always)]
    pub fn set_codel(self, to: Codel) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            let codel = &raw mut (*self.0).codel;
            (&raw mut (*codel).above_until).write_volatile(to.above_until);
            (&raw mut (*codel).drop_at).write_volatile(to.drop_at);
            (&raw mut (*codel).count).write_volatile(to.count);
            (&raw mut (*codel).last_count).write_volatile(to.last_count);
            (&raw mut (*codel).dropping).write_volatile(to.dropping);
        }
    }
}

/// A segment that is waited for, or none.
#[derive(Clone, Copy)]
struct SharedSample(*mut Sample);

impl SharedSample {
    #[inline(always)]
    fn load(self) -> Sample {
        // SAFETY: by `SharedState::new`.
        unsafe {
            Sample {
                flow: (&raw const (*self.0).flow).read_volatile(),
                ack: (&raw const (*self.0).ack).read_volatile(),
                at: (&raw const (*self.0).at).read_volatile(),
            }
        }
    }

    #[inline(always)]
    fn store(self, to: Sample) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            (&raw mut (*self.0).flow).write_volatile(to.flow);
            (&raw mut (*self.0).ack).write_volatile(to.ack);
            (&raw mut (*self.0).at).write_volatile(to.at);
        }
    }
}

/// What this CPU has let through of a session. Nobody else writes it while packets find the session.
#[derive(Clone, Copy)]
pub struct OwnCounts {
    counts: *mut Counts,
    /// Otherwise others add to it, too.
    is_own: bool,
}

impl OwnCounts {
    /// # Safety
    ///
    /// `counts` points to a map value, which no other CPU writes if `is_own`.
    #[inline(always)]
    pub unsafe fn new(counts: *mut Counts, is_own: bool) -> Self {
        Self { counts, is_own }
    }

    #[inline(always)]
    pub fn add(self, is_free: bool, direction: Direction, size: Size) {
        // SAFETY: by `new`; the edge reads each word in one piece.
        unsafe {
            let counts = self.counts;
            let passed = if is_free { &raw mut (*counts).free } else { &raw mut (*counts).passed };
            let (bytes, packets) = match direction {
                Direction::Down => (&raw mut (*passed).down_bytes, &raw mut (*passed).down_packets),
                Direction::Up => (&raw mut (*passed).up_bytes, &raw mut (*passed).up_packets),
            };
            if !self.is_own {
                Word::new(bytes).add(size.octets);
                Word::new(packets).add(size.segments);
                return;
            }
            bytes.write_volatile(bytes.read_volatile().wrapping_add(size.octets));
            packets.write_volatile(packets.read_volatile().wrapping_add(size.segments));
        }
    }
}
