//! The table `nas`.

use ipnetwork::IpNetwork;
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{EdgeId, NasId, TenantId},
    net::Prefix,
};
use uuid::Uuid;

use super::Nas;
use crate::db::{Cell, StoreError, Tx, one};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    nas: &Nas,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO nas (tenant_id, id, edge_id, name, address, secret_sealed, enforce, vendor,
           require_message_authenticator, disabled, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tenant.as_uuid(),
        nas.id.as_uuid(),
        nas.edge.as_uuid(),
        nas.name.as_str(),
        network(nas)?,
        secret_sealed,
        nas.enforce.as_str(),
        nas.vendor.as_str(),
        nas.require_message_authenticator,
        nas.disabled,
        nas.created_at.to_sqlx() as _,
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
) -> Result<Vec<Nas>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, edge_id, name, address, enforce, vendor, require_message_authenticator,
                  disabled, version, created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM nas
            WHERE tenant_id = $1 AND id > $2
            ORDER BY id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Nas::try_from).collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: NasId,
) -> Result<Option<Nas>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, edge_id, name, address, enforce, vendor, require_message_authenticator,
                  disabled, version, created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM nas
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Nas::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    nas: &Nas,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE nas
            SET edge_id = $4, name = $5, address = $6, enforce = $7, vendor = $8,
                require_message_authenticator = $9, disabled = $10, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        nas.id.as_uuid(),
        version,
        nas.edge.as_uuid(),
        nas.name.as_str(),
        network(nas)?,
        nas.enforce.as_str(),
        nas.vendor.as_str(),
        nas.require_message_authenticator,
        nas.disabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_secret(
    tx: &mut Tx,
    tenant: TenantId,
    id: NasId,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE nas SET secret_sealed = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        sealed,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

fn network(nas: &Nas) -> Result<IpNetwork, StoreError> {
    let at = Cell { table: "nas", row: *nas.id.as_uuid() };
    let address = nas.address;
    IpNetwork::new(address.address(), address.bits()).map_err(|_| at.corrupt("address"))
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    edge_id: Uuid,
    name: String,
    address: IpNetwork,
    enforce: String,
    vendor: String,
    require_message_authenticator: bool,
    disabled: bool,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Nas {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "nas", row: row.id };
        let address = Prefix::new(row.address.ip(), row.address.prefix());
        Ok(Self {
            id: NasId::from_uuid(row.id),
            edge: EdgeId::from_uuid(row.edge_id),
            name: at.parse("name", &row.name)?,
            address: address.ok_or_else(|| at.corrupt("address"))?,
            enforce: at.parse("enforce", &row.enforce)?,
            vendor: at.parse("vendor", &row.vendor)?,
            require_message_authenticator: row.require_message_authenticator,
            disabled: row.disabled,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
