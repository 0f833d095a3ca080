//! The tables `login`, `operator_session` (its tokens) and `refresh_token`.

pub(super) mod known;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{LoginId, OperatorId, ResellerId, TenantId};
use sqlx::PgPool;

use self::known::Known;
use crate::{
    actor::Actor,
    db::{Cell, StoreError, Tx, one},
    operators::Role,
    words::Note,
};

/// Whose token it is.
pub(super) struct Identified {
    pub(super) tenant: TenantId,
    pub(super) operator: OperatorId,
    pub(super) role: Role,
    pub(super) reseller: Option<ResellerId>,
    pub(super) login: LoginId,
    pub(super) csrf_hash: Option<Vec<u8>>,
    pub(super) proven_at: Option<Timestamp>,
    pub(super) has_factor: bool,
    pub(super) factor_needed: bool,
}

pub(super) async fn identify(
    pool: &PgPool,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Identified>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT o.tenant_id, o.id, o.role, o.reseller_id, l.id AS login, l.csrf_hash,
                  l.proven_at AS "proven_at: jiff_sqlx::Timestamp",
                  o.role = ANY (t.second_factor_roles) AS "factor_needed!",
                  EXISTS (SELECT FROM second_factor f
                           WHERE f.tenant_id = o.tenant_id AND f.operator_id = o.id
                             AND f.confirmed_at IS NOT NULL) AS "has_factor!"
             FROM operator_session s
             JOIN login l ON l.tenant_id = s.tenant_id AND l.id = s.login_id
             JOIN operator o ON o.tenant_id = s.tenant_id AND o.id = s.operator_id
             JOIN tenant t ON t.tenant_id = s.tenant_id
            WHERE s.token_hash = $1 AND s.expires_at > $2 AND l.ends_at > $2
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
        login: LoginId::from_uuid(row.login),
        csrf_hash: row.csrf_hash,
        proven_at: row.proven_at.map(jiff_sqlx::Timestamp::to_jiff),
        has_factor: row.has_factor,
        factor_needed: row.factor_needed,
    }))
}

pub(super) struct NewLogin<'a> {
    pub(super) id: LoginId,
    pub(super) operator: OperatorId,
    pub(super) csrf_hash: Option<[u8; 32]>,
    pub(super) program: &'a Note,
    pub(super) proven_at: Option<Timestamp>,
    pub(super) ends_at: Timestamp,
}

pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    login: &NewLogin<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO login (tenant_id, id, operator_id, created_at, used_at, ends_at, proven_at,
           remote_ip, program, csrf_hash)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9)",
        actor.tenant.as_uuid(),
        login.id.as_uuid(),
        login.operator.as_uuid(),
        now.to_sqlx() as _,
        login.ends_at.to_sqlx() as _,
        login.proven_at.map(Timestamp::to_sqlx) as _,
        actor.ip.map(IpNetwork::from),
        login.program.as_str(),
        login.csrf_hash.as_ref().map(<[u8; 32]>::as_slice),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_token(
    tx: &mut Tx,
    actor: &Actor,
    operator: OperatorId,
    login: LoginId,
    token_hash: &[u8; 32],
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO operator_session
           (tenant_id, token_hash, operator_id, login_id, created_at, expires_at, remote_ip)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        actor.tenant.as_uuid(),
        token_hash.as_slice(),
        operator.as_uuid(),
        login.as_uuid(),
        now.to_sqlx() as _,
        expires_at.to_sqlx() as _,
        actor.ip.map(IpNetwork::from),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn insert_refresh(
    tx: &mut Tx,
    tenant: TenantId,
    login: LoginId,
    token_hash: &[u8; 32],
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO refresh_token (tenant_id, token_hash, login_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        tenant.as_uuid(),
        token_hash.as_slice(),
        login.as_uuid(),
        now.to_sqlx() as _,
        expires_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a refresh token belongs to.
pub(super) struct Refresh {
    pub(super) id: LoginId,
    pub(super) login: Known,
    pub(super) csrf_hash: Option<Vec<u8>>,
    pub(super) expires_at: Timestamp,
    pub(super) ends_at: Timestamp,
}

pub(super) async fn find_refresh(
    tx: &mut Tx,
    token_hash: &[u8; 32],
) -> Result<Option<Refresh>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT l.tenant_id, l.id, l.operator_id, l.csrf_hash,
                  l.ends_at AS "ends_at: jiff_sqlx::Timestamp",
                  r.expires_at AS "expires_at: jiff_sqlx::Timestamp"
             FROM refresh_token r
             JOIN login l ON l.tenant_id = r.tenant_id AND l.id = r.login_id
            WHERE r.token_hash = $1"#,
        token_hash.as_slice(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tenant = TenantId::from_uuid(row.tenant_id);
    let login =
        known::find(tx, known::By::Id(tenant, OperatorId::from_uuid(row.operator_id))).await?;
    Ok(login.map(|login| Refresh {
        id: LoginId::from_uuid(row.id),
        login,
        csrf_hash: row.csrf_hash,
        expires_at: row.expires_at.to_jiff(),
        ends_at: row.ends_at.to_jiff(),
    }))
}

/// False if it was used before. Of two at once, the second waits for the first and sees that.
pub(super) async fn use_refresh(
    tx: &mut Tx,
    tenant: TenantId,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE refresh_token SET used_at = $3
          WHERE tenant_id = $1 AND token_hash = $2 AND used_at IS NULL",
        tenant.as_uuid(),
        token_hash.as_slice(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A renewal's tokens take the place of those before.
pub(super) async fn end_tokens(
    tx: &mut Tx,
    tenant: TenantId,
    login: LoginId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM operator_session WHERE tenant_id = $1 AND login_id = $2",
        tenant.as_uuid(),
        login.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn used(
    tx: &mut Tx,
    tenant: TenantId,
    login: LoginId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE login SET used_at = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        login.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The second factor was shown.
pub(super) async fn proven(
    tx: &mut Tx,
    tenant: TenantId,
    login: LoginId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE login SET proven_at = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        login.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes what is over, of one operator.
pub(super) async fn sweep(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM login l
          WHERE l.tenant_id = $1 AND l.operator_id = $2
            AND (l.ends_at <= $3 OR NOT EXISTS (
                 SELECT FROM refresh_token r
                  WHERE r.tenant_id = l.tenant_id AND r.login_id = l.id AND r.expires_at > $3))",
        tenant.as_uuid(),
        operator.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
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

/// Oldest first.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
) -> Result<Vec<super::Login>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, program, remote_ip,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  used_at AS "used_at: jiff_sqlx::Timestamp",
                  ends_at AS "ends_at: jiff_sqlx::Timestamp",
                  proven_at AS "proven_at: jiff_sqlx::Timestamp"
             FROM login
            WHERE tenant_id = $1 AND operator_id = $2
            ORDER BY id"#,
        tenant.as_uuid(),
        operator.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let logins = rows.into_iter().map(|row| {
        let at = Cell { table: "login", row: row.id };
        Ok(super::Login {
            id: LoginId::from_uuid(row.id),
            program: at.parse("program", &row.program)?,
            ip: row.remote_ip.map(|network| network.ip()),
            created_at: row.created_at.to_jiff(),
            used_at: row.used_at.to_jiff(),
            ends_at: row.ends_at.to_jiff(),
            proven_at: row.proven_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    });
    logins.collect()
}

pub(super) async fn end(tx: &mut Tx, tenant: TenantId, login: LoginId) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM login WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        login.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False if there is no such login of that operator.
pub(super) async fn end_own(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    login: LoginId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM login WHERE tenant_id = $1 AND operator_id = $2 AND id = $3",
        tenant.as_uuid(),
        operator.as_uuid(),
        login.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn end_all(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    but: Option<LoginId>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM login
          WHERE tenant_id = $1 AND operator_id = $2 AND id IS DISTINCT FROM $3",
        tenant.as_uuid(),
        operator.as_uuid(),
        but.as_ref().map(LoginId::as_uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
