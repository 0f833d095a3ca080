//! SQL of the desired state: the rows that it is made of, and its revision. Who is in it is in
//! [`subscribers`].

mod subscribers;

use std::num::NonZeroU32;

use ipnetwork::IpNetwork;
use shared::{
    id::{EdgeId, NasId, TenantId},
    net::Prefix,
    rate::{Kbps, Shape},
    wire::latest::desired::{Enforce, Garden, Nas, Pointer, Require, Vendor},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DesiredError, Have};
use crate::{
    db::{Db, StoreError, one},
    network::limits,
    seal::{Place, Seal},
};

pub(super) async fn tenants_with_edges(db: &Db) -> Result<Vec<TenantId>, StoreError> {
    let rows = sqlx::query!("SELECT DISTINCT tenant_id FROM edge WHERE NOT revoked ORDER BY 1",)
        .fetch_all(&db.ingest)
        .await?;
    Ok(rows.into_iter().map(|row| TenantId::from_uuid(row.tenant_id)).collect())
}

/// One tenant's wishes, in its transaction.
pub(super) struct Wishes<'c> {
    pub(super) conn: &'c mut PgConnection,
    pub(super) tenant: TenantId,
    pub(super) seal: &'c Seal,
}

/// A subscription and the revision of it that no edge has confirmed.
pub(super) type Waiting = (Uuid, i64);

struct NasRow {
    id: Uuid,
    edge_id: Uuid,
    name: String,
    address: IpNetwork,
    secret_sealed: Vec<u8>,
    enforce: String,
    vendor: String,
    require_message_authenticator: bool,
    learn_message_authenticator: bool,
    requests_per_second: Option<i32>,
    dynauth_port: i32,
    tls_name: Option<String>,
    reply: Vec<String>,
}

