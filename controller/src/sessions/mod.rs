//! Who is and was on-line, and what they moved: exactly once, from the journals of the edges.
//!
//! It is not where live rates come from (that is [`crate::edges::live`], for screens only). A
//! journal's way into the books: [`queue`] takes it from the link, [`ingest`] decides which
//! records are new, [`record`] and [`changes`] say what they mean, and [`Journals::apply`] writes
//! it in one transaction, with what it takes out of what subscribers have (`used`).

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};
use shared::{
    id::{EdgeId, EpochId, SessionId, TenantId},
    octets::Counters,
    wire::latest::ack::{Ack, Verdict},
};

use self::{
    changes::{Changes, OddRecord, Reading},
    ingest::{Batch, Cursor, Plan, decide},
    record::Odd,
    store::{Books, Known, Settled},
};
use crate::{
    db::{self, AsStoreError, Db, StoreError},
    edges::{LookAgain, presence},
};

pub mod changes;
pub mod effects;
pub mod http;
pub mod ingest;
pub mod list;
pub mod queue;
pub mod record;
pub mod start;
mod store;
mod used;

/// The journals of all edges. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journals {
    db: Db,
    look_again: LookAgain,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("there is no such edge, or its access is revoked")]
    UnknownEdge,
    #[error("the journal could not be booked")]
    Store(#[from] StoreError),
}

impl AsStoreError for ApplyError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::UnknownEdge => None,
        }
    }
}

impl Journals {
    pub const fn new(db: Db, look_again: LookAgain) -> Self {
        Self { db, look_again }
    }

    /// Books what is new in `batches`, all of one journal, in one transaction. The answer holds
    /// when it is given: it may be sent.
    pub async fn apply(
        &self,
        edge: EdgeId,
        epoch: EpochId,
        batches: &[Batch],
        now: Timestamp,
    ) -> Result<Ack, ApplyError> {
        db::retry(|| self.try_apply(edge, epoch, batches, now)).await
    }

    /// Where the books are in a journal, for an edge that asks by being born.
    pub async fn next_seq(
        &self,
        tenant: TenantId,
        edge: EdgeId,
        epoch: EpochId,
    ) -> Result<u64, StoreError> {
        let mut tx = self.db.edge_of(tenant).await?;
        let cursor = Books { conn: &mut tx, tenant, edge }.look(epoch).await?;
        Ok(cursor.unwrap_or(Cursor::START).next_seq)
    }

    /// Makes the tables' room for this month and the next.
    pub async fn make_room(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut conn = self.db.ingest.acquire().await?;
        for day in [now, now.saturating_add((31 * 24).hours()).unwrap_or(now)] {
            Books::make_room(&mut conn, day).await?;
        }
        Ok(())
    }

    async fn try_apply(
        &self,
        edge: EdgeId,
        epoch: EpochId,
        batches: &[Batch],
        now: Timestamp,
    ) -> Result<Ack, ApplyError> {
        let tenant = presence::tenant_of(&self.db, edge).await?.ok_or(ApplyError::UnknownEdge)?;
        let mut tx = self.db.edge_of(tenant).await?;
        let mut books = Books { conn: &mut tx, tenant, edge };
        let before = books.lock(epoch, now).await?;

        let mut changes = Changes::default();
        let mut cursor = before;
        let mut verdict = Verdict::Committed;
        for batch in batches {
            let plan = decide(cursor, batch);
            if let Plan::Apply { skip, then } = plan {
                batch.records(skip).for_each(|(seq, record)| changes.add(seq, record));
                cursor = then;
            }
            verdict = worse(verdict, plan.verdict());
        }

        let records = changes.records;
        let mut first_fork = false;
        let mut tells = false;
        if cursor != before {
            if before == Cursor::START {
                books.journal_begins(epoch).await?;
            }
            tells = books.write_all(epoch, changes, batches, now).await?;
            books.advance(epoch, before, cursor, now).await?;
        }
        if verdict == Verdict::Forked {
            first_fork = books.mark_forked(now).await?;
        }
        if cursor != before || first_fork {
            tx.commit().await.map_err(StoreError::from)?;
        }
        if tells {
            self.look_again.ring();
        }
        report(edge, verdict, records, first_fork);
        Ok(Ack { epoch, next_seq: cursor.next_seq, verdict })
    }
}

