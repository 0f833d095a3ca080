//! What journals bring into the books.

use prost::Message as _;
use shared::{
    id::{EdgeId, EpochId},
    wire::latest::{
        ack::Verdict,
        journal::{self, EdgeStarted, Event, GENESIS, Hash},
    },
};
use uuid::Uuid;

use controller::{
    clock,
    edges::LookAgain,
    sessions::{Journals, ingest::Batch},
};

use crate::world::{Books, EDGE, Found, is};

checks! { OF_THE_DESIGN:
    a_batch_is_acknowledged: "a batch of usage is acknowledged", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await
    }
    a_replay_changes_nothing: "a replay is acknowledged and changes nothing", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed), (3, Verdict::Committed)]).await?;
        is(&books.a, "SELECT next_seq FROM journal_cursor", "3").await
    }
    a_gap_is_answered: "a gap is told where to resume", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await?;
        apply(books, 6, GENESIS, 1, &[(3, Verdict::Gap)]).await
    }
    another_history_is_refused: "another history is refused", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await?;
        apply(books, 3, [9; 32], 1, &[(3, Verdict::Forked)]).await
    }
}

/// What the journal's way into the books answers, for each time that the same batch comes.
async fn apply(
    books: &Books,
    first_seq: u64,
    prev_hash: Hash,
    records: usize,
    want: &[(u64, Verdict)],
) -> Found {
    let epoch = EpochId::from_uuid(Uuid::from_u128(7));
    let record =
        journal::Record { at_ms: 1, event: Some(Event::EdgeStarted(EdgeStarted::default())) };
    for (next_seq, verdict) in want {
        let batch = journal::Batch {
            epoch: epoch.to_vec(),
            first_seq,
            prev_hash: prev_hash.to_vec(),
            records: vec![record.encode_to_vec(); records],
        };
        let batch = Batch::try_from(batch).expect("a batch");
        let edge = EdgeId::from_uuid(EDGE.parse().expect("a UUID"));
        let journals = Journals::new(books.db.clone(), LookAgain::default());
        let ack = journals.apply(edge, epoch, &[batch], clock::now()).await;
        let ack = ack.map_err(|error| error.to_string())?;
        if (ack.next_seq, ack.verdict) != (*next_seq, *verdict) {
            return Err(format!("got {ack:?}, want {next_seq} {verdict:?}"));
        }
    }
    Ok(())
}
