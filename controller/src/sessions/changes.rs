//! What a run of journal records changes, one entry per session. Pure: no clock, no I/O.
//!
//! A database statement may touch a row once, so that the records of a session are folded here.
//! Usage is cumulative: what it adds is the difference to the largest value seen so far, and that
//! is known only when the session's row has been read ([`SessionChange::settle`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::{id::SessionId, octets::Counters};

use super::{
    effects::Effect,
    record::{Fact, Odd, Record, Started},
};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub sessions: BTreeMap<SessionId, SessionChange>,
    pub failures: Vec<AuthFailures>,
    /// With their sequence numbers.
    pub effects: Vec<(u64, Effect)>,
    /// The last start of the edge's program in this run.
    pub edge_started: Option<EdgeStarted>,
    pub odd: Vec<OddRecord>,
    /// How many records there were.
    pub records: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// Earliest time that the run speaks of.
    pub since: Timestamp,
    pub started: Option<Box<Started>>,
    /// Sequence numbers of all records about it.
    pub seqs: Vec<u64>,
    /// In the order of the journal.
    pub readings: Vec<Reading>,
    pub stopped: Option<(Timestamp, i32)>,
}

/// Cumulative counters at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub seq: u64,
    pub at: Timestamp,
    pub counters: Counters,
}

#[derive(Debug, PartialEq, Eq)]
pub struct AuthFailures {
    pub at: Timestamp,
    pub nas_name: String,
    pub username: String,
    pub reason: String,
    pub count: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct EdgeStarted {
    pub at: Timestamp,
    pub version: String,
    pub birth: i64,
    pub sessions: i32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct OddRecord {
    pub seq: u64,
    pub bytes: Vec<u8>,
    pub reason: Odd,
}

impl Changes {
    pub fn add(&mut self, seq: u64, bytes: &[u8]) {
        self.records += 1;
        let Record { at, fact } = match Record::read(bytes) {
            Ok(record) => record,
            Err(reason) => {
                self.odd.push(OddRecord { seq, bytes: bytes.to_vec(), reason });
                return;
            }
        };
        match fact {
            Fact::Started(session, started) => {
                self.session(session, seq, at).started.get_or_insert(started);
            }
            Fact::Usage(session, counters) => {
                self.session(session, seq, at).readings.push(Reading { seq, at, counters });
            }
            Fact::Stopped(session, counters, cause) => {
                let change = self.session(session, seq, at);
                change.readings.push(Reading { seq, at, counters });
                change.stopped.get_or_insert((at, cause));
            }
            Fact::EdgeStarted { version, birth, sessions } => {
                self.edge_started = Some(EdgeStarted { at, version, birth, sessions });
            }
            Fact::AuthFailures { nas_name, username, reason, count } => {
                let failures = AuthFailures { at, nas_name, username, reason, count };
                self.failures.push(failures);
            }
            Fact::Effect(effect) => self.effects.push((seq, effect)),
        }
    }

    fn session(&mut self, session: SessionId, seq: u64, at: Timestamp) -> &mut SessionChange {
        let change = self.sessions.entry(session).or_insert_with(|| SessionChange {
            since: at,
            started: None,
            seqs: Vec::new(),
            readings: Vec::new(),
            stopped: None,
        });
        change.since = change.since.min(at);
        change.seqs.push(seq);
        change
    }
}

impl SessionChange {
    /// What each reading adds to what is in the books, and the counters afterwards.
    pub fn settle(&self, known: Counters) -> (Vec<Reading>, Counters) {
        let mut seen = known;
        let mut added = Vec::with_capacity(self.readings.len());
        for &Reading { seq, at, counters } in &self.readings {
            let next = seen.max(counters);
            let more = next - seen;
            if more != Counters::default() {
                added.push(Reading { seq, at, counters: more });
            }
            seen = next;
        }
        (added, seen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn reading(seq: u64, down_bytes: u64, up_bytes: u64) -> Reading {
        let counters = Counters { down_bytes, up_bytes, ..Counters::default() };
        Reading { seq, at: Timestamp::UNIX_EPOCH, counters }
    }

    fn change(readings: Vec<Reading>) -> SessionChange {
        let seqs = readings.iter().map(|reading| reading.seq).collect();
        let since = Timestamp::UNIX_EPOCH;
        SessionChange { since, started: None, seqs, readings, stopped: None }
    }

    #[test]
    fn only_what_is_new_is_added() {
        let known = Counters { down_bytes: 100, up_bytes: 10, ..Counters::default() };
        let readings = vec![reading(1, 90, 9), reading(2, 150, 10), reading(3, 150, 25)];
        let (added, after) = change(readings).settle(known);
        assert_eq!(added, [reading(2, 50, 0), reading(3, 0, 15)]);
        assert_eq!((after.down_bytes, after.up_bytes), (150, 25));
    }

    proptest! {
        /// The books and their usage rows cannot drift apart.
        #[test]
        fn what_is_added_is_the_difference_to_the_counters(
            known in (0_u64..1000, 0_u64..1000),
            readings in vec((0_u64..1000, 0_u64..1000), 0..20),
        ) {
            let known = reading(0, known.0, known.1).counters;
            let readings: Vec<_> =
                (1..).zip(readings).map(|(seq, (down, up))| reading(seq, down, up)).collect();
            let (added, after) = change(readings).settle(known);
            let sum = added.iter().fold(known, |sum, one| sum + one.counters);
            prop_assert_eq!(sum, after);
        }
    }
}
