//! One direction of a session, as many CPUs see it at once.

use super::{atomic::Word, packet::Size};
use crate::{
    clock::{self, Arrival, Bounds, Codel, Decision},
    layout::Lane,
};

#[derive(Clone, Copy)]
pub struct SharedLane(*mut Lane);

impl SharedLane {
    /// # Safety
    ///
    /// `lane` points into a map value.
    #[inline(always)]
    pub unsafe fn new(lane: *mut Lane) -> Self {
        Self(lane)
    }

    #[inline(always)]
    pub fn count_passed(self, size: Size) {
        // SAFETY: by `new`.
        unsafe {
            Word::new(&raw mut (*self.0).passed_bytes).add(size.octets);
            Word::new(&raw mut (*self.0).passed_packets).add(size.segments);
        }
    }

    #[inline(always)]
    pub fn count_dropped(self, size: Size) {
        // SAFETY: by `new`.
        unsafe {
            Word::new(&raw mut (*self.0).dropped_bytes).add(size.octets);
            Word::new(&raw mut (*self.0).dropped_packets).add(size.segments);
        }
    }

    /// What becomes of a packet. Only one that stays is charged to the clock.
    #[inline(always)]
    pub fn admit(self, now: u64, ns_per_byte: u64, size: Size, ect: bool) -> Decision {
        let bounds = Bounds::of(ns_per_byte);
        let cost = clock::cost(ns_per_byte, size.octets, size.segments);
        // SAFETY: by `new`.
        let clear_at = unsafe { Word::new(&raw mut (*self.0).clear_at) };
        let mut seen = clear_at.load();
        let delay = Arrival::at(now, seen, bounds.burst).delay;

        let before = self.codel();
        let mut codel = before;
        let decision = clock::decide(&mut codel, &bounds, now, delay, cost, ect);
        if codel != before {
            self.set_codel(codel);
        }
        match decision {
            Decision::Pass | Decision::Mark => {}
            Decision::Refuse | Decision::Shed => return decision,
        }
        for _ in 0..CONTENTION_MAX {
            let base = Arrival::at(now, seen, bounds.burst).base;
            match clear_at.compare_exchange(seen, base + cost) {
                Ok(()) => return decision,
                Err(found) => seen = found,
            }
        }
        // Others have just moved the clock, so it does not lag behind: adding is enough.
        clear_at.add(cost);
        decision
    }

    #[inline(always)]
    fn codel(self) -> Codel {
        // SAFETY: by `new`. Field by field, each in one piece.
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
    fn set_codel(self, to: Codel) {
        // SAFETY: by `new`.
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

/// Two CPUs rarely meet more than once.
const CONTENTION_MAX: u32 = 4;
