//! Parts of quotas that edges spend on their own, so that all edges together give no more than there
//! is, whether they are on-line or not.
//!
//! An edge asks ([`http`]) for what it wants to have in hand. What of that it gets, what is settled
//! and what goes back is decided in the database, under the lock of the entitlement; it holds
//! there that what is consumed and leased is no more than what was granted.

use jiff::Timestamp;
use shared::{
    id::{EdgeId, EpochId, TenantId},
    wire::latest::lease::{Answer, Question, Questions},
};

use crate::db::{self, Db, StoreError, Tx};

pub mod http;
mod store;

/// Answers what an edge asks for, question by question; each is a transaction of its own.
pub async fn lease(
    db: &Db,
    (tenant, edge): (TenantId, EdgeId),
    asked: &Questions,
    now: Timestamp,
) -> Result<Vec<Answer>, StoreError> {
    let mut answers = Vec::with_capacity(asked.questions.len());
    for question in &asked.questions {
        answers.extend(
            db::retry(|| lease_once(db, (tenant, edge), asked.epoch, question, now)).await?,
        );
    }
    Ok(answers)
}

async fn lease_once(
    db: &Db,
    (tenant, edge): (TenantId, EdgeId),
    epoch: EpochId,
    question: &Question,
    now: Timestamp,
) -> Result<Option<Answer>, StoreError> {
    let mut tx = db.edge_of(tenant).await?;
    let answer = store::lease(&mut tx, edge, epoch, question, now).await?;
    tx.commit().await?;
    Ok(answer)
}

/// An edge will not come back: what it has not used, as far as its journal says, goes back, once.
pub(super) async fn forsake(tx: &mut Tx, edge: EdgeId) -> Result<u64, StoreError> {
    store::forsake(tx, edge).await
}
