//! Which edges there are, and with which secret each logs in.

pub mod http;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{EdgeId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

use super::{LookAgain, leases, office::Cutter, secret::SecretHash};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    seal::Seal,
    token,
    words::{Name, Note},
};

/// An edge, and what was last heard of it.
#[derive(Clone, Debug)]
pub struct Edge {
    pub id: EdgeId,
    pub name: Name,
    pub site: Note,
    pub revoked: bool,
    pub version: i64,
    pub created_at: Timestamp,
    pub heard: Heard,
}

/// The link's part of an edge.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub online: bool,
    pub last_seen: Option<Timestamp>,
    pub program: String,
    pub desired_revision: i64,
    pub applied_revision: i64,
    /// It sends a history that is not the one in the books.
    pub forked_at: Option<Timestamp>,
    /// What it said of itself when it came on-line.
    pub state: Option<Value>,
}

impl Edge {
    fn snapshot(&self) -> Value {
        json!({ "name": self.name, "site": self.site, "revoked": self.revoked })
    }
}

#[derive(Clone, Debug)]
pub struct NewEdge {
    pub name: Name,
    pub site: Note,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct EdgeChange {
    pub name: Option<Name>,
    pub site: Option<Note>,
    pub revoked: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("there is no such edge")]
    Unknown,
    #[error("another edge has this name")]
    NameTaken,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for EdgeError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("edge_name") => Self::NameTaken,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Edges {
    db: Db,
    seal: Seal,
    look_again: LookAgain,
    cutter: Cutter,
}

impl Edges {
    pub const fn new(db: Db, seal: Seal, look_again: LookAgain, cutter: Cutter) -> Self {
        Self { db, seal, look_again, cutter }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Edge>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: EdgeId) -> Result<Edge, EdgeError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await
    }

    /// Makes an edge and the secret that it logs in with, which is told this once.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewEdge,
    ) -> Result<Made<(Edge, Option<Secret>)>, EdgeError> {
        let mut tx = self.db.staff(actor).await?;
        let id = EdgeId::from_uuid(Uuid::now_v7());
        let secret = Secret::new(token::random());
        let once = Some((&self.seal, &secret));
        match idempotency::claim(&mut tx, actor, key, *id.as_uuid(), once).await? {
            Claim::New => {}
            Claim::Before { object, once } => {
                let edge = find(&mut tx, actor.tenant, EdgeId::from_uuid(object)).await?;
                return Ok(Made { value: (edge, once), replayed: true });
            }
        }
        let NewEdge { name, site } = new;
        let (created_at, heard) = (clock::now(), Heard::default());
        let edge = Edge { id, name, site, revoked: false, version: 1, created_at, heard };
        store::insert(&mut tx, actor.tenant, &edge, hash(&secret)).await?;
        record(&mut tx, actor, "edge.create", None, &edge).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(Made { value: (edge, Some(secret)), replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: EdgeId,
        version: i64,
        change: EdgeChange,
    ) -> Result<Edge, EdgeError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor.tenant, id).await?;
        let mut after = before.clone();
        after.name = change.name.unwrap_or(after.name);
        after.site = change.site.unwrap_or(after.site);
        after.revoked = change.revoked.unwrap_or(after.revoked);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(EdgeError::Stale);
        }
        if after.revoked && !before.revoked {
            leases::forsake(&mut tx, id).await?;
        }
        after.version = version + 1;
        record(&mut tx, actor, "edge.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        if after.revoked {
            self.cutter.cut_off(id).await;
        }
        Ok(after)
    }

    /// A new secret. The old one ends with the edge's next log-in.
    pub async fn renew_secret(&self, actor: &Actor, id: EdgeId) -> Result<Secret, EdgeError> {
        let mut tx = self.db.staff(actor).await?;
        let edge = find(&mut tx, actor.tenant, id).await?;
        let secret = Secret::new(token::random());
        store::set_secret(&mut tx, actor.tenant, id, hash(&secret)).await?;
        record(&mut tx, actor, "edge.renew_secret", Some(&edge), &edge).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(secret)
    }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: EdgeId) -> Result<Edge, EdgeError> {
    store::find(tx, tenant, id).await?.ok_or(EdgeError::Unknown)
}

fn hash(secret: &Secret) -> SecretHash {
    SecretHash::of(secret.expose().as_bytes())
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Edge>,
    after: &Edge,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "edge",
        object_id: after.id.to_string(),
        before: before.map(Edge::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}
