//! Everything that the office has for edges, built once and started once.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use shared::{
    daemon::{Chain, Life},
    id::{CommandId, EdgeId},
    wire::latest::command::{Action, Command, Effect},
};
use uuid::Uuid;

use super::{
    LookAgain,
    commands::Commands,
    desired::Desk,
    link::{Inbox, Link, LinkError, SendError, Target},
    live::Live,
    presence::{Births, Registrar},
};
use crate::{
    broker::Broker,
    clock,
    db::Db,
    seal::Seal,
    sessions::{Journals, queue::Queue},
};

/// Cheap to clone. Until [`Office::start`] nothing is heard and nobody is told.
#[derive(Clone, Debug)]
pub struct Office {
    pub db: Db,
    pub link: Link,
    pub live: Live,
    pub commands: Commands,
    pub desk: Desk,
    pub journals: Journals,
    look_again: LookAgain,
    broker: Arc<OnceLock<Broker>>,
}

/// What came of a command, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Effect(Effect),
    /// The edge has not answered yet; it still executes the command until it expires.
    Pending(CommandId),
}

impl Office {
    pub fn new(db: Db, seal: Seal, look_again: LookAgain) -> Self {
        let link = Link::default();
        let (live, commands) = (Live::default(), Commands::default());
        let desk =
            Desk { db: db.clone(), seal, link: link.clone(), look_again: look_again.clone() };
        let journals = Journals::new(db.clone(), look_again.clone());
        let broker = Arc::default();
        Self { db, link, live, commands, desk, journals, look_again, broker }
    }

    /// With the broker inside this process.
    pub fn start_with(&self, life: &Life, broker: &Broker) -> Result<(), LinkError> {
        // If there is one already, the link says so.
        let _ = self.broker.set(broker.clone());
        self.start(life, Target::at(broker.address(), Some(broker.own_login())))
    }

    /// Connects to the broker and goes to work; returns at once. Once.
    pub fn start(&self, life: &Life, target: Target) -> Result<(), LinkError> {
        let (queue, readers) = Queue::new();
        let births = Births::default();
        let inbox = Inbox {
            journal: queue,
            births: births.clone(),
            live: self.live.clone(),
            commands: self.commands.clone(),
        };
        self.link.start(life, target, inbox)?;
        readers.start(life, &self.journals, &self.link);
        let registrar = Registrar {
            db: self.db.clone(),
            journals: self.journals.clone(),
            link: self.link.clone(),
            live: self.live.clone(),
            look_again: self.look_again.clone(),
            cutter: self.cutter(),
        };
        life.spawn("edge registrar", registrar.run(births));
        life.spawn("desired state", self.desk.clone().run());
        life.spawn("usage partitions", keep_room(self.journals.clone()));
        Ok(())
    }

    pub fn cutter(&self) -> Cutter {
        Cutter { broker: Arc::clone(&self.broker) }
    }

    /// Sends a command and waits a bounded time for its observed effect.
    pub async fn command(
        &self,
        edge: EdgeId,
        action: Action,
        now: Timestamp,
    ) -> Result<Outcome, SendError> {
        let id = CommandId::from_uuid(Uuid::now_v7());
        let expires = now.as_millisecond().saturating_add(EXPIRY_MS);
        let expires_at_ms = u64::try_from(expires).unwrap_or_default();
        let waiting = self.commands.expect(edge, id);
        self.link.command(edge, &Command { id, expires_at_ms, action }).await?;
        let effect = waiting.within(REPLY_MAX).await;
        Ok(effect.map_or(Outcome::Pending(id), Outcome::Effect))
    }
}

/// Ends connections at the broker inside this process, if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cutter {
    broker: Arc<OnceLock<Broker>>,
}

impl Cutter {
    /// Ends an edge's connection now, after its access was taken away. A broker of your own has its
    /// own list of who may come in: take the edge off it.
    pub async fn cut_off(&self, edge: EdgeId) {
        if let Some(broker) = self.broker.get() {
            broker.disconnect(edge).await;
        }
    }
}

/// Usage has a partition by month; the next one is there long before it is needed.
async fn keep_room(journals: Journals) {
    let mut every_hour = tokio::time::interval(Duration::from_hours(1));
    loop {
        every_hour.tick().await;
        if let Err(error) = journals.make_room(clock::now()).await {
            tracing::error!(error = %Chain(&error), "no room is made for next month's usage");
        }
    }
}

/// An edge that comes back later must not end a session that somebody else has by then.
const EXPIRY_MS: i64 = 30_000;
/// A person waits for it.
const REPLY_MAX: Duration = Duration::from_secs(5);
