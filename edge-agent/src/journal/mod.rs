//! The ordered, hash-chained log of what happened here, on disk.
//!
//! One SQLite file (WAL, `synchronous=FULL`) holds the batches of records and the sessions that
//! are open, so that "written down" and "who is on-line" can never disagree. [`Journal`] is the
//! writer, owned by the session thread: one call is one transaction and one fsync, however many
//! records it has. [`Reader`] is for everybody else. A batch stays until the controller has
//! acknowledged it, and a while longer for people who look.
//!
//! It is not the protocol with the controller: that is `uplink`.

use std::path::{Path, PathBuf};

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, params};
use shared::{
    id::{EpochId, SessionId},
    wire::latest::journal::{GENESIS, Hash, Record, link},
};

mod reader;

pub use reader::{Numbered, Reader};

#[derive(Debug)]
pub struct Journal {
    db: Connection,
    head: Head,
    birth: u64,
}

/// Where the chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub epoch: EpochId,
    /// Sequence number of the next record; the first is 1.
    pub next_seq: u64,
    pub hash: Hash,
}

/// A change of the sessions that are open; `body` is opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Put { session: SessionId, body: Vec<u8> },
    Delete { session: SessionId },
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {attempt} the journal {path}")]
    Database { attempt: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error("the journal {path} has an impossible {what}: it was not written by this program")]
    Corrupt { path: PathBuf, what: &'static str },
}

