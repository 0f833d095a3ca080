//! When something was down, as it was measured, and what subscribers get for it.
//!
//! Who paid ahead gets the lost time at the end of the term; who is invoiced afterwards finds it on
//! the next invoice; where neither is possible any more, it goes into the wallet. A lost moment is
//! made good once, whatever else was down then.

pub mod http;
mod store;

use jiff::Timestamp;
use serde_json::json;
use shared::id::{EdgeId, OutageId};
use uuid::Uuid;

use crate::{
    actor::Actor,
    audit,
    billing::{Cents, TooMuch},
    clock,
    db::{self, AsStoreError, Db, StoreError},
    idempotency::{self, Claim, ClaimError, Key, Made},
    ledger::{self, Account, Entry, Event},
    words::{Name, choices},
};

choices! {
    /// How a lost time is made good.
    How {
        // On the next invoice.
        CreditNote = "credit_note",
        Wallet = "wallet",
        // The term ends so much later.
        ExtendPeriod = "extend_period",
    }
}

#[derive(Clone, Debug)]
pub struct Outage {
    pub id: OutageId,
    /// None: everywhere.
    pub edge: Option<EdgeId>,
    pub start: Timestamp,
    pub end: Timestamp,
    pub cause: Name,
    /// Ours. Otherwise nobody gets anything.
    pub attributable: bool,
    /// How many subscriptions got something.
    pub credits: i64,
}

#[derive(Clone, Debug)]
pub struct NewOutage {
    pub edge: Option<EdgeId>,
    pub start: Timestamp,
    pub end: Timestamp,
    pub cause: Name,
    pub attributable: bool,
    /// SHA-256 of what was measured.
    pub evidence: [u8; 32],
}

/// What one subscription gets.
#[derive(Clone, Copy, Debug)]
struct Credit {
    id: Uuid,
    lost: store::Lost,
    cents: Cents,
    how: How,
}

#[derive(Debug, thiserror::Error)]
pub enum OutageError {
    #[error("there is no such edge")]
    UnknownEdge,
    #[error("expected an end after the start, and not in the future")]
    NotOver,
    #[error("an outage of the same place and time is recorded already")]
    RecordedAlready,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for OutageError {
    fn from(error: StoreError) -> Self {
        if error.constraint() == Some("outage_once") {
            return Self::RecordedAlready;
        }
        Self::Store(error)
    }
}

impl AsStoreError for OutageError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::UnknownEdge
            | Self::NotOver
            | Self::RecordedAlready
            | Self::TooMuch(_)
            | Self::Claim(_) => None,
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Outages {
    db: Db,
}

impl Outages {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Newest first.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Outage>, StoreError> {
        store::list(&mut self.db.staff(actor).await?, actor.tenant, None).await
    }

    /// Writes an outage down, and gives everybody what is due for it.
    pub async fn record(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: &NewOutage,
    ) -> Result<Made<Outage>, OutageError> {
        db::retry(|| self.record_at(actor, key, new, clock::now())).await
    }

    /// As [`Self::record`], as if it were then.
    pub async fn record_at(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: &NewOutage,
        now: Timestamp,
    ) -> Result<Made<Outage>, OutageError> {
        if new.start >= new.end || new.end > now {
            return Err(OutageError::NotOver);
        }
        let mut tx = self.db.staff(actor).await?;
        let id = OutageId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let before = store::list(&mut tx, actor.tenant, Some(object)).await?.pop();
            let value = before.ok_or(OutageError::RecordedAlready)?;
            return Ok(Made { value, replayed: true });
        }
        if let Some(edge) = new.edge
            && !store::is_edge(&mut tx, actor.tenant, edge).await?
        {
            return Err(OutageError::UnknownEdge);
        }
        store::insert(&mut tx, actor.tenant, id, new).await?;
        let mut credits = Vec::new();
        if new.attributable {
            for lost in store::lost(&mut tx, actor.tenant, new).await? {
                credits.push(credit(lost)?);
            }
        }
        store::insert_credits(&mut tx, actor.tenant, id, &credits, now).await?;
        store::extend(&mut tx, actor.tenant, &credits).await?;
        let entries = credits
            .iter()
            .filter(|one| one.how == How::Wallet && one.cents != Cents::ZERO)
            .map(|one| {
                let lines = vec![
                    (Account::OutageCredits, one.cents),
                    (Account::Wallet(one.lost.subscriber), Cents::ZERO.minus(one.cents)?),
                ];
                Ok(Entry { event: Event::OutageCredited(one.id), at: now, lines })
            })
            .collect::<Result<Vec<_>, TooMuch>>()?;
        ledger::post_all(&mut tx, &entries).await?;
        let entry = audit::Entry {
            action: "outage.record",
            object_kind: "outage",
            object_id: id.to_string(),
            before: None,
            after: Some(json!({
                "edge": new.edge, "start": new.start, "end": new.end, "cause": new.cause,
                "attributable": new.attributable, "credits": credits.len(),
            })),
        };
        audit::record(&mut tx, actor, entry).await?;
        let made = store::list(&mut tx, actor.tenant, Some(*id.as_uuid())).await?.pop();
        tx.commit().await.map_err(StoreError::from)?;
        let value = made.ok_or(StoreError::Rows { want: 1, rows: 0 })?;
        Ok(Made { value, replayed: false })
    }
}

/// The net price of the lost seconds, rounded once.
fn credit(lost: store::Lost) -> Result<Credit, OutageError> {
    let seconds = lost.from.duration_until(lost.to).as_secs();
    let whole = lost.start.duration_until(lost.end).as_secs();
    let cents = lost.net.share(seconds, whole)?;
    let how = match (lost.prepaid, lost.running) {
        (true, true) => How::ExtendPeriod,
        (false, true) => How::CreditNote,
        (true | false, false) => How::Wallet,
    };
    Ok(Credit { id: Uuid::now_v7(), lost, cents, how })
}
