//! Things that are due after a while (pure).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Things that are due after the same time each, so the first in is the first out.
#[derive(Debug)]
pub(super) struct Delayed<T> {
    waiting: VecDeque<(Instant, T)>,
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Delayed<T> {
    /// Gives back what has to go out at once, because too many wait.
    pub(super) fn put(&mut self, now: Instant, what: T) -> Option<T> {
        if self.waiting.len() >= WAITING_MAX {
            return Some(what);
        }
        self.waiting.push_back((now + DELAY, what));
        None
    }

    /// What is due, one by one.
    pub(super) fn due(&mut self, now: Instant) -> Option<T> {
        self.waiting.pop_front_if(|(at, _)| *at <= now).map(|(_, what)| what)
    }

    /// When something is due again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|&(at, _)| at)
    }

    /// What is left, due or not.
    pub(super) fn into_rest(self) -> impl Iterator<Item = T> {
        self.waiting.into_iter().map(|(_, what)| what)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Less than a second: some NASes give up on a server that takes longer. More than nothing:
/// 500 ms make a guesser's million guesses on one port take days.
const DELAY: Duration = Duration::from_millis(500);

/// A flood of wrong passwords waits in at most this many small packets.
const WAITING_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_out_after_its_time_in_order() {
        let (mut delayed, t0) = (Delayed::default(), Instant::now());
        assert_eq!(delayed.put(t0, 'a'), None);
        assert_eq!(delayed.put(t0 + Duration::from_millis(100), 'b'), None);
        assert_eq!(delayed.due(t0 + Duration::from_millis(499)), None);
        assert_eq!(delayed.due(t0 + DELAY), Some('a'));
        assert_eq!(delayed.due(t0 + DELAY), None);
        assert_eq!(delayed.due(t0 + 2 * DELAY), Some('b'));
        assert!(delayed.is_empty());
    }

    #[test]
    fn a_flood_goes_out_at_once() {
        let (mut delayed, t0) = (Delayed::default(), Instant::now());
        for number in 0..WAITING_MAX {
            assert_eq!(delayed.put(t0, number), None);
        }
        assert_eq!(delayed.put(t0, 9), Some(9));
    }
}