impl Journal {
    /// Opens or creates the journal and counts one more birth. `fresh` becomes the epoch of a
    /// journal that is created.
    pub fn open(path: &Path, fresh: EpochId) -> Result<Self, JournalError> {
        let failed = |attempt| {
            move |source| JournalError::Database { attempt, path: path.to_owned(), source }
        };
        let mut db = Connection::open(path).map_err(failed("open"))?;
        db.execute_batch(SCHEMA).map_err(failed("prepare"))?;
        let change = db.transaction().map_err(failed("open"))?;
        change
            .execute(
                "insert into head (one, epoch, next_seq, hash, birth) values (1, ?1, 1, ?2, 0)
                 on conflict do nothing",
                params![fresh.to_vec(), GENESIS],
            )
            .map_err(failed("start"))?;
        change.execute("update head set birth = birth + 1", []).map_err(failed("open"))?;
        let (epoch, next_seq, hash, birth) = change
            .query_row("select epoch, next_seq, hash, birth from head", [], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .map_err(failed("read"))?;
        change.commit().map_err(failed("open"))?;
        let corrupt = |what| JournalError::Corrupt { path: path.to_owned(), what };
        let epoch = EpochId::from_slice(&epoch).ok_or_else(|| corrupt("epoch"))?;
        Ok(Self { db, head: Head { epoch, next_seq, hash }, birth })
    }

    pub const fn head(&self) -> Head {
        self.head
    }

    /// How often this journal has been opened, this time included.
    pub const fn birth(&self) -> u64 {
        self.birth
    }

    /// Writes all of it or nothing; when it returns `Ok`, it is on the disk.
    pub fn append(
        &mut self,
        at_ms: u64,
        records: &[Record],
        rows: &[Row],
    ) -> Result<(), JournalError> {
        if records.is_empty() && rows.is_empty() {
            return Ok(());
        }
        let mut head = self.head;
        let mut bytes = Vec::with_capacity(records.len() * 96);
        for record in records {
            let encoded = record.encode_to_vec();
            head.hash = link(&head.hash, &encoded);
            head.next_seq += 1;
            put_frame(&mut bytes, &encoded);
        }
        self.write(at_ms, &head, &bytes, rows).map_err(|source| self.failed("write to", source))?;
        self.head = head;
        Ok(())
    }

    fn write(
        &mut self,
        at_ms: u64,
        head: &Head,
        bytes: &[u8],
        rows: &[Row],
    ) -> Result<(), rusqlite::Error> {
        let from = self.head;
        let change = self.db.transaction()?;
        if head.next_seq > from.next_seq {
            change
                .prepare_cached(
                    "insert into batch (first_seq, last_seq, prev_hash, records, at_ms)
                     values (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![from.next_seq, head.next_seq - 1, from.hash, bytes, at_ms])?;
            change
                .prepare_cached("update head set next_seq = ?1, hash = ?2")?
                .execute(params![head.next_seq, head.hash])?;
        }
        for row in rows {
            match row {
                Row::Put { session, body } => change
                    .prepare_cached("insert or replace into session (id, body) values (?1, ?2)")?
                    .execute(params![session.as_uuid().as_bytes(), body])?,
                Row::Delete { session } => change
                    .prepare_cached("delete from session where id = ?1")?
                    .execute(params![session.as_uuid().as_bytes()])?,
            };
        }
        change.commit()
    }

    /// The controller has everything before `next_seq`. What it has had since before `older_ms`
    /// is deleted.
    pub fn acknowledged(&mut self, next_seq: u64, older_ms: u64) -> Result<(), JournalError> {
        let marked = self.db.execute(
            "update batch set acked = 1 where acked = 0 and last_seq < ?1",
            params![next_seq],
        );
        let pruned = marked.and_then(|_| {
            self.db.execute("delete from batch where acked = 1 and at_ms < ?1", params![older_ms])
        });
        pruned.map(drop).map_err(|source| self.failed("prune", source))
    }

    /// The sessions that were open when the journal was last written.
    pub fn sessions(&self) -> Result<Vec<(SessionId, Vec<u8>)>, JournalError> {
        reader::sessions(&self.db).map_err(|source| self.failed("read", source))
    }

    /// The records of its last so many milliseconds, the newest first; at a start, what the
    /// sessions' rows may not have yet.
    pub fn recent(&self, within_ms: u64) -> Result<Vec<Record>, JournalError> {
        let failed = |source| self.failed("read", source);
        let mut query = self
            .db
            .prepare("select at_ms, records from batch order by first_seq desc")
            .map_err(failed)?;
        let mut rows = query.query([]).map_err(failed)?;
        let mut recent = Vec::new();
        let mut oldest = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let at_ms: u64 = row.get(0).map_err(failed)?;
            if at_ms < *oldest.get_or_insert(at_ms.saturating_sub(within_ms)) {
                break;
            }
            let records: Vec<u8> = row.get(1).map_err(failed)?;
            let records = frames(&records).ok_or_else(|| JournalError::Corrupt {
                path: PathBuf::from(self.db.path().unwrap_or_default()),
                what: "batch",
            })?;
            let records = records.iter().rev();
            recent.extend(records.filter_map(|record| Record::decode(record.as_slice()).ok()));
        }
        Ok(recent)
    }

    fn failed(&self, attempt: &'static str, source: rusqlite::Error) -> JournalError {
        let path = PathBuf::from(self.db.path().unwrap_or_default());
        JournalError::Database { attempt, path, source }
    }
}

/// Records in one blob, each behind its length.
fn put_frame(bytes: &mut Vec<u8>, record: &[u8]) {
    prost::encoding::encode_varint(record.len() as u64, bytes);
    bytes.extend_from_slice(record);
}

/// Undoes [`put_frame`]; `None` if the blob is cut short.
fn frames(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = prost::encoding::decode_varint(&mut bytes).ok()?;
        let (frame, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
        frames.push(frame.to_vec());
        bytes = rest;
    }
    Some(frames)
}

fn depth(db: &Connection) -> Result<u64, rusqlite::Error> {
    db.query_row(
        "select coalesce(sum(last_seq - first_seq + 1), 0) from batch where acked = 0",
        [],
        |row| row.get(0),
    )
    .optional()
    .map(Option::unwrap_or_default)
}

const SCHEMA: &str = "
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma busy_timeout = 5000;
    create table if not exists head (
        one integer primary key check (one = 1),
        epoch blob not null,
        next_seq integer not null,
        hash blob not null,
        birth integer not null
    ) strict;
    create table if not exists batch (
        first_seq integer primary key,
        last_seq integer not null check (last_seq >= first_seq),
        prev_hash blob not null,
        records blob not null,
        at_ms integer not null,
        acked integer not null default 0
    ) strict;
    create index if not exists batch_open on batch (first_seq) where acked = 0;
    create table if not exists session (
        id blob primary key,
        body blob not null
    ) strict, without rowid;
";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::wire::latest::journal::{EdgeStarted, Event};
    use uuid::Uuid;

