//! Which slots of the data plane are free. Pure.

use std::collections::VecDeque;

use crate::dataplane::Slot;

/// A slot that was given back rests a while: who reads the kernel's arrays still finds the counters
/// of the session that ended. It does not rest for ever, because the kernel's queues of a slot are
/// made at its first use.
#[derive(Debug)]
pub(super) struct Slots {
    free: VecDeque<Slot>,
    /// Slots from here on were never used.
    untouched: u32,
    end: u32,
}

impl Slots {
    /// All of `0..end` but those in `taken`.
    pub(super) fn new(end: u32, taken: impl IntoIterator<Item = Slot>) -> Self {
        let mut taken: Vec<Slot> = taken.into_iter().collect();
        taken.sort_unstable();
        let untouched = taken.last().map_or(0, |last| last.0.saturating_add(1)).min(end);
        let free = (0..untouched).map(Slot).filter(|slot| taken.binary_search(slot).is_err());
        Self { free: free.collect(), untouched, end }
    }

    pub(super) fn take(&mut self) -> Option<Slot> {
        if self.untouched < self.end && self.free.len() <= RESTING {
            let slot = Slot(self.untouched);
            self.untouched += 1;
            return Some(slot);
        }
        self.free.pop_front()
    }

    pub(super) fn give_back(&mut self, slot: Slot) {
        self.free.push_back(slot);
    }
}

/// How many slots rest.
const RESTING: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_given_once_and_the_last_used_comes_last() {
        let mut slots = Slots::new(4, [Slot(1)]);
        let mut given: Vec<Slot> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!(given, [Slot(2), Slot(3), Slot(0)]);
        slots.give_back(Slot(3));
        slots.give_back(Slot(1));
        given = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!(given, [Slot(3), Slot(1)]);
    }

    #[test]
    fn slots_are_used_again_before_many_new_ones_are() {
        let mut slots = Slots::new(100_000, []);
        for _ in 0..10_000 {
            let slot = slots.take().unwrap();
            assert!(slot.0 <= 130, "{slot:?}");
            slots.give_back(slot);
        }
    }

    #[test]
    fn a_slot_beyond_the_end_is_not_given() {
        let mut slots = Slots::new(1, [Slot(7)]);
        assert_eq!(slots.take(), Some(Slot(0)));
        assert_eq!(slots.take(), None);
    }
}
