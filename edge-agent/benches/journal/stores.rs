//! Three ways to make the same records durable.

use std::{fs::File, io::Write as _, path::Path};

use edge_agent::journal::Journal;
use prost::Message as _;
use rusqlite::{Connection, params};
use shared::{
    id::{EpochId, SessionId},
    octets::Counters,
    wire::latest::journal::{Event, GENESIS, Hash, Record, Usage, link},
};
use uuid::Uuid;

pub(crate) trait Store {
    fn name(&self) -> &'static str;

    /// Durable when it returns.
    fn append(&mut self, records: &[Record]);
}

/// The edge's.
pub(crate) struct Ours(pub(crate) Journal);

impl Ours {
    pub(crate) fn create(path: &Path) -> Self {
        let epoch = EpochId::from_uuid(Uuid::from_u128(1));
        Self(Journal::open(path, epoch).expect("a journal"))
    }
}

impl Store for Ours {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn append(&mut self, records: &[Record]) {
        let at_ms = records.last().map_or(AT_MS, |record| record.at_ms);
        self.0.append(at_ms, records, &[]).expect("it is written");
    }
}

/// A row a record, a transaction a group; as safe.
pub(crate) struct Table {
    db: Connection,
    next_seq: u64,
    hash: Hash,
}

impl Table {
    pub(crate) fn create(path: &Path) -> Self {
        let db = Connection::open(path).expect("a database");
        db.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full;
             create table record (seq integer primary key, hash blob not null, body blob not null)
               strict;",
        )
        .expect("a table");
        Self { db, next_seq: 1, hash: GENESIS }
    }
}

impl Store for Table {
    fn name(&self) -> &'static str {
        "SQLite, a row each"
    }

    fn append(&mut self, records: &[Record]) {
        let group = self.db.transaction().expect("one writes");
        for record in records {
            let body = record.encode_to_vec();
            self.hash = link(&self.hash, &body);
            group
                .prepare_cached("insert into record (seq, hash, body) values (?1, ?2, ?3)")
                .and_then(|mut insert| insert.execute(params![self.next_seq, self.hash, body]))
                .expect("a row");
            self.next_seq += 1;
        }
        group.commit().expect("it is written");
    }
}

/// The least that must be done: the same bytes at the end of a file, and `fdatasync`.
pub(crate) struct Bare(File);

impl Bare {
    pub(crate) fn create(path: &Path) -> Self {
        Self(File::create(path).expect("a file"))
    }
}

impl Store for Bare {
    fn name(&self) -> &'static str {
        "write, fdatasync"
    }

    fn append(&mut self, records: &[Record]) {
        let bytes: Vec<u8> =
            records.iter().flat_map(Record::encode_length_delimited_to_vec).collect();
        self.0.write_all(&bytes).expect("it is written");
        self.0.sync_data().expect("it is on the disk");
    }
}

/// A NAS tells what a session has moved so far, for the `n`th time; a second lies between two.
pub(crate) fn record(session: u64, n: u64) -> Record {
    let session = SessionId::from_uuid(Uuid::from_u64_pair(0x0198_b2f4_c0de_7000, session));
    let counters = Counters {
        down_bytes: 1_000_000 * n,
        up_bytes: 100_000 * n,
        down_packets: 1_000 * n,
        up_packets: 700 * n,
    };
    let usage = Usage { session: session.to_vec(), octets: counters.into() };
    Record { at_ms: AT_MS + 1_000 * n, event: Some(Event::Usage(usage)) }
}

const AT_MS: u64 = 1_790_000_000_000;
