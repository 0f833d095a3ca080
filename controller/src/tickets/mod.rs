//! Tickets: what somebody complains about or asks for, and until when it is to be done.

pub mod http;
mod state;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{OperatorId, SubscriberId, TenantId, TicketId, TicketNoteId};
use uuid::Uuid;

pub use self::state::{Clock, Priority, TicketState, TicketVerb};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    words::{Change, Name, Text, choices},
};

choices! {
    /// How it came to us.
    TicketChannel {
        Phone = "phone",
        Counter = "counter",
        Email = "email",
        Sms = "sms",
        Whatsapp = "whatsapp",
        Portal = "portal",
    }
}

#[derive(Clone, Debug)]
pub struct Ticket {
    pub id: TicketId,
    /// `TKT-000001`: what the subscriber is told to name it by.
    pub reference: String,
    pub subscriber: Option<SubscriberId>,
    pub subject: Name,
    pub channel: TicketChannel,
    pub priority: Priority,
    pub state: TicketState,
    pub assigned_to: Option<OperatorId>,
    pub clock: Clock,
    pub version: i64,
}

impl Ticket {
    fn snapshot(&self) -> Value {
        json!({
            "reference": self.reference, "subscriber": self.subscriber, "subject": self.subject,
            "priority": self.priority, "state": self.state, "assigned_to": self.assigned_to,
        })
    }
}

/// What was said or done. It stays.
#[derive(Clone, Debug)]
pub struct TicketNote {
    pub id: TicketNoteId,
    pub at: Timestamp,
    pub author: String,
    pub body: Text,
}

#[derive(Clone, Debug)]
pub struct NewTicket {
    pub subscriber: Option<SubscriberId>,
    pub subject: Name,
    pub channel: TicketChannel,
    pub priority: Priority,
    pub body: Text,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct TicketChange {
    pub subject: Option<Name>,
    pub priority: Option<Priority>,
    pub assigned_to: Change<OperatorId>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<TicketState>,
}

#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    #[error("there is no such ticket")]
    Unknown,
    #[error("there is no such subscriber or operator")]
    Dangling,
    #[error("a ticket that is {} cannot be changed by `{}`", state.as_str(), verb.as_str())]
    NotFrom { state: TicketState, verb: TicketVerb },
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for TicketError {
    fn from(error: StoreError) -> Self {
        if error.is_dangling() { Self::Dangling } else { Self::Store(error) }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Tickets {
    db: Db,
}

impl Tickets {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Ticket>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: TicketId) -> Result<Ticket, TicketError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Oldest first.
    pub async fn notes(&self, actor: &Actor, id: TicketId) -> Result<Vec<TicketNote>, TicketError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await?;
        Ok(store::notes(&mut tx, actor.tenant, id).await?)
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewTicket,
    ) -> Result<Made<Ticket>, TicketError> {
        let mut tx = self.db.staff(actor).await?;
        let id = TicketId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let value = find(&mut tx, actor.tenant, TicketId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let now = clock::now();
        let number = store::next_number(&mut tx, actor.tenant).await?;
        let NewTicket { subscriber, subject, channel, priority, body } = new;
        let value = Ticket {
            id,
            reference: format!("TKT-{number:06}"),
            subscriber,
            subject,
            channel,
            priority,
            state: TicketState::Open,
            assigned_to: None,
            clock: Clock::new(now),
            version: 1,
        };
        store::insert(&mut tx, actor.tenant, &value).await?;
        store::insert_note(&mut tx, actor, id, &body, now).await?;
        record(&mut tx, actor, "ticket.create", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: TicketId,
        version: i64,
        change: TicketChange,
    ) -> Result<Ticket, TicketError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.version != version {
            return Err(TicketError::Stale);
        }
        let mut after = before.clone();
        after.subject = change.subject.unwrap_or(after.subject);
        after.priority = change.priority.unwrap_or(after.priority);
        after.assigned_to = change.assigned_to.over(after.assigned_to);
        self.store(tx, actor, "ticket.update", &before, after).await
    }

    /// Moves it to another state. Said twice, the second is refused: the state is what counts.
    pub async fn change_state(
        &self,
        actor: &Actor,
        id: TicketId,
        verb: TicketVerb,
    ) -> Result<Ticket, TicketError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        let refused = TicketError::NotFrom { state: before.state, verb };
        let mut after = before.clone();
        after.state = verb.from(before.state).ok_or(refused)?;
        after.clock = before.clock.enter(after.state, clock::now());
        self.store(tx, actor, "ticket.change-state", &before, after).await
    }

    pub async fn add_note(
        &self,
        actor: &Actor,
        id: TicketId,
        body: &Text,
    ) -> Result<Vec<TicketNote>, TicketError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await?;
        store::insert_note(&mut tx, actor, id, body, clock::now()).await?;
        let notes = store::notes(&mut tx, actor.tenant, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(notes)
    }

    async fn store(
        &self,
        mut tx: Tx,
        actor: &Actor,
        action: &'static str,
        before: &Ticket,
        mut after: Ticket,
    ) -> Result<Ticket, TicketError> {
        store::update(&mut tx, actor.tenant, &after).await?;
        after.version += 1;
        record(&mut tx, actor, action, Some(before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: TicketId) -> Result<Ticket, TicketError> {
    store::find(tx, tenant, id).await?.ok_or(TicketError::Unknown)
}

/// Nobody else changes it until the transaction ends.
async fn lock(tx: &mut Tx, tenant: TenantId, id: TicketId) -> Result<Ticket, TicketError> {
    store::lock(tx, tenant, id).await?;
    find(tx, tenant, id).await
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Ticket>,
    after: &Ticket,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "ticket",
        object_id: after.id.to_string(),
        before: before.map(Ticket::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
