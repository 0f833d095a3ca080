//! SQL of the journals: cursors, sessions, usage. In runs, never row by row.

mod odd;
mod used;

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::{
    id::{EdgeId, EpochId, SessionId, TenantId},
    octets::Counters,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    changes::{AuthFailures, EdgeStarted, Reading, SessionChange},
    ingest::Cursor,
    record::Started,
};
use crate::db::{StoreError, exactly, one};

/// The books of one edge, in a transaction of its tenant.
pub(super) struct Books<'c> {
    pub(super) conn: &'c mut PgConnection,
    pub(super) tenant: TenantId,
    pub(super) edge: EdgeId,
}

/// A session's row before a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) edge: EdgeId,
    pub(super) counters: Counters,
    /// Its subscriber is known.
    pub(super) of_somebody: bool,
}

/// A session's row after a run.
pub(super) struct Settled<'a> {
    pub(super) id: SessionId,
    pub(super) change: &'a SessionChange,
    pub(super) counters: Counters,
}

/// Ids that an edge named and that are its tenant's.
#[derive(Debug, Default)]
pub(super) struct Ours {
    subscribers: BTreeSet<Uuid>,
    /// With whose it is.
    subscriptions: BTreeMap<Uuid, Uuid>,
    nas: BTreeSet<Uuid>,
}

impl Ours {
    fn subscriber(&self, started: &Started) -> Option<Uuid> {
        let id = *started.subscriber?.as_uuid();
        self.subscribers.contains(&id).then_some(id)
    }

    fn subscription(&self, started: &Started) -> Option<Uuid> {
        let id = *started.subscription?.as_uuid();
        let owner = self.subscriptions.get(&id)?;
        (Some(*owner) == self.subscriber(started)).then_some(id)
    }

    fn nas(&self, started: &Started) -> Option<Uuid> {
        let id = *started.nas?.as_uuid();
        self.nas.contains(&id).then_some(id)
    }
}

