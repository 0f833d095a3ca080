//! Why is this subscriber off-line? Checks from the contract to the device, each with what it was
//! seen by; the first that fails is what to do something about.
//!
//! [`explain`](fn@explain) decides and is pure; `store.rs` collects what it is told.

mod explain;
pub mod http;
mod store;

use jiff::Timestamp;
use shared::id::{EdgeId, SessionId, SubscriberId};

pub use self::explain::{Check, Diagnosis, Verdict, explain};
use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError},
    sessions::effects,
};

/// Who is asked about.
#[derive(Clone, Debug)]
pub enum Who {
    Id(SubscriberId),
    /// An account number, a username, a mobile number, or the MAC address of a device.
    Search(String),
}

/// What is known of one subscriber, at one moment.
#[derive(Clone, Debug)]
pub struct Facts {
    pub subscriber: SubscriberId,
    pub username: String,
    /// `active`, `closed` or `anonymised`.
    pub status: String,
    pub has_password: bool,
    pub devices: Vec<String>,
    pub wallet_cents: i64,
    pub overdue_cents: i64,
    pub subscription: Option<Subscription>,
    pub entitlement: Option<Entitlement>,
    pub last: Option<Session>,
    /// Where the subscriber was last, or the one that was heard last.
    pub edge: Option<Edge>,
    pub nas: Option<Nas>,
    /// Newest first.
    pub failures: Vec<Failure>,
    pub effects: Vec<effects::Kept>,
}

/// The one that is live, or the last that was.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub state: String,
    pub plan: String,
    pub desired_rev: i64,
    pub applied_rev: i64,
    /// When and why it came into its state; none: it began so.
    pub since: Option<Timestamp>,
    pub reason: String,
}

/// The one that is used now, or that ended last.
#[derive(Clone, Debug)]
pub struct Entitlement {
    pub plan: String,
    pub until: Timestamp,
    pub bytes: Amount,
    pub seconds: Amount,
}

/// Not limited if nothing says how much was granted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    pub granted: Option<i64>,
    pub consumed: i64,
}

impl Amount {
    pub fn left(self) -> Option<i64> {
        self.granted.map(|granted| granted.saturating_sub(self.consumed))
    }
}

#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub mac: Option<String>,
    pub started_at: Timestamp,
    pub stopped_at: Option<Timestamp>,
    pub cause: Option<i32>,
    pub updated_at: Timestamp,
    pub down_bytes: i64,
    pub up_bytes: i64,
}

#[derive(Clone, Debug)]
pub struct Edge {
    pub id: EdgeId,
    pub name: String,
    pub online: bool,
    pub revoked: bool,
    pub forked: bool,
    pub last_seen: Option<Timestamp>,
    pub desired_revision: i64,
    pub applied_revision: i64,
}

#[derive(Clone, Debug)]
pub struct Nas {
    pub name: String,
    pub disabled: bool,
    /// Sessions that are live at it now.
    pub live: i64,
}

/// Of one hour, one place and one reason.
#[derive(Clone, Debug)]
pub struct Failure {
    pub reason: String,
    pub nas_name: String,
    pub count: i64,
    pub last_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum DiagnosticsError {
    #[error("there is no such subscriber")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Debug)]
pub struct Diagnostics {
    db: Db,
}

impl Diagnostics {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn of(
        &self,
        actor: &Actor,
        who: &Who,
    ) -> Result<(Facts, Diagnosis), DiagnosticsError> {
        let now = clock::now();
        let mut tx = self.db.staff(actor).await?;
        let found = store::who(&mut tx, actor.tenant, who).await?;
        let subscriber = found.ok_or(DiagnosticsError::Unknown)?;
        let mut facts = store::facts(&mut tx, actor.tenant, subscriber, now).await?;
        if let Some(last) = &facts.last {
            facts.effects = effects::of(&mut tx, actor.tenant, last.id).await?;
        }
        let diagnosis = explain(&facts, now);
        Ok((facts, diagnosis))
    }
}
