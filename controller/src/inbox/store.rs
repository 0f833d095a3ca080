//! The table `inbox_event`.

use std::{collections::BTreeMap, net::IpAddr};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{MerchantId, TenantId};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use super::{Event, NewEvent, Route};
use crate::db::{Cell, StoreError, Tx, one};

pub(super) async fn merchant_of(
    pool: &PgPool,
    token_hash: &[u8; 32],
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "SELECT id FROM merchant_account WHERE callback_token_hash = $1",
        token_hash.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.id))
}

pub(super) async fn insert(
    pool: &PgPool,
    id: Uuid,
    merchant: Uuid,
    new: &NewEvent,
    subject: Option<(Uuid, [u8; 32])>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (subject, proof) = subject.unzip();
    sqlx::query!(
        "INSERT INTO inbox_event (id, merchant_id, channel, raw, headers, source_ip, subject,
           proof, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        merchant,
        new.channel.as_str(),
        new.raw,
        Json(&new.headers) as _,
        IpNetwork::from(new.source),
        subject,
        proof.as_ref().map(<[u8; 32]>::as_slice),
        now.to_sqlx() as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The next one, as applied, if the transaction commits. Others pass by it.
pub(super) async fn take(tx: &mut Tx, now: Timestamp) -> Result<Option<Event>, StoreError> {
    let row = sqlx::query!(
        r#"WITH next AS (
             SELECT id FROM inbox_event
              WHERE state = 'new' AND next_at <= $1
              ORDER BY next_at, id
              LIMIT 1
                FOR UPDATE SKIP LOCKED)
           UPDATE inbox_event e SET state = 'applied', done_at = $1
             FROM next LEFT JOIN (inbox_event same JOIN merchant m ON m.id = same.merchant_id)
               ON same.id = next.id
            WHERE e.id = next.id
           RETURNING e.id, e.channel, e.subject, e.proof, e.raw,
                     e.headers AS "headers: Json<BTreeMap<String, String>>", e.source_ip,
                     e.attempts, e.received_at AS "received_at: jiff_sqlx::Timestamp",
                     m.tenant_id AS "tenant_id?", m.id AS "merchant_id?", m.version AS "version?""#,
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "inbox_event", row: row.id };
    let route = match (row.tenant_id, row.merchant_id, row.version) {
        (Some(tenant), Some(merchant), Some(version)) => Some(Route {
            tenant: TenantId::from_uuid(tenant),
            merchant: MerchantId::from_uuid(merchant),
            version,
        }),
        (Some(_) | None, _, _) => None,
    };
    Ok(Some(Event {
        id: row.id,
        route,
        channel: at.parse("channel", &row.channel)?,
        subject: row.subject,
        proof: row.proof,
        raw: row.raw,
        headers: row.headers.0,
        source: row.source_ip.map(|network| IpAddr::to_canonical(&network.ip())),
        attempts: row.attempts,
        received_at: row.received_at.to_jiff(),
    }))
}

pub(super) async fn put_back(
    tx: &mut Tx,
    id: Uuid,
    next: Timestamp,
    said: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE inbox_event SET attempts = attempts + 1, next_at = $2, said = left($3, 1000)
          WHERE id = $1 AND state = 'new'",
        id,
        next.to_sqlx() as _,
        said,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn set_aside(
    tx: &mut Tx,
    id: Uuid,
    said: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE inbox_event SET state = 'set_aside', done_at = $2, said = left($3, 1000)
          WHERE id = $1 AND state = 'new'",
        id,
        now.to_sqlx() as _,
        said,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}
