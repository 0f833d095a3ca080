//! The states of a ticket, the verbs between them, and its clock. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::words::choices;

choices! {
    TicketState {
        // Nobody has looked at it.
        Open = "open",
        Working = "working",
        // For the subscriber: the clock stands still.
        Waiting = "waiting",
        Resolved = "resolved",
        // For good.
        Closed = "closed",
    }
}

choices! {
    Priority {
        Urgent = "urgent",
        High = "high",
        Normal = "normal",
        Low = "low",
    }
}

impl Priority {
    /// Until somebody looks at it, and until it is resolved.
    const fn limits(self) -> (SignedDuration, SignedDuration) {
        let (acknowledge, resolve) = match self {
            Self::Urgent => (1, 4),
            Self::High => (2, 24),
            Self::Normal => (8, 72),
            Self::Low => (24, 168),
        };
        (SignedDuration::from_hours(acknowledge), SignedDuration::from_hours(resolve))
    }
}

choices! {
    /// What staff does to a ticket.
    TicketVerb {
        Start = "start",
        Wait = "wait",
        Resolve = "resolve",
        Close = "close",
        Reopen = "reopen",
    }
}

impl TicketVerb {
    /// Where it leads, if it is allowed from here.
    pub const fn from(self, state: TicketState) -> Option<TicketState> {
        use TicketState::{Closed, Open, Resolved, Waiting, Working};
        match (self, state) {
            (Self::Start, Open | Waiting) | (Self::Reopen, Resolved) => Some(Working),
            (Self::Wait, Working) => Some(Waiting),
            (Self::Resolve, Open | Working | Waiting) => Some(Resolved),
            (Self::Close, Resolved) => Some(Closed),
            (Self::Start, Working | Resolved | Closed)
            | (Self::Wait | Self::Close | Self::Reopen, Open | Waiting | Closed)
            | (Self::Wait | Self::Resolve, Resolved)
            | (Self::Resolve, Closed)
            | (Self::Close | Self::Reopen, Working) => None,
        }
    }
}

/// How long it has been waiting for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub opened_at: Timestamp,
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub waiting_since: Option<Timestamp>,
    pub waited: SignedDuration,
}

impl Clock {
    pub const fn new(now: Timestamp) -> Self {
        Self {
            opened_at: now,
            acknowledged_at: None,
            resolved_at: None,
            waiting_since: None,
            waited: SignedDuration::ZERO,
        }
    }

    /// When it comes into this state.
    #[must_use]
    pub fn enter(self, state: TicketState, now: Timestamp) -> Self {
        let waited = self.waited_until(now);
        let seen = Some(self.acknowledged_at.unwrap_or(now));
        match state {
            TicketState::Working => Self {
                acknowledged_at: seen,
                resolved_at: None,
                waiting_since: None,
                waited,
                ..self
            },
            TicketState::Waiting => {
                Self { acknowledged_at: seen, waiting_since: Some(now), waited, ..self }
            }
            TicketState::Resolved => Self {
                acknowledged_at: seen,
                resolved_at: Some(now),
                waiting_since: None,
                waited,
                ..self
            },
            TicketState::Open | TicketState::Closed => self,
        }
    }

    /// Until when somebody should look at it.
    pub fn acknowledge_by(self, priority: Priority) -> Timestamp {
        self.opened_at.saturating_add(priority.limits().0).unwrap_or(Timestamp::MAX)
    }

    /// Until when it should be resolved; later with every hour that we wait for the subscriber.
    pub fn resolve_by(self, priority: Priority, now: Timestamp) -> Timestamp {
        let limit = priority.limits().1.saturating_add(self.waited_until(now));
        self.opened_at.saturating_add(limit).unwrap_or(Timestamp::MAX)
    }

    /// Was it, or is it, too late for one of both?
    pub fn is_overdue(self, priority: Priority, now: Timestamp) -> bool {
        self.acknowledged_at.unwrap_or(now) > self.acknowledge_by(priority)
            || self.resolved_at.unwrap_or(now) > self.resolve_by(priority, now)
    }

    fn waited_until(self, now: Timestamp) -> SignedDuration {
        let since = self.waiting_since.map(|since| since.duration_until(now));
        self.waited.saturating_add(since.unwrap_or_default().max(SignedDuration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    #[test]
    fn the_clock_stands_still_while_the_subscriber_is_asked() {
        let clock = Clock::new(at(0));
        assert_eq!(clock.acknowledge_by(Priority::High), at(2));
        assert_eq!(clock.resolve_by(Priority::High, at(0)), at(24));
        let clock = clock.enter(TicketState::Working, at(1)).enter(TicketState::Waiting, at(3));
        assert_eq!(clock.acknowledged_at, Some(at(1)));
        assert_eq!(clock.resolve_by(Priority::High, at(13)), at(34));
        let clock = clock.enter(TicketState::Working, at(13));
        assert_eq!(clock.resolve_by(Priority::High, at(40)), at(34));
        assert!(!clock.is_overdue(Priority::High, at(34)));
        assert!(clock.is_overdue(Priority::High, at(35)));
        let resolved = clock.enter(TicketState::Resolved, at(33));
        assert!(!resolved.is_overdue(Priority::High, at(999)));
        // Whoever comes back was not helped.
        assert!(resolved.enter(TicketState::Working, at(50)).is_overdue(Priority::High, at(50)));
    }

    #[test]
    fn nobody_looked_at_it_in_time() {
        let clock = Clock::new(at(0));
        assert!(!clock.is_overdue(Priority::Urgent, at(1)));
        assert!(clock.is_overdue(Priority::Urgent, at(2)));
        assert!(clock.enter(TicketState::Working, at(2)).is_overdue(Priority::Urgent, at(2)));
    }

    proptest! {
        /// Whatever is done to it: waiting never makes it due earlier, and states fit their times.
        #[test]
        fn a_ticket_keeps_its_times(steps in proptest::collection::vec((0_usize..5, 0_i64..100), 0..30)) {
            const VERBS: [TicketVerb; 5] =
                [TicketVerb::Start, TicketVerb::Wait, TicketVerb::Resolve, TicketVerb::Close, TicketVerb::Reopen];
            let (mut state, mut clock, mut hour) = (TicketState::Open, Clock::new(at(0)), 0);
            for (verb, hours) in steps {
                hour += hours;
                let Some(next) = VERBS[verb].from(state) else { continue };
                let due = clock.resolve_by(Priority::Normal, at(hour));
                (state, clock) = (next, clock.enter(next, at(hour)));
                prop_assert!(clock.resolve_by(Priority::Normal, at(hour)) >= due);
                prop_assert_eq!(state == TicketState::Waiting, clock.waiting_since.is_some());
                let resolved = matches!(state, TicketState::Resolved | TicketState::Closed);
                prop_assert_eq!(resolved, clock.resolved_at.is_some());
                prop_assert!(clock.acknowledged_at.is_some());
            }
        }
    }
}
