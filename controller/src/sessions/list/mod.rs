//! Sessions as people ask for them: newest first, live or past, exact to the byte.

use jiff::Timestamp;
use shared::{
    id::{EdgeId, NasId, SessionId, SubscriberId, SubscriptionId, TenantId},
    octets::Counters,
};

use crate::db::{Db, StoreError};

mod store;

/// A session as it is in the books.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub edge: EdgeId,
    pub subscriber: Option<SubscriberId>,
    pub subscription: Option<SubscriptionId>,
    pub nas: Option<NasId>,
    pub nas_name: Option<String>,
    pub username: Option<String>,
    pub mac: Option<String>,
    pub ip: Option<std::net::IpAddr>,
    pub acct_session_id: Option<String>,
    /// Whose counters they are.
    pub metering: Option<String>,
    pub down_kbps: Option<i32>,
    pub up_kbps: Option<i32>,
    pub started_at: Timestamp,
    pub stopped_at: Option<Timestamp>,
    /// Acct-Terminate-Cause.
    pub cause: Option<i32>,
    pub counters: Counters,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    Live,
    Past,
    #[default]
    All,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub which: Which,
    pub subscriber: Option<SubscriberId>,
    pub edge: Option<EdgeId>,
}

/// At most `limit` sessions that are older than `before`, newest first.
pub async fn list(
    db: &Db,
    tenant: TenantId,
    filter: Filter,
    before: Option<SessionId>,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    let mut tx = db.tenant(tenant).await?;
    store::list(&mut tx, tenant, filter, before, limit).await
}

pub async fn find(db: &Db, tenant: TenantId, id: SessionId) -> Result<Option<Session>, StoreError> {
    let mut tx = db.tenant(tenant).await?;
    store::find(&mut tx, tenant, id).await
}
