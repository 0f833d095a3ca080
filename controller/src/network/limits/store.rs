//! The table `garden`, and the uplinks of the table `edge`.

use ipnetwork::IpNetwork;
use shared::{
    id::{EdgeId, TenantId},
    net::Prefix,
    rate::{Kbps, Shape},
    wire::latest::desired::Garden,
};

use sqlx::PgConnection;

use super::GardenRow;
use crate::db::{Cell, StoreError, Tx, one};

pub(super) async fn garden(
    conn: &mut PgConnection,
    tenant: TenantId,
) -> Result<GardenRow, StoreError> {
    let row = sqlx::query!(
        r#"SELECT open::inet[] AS "open!: Vec<IpNetwork>", free::inet[] AS "free!: Vec<IpNetwork>",
                  names, dns::inet[] AS "dns!: Vec<IpNetwork>", kbps, dns_kbps, version
             FROM garden WHERE tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(GardenRow { garden: Garden::default(), version: 0 }) };
    let at = Cell { table: "garden", row: *tenant.as_uuid() };
    let prefixes = |column, all: Vec<IpNetwork>| {
        all.into_iter()
            .map(|one| Prefix::new(one.ip(), one.prefix()).ok_or_else(|| at.corrupt(column)))
            .collect::<Result<Vec<_>, _>>()
    };
    let kbps = |column, kbps: Option<i32>| {
        kbps.map(|kbps| {
            Kbps::new(at.number(column, kbps.into())?).ok_or_else(|| at.corrupt(column))
        })
        .transpose()
    };
    let garden = Garden {
        open: prefixes("open", row.open)?,
        free: prefixes("free", row.free)?,
        names: row.names,
        dns: prefixes("dns", row.dns)?,
        kbps: kbps("kbps", row.kbps)?,
        dns_kbps: kbps("dns_kbps", row.dns_kbps)?,
    };
    Ok(GardenRow { garden, version: row.version })
}

/// False if it is not of this version any more.
pub(super) async fn set_garden(
    tx: &mut Tx,
    tenant: TenantId,
    garden: &Garden,
    version: i64,
) -> Result<bool, StoreError> {
    let texts = |all: &[Prefix]| all.iter().map(Prefix::to_string).collect::<Vec<_>>();
    let kbps = |kbps: Option<Kbps>| kbps.map(|kbps| kbps.get().cast_signed());
    let done = sqlx::query!(
        "INSERT INTO garden AS old (tenant_id, open, free, names, dns, kbps, dns_kbps)
         SELECT $1, $3::text[]::cidr[], $4::text[]::cidr[], $5, $6::text[]::cidr[], $7, $8
          WHERE $2::bigint = 0 OR EXISTS (SELECT FROM garden WHERE tenant_id = $1)
         ON CONFLICT (tenant_id) DO UPDATE
            SET open = excluded.open, free = excluded.free, names = excluded.names,
                dns = excluded.dns, kbps = excluded.kbps, dns_kbps = excluded.dns_kbps,
                version = old.version + 1
          WHERE old.version = $2",
        tenant.as_uuid(),
        version,
        &texts(&garden.open),
        &texts(&garden.free),
        &garden.names,
        &texts(&garden.dns),
        kbps(garden.kbps),
        kbps(garden.dns_kbps),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// None: there is no such edge.
pub(super) async fn uplink(
    tx: &mut Tx,
    tenant: TenantId,
    edge: EdgeId,
) -> Result<Option<Option<Shape>>, StoreError> {
    let row = sqlx::query!(
        "SELECT uplink_down_kbps, uplink_up_kbps FROM edge WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        edge.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Cell { table: "edge", row: *edge.as_uuid() };
    let kbps = |column, kbps: i32| {
        Kbps::new(at.number(column, kbps.into())?).ok_or_else(|| at.corrupt(column))
    };
    let (Some(down), Some(up)) = (row.uplink_down_kbps, row.uplink_up_kbps) else {
        return Ok(Some(None));
    };
    Ok(Some(Some(Shape {
        down_kbps: kbps("uplink_down_kbps", down)?,
        up_kbps: kbps("uplink_up_kbps", up)?,
    })))
}

pub(super) async fn set_uplink(
    tx: &mut Tx,
    tenant: TenantId,
    edge: EdgeId,
    uplink: Option<Shape>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE edge SET uplink_down_kbps = $3, uplink_up_kbps = $4
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        edge.as_uuid(),
        uplink.map(|uplink| uplink.down_kbps.get().cast_signed()),
        uplink.map(|uplink| uplink.up_kbps.get().cast_signed()),
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}
