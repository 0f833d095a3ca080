//! A database with two tenants and something to sell, for each check anew.

use std::sync::Arc;

use controller::db::Db;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::cluster::Shared;

pub(crate) const A: &str = "00000000-0000-7000-8000-00000000000a";
pub(crate) const B: &str = "00000000-0000-7000-8000-00000000000b";
/// A reseller of A, whose first ten subscribers are its own.
pub(crate) const RESELLER: &str = "00000000-0000-7000-8000-0000000000a1";
/// The first subscriber of A, and the only one of B.
pub(crate) const SUBSCRIBER: &str = "10000000-0000-7000-8000-000000000001";
pub(crate) const SUBSCRIBER_OF_B: &str = "20000000-0000-7000-8000-000000000001";
pub(crate) const VERSION: &str = "31000000-0000-7000-8000-000000000001";
pub(crate) const BATCH: &str = "40000000-0000-7000-8000-000000000001";
pub(crate) const EDGE: &str = "70000000-0000-7000-8000-000000000001";
/// All vouchers of the batch are sold.
pub(crate) const VOUCHERS: i64 = 200;

/// What a check found: an invariant that does not hold, in a sentence.
pub(crate) type Found = Result<(), String>;

/// The pools are closed when it is dropped; the database goes with the cluster.
pub(crate) struct Books {
    pub(crate) db: Db,
    /// Superuser: what row level security hides is there.
    pub(crate) admin: PgPool,
    /// Staff of A, staff of B.
    pub(crate) a: PgPool,
    pub(crate) b: PgPool,
    options: PgConnectOptions,
    _cluster: Arc<Shared>,
}

/// The database that checks are copied from.
pub(crate) struct Template {
    name: String,
    cluster: Arc<Shared>,
    options: PgConnectOptions,
}

impl Template {
    pub(crate) async fn make() -> Self {
        let cluster = tokio::task::spawn_blocking(Shared::get).await.expect("it does not panic");
        let options = cluster.make_database().await;
        let mut conn = PgConnection::connect_with(&options).await.expect("a superuser");
        conn.execute("SET search_path = kennet").await.expect("the schema");
        conn.execute(AssertSqlSafe(FIXTURE)).await.expect("two tenants and something to sell");
        conn.close().await.expect("nobody else is connected");
        let name = options.get_database().expect("it has a name").to_owned();
        Self { name, cluster, options }
    }

    /// A copy, in which `change` was done to the schema.
    pub(crate) async fn copy(&self, change: &str) -> Books {
        let name = format!("c{}", uuid::Uuid::now_v7().simple());
        let postgres = self.options.clone().database("postgres");
        let mut conn = PgConnection::connect_with(&postgres).await.expect("a superuser");
        let statement = format!("CREATE DATABASE {name} TEMPLATE {} STRATEGY file_copy", self.name);
        conn.execute(AssertSqlSafe(statement)).await.expect("a copy");
        let options = self.options.clone().database(&name);
        let admin = pool(&options, 2, "SET search_path = kennet".to_owned());
        sqlx::raw_sql(AssertSqlSafe(change.to_owned()))
            .execute(&admin)
            .await
            .unwrap_or_else(|error| panic!("{change}: {error}"));
        let staff =
            |tenant: &str, connections| pool(&options, connections, enter(tenant, "tenant"));
        Books {
            db: Db::open(&options),
            a: staff(A, CONNECTIONS),
            b: staff(B, 1),
            admin,
            options,
            _cluster: Arc::clone(&self.cluster),
        }
    }
}

/// What a connection of staff begins with.
pub(crate) fn enter(tenant: &str, scope: &str) -> String {
    format!(
        "SET search_path = kennet; SET ROLE kennet_app; SET kennet.tenant_id = '{tenant}'; \
         SET kennet.scope = '{scope}'"
    )
}

fn pool(options: &PgConnectOptions, connections: u32, enter: String) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .after_connect(move |conn, _| {
            let enter = enter.clone();
            Box::pin(async move { conn.execute(AssertSqlSafe(enter)).await.map(drop) })
        })
        .connect_lazy_with(options.clone())
}

