//! Of the table `operator`, what decides about a login before the tenant is known.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{OperatorId, TenantId};
use uuid::Uuid;

use crate::{
    db::{Cell, StoreError, Tx, one},
    operators::Operator,
    words::Email,
};

/// Somebody who may log in, or not.
pub(in crate::logins) struct Known {
    pub(in crate::logins) tenant: TenantId,
    pub(in crate::logins) operator: Operator,
    pub(in crate::logins) password_hash: String,
    tenant_active: bool,
}

impl Known {
    /// Neither they nor their tenant are shut out.
    pub(in crate::logins) const fn is_open(&self) -> bool {
        self.tenant_active && !self.operator.disabled
    }
}

/// By what somebody is looked for.
#[derive(Clone, Copy)]
pub(in crate::logins) enum By<'a> {
    Email(&'a Email),
    Id(TenantId, OperatorId),
}

pub(in crate::logins) async fn find(tx: &mut Tx, by: By<'_>) -> Result<Option<Known>, StoreError> {
    let (email, tenant, operator) = match by {
        By::Email(email) => (Some(email.as_str()), None, None),
        By::Id(tenant, operator) => (None, Some(*tenant.as_uuid()), Some(*operator.as_uuid())),
    };
    let row = sqlx::query_as!(
        KnownRow,
        r#"SELECT o.tenant_id, o.id, o.email, o.name, o.role, o.password_hash, o.disabled,
                  o.version,
                  o.locked_until AS "locked_until: jiff_sqlx::Timestamp",
                  o.last_login_at AS "last_login_at: jiff_sqlx::Timestamp",
                  o.created_at AS "created_at: jiff_sqlx::Timestamp",
                  t.status = 'active' AS "tenant_active!"
             FROM operator o
             JOIN tenant t ON t.tenant_id = o.tenant_id
            WHERE o.email = $1 OR (o.tenant_id = $2 AND o.id = $3)"#,
        email,
        tenant,
        operator,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Known::try_from).transpose()
}

/// Holds off every other attempt at this login, and says until when it is locked.
pub(in crate::logins) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT locked_until AS "locked_until: jiff_sqlx::Timestamp"
             FROM operator
            WHERE tenant_id = $1 AND id = $2
              FOR NO KEY UPDATE"#,
        tenant.as_uuid(),
        operator.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.locked_until.map(jiff_sqlx::Timestamp::to_jiff))
}

pub(in crate::logins) async fn succeeded(
    tx: &mut Tx,
    login: &Known,
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

/// The same password, hashed as all are.
pub(in crate::logins) async fn set_hash(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    hash: &str,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE operator SET password_hash = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        operator.as_uuid(),
        hash,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Counts a wrong password or code, and locks the login when it was one too many.
pub(in crate::logins) async fn failed(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
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
        tenant.as_uuid(),
        operator.as_uuid(),
        max,
        locked_until.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The row as Postgres returns it.
struct KnownRow {
    tenant_id: Uuid,
    id: Uuid,
    email: String,
    name: String,
    role: String,
    password_hash: String,
    disabled: bool,
    version: i64,
    locked_until: Option<jiff_sqlx::Timestamp>,
    last_login_at: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
    tenant_active: bool,
}

impl TryFrom<KnownRow> for Known {
    type Error = StoreError;

    fn try_from(row: KnownRow) -> Result<Self, StoreError> {
        let at = Cell { table: "operator", row: row.id };
        let operator = Operator {
            id: OperatorId::from_uuid(row.id),
            email: at.parse("email", &row.email)?,
            name: at.parse("name", &row.name)?,
            role: at.parse("role", &row.role)?,
            disabled: row.disabled,
            locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
            last_login_at: row.last_login_at.map(jiff_sqlx::Timestamp::to_jiff),
            version: row.version,
            created_at: row.created_at.to_jiff(),
        };
        Ok(Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            operator,
            password_hash: row.password_hash,
            tenant_active: row.tenant_active,
        })
    }
}
