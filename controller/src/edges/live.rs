//! The counters that edges send every few seconds, for screens only; never for the books.
//!
//! In memory, by edge: what an edge says of a moment replaces what it said before, so that nothing
//! grows. It may say a moment in several messages.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use shared::{
    id::{EdgeId, SessionId},
    octets::Counters,
    wire::latest::live::{self, RoundTrips},
};

/// What edges said last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Live {
    edges: Arc<RwLock<HashMap<EdgeId, Said>>>,
}

#[derive(Debug, Default)]
struct Said {
    at_ms: u64,
    sessions: HashMap<SessionId, (Counters, RoundTrips)>,
}

/// Counters at a moment of the edge's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    pub at_ms: u64,
    pub counters: Counters,
    pub round_trips: RoundTrips,
}

impl Live {
    pub fn hear(&self, edge: EdgeId, message: live::Live) {
        let sessions =
            message.sessions.into_iter().map(|one| (one.session, (one.counters, one.round_trips)));
        let mut edges = self.edges.write().unwrap_or_else(PoisonError::into_inner);
        let said = edges.entry(edge).or_default();
        match message.at_ms.cmp(&said.at_ms) {
            Ordering::Less => {}
            Ordering::Equal => said.sessions.extend(sessions),
            Ordering::Greater => {
                *said = Said { at_ms: message.at_ms, sessions: sessions.collect() };
            }
        }
    }

    /// An edge that is off-line has no live counters.
    pub fn forget(&self, edge: EdgeId) {
        self.edges.write().unwrap_or_else(PoisonError::into_inner).remove(&edge);
    }

    pub fn of(&self, edge: EdgeId, session: SessionId) -> Option<Glimpse> {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        let said = edges.get(&edge)?;
        let (counters, round_trips) = *said.sessions.get(&session)?;
        Some(Glimpse { at_ms: said.at_ms, counters, round_trips })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_newest_message_of_an_edge_is_what_is_seen() {
        let live = Live::default();
        let edge = EdgeId::from_uuid(Uuid::from_u128(1));
        let session = |number| SessionId::from_uuid(Uuid::from_u128(number));
        let say = |at_ms, number, down_bytes| {
            let counters = Counters { down_bytes, ..Counters::default() };
            let (session, round_trips) = (session(number), RoundTrips::default());
            let sessions = vec![live::LiveSession { session, counters, round_trips }];
            live.hear(edge, live::Live { at_ms, sessions });
        };
        let seen = |number| live.of(edge, session(number)).map(|seen| seen.counters.down_bytes);
        say(10, 2, 100);
        say(9, 2, 90);
        assert_eq!(seen(2), Some(100));
        say(10, 3, 7);
        assert_eq!((seen(2), seen(3)), (Some(100), Some(7)));
        say(11, 3, 8);
        assert_eq!((seen(2), seen(3)), (None, Some(8)));
        live.forget(edge);
        assert_eq!(seen(3), None);
    }
}