impl Books {
    /// The role that edges are served in.
    pub(crate) fn edges(&self) -> PgPool {
        let enter = enter(A, "tenant").replace("kennet_app", "kennet_ingest");
        pool(&self.options, CONNECTIONS, enter)
    }

    /// Another connection, which begins with these statements.
    pub(crate) fn enter(&self, statements: &str) -> PgPool {
        pool(&self.options, 1, statements.to_owned())
    }

    pub(crate) async fn close(self) {
        tokio::join!(self.admin.close(), self.a.close(), self.b.close(), self.db.close());
        let name = self.options.get_database().expect("it has a name").to_owned();
        let postgres = self.options.clone().database("postgres");
        let mut conn = PgConnection::connect_with(&postgres).await.expect("a superuser");
        // Not with FORCE: whoever is still connected is a fault of the check.
        let _ = conn.execute(AssertSqlSafe(format!("DROP DATABASE {name}"))).await;
    }
}

/// Runs statements that must be taken.
#[track_caller]
pub(crate) fn run<'p>(pool: &'p PgPool, sql: &str) -> impl Future<Output = ()> + 'p {
    let sql = sql.to_owned();
    async move {
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(pool).await {
            panic!("{sql}: {error}");
        }
    }
}

/// One value, as text.
pub(crate) async fn ask(pool: &PgPool, sql: &str) -> String {
    value(pool, sql).await.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn is(pool: &PgPool, sql: &str, want: &str) -> Found {
    let got = value(pool, sql).await?;
    if got == want { Ok(()) } else { Err(format!("{sql}: got {got}, want {want}")) }
}

async fn value(pool: &PgPool, sql: &str) -> Result<String, String> {
    let text = sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({sql})::text")));
    let text: Option<String> =
        text.fetch_one(pool).await.map_err(|error| format!("{sql}: {error}"))?;
    Ok(text.unwrap_or_else(|| "NULL".to_owned()))
}

/// The statements must be taken.
pub(crate) async fn taken(pool: &PgPool, sql: &str) -> Found {
    attempt(pool, sql).await.map_err(|text| format!("{sql} was refused for {text}"))
}

/// The statements must be refused, with an error that says why.
pub(crate) async fn refused(pool: &PgPool, sql: &str, why: &str) -> Found {
    match attempt(pool, sql).await {
        Ok(()) => Err(format!("{sql} was taken")),
        Err(text) if text.contains(why) => Ok(()),
        Err(text) => Err(format!("{sql} was refused for {text}")),
    }
}

pub(crate) async fn attempt(pool: &PgPool, sql: &str) -> Result<(), String> {
    let mut conn = pool.acquire().await.map_err(|error| error.to_string())?;
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *conn).await;
    if let Err(error) = done {
        // A transaction of the statements' own is still open.
        sqlx::raw_sql("ROLLBACK").execute(&mut *conn).await.map_err(|error| error.to_string())?;
        return Err(error.to_string());
    }
    Ok(())
}

