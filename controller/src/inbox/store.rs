//! The table `inbox_event`.

use std::{collections::BTreeMap, net::IpAddr};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{MerchantId, TenantId};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use super::{Arrival, Event, Route};
use crate::{
    db::{Cell, StoreError, Tx, one},
    gateways::Channel,
    intents::{Reference, Typed},
    subscribers::AccountNo,
};

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

pub(super) async fn tenant_of(
    pool: &PgPool,
    merchant: MerchantId,
) -> Result<Option<TenantId>, StoreError> {
    let row = sqlx::query!("SELECT tenant_id FROM merchant WHERE id = $1", merchant.as_uuid())
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| TenantId::from_uuid(row.tenant_id)))
}

/// Is there such an intent, or an account that is not closed?
pub(super) async fn is_known(
    tx: &mut Tx,
    tenant: TenantId,
    typed: &Typed,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM payment_intent WHERE tenant_id = $1 AND reference = $2)
               OR EXISTS (SELECT FROM subscriber
                           WHERE tenant_id = $1 AND account_no = $3 AND status = 'active')
               AS "known!""#,
        tenant.as_uuid(),
        typed.reference().map(Reference::as_str),
        typed.account().map(AccountNo::as_str),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.known)
}

pub(super) async fn insert(pool: &PgPool, some: &[Arrival]) -> Result<(), StoreError> {
    let ids = some.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>();
    let (subjects, proofs): (Vec<_>, Vec<_>) =
        some.iter().map(|one| (one.subject, one.proof.map(|proof| proof.to_vec()))).unzip();
    sqlx::query!(
        "INSERT INTO inbox_event (id, merchant_id, channel, raw, headers, source_ip, subject,
           proof, received_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::jsonb[],
           $6::inet[], $7::uuid[], $8::bytea[], $9::timestamptz[])",
        &ids,
        &some.iter().map(|one| one.merchant).collect::<Vec<_>>(),
        &some.iter().map(|one| one.new.channel.as_str().to_owned()).collect::<Vec<_>>(),
        &some.iter().map(|one| one.new.raw.clone()).collect::<Vec<_>>(),
        some.iter().map(|one| Json(&one.new.headers)).collect::<Vec<_>>() as _,
        some.iter().map(|one| IpNetwork::from(one.new.source)).collect::<Vec<_>>() as _,
        subjects as _,
        proofs as _,
        some.iter().map(|one| one.now.to_sqlx()).collect::<Vec<_>>() as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The next ones, as applied, if the transaction commits; others pass by them. They have come to
/// one account: the first, and if it is a confirmation, more of these.
///
/// What is taken is named by an array, not joined: with the statistics of an empty queue Postgres
/// reads all that ever came for a join.
pub(super) async fn take(
    tx: &mut Tx,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH first AS MATERIALIZED (
             SELECT id, merchant_id, channel FROM inbox_event
              WHERE state = 'new' AND next_at <= $1
              ORDER BY next_at, id
              LIMIT 1
                FOR UPDATE SKIP LOCKED),
           next AS MATERIALIZED (
             SELECT e.*, m.tenant_id, m.version
               FROM inbox_event e LEFT JOIN merchant m ON m.id = e.merchant_id
              WHERE e.state = 'new' AND e.next_at <= $1
                AND e.merchant_id = (SELECT merchant_id FROM first)
                AND (e.id = (SELECT id FROM first)
                  OR (e.channel = $3 AND (SELECT channel FROM first) = $3))
              ORDER BY e.next_at, e.id
              LIMIT CASE WHEN (SELECT channel FROM first) = $3 THEN $2::bigint ELSE 1 END
                FOR UPDATE OF e SKIP LOCKED),
           taken AS (
             UPDATE inbox_event SET state = 'applied', done_at = $1
              WHERE id = ANY (ARRAY (SELECT id FROM next)))
           SELECT id, channel, subject, proof, raw,
                  headers AS "headers: Json<BTreeMap<String, String>>", source_ip, attempts,
                  received_at AS "received_at: jiff_sqlx::Timestamp",
                  tenant_id AS "tenant_id?", merchant_id, version AS "version?"
             FROM next"#,
        now.to_sqlx() as _,
        limit,
        Channel::C2b.as_str(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let events = rows.into_iter().map(|row| {
        let at = Cell { table: "inbox_event", row: row.id };
        let route = row.tenant_id.zip(row.version).map(|(tenant, version)| Route {
            tenant: TenantId::from_uuid(tenant),
            merchant: MerchantId::from_uuid(row.merchant_id),
            version,
        });
        Ok(Event {
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
        })
    });
    events.collect()
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
