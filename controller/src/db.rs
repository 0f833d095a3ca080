//! The database: one login, three roles, one tenant per transaction.
//!
//! Every connection steps down to a role that row level security binds. Rows of a tenant are seen
//! only inside [`Db::tenant`] (staff) or [`Db::edge_of`] (what edges report): outside of them
//! there are none.

use std::{str::FromStr, time::Duration};

use shared::id::{ResellerId, TenantId};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use crate::{actor::Actor, operators::Role};

/// A transaction. What is not committed is undone.
pub type Tx = Transaction<'static, Postgres>;

/// The pools, by role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    /// Staff at the API.
    pub app: PgPool,
    /// What edges report and are told.
    pub ingest: PgPool,
    /// Who logs in, before the tenant is known.
    pub auth: PgPool,
    /// What providers call back: it can be stored, and nothing else.
    pub callback: PgPool,
    /// Who applies what was called back.
    pub inbox: PgPool,
}

/// What can go wrong with any statement.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database query failed")]
    Query(#[from] sqlx::Error),
    #[error("{rows} rows changed, {want} should have")]
    Rows { want: u64, rows: u64 },
    /// The database holds something that this program would never write.
    #[error("{table}.{column} of {row} holds an impossible value")]
    Corrupt { table: &'static str, column: &'static str, row: Uuid },
}