/// Runs the statement `times`, as many at once as the pool has connections; says how many were
/// taken.
pub(crate) async fn race(pool: &PgPool, times: usize, sql: impl Fn(usize) -> String) -> usize {
    // Who has to connect first does not race.
    let size = usize::try_from(pool.options().get_max_connections()).expect("a few").min(times);
    let all_there = Arc::new(Barrier::new(size));
    let mut tasks = JoinSet::new();
    for _ in 0..size {
        let (pool, all_there) = (pool.clone(), Arc::clone(&all_there));
        tasks.spawn(async move {
            let conn = pool.acquire().await;
            all_there.wait().await;
            conn.is_ok()
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|there| there), "not enough connections");
    let mut tasks = JoinSet::new();
    for n in 0..times {
        let (pool, sql) = (pool.clone(), sql(n));
        tasks.spawn(async move {
            let mut done = attempt(&pool, &sql).await;
            // As the controller does: see `StoreError::is_transient`.
            while done.as_ref().is_err_and(|error| error.contains("more than one updating member"))
            {
                done = attempt(&pool, &sql).await;
            }
            done.is_ok()
        });
    }
    tasks.join_all().await.into_iter().filter(|taken| *taken).count()
}

/// Of staff at once; the cluster has 100 for everything.
const CONNECTIONS: u32 = 24;

const FIXTURE: &str = "
SET kennet.tenant_id = '00000000-0000-7000-8000-00000000000a';
INSERT INTO tenant (tenant_id, slug, name, created_at) VALUES
  ('00000000-0000-7000-8000-00000000000a', 'alpha', 'Alpha Net', now()),
  ('00000000-0000-7000-8000-00000000000b', 'bravo', 'Bravo Net', now());
INSERT INTO reseller (tenant_id, id, name, created_at) VALUES
  (current_tenant(), '00000000-0000-7000-8000-0000000000a1', 'Agent One', now()),
  (current_tenant(), '00000000-0000-7000-8000-0000000000a2', 'Agent Two', now());
INSERT INTO subscriber (tenant_id, id, account_no, username, full_name, created_at, reseller_id)
  SELECT current_tenant(), ('10000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid,
         (1000000 + i)::text, 's' || i, 'Subscriber ' || i, now(),
         CASE WHEN i <= 10 THEN '00000000-0000-7000-8000-0000000000a1'::uuid
              WHEN i <= 30 THEN '00000000-0000-7000-8000-0000000000a2' END
    FROM generate_series(1, 40) i;
INSERT INTO subscriber (tenant_id, id, account_no, username, full_name, created_at) VALUES
  ('00000000-0000-7000-8000-00000000000b', '20000000-0000-7000-8000-000000000001', '1000001',
   's1', 'Subscriber of Bravo', now());
INSERT INTO plan (tenant_id, id, code, name, created_at) VALUES
  (current_tenant(), '30000000-0000-7000-8000-000000000001', 'h1g', 'Hotspot 1 GiB', now()),
  ('00000000-0000-7000-8000-00000000000b', '30000000-0000-7000-8000-000000000002', 'x', 'X', now());
INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind, price_cents,
    validity_seconds, data_bytes, down_kbps, up_kbps, anchor, effective_from) VALUES
  (current_tenant(), '31000000-0000-7000-8000-000000000001', '30000000-0000-7000-8000-000000000001',
   1, 'hotspot', 'prepaid', 'data', 5000, 86400, 1073741824, 5000, 2000, 'first_use', now());
INSERT INTO edge (tenant_id, id, name, secret_hash, created_at) VALUES
  (current_tenant(), '70000000-0000-7000-8000-000000000001', 'north', sha256('x'), now());
INSERT INTO voucher_batch (tenant_id, id, plan_version_id, qty, face_cents, net_cents, excise_cents,
    vat_cents, code_key_id, created_at) VALUES
  (current_tenant(), '40000000-0000-7000-8000-000000000001', '31000000-0000-7000-8000-000000000001',
   200, 5000, 3748, 562, 690, 1, now());
INSERT INTO voucher (tenant_id, id, batch_id, serial, code_hash, net_cents)
  SELECT current_tenant(), gen_random_uuid(), '40000000-0000-7000-8000-000000000001', i,
         sha256(('code' || i)::bytea), 3748
    FROM generate_series(1, 200) i;
BEGIN;
INSERT INTO voucher_sale (tenant_id, id, batch_id, qty, face_cents, at) VALUES
  (current_tenant(), '41000000-0000-7000-8000-000000000001', '40000000-0000-7000-8000-000000000001',
   200, 1000000, now());
SELECT post_entry(gen_random_uuid(), 'voucher.sale', 'voucher_sale',
  '41000000-0000-7000-8000-000000000001', now(),
  ARRAY['cash:till', 'deferred:voucher', 'tax:excise', 'tax:vat'],
  ARRAY[1000000, -749600, -112400, -138000]);
UPDATE voucher SET state = 'sold', sale_id = '41000000-0000-7000-8000-000000000001';
COMMIT;
RESET kennet.tenant_id;
";
