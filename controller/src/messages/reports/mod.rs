//! What providers report about messages that they took: stored as it came and answered at once;
//! applied later, once.

pub(super) mod http;
mod store;

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::{
    daemon::Chain,
    id::{MessageProviderId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

use super::{
    MessageError, Messages,
    carriers::{Fate, Report, Unreadable},
};
use crate::{
    clock,
    db::{StoreError, Tx},
    token,
};

/// As it was stored.
struct Stored {
    id: Uuid,
    provider: MessageProviderId,
    raw: Vec<u8>,
    headers: BTreeMap<String, String>,
    received_at: Timestamp,
}

impl Messages {
    /// Stores what came; false: nobody has this address.
    async fn report(
        &self,
        token: &Secret,
        raw: &[u8],
        headers: &BTreeMap<String, String>,
    ) -> Result<bool, StoreError> {
        let pool = &self.db.callback;
        let hash = token::hash(token.expose());
        let Some((tenant, provider)) = store::provider_of(pool, &hash).await? else {
            return Ok(false);
        };
        let now = clock::now();
        store::insert(pool, tenant, Uuid::now_v7(), provider, raw, headers, now).await?;
        Ok(true)
    }

    /// Does somebody have this address?
    async fn is_address(&self, token: &Secret) -> Result<bool, StoreError> {
        let found = store::provider_of(&self.db.callback, &token::hash(token.expose())).await?;
        Ok(found.is_some())
    }

    /// Applies every report that is new, each in a transaction of its own.
    pub(super) async fn hear(&self, tenant: TenantId, now: Timestamp) -> Result<(), MessageError> {
        loop {
            let mut tx = self.db.tenant(tenant).await?;
            let Some(stored) = store::take(&mut tx, tenant, now).await? else { return Ok(()) };
            let read = match self.read(&mut tx, tenant, &stored).await {
                Ok(read) => read.map_err(|error| Chain(&error).to_string()),
                Err(MessageError::Store(error)) => return Err(error.into()),
                Err(error) => Err(Chain(&error).to_string()),
            };
            let said = match read {
                Ok(reports) => {
                    for report in reports {
                        apply(&mut tx, tenant, stored.provider, &report, stored.received_at)
                            .await?;
                    }
                    None
                }
                Err(text) => {
                    tracing::warn!(report.id = %stored.id, error = text, "a report is set aside");
                    Some(text)
                }
            };
            store::done(&mut tx, tenant, stored.id, said.as_deref()).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
    }

    async fn read(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        stored: &Stored,
    ) -> Result<Result<Vec<Report>, Unreadable>, MessageError> {
        let carrier = self.open_carrier(tx, tenant, stored.provider).await?;
        Ok(carrier.read(&stored.raw, &stored.headers, stored.received_at))
    }
}

/// What was delivered stays so, and what is not known here is somebody else's.
async fn apply(
    tx: &mut Tx,
    tenant: TenantId,
    provider: MessageProviderId,
    report: &Report,
    at: Timestamp,
) -> Result<(), StoreError> {
    let reference = &report.reference;
    match &report.fate {
        Fate::Underway => Ok(()),
        Fate::Delivered => store::delivered(tx, tenant, provider, reference, at).await,
        Fate::Failed(said) => store::failed(tx, tenant, provider, reference, said, at).await,
    }
}
