//! The table `audit_log`, and its chain `audit_block`.

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{AuditId, TenantId};
use uuid::Uuid;

use super::{Entry, Filter, Proof, Recorded};
use crate::{
    actor::Actor,
    db::{Db, StoreError, Tx},
};

pub(super) async fn insert(
    tx: &mut Tx,
    changes: &[(&Actor, Entry, Timestamp)],
) -> Result<(), StoreError> {
    let of_actors = |of: fn(&Actor) -> Uuid| changes.iter().map(|(actor, ..)| of(actor)).collect();
    let (tenants, requests): (Vec<Uuid>, Vec<Uuid>) =
        (of_actors(|actor| *actor.tenant.as_uuid()), of_actors(|actor| actor.request));
    let ids: Vec<_> = changes.iter().map(|_| Uuid::now_v7()).collect();
    let of_entries =
        |of: fn(&Entry) -> String| changes.iter().map(|(_, entry, _)| of(entry)).collect();
    let actions: Vec<String> = of_entries(|entry| entry.action.to_owned());
    let kinds: Vec<String> = of_entries(|entry| entry.object_kind.to_owned());
    let objects: Vec<String> = of_entries(|entry| entry.object_id.clone());
    let before: Vec<_> = changes.iter().map(|(_, entry, _)| entry.before.clone()).collect();
    let after: Vec<_> = changes.iter().map(|(_, entry, _)| entry.after.clone()).collect();
    sqlx::query!(
        "INSERT INTO audit_log (tenant_id, id, at, actor, actor_ip, action, object_kind,
           object_id, before, after, request_id)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::inet[],
           $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::jsonb[], $11::uuid[])",
        &tenants,
        &ids,
        changes.iter().map(|(.., at)| at.to_sqlx()).collect::<Vec<_>>() as _,
        &changes.iter().map(|(actor, ..)| actor.name()).collect::<Vec<_>>(),
        changes.iter().map(|(actor, ..)| actor.ip.map(IpNetwork::from)).collect::<Vec<_>>() as _,
        &actions,
        &kinds,
        &objects,
        before as _,
        after as _,
        &requests,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: &Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, at AS "at: jiff_sqlx::Timestamp", actor, actor_ip, action, object_kind,
                  object_id, before, after
             FROM audit_log
            WHERE tenant_id = $1 AND id > $2
              AND ($3::text IS NULL OR object_id = $3)
              AND ($4::text IS NULL OR actor = $4)
            ORDER BY id
            LIMIT $5"#,
        tenant.as_uuid(),
        after,
        filter.object,
        filter.actor,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let recorded = rows.into_iter().map(|row| Recorded {
        id: AuditId::from_uuid(row.id),
        at: row.at.to_jiff(),
        actor: row.actor,
        actor_ip: row.actor_ip.map(|network| network.ip()),
        action: row.action,
        object_kind: row.object_kind,
        object_id: row.object_id,
        before: row.before,
        after: row.after,
    });
    Ok(recorded.collect())
}

/// All of them, the platform's too.
pub(super) async fn tenants(db: &Db) -> Result<Vec<TenantId>, StoreError> {
    let rows =
        sqlx::query!("SELECT tenant_id FROM tenant ORDER BY tenant_id").fetch_all(&db.auth).await?;
    Ok(rows.into_iter().map(|row| TenantId::from_uuid(row.tenant_id)).collect())
}

/// Seals the next block of the tenant; says how many rows are in it.
pub(super) async fn seal(tx: &mut Tx, now: Timestamp) -> Result<i32, StoreError> {
    let row = sqlx::query!(r#"SELECT seal_audit($1) AS "rows!""#, now.to_sqlx() as _)
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.rows)
}

pub(super) async fn prove(tx: &mut Tx, tenant: TenantId) -> Result<Proof, StoreError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM audit_block WHERE tenant_id = $1) AS "blocks!",
                  (SELECT count(*) FROM audit_pending WHERE tenant_id = $1) AS "waiting!",
                  (SELECT encode(hash, 'hex') FROM audit_block WHERE tenant_id = $1
                    ORDER BY block_no DESC LIMIT 1) AS head,
                  ARRAY (SELECT verify_audit()) AS "broken!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    let (blocks, waiting) = (row.blocks, row.waiting);
    Ok(Proof { blocks, waiting, head: row.head, broken: row.broken })
}
