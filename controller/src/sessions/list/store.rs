//! SQL of the lists of sessions.

use ipnetwork::IpNetwork;
use jiff_sqlx::Timestamp as SqlTimestamp;
use shared::{
    id::{EdgeId, NasId, SessionId, SubscriberId, SubscriptionId, TenantId},
    octets::Counters,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Filter, Session, Which};
use crate::db::StoreError;

/// Rows of one tenant, with more conditions.
macro_rules! read_sessions {
    ($more:tt + $tail:tt, $($arg:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, edge_id, subscriber_id, subscription_id, nas_id, nas_name, username, mac, \
                    ip, acct_session_id, metering, down_kbps, up_kbps, \
                    started_at AS \"started_at: SqlTimestamp\", \
                    stopped_at AS \"stopped_at: SqlTimestamp\", \
                    cause, down_bytes, up_bytes, down_packets, up_packets, \
                    updated_at AS \"updated_at: SqlTimestamp\" \
               FROM session WHERE tenant_id = $1 AND "
                + $more
                + $tail,
            $($arg),*
        )
    };
}

/// A part of a list, newest first.
macro_rules! page_of {
    ($more:tt, $tenant:expr, $before:expr, $subscriber:expr, $edge:expr, $limit:expr, $conn:expr) => {
        read_sessions!(
            $more
                + "AND ($2::uuid IS NULL OR id < $2) \
                   AND ($3::uuid IS NULL OR subscriber_id = $3) \
                   AND ($4::uuid IS NULL OR edge_id = $4) \
                 ORDER BY id DESC LIMIT $5",
            $tenant.as_uuid(),
            $before,
            $subscriber,
            $edge,
            $limit
        )
        .fetch_all($conn)
        .await?
    };
}

struct Row {
    id: Uuid,
    edge_id: Uuid,
    subscriber_id: Option<Uuid>,
    subscription_id: Option<Uuid>,
    nas_id: Option<Uuid>,
    nas_name: Option<String>,
    username: Option<String>,
    mac: Option<String>,
    ip: Option<IpNetwork>,
    acct_session_id: Option<String>,
    metering: Option<String>,
    down_kbps: Option<i32>,
    up_kbps: Option<i32>,
    started_at: SqlTimestamp,
    stopped_at: Option<SqlTimestamp>,
    cause: Option<i32>,
    down_bytes: i64,
    up_bytes: i64,
    down_packets: i64,
    up_packets: i64,
    updated_at: SqlTimestamp,
}

#[tracing::instrument(name = "db.session.list", skip_all, err)]
pub(super) async fn list(
    conn: &mut PgConnection,
    tenant: TenantId,
    filter: Filter,
    before: Option<SessionId>,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    let before = before.map(|id| *id.as_uuid());
    let subscriber = filter.subscriber.map(|id| *id.as_uuid());
    let edge = filter.edge.map(|id| *id.as_uuid());
    // One statement for each, so that live sessions are found by their own index.
    let rows = match filter.which {
        Which::Live => {
            page_of!("stopped_at IS NULL ", tenant, before, subscriber, edge, limit, conn)
        }
        Which::Past => {
            page_of!("stopped_at IS NOT NULL ", tenant, before, subscriber, edge, limit, conn)
        }
        Which::All => page_of!("true ", tenant, before, subscriber, edge, limit, conn),
    };
    rows.into_iter().map(Session::try_from).collect()
}

#[tracing::instrument(name = "db.session.find", skip_all, fields(session.id = %id), err)]
pub(super) async fn find(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    let row =
        read_sessions!("id = $2" + "", tenant.as_uuid(), id.as_uuid()).fetch_optional(conn).await?;
    row.map(Session::try_from).transpose()
}

impl TryFrom<Row> for Session {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let count = |column, value| {
            u64::try_from(value).map_err(|_| StoreError::Corrupt {
                table: "session",
                column,
                row: row.id,
            })
        };
        Ok(Self {
            id: SessionId::from_uuid(row.id),
            edge: EdgeId::from_uuid(row.edge_id),
            subscriber: row.subscriber_id.map(SubscriberId::from_uuid),
            subscription: row.subscription_id.map(SubscriptionId::from_uuid),
            nas: row.nas_id.map(NasId::from_uuid),
            nas_name: row.nas_name,
            username: row.username,
            mac: row.mac,
            ip: row.ip.map(|network| network.ip()),
            acct_session_id: row.acct_session_id.filter(|text| !text.is_empty()),
            metering: row.metering,
            down_kbps: row.down_kbps,
            up_kbps: row.up_kbps,
            started_at: row.started_at.to_jiff(),
            stopped_at: row.stopped_at.map(SqlTimestamp::to_jiff),
            cause: row.cause,
            counters: Counters {
                down_bytes: count("down_bytes", row.down_bytes)?,
                up_bytes: count("up_bytes", row.up_bytes)?,
                down_packets: count("down_packets", row.down_packets)?,
                up_packets: count("up_packets", row.up_packets)?,
            },
            updated_at: row.updated_at.to_jiff(),
        })
    }
}
