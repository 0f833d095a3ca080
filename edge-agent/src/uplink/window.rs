//! Which part of the journal to send next. Pure.
//!
//! The journal goes out in order, a few batches ahead of what is acknowledged. What is not
//! acknowledged in time goes out again, from the first record that is missing: the controller
//! tells replays by their sequence numbers.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use shared::wire::latest::ack::Verdict;

#[derive(Debug)]
pub(super) struct Window {
    /// Everything before is acknowledged.
    acked: u64,
    /// The next sequence number to send.
    next: u64,
    flights: VecDeque<Flight>,
    patience: Duration,
    /// The controller has refused this history: nothing more is sent on this connection.
    refused: bool,
}

#[derive(Debug)]
struct Flight {
    next: u64,
    until: Instant,
}

impl Window {
    pub(super) const fn new(acked: u64) -> Self {
        Self {
            acked,
            next: acked,
            flights: VecDeque::new(),
            patience: PATIENCE_MIN,
            refused: false,
        }
    }

    /// Where the next batch starts, if one may go out now; `head` is the journal's next sequence
    /// number.
    pub(super) fn want(&mut self, head: u64, now: Instant) -> Option<u64> {
        if self.flights.front().is_some_and(|flight| flight.until <= now) {
            self.rewind(self.acked);
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        }
        let free = !self.refused && self.flights.len() < FLIGHTS_MAX;
        (free && self.next < head).then_some(self.next)
    }

    /// A batch is on its way; `next` follows its last record.
    pub(super) fn sent(&mut self, next: u64, now: Instant) {
        self.next = next;
        self.flights.push_back(Flight { next, until: now + self.patience });
    }

    /// When to look again if nothing is heard.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flights.front().map(|flight| flight.until)
    }

    pub(super) fn acknowledged(&mut self, next_seq: u64, verdict: Verdict) {
        match verdict {
            Verdict::Committed => {
                self.patience = PATIENCE_MIN;
                self.acked = self.acked.max(next_seq);
                self.next = self.next.max(next_seq);
                self.flights.retain(|flight| flight.next > next_seq);
            }
            // Also backwards: a database that was restored knows less than it has acknowledged.
            Verdict::Gap => {
                self.acked = next_seq;
                self.rewind(next_seq);
            }
            Verdict::Forked => {
                self.refused = true;
                self.flights.clear();
            }
        }
    }

    fn rewind(&mut self, next: u64) {
        self.next = next;
        self.flights.clear();
    }
}

/// Batches that wait for an acknowledgement.
const FLIGHTS_MAX: usize = 4;

const PATIENCE_MIN: Duration = Duration::from_secs(5);
const PATIENCE_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn t0() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_few_batches_go_out_and_each_acknowledgement_makes_room() {
        let now = t0();
        let mut window = Window::new(1);
        for first in [1, 101, 201, 301] {
            assert_eq!(window.want(1_000, now), Some(first));
            window.sent(first + 100, now);
        }
        assert_eq!(window.want(1_000, now), None);
        window.acknowledged(201, Verdict::Committed);
        assert_eq!(window.want(1_000, now), Some(401));
        assert_eq!(window.want(401, now), None);
    }

    #[test]
    fn what_is_not_acknowledged_goes_out_again_with_growing_patience() {
        let now = t0();
        let mut window = Window::new(1);
        assert_eq!(window.want(11, now), Some(1));
        window.sent(11, now);
        assert_eq!(window.want(11, now + PATIENCE_MIN / 2), None);
        assert_eq!(window.deadline(), Some(now + PATIENCE_MIN));
        let later = now + PATIENCE_MIN;
        assert_eq!(window.want(11, later), Some(1));
        window.sent(11, later);
        assert_eq!(window.deadline(), Some(later + PATIENCE_MIN * 2));
        window.acknowledged(11, Verdict::Committed);
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn a_gap_is_filled_from_where_the_controller_says_also_backwards() {
        let now = t0();
        let mut window = Window::new(50);
        window.sent(60, now);
        window.acknowledged(20, Verdict::Gap);
        assert_eq!(window.want(60, now), Some(20));
    }

    #[test]
    fn a_refused_history_is_not_sent_on() {
        let now = t0();
        let mut window = Window::new(1);
        window.sent(11, now);
        window.acknowledged(1, Verdict::Forked);
        assert_eq!(window.want(100, now + PATIENCE_MAX * 2), None);
    }
}
