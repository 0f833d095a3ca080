//! Who may be on-line, and what they may use, from the rows.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::{
    id::{SubscriberId, SubscriptionId},
    net::Vlan,
    rate::{Kbps, Shape},
    wire::latest::desired::{Class, Step, Subscriber, UsedUp},
};
use uuid::Uuid;

use super::{
    super::pool::{Amount, Given, Pool, Source},
    Wishes,
};
use crate::{
    db::{Cell, StoreError},
    edges::desired::DesiredError,
    seal::Place,
};

struct SubscriberRow {
    id: Uuid,
    subscription_id: Option<Uuid>,
    version: Option<Uuid>,
    walled: Option<bool>,
    term_start: Option<SqlTimestamp>,
    period_id: Option<Uuid>,
    username: String,
    password_sealed: Option<Vec<u8>>,
    static_ip: Option<IpNetwork>,
    delegated_prefix: Option<IpNetwork>,
    macs: Vec<String>,
    leased: bool,
}

struct GivenRow {
    id: Uuid,
    subscriber_id: Uuid,
    plan_version_id: Uuid,
    source_kind: String,
    source_id: Uuid,
    is_now: bool,
    counted_from: SqlTimestamp,
    until: SqlTimestamp,
    bytes_granted: Option<i64>,
    bytes_consumed: i64,
    bytes_over: i64,
    seconds_granted: Option<i64>,
    seconds_consumed: i64,
    seconds_over: i64,
}

struct VersionRow {
    id: Uuid,
    access: String,
    on_exhaust: String,
    down_kbps: i32,
    up_kbps: i32,
    slow_down_kbps: Option<i32>,
    slow_up_kbps: Option<i32>,
    data_bytes: Option<i64>,
    online_seconds: Option<i64>,
    max_devices: i16,
    idle_timeout_seconds: Option<i32>,
    pool: Option<String>,
    filter: Option<String>,
    policy: Option<String>,
    vlan: Option<i16>,
    /// Of its fair use policy; none: the term.
    window_start: Option<SqlTimestamp>,
    steps_after: Vec<i64>,
    steps_down: Vec<i32>,
    steps_up: Vec<i32>,
}

