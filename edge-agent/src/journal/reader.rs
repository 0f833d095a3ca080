//! Reading the journal beside its writer: for the uplink and for people.

use std::path::{Path, PathBuf};

use prost::Message as _;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use shared::{
    id::{EpochId, SessionId},
    wire::latest::journal::{Batch, Hash, Record},
};

use super::{JournalError, depth, frames};

#[derive(Debug)]
pub struct Reader {
    db: Connection,
    path: PathBuf,
    epoch: EpochId,
}

/// A record with its place in the journal; `record` is `None` when its bytes are of a later
/// version.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered {
    pub seq: u64,
    pub acknowledged: bool,
    pub record: Option<Record>,
}

struct Stored {
    first_seq: u64,
    prev_hash: Hash,
    records: Vec<u8>,
    acknowledged: bool,
}

impl Reader {
    /// Of a journal that is there; does not create one.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed =
            |source| JournalError::Database { attempt: "open", path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(failed)?;
        db.execute_batch("pragma busy_timeout = 5000; pragma query_only = 1;").map_err(failed)?;
        let epoch: Vec<u8> =
            db.query_row("select epoch from head", [], |row| row.get(0)).map_err(failed)?;
        let epoch = EpochId::from_slice(&epoch)
            .ok_or_else(|| JournalError::Corrupt { path: path.to_owned(), what: "epoch" })?;
        Ok(Self { db, path: path.to_owned(), epoch })
    }

    pub const fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// Records that are not acknowledged.
    pub fn depth(&self) -> Result<u64, JournalError> {
        depth(&self.db).map_err(|source| self.failed(source))
    }

    /// The first sequence number that is not acknowledged, if any is not.
    pub fn first_open(&self) -> Result<Option<u64>, JournalError> {
        self.db
            .query_row("select min(first_seq) from batch where acked = 0", [], |row| row.get(0))
            .map_err(|source| self.failed(source))
    }

    /// Consecutive records from the stored batch that contains `from`, at most about `count_max`
    /// of them and about `bytes_max`, and at least one stored batch. `None` if there is nothing.
    pub fn batch(
        &self,
        from: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Batch>, JournalError> {
        let mut batch: Option<Batch> = None;
        let (mut next, mut bytes) = (from, 0);
        while let Some(stored) = self.stored(next)? {
            bytes += stored.records.len();
            let records = self.frames(&stored)?;
            let batch = batch.get_or_insert_with(|| Batch {
                epoch: self.epoch.to_vec(),
                first_seq: stored.first_seq,
                prev_hash: stored.prev_hash.to_vec(),
                records: Vec::new(),
            });
            next = stored.first_seq + records.len() as u64;
            batch.records.extend(records);
            if batch.records.len() >= count_max || bytes >= bytes_max {
                break;
            }
        }
        Ok(batch)
    }

    /// Every record that is still here from sequence number `from` on, for people.
    pub fn records(&self, from: u64) -> Result<Vec<Numbered>, JournalError> {
        let mut numbered = Vec::new();
        let mut query = self
            .db
            .prepare(
                "select first_seq, prev_hash, records, acked from batch
                  where last_seq >= ?1 order by first_seq",
            )
            .map_err(|source| self.failed(source))?;
        let stored = query
            .query_map(params![from], Stored::from_row)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| self.failed(source))?;
        for stored in stored {
            for (seq, record) in (stored.first_seq..).zip(self.frames(&stored)?) {
                let record = Record::decode(record.as_slice()).ok();
                numbered.push(Numbered { seq, acknowledged: stored.acknowledged, record });
            }
        }
        numbered.retain(|numbered| numbered.seq >= from);
        Ok(numbered)
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> Result<Vec<(SessionId, Vec<u8>)>, JournalError> {
        sessions(&self.db).map_err(|source| self.failed(source))
    }

    fn stored(&self, seq: u64) -> Result<Option<Stored>, JournalError> {
        self.db
            .prepare_cached(
                "select first_seq, prev_hash, records, acked from batch
                  where first_seq <= ?1 and last_seq >= ?1
                  order by first_seq desc limit 1",
            )
            .and_then(|mut query| query.query_row(params![seq], Stored::from_row).optional())
            .map_err(|source| self.failed(source))
    }

    fn frames(&self, stored: &Stored) -> Result<Vec<Vec<u8>>, JournalError> {
        frames(&stored.records)
            .ok_or_else(|| JournalError::Corrupt { path: self.path.clone(), what: "batch" })
    }

    fn failed(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Database { attempt: "read", path: self.path.clone(), source }
    }
}

impl Stored {
    fn from_row(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            first_seq: row.get(0)?,
            prev_hash: row.get(1)?,
            records: row.get(2)?,
            acknowledged: row.get(3)?,
        })
    }
}

pub(super) fn sessions(db: &Connection) -> Result<Vec<(SessionId, Vec<u8>)>, rusqlite::Error> {
    let mut query = db.prepare_cached("select id, body from session")?;
    let rows = query.query_map([], |row| {
        let id: [u8; 16] = row.get(0)?;
        Ok((SessionId::from_uuid(uuid::Uuid::from_bytes(id)), row.get(1)?))
    })?;
    rows.collect()
}
