//! The tables `operator` and `operator_session`, as seen before the tenant is known.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, ResellerId, TenantId};
use sqlx::PgPool;

use crate::{
    db::{Cell, StoreError, Tx, one},
    operators::{Operator, Role},
    words::Email,
};

/// What decides about a login.
pub(super) struct Login {
    pub(super) tenant: TenantId,
    pub(super) operator: Operator,
    pub(super) password_hash: String,
    tenant_active: bool,
}

impl Login {
    /// May log in, if the password fits.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        let locked = self.operator.locked_until.is_some_and(|until| now < until);
        self.tenant_active && !self.operator.disabled && !locked
    }
}

pub(super) async fn find(tx: &mut Tx, email: &Email) -> Result<Option<Login>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT o.tenant_id, o.id, o.name, o.role, o.password_hash, o.disabled, o.version,
                  o.locked_until AS "locked_until: jiff_sqlx::Timestamp",
                  o.last_login_at AS "last_login_at: jiff_sqlx::Timestamp",
                  o.created_at AS "created_at: jiff_sqlx::Timestamp",
                  t.status = 'active' AS "tenant_active!"
             FROM operator o
             JOIN tenant t ON t.tenant_id = o.tenant_id
            WHERE o.email = $1"#,
        email.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "operator", row: row.id };
    let operator = Operator {
        id: OperatorId::from_uuid(row.id),
        email: email.clone(),
        name: at.parse("name", &row.name)?,
        role: at.parse("role", &row.role)?,
        disabled: row.disabled,
        locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
        last_login_at: row.last_login_at.map(jiff_sqlx::Timestamp::to_jiff),
        version: row.version,
        created_at: row.created_at.to_jiff(),
    };
    Ok(Some(Login {
        tenant: TenantId::from_uuid(row.tenant_id),
        operator,
        password_hash: row.password_hash,
        tenant_active: row.tenant_active,
    }))
}

/// Whose token it is.
pub(super) struct Identified {
    pub(super) tenant: TenantId,
    pub(super) operator: OperatorId,
    pub(super) role: Role,
    pub(super) reseller: Option<ResellerId>,
}

pub(super) async fn identify(
    pool: &PgPool,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Identified>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT o.tenant_id, o.id, o.role, o.reseller_id
             FROM operator_session s
             JOIN operator o ON o.tenant_id = s.tenant_id AND o.id = s.operator_id
             JOIN tenant t ON t.tenant_id = s.tenant_id
            WHERE s.token_hash = $1 AND s.expires_at > $2
              AND NOT o.disabled AND t.status = 'active'"#,
        token_hash.as_slice(),
        now.to_sqlx() as _,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role = Cell { table: "operator", row: row.id }.parse("role", &row.role)?;
    Ok(Some(Identified {
        tenant: TenantId::from_uuid(row.tenant_id),
        operator: OperatorId::from_uuid(row.id),
        role,
        reseller: row.reseller_id.map(ResellerId::from_uuid),
    }))
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    token_hash: &[u8; 32],
    ip: IpAddr,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO operator_session
           (tenant_id, token_hash, operator_id, created_at, expires_at, remote_ip)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant.as_uuid(),
        token_hash.as_slice(),
        operator.as_uuid(),
        now.to_sqlx() as _,
        expires_at.to_sqlx() as _,
        IpNetwork::from(ip),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes what has expired, of one login.
pub(super) async fn sweep(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM operator_session
          WHERE tenant_id = $1 AND operator_id = $2 AND expires_at <= $3",
        tenant.as_uuid(),
        operator.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx, token_hash: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM operator_session WHERE token_hash = $1", token_hash.as_slice())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn succeeded(
    tx: &mut Tx,
    login: &Login,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET failed_logins = 0, locked_until = NULL, last_login_at = $3
          WHERE tenant_id = $1 AND id = $2",
        login.tenant.as_uuid(),
        login.operator.id.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Counts a wrong password, and locks the login when it was one too many.
pub(super) async fn failed(
    tx: &mut Tx,
    login: &Login,
    max: i32,
    locked_until: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operator
            SET failed_logins = CASE WHEN failed_logins + 1 >= $3 THEN 0
                                     ELSE failed_logins + 1 END,
                locked_until = CASE WHEN failed_logins + 1 >= $3 THEN $4
                                    ELSE locked_until END
          WHERE tenant_id = $1 AND id = $2",
        login.tenant.as_uuid(),
        login.operator.id.as_uuid(),
        max,
        locked_until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}
