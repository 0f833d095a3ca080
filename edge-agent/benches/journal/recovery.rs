//! A journal of a million records whose program was killed: how long until the next one knows what
//! it has to know, and how large it is.

use std::{fs, path::Path, time::Instant};

use edge_agent::journal::{Journal, Reader};
use shared::id::EpochId;
use uuid::Uuid;

use crate::{
    sheet::{Sheet, float},
    stores::{Ours, Store as _, record},
};

pub(crate) const CASE: &str = "a million records";

const OPENED: (&str, &str) = ("open after a kill, and what happened last", "ms");
const FOUND: (&str, &str) = ("find what is not acknowledged, and count it", "ms");
const SIZE: (&str, &str) = ("size for a record", "B");

pub(crate) fn measure(sheet: &mut Sheet, is_quick: bool) {
    let records = if is_quick { 100_000 } else { 1_000_000 };
    let case = if is_quick { "100,000 records" } else { CASE };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let mut ours = Ours::create(&path);
    for group in 0..records / GROUP {
        let records: Vec<_> = (0..GROUP).map(|session| record(session, group)).collect();
        ours.append(&records);
    }
    for round in 0..if is_quick { 1 } else { 5 } {
        // What a kill leaves: the writer has not said goodbye.
        let left = folder.path().join(format!("left-{round}.db"));
        for end in ["", "-wal"] {
            fs::copy(with(&path, end), with(&left, end)).expect("a copy");
        }
        let since = Instant::now();
        let journal = Journal::open(&left, EpochId::from_uuid(Uuid::from_u128(2)));
        let journal = journal.expect("it opens");
        let recent = journal.recent(RECENT_MS).expect("it is read");
        sheet.add(OPENED, case, ours.name(), since.elapsed().as_secs_f64() * 1e3);
        assert_eq!(journal.head().next_seq, records + 1, "nothing durable is lost");
        assert!(!recent.is_empty(), "something has happened");
        let since = Instant::now();
        let reader = Reader::open(&left).expect("it opens");
        let (first, depth) = (reader.first_open(), reader.depth());
        sheet.add(FOUND, case, ours.name(), since.elapsed().as_secs_f64() * 1e3);
        assert_eq!(first.expect("it is read"), Some(1));
        assert_eq!(depth.expect("it is counted"), records);
        drop((journal, reader));
        let size = fs::metadata(&left).expect("it is there").len();
        sheet.add(SIZE, case, ours.name(), float(size) / float(records));
    }
}

fn with(path: &Path, end: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A second.
const GROUP: u64 = 100;
/// As the session thread asks after a start.
const RECENT_MS: u64 = 130_000;
