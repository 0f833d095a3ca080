//! What an edge has to tell: sessions that start, are heard of again and again, and end.

use prost::Message as _;
use shared::{
    id::{EpochId, SessionId},
    octets::Counters,
    wire::latest::journal::{
        self, Event, GENESIS, Hash, Metering, Record, SessionStarted, SessionStopped, Usage,
    },
};
use uuid::Uuid;

use crate::fill::{Account, Provider};

/// A journal that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    provider: Provider,
    account: Account,
    pub(crate) epoch: EpochId,
    head: u64,
    hash: Hash,
    slots: Vec<Slot>,
    /// Whose turn it is.
    turn: usize,
    /// Sessions so far.
    count: u32,
    pub(crate) told: Told,
}

/// Who is on-line in one place, one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    session: Option<SessionId>,
    counters: Counters,
    /// Readings of the session that is there.
    readings: u32,
}

/// What the books must come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) records: u64,
    /// Those that move counters.
    pub(crate) readings: u64,
    pub(crate) sessions: u64,
    pub(crate) down_bytes: u64,
}

/// A batch as it goes over the wire, and what its usage is as rows.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) first_seq: u64,
    pub(crate) next_seq: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) lines: Vec<Line>,
}

/// One record as somebody would write it down who keeps no books.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) session: SessionId,
    pub(crate) seq: u64,
    pub(crate) counters: Counters,
}

impl Story {
    /// Of an edge with so many places.
    pub(crate) fn new(provider: &Provider, account: &Account, slots: usize) -> Self {
        Self {
            provider: provider.clone(),
            account: account.clone(),
            epoch: EpochId::from_uuid(Uuid::now_v7()),
            head: 1,
            hash: GENESIS,
            slots: vec![Slot::default(); slots],
            turn: 0,
            count: 0,
            told: Told::default(),
        }
    }

    /// The next so many records.
    pub(crate) fn letter(&mut self, records: u64, at_ms: u64) -> Letter {
        let (first_seq, prev_hash) = (self.head, self.hash);
        let mut encoded = Vec::new();
        let mut lines = Vec::new();
        for _ in 0..records {
            let (event, session, counters) = self.next();
            lines.push(Line { session, seq: self.head, counters });
            let record = Record { at_ms, event: Some(event) }.encode_to_vec();
            self.hash = journal::link(&self.hash, &record);
            self.head += 1;
            encoded.push(record);
        }
        self.told.records += records;
        let batch = journal::Batch {
            epoch: self.epoch.to_vec(),
            first_seq,
            prev_hash: prev_hash.to_vec(),
            records: encoded,
        };
        Letter { first_seq, next_seq: self.head, payload: batch.encode_to_vec(), lines }
    }

    /// Each place in turn: one that is empty is taken, one that was heard of often enough leaves.
    fn next(&mut self) -> (Event, SessionId, Counters) {
        let at = self.turn;
        let number = self.count;
        // Those that came together do not all leave together.
        let most = READINGS + u32::try_from(at % 4).unwrap_or_default();
        let slot = self.slots.get_mut(at).expect("the turn stays below the number of slots");
        let Some(session) = slot.session else {
            let session = SessionId::from_uuid(Uuid::now_v7());
            *slot = Slot { session: Some(session), ..Slot::default() };
            self.count += 1;
            self.told.sessions += 1;
            self.turn = (at + 1) % self.slots.len();
            return (self.started(session, number), session, Counters::default());
        };
        let more = 1_000_000 + u64::from(slot.readings) * 7;
        slot.counters = slot.counters
            + Counters {
                down_bytes: more,
                up_bytes: more / 10,
                down_packets: more / 1_000,
                up_packets: more / 2_000,
            };
        slot.readings += 1;
        let counters = slot.counters;
        self.told.readings += 1;
        self.told.down_bytes += more;
        let octets = counters.into();
        if slot.readings > most {
            // Whoever comes next comes in the same turn.
            *slot = Slot::default();
            let stopped = SessionStopped { session: session.to_vec(), octets, cause: 1 };
            return (Event::SessionStopped(stopped), session, counters);
        }
        self.turn = (at + 1) % self.slots.len();
        (Event::Usage(Usage { session: session.to_vec(), octets }), session, counters)
    }

    fn started(&self, session: SessionId, number: u32) -> Event {
        let [_, _, a, b] = number.to_be_bytes();
        Event::SessionStarted(SessionStarted {
            session: session.to_vec(),
            subscriber: self.provider.subscriber(number).to_vec(),
            subscription: self.provider.subscription(number).to_vec(),
            nas: self.account.nas.to_vec(),
            username: format!("s{}", number % self.provider.subscribers + 1),
            nas_name: "tower".to_owned(),
            mac: vec![2, 0, 0, 0, a, b],
            ip: format!("10.0.{a}.{b}"),
            acct_session_id: format!("{number:08x}"),
            down_kbps: 10_000,
            up_kbps: 5_000,
            metering: Metering::Kernel.into(),
            revision: 1,
        })
    }

    pub(crate) const fn tenant(&self) -> &Uuid {
        self.provider.tenant.as_uuid()
    }
}

impl Letter {
    pub(crate) const fn records(&self) -> u64 {
        self.next_seq - self.first_seq
    }
}

/// At least so often a session is heard of before it ends.
const READINGS: u32 = 8;
