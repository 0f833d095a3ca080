//! The table `nas`.

use std::num::NonZeroU32;

use ipnetwork::IpNetwork;
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{EdgeId, NasId, TenantId},
    net::Prefix,
    wire::latest::desired::Require,
};
use uuid::Uuid;

use super::Nas;
use crate::{
    db::{Cell, StoreError, Tx, one},
    words::{DnsName, Pair},
};

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    nas: &Nas,
    secret_sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO nas (tenant_id, id, edge_id, name, address, secret_sealed, enforce, vendor,
           require_message_authenticator, disabled, created_at, learn_message_authenticator,
           requests_per_second, dynauth_port, tls_name, reply)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        tenant.as_uuid(),
        nas.id.as_uuid(),
        nas.edge.as_uuid(),
        nas.name.as_str(),
        network(nas)?,
        secret_sealed,
        nas.enforce.as_str(),
        nas.vendor.as_str(),
        nas.require_message_authenticator != Require::No,
        nas.disabled,
        nas.created_at.to_sqlx() as _,
        nas.require_message_authenticator == Require::Auto,
        per_second(nas)?,
        i32::from(nas.dynauth_port),
        nas.tls_name.as_ref().map(DnsName::as_str),
        &reply(nas),
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
                  learn_message_authenticator, requests_per_second, dynauth_port, tls_name, reply,
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
                  learn_message_authenticator, requests_per_second, dynauth_port, tls_name, reply,
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
                require_message_authenticator = $9, disabled = $10,
                learn_message_authenticator = $11, requests_per_second = $12, dynauth_port = $13,
                tls_name = $14, reply = $15, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        nas.id.as_uuid(),
        version,
        nas.edge.as_uuid(),
        nas.name.as_str(),
        network(nas)?,
        nas.enforce.as_str(),
        nas.vendor.as_str(),
        nas.require_message_authenticator != Require::No,
        nas.disabled,
        nas.require_message_authenticator == Require::Auto,
        per_second(nas)?,
        i32::from(nas.dynauth_port),
        nas.tls_name.as_ref().map(DnsName::as_str),
        &reply(nas),
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

fn per_second(nas: &Nas) -> Result<Option<i32>, StoreError> {
    let at = Cell { table: "nas", row: *nas.id.as_uuid() };
    let rate = nas.requests_per_second.map(|rate| i32::try_from(rate.get()));
    rate.transpose().map_err(|_| at.corrupt("requests_per_second"))
}

fn reply(nas: &Nas) -> Vec<String> {
    nas.reply.iter().map(Pair::to_string).collect()
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
    learn_message_authenticator: bool,
    requests_per_second: Option<i32>,
    dynauth_port: i32,
    tls_name: Option<String>,
    reply: Vec<String>,
    disabled: bool,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
}

/// Two columns, of which the second came later.
const fn require(required: bool, learnt: bool) -> Require {
    match (required, learnt) {
        (false, _) => Require::No,
        (true, false) => Require::Yes,
        (true, true) => Require::Auto,
    }
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
            require_message_authenticator: require(
                row.require_message_authenticator,
                row.learn_message_authenticator,
            ),
            requests_per_second: row
                .requests_per_second
                .map(|rate| {
                    let rate = at.number("requests_per_second", rate.into())?;
                    NonZeroU32::new(rate).ok_or_else(|| at.corrupt("requests_per_second"))
                })
                .transpose()?,
            dynauth_port: at.number("dynauth_port", row.dynauth_port.into())?,
            tls_name: at.maybe("tls_name", row.tls_name.as_deref())?,
            reply: row
                .reply
                .iter()
                .map(|pair| at.parse("reply", pair))
                .collect::<Result<_, _>>()?,
            disabled: row.disabled,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
