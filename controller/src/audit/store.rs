//! The table `audit_log`.

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use super::Entry;
use crate::{
    actor::Actor,
    db::{StoreError, Tx},
};

pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    entry: &Entry,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (tenant_id, id, at, actor, actor_ip, action, object_kind,
           object_id, before, after, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        actor.tenant.as_uuid(),
        Uuid::now_v7(),
        now.to_sqlx() as _,
        actor.name(),
        actor.ip.map(IpNetwork::from),
        entry.action,
        entry.object_kind,
        entry.object_id,
        entry.before,
        entry.after,
        actor.request,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