    use super::*;

    fn record(at_ms: u64) -> Record {
        let started = EdgeStarted { version: "1".into(), birth: at_ms, sessions: 0 };
        Record { at_ms, event: Some(Event::EdgeStarted(started)) }
    }

    fn epoch(n: u128) -> EpochId {
        EpochId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn what_is_appended_is_there_after_a_restart_and_continues_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut journal = Journal::open(&path, epoch(1)).unwrap();
        journal.append(10, &[record(1), record(2)], &[]).unwrap();
        let head = journal.head();
        drop(journal);

        // The epoch offered by a later start is not taken: the journal has one.
        let mut journal = Journal::open(&path, epoch(2)).unwrap();
        assert_eq!(journal.head(), head);
        assert_eq!(journal.head().epoch, epoch(1));
        assert_eq!(journal.birth(), 2);
        journal.append(11, &[record(3)], &[]).unwrap();

        let reader = Reader::open(&path).unwrap();
        let batch = reader.batch(1, 10, 1 << 20).unwrap().unwrap();
        assert_eq!(batch.first_seq, 1);
        assert_eq!(batch.records.len(), 3);
        let hash = batch.records.iter().fold(GENESIS, |hash, record| link(&hash, record));
        assert_eq!(hash, journal.head().hash);
    }

    #[test]
    fn a_batch_is_kept_until_it_is_acknowledged_and_old_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut journal = Journal::open(&path, epoch(1)).unwrap();
        for at_ms in [100, 200, 300] {
            journal.append(at_ms, &[record(at_ms), record(at_ms)], &[]).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.depth().unwrap(), 6);
        // Sequence 3 is acknowledged, 4 is not: the second batch stays open as a whole.
        journal.acknowledged(4, 0).unwrap();
        assert_eq!(reader.depth().unwrap(), 4);
        journal.acknowledged(7, 250).unwrap();
        assert_eq!(reader.depth().unwrap(), 0);
        let kept: Vec<u64> = reader.records(0).unwrap().iter().map(|kept| kept.seq).collect();
        assert_eq!(kept, [5, 6]);
    }

    #[test]
    fn what_was_written_last_is_read_back_the_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.db"), epoch(1)).unwrap();
        assert_eq!(journal.recent(1_000).unwrap(), []);
        for at_ms in [100, 200, 300] {
            journal.append(at_ms, &[record(at_ms), record(at_ms + 1)], &[]).unwrap();
        }
        let recent = journal.recent(100).unwrap();
        let at: Vec<u64> = recent.iter().map(|record| record.at_ms).collect();
        assert_eq!(at, [301, 300, 201, 200]);
    }

    #[test]
    fn sessions_are_written_with_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut journal = Journal::open(&path, epoch(1)).unwrap();
        let [a, b] = [1, 2].map(|n| SessionId::from_uuid(Uuid::from_u128(n)));
        let put = |session, body: &[u8]| Row::Put { session, body: body.to_vec() };
        journal.append(1, &[], &[put(a, b"a1"), put(b, b"b1"), put(a, b"a2")]).unwrap();
        journal.append(2, &[record(1)], &[Row::Delete { session: b }]).unwrap();
        assert_eq!(journal.sessions().unwrap(), [(a, b"a2".to_vec())]);
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "this is a text of more than sixteen octets").unwrap();
        let error = Journal::open(&path, epoch(1)).unwrap_err();
        assert!(error.to_string().contains("journal.db"), "{error}");
    }

    proptest! {
        #[test]
        fn framed_records_come_back(records: Vec<Vec<u8>>) {
            let mut bytes = Vec::new();
            for record in &records {
                put_frame(&mut bytes, record);
            }
            prop_assert_eq!(frames(&bytes), Some(records));
        }

        #[test]
        fn any_bytes_unframe_or_fail(bytes: Vec<u8>) {
            let _ = frames(&bytes);
        }
    }
}
