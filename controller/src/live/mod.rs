//! Live data for screens: who watches a topic gets what is there, and then what changes.
//!
//! Nothing is queued. A topic of a tenant is read at most once a second, however many watch; each
//! of them keeps what it was told last and is told the difference. Who is slow skips what was in
//! between.

mod feed;
pub mod http;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::id::TenantId;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};

use self::feed::{Event, Rows};
use crate::{
    actor::Actor,
    db::{Db, StoreError},
    logins::{By, Credential},
    words::choices,
};

choices! {
    /// What can be watched.
    Topic {
        // Their desired and applied states.
        Edges = "edges",
        Payments = "payments",
        // Those that are on-line.
        Sessions = "sessions",
        Tickets = "tickets",
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("too many are watching: try again later")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everybody who watches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watching {
    db: Db,
    seen: Arc<Mutex<SeenByTopic>>,
    places: Arc<Semaphore>,
}

type SeenByTopic = HashMap<(TenantId, &'static str), Arc<Seen>>;

/// A topic of a tenant, as it was read last.
#[derive(Debug, Default)]
struct Seen(AsyncMutex<Option<(Instant, Arc<Rows>)>>);

/// One who watches.
#[derive(Debug)]
pub struct Watch {
    watching: Watching,
    actor: Actor,
    credential: Credential,
    topics: Vec<(Topic, Option<Arc<Rows>>)>,
    since: Instant,
    asked: Instant,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    pub fn new(db: Db) -> Self {
        Self { db, seen: Arc::default(), places: Arc::new(Semaphore::new(WATCHERS_MAX)) }
    }

    pub fn watch(
        &self,
        actor: Actor,
        credential: Credential,
        topics: &[Topic],
    ) -> Result<Watch, LiveError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| LiveError::TooMany)?;
        let topics = topics.iter().map(|topic| (*topic, None)).collect();
        let (since, asked) = (Instant::now(), Instant::now());
        let watching = self.clone();
        Ok(Watch { watching, actor, credential, topics, since, asked, _place: place })
    }

    /// At most a second old.
    async fn rows(&self, tenant: TenantId, topic: Topic) -> Result<Arc<Rows>, StoreError> {
        let seen = {
            let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= TOPICS_KEPT {
                // Those that nobody reads at the moment.
                all.retain(|_, seen| Arc::strong_count(seen) > 1);
            }
            Arc::clone(all.entry((tenant, topic.as_str())).or_default())
        };
        let mut seen = seen.0.lock().await;
        if let Some((at, rows)) = seen.as_ref().filter(|(at, _)| at.elapsed() < EVERY) {
            tracing::trace!(age_us = at.elapsed().as_micros(), "seen");
            return Ok(Arc::clone(rows));
        }
        let mut tx = self.db.tenant(tenant).await?;
        let rows = Arc::new(store::rows(&mut tx, tenant, topic).await?);
        *seen = Some((Instant::now(), Arc::clone(&rows)));
        Ok(rows)
    }
}

impl Watch {
    /// What there is to tell now: at first a snapshot of each topic. None: it is over, because
    /// the login is, or because it was long enough; a browser asks again by itself.
    async fn look(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        if self.since.elapsed() > LIFE {
            return Ok(None);
        }
        if self.asked.elapsed() > ASK_AGAIN {
            self.asked = Instant::now();
            let login = match &self.credential.by {
                By::Login(login) => Some(login.id),
                By::Program(_) => None,
            };
            if !store::may_go_on(&self.watching.db, &self.actor, login).await? {
                return Ok(None);
            }
        }
        let mut events = Vec::new();
        for (topic, told) in &mut self.topics {
            let rows = self.watching.rows(self.actor.tenant, *topic).await?;
            match told.as_ref() {
                None => events.push(feed::snapshot(topic.as_str(), &rows)),
                Some(told) => events.extend(feed::changes(topic.as_str(), told, &rows)),
            }
            *told = Some(rows);
        }
        Ok(Some(events))
    }
}

/// Between two looks at the database.
const EVERY: Duration = Duration::from_secs(1);
/// Who watches so long connects anew, with a token that is good.
const LIFE: Duration = Duration::from_mins(5);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// In all tenants. Each holds a connection open.
const WATCHERS_MAX: usize = 512;
const TOPICS_KEPT: usize = 256;
