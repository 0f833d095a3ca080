//! Which edges are there: births, deaths, and when each was last heard.
//!
//! A birth says which life it is of. A death that arrives late is about an earlier life and ends
//! nothing. What an edge says of itself is written to its row; the answer to a birth tells it how
//! far its journal is in the books and where its desired state is.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use shared::{
    daemon::Chain,
    id::{EdgeId, EpochId, TenantId},
    wire::latest::{
        ack::{Ack, Verdict},
        desired::Pointer,
        state::{Birth, State},
    },
};
use tokio::sync::Notify;

use self::store::Presences;
use super::{
    LookAgain,
    link::Link,
    live::Live,
    office::Cutter,
    secret::{EdgeSecrets, SecretHash},
};
use crate::{
    clock,
    db::{Db, StoreError},
    sessions::Journals,
};

mod store;

/// Whose an edge is. `None` for one that is not there or whose access is revoked.
pub async fn tenant_of(db: &Db, edge: EdgeId) -> Result<Option<TenantId>, StoreError> {
    let mut conn = db.ingest.acquire().await?;
    Ok(store::find(&mut conn, edge).await?.map(|(tenant, _)| tenant))
}

/// The edges' secrets, as the database has them now.
#[derive(Clone, Debug)]
pub struct Secrets {
    db: Db,
}

impl Secrets {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Whose the edge is that shows this secret. In constant time; `None` for whoever it is not.
    pub async fn tenant_of(
        &self,
        edge: EdgeId,
        secret: &[u8],
    ) -> Result<Option<TenantId>, StoreError> {
        let mut conn = self.db.ingest.acquire().await?;
        let found = store::find(&mut conn, edge).await?;
        let hash = found.map(|(_, hash)| hash).unwrap_or_default();
        let right = hash.matches(secret);
        Ok(found.filter(|_| right).map(|(tenant, _)| tenant))
    }
}

impl EdgeSecrets for Secrets {
    type Error = StoreError;

    async fn secret_hash(&self, edge: EdgeId) -> Result<Option<SecretHash>, StoreError> {
        let mut conn = self.db.ingest.acquire().await?;
        Ok(store::find(&mut conn, edge).await?.map(|(_, hash)| hash))
    }
}

/// A state message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub state: State,
    /// Kept by the broker from before the controller listened.
    pub retained: bool,
}

/// What an edge's row says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    birth: u64,
    online: bool,
    epoch: Option<EpochId>,
    applied_revision: u64,
    desired: Option<Pointer>,
}

/// Pure: does this message change what is known?
///
/// Births count up, and a message is about one life. A journal that was lost takes the count with
/// it, so that a birth with a new journal counts from anywhere.
fn is_news(known: &Known, state: &State) -> bool {
    match state {
        State::Online(birth) => {
            known.epoch != Some(birth.epoch)
                || birth.birth > known.birth
                || (birth.birth == known.birth && known.online)
        }
        State::Offline { birth } => *birth > known.birth || (*birth == known.birth && known.online),
    }
}

/// What was said and not yet written. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Births {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    said: Mutex<Said>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Said {
    states: BTreeMap<EdgeId, VecDeque<Heard>>,
    seen: BTreeSet<EdgeId>,
}

impl Births {
    /// Never waits. An edge that flaps faster than its row is written loses its oldest states.
    pub fn hear(&self, edge: EdgeId, heard: Heard) {
        let mut said = self.lock();
        let states = said.states.entry(edge).or_default();
        if states.len() == STATES_PER_EDGE {
            states.pop_front();
        }
        states.push_back(heard);
        drop(said);
        self.inner.news.notify_one();
    }

    /// It could not be written: once more, before what was said since.
    fn again(&self, edge: EdgeId, unwritten: impl DoubleEndedIterator<Item = Heard>) {
        let mut said = self.lock();
        let states = said.states.entry(edge).or_default();
        for heard in unwritten.rev() {
            if states.len() < STATES_PER_EDGE {
                states.push_front(heard);
            }
        }
    }