impl Wishes<'_> {
    /// The edges that may come in, or one of them; kept until the transaction ends.
    #[tracing::instrument(name = "db.edge.have", skip_all, err)]
    pub(super) async fn edges(&mut self, one: Option<EdgeId>) -> Result<Vec<Have>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, desired_revision, desired_hash, applied_revision, uplink_down_kbps, \
                    uplink_up_kbps \
               FROM edge \
              WHERE tenant_id = $1 AND NOT revoked AND ($2::uuid IS NULL OR id = $2) \
              ORDER BY id FOR UPDATE",
            self.tenant.as_uuid(),
            one.map(|edge| *edge.as_uuid())
        )
        .fetch_all(&mut *self.conn)
        .await?;
        rows.into_iter()
            .map(|row| {
                let number = |column, value| {
                    u64::try_from(value).map_err(|_| StoreError::Corrupt {
                        table: "edge",
                        column,
                        row: row.id,
                    })
                };
                let kbps = |kbps: Option<i32>| Kbps::new(u32::try_from(kbps?).ok()?);
                let (down, up) = (kbps(row.uplink_down_kbps), kbps(row.uplink_up_kbps));
                Ok(Have {
                    uplink: down.zip(up).map(|(down_kbps, up_kbps)| Shape { down_kbps, up_kbps }),
                    edge: EdgeId::from_uuid(row.id),
                    revision: number("desired_revision", row.desired_revision)?,
                    hash: row.desired_hash,
                    applied_revision: number("applied_revision", row.applied_revision)?,
                })
            })
            .collect()
    }

    #[tracing::instrument(name = "db.edge.wish", skip_all, fields(edge.id = %have.edge), err)]
    pub(super) async fn write(&mut self, have: &Have, pointer: &Pointer) -> Result<(), StoreError> {
        let number = |revision| i64::try_from(revision).unwrap_or(i64::MAX);
        let done = sqlx::query!(
            "UPDATE edge SET desired_revision = $3, desired_hash = $4 \
              WHERE tenant_id = $1 AND id = $2 AND desired_revision = $5",
            self.tenant.as_uuid(),
            have.edge.as_uuid(),
            number(pointer.revision),
            &pointer.hash,
            number(have.revision)
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    /// The RADIUS clients of all edges, or of one.
    #[tracing::instrument(name = "db.nas.wanted", skip_all, err)]
    pub(super) async fn nas(
        &mut self,
        edge: Option<EdgeId>,
    ) -> Result<Vec<(EdgeId, Nas)>, DesiredError> {
        let rows = sqlx::query_as!(
            NasRow,
            "SELECT id, edge_id, name, address::inet AS \"address!\", secret_sealed, enforce, \
                    vendor, require_message_authenticator, learn_message_authenticator, \
                    requests_per_second, dynauth_port, tls_name, reply \
               FROM nas \
              WHERE tenant_id = $1 AND NOT disabled AND ($2::uuid IS NULL OR edge_id = $2)",
            self.tenant.as_uuid(),
            edge.map(|edge| *edge.as_uuid())
        )
        .fetch_all(&mut *self.conn)
        .await
        .map_err(StoreError::from)?;
        rows.into_iter().map(|row| self.read_nas(row)).collect()
    }

    fn read_nas(&self, row: NasRow) -> Result<(EdgeId, Nas), DesiredError> {
        let corrupt = |column| StoreError::Corrupt { table: "nas", column, row: row.id };
        let place =
            Place { tenant: self.tenant, table: "nas", row: row.id, column: "secret_sealed" };
        let address = Prefix::new(row.address.ip(), row.address.prefix())
            .ok_or_else(|| corrupt("address"))?;
        let secret = self.seal.open(&place, &row.secret_sealed)?;
        let nas = Nas {
            id: Some(NasId::from_uuid(row.id)),
            enforce: match row.enforce.as_str() {
                "edge" => Enforce::Edge,
                "nas" => Enforce::Nas,
                _ => return Err(corrupt("enforce").into()),
            },
            vendor: match row.vendor.as_str() {
                "standard" => Vendor::Standard,
                "mikrotik" => Vendor::Mikrotik,
                "chillispot" => Vendor::Chillispot,
                "cisco" => Vendor::Cisco,
                "ubiquiti" => Vendor::Ubiquiti,
                "cambium" => Vendor::Cambium,
                "canopy" => Vendor::Canopy,
                "aruba" => Vendor::Aruba,
                "omada" => Vendor::Omada,
                "huawei" => Vendor::Huawei,
                _ => return Err(corrupt("vendor").into()),
            },
            require_message_authenticator: match (
                row.require_message_authenticator,
                row.learn_message_authenticator,
            ) {
                (false, _) => Require::No,
                (true, false) => Require::Yes,
                (true, true) => Require::Auto,
            },
            requests_per_second: row
                .requests_per_second
                .and_then(|rate| NonZeroU32::new(u32::try_from(rate).ok()?)),
            dynauth_port: u16::try_from(row.dynauth_port).map_err(|_| corrupt("dynauth_port"))?,
            tls_name: row.tls_name,
            reply: row.reply,
            ..Nas::new(row.name, address, secret)
        };
        Ok((EdgeId::from_uuid(row.edge_id), nas))
    }

    /// What the tenant's logins may carry.
    #[tracing::instrument(name = "db.tenant.realms", skip_all, err)]
    pub(super) async fn realms(&mut self) -> Result<Vec<String>, StoreError> {
        let row =
            sqlx::query!("SELECT realms FROM tenant WHERE tenant_id = $1", self.tenant.as_uuid())
                .fetch_one(&mut *self.conn)
                .await?;
        Ok(row.realms)
    }

    /// What is open to everybody.
    pub(super) async fn garden(&mut self) -> Result<Garden, StoreError> {
        limits::garden_of(self.conn, self.tenant).await
    }

    #[tracing::instrument(name = "db.subscription.waiting", skip_all, err)]
    pub(super) async fn subscriptions_waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, desired_rev FROM subscription \
              WHERE tenant_id = $1 AND applied_rev < desired_rev ORDER BY id",
            self.tenant.as_uuid()
        )
        .fetch_all(&mut *self.conn)
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, row.desired_rev)).collect())
    }

    #[tracing::instrument(name = "db.subscription.applied", skip_all, err)]
    pub(super) async fn subscriptions_applied(
        &mut self,
        waiting: &[Waiting],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE subscription AS s SET applied_rev = w.rev \
               FROM unnest($2::uuid[], $3::bigint[]) AS w (id, rev) \
              WHERE s.tenant_id = $1 AND s.id = w.id AND s.applied_rev < w.rev",
            self.tenant.as_uuid(),
            waiting.iter().map(|(id, _)| *id).collect::<Vec<_>>() as _,
            waiting.iter().map(|(_, rev)| *rev).collect::<Vec<_>>() as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }
}
