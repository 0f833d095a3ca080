//! What is kept about one subscriber, for who asks for it, and that it is forgotten: the rights of
//! access and of erasure of the Data Protection Act. Both are written down.

pub mod http;
mod store;

use serde_json::Value;
use shared::id::SubscriberId;

use crate::{
    actor::Actor,
    audit,
    db::{Db, StoreError, Tx},
    edges::LookAgain,
};

/// Why somebody is not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    #[error("there is no such subscriber")]
    Unknown,
    #[error("a legal hold keeps what is known about the subscriber")]
    Held,
    #[error("the subscriber has a subscription: cancel it first")]
    Served,
    #[error("the subscriber owes money or is owed some: settle it first")]
    Money,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Debug)]
pub struct Privacy {
    db: Db,
    look_again: LookAgain,
}

impl Privacy {
    pub const fn new(db: Db, look_again: LookAgain) -> Self {
        Self { db, look_again }
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
        record(&mut tx, actor, "subscriber.export", subscriber).await?;
        tx.commit().await?;
        Ok(Some(found))
    }

    /// Takes away what names a subscriber who has left, wherever it stands but in the books and
    /// the audit log. Said twice, the second changes nothing.
    pub async fn forget(&self, actor: &Actor, subscriber: SubscriberId) -> Result<(), ForgetError> {
        let mut tx = self.db.staff(actor).await?;
        match store::forget(&mut tx, subscriber).await?.as_str() {
            "done" => {}
            "held" => return Err(ForgetError::Held),
            "served" => return Err(ForgetError::Served),
            "money" => return Err(ForgetError::Money),
            _ => return Err(ForgetError::Unknown),
        }
        record(&mut tx, actor, "subscriber.anonymise", subscriber).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(())
    }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    subscriber: SubscriberId,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "subscriber",
        object_id: subscriber.to_string(),
        before: None,
        after: None,
    };
    audit::record(tx, actor, entry).await
}
