//! The private Postgres cluster: made, started, watched and stopped by the controller.
//!
//! It is what runs without `KENNET_DATABASE_URL`, and it is not reachable from the network: one
//! Unix socket, one password that nobody has to know. It is not a second kind of database: the
//! rest of the program sees connection options and nothing else. Start at [`Cluster::open`];
//! [`programs`] finds the binaries, [`owner`] the user that runs them.

mod owner;
mod process;
mod programs;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use shared::daemon::{Chain, Life};
use sqlx::{Connection as _, postgres::PgConnectOptions};
use tokio::sync::Mutex;

use self::{owner::Owner, process::Postmaster, programs::Programs};
pub use self::{owner::OwnerError, programs::ProgramsError};

/// Where it lives and with what it is run.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The controller's data directory; the cluster is in `postgres/` below.
    pub data_dir: PathBuf,
    /// Where `postgres` and `initdb` are, if not in one of the usual places.
    pub programs: Option<PathBuf>,
    /// Who runs it when the controller is root.
    pub user: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error("cannot {attempt} {}", path.display())]
    Files { attempt: &'static str, path: PathBuf, source: io::Error },
    #[error("another controller runs in {}", .0.display())]
    InUse(PathBuf),
    #[error("cannot run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("`initdb` failed ({status}): {said}")]
    Initdb { status: ExitStatus, said: String },
    #[error("Postgres ended while it started ({status}); the end of {}: {said}", log.display())]
    Ended { status: ExitStatus, log: PathBuf, said: String },
    #[error("Postgres did not answer within {} s; its log is {}", .waited.as_secs(), log.display())]
    Silent { waited: Duration, log: PathBuf },
    #[error("the Postgres of an earlier run (process {0}) does not stop")]
    Stuck(i32),
}

/// A running cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: PgConnectOptions,
    launch: process::Launch,
    child: Mutex<Postmaster>,
    /// One controller per data directory; the lock goes with the process.
    _lock: File,
}

impl Cluster {
    /// Makes the cluster if there is none, ends what an earlier run left running, starts it, and
    /// returns when it answers.
    pub async fn open(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        let owner = Owner::choose(settings.user.as_deref())?;
        let data_dir = &settings.data_dir;
        make_dir(data_dir, owner::DATA_DIR_MODE)?;
        let data_dir = &data_dir.canonicalize().map_err(files("resolve", data_dir))?;
        owner.can_reach(data_dir)?;
        let lock = lock(data_dir)?;

        let cluster_dir = data_dir.join("postgres");
        let made_by = fs::read_to_string(cluster_dir.join("PG_VERSION")).ok();
        let made_by = made_by.as_deref().and_then(|text| text.trim().parse().ok());
        let programs = Programs::find(settings.programs.as_deref(), made_by, &cluster_dir)?;
        let password = password(data_dir)?;
        if made_by.is_none() {
            initdb(&programs, &owner, data_dir, &cluster_dir, &password).await?;
        }
        let socket_dir = socket_dir(data_dir, &owner)?;
        process::end_leftover(&cluster_dir, &socket_dir).await?;

        let launch = process::Launch {
            program: programs.postgres(),
            owner,
            cluster_dir,
            socket_dir: socket_dir.clone(),
            log: data_dir.join("postgres.log"),
        };
        let options = connect_options(&socket_dir, &password);
        let mut child = launch.start()?;
        wait_ready(&launch, &mut child, &options).await?;
        let inner = Inner { options, launch, child: Mutex::new(child), _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// To the cluster that another controller runs in this data directory.
    pub fn join(settings: &ClusterSettings) -> Result<PgConnectOptions, ClusterError> {
        let data_dir = &settings.data_dir;
        let data_dir = &data_dir.canonicalize().map_err(files("resolve", data_dir))?;
        Ok(connect_options(&socket_path(data_dir), &password(data_dir)?))
    }

    /// To the database `postgres`, as the cluster's superuser.
    pub fn options(&self) -> PgConnectOptions {
        self.inner.options.clone()
    }

    /// Starts Postgres again whenever it ends, until the daemon stops.
    pub fn watch(&self, life: &Life) {
        let cluster = self.clone();
        life.spawn("postgres", async move { cluster.keep_running().await });
    }

    async fn keep_running(&self) {
        let mut pause = RESTART_PAUSE_MIN;
        loop {
            // Looks instead of waiting for the child, so that the lock is free for `stop`.
            tokio::time::sleep(WATCH).await;
            let mut child = self.inner.child.lock().await;
            let Some(status) = child.ended() else {
                pause = RESTART_PAUSE_MIN;
                continue;
            };
            tracing::error!(%status, "Postgres ended; starting it again");
            match self.restart(&mut child).await {
                Ok(()) => tracing::info!("Postgres answers again"),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "Postgres does not start");
                    drop(child);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RESTART_PAUSE_MAX);
                }
            }
        }
    }

    async fn restart(&self, child: &mut Postmaster) -> Result<(), ClusterError> {
        // Its backends may outlive a killed postmaster for a moment and hold its memory.
        let launch = &self.inner.launch;
        process::end_leftover(&launch.cluster_dir, &launch.socket_dir).await?;
        *child = launch.start()?;
        wait_ready(launch, child, &self.inner.options).await
    }

    /// Stops Postgres: open transactions are rolled back, everything committed is on disk.
    pub async fn stop(&self) {
        self.inner.child.lock().await.stop().await;
    }
}

