//! The table `portal_claim`, and whose a number is.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{PortalClaimId, SubscriberId, TenantId};

use super::Claimed;
use crate::{
    db::{Cell, StoreError, Tx, one},
    words::{Email, Msisdn, Name, Username},
};

/// A claim as it is kept.
pub(super) struct Kept {
    pub(super) code_mark: Vec<u8>,
    pub(super) password_sealed: Vec<u8>,
    pub(super) tries: i32,
    pub(super) claimed: Claimed,
}

/// How many codes were sent to a number since then.
pub(super) async fn sent(
    tx: &mut Tx,
    tenant: TenantId,
    msisdn: &Msisdn,
    since: Timestamp,
) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!" FROM portal_claim
            WHERE tenant_id = $1 AND msisdn = $2 AND created_at > $3"#,
        tenant.as_uuid(),
        msisdn.as_str(),
        since.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.count)
}

/// Those that are over for a day go.
pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: PortalClaimId,
    kept: &Kept,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM portal_claim
          WHERE tenant_id = $1 AND expires_at < $2::timestamptz - interval '1 day'",
        tenant.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    let Claimed { full_name, msisdn, email, username } = &kept.claimed;
    sqlx::query!(
        "INSERT INTO portal_claim (tenant_id, id, code_mark, full_name, msisdn, email, username,
           password_sealed, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant.as_uuid(),
        id.as_uuid(),
        kept.code_mark,
        Name::as_str(full_name),
        msisdn.as_str(),
        email.as_ref().map(Email::as_str),
        username.as_ref().map(Username::as_str),
        kept.password_sealed,
        now.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One that is not over, locked.
pub(super) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: PortalClaimId,
    now: Timestamp,
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query!(
        "SELECT code_mark, full_name, msisdn, email, username, password_sealed, tries
           FROM portal_claim
          WHERE tenant_id = $1 AND id = $2 AND expires_at > $3 FOR UPDATE",
        tenant.as_uuid(),
        id.as_uuid(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cell = Cell { table: "portal_claim", row: *id.as_uuid() };
    Ok(Some(Kept {
        code_mark: row.code_mark,
        password_sealed: row.password_sealed,
        tries: row.tries,
        claimed: Claimed {
            full_name: cell.parse("full_name", &row.full_name)?,
            msisdn: cell.parse("msisdn", &row.msisdn)?,
            email: cell.maybe("email", row.email.as_deref())?,
            username: cell.maybe("username", row.username.as_deref())?,
        },
    }))
}

pub(super) async fn tried(
    tx: &mut Tx,
    tenant: TenantId,
    id: PortalClaimId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE portal_claim SET tries = tries + 1 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// It is good once.
pub(super) async fn remove(
    tx: &mut Tx,
    tenant: TenantId,
    id: PortalClaimId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "DELETE FROM portal_claim WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn owner_of(
    tx: &mut Tx,
    tenant: TenantId,
    msisdn: &Msisdn,
) -> Result<Option<SubscriberId>, StoreError> {
    let row = sqlx::query!(
        "SELECT id FROM subscriber WHERE tenant_id = $1 AND msisdn = $2 AND status = 'active'",
        tenant.as_uuid(),
        msisdn.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| SubscriberId::from_uuid(row.id)))
}
