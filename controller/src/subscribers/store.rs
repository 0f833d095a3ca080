//! The tables `subscriber` and `subscriber_device`.

use ipnetwork::{IpNetwork, Ipv6Network};
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{SubscriberId, TenantId},
    net::{Ipv6Prefix, Mac},
};
use uuid::Uuid;

use super::{AccountNo, Subscriber};
use crate::{
    db::{Cell, StoreError, Tx, one},
    words::{Email, Msisdn, Username},
};

/// Counts from 0, without gaps: what is rolled back is not counted.
pub(super) async fn next_number(tx: &mut Tx, tenant: TenantId) -> Result<u64, StoreError> {
    let row = sqlx::query!(
        r#"INSERT INTO tenant_counter AS counter (tenant_id, name, next_no)
           VALUES ($1, 'subscriber', 1)
           ON CONFLICT (tenant_id, name) DO UPDATE SET next_no = counter.next_no + 1
           RETURNING next_no - 1 AS "n!""#,
        tenant.as_uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Cell { table: "tenant_counter", row: *tenant.as_uuid() }.number("next_no", row.n)
}

pub(super) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: &Subscriber,
    password_sealed: Option<&[u8]>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO subscriber (tenant_id, id, account_no, username, password_sealed, full_name,
           msisdn, email, static_ip, status, created_at, delegated_prefix)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        tenant.as_uuid(),
        subscriber.id.as_uuid(),
        subscriber.account_no.as_str(),
        subscriber.username.as_str(),
        password_sealed,
        subscriber.full_name.as_str(),
        subscriber.msisdn.as_ref().map(Msisdn::as_str),
        subscriber.email.as_ref().map(Email::as_str),
        subscriber.static_ip.map(IpNetwork::from),
        subscriber.status.as_str(),
        subscriber.created_at.to_sqlx() as _,
        subscriber.delegated_prefix.map(network),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Of an open account that has one: whose it is, and the sealed password.
pub(super) async fn password(
    tx: &mut Tx,
    tenant: TenantId,
    username: &Username,
) -> Result<Option<(SubscriberId, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, password_sealed AS "sealed!" FROM subscriber
            WHERE tenant_id = $1 AND username = $2 AND status = 'active'
              AND password_sealed IS NOT NULL"#,
        tenant.as_uuid(),
        username.as_str(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (SubscriberId::from_uuid(row.id), row.sealed)))
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    search: Option<&str>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Subscriber>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, account_no, username, password_sealed IS NOT NULL AS "has_password!",
                  full_name, msisdn, email, static_ip, delegated_prefix, status, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  ARRAY(SELECT mac FROM subscriber_device d
                         WHERE d.tenant_id = s.tenant_id AND d.subscriber_id = s.id
                         ORDER BY mac) AS "macs!"
             FROM subscriber s
            WHERE tenant_id = $1 AND id > $2
              AND ($3::text IS NULL OR starts_with(username, $3) OR starts_with(account_no, $3))
            ORDER BY id
            LIMIT $4"#,
        tenant.as_uuid(),
        after,
        search,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Subscriber::try_from).collect()
}

pub(super) async fn by_accounts(
    tx: &mut Tx,
    tenant: TenantId,
    accounts: &[&AccountNo],
) -> Result<Vec<(AccountNo, SubscriberId)>, StoreError> {
    let accounts: Vec<_> = accounts.iter().map(|account| account.as_str().to_owned()).collect();
    let rows = sqlx::query!(
        "SELECT id, account_no FROM subscriber WHERE tenant_id = $1 AND account_no = ANY ($2)",
        tenant.as_uuid(),
        &accounts,
    )
    .fetch_all(&mut **tx)
    .await?;
    let found = rows.into_iter().map(|row| {
        let at = Cell { table: "subscriber", row: row.id };
        Ok((at.parse("account_no", &row.account_no)?, SubscriberId::from_uuid(row.id)))
    });
    found.collect()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriberId,
) -> Result<Option<Subscriber>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, account_no, username, password_sealed IS NOT NULL AS "has_password!",
                  full_name, msisdn, email, static_ip, delegated_prefix, status, version,
                  created_at AS "created_at: jiff_sqlx::Timestamp",
                  ARRAY(SELECT mac FROM subscriber_device d
                         WHERE d.tenant_id = s.tenant_id AND d.subscriber_id = s.id
                         ORDER BY mac) AS "macs!"
             FROM subscriber s
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Subscriber::try_from).transpose()
}

