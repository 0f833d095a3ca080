//! Errands: what a program does for rows that have come due. It takes one, so that nobody else
//! does it meanwhile, does it, and writes what came of it; who dies in between is followed by
//! another, after the lease. What is done is the row's domain's; the round is here, once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::{
    daemon::{Chain, Life},
    id::TenantId,
};
use uuid::Uuid;

use crate::{
    clock,
    db::{Db, StoreError, Tx},
    gateways::Pace,
};

/// A row that has come due, as it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) tenant: TenantId,
    pub(crate) row: Uuid,
    pub(crate) at: Timestamp,
}

/// Something to be done for rows of one table.
pub(crate) trait Errand: Clone + Send + Sync + 'static {
    /// In logs, and of the task.
    const NAME: &'static str;
    /// Seconds of the provider's clock that doing it may take, crashes included.
    const LEASE: i64;
    type Error: std::error::Error + Send + From<StoreError>;

    fn db(&self) -> &Db;

    fn pace(&self) -> Pace;

    /// Those that are due, the oldest first.
    fn due(
        &self,
        now: Timestamp,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Due>, StoreError>> + Send;

    /// Takes one until `until`; false: somebody else was faster, or it has ended.
    fn take(
        &self,
        tx: &mut Tx,
        due: Due,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    fn act(
        &self,
        tenant: TenantId,
        row: Uuid,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Does them until the daemon stops.
pub(crate) fn start<E: Errand>(errand: E, life: &Life) {
    life.spawn(E::NAME, run(errand));
}

async fn run<E: Errand>(errand: E) {
    let idle = errand.pace().wait(IDLE).max(IDLE_MIN);
    loop {
        match round(&errand).await {
            Ok(0) => tokio::time::sleep(idle).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "{} are not looked after", E::NAME);
                tokio::time::sleep(IDLE).await;
            }
        }
    }
}

/// Says how many were due.
async fn round<E: Errand>(errand: &E) -> Result<usize, StoreError> {
    let due = errand.due(clock::now(), ROUND).await?;
    for one in &due {
        let mut tx = errand.db().tenant(one.tenant).await?;
        let until = clock::now() + errand.pace().span(E::LEASE).max(LEASE_MIN);
        let taken = errand.take(&mut tx, *one, until).await?;
        tx.commit().await?;
        if !taken {
            continue;
        }
        // The others are not held up by one; the lease brings it back.
        if let Err(error) = errand.act(one.tenant, one.row).await {
            tracing::warn!(row = %one.row, error = %Chain(&error), "one of {} failed", E::NAME);
        }
    }
    Ok(due.len())
}

/// Taken from the table at once.
const ROUND: i64 = 16;
const IDLE: Duration = Duration::from_secs(2);
const IDLE_MIN: Duration = Duration::from_millis(50);
/// However fast the provider's clock is, ours needs some time.
const LEASE_MIN: SignedDuration = SignedDuration::from_secs(5);
