//! Who did what: a row in the transaction of the change, so that neither is there alone.

mod store;

use serde_json::Value;

use crate::{
    actor::Actor,
    clock,
    db::{StoreError, Tx},
};

/// One change. `before` and `after` never hold secrets.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A verb on a noun: `subscriber.create`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

pub async fn record(tx: &mut Tx, actor: &Actor, entry: Entry) -> Result<(), StoreError> {
    store::insert(tx, actor, &entry, clock::now()).await
}
