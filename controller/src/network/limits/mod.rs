//! What everybody may reach without a session (the walled garden), and what all sessions of a site
//! together may move (its uplink).

pub mod http;
mod store;

use serde_json::{Value, json};
use shared::{
    id::{EdgeId, TenantId},
    rate::Shape,
    wire::latest::desired::Garden,
};
use sqlx::PgConnection;

use crate::{
    actor::Actor,
    audit,
    db::{Db, StoreError, Tx},
    edges::LookAgain,
};

/// The garden of all the tenant's edges; version 0: nothing was said of it.
#[derive(Clone, Debug)]
pub struct GardenRow {
    pub garden: Garden,
    pub version: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("there is no such edge")]
    Unknown,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Limits {
    db: Db,
    look_again: LookAgain,
}

impl Limits {
    pub const fn new(db: Db, look_again: LookAgain) -> Self {
        Self { db, look_again }
    }

    pub async fn garden(&self, actor: &Actor) -> Result<GardenRow, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::garden(&mut tx, actor.tenant).await
    }

    pub async fn set_garden(
        &self,
        actor: &Actor,
        version: i64,
        garden: Garden,
    ) -> Result<GardenRow, LimitError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::garden(&mut tx, actor.tenant).await?;
        if !store::set_garden(&mut tx, actor.tenant, &garden, version).await? {
            return Err(LimitError::Stale);
        }
        let (old, new) = (json!(before.garden), json!(garden));
        record(&mut tx, actor, "garden.set", actor.tenant.to_string(), old, new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(GardenRow { garden, version: version + 1 })
    }

    /// None: its sessions share nothing.
    pub async fn uplink(&self, actor: &Actor, edge: EdgeId) -> Result<Option<Shape>, LimitError> {
        let mut tx = self.db.staff(actor).await?;
        store::uplink(&mut tx, actor.tenant, edge).await?.ok_or(LimitError::Unknown)
    }

    pub async fn set_uplink(
        &self,
        actor: &Actor,
        edge: EdgeId,
        uplink: Option<Shape>,
    ) -> Result<(), LimitError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::uplink(&mut tx, actor.tenant, edge).await?;
        let before = before.ok_or(LimitError::Unknown)?;
        store::set_uplink(&mut tx, actor.tenant, edge, uplink).await?;
        let (old, new) = (json!(before), json!(uplink));
        record(&mut tx, actor, "edge.uplink", edge.to_string(), old, new).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(())
    }
}

/// For whoever tells edges.
pub(crate) async fn garden_of(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<Garden, StoreError> {
    Ok(store::garden(conn, tenant).await?.garden)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    object_id: String,
    before: Value,
    after: Value,
) -> Result<(), StoreError> {
    let object_kind = if action == "garden.set" { "garden" } else { "edge" };
    let entry =
        audit::Entry { action, object_kind, object_id, before: Some(before), after: Some(after) };
    audit::record(tx, actor, entry).await
}