/// False if the row is not of this version any more.
pub(super) async fn update(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: &Subscriber,
    version: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE subscriber
            SET username = $4, full_name = $5, msisdn = $6, email = $7, static_ip = $8,
                status = $9, delegated_prefix = $10, version = version + 1
          WHERE tenant_id = $1 AND id = $2 AND version = $3",
        tenant.as_uuid(),
        subscriber.id.as_uuid(),
        version,
        subscriber.username.as_str(),
        subscriber.full_name.as_str(),
        subscriber.msisdn.as_ref().map(Msisdn::as_str),
        subscriber.email.as_ref().map(Email::as_str),
        subscriber.static_ip.map(IpNetwork::from),
        subscriber.status.as_str(),
        subscriber.delegated_prefix.map(network),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn network(prefix: Ipv6Prefix) -> IpNetwork {
    let network = Ipv6Network::new(prefix.address(), prefix.bits());
    network.expect("a prefix of IPv6 has at most 128 bits").into()
}

pub(super) async fn set_password(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriberId,
    sealed: Option<&[u8]>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE subscriber SET password_sealed = $3 WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        sealed,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// These and no others.
pub(super) async fn set_devices(
    tx: &mut Tx,
    tenant: TenantId,
    id: SubscriberId,
    macs: &[Mac],
) -> Result<(), StoreError> {
    let macs: Vec<_> = macs.iter().map(Mac::to_string).collect();
    sqlx::query!(
        "DELETE FROM subscriber_device
          WHERE tenant_id = $1 AND subscriber_id = $2 AND mac <> ALL ($3)",
        tenant.as_uuid(),
        id.as_uuid(),
        &macs,
    )
    .execute(&mut **tx)
    .await?;
    // What is there already is skipped; what another has is a conflict of the primary key.
    sqlx::query!(
        "INSERT INTO subscriber_device (tenant_id, mac, subscriber_id)
         SELECT $1, wanted.mac, $2 FROM unnest($3::text[]) AS wanted (mac)
          WHERE NOT EXISTS (SELECT FROM subscriber_device d
                             WHERE d.tenant_id = $1 AND d.subscriber_id = $2 AND d.mac = wanted.mac)",
        tenant.as_uuid(),
        id.as_uuid(),
        &macs,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What came of it: see the function.
pub(super) async fn delete(tx: &mut Tx, id: SubscriberId) -> Result<String, StoreError> {
    let row = sqlx::query!(r#"SELECT delete_subscriber($1) AS "said!""#, id.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.said)
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    account_no: String,
    username: String,
    has_password: bool,
    full_name: String,
    msisdn: Option<String>,
    email: Option<String>,
    static_ip: Option<IpNetwork>,
    delegated_prefix: Option<IpNetwork>,
    status: String,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
    macs: Vec<String>,
}

impl TryFrom<Row> for Subscriber {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "subscriber", row: row.id };
        let macs = row.macs.iter().map(|mac| at.parse("macs", mac));
        Ok(Self {
            id: SubscriberId::from_uuid(row.id),
            account_no: at.parse("account_no", &row.account_no)?,
            username: at.parse("username", &row.username)?,
            has_password: row.has_password,
            full_name: at.parse("full_name", &row.full_name)?,
            msisdn: at.maybe("msisdn", row.msisdn.as_deref())?,
            email: at.maybe("email", row.email.as_deref())?,
            static_ip: row.static_ip.map(|network| network.ip()),
            delegated_prefix: row
                .delegated_prefix
                .map(|network| at.parse("delegated_prefix", &network.to_string()))
                .transpose()?,
            macs: macs.collect::<Result<_, _>>()?,
            status: at.parse("status", &row.status)?,
            version: row.version,
            created_at: row.created_at.to_jiff(),
        })
    }
}
