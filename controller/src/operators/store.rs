//! The table `operator`, as its tenant sees it.

use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, TenantId};
use uuid::Uuid;

use super::Operator;
use crate::db::{Cell, StoreError, Tx, one};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    operator: &Operator,
    password_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO operator (tenant_id, id, email, name, role, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        tenant.as_uuid(),
        operator.id.as_uuid(),
        operator.email.as_str(),
        operator.name.as_str(),
        operator.role.as_str(),
        password_hash,
        operator.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Operator>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, email, name, role, disabled, version,
                  locked_until AS "locked_until: jiff_sqlx::Timestamp",
                  last_login_at AS "last_login_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM operator
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Operator::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: OperatorId,
) -> Result<Option<Operator>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, email, name, role, disabled, version,
                  locked_until AS "locked_until: jiff_sqlx::Timestamp",
                  last_login_at AS "last_login_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM operator
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Operator::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    operator: &Operator,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET name = $4, role = $5, disabled = $6, version = version + 1,
                reseller_id = CASE WHEN $5 = 'reseller' THEN reseller_id END
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        operator.id.as_uuid(),
        version,
        operator.name.as_str(),
        operator.role.as_str(),
        operator.disabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_password(
    tx: &mut Tx,
    tenant: TenantId,
    id: OperatorId,
    hash: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET password_hash = $3, failed_logins = 0, locked_until = NULL
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        hash,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    email: String,
    name: String,
    role: String,
    disabled: bool,
    version: i64,
    locked_until: Option<jiff_sqlx::Timestamp>,
    last_login_at: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Operator {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "operator", row: row.id };
        Ok(Self {
            id: OperatorId::from_uuid(row.id),
            email: at.parse("email", &row.email)?,
            name: at.parse("name", &row.name)?,
            role: at.parse("role", &row.role)?,
            disabled: row.disabled,
            locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
            last_login_at: row.last_login_at.map(jiff_sqlx::Timestamp::to_jiff),
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