async fn wait_ready(
    launch: &process::Launch,
    child: &mut Postmaster,
    options: &PgConnectOptions,
) -> Result<(), ClusterError> {
    let log = || launch.log.clone();
    let wait = async {
        loop {
            if let Some(status) = child.ended() {
                let said = process::tail(&launch.log);
                return Err(ClusterError::Ended { status, log: log(), said });
            }
            match sqlx::PgConnection::connect_with(options).await {
                Ok(connection) => {
                    drop(connection);
                    return Ok(());
                }
                Err(source) => {
                    tracing::trace!(error = %Chain(&source), "Postgres does not answer yet");
                    tokio::time::sleep(READY_POLL).await;
                }
            }
        }
    };
    if let Ok(result) = tokio::time::timeout(READY_MAX, wait).await {
        return result;
    }
    child.stop().await;
    Err(ClusterError::Silent { waited: READY_MAX, log: log() })
}

/// Into a folder beside, renamed when complete: half a cluster is never taken for a whole one.
async fn initdb(
    programs: &Programs,
    owner: &Owner,
    data_dir: &Path,
    cluster_dir: &Path,
    password: &str,
) -> Result<(), ClusterError> {
    let making = data_dir.join("postgres.making");
    if making.exists() {
        fs::remove_dir_all(&making).map_err(files("remove", &making))?;
    }
    make_dir(&making, 0o700)?;
    owner.give(&making)?;
    let password_file = data_dir.join("postgres.initial-password");
    write_secret(&password_file, password)?;
    owner.give(&password_file)?;

    let program = programs.initdb();
    let mut command = owner.command(&program);
    command.arg("--pgdata").arg(&making).arg("--pwfile").arg(&password_file).args([
        "--username",
        SUPERUSER,
        "--auth=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        "--no-locale",
        "--no-instructions",
    ]);
    let output = command.output().await;
    fs::remove_file(&password_file).map_err(files("remove", &password_file))?;
    let output = output.map_err(|source| ClusterError::Run { program, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ClusterError::Initdb { status: output.status, said });
    }
    fs::rename(&making, cluster_dir).map_err(files("name", cluster_dir))
}

fn lock(data_dir: &Path) -> Result<File, ClusterError> {
    let path = data_dir.join("controller.lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(files("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => {
            Err(ClusterError::Files { attempt: "lock", path, source })
        }
    }
}

/// A socket's path must fit into 107 bytes, so a deep data directory has its socket in `/tmp`.
fn socket_path(data_dir: &Path) -> PathBuf {
    let dir = data_dir.join("run");
    if dir.as_os_str().len() <= SOCKET_DIR_MAX {
        return dir;
    }
    let name = crate::token::name_of(data_dir.as_os_str().as_encoded_bytes());
    PathBuf::from(format!("/tmp/kennet-{name}"))
}

fn connect_options(socket_dir: &Path, password: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(PORT)
        .username(SUPERUSER)
        .password(password)
        .database("postgres")
}

fn socket_dir(data_dir: &Path, owner: &Owner) -> Result<PathBuf, ClusterError> {
    let dir = socket_path(data_dir);
    make_dir(&dir, 0o700)?;
    owner.give(&dir)?;
    Ok(dir)
}

fn password(data_dir: &Path) -> Result<String, ClusterError> {
    let path = data_dir.join("postgres.password");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = crate::token::random();
            write_secret(&path, &text)?;
            Ok(text)
        }
        Err(source) => Err(ClusterError::Files { attempt: "read", path, source }),
    }
}

fn write_secret(path: &Path, text: &str) -> Result<(), ClusterError> {
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(files("write", path))
}

fn make_dir(path: &Path, mode: u32) -> Result<(), ClusterError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(files("make", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(files("protect", path))
}

fn files(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_owned();
    move |source| ClusterError::Files { attempt, path, source }
}

const SUPERUSER: &str = "kennet";
/// Part of the name of the socket; nothing listens on the network.
const PORT: u16 = 5432;
/// 107 bytes less `/.s.PGSQL.5432.lock`, rounded down.
const SOCKET_DIR_MAX: usize = 80;
/// Crash recovery of a busy cluster takes a while, and there is nothing better to do than wait.
const READY_MAX: Duration = Duration::from_mins(5);
const READY_POLL: Duration = Duration::from_millis(10);
const WATCH: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
