//! Everything that the office has for edges, built once and started once.

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
        let journals = Journals::new(db.clone());
        Self { db, link, live, commands, desk, journals, look_again }
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
        };
        life.spawn("edge registrar", registrar.run(births));
        life.spawn("desired state", self.desk.clone().run());
        life.spawn("usage partitions", keep_room(self.journals.clone()));
        Ok(())
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

/// Usage has a partition by month; the next one is there long before it is needed.
async fn keep_room(journals: Journals) {
    let mut every_hour = tokio::time::interval(std::time::Duration::from_hours(1));
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
const REPLY_MAX: std::time::Duration = std::time::Duration::from_secs(5);
