//! Which records of a batch are new. Pure: no clock, no I/O.
//!
//! An edge sends its journal again until it hears that it is committed, in any cuts and in any
//! order. The cursor of `(edge, epoch)` says how far the books are; [`decide`] compares a batch
//! with it. Whoever applies a [`Plan`] moves the cursor in the same transaction.

use shared::{
    id::EpochId,
    wire::latest::{
        ack::Verdict,
        journal::{self, GENESIS, Hash},
    },
};

/// How far the books are in one epoch of one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence number of the first record that is not in the books.
    pub next_seq: u64,
    /// Chain hash before that record.
    pub hash: Hash,
}

impl Cursor {
    pub const START: Self = Self { next_seq: 1, hash: GENESIS };
}

/// A batch whose frame is right; its records are still opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub epoch: EpochId,
    first_seq: u64,
    prev_hash: Hash,
    records: Vec<Vec<u8>>,
}

/// Nobody's journal: such a message is dropped, and cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the message is not a journal batch")]
    Protobuf,
    #[error("the batch names no epoch")]
    Epoch,
    #[error("the batch has no chain hash")]
    Hash,
    #[error("sequence numbers of the batch start at 0 or pass the largest that can be stored")]
    Sequence,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Leave out the first `skip` records, apply the others, move the cursor to `then`.
    Apply { skip: usize, then: Cursor },
    /// All of it is in the books.
    Replay,
    /// It starts after what is in the books.
    Gap,
    /// It does not continue what is in the books, or contradicts it.
    Forked,
}

impl Plan {
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Apply { .. } | Self::Replay => Verdict::Committed,
            Self::Gap => Verdict::Gap,
            Self::Forked => Verdict::Forked,
        }
    }
}

impl Batch {
    pub fn read(payload: &[u8]) -> Result<Self, Malformed> {
        let batch: journal::Batch =
            prost::Message::decode(payload).map_err(|_| Malformed::Protobuf)?;
        Self::try_from(batch)
    }

    /// The records with their sequence numbers, from the `skip`th on.
    pub fn records(&self, skip: usize) -> impl Iterator<Item = (u64, &[u8])> {
        (self.first_seq..).zip(&self.records).skip(skip).map(|(seq, record)| (seq, &record[..]))
    }

    /// The record with this sequence number, if it is in the batch.
    pub fn record(&self, seq: u64) -> Option<&[u8]> {
        let index = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        self.records.get(index).map(Vec::as_slice)
    }

    pub const fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The first sequence number after the batch.
    fn end(&self) -> u64 {
        self.first_seq.saturating_add(self.records.len() as u64)
    }

    /// The chain hash before the `index`th record, if the batch has so many.
    fn hash_before(&self, index: usize) -> Option<Hash> {
        let records = self.records.get(..index)?;
        Some(records.iter().fold(self.prev_hash, |hash, record| journal::link(&hash, record)))
    }
}

impl TryFrom<journal::Batch> for Batch {
    type Error = Malformed;

    fn try_from(batch: journal::Batch) -> Result<Self, Self::Error> {
        let journal::Batch { epoch, first_seq, prev_hash, records } = batch;
        let epoch = EpochId::from_slice(&epoch).ok_or(Malformed::Epoch)?;
        let prev_hash = Hash::try_from(&prev_hash[..]).map_err(|_| Malformed::Hash)?;
        let end = first_seq.checked_add(records.len() as u64);
        if first_seq == 0 || end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Malformed::Sequence);
        }
        Ok(Self { epoch, first_seq, prev_hash, records })
    }
}

