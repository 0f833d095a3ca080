//! Rejects that go out later: a guesser waits, the threads that decide do not.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shared::daemon::Life;

use super::exchange::Held;

/// The rejects that wait, of all ways in, and the thread that sends them.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    waiting: Mutex<Delayed<Held>>,
    first: Condvar,
}

impl Rejects {
    /// Sends `held` after a while, or now if too many wait.
    pub(super) fn put(&self, now: Instant, held: Held) {
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        let at_once = waiting.put(now, held);
        drop(waiting);
        if is_first {
            self.first.notify_one();
        }
        if let Some(held) = at_once {
            held.send();
        }
    }

    /// Until `life` ends; then none waits any longer.
    pub(super) fn run(&self, life: &Life) {
        while !life.is_stopping() {
            let now = Instant::now();
            let mut waiting = self.waiting();
            let mut due = Vec::new();
            while let Some(held) = waiting.due(now) {
                due.push(held);
            }
            if due.is_empty() {
                let wait = waiting.next().map_or(super::IDLE, |at| {
                    at.saturating_duration_since(now).clamp(TICK, super::IDLE)
                });
                drop(self.first.wait_timeout(waiting, wait));
            } else {
                drop(waiting);
                due.into_iter().for_each(Held::send);
            }
        }
        let rest = std::mem::take(&mut *self.waiting());
        rest.waiting.into_iter().for_each(|(_, held)| held.send());
    }

    fn waiting(&self) -> MutexGuard<'_, Delayed<Held>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a flood, rejects go out some at a time.
const TICK: Duration = Duration::from_millis(5);

/// Things that are due after the same time each, so the first in is the first out (pure).
#[derive(Debug)]
struct Delayed<T> {
    waiting: VecDeque<(Instant, T)>,
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Delayed<T> {
    /// Gives back what has to go out at once, because too many wait.
    fn put(&mut self, now: Instant, what: T) -> Option<T> {
        if self.waiting.len() >= WAITING_MAX {
            return Some(what);
        }
        self.waiting.push_back((now + DELAY, what));
        None
    }

    /// What is due, one by one.
    fn due(&mut self, now: Instant) -> Option<T> {
        self.waiting.pop_front_if(|(at, _)| *at <= now).map(|(_, what)| what)
    }

    /// When something is due again.
    fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|&(at, _)| at)
    }

    fn is_empty(&self) -> bool {
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
