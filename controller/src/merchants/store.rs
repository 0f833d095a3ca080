//! The tables `merchant` and `merchant_account`.

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use shared::id::{MerchantId, TenantId};
use uuid::Uuid;

use super::Merchant;
use crate::{
    db::{Cell, Db, StoreError, Tx, one},
    gateways::Environment,
    words::{Name, Till},
};

pub(super) struct Sealed {
    pub(super) secrets: Vec<u8>,
    pub(super) token: Vec<u8>,
}

/// One whose list is to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub tenant: TenantId,
    pub merchant: MerchantId,
    pull_at: Timestamp,
}

/// What lets its callbacks in. A paybill is one tenant's; what is no real one is nobody's else.
pub(super) async fn insert_account(
    tx: &mut Tx,
    merchant: &Merchant,
    token_hash: &[u8; 32],
) -> Result<(), StoreError> {
    let shortcode = match merchant.environment {
        Environment::Production => merchant.shortcode.to_string(),
        Environment::Sandbox | Environment::Simulator => {
            format!("{}:{}", merchant.id.as_uuid(), merchant.shortcode)
        }
    };
    sqlx::query!(
        "INSERT INTO merchant_account (id, provider, shortcode, callback_token_hash)
         VALUES ($1, $2, $3, $4)",
        merchant.id.as_uuid(),
        merchant.provider.as_str(),
        shortcode,
        token_hash.as_slice(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    merchant: &Merchant,
    sealed: &Sealed,
    pull_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO merchant (tenant_id, id, provider, shortcode, till, name, environment,
           secrets_sealed, token_sealed, sources, refuse_unknown, pull_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        tenant.as_uuid(),
        merchant.id.as_uuid(),
        merchant.provider.as_str(),
        merchant.shortcode.as_str(),
        merchant.till.as_ref().map(Till::as_str),
        merchant.name.as_str(),
        merchant.environment.as_str(),
        sealed.secrets,
        sealed.token,
        &merchant.sources,
        merchant.refuse_unknown,
        pull_at.map(ToSqlx::to_sqlx) as _,
        merchant.created_at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    merchant: &Merchant,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE merchant SET till = $4, name = $5, sources = $6, disabled = $7,
                refuse_unknown = $8, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        merchant.id.as_uuid(),
        version,
        merchant.till.as_ref().map(Till::as_str),
        Name::as_str(&merchant.name),
        &merchant.sources,
        merchant.disabled,
        merchant.refuse_unknown,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_secrets(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE merchant SET secrets_sealed = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        sealed,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn sealed(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
) -> Result<Sealed, StoreError> {
    let sealed = sqlx::query_as!(
        Sealed,
        "SELECT secrets_sealed AS secrets, token_sealed AS token
           FROM merchant
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(sealed)
}

pub(super) async fn due(db: &Db, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, pull_at AS "pull_at!: jiff_sqlx::Timestamp"
             FROM merchant
            WHERE pull_at <= $1 AND NOT disabled
            ORDER BY pull_at
            LIMIT $2"#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&db.inbox)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        tenant: TenantId::from_uuid(row.tenant_id),
        merchant: MerchantId::from_uuid(row.id),
        pull_at: row.pull_at.to_jiff(),
    });
    Ok(due.collect())
}

pub(super) async fn take(
    tx: &mut Tx,
    due: &Due,
    until: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE merchant SET pull_at = $4
            WHERE tenant_id = $1 AND id = $2 AND pull_at = $3
            RETURNING coalesce(pulled_until, created_at) AS "since!: jiff_sqlx::Timestamp""#,
        due.tenant.as_uuid(),
        due.merchant.as_uuid(),
        due.pull_at.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.since.to_jiff()))
}

pub(super) async fn fetched(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
    until: Timestamp,
    next: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE merchant SET pulled_until = $3, pull_at = $4 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        until.to_sqlx() as _,
        next.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn hurry(
    tx: &mut Tx,
    tenant: TenantId,
    id: MerchantId,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE merchant SET pull_at = $3 WHERE tenant_id = $1 AND id = $2 AND pull_at > $3",
        tenant.as_uuid(),
        id.as_uuid(),
        at.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One of them, or those after an id.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    one: Option<MerchantId>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Merchant>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, provider, shortcode, till, name, environment,
                  sources AS "sources: Vec<IpNetwork>", refuse_unknown, disabled, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM merchant
            WHERE tenant_id = $1 AND id > $2 AND ($3::uuid IS NULL OR id = $3)
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        one.map(|id| *id.as_uuid()),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut merchants = Vec::with_capacity(rows.len());
    for row in rows {
        let at = Cell { table: "merchant", row: row.id };
        merchants.push(Merchant {
            id: MerchantId::from_uuid(row.id),
            provider: at.parse("provider", &row.provider)?,
            shortcode: at.parse("shortcode", &row.shortcode)?,
            till: at.maybe("till", row.till.as_deref())?,
            name: at.parse("name", &row.name)?,
            environment: at.parse("environment", &row.environment)?,
            sources: row.sources,
            refuse_unknown: row.refuse_unknown,
            disabled: row.disabled,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        });
    }
    Ok(merchants)
}