impl Books<'_> {
    /// Says whether edges are to be told of what is used up, or has begun.
    async fn write_all(
        &mut self,
        epoch: EpochId,
        mut changes: Changes,
        batches: &[Batch],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let known = if changes.sessions.is_empty() {
            BTreeMap::new()
        } else {
            self.known(changes.sessions.keys()).await?
        };
        set_foreign_aside(&mut changes, &known, batches, self.edge);

        let mut settled = Vec::with_capacity(changes.sessions.len());
        let mut added: Vec<(SessionId, Reading)> = Vec::new();
        for (&id, change) in &changes.sessions {
            let before = known.get(&id).map_or(Counters::default(), |known| known.counters);
            let (more, counters) = change.settle(before);
            added.extend(more.into_iter().map(|reading| (id, reading)));
            settled.push(Settled { id, change, counters });
        }
        if !settled.is_empty() {
            let started = changes.sessions.values().filter_map(|change| change.started.as_deref());
            let ours = if started.clone().next().is_some() {
                self.ours(started).await?
            } else {
                store::Ours::default()
            };
            self.write(&settled, &ours, now).await?;
        }
        if !added.is_empty() {
            self.book_usage(epoch, &added, now).await?;
        }
        let lasted = used::lasted(&settled, &added, &known);
        let tells = self.use_up(&lasted).await?;
        if !changes.failures.is_empty() {
            self.add_failures(&changes.failures).await?;
        }
        if !changes.effects.is_empty() {
            self.keep_effects(epoch, &changes.effects).await?;
        }
        if let Some(started) = &changes.edge_started {
            self.edge_started(started).await?;
        }
        if !changes.odd.is_empty() {
            metrics::counter!("kennet_journal_odd_total").increment(changes.odd.len() as u64);
            self.keep_odd(epoch, changes.odd, now).await?;
        }
        Ok(tells)
    }
}

/// An edge cannot speak of another edge's session: its records are kept and not booked.
fn set_foreign_aside(
    changes: &mut Changes,
    known: &BTreeMap<SessionId, Known>,
    batches: &[Batch],
    edge: EdgeId,
) {
    for (session, _) in known.iter().filter(|(_, known)| known.edge != edge) {
        let Some(change) = changes.sessions.remove(session) else { continue };
        tracing::error!(
            edge.id = %edge,
            session.id = %session,
            "{edge} reports {session}, which is another edge's: kept aside"
        );
        for seq in change.seqs {
            let bytes = batches.iter().find_map(|batch| batch.record(seq));
            let bytes = bytes.unwrap_or_default().to_vec();
            changes.odd.push(OddRecord { seq, bytes, reason: Odd::Foreign });
        }
    }
}

/// Batches come sorted, so that a gap is not filled by a later one.
fn worse(before: Verdict, now: Verdict) -> Verdict {
    match (before, now) {
        (Verdict::Forked, _) | (_, Verdict::Forked) => Verdict::Forked,
        (Verdict::Gap, _) | (_, Verdict::Gap) => Verdict::Gap,
        (Verdict::Committed, Verdict::Committed) => Verdict::Committed,
    }
}

fn report(edge: EdgeId, verdict: Verdict, records: u64, first_fork: bool) {
    let word = match verdict {
        Verdict::Committed => "committed",
        Verdict::Gap => "gap",
        Verdict::Forked => "forked",
    };
    metrics::counter!("kennet_journal_runs_total", "verdict" => word).increment(1);
    metrics::counter!("kennet_journal_records_total").increment(records);
    if first_fork {
        tracing::error!(
            edge.id = %edge,
            "the journal of {edge} does not continue the one in the books: nothing of it is \
             applied until a person has looked"
        );
    }
}