    /// Something came from there.
    pub fn seen(&self, edge: EdgeId) {
        self.lock().seen.insert(edge);
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        // Nothing panics while it is held.
        self.inner.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what [`Births`] hears, and answers.
#[derive(Clone, Debug)]
pub struct Registrar {
    pub db: Db,
    pub journals: Journals,
    pub link: Link,
    pub live: Live,
    pub look_again: LookAgain,
    pub cutter: Cutter,
}

impl Registrar {
    pub async fn run(self, births: Births) {
        let mut write_seen = tokio::time::interval(SEEN_EVERY);
        loop {
            tokio::select! {
                () = births.inner.news.notified() => if !self.write_states(&births).await {
                    tokio::time::sleep(RETRY).await;
                    births.inner.news.notify_one();
                },
                _ = write_seen.tick() => {
                    let seen = std::mem::take(&mut births.lock().seen);
                    if let Err(error) = self.write_seen(&seen).await {
                        tracing::warn!(error = %Chain(&error), "it is not noted who was heard");
                    }
                }
            }
        }
    }

    /// False when something is left to write.
    async fn write_states(&self, births: &Births) -> bool {
        let states = std::mem::take(&mut births.lock().states);
        let mut all = true;
        for (edge, heard) in states {
            let mut heard = heard.into_iter();
            while let Some(next) = heard.next() {
                let Err(error) = self.try_note(edge, &next).await else { continue };
                tracing::error!(edge.id = %edge, error = %Chain(&error), "a state is not noted");
                births.again(edge, std::iter::once(next).chain(heard));
                all = false;
                break;
            }
        }
        all
    }

    async fn try_note(&self, edge: EdgeId, heard: &Heard) -> Result<(), StoreError> {
        let Some(tenant) = tenant_of(&self.db, edge).await? else {
            tracing::warn!(edge.id = %edge, "{edge} is not served and says its state");
            self.cutter.cut_off(edge).await;
            return Ok(());
        };
        let now = clock::now();
        let mut tx = self.db.edge_of(tenant).await?;
        let mut presences = Presences { conn: &mut tx, tenant };
        let Some(known) = presences.lock(edge).await?.filter(|known| is_news(known, &heard.state))
        else {
            return Ok(());
        };
        match &heard.state {
            State::Offline { birth } => {
                presences.write_death(edge, *birth, now).await?;
                tx.commit().await?;
                self.live.forget(edge);
                tracing::info!(edge.id = %edge, "{edge} is off-line");
            }
            State::Online(birth) => {
                presences.write_birth(edge, birth, now).await?;
                tx.commit().await?;
                if !known.online || birth.birth != known.birth {
                    tracing::info!(edge.id = %edge, "{edge} is on-line");
                }
                self.answer(tenant, edge, &known, birth, heard.retained).await?;
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        tenant: TenantId,
        edge: EdgeId,
        known: &Known,
        birth: &Birth,
        retained: bool,
    ) -> Result<(), StoreError> {
        let next_seq = self.journals.next_seq(tenant, edge, birth.epoch).await?;
        // A controller that comes back cannot know what it missed: the edge sends again at once
        // instead of after its patience. A fresh birth sends by itself.
        let verdict = if retained { Verdict::Gap } else { Verdict::Committed };
        let ack = Ack { epoch: birth.epoch, next_seq, verdict };
        if let Err(error) = self.link.ack(edge, &ack).await {
            tracing::debug!(edge.id = %edge, error = %Chain(&error), "no acknowledgement sent");
        }
        match &known.desired {
            Some(pointer) if pointer.revision != birth.applied_revision => {
                if let Err(error) = self.link.point(edge, pointer).await {
                    tracing::debug!(edge.id = %edge, error = %Chain(&error), "no pointer sent");
                }
            }
            Some(_) => {}
            None => self.look_again.ring(),
        }
        if known.applied_revision != birth.applied_revision {
            self.look_again.ring();
        }
        Ok(())
    }

    async fn write_seen(&self, seen: &BTreeSet<EdgeId>) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        let now: Timestamp = clock::now();
        let mut conn = self.db.ingest.acquire().await?;
        let by_tenant = store::by_tenant(&mut conn, seen).await?;
        drop(conn);
        // Access that was taken away by another controller, or by hand.
        let served: BTreeSet<_> = by_tenant.values().flatten().copied().collect();
        for edge in seen.iter().filter(|edge| !served.contains(edge.as_uuid())) {
            self.cutter.cut_off(*edge).await;
        }
        for (tenant, edges) in by_tenant {
            let mut tx = self.db.edge_of(tenant).await?;
            Presences { conn: &mut tx, tenant }.write_seen(&edges, now).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// A birth, a death and what came between.
const STATES_PER_EDGE: usize = 8;
/// The database is away.
const RETRY: Duration = Duration::from_secs(1);
/// Screens call an edge stale after two missed keep-alives.
const SEEN_EVERY: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn known(birth: u64, online: bool) -> Known {
        let epoch = Some(EpochId::from_uuid(Uuid::from_u128(1)));
        Known { birth, online, epoch, applied_revision: 0, desired: None }
    }

    fn online(birth: u64, epoch: u128) -> State {
        State::Online(Birth {
            birth,
            version: String::new(),
            epoch: EpochId::from_uuid(Uuid::from_u128(epoch)),
            applied_revision: 0,
            clock_ms: 0,
            journal_depth: 0,
            interfaces: vec![],
            capabilities: vec![],
        })
    }

    #[test]
    fn a_late_will_does_not_end_a_newer_life() {
        assert!(!is_news(&known(5, true), &State::Offline { birth: 4 }));
        assert!(is_news(&known(5, true), &State::Offline { birth: 5 }));
        assert!(!is_news(&known(5, false), &State::Offline { birth: 5 }));
    }

    #[test]
    fn a_birth_is_of_a_newer_life_or_says_more_of_this_one() {
        assert!(is_news(&known(5, true), &online(5, 1)));
        assert!(is_news(&known(5, false), &online(6, 1)));
        assert!(!is_news(&known(5, false), &online(5, 1)), "that life has ended");
        assert!(!is_news(&known(5, true), &online(4, 1)));
    }

    #[test]
    fn a_new_journal_counts_births_anew() {
        assert!(is_news(&known(50, true), &online(1, 2)));
    }

    /// The life that ended was never heard of.
    #[test]
    fn a_death_after_an_unheard_birth_counts() {
        assert!(is_news(&known(4, true), &State::Offline { birth: 5 }));
    }
}
