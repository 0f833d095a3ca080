//! Everything that is kept about one subscriber, for who asks for it: the right of access of the
//! Data Protection Act. Reading it is written down too.

pub mod http;
mod store;

use serde_json::Value;
use shared::id::SubscriberId;

use crate::{
    actor::Actor,
    audit,
    db::{Db, StoreError},
};

#[derive(Clone, Debug)]
pub struct Privacy {
    db: Db,
}

impl Privacy {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// None: there is no such subscriber. Secrets are not in it: they say nothing about anybody.
    pub async fn export(
        &self,
        actor: &Actor,
        subscriber: SubscriberId,
    ) -> Result<Option<Value>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        let Some(found) = store::everything(&mut tx, actor.tenant, subscriber).await? else {
            return Ok(None);
        };
        let entry = audit::Entry {
            action: "subscriber.export",
            object_kind: "subscriber",
            object_id: subscriber.to_string(),
            before: None,
            after: None,
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await?;
        Ok(Some(found))
    }
}