impl Wishes<'_> {
    /// Whose subscription is live, or who has something besides that is live, and whose account is
    /// not closed. Who has not paid is in the walled garden for a while.
    #[tracing::instrument(name = "db.subscriber.wanted", skip_all, err)]
    pub(in crate::edges::desired) async fn subscribers(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<Subscriber>, DesiredError> {
        let rows = self.candidates(now).await?;
        let terms: Vec<Uuid> = rows.iter().filter_map(|row| row.period_id).collect();
        let given = self.given(&terms, now).await?;
        let versions = self.versions(now).await?;
        let mut subscribers = Vec::with_capacity(rows.len());
        for row in rows {
            let given = given.get(&row.id).map_or(&[][..], Vec::as_slice);
            subscribers.extend(self.read(row, given, &versions)?);
        }
        Ok(subscribers)
    }

    async fn candidates(&mut self, now: Timestamp) -> Result<Vec<SubscriberRow>, StoreError> {
        let rows = sqlx::query_as!(
            SubscriberRow,
            "SELECT who.id, what.id AS \"subscription_id?\", what.plan_version_id AS \"version?\", \
                    what.walled AS \"walled?\", term.id AS \"period_id?\", \
                    coalesce(lower(term.during), what.term_start) \
                      AS \"term_start: jiff_sqlx::Timestamp\", \
                    who.username, who.password_sealed, who.static_ip, who.delegated_prefix, \
                    ARRAY (SELECT mac FROM subscriber_device AS device \
                            WHERE device.tenant_id = who.tenant_id \
                              AND device.subscriber_id = who.id) AS \"macs!\", \
                    ((SELECT count(*) > 1 FROM edge \
                       WHERE edge.tenant_id = $1 AND NOT edge.revoked) \
                     OR EXISTS (SELECT FROM edge_quota AS asked \
                                  JOIN edge ON edge.tenant_id = $1 AND edge.id = asked.edge_id \
                                           AND NOT edge.revoked \
                                 WHERE asked.tenant_id = $1 AND asked.subscriber_id = who.id)) \
                      AS \"leased!\" \
               FROM subscriber AS who \
               LEFT JOIN LATERAL ( \
                 SELECT one.id, one.plan_version_id, one.walled, one.term_start \
                   FROM subscription AS one \
                  WHERE one.tenant_id = who.tenant_id AND one.subscriber_id = who.id \
                    AND (one.state IN ('active', 'grace') OR one.walled) \
                  ORDER BY one.walled, one.id LIMIT 1) AS what ON true \
               LEFT JOIN LATERAL ( \
                 SELECT period.id, period.during FROM subscription_period AS period \
                  WHERE period.tenant_id = who.tenant_id AND period.subscription_id = what.id \
                    AND lower(period.during) <= $2::timestamptz \
                    AND upper(period.during) > least(what.term_start, $2::timestamptz) \
                  ORDER BY lower(period.during) DESC LIMIT 1) AS term ON true \
              WHERE who.tenant_id = $1 AND who.status = 'active' \
                AND (what.id IS NOT NULL OR who.id IN ( \
                      SELECT one.subscriber_id FROM entitlement AS one \
                       WHERE one.tenant_id = $1 AND upper(one.valid) > $2::timestamptz))",
            self.tenant.as_uuid(),
            now.to_sqlx() as _
        )
        .fetch_all(&mut *self.conn)
        .await?;
        Ok(rows)
    }

    /// What is live, and what is counted together with it, in the order in which it is used.
    async fn given(
        &mut self,
        terms: &[Uuid],
        now: Timestamp,
    ) -> Result<BTreeMap<Uuid, Vec<GivenRow>>, StoreError> {
        let rows = sqlx::query_as!(
            GivenRow,
            "WITH live AS ( \
               SELECT subscriber_id, counted_from FROM entitlement \
                WHERE tenant_id = $1 AND upper(valid) > $2::timestamptz \
                  AND lower(valid) <= $2::timestamptz AND NOT counts_nothing(entitlement) \
               UNION ALL \
               SELECT subscriber_id, counted_from FROM entitlement \
                WHERE tenant_id = $1 AND source_kind = 'period' AND source_id = ANY ($3) \
                  AND NOT counts_nothing(entitlement)) \
             SELECT one.id, one.subscriber_id, one.plan_version_id, one.source_kind, one.source_id, \
                    one.valid @> $2::timestamptz AS \"is_now!\", \
                    one.counted_from AS \"counted_from: SqlTimestamp\", \
                    upper(one.valid) AS \"until!: SqlTimestamp\", one.bytes_granted, \
                    one.bytes_consumed, one.bytes_over, one.seconds_granted, \
                    one.seconds_consumed, one.seconds_over \
               FROM (SELECT subscriber_id, min(counted_from) AS counted_from \
                       FROM live GROUP BY 1) AS since \
               JOIN entitlement AS one \
                 ON one.tenant_id = $1 AND one.subscriber_id = since.subscriber_id \
                AND one.counted_from >= since.counted_from \
                AND lower(one.valid) <= $2::timestamptz AND NOT counts_nothing(one) \
              ORDER BY one.subscriber_id, upper(one.valid), \
                       one.bytes_granted - one.bytes_consumed, one.id",
            self.tenant.as_uuid(),
            now.to_sqlx() as _,
            terms
        )
        .fetch_all(&mut *self.conn)
        .await?;
        let mut given: BTreeMap<Uuid, Vec<GivenRow>> = BTreeMap::new();
        for row in rows {
            given.entry(row.subscriber_id).or_default().push(row);
        }
        Ok(given)
    }

    async fn versions(&mut self, now: Timestamp) -> Result<BTreeMap<Uuid, VersionRow>, StoreError> {
        let rows = sqlx::query_as!(
            VersionRow,
            "SELECT version.id, version.access, version.on_exhaust, version.down_kbps, \
                    version.up_kbps, version.slow_down_kbps, version.slow_up_kbps, \
                    version.data_bytes, version.online_seconds, version.max_devices, \
                    version.idle_timeout_seconds, version.pool, version.filter, version.policy, \
                    version.vlan, \
                    CASE WHEN version.fup_window <> 'period' \
                         THEN date_trunc(version.fup_window, $2::timestamptz AT TIME ZONE tenant.tz) \
                                AT TIME ZONE tenant.tz END AS \"window_start: SqlTimestamp\", \
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
               FROM plan_version AS version \
               JOIN tenant ON tenant.tenant_id = version.tenant_id \
              WHERE version.tenant_id = $1",
            self.tenant.as_uuid(),
            now.to_sqlx() as _
        )
        .fetch_all(&mut *self.conn)
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// None: there is nothing that is live.
    fn read(
        &self,
        row: SubscriberRow,
        given: &[GivenRow],
        versions: &BTreeMap<Uuid, VersionRow>,
    ) -> Result<Option<Subscriber>, DesiredError> {
        let id = row.id;
        let corrupt = |column| StoreError::Corrupt { table: "subscriber", column, row: id };
        let pool = pool(&row, given, versions)?;
        let is_walled = row.walled == Some(true) && !pool.as_ref().is_some_and(|pool| pool.is_left);
        let version = pool.as_ref().map(|pool| pool.version).filter(|_| !is_walled);
        let Some(version) = version.or(row.version) else { return Ok(None) };
        let version = versions.get(&version).ok_or_else(|| corrupt("plan_version_id"))?;
        let at = Cell { table: "plan_version", row: version.id };
        let shape = version.shape(at)?;
        let Counted { data_bytes, online_seconds, used_up, steps } =
            version.counted(at, shape, pool.as_ref())?;
        let of_term = || {
            let since = version.window_start.as_ref().or(row.term_start.as_ref())?;
            (!steps.is_empty()).then(|| since.to_jiff())
        };
        let from = pool.as_ref().map(|pool| pool.counted_from).or_else(of_term);
        let from_ms = from.and_then(|from| u64::try_from(from.as_millisecond()).ok());
        let leases = given.iter().any(|one| one.bytes_granted.is_some());
        let place =
            Place { tenant: self.tenant, table: "subscriber", row: id, column: "password_sealed" };
        let password = row.password_sealed.map(|sealed| self.seal.open(&place, &sealed));
        let macs = row.macs.iter().map(|mac| mac.parse());
        Ok(Some(Subscriber {
            class: if is_walled { Class::Garden } else { Class::Active },
            data_bytes,
            leased: row.leased && leases && data_bytes.is_some() && from_ms.is_some(),
            online_seconds,
            used_up,
            steps,
            counted_from_ms: from_ms,
            until_ms: row.version.is_none().then(|| until_ms(given)).flatten(),
            id: Some(SubscriberId::from_uuid(id)),
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            password: password.transpose()?,
            idle_timeout: version
                .idle_timeout_seconds
                .and_then(|seconds| u32::try_from(seconds).ok()),
            max_sessions: u32::try_from(version.max_devices).ok(),
            macs: macs.collect::<Result<_, _>>().map_err(|_| StoreError::Corrupt {
                table: "subscriber_device",
                column: "mac",
                row: id,
            })?,
            static_ip: row.static_ip.map(|network| network.ip()),
            pool: version.pool.clone(),
            delegated_prefix: row
                .delegated_prefix
                .map(|network| network.to_string().parse())
                .transpose()
                .map_err(|_| corrupt("delegated_prefix"))?,
            vlan: version
                .vlan
                .map(|vlan| {
                    let vlan = u16::try_from(vlan).ok().and_then(Vlan::new);
                    vlan.ok_or_else(|| at.corrupt("vlan"))
                })
                .transpose()?,
            filter: version.filter.clone(),
            policy: version.policy.clone(),
            ..Subscriber::new(row.username, shape)
        }))
    }
}

/// Until when something of it is live, if nothing else is bought.
fn until_ms(given: &[GivenRow]) -> Option<u64> {
    let until = given.iter().map(|one| one.until.to_jiff()).max()?;
    u64::try_from(until.as_millisecond()).ok()
}

/// None: nothing of what was bought or given is live, or a subscription without quotas is.
fn pool(
    row: &SubscriberRow,
    given: &[GivenRow],
    versions: &BTreeMap<Uuid, VersionRow>,
) -> Result<Option<Pool>, StoreError> {
    let subscribed = row.version.filter(|_| row.walled == Some(false));
    let mut all = Vec::with_capacity(given.len() + 1);
    for one in given {
        all.push(one.read(row.period_id.filter(|_| subscribed.is_some()), subscribed.is_some())?);
    }
    if let Some(id) = subscribed
        && !given.iter().any(|one| one.is_term(row.period_id))
    {
        let at = Cell { table: "subscriber", row: row.id };
        let version = versions.get(&id).ok_or_else(|| at.corrupt("plan_version_id"))?;
        let (Some(since), Some(_)) =
            (&row.term_start, version.data_bytes.or(version.online_seconds))
        else {
            return Ok(None);
        };
        // No row says what its term has: what the plan says.
        let at = Cell { table: "plan_version", row: id };
        let whole = |column, granted: Option<i64>| {
            let granted = granted.map(|all| at.number(column, all)).transpose()?;
            Ok::<_, StoreError>(Amount { granted, ..Amount::default() })
        };
        all.push(Given {
            source: Source::Term,
            version: id,
            live: true,
            counted_from: since.to_jiff(),
            bytes: whole("data_bytes", version.data_bytes)?,
            seconds: whole("online_seconds", version.online_seconds)?,
        });
    }
    let pool = Pool::of(&all);
    // A subscription has its own rates, whatever its terms were sold as.
    let is_of_term = |pool: &Pool| {
        all.iter().any(|one| one.version == pool.version && one.source == Source::Term && one.live)
    };
    Ok(pool.map(|pool| match subscribed {
        Some(version) if is_of_term(&pool) => Pool { version, ..pool },
        Some(_) | None => pool,
    }))
}

impl GivenRow {
    fn is_term(&self, period: Option<Uuid>) -> bool {
        self.source_kind == "period" && Some(self.source_id) == period
    }

    fn read(&self, period: Option<Uuid>, is_subscribed: bool) -> Result<Given, StoreError> {
        let at = Cell { table: "entitlement", row: self.id };
        let (source, live) = match self.source_kind.as_str() {
            // In its grace a subscription lives on what is left of its last term.
            "period" => (Source::Term, self.is_term(period)),
            "topup" => (Source::Term, self.is_now && is_subscribed),
            _ => (Source::Own, self.is_now),
        };
        Ok(Given {
            source,
            live,
            version: self.plan_version_id,
            counted_from: self.counted_from.to_jiff(),
            bytes: Amount {
                granted: self
                    .bytes_granted
                    .map(|all| at.number("bytes_granted", all))
                    .transpose()?,
                consumed: at.number("bytes_consumed", self.bytes_consumed)?,
                over: at.number("bytes_over", self.bytes_over)?,
            },
            seconds: Amount {
                granted: self
                    .seconds_granted
                    .map(|all| at.number("seconds_granted", all))
                    .transpose()?,
                consumed: at.number("seconds_consumed", self.seconds_consumed)?,
                over: at.number("seconds_over", self.seconds_over)?,
            },
        })
    }
}

/// What is counted of a subscriber. What is left changes with every packet and is not part of a
/// state: it says what there was, and from when it is counted.
struct Counted {
    data_bytes: Option<u64>,
    online_seconds: Option<u64>,
    used_up: UsedUp,
    steps: Vec<Step>,
}

impl VersionRow {
    fn shape(&self, at: Cell) -> Result<Shape, StoreError> {
        Ok(Shape {
            down_kbps: kbps(at, "down_kbps", self.down_kbps)?,
            up_kbps: kbps(at, "up_kbps", self.up_kbps)?,
        })
    }

    fn counted(&self, at: Cell, shape: Shape, pool: Option<&Pool>) -> Result<Counted, StoreError> {
        let before = pool.map_or(0, |pool| pool.before_bytes);
        let mut steps = Vec::with_capacity(self.steps_after.len());
        let rates = self.steps_down.iter().zip(&self.steps_up);
        for (after, (down, up)) in self.steps_after.iter().zip(rates) {
            let shape = Shape {
                down_kbps: kbps(at, "down_kbps", *down)?,
                up_kbps: kbps(at, "up_kbps", *up)?,
            };
            let after: u64 = at.number("after_bytes", *after)?;
            steps.push(Step { after_bytes: before + after, shape });
        }
        let mut data_bytes = pool.and_then(|pool| pool.bytes);
        let mut used_up = UsedUp::End;
        match self.on_exhaust.as_str() {
            // It goes on, slower.
            "throttle" => {
                if let Some(after_bytes) = data_bytes.take() {
                    let eighth = |kbps: Kbps| Kbps::new(kbps.get() / 8).unwrap_or(kbps);
                    let slow = match (self.slow_down_kbps, self.slow_up_kbps) {
                        (Some(down), Some(up)) => Shape {
                            down_kbps: kbps(at, "slow_down_kbps", down)?,
                            up_kbps: kbps(at, "slow_up_kbps", up)?,
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
            _ if self.access == "hotspot" => used_up = UsedUp::Garden,
            _ => {}
        }
        if data_bytes.is_none() {
            used_up = UsedUp::End;
        }
        Ok(Counted {
            data_bytes,
            online_seconds: pool.and_then(|pool| pool.seconds),
            used_up,
            steps,
        })
    }
}

fn kbps(at: Cell, column: &'static str, kbps: i32) -> Result<Kbps, StoreError> {
    let kbps = u32::try_from(kbps).ok().and_then(Kbps::new);
    kbps.ok_or_else(|| at.corrupt(column))
}
