//! SQL of the desired state: the rows that it is made of, and its revision.

use std::num::NonZeroU32;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use shared::{
    id::{EdgeId, NasId, SubscriberId, SubscriptionId, TenantId},
    net::{Prefix, Vlan},
    rate::{Kbps, Shape},
    wire::latest::desired::{
        Class, Enforce, Garden, Nas, Pointer, Require, Step, Subscriber, UsedUp, Vendor,
    },
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

/// What is counted of a subscriber. What is left changes with every packet and is not part of a
/// state: it says what there was, and from when it is counted.
struct Counted {
    data_bytes: Option<u64>,
    leased: bool,
    online_seconds: Option<u64>,
    used_up: UsedUp,
    steps: Vec<Step>,
    from_ms: Option<u64>,
}

impl Counted {
    fn of(row: &SubscriberRow, shape: Shape) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "plan_version", column, row: row.id };
        let kbps = |column, kbps: i32| {
            u32::try_from(kbps).ok().and_then(Kbps::new).ok_or_else(|| corrupt(column))
        };
        let bytes = |column, bytes: i64| u64::try_from(bytes).map_err(|_| corrupt(column));
        let mut steps = Vec::with_capacity(row.steps_after.len());
        let rates = row.steps_down.iter().zip(&row.steps_up);
        for (after, (down, up)) in row.steps_after.iter().zip(rates) {
            let shape =
                Shape { down_kbps: kbps("down_kbps", *down)?, up_kbps: kbps("up_kbps", *up)? };
            steps.push(Step { after_bytes: bytes("after_bytes", *after)?, shape });
        }
        let mut data_bytes = row.data_bytes.map(|all| bytes("data_bytes", all)).transpose()?;
        let mut used_up = UsedUp::End;
        match row.on_exhaust.as_str() {
            // It goes on, slower.
            "throttle" => {
                if let Some(after_bytes) = data_bytes.take() {
                    let eighth = |kbps: Kbps| Kbps::new(kbps.get() / 8).unwrap_or(kbps);
                    let slow = match (row.slow_down_kbps, row.slow_up_kbps) {
                        (Some(down), Some(up)) => Shape {
                            down_kbps: kbps("slow_down_kbps", down)?,
                            up_kbps: kbps("slow_up_kbps", up)?,
                        },
                        (Some(_) | None, Some(_) | None) => Shape {
                            down_kbps: eighth(shape.down_kbps),
                            up_kbps: eighth(shape.up_kbps),
                        },
                    };
                    steps.retain(|step| step.after_bytes < after_bytes);
                    steps.push(Step { after_bytes, shape: slow });
                }
            }
            // It goes on, and costs.
            "overage" => data_bytes = None,
            // Who is at a hotspot buys more there.
            _ if row.access == "hotspot" => used_up = UsedUp::Garden,
            _ => {}
        }
        if data_bytes.is_none() {
            used_up = UsedUp::End;
        }
        let online_seconds =
            row.online_seconds.map(|all| bytes("online_seconds", all)).transpose()?;
        let counts = data_bytes.is_some() || !steps.is_empty() || online_seconds.is_some();
        let from = row.counted_from.filter(|_| counts).map(jiff_sqlx::Timestamp::to_jiff);
        let from_ms = from.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let leased = row.leased && data_bytes.is_some() && from_ms.is_some();
        Ok(Self { data_bytes, leased, online_seconds, used_up, steps, from_ms })
    }
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

struct SubscriberRow {
    id: Uuid,
    subscription_id: Option<Uuid>,
    username: String,
    password_sealed: Option<Vec<u8>>,
    static_ip: Option<IpNetwork>,
    delegated_prefix: Option<IpNetwork>,
    macs: Vec<String>,
    down_kbps: i32,
    up_kbps: i32,
    max_devices: i16,
    idle_timeout_seconds: Option<i32>,
    pool: Option<String>,
    filter: Option<String>,
    policy: Option<String>,
    vlan: Option<i16>,
    walled: bool,
    access: String,
    on_exhaust: String,
    slow_down_kbps: Option<i32>,
    slow_up_kbps: Option<i32>,
    data_bytes: Option<i64>,
    leased: bool,
    online_seconds: Option<i64>,
    counted_from: Option<jiff_sqlx::Timestamp>,
    steps_after: Vec<i64>,
    steps_down: Vec<i32>,
    steps_up: Vec<i32>,
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