impl StoreError {
    /// The name of the constraint that refused the statement.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(sqlx::Error::Database(error)) => error.constraint(),
            Self::Query(_) | Self::Rows { .. } | Self::Corrupt { .. } => None,
        }
    }

    /// Does a foreign key point to nothing?
    pub fn is_dangling(&self) -> bool {
        self.is_state("23503")
    }

    /// Would the same transaction probably succeed if it were run again?
    pub fn is_transient(&self) -> bool {
        // serialization_failure, deadlock_detected
        self.is_state("40001") || self.is_state("40P01") || self.is_late_undoing()
    }

    /// Another transaction changed the same row and was undone: for a moment Postgres knows that it
    /// is undone and still counts it as running. It refuses this one then, as an internal error.
    fn is_late_undoing(&self) -> bool {
        match self {
            Self::Query(sqlx::Error::Database(error)) => {
                error.code().as_deref() == Some("XX000")
                    && error.message().starts_with(TWO_UPDATERS)
            }
            Self::Query(_) | Self::Rows { .. } | Self::Corrupt { .. } => false,
        }
    }

    /// The database is not there, as somebody else has found out.
    pub(crate) const fn unavailable() -> Self {
        Self::Query(sqlx::Error::PoolTimedOut)
    }

    /// Is the database not there, rather than unwilling?
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Query(error) => matches!(
                error,
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed
            ),
            Self::Rows { .. } | Self::Corrupt { .. } => false,
        }
    }

    /// Was there none to ask with?
    pub(crate) const fn has_no_connection(&self) -> bool {
        matches!(self, Self::Query(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed))
    }

    fn is_state(&self, state: &str) -> bool {
        match self {
            Self::Query(sqlx::Error::Database(error)) => error.code().as_deref() == Some(state),
            Self::Query(_) | Self::Rows { .. } | Self::Corrupt { .. } => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot connect to the database")]
    Connect(#[source] sqlx::Error),
    #[error("cannot make the database `kennet`")]
    Create(#[source] sqlx::Error),
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl Db {
    /// The pools. Connections are made when they are needed.
    pub fn open(options: &PgConnectOptions) -> Self {
        let pool = |role: PoolRole, connections: u32| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_MAX)
                .after_connect(move |connection, _meta| {
                    Box::pin(async move {
                        connection.execute(PLANNING).await?;
                        connection.execute(role.enter()).await.map(drop)
                    })
                })
                .connect_lazy_with(options.clone())
        };
        Self {
            app: pool(PoolRole::App, APP_CONNECTIONS),
            ingest: pool(PoolRole::Ingest, INGEST_CONNECTIONS),
            auth: pool(PoolRole::Auth, AUTH_CONNECTIONS),
            callback: pool(PoolRole::Callback, CALLBACK_CONNECTIONS),
            inbox: pool(PoolRole::Inbox, INBOX_CONNECTIONS),
        }
    }

    /// A transaction of staff that sees one tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<Tx, StoreError> {
        Ok(self.app.begin_with(begin(tenant, Scope::Tenant)).await?)
    }

    /// A transaction of somebody who sees their tenant; of a reseller's staff, only what is the
    /// reseller's.
    pub async fn staff(&self, actor: &Actor) -> Result<Tx, StoreError> {
        let Share { tenant, scope } = Share::of(actor);
        Ok(self.app.begin_with(begin(tenant, scope)).await?)
    }

    /// A transaction about the edges of one tenant.
    pub async fn edge_of(&self, tenant: TenantId) -> Result<Tx, StoreError> {
        Ok(self.ingest.begin_with(begin(tenant, Scope::Tenant)).await?)
    }

    /// A transaction about who logs in, and which tenants there are.
    pub async fn auth_tx(&self) -> Result<Tx, StoreError> {
        Ok(self.auth.begin().await?)
    }

    /// A transaction about what was called back, of all tenants.
    pub async fn inbox_tx(&self) -> Result<Tx, StoreError> {
        // What a queue's statistics say of it is wrong: they are made when it is empty.
        Ok(self.inbox.begin_with("BEGIN; SET LOCAL enable_seqscan = off").await?)
    }

    /// Does the database answer?
    pub async fn is_ready(&self) -> bool {
        let check = async { self.auth.acquire().await?.ping().await };
        matches!(tokio::time::timeout(READY_MAX, check).await, Ok(Ok(())))
    }

    pub async fn close(&self) {
        tokio::join!(
            self.app.close(),
            self.ingest.close(),
            self.auth.close(),
            self.callback.close(),
            self.inbox.close()
        );
    }
}

/// Goes on in the same transaction as staff of `tenant`.
pub async fn enter(tx: &mut Tx, tenant: TenantId) -> Result<(), StoreError> {
    // A UUID's text has nothing that could end the literal.
    let statement = format!(
        "SET LOCAL ROLE kennet_app; SET LOCAL kennet.tenant_id = '{}'; \
         SET LOCAL kennet.scope = 'tenant'",
        tenant.as_uuid().hyphenated()
    );
    tx.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

/// Goes on in the same transaction as who makes tenants.
pub(crate) async fn enter_auth(tx: &mut Tx) -> Result<(), StoreError> {
    tx.execute("SET LOCAL ROLE kennet_auth").await?;
    Ok(())
}

/// Goes on in the same transaction as who knows which jobs there are, of all tenants.
pub(crate) async fn enter_jobs(tx: &mut Tx) -> Result<(), StoreError> {
    tx.execute("SET LOCAL ROLE kennet_jobs").await?;
    Ok(())
}

/// A statement about one row must have found it.
pub(crate) const fn one(rows: u64) -> Result<(), StoreError> {
    exactly(1, rows)
}

/// A statement about so many rows must have found all.
pub(crate) const fn exactly(want: u64, rows: u64) -> Result<(), StoreError> {
    if rows == want { Ok(()) } else { Err(StoreError::Rows { want, rows }) }
}

/// Where a value was read, for the error if it is impossible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) table: &'static str,
    pub(crate) row: Uuid,
}

impl Cell {
    pub(crate) fn parse<T: FromStr>(
        self,
        column: &'static str,
        text: &str,
    ) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.corrupt(column))
    }

    pub(crate) fn maybe<T: FromStr>(
        self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    /// Counts are `bigint` in the database and never negative here.
    pub(crate) fn number<T: TryFrom<i64>>(
        self,
        column: &'static str,
        number: i64,
    ) -> Result<T, StoreError> {
        T::try_from(number).map_err(|_| self.corrupt(column))
    }

    pub(crate) const fn corrupt(self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.table, column, row: self.row }
    }
}

/// Runs `attempt` again while the database says that it only collided with another.
pub async fn retry<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: AsStoreError,
{
    let mut left = RETRIES;
    loop {
        match attempt().await {
            Err(error)
                if left > 0 && error.as_store_error().is_some_and(StoreError::is_transient) =>
            {
                left -= 1;
                tracing::debug!(left, "a transaction collided; again");
            }
            done => return done,
        }
    }
}

