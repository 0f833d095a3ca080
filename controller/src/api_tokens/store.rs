//! The table `api_token`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{ApiTokenId, OperatorId, ResellerId, TenantId};
use sqlx::PgPool;
use uuid::Uuid;

use super::{ApiToken, Scopes};
use crate::{
    db::{Cell, StoreError, Tx},
    operators::Role,
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    token: &ApiToken,
    token_hash: &[u8; 32],
) -> Result<(), StoreError> {
    let scopes: Vec<_> = token.scopes.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "INSERT INTO api_token
           (tenant_id, id, operator_id, name, token_hash, scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        token.id.as_uuid(),
        operator.as_uuid(),
        token.name.as_str(),
        token_hash.as_slice(),
        &scopes,
        token.created_at.to_sqlx() as _,
        token.expires_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<ApiToken>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, name, scopes,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  used_at AS "used_at: jiff_sqlx::Timestamp"
             FROM api_token
            WHERE tenant_id = $1 AND operator_id = $2 AND id > $3
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        operator.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(ApiToken::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    id: ApiTokenId,
) -> Result<Option<ApiToken>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, scopes,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  used_at AS "used_at: jiff_sqlx::Timestamp"
             FROM api_token
            WHERE tenant_id = $1 AND operator_id = $2 AND id = $3"#,
        tenant.as_uuid(),
        operator.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(ApiToken::try_from).transpose()
}

/// False if there is no such token of that operator.
pub(super) async fn delete(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    id: ApiTokenId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM api_token WHERE tenant_id = $1 AND operator_id = $2 AND id = $3",
        tenant.as_uuid(),
        operator.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn delete_all(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM api_token WHERE tenant_id = $1 AND operator_id = $2",
        tenant.as_uuid(),
        operator.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// For whom a token acts.
pub(super) struct Identified {
    pub(super) id: ApiTokenId,
    pub(super) tenant: TenantId,
    pub(super) operator: OperatorId,
    pub(super) role: Role,
    pub(super) reseller: Option<ResellerId>,
    pub(super) scopes: Scopes,
    pub(super) used_at: Option<Timestamp>,
    pub(super) unfinished: bool,
}

pub(super) async fn identify(
    pool: &PgPool,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Identified>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT a.id, a.tenant_id, a.operator_id, a.scopes, o.role, o.reseller_id,
                  a.used_at AS "used_at: jiff_sqlx::Timestamp",
                  o.role = ANY (t.second_factor_roles) AND NOT EXISTS (
                    SELECT FROM second_factor f
                     WHERE f.tenant_id = o.tenant_id AND f.operator_id = o.id
                       AND f.confirmed_at IS NOT NULL) AS "unfinished!"
             FROM api_token a
             JOIN operator o ON o.tenant_id = a.tenant_id AND o.id = a.operator_id
             JOIN tenant t ON t.tenant_id = a.tenant_id
            WHERE a.token_hash = $1 AND a.expires_at > $2
              AND NOT o.disabled AND t.status = 'active'"#,
        token_hash.as_slice(),
        now.to_sqlx() as _,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Identified {
        id: ApiTokenId::from_uuid(row.id),
        tenant: TenantId::from_uuid(row.tenant_id),
        operator: OperatorId::from_uuid(row.operator_id),
        role: Cell { table: "operator", row: row.operator_id }.parse("role", &row.role)?,
        reseller: row.reseller_id.map(ResellerId::from_uuid),
        scopes: scopes(row.id, &row.scopes)?,
        used_at: row.used_at.map(jiff_sqlx::Timestamp::to_jiff),
        unfinished: row.unfinished,
    }))
}

pub(super) async fn used(
    pool: &PgPool,
    tenant: TenantId,
    id: ApiTokenId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE api_token SET used_at = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

fn scopes(row: Uuid, texts: &[String]) -> Result<Scopes, StoreError> {
    let at = Cell { table: "api_token", row };
    let scopes = texts.iter().map(|text| at.parse("scopes", text)).collect::<Result<_, _>>()?;
    Scopes::new(scopes).ok_or_else(|| at.corrupt("scopes"))
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    used_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for ApiToken {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "api_token", row: row.id };
        Ok(Self {
            id: ApiTokenId::from_uuid(row.id),
            name: at.parse("name", &row.name)?,
            scopes: scopes(row.id, &row.scopes)?,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            used_at: row.used_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}