/// Compares a batch with the books.
///
/// Where the batch reaches back into them, its hash is compared at the one place where theirs is
/// known: the cursor. What ends before that was compared when it was applied.
pub fn decide(cursor: Cursor, batch: &Batch) -> Plan {
    if batch.first_seq == 1 && batch.prev_hash != GENESIS {
        return Plan::Forked;
    }
    let Some(known) = cursor.next_seq.checked_sub(batch.first_seq) else {
        return Plan::Gap;
    };
    if batch.end() < cursor.next_seq {
        return Plan::Replay;
    }
    // `known` records of the batch are in the books, and the batch has at least so many.
    let Some((skip, at_cursor)) = usize::try_from(known)
        .ok()
        .and_then(|skip| batch.hash_before(skip).map(|hash| (skip, hash)))
    else {
        return Plan::Replay;
    };
    if at_cursor != cursor.hash {
        return Plan::Forked;
    }
    if batch.end() == cursor.next_seq {
        return Plan::Replay;
    }
    let hash =
        batch.records(skip).fold(cursor.hash, |hash, (_seq, record)| journal::link(&hash, record));
    Plan::Apply { skip, then: Cursor { next_seq: batch.end(), hash } }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};
    use uuid::Uuid;

    use super::*;

    /// Records of a journal, and the batch of any part of it.
    #[derive(Clone, Debug)]
    struct History(Vec<Vec<u8>>);

    impl History {
        fn batch(&self, from: usize, to: usize) -> Batch {
            let before = &self.0[..from];
            Batch {
                epoch: EpochId::from_uuid(Uuid::from_u128(1)),
                first_seq: from as u64 + 1,
                prev_hash: before.iter().fold(GENESIS, |hash, one| journal::link(&hash, one)),
                records: self.0[from..to].to_vec(),
            }
        }
    }

    /// The books: what was applied, and the cursor.
    #[derive(Debug)]
    struct Books {
        cursor: Cursor,
        applied: Vec<(u64, Vec<u8>)>,
    }

    impl Books {
        const fn new() -> Self {
            Self { cursor: Cursor::START, applied: Vec::new() }
        }

        fn receive(&mut self, batch: &Batch) -> Plan {
            let plan = decide(self.cursor, batch);
            if let Plan::Apply { skip, then } = plan {
                let new = batch.records(skip).map(|(seq, record)| (seq, record.to_vec()));
                self.applied.extend(new);
                self.cursor = then;
            }
            plan
        }
    }

    fn history() -> impl Strategy<Value = History> {
        vec(vec(any::<u8>(), 0..6), 1..40).prop_map(History)
    }

    /// Any part of the history, empty ones too.
    fn cuts() -> impl Strategy<Value = Vec<(Index, Index)>> {
        vec(any::<(Index, Index)>(), 0..60)
    }

    fn cut(history: &History, (a, b): &(Index, Index)) -> Batch {
        let (a, b) = (a.index(history.0.len() + 1), b.index(history.0.len() + 1));
        history.batch(a.min(b), a.max(b))
    }

    proptest! {
        /// The edge's rule is only: send again from where the answer says.
        #[test]
        fn whatever_arrives_each_record_is_applied_once_and_in_order(
            history in history(),
            cuts in cuts(),
            size in 1_usize..9,
        ) {
            let mut books = Books::new();
            for part in &cuts {
                let before = books.cursor;
                let batch = cut(&history, part);
                match books.receive(&batch) {
                    Plan::Apply { .. } => prop_assert!(books.cursor.next_seq > before.next_seq),
                    Plan::Gap => prop_assert!(batch.first_seq > before.next_seq),
                    Plan::Replay => prop_assert!(batch.end() <= before.next_seq),
                    Plan::Forked => prop_assert!(false, "an honest history forked"),
                }
            }
            while books.applied.len() < history.0.len() {
                let from = usize::try_from(books.cursor.next_seq).unwrap() - 1;
                let to = history.0.len().min(from + size);
                let plan = books.receive(&history.batch(from, to));
                let applied = matches!(plan, Plan::Apply { .. });
                prop_assert!(applied, "{:?}", plan);
            }
            let want: Vec<_> = (1..).zip(history.0.iter().cloned()).collect();
            prop_assert_eq!(books.applied, want);
        }

        /// Every batch that holds or follows a changed record, and meets the cursor, is refused.
        #[test]
        fn a_changed_history_is_never_applied(
            history in history(),
            known in any::<Index>(),
            changed in any::<Index>(),
            part in any::<(Index, Index)>(),
        ) {
            let known = known.index(history.0.len()) + 1;
            let changed = changed.index(known);
            let mut other = history.clone();
            other.0[changed].push(0);

            let mut books = Books::new();
            books.receive(&history.batch(0, known));
            let before = books.applied.clone();
            let batch = cut(&other, &part);
            let plan = books.receive(&batch);
            prop_assert_eq!(&books.applied, &before);
            let meets = batch.first_seq <= known as u64 + 1 && batch.end() > known as u64;
            if meets {
                prop_assert_eq!(plan, Plan::Forked);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            let _ = Batch::read(&bytes);
        }
    }

    #[test]
    fn a_journal_starts_from_nothing() {
        let history = History(vec![vec![1], vec![2]]);
        let mut first = history.batch(0, 2);
        first.prev_hash = [7; 32];
        assert_eq!(decide(Cursor::START, &first), Plan::Forked);
        assert_eq!(decide(Cursor::START, &history.batch(1, 2)), Plan::Gap);
        assert_eq!(decide(Cursor::START, &history.batch(0, 0)), Plan::Replay);
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        let right = || journal::Batch {
            epoch: vec![0; 16],
            first_seq: 1,
            prev_hash: vec![0; 32],
            records: vec![vec![]],
        };
        assert!(Batch::try_from(right()).is_ok());
        for (wrong, why) in [
            (journal::Batch { epoch: vec![0; 15], ..right() }, Malformed::Epoch),
            (journal::Batch { prev_hash: vec![], ..right() }, Malformed::Hash),
            (journal::Batch { first_seq: 0, ..right() }, Malformed::Sequence),
            (journal::Batch { first_seq: u64::MAX, ..right() }, Malformed::Sequence),
            (journal::Batch { first_seq: i64::MAX as u64, ..right() }, Malformed::Sequence),
        ] {
            assert_eq!(Batch::try_from(wrong), Err(why));
        }
        assert_eq!(Batch::read(b"\xff\xff"), Err(Malformed::Protobuf));
    }
}
