//! The tables `second_factor` and `recovery_code`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::TenantId;

use super::Who;
use crate::{
    db::{StoreError, Tx, one},
    operators::Role,
};

pub(super) struct Factor {
    pub(super) secret_sealed: Vec<u8>,
    pub(super) confirmed: bool,
}

pub(super) async fn find(tx: &mut Tx, who: Who) -> Result<Option<Factor>, StoreError> {
    let factor = sqlx::query_as!(
        Factor,
        r#"SELECT secret_sealed, confirmed_at IS NOT NULL AS "confirmed!"
             FROM second_factor
            WHERE tenant_id = $1 AND operator_id = $2"#,
        who.0.as_uuid(),
        who.1.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(factor)
}

/// False if there is a confirmed one.
pub(super) async fn begin(
    tx: &mut Tx,
    who: Who,
    secret_sealed: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO second_factor (tenant_id, operator_id, secret_sealed, created_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, operator_id) DO UPDATE
           SET secret_sealed = excluded.secret_sealed, created_at = excluded.created_at,
               last_step = 0
         WHERE second_factor.confirmed_at IS NULL",
        who.0.as_uuid(),
        who.1.as_uuid(),
        secret_sealed,
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn confirm(tx: &mut Tx, who: Who, now: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE second_factor SET confirmed_at = $3
          WHERE tenant_id = $1 AND operator_id = $2 AND confirmed_at IS NULL",
        who.0.as_uuid(),
        who.1.as_uuid(),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// False if a code of this step, or of a later one, was used before.
pub(super) async fn use_step(tx: &mut Tx, who: Who, step: i64) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE second_factor SET last_step = $3
          WHERE tenant_id = $1 AND operator_id = $2 AND last_step < $3",
        who.0.as_uuid(),
        who.1.as_uuid(),
        step,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// With its recovery codes. False if there is none.
pub(super) async fn remove(tx: &mut Tx, who: Who) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM second_factor WHERE tenant_id = $1 AND operator_id = $2",
        who.0.as_uuid(),
        who.1.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn replace_codes(
    tx: &mut Tx,
    who: Who,
    marks: &[Vec<u8>],
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM recovery_code WHERE tenant_id = $1 AND operator_id = $2",
        who.0.as_uuid(),
        who.1.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO recovery_code (tenant_id, operator_id, code_mark)
         SELECT $1, $2, mark FROM unnest($3::bytea[]) AS mark",
        who.0.as_uuid(),
        who.1.as_uuid(),
        marks,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False if there is no such code any more.
pub(super) async fn use_code(tx: &mut Tx, who: Who, mark: &[u8; 32]) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM recovery_code
          WHERE tenant_id = $1 AND operator_id = $2 AND code_mark = $3",
        who.0.as_uuid(),
        who.1.as_uuid(),
        mark.as_slice(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Does the tenant want one of this role?
pub(super) async fn is_needed(
    tx: &mut Tx,
    tenant: TenantId,
    role: Role,
) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT $2 = ANY (second_factor_roles) AS "needed!" FROM tenant WHERE tenant_id = $1"#,
        tenant.as_uuid(),
        role.as_str(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.needed)
}