/// An operation's error that may stem from the database.
pub trait AsStoreError {
    fn as_store_error(&self) -> Option<&StoreError>;
}

impl AsStoreError for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Brings the schema up to date. Safe to run by several controllers at once.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), OpenError> {
    let mut connection = PgConnection::connect_with(options).await.map_err(OpenError::Connect)?;
    connection
        .execute(
            "SET client_min_messages = warning; \
             CREATE SCHEMA IF NOT EXISTS kennet; \
             SET search_path = kennet",
        )
        .await
        .map_err(OpenError::Connect)?;
    sqlx::migrate!().run(&mut connection).await.map_err(OpenError::Migrate)
}

/// Makes the database `name` beside the one that `options` connect to, if it is not there.
pub async fn create(options: &PgConnectOptions, name: &str) -> Result<(), OpenError> {
    let mut connection = PgConnection::connect_with(options).await.map_err(OpenError::Connect)?;
    let there = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await
        .map_err(OpenError::Create)?;
    if there.is_none() {
        let name = name.replace('"', "");
        let statement = AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        connection.execute(statement).await.map_err(OpenError::Create)?;
    }
    Ok(())
}

fn begin(tenant: TenantId, scope: Scope) -> AssertSqlSafe<String> {
    // One round trip instead of three. A UUID's text has nothing that could end the literal.
    let tenant = tenant.as_uuid().hyphenated();
    let scope = match scope {
        Scope::Tenant => "tenant".to_owned(),
        Scope::Reseller(id) => id.as_uuid().hyphenated().to_string(),
        Scope::Nothing => String::new(),
    };
    AssertSqlSafe(format!(
        "BEGIN; SET LOCAL kennet.tenant_id = '{tenant}'; SET LOCAL kennet.scope = '{scope}'"
    ))
}

/// What a transaction of staff sees. Who sees the same may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    tenant: TenantId,
    scope: Scope,
}

impl Share {
    pub(crate) fn of(actor: &Actor) -> Self {
        Self { tenant: actor.tenant, scope: Scope::of(actor) }
    }
}

/// How much of a tenant a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Tenant,
    Reseller(ResellerId),
    /// Staff of a reseller that nobody named.
    Nothing,
}

impl Scope {
    fn of(actor: &Actor) -> Self {
        match (actor.role, actor.reseller) {
            (_, Some(reseller)) => Self::Reseller(reseller),
            (Role::Reseller, None) => Self::Nothing,
            (_, None) => Self::Tenant,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum PoolRole {
    App,
    Ingest,
    Auth,
    Callback,
    Inbox,
}

impl PoolRole {
    const fn enter(self) -> &'static str {
        match self {
            Self::App => "SET search_path = kennet; SET ROLE kennet_app",
            Self::Ingest => "SET search_path = kennet; SET ROLE kennet_ingest",
            Self::Auth => "SET search_path = kennet; SET ROLE kennet_auth",
            Self::Callback => "SET search_path = kennet; SET ROLE kennet_callback",
            Self::Inbox => "SET search_path = kennet; SET ROLE kennet_inbox",
        }
    }
}

/// Statements are short and about few rows, which are in memory or on a disk without a moving part.
/// As for one with such a part, Postgres joins some rows by reading a whole table, at ten times the
/// cost; and to compile one takes longer than it saves.
const PLANNING: &str = "SET random_page_cost = 1.1; SET jit = off";
/// More do not make two cores faster, and a private cluster has 100 for everything.
const APP_CONNECTIONS: u32 = 16;
const INGEST_CONNECTIONS: u32 = 8;
const AUTH_CONNECTIONS: u32 = 4;
const CALLBACK_CONNECTIONS: u32 = 4;
const INBOX_CONNECTIONS: u32 = 4;
const ACQUIRE_MAX: Duration = Duration::from_secs(5);
const READY_MAX: Duration = Duration::from_secs(1);
const RETRIES: u32 = 5;
const TWO_UPDATERS: &str = "new multixact has more than one updating member";