impl Books<'_> {
    /// How far the books are, kept so until the transaction ends. A journal that is not there
    /// starts.
    #[tracing::instrument(name = "db.journal.lock", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn lock(
        &mut self,
        epoch: EpochId,
        now: Timestamp,
    ) -> Result<Cursor, StoreError> {
        if let Some(cursor) = self.find(epoch).await? {
            return Ok(cursor);
        }
        sqlx::query!(
            "INSERT INTO journal_cursor (tenant_id, edge_id, epoch, next_seq, hash, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid(),
            number(Cursor::START.next_seq),
            Cursor::START.hash.as_slice(),
            now.to_sqlx() as _
        )
        .execute(&mut *self.conn)
        .await?;
        self.find(epoch).await?.ok_or(StoreError::Rows { want: 1, rows: 0 })
    }

    async fn find(&mut self, epoch: EpochId) -> Result<Option<Cursor>, StoreError> {
        let row = sqlx::query_as!(
            CursorRow,
            "SELECT next_seq, hash FROM journal_cursor \
              WHERE tenant_id = $1 AND edge_id = $2 AND epoch = $3 FOR UPDATE",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid()
        )
        .fetch_optional(&mut *self.conn)
        .await?;
        row.map(|row| read_cursor(epoch, row)).transpose()
    }

    /// As [`Self::lock`], without keeping it.
    pub(super) async fn look(&mut self, epoch: EpochId) -> Result<Option<Cursor>, StoreError> {
        let row = sqlx::query_as!(
            CursorRow,
            "SELECT next_seq, hash FROM journal_cursor \
              WHERE tenant_id = $1 AND edge_id = $2 AND epoch = $3",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid()
        )
        .fetch_optional(&mut *self.conn)
        .await?;
        row.map(|row| read_cursor(epoch, row)).transpose()
    }

    #[tracing::instrument(name = "db.journal.advance", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn advance(
        &mut self,
        epoch: EpochId,
        from: Cursor,
        to: Cursor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query!(
            "UPDATE journal_cursor SET next_seq = $4, hash = $5, updated_at = $6 \
              WHERE tenant_id = $1 AND edge_id = $2 AND epoch = $3 \
                AND next_seq = $7 AND hash = $8",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid(),
            number(to.next_seq),
            to.hash.as_slice(),
            now.to_sqlx() as _,
            number(from.next_seq),
            from.hash.as_slice()
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    /// The rows of these sessions, kept as they are until the transaction ends.
    #[tracing::instrument(name = "db.session.known", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn known(
        &mut self,
        sessions: impl Iterator<Item = &SessionId>,
    ) -> Result<BTreeMap<SessionId, Known>, StoreError> {
        let ids: Vec<Uuid> = sessions.map(|id| *id.as_uuid()).collect();
        let rows = sqlx::query!(
            "SELECT id, edge_id, subscriber_id IS NOT NULL AS \"of_somebody!\", down_bytes, \
                    up_bytes, down_packets, up_packets FROM session \
              WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE",
            self.tenant.as_uuid(),
            ids as _
        )
        .fetch_all(&mut *self.conn)
        .await?;
        rows.into_iter()
            .map(|row| {
                let numbers = [row.down_bytes, row.up_bytes, row.down_packets, row.up_packets];
                let counters = read_counters(row.id, numbers)?;
                let edge = EdgeId::from_uuid(row.edge_id);
                let known = Known { edge, counters, of_somebody: row.of_somebody };
                Ok((SessionId::from_uuid(row.id), known))
            })
            .collect()
    }

    /// Which of the ids that the edge named are its tenant's.
    #[tracing::instrument(name = "db.session.ours", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn ours<'a>(
        &mut self,
        started: impl Iterator<Item = &'a Started> + Clone,
    ) -> Result<Ours, StoreError> {
        let subscribers: Vec<Uuid> =
            started.clone().filter_map(|one| one.subscriber).map(|id| *id.as_uuid()).collect();
        let subscriptions: Vec<Uuid> =
            started.clone().filter_map(|one| one.subscription).map(|id| *id.as_uuid()).collect();
        let nas: Vec<Uuid> = started.filter_map(|one| one.nas).map(|id| *id.as_uuid()).collect();
        let rows = sqlx::query!(
            "SELECT 'subscriber' AS \"kind!\", id AS \"id!\", id AS \"owner!\" FROM subscriber \
              WHERE tenant_id = $1 AND id = ANY ($2) \
             UNION ALL \
             SELECT 'subscription', id, subscriber_id FROM subscription \
              WHERE tenant_id = $1 AND id = ANY ($3) \
             UNION ALL \
             SELECT 'nas', id, edge_id FROM nas \
              WHERE tenant_id = $1 AND id = ANY ($4) AND edge_id = $5",
            self.tenant.as_uuid(),
            subscribers as _,
            subscriptions as _,
            nas as _,
            self.edge.as_uuid()
        )
        .fetch_all(&mut *self.conn)
        .await?;
        let mut ours = Ours::default();
        for row in rows {
            match row.kind.as_str() {
                "subscriber" => drop(ours.subscribers.insert(row.id)),
                "subscription" => drop(ours.subscriptions.insert(row.id, row.owner)),
                _ => drop(ours.nas.insert(row.id)),
            }
        }
        Ok(ours)
    }

    /// One row for each session; what a run does not say stays as it is.
    #[tracing::instrument(name = "db.session.write", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn write(
        &mut self,
        sessions: &[Settled<'_>],
        ours: &Ours,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let each = |get: fn(&Ours, &Started) -> Option<Uuid>| -> Vec<Option<Uuid>> {
            sessions
                .iter()
                .map(|one| one.change.started.as_deref().and_then(|started| get(ours, started)))
                .collect()
        };
        let done = sqlx::query!(
            "INSERT INTO session AS old (tenant_id, edge_id, updated_at, id, subscriber_id, \
                    subscription_id, nas_id, nas_name, username, mac, ip, acct_session_id, \
                    metering, down_kbps, up_kbps, revision, started_at, stopped_at, cause, \
                    down_bytes, up_bytes, down_packets, up_packets) \
             SELECT $1, $2, $3, * \
               FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], \
                           $10::text[], $11::inet[], $12::text[], $13::text[], $14::int[], $15::int[], \
                           $16::bigint[], $17::timestamptz[], $18::timestamptz[], $19::int[], \
                           $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[]) \
             ON CONFLICT (tenant_id, id) DO UPDATE SET \
                    updated_at = excluded.updated_at, \
                    subscriber_id = coalesce(old.subscriber_id, excluded.subscriber_id), \
                    subscription_id = coalesce(old.subscription_id, excluded.subscription_id), \
                    nas_id = coalesce(old.nas_id, excluded.nas_id), \
                    nas_name = coalesce(old.nas_name, excluded.nas_name), \
                    username = coalesce(old.username, excluded.username), \
                    mac = coalesce(old.mac, excluded.mac), \
                    ip = coalesce(old.ip, excluded.ip), \
                    acct_session_id = coalesce(old.acct_session_id, excluded.acct_session_id), \
                    metering = coalesce(old.metering, excluded.metering), \
                    down_kbps = coalesce(old.down_kbps, excluded.down_kbps), \
                    up_kbps = coalesce(old.up_kbps, excluded.up_kbps), \
                    revision = coalesce(old.revision, excluded.revision), \
                    started_at = least(old.started_at, excluded.started_at), \
                    stopped_at = CASE WHEN old.lost THEN excluded.stopped_at \
                             ELSE coalesce(old.stopped_at, excluded.stopped_at) END, \
                    cause = CASE WHEN old.lost THEN excluded.cause \
                        ELSE coalesce(old.cause, excluded.cause) END, \
                    lost = false, \
                    down_bytes = greatest(old.down_bytes, excluded.down_bytes), \
                    up_bytes = greatest(old.up_bytes, excluded.up_bytes), \
                    down_packets = greatest(old.down_packets, excluded.down_packets), \
                    up_packets = greatest(old.up_packets, excluded.up_packets)",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            now.to_sqlx() as _,
            sessions.iter().map(|one| *one.id.as_uuid()).collect::<Vec<_>>() as _,
            each(Ours::subscriber) as _,
            each(Ours::subscription) as _,
            each(Ours::nas) as _,
            said(sessions, |started| Some(started.nas_name.clone())) as _,
            said(sessions, |started| Some(started.username.clone())) as _,
            said(sessions, |started| started.mac.map(|mac| mac.to_string())) as _,
            said(sessions, |started| started.ip.map(IpNetwork::from)) as _,
            said(sessions, |started| Some(started.acct_session_id.clone())) as _,
            said(sessions, |started| Some(started.metering.to_owned())) as _,
            said(sessions, |started| Some(started.down_kbps)) as _,
            said(sessions, |started| Some(started.up_kbps)) as _,
            said(sessions, |started| Some(started.revision)) as _,
            sessions.iter().map(|one| one.change.since.to_sqlx()).collect::<Vec<_>>() as _,
            sessions
                .iter()
                .map(|one| one.change.stopped.map(|(at, _)| at.to_sqlx()))
                .collect::<Vec<Option<SqlTimestamp>>>() as _,
            sessions
                .iter()
                .map(|one| one.change.stopped.map(|(_, cause)| cause))
                .collect::<Vec<_>>() as _,
            counted(sessions.iter().map(|one| one.counters), |c| c.down_bytes) as _,
            counted(sessions.iter().map(|one| one.counters), |c| c.up_bytes) as _,
            counted(sessions.iter().map(|one| one.counters), |c| c.down_packets) as _,
            counted(sessions.iter().map(|one| one.counters), |c| c.up_packets) as _
        )
        .execute(&mut *self.conn)
        .await?;
        exactly(sessions.len() as u64, done.rows_affected())
    }

    #[tracing::instrument(name = "db.usage.book", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn book_usage(
        &mut self,
        epoch: EpochId,
        added: &[(SessionId, Reading)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let counters = || added.iter().map(|(_, reading)| reading.counters);
        sqlx::query!(
            "INSERT INTO usage (tenant_id, booked_on, edge_id, epoch, session_id, seq, at, \
                                down_bytes, up_bytes, down_packets, up_packets) \
             SELECT $1, ($2::timestamptz AT TIME ZONE 'UTC')::date, $3, $4, * \
               FROM unnest($5::uuid[], $6::bigint[], $7::timestamptz[], \
                           $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])",
            self.tenant.as_uuid(),
            now.to_sqlx() as _,
            self.edge.as_uuid(),
            epoch.as_uuid(),
            added.iter().map(|(session, _)| *session.as_uuid()).collect::<Vec<_>>() as _,
            added.iter().map(|(_, reading)| number(reading.seq)).collect::<Vec<_>>() as _,
            added.iter().map(|(_, reading)| reading.at.to_sqlx()).collect::<Vec<_>>() as _,
            counted(counters(), |c| c.down_bytes) as _,
            counted(counters(), |c| c.up_bytes) as _,
            counted(counters(), |c| c.down_packets) as _,
            counted(counters(), |c| c.up_packets) as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }

    /// Adds to the hours that are there. The list may name an hour more than once.
    #[tracing::instrument(name = "db.failure.add", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn add_failures(
        &mut self,
        failures: &[AuthFailures],
    ) -> Result<(), StoreError> {
        let texts = |get: fn(&AuthFailures) -> &String| -> Vec<String> {
            failures.iter().map(|one| get(one).clone()).collect()
        };
        sqlx::query!(
            "INSERT INTO auth_failure AS old (tenant_id, edge_id, username, nas_name, reason, \
                                              hour, count, last_at) \
             SELECT $1, $2, username, nas_name, reason, date_trunc('hour', at, 'UTC'), \
                    sum(count)::bigint, max(at) \
               FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[]) \
                    AS new (username, nas_name, reason, count, at) \
              WHERE count > 0 \
              GROUP BY 3, 4, 5, 6 ORDER BY 3, 4, 5, 6 \
             ON CONFLICT (tenant_id, username, edge_id, nas_name, reason, hour) DO UPDATE \
                SET count = old.count + excluded.count, \
                    last_at = greatest(old.last_at, excluded.last_at)",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            texts(|one| &one.username) as _,
            texts(|one| &one.nas_name) as _,
            texts(|one| &one.reason) as _,
            failures.iter().map(|one| one.count).collect::<Vec<_>>() as _,
            failures.iter().map(|one| one.at.to_sqlx()).collect::<Vec<_>>() as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }

    /// A journal's first records: it is the edge's present one, and no fork of an earlier one
    /// matters any longer. The sessions of an earlier one end where they were last heard of; those
    /// that go on are heard of again.
    #[tracing::instrument(name = "db.journal.begin", skip_all, fields(edge.id = %self.edge), err)]
    pub(super) async fn journal_begins(&mut self, epoch: EpochId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE session SET stopped_at = updated_at, cause = $3, lost = true \
              WHERE tenant_id = $1 AND edge_id = $2 AND stopped_at IS NULL",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            NAS_REBOOT
        )
        .execute(&mut *self.conn)
        .await?;
        let done = sqlx::query!(
            "UPDATE edge SET epoch = $3, forked_at = NULL WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            epoch.as_uuid()
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    pub(super) async fn edge_started(&mut self, started: &EdgeStarted) -> Result<(), StoreError> {
        let done = sqlx::query!(
            "UPDATE edge SET program = $3, started_at = $4 WHERE tenant_id = $1 AND id = $2",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            &started.version,
            started.at.to_sqlx() as _
        )
        .execute(&mut *self.conn)
        .await?;
        one(done.rows_affected())
    }

    /// Says since when; true when this is the first time.
    pub(super) async fn mark_forked(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "UPDATE edge SET forked_at = $3 \
              WHERE tenant_id = $1 AND id = $2 AND forked_at IS NULL",
            self.tenant.as_uuid(),
            self.edge.as_uuid(),
            now.to_sqlx() as _
        )
        .execute(&mut *self.conn)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Room for the usage of the month of `day`.
    pub(super) async fn make_room(
        conn: &mut PgConnection,
        day: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "SELECT usage_month(($1::timestamptz AT TIME ZONE 'UTC')::date)",
            day.to_sqlx() as _
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

const NAS_REBOOT: i32 = 11; // Acct-Terminate-Cause, RFC 2866 §5.10.

/// What the run's start of each session says; nothing where the run has none.
fn said<T>(sessions: &[Settled<'_>], get: fn(&Started) -> Option<T>) -> Vec<Option<T>> {
    sessions.iter().map(|one| one.change.started.as_deref().and_then(get)).collect()
}

fn counted(counters: impl Iterator<Item = Counters>, get: fn(&Counters) -> u64) -> Vec<i64> {
    counters.map(|one| number(get(&one))).collect()
}

/// Sequence numbers and counters were checked when they were read: they fit.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

struct CursorRow {
    next_seq: i64,
    hash: Vec<u8>,
}

fn read_cursor(epoch: EpochId, row: CursorRow) -> Result<Cursor, StoreError> {
    let corrupt =
        |column| StoreError::Corrupt { table: "journal_cursor", column, row: *epoch.as_uuid() };
    Ok(Cursor {
        next_seq: u64::try_from(row.next_seq).map_err(|_| corrupt("next_seq"))?,
        hash: row.hash.try_into().map_err(|_| corrupt("hash"))?,
    })
}

fn read_counters(row: Uuid, numbers: [i64; 4]) -> Result<Counters, StoreError> {
    let [down_bytes, up_bytes, down_packets, up_packets] = numbers.map(u64::try_from);
    let corrupt = |column| move |_| StoreError::Corrupt { table: "session", column, row };
    Ok(Counters {
        down_bytes: down_bytes.map_err(corrupt("down_bytes"))?,
        up_bytes: up_bytes.map_err(corrupt("up_bytes"))?,
        down_packets: down_packets.map_err(corrupt("down_packets"))?,
        up_packets: up_packets.map_err(corrupt("up_packets"))?,
    })
}
