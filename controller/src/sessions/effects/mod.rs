//! What came of asking a NAS to end or to change a session: what it said, and what was seen.

mod store;

use jiff::Timestamp;
use shared::id::{EpochId, SessionId, TenantId};

use super::store::Books;
use crate::db::{StoreError, Tx};

/// RFC 5176, as the edge has seen it. The words are those of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub session: SessionId,
    pub nas_name: String,
    pub asked: &'static str,
    /// The edge's clock.
    pub asked_at: Timestamp,
    pub answered: &'static str,
    /// Error-Cause of a NAK.
    pub error_cause: Option<i32>,
    pub observed: &'static str,
    /// From asking to observing.
    pub after_ms: i64,
}

/// One that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub nas_name: String,
    pub asked: String,
    pub asked_at: Timestamp,
    pub answered: String,
    pub error_cause: Option<i32>,
    pub observed: String,
    pub after_ms: i64,
}

impl Books<'_> {
    pub(super) async fn keep_effects(
        &mut self,
        epoch: EpochId,
        effects: &[(u64, Effect)],
    ) -> Result<(), StoreError> {
        store::insert(self, epoch, effects).await
    }
}

/// Of one session, newest first.
pub(crate) async fn of(
    tx: &mut Tx,
    tenant: TenantId,
    session: SessionId,
) -> Result<Vec<Kept>, StoreError> {
    store::list(tx, tenant, session).await
}
