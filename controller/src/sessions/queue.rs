//! From the link to the books: batches wait here, bounded, and are applied in runs.
//!
//! Batches of one edge go through one worker, in the order they came. What has no room is
//! dropped: the edge has it on disk and sends it again. The answer goes out after the commit and
//! never before.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use shared::{
    daemon::{Chain, Life},
    id::{EdgeId, EpochId},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{ApplyError, Journals, ingest::Batch};
use crate::{clock, edges::link::Link};

/// The way in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    lanes: Arc<[mpsc::Sender<Letter>]>,
    room: Arc<Semaphore>,
}

/// The way out, for [`Readers::start`].
#[derive(Debug)]
pub struct Readers {
    lanes: Vec<mpsc::Receiver<Letter>>,
}

#[derive(Debug)]
struct Letter {
    edge: EdgeId,
    payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Queue {
    pub fn new() -> (Self, Readers) {
        let (senders, lanes) = (0..LANES).map(|_| mpsc::channel(LETTERS_PER_LANE)).unzip();
        let senders: Vec<_> = senders;
        let room = Arc::new(Semaphore::new(BYTES as usize));
        (Self { lanes: senders.into(), room }, Readers { lanes })
    }

    /// Never waits.
    pub fn push(&self, edge: EdgeId, payload: &[u8]) {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let lane = edge.as_uuid().as_u128() % self.lanes.len() as u128;
        let lane = usize::try_from(lane).ok().and_then(|lane| self.lanes.get(lane));
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok();
        let taken = lane.zip(room).is_some_and(|(lane, room)| {
            let letter = Letter { edge, payload: payload.to_vec(), _room: room };
            lane.try_send(letter).is_ok()
        });
        if !taken {
            metrics::counter!("kennet_journal_dropped_total").increment(1);
        }
    }
}

impl Readers {
    pub fn start(self, life: &Life, journals: &Journals, link: &Link) {
        for lane in self.lanes {
            life.spawn("journal reader", read(lane, journals.clone(), link.clone()));
        }
    }
}

async fn read(mut lane: mpsc::Receiver<Letter>, journals: Journals, link: Link) {
    let mut letters = Vec::with_capacity(LETTERS_PER_RUN);
    while lane.recv_many(&mut letters, LETTERS_PER_RUN).await != 0 {
        for ((edge, epoch), batches) in sort(letters.drain(..)) {
            apply(&journals, &link, edge, epoch, &batches).await;
        }
    }
    // The link has gone, because the daemon stops: so does this, when it is told.
    std::future::pending::<()>().await;
}

/// By journal, each in its order.
fn sort(letters: impl Iterator<Item = Letter>) -> BTreeMap<(EdgeId, EpochId), Vec<Batch>> {
    let mut runs: BTreeMap<_, Vec<Batch>> = BTreeMap::new();
    for Letter { edge, payload, _room } in letters {
        match Batch::read(&payload) {
            Ok(batch) => runs.entry((edge, batch.epoch)).or_default().push(batch),
            Err(error) => {
                metrics::counter!("kennet_journal_malformed_total").increment(1);
                tracing::warn!(edge.id = %edge, %error, "{edge} sent no journal batch: {error}");
            }
        }
    }
    for batches in runs.values_mut() {
        batches.sort_by_key(Batch::first_seq);
    }
    runs
}

async fn apply(journals: &Journals, link: &Link, edge: EdgeId, epoch: EpochId, batches: &[Batch]) {
    let started = Instant::now();
    match journals.apply(edge, epoch, batches, clock::now()).await {
        Ok(ack) => {
            metrics::histogram!("kennet_journal_apply_seconds").record(started.elapsed());
            if let Err(error) = link.ack(edge, &ack).await {
                // The edge sends again, and then it is a replay.
                tracing::debug!(edge.id = %edge, error = %Chain(&error), "no acknowledgement sent");
            }
        }
        Err(error @ ApplyError::UnknownEdge) => {
            tracing::warn!(edge.id = %edge, "{edge} sent a journal and is not served: {error}");
        }
        Err(error) => {
            metrics::counter!("kennet_journal_failures_total").increment(1);
            tracing::error!(edge.id = %edge, error = %Chain(&error), "a journal is not booked");
        }
    }
}

/// As many transactions at once; more than the database's cores gain nothing.
const LANES: usize = 4;
/// A window of a few batches for each of some hundred edges.
const LETTERS_PER_LANE: usize = 512;
/// Longer transactions gain nothing and hold the answer back.
const LETTERS_PER_RUN: usize = 32;
/// What waits takes no more memory than this.
const BYTES: u32 = 128 << 20;
