//! A controller as it is installed: the binary, its private cluster, its broker; and a way to look
//! behind it.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use controller::postgres::{Cluster, ClusterSettings};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;

use crate::sheet::float;

/// Stopped with its Postgres when it is dropped.
pub(crate) struct Stand {
    child: Option<Child>,
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
    folder: TempDir,
}

impl Stand {
    /// With nothing in it, not started.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // Postgres runs as another user when this runs as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { child: None, http: free_port()?, mqtt: free_port()?, folder })
    }

    /// With nothing in it; ready.
    pub(crate) async fn started() -> anyhow::Result<Self> {
        let mut stand = Self::new()?;
        stand.start().await?;
        Ok(stand)
    }

    /// How long until it says that it is ready.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let (http, mqtt) = (self.http.to_string(), self.mqtt.to_string());
        let listen = ["serve", "--http-listen", &http, "--mqtt-listen", &mqtt];
        let mut command = self.command(&listen);
        // Accounts at a simulator may be added; none is there to be asked.
        command.args(["--paysim-url", "http://127.0.0.1:9"]);
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let url = self.url("/readyz");
        while !reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
            if let Some(status) = child.try_wait()? {
                bail!("the controller ended with {status}: {}", self.said());
            }
            ensure!(began.elapsed() < START_MAX, "the controller is not ready: {}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.child = Some(child);
        Ok(began.elapsed())
    }

    /// Until it has ended by itself.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
        let status = child.wait()?;
        ensure!(status.success(), "the controller ended with {status}: {}", self.said());
        Ok(())
    }

    /// One of the binary's commands, with this data.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {}: {errors}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        command
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it has logged.
    fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// As the cluster's superuser, who sees all rows. While it runs.
    pub(crate) fn admin(&self) -> anyhow::Result<PgPool> {
        let settings = ClusterSettings { data_dir: self.data_dir(), programs: None, user: None };
        let options = Cluster::join(&settings)?.database("kennet");
        let pool = PgPoolOptions::new().max_connections(8).after_connect(|conn, _| {
            Box::pin(async move {
                sqlx::query("SET search_path = kennet").execute(conn).await.map(drop)
            })
        });
        Ok(pool.connect_lazy_with(options))
    }

    /// Of the controller, its Postgres, and what they have started, also what has ended since.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let pid = self.child.as_ref().context("it runs")?.id();
        let children = children();
        let own = stat(pid)?;
        let mut database = 0;
        let mut next: Vec<u32> = children.get(&pid).cloned().unwrap_or_default();
        while let Some(pid) = next.pop() {
            // One that has ended since is counted by its parent.
            if let Ok(Stat { ticks, of_ended }) = stat(pid) {
                database += ticks + of_ended;
            }
            next.extend(children.get(&pid).into_iter().flatten());
        }
        Ok(Cpu {
            controller: float(own.ticks) / float(TICKS_PER_SECOND),
            database: float(database) / float(TICKS_PER_SECOND),
        })
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            crate::say(&format!("the controller was not stopped: {error:#}"));
        }
    }
}

/// Seconds of processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) controller: f64,
    pub(crate) database: f64,
}

impl Cpu {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            controller: self.controller - before.controller,
            database: self.database - before.database,
        }
    }

    pub(crate) fn all(self) -> f64 {
        self.controller + self.database
    }
}

/// One number or text out of the database, as text.
pub(crate) async fn ask(pool: &PgPool, sql: &str) -> anyhow::Result<String> {
    let sql = format!("SELECT coalesce(({sql})::text, '-')");
    let (answer,): (String,) =
        sqlx::query_as(AssertSqlSafe(sql.clone())).fetch_one(pool).await.context(sql)?;
    Ok(answer)
}

pub(crate) async fn run(pool: &PgPool, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.context("filling")?;
    Ok(())
}

/// `KENNET_BIN_DIR` names a folder that has it already.
fn binary() -> PathBuf {
    match std::env::var_os("KENNET_BIN_DIR") {
        Some(folder) => Path::new(&folder).join("kennet-controller"),
        None => PathBuf::from(env!("CARGO_BIN_EXE_kennet-controller")),
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

struct Stat {
    ticks: u64,
    of_ended: u64,
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything; what follows is numbers, from the third on.
    let (_, rest) = text.rsplit_once(')').context("a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| -> anyhow::Result<u64> {
        Ok(fields.get(number - 3).context("a field")?.parse()?)
    };
    Ok(Stat { ticks: field(14)? + field(15)?, of_ended: field(16)? + field(17)? })
}

/// By parent.
fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// What Linux tells user space, whatever its own clock is.
const TICKS_PER_SECOND: u64 = 100;
const START_MAX: Duration = Duration::from_mins(1);
