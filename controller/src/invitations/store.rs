//! The table `invitation`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::id::{InvitationId, OperatorId, TenantId};
use uuid::Uuid;

use super::Invitation;
use crate::db::{Cell, StoreError, Tx, one};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    invitation: &Invitation,
    token_hash: &[u8; 32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO invitation
           (tenant_id, id, token_hash, email, role, operator_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant.as_uuid(),
        invitation.id.as_uuid(),
        token_hash.as_slice(),
        invitation.email.as_str(),
        invitation.role.as_str(),
        invitation.operator.as_ref().map(OperatorId::as_uuid),
        invitation.created_at.to_sqlx() as _,
        invitation.expires_at.to_sqlx() as _,
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
) -> Result<Vec<Invitation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, id, email, role, operator_id,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  accepted_at AS "accepted_at: jiff_sqlx::Timestamp"
             FROM invitation
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Invitation::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvitationId,
) -> Result<Option<Invitation>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, id, email, role, operator_id,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  accepted_at AS "accepted_at: jiff_sqlx::Timestamp"
             FROM invitation
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Invitation::try_from).transpose()
}

/// One that could be accepted with this token.
pub(super) async fn look(
    tx: &mut Tx,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(TenantId, Invitation)>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT i.tenant_id, i.id, i.email, i.role, i.operator_id,
                  i.created_at AS "created_at: jiff_sqlx::Timestamp",
                  i.expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  i.accepted_at AS "accepted_at: jiff_sqlx::Timestamp"
             FROM invitation i
             JOIN tenant t ON t.tenant_id = i.tenant_id
            WHERE i.token_hash = $1 AND i.accepted_at IS NULL AND i.expires_at > $2
              AND t.status = 'active'"#,
        token_hash.as_slice(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Row::with_tenant).transpose()
}

/// Uses it up. None if somebody was faster, or it is over.
pub(super) async fn accept(
    tx: &mut Tx,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(TenantId, Invitation)>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"UPDATE invitation SET accepted_at = $2
            WHERE token_hash = $1 AND accepted_at IS NULL AND expires_at > $2
        RETURNING tenant_id, id, email, role, operator_id,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp",
                  accepted_at AS "accepted_at: jiff_sqlx::Timestamp""#,
        token_hash.as_slice(),
        now.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Row::with_tenant).transpose()
}

pub(super) async fn withdraw(
    tx: &mut Tx,
    tenant: TenantId,
    id: InvitationId,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "DELETE FROM invitation WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// Those of an operator that nobody has accepted, but one.
pub(super) async fn withdraw_others(
    tx: &mut Tx,
    tenant: TenantId,
    operator: OperatorId,
    but: InvitationId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM invitation
          WHERE tenant_id = $1 AND operator_id = $2 AND id <> $3 AND accepted_at IS NULL",
        tenant.as_uuid(),
        operator.as_uuid(),
        but.as_uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One who can log in.
pub(super) async fn has_owner(tx: &mut Tx, tenant: TenantId) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM operator
                           WHERE tenant_id = $1 AND role = 'owner' AND NOT disabled) AS "any!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.any)
}

/// The row as Postgres returns it.
struct Row {
    tenant_id: Uuid,
    id: Uuid,
    email: String,
    role: String,
    operator_id: Option<Uuid>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    accepted_at: Option<jiff_sqlx::Timestamp>,
}

impl Row {
    fn with_tenant(self) -> Result<(TenantId, Invitation), StoreError> {
        Ok((TenantId::from_uuid(self.tenant_id), self.try_into()?))
    }
}

impl TryFrom<Row> for Invitation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "invitation", row: row.id };
        Ok(Self {
            id: InvitationId::from_uuid(row.id),
            email: at.parse("email", &row.email)?,
            role: at.parse("role", &row.role)?,
            operator: row.operator_id.map(OperatorId::from_uuid),
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            accepted_at: row.accepted_at.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}
