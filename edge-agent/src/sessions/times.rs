//! Round-trip times of sessions, from one round to the next. Pure.

use std::collections::{HashMap, HashSet};

use shared::{id::SessionId, wire::latest::live::RoundTrips};

use crate::dataplane::{Rtt, rtt::Times};

/// What the kernel had counted of each session, and what that came to.
#[derive(Debug, Default)]
pub(super) struct Clocked {
    before: HashMap<SessionId, Rtt>,
    last: HashMap<SessionId, RoundTrips>,
}

impl Clocked {
    /// What the kernel has counted now, of those sessions that have moved something. Says how long
    /// answers took in all of them together since the round before.
    pub(super) fn observe(&mut self, counted: impl IntoIterator<Item = (SessionId, Rtt)>) -> Times {
        let mut all = Times::default();
        for (id, now) in counted {
            let Some(before) = self.before.insert(id, now) else { continue };
            let since = now.since(&before);
            all.add(&since);
            let round_trips =
                RoundTrips { subscriber: since.to_subscriber(), internet: since.to_internet() };
            if !round_trips.is_unknown() {
                self.last.insert(id, round_trips);
            }
        }
        all
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, live: &HashSet<SessionId>) {
        self.before.retain(|id, _| live.contains(id));
        self.last.retain(|id, _| live.contains(id));
    }

    pub(super) fn of(&self, id: SessionId) -> RoundTrips {
        self.last.get(&id).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use ebpf::rtt::BUCKETS;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_session_keeps_what_it_took_last_until_it_is_over() {
        let id = SessionId::from_uuid(Uuid::from_u128(1));
        let counted = |times: u16| {
            let mut rtt = Rtt::default();
            if let Some(count) = rtt.subscriber.get_mut(9) {
                *count = times;
            }
            (id, rtt)
        };
        let mut clocked = Clocked::default();
        // Nobody knows how long ago those were.
        assert_eq!(clocked.observe([counted(5)]).subscriber(), None);
        assert!(clocked.of(id).is_unknown());
        let all = clocked.observe([counted(8)]).subscriber();
        assert!(all.is_some() && BUCKETS > 9);
        assert_eq!(clocked.of(id), RoundTrips { subscriber: all, internet: None });
        assert_eq!(clocked.observe([counted(8)]).subscriber(), None);
        assert_eq!(clocked.of(id).subscriber, all);
        clocked.retain(&HashSet::new());
        assert!(clocked.of(id).is_unknown());
    }
}