    /// Who may be on-line: a live subscription, or else an entitlement that is valid now (the one
    /// that ends first), and an account that is not closed. Who has not paid is in the walled
    /// garden for a while.
    #[tracing::instrument(name = "db.subscriber.wanted", skip_all, err)]
    pub(super) async fn subscribers(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<Subscriber>, DesiredError> {
        let rows = sqlx::query_as!(
            SubscriberRow,
            "SELECT who.id, what.id AS \"subscription_id?\", who.username, who.password_sealed, \
                    who.static_ip, who.delegated_prefix, \
                    ARRAY (SELECT mac FROM subscriber_device AS device \
                            WHERE device.tenant_id = who.tenant_id \
                              AND device.subscriber_id = who.id) AS \"macs!\", \
                    coalesce(what.walled AND given.id IS NULL, false) AS \"walled!\", \
                    version.down_kbps, version.up_kbps, version.max_devices, \
                    version.idle_timeout_seconds, version.pool, version.filter, \
                    version.policy, version.vlan, version.access, version.on_exhaust, \
                    version.slow_down_kbps, version.slow_up_kbps, \
                    CASE WHEN given.id IS NOT NULL THEN given.bytes_granted \
                         ELSE coalesce(term.bytes_granted, version.data_bytes) \
                              + coalesce(more.bytes, 0)::bigint END AS data_bytes, \
                    (coalesce(given.bytes_granted, term.bytes_granted) IS NOT NULL AND \
                     (SELECT count(*) > 1 FROM edge \
                       WHERE edge.tenant_id = $1 AND NOT edge.revoked)) AS \"leased!\", \
                    CASE WHEN given.id IS NOT NULL THEN given.seconds_granted \
                         ELSE coalesce(term.seconds_granted, version.online_seconds) \
                              + coalesce(more.seconds, 0)::bigint END AS online_seconds, \
                    CASE WHEN given.id IS NOT NULL THEN lower(given.valid) \
                         WHEN version.data_bytes IS NULL AND version.online_seconds IS NULL \
                              AND version.fup_window <> 'period' \
                         THEN date_trunc(version.fup_window, $2::timestamptz AT TIME ZONE tenant.tz) \
                                AT TIME ZONE tenant.tz \
                         ELSE coalesce(term.start, what.term_start) END \
                      AS \"counted_from: jiff_sqlx::Timestamp\", \
                    ARRAY (SELECT step.after_bytes FROM plan_fup_step AS step \
                            WHERE step.tenant_id = version.tenant_id \
                              AND step.plan_version_id = version.id ORDER BY step.step) \
                      AS \"steps_after!\", \
                    ARRAY (SELECT step.down_kbps FROM plan_fup_step AS step \
                            WHERE step.tenant_id = version.tenant_id \
                              AND step.plan_version_id = version.id ORDER BY step.step) \
                      AS \"steps_down!\", \
                    ARRAY (SELECT step.up_kbps FROM plan_fup_step AS step \
                            WHERE step.tenant_id = version.tenant_id \
                              AND step.plan_version_id = version.id ORDER BY step.step) \
                      AS \"steps_up!\" \
               FROM subscriber AS who \
               JOIN tenant ON tenant.tenant_id = who.tenant_id \
               LEFT JOIN LATERAL ( \
                 SELECT one.id, one.plan_version_id, one.walled, one.term_start \
                   FROM subscription AS one \
                  WHERE one.tenant_id = who.tenant_id AND one.subscriber_id = who.id \
                    AND (one.state IN ('active', 'grace') OR one.walled) \
                  ORDER BY one.walled, one.id LIMIT 1) AS what ON true \
               LEFT JOIN LATERAL ( \
                 SELECT one.id, one.plan_version_id, one.valid, one.bytes_granted, \
                        one.seconds_granted \
                   FROM entitlement AS one \
                  WHERE one.tenant_id = who.tenant_id AND one.subscriber_id = who.id \
                    AND one.valid @> $2::timestamptz \
                    AND one.source_kind NOT IN ('period', 'topup') \
                    AND (what.id IS NULL OR what.walled) \
                  ORDER BY upper(one.valid), one.id LIMIT 1) AS given ON true \
               LEFT JOIN LATERAL ( \
                 SELECT lower(period.during) AS start, quota.bytes_granted, \
                        quota.seconds_granted \
                   FROM subscription_period AS period \
                   LEFT JOIN entitlement AS quota \
                     ON quota.tenant_id = period.tenant_id AND quota.source_kind = 'period' \
                    AND quota.source_id = period.id \
                  WHERE period.tenant_id = who.tenant_id AND period.subscription_id = what.id \
                    AND lower(period.during) <= $2::timestamptz \
                    AND upper(period.during) > least(what.term_start, $2::timestamptz) \
                  ORDER BY lower(period.during) DESC LIMIT 1) AS term ON true \
               LEFT JOIN LATERAL ( \
                 SELECT sum(one.bytes_granted) AS bytes, sum(one.seconds_granted) AS seconds \
                   FROM entitlement AS one \
                  WHERE one.tenant_id = who.tenant_id AND one.subscriber_id = who.id \
                    AND one.source_kind = 'topup' AND one.valid @> $2::timestamptz) AS more ON true \
               JOIN plan_version AS version \
                 ON version.tenant_id = who.tenant_id \
                AND version.id = coalesce(given.plan_version_id, what.plan_version_id) \
              WHERE who.tenant_id = $1 AND who.status = 'active'",
            self.tenant.as_uuid(),
            now.to_sqlx() as _
        )
        .fetch_all(&mut *self.conn)
        .await
        .map_err(StoreError::from)?;
        rows.into_iter().map(|row| self.read_subscriber(row)).collect()
    }

    fn read_subscriber(&self, row: SubscriberRow) -> Result<Subscriber, DesiredError> {
        let id = row.id;
        let corrupt = |table, column| StoreError::Corrupt { table, column, row: id };
        let kbps = |column, value| {
            let kbps = u32::try_from(value).ok().and_then(Kbps::new);
            kbps.ok_or_else(|| corrupt("plan_version", column))
        };
        let place =
            Place { tenant: self.tenant, table: "subscriber", row: id, column: "password_sealed" };
        let shape = Shape {
            down_kbps: kbps("down_kbps", row.down_kbps)?,
            up_kbps: kbps("up_kbps", row.up_kbps)?,
        };
        let Counted { data_bytes, leased, online_seconds, used_up, steps, from_ms } =
            Counted::of(&row, shape)?;
        let password = row.password_sealed.map(|sealed| self.seal.open(&place, &sealed));
        let macs = row.macs.iter().map(|mac| mac.parse());
        Ok(Subscriber {
            class: if row.walled { Class::Garden } else { Class::Active },
            data_bytes,
            leased,
            online_seconds,
            used_up,
            steps,
            counted_from_ms: from_ms,
            id: Some(SubscriberId::from_uuid(id)),
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            password: password.transpose()?,
            idle_timeout: row.idle_timeout_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            max_sessions: u32::try_from(row.max_devices).ok(),
            macs: macs
                .collect::<Result<_, _>>()
                .map_err(|_| corrupt("subscriber_device", "mac"))?,
            static_ip: row.static_ip.map(|network| network.ip()),
            pool: row.pool,
            delegated_prefix: row
                .delegated_prefix
                .map(|network| network.to_string().parse())
                .transpose()
                .map_err(|_| corrupt("subscriber", "delegated_prefix"))?,
            vlan: row
                .vlan
                .map(|vlan| {
                    let vlan = u16::try_from(vlan).ok().and_then(Vlan::new);
                    vlan.ok_or_else(|| corrupt("plan_version", "vlan"))
                })
                .transpose()?,
            filter: row.filter,
            policy: row.policy,
            ..Subscriber::new(row.username, shape)
        })
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
