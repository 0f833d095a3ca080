//! The state of a session, as many CPUs see it at once.

use super::{atomic::Word, packet::Size, time};
use crate::{
    clock::Codel,
    layout::{Direction, Lane, Shared, State},
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
    pub fn count_dropped(self, direction: Direction, size: Size) {
        // SAFETY: by `new`.
        unsafe {
            let rest = &raw mut (*self.0).rest;
            let (bytes, packets) = match direction {
                Direction::Down => {
                    (&raw mut (*rest).down_dropped_bytes, &raw mut (*rest).down_dropped_packets)
                }
                Direction::Up => {
                    (&raw mut (*rest).up_dropped_bytes, &raw mut (*rest).up_dropped_packets)
                }
            };
            Word::new(bytes).add(size.octets);
            Word::new(packets).add(size.segments);
        }
    }

    #[inline(always)]
    pub fn count_free(self, direction: Direction, size: Size) {
        // SAFETY: by `new`.
        unsafe {
            let rest = &raw mut (*self.0).rest;
            let (bytes, packets) = match direction {
                Direction::Down => {
                    (&raw mut (*rest).down_free_bytes, &raw mut (*rest).down_free_packets)
                }
                Direction::Up => (&raw mut (*rest).up_free_bytes, &raw mut (*rest).up_free_packets),
            };
            Word::new(bytes).add(size.octets);
            Word::new(packets).add(size.segments);
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

    /// The clock of what all sparse flows take.
    #[inline(always)]
    pub fn sparse(self, direction: Direction) -> Word {
        self.shared(|shared| {
            // SAFETY: by `new`.
            unsafe {
                match direction {
                    Direction::Down => &raw mut (*shared).sparse_down_at,
                    Direction::Up => &raw mut (*shared).sparse_up_at,
                }
            }
        })
    }

    /// The clock at the session's fair part of the site.
    #[inline(always)]
    pub fn fair(self, direction: Direction) -> Word {
        self.shared(|shared| {
            // SAFETY: by `new`.
            unsafe {
                match direction {
                    Direction::Down => &raw mut (*shared).fair_down_at,
                    Direction::Up => &raw mut (*shared).fair_up_at,
                }
            }
        })
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
            Direction::Down => (self.lane(Direction::Down), self.lane(Direction::Up)),
            Direction::Up => (self.lane(Direction::Up), self.lane(Direction::Down)),
        };
        let waiting = other.sample();
        if waiting.is_answered(segment, &flow) {
            other.set_sample(Sample::default());
            self.count_rtt(direction, time::exactly().saturating_sub(waiting.at));
        }
        match own.sample().sent(segment, flow, time::about) {
            Step::Nothing => {}
            Step::Set { flow, ack } => own.set_sample(Sample { flow, ack, at: time::exactly() }),
            Step::Forget => own.set_sample(Sample::default()),
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
    pub fn count_passed(self, size: Size) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            Word::new(&raw mut (*self.0).passed_bytes).add(size.octets);
            Word::new(&raw mut (*self.0).passed_packets).add(size.segments);
        }
    }

    #[inline(always)]
    pub fn clear_at(self) -> Word {
        // SAFETY: by `SharedState::new`.
        unsafe { Word::new(&raw mut (*self.0).clear_at) }
    }

    #[inline(always)]
    fn sample(self) -> Sample {
        // SAFETY: by `SharedState::new`.
        unsafe {
            let sample = &raw const (*self.0).sample;
            Sample {
                flow: (&raw const (*sample).flow).read_volatile(),
                ack: (&raw const (*sample).ack).read_volatile(),
                at: (&raw const (*sample).at).read_volatile(),
            }
        }
    }

    #[inline(always)]
    fn set_sample(self, to: Sample) {
        // SAFETY: by `SharedState::new`.
        unsafe {
            let sample = &raw mut (*self.0).sample;
            (&raw mut (*sample).flow).write_volatile(to.flow);
            (&raw mut (*sample).ack).write_volatile(to.ack);
            (&raw mut (*sample).at).write_volatile(to.at);
        }
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
