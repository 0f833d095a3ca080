//! The counters that edges send every few seconds, for screens only; never for the books.
//!
//! In memory, by edge: a message replaces what its edge said before, so that nothing grows.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use shared::{
    id::{EdgeId, SessionId},
    octets::Counters,
    wire::latest::live,
};

/// What edges said last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Live {
    edges: Arc<RwLock<HashMap<EdgeId, Said>>>,
}

#[derive(Debug)]
struct Said {
    at_ms: u64,
    sessions: HashMap<SessionId, Counters>,
}

/// Counters at a moment of the edge's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    pub at_ms: u64,
    pub counters: Counters,
}

impl Live {
    pub fn hear(&self, edge: EdgeId, message: live::Live) {
        let sessions = message.sessions.into_iter().map(|one| (one.session, one.counters));
        let said = Said { at_ms: message.at_ms, sessions: sessions.collect() };
        let mut edges = self.edges.write().unwrap_or_else(PoisonError::into_inner);
        // QoS 0 may reorder over a reconnect.
        if edges.get(&edge).is_none_or(|before| before.at_ms <= said.at_ms) {
            edges.insert(edge, said);
        }
    }

    /// An edge that is off-line has no live counters.
    pub fn forget(&self, edge: EdgeId) {
        self.edges.write().unwrap_or_else(PoisonError::into_inner).remove(&edge);
    }

    pub fn of(&self, edge: EdgeId, session: SessionId) -> Option<Glimpse> {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        let said = edges.get(&edge)?;
        let counters = *said.sessions.get(&session)?;
        Some(Glimpse { at_ms: said.at_ms, counters })
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
        let session = SessionId::from_uuid(Uuid::from_u128(2));
        let say = |at_ms, down_bytes| {
            let counters = Counters { down_bytes, ..Counters::default() };
            live.hear(
                edge,
                live::Live { at_ms, sessions: vec![live::LiveSession { session, counters }] },
            );
        };
        say(10, 100);
        say(9, 90);
        assert_eq!(live.of(edge, session).map(|seen| seen.counters.down_bytes), Some(100));
        live.hear(edge, live::Live { at_ms: 11, sessions: vec![] });
        assert_eq!(live.of(edge, session), None);
        say(12, 120);
        live.forget(edge);
        assert_eq!(live.of(edge, session), None);
    }
}
