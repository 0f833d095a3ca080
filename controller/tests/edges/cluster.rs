//! One private Postgres for all tests that run at the same time; gone with the last of them.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, Weak, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use controller::{
    db,
    postgres::{Cluster, ClusterSettings},
};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};
use tempfile::TempDir;
use uuid::Uuid;

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// Keeps the cluster running.
pub(crate) struct Shared {
    /// To the database `postgres`, as superuser.
    options: PgConnectOptions,
    /// The cluster's child process belongs to the runtime of a thread of its own, because the
    /// runtime of a test ends with it.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl Shared {
    /// Blocks while the cluster starts.
    pub(crate) fn get() -> Arc<Self> {
        let mut shared = SHARED.lock().expect("no test panics while it waits for Postgres");
        if let Some(there) = shared.upgrade() {
            return there;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// A database of its own, with the schema of the migrations.
    pub(crate) async fn make_database(&self) -> PgConnectOptions {
        let name = format!("t{}", Uuid::now_v7().simple());
        let mut conn = PgConnection::connect_with(&self.options).await.expect("a connection");
        let statement = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy");
        conn.execute(AssertSqlSafe(statement)).await.expect("a database");
        self.options.clone().database(&name)
    }

    /// A folder that goes with the cluster: a broker's last writes may come after its end.
    pub(crate) fn make_folder(&self) -> PathBuf {
        let folder = self.folder.path().join(Uuid::now_v7().simple().to_string());
        std::fs::create_dir(&folder).expect("a folder");
        folder
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Postgres runs as another user when the tests run as root.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("the folder is ours");
        let data_dir = folder.path().join("data");
        let (stop, stopped) = mpsc::channel::<()>();
        let (ready, options) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime for the cluster");
            let settings = ClusterSettings { data_dir, programs: None, user: None };
            let cluster = runtime
                .block_on(Cluster::open(&settings))
                .unwrap_or_else(|error| panic!("these tests need Postgres: {error}"));
            runtime.block_on(make_template(&cluster.options()));
            ready.send(cluster.options()).expect("the test waits");
            // Ends when the sender is dropped.
            let _ = stopped.recv();
            runtime.block_on(cluster.stop());
        });
        let options = options.recv().expect("these tests need Postgres (see the panic above)");
        Self { options, stop: Some(stop), thread: Some(thread), folder }
    }
}

/// Migrated once; each test has a copy.
async fn make_template(options: &PgConnectOptions) {
    let mut conn = PgConnection::connect_with(options).await.expect("a connection");
    // Killed are programs here, never the machine.
    for statement in ["ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"] {
        conn.execute(statement).await.expect("a superuser");
    }
    db::create(options, TEMPLATE).await.expect("a database");
    let options = options.clone().database(TEMPLATE);
    db::migrate(&options).await.expect("migrations");
}

const TEMPLATE: &str = "template";

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for _ in 0..20 {
            let _ = std::fs::remove_dir_all(self.folder.path());
            std::thread::sleep(Duration::from_millis(10));
            if !self.folder.path().exists() {
                return;
            }
        }
    }
}
