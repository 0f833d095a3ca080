//! The postmaster as a child process, and the one that an earlier run left behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    slice,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Child,
    time::{Instant, sleep, timeout},
};

use super::{ClusterError, Owner, files};

/// How the postmaster is started.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) owner: Owner,
    pub(super) cluster_dir: PathBuf,
    pub(super) socket_dir: PathBuf,
    pub(super) log: PathBuf,
}

impl Launch {
    pub(super) fn start(&self) -> Result<Postmaster, ClusterError> {
        rotate(&self.log)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(files("open", &self.log))?;
        let log_too = log.try_clone().map_err(files("open", &self.log))?;
        let mut command = self.owner.command(&self.program);
        command.arg("-D").arg(&self.cluster_dir).arg("-k").arg(&self.socket_dir);
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command.stdout(Stdio::from(log)).stderr(Stdio::from(log_too));
        let child = command
            .spawn()
            .map_err(|source| ClusterError::Run { program: self.program.clone(), source })?;
        Ok(Postmaster { child })
    }
}

#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Fast: clients are cut off, everything committed is flushed. Then harder, if it must be.
    pub(super) async fn stop(&mut self) {
        for (signal, grace) in STOP {
            let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
            if kill(Pid::from_raw(pid), signal).is_err() {
                return;
            }
            if timeout(grace, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(%signal, "Postgres does not stop");
        }
    }
}

/// Stops what an earlier run left running in `cluster_dir`.
///
/// The postmaster of a killed controller goes on; its transactions have nobody who waits for
/// them. The backends of a killed postmaster go on for a moment, and hold its memory.
pub(super) async fn end_leftover(
    cluster_dir: &Path,
    socket_dir: &Path,
) -> Result<(), ClusterError> {
    let file = cluster_dir.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let postmaster = text.lines().next().and_then(|line| line.trim().parse().ok());
    let mut left = running(cluster_dir);
    if !left.is_empty() {
        tracing::warn!(processes = ?left, "stopping the Postgres that an earlier run left behind");
    }
    for (signal, grace) in STOP {
        let targets: &[i32] = match &postmaster {
            Some(postmaster) if left.contains(postmaster) => slice::from_ref(postmaster),
            Some(_) | None => &left,
        };
        for pid in targets {
            // It may be gone by now, which is as good.
            let _gone = kill(Pid::from_raw(*pid), signal);
        }
        let give_up = Instant::now() + grace;
        while !left.is_empty() && Instant::now() < give_up {
            sleep(POLL).await;
            left = running(cluster_dir);
        }
    }
    if let Some(pid) = left.first() {
        return Err(ClusterError::Stuck(*pid));
    }
    // Nobody runs here, whoever has that number now: a stranger, or a dead process that nobody
    // has waited for. Postgres takes either for a running one.
    for file in [file, socket_dir.join(SOCKET_LOCK)] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(files("remove", &file)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The processes of this very cluster: all of them work in its folder. A number in a file alone
/// may by now be another process.
fn running(cluster_dir: &Path) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let works_here = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster_dir)
    };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(works_here).collect()
}

/// The last words, for the error of a Postgres that did not start.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(LINES_TOLD).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

fn rotate(log: &Path) -> Result<(), ClusterError> {
    match fs::metadata(log) {
        Ok(meta) if meta.len() > LOG_MAX => {
            fs::rename(log, log.with_extension("log.1")).map_err(files("rotate", log))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(files("look at", log)(error)),
    }
}

const SOCKET_LOCK: &str = ".s.PGSQL.5432.lock";
/// On the command line, so that they hold whatever a file in the cluster says.
const SETTINGS: [&str; 10] = [
    "port=5432",
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "log_min_messages=warning",
    "log_line_prefix=%m [%p] ",
    "timezone=UTC",
    "logging_collector=off",
];
const STOP: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
const POLL: Duration = Duration::from_millis(10);
const LINES_TOLD: usize = 5;
/// Where a log begins anew; one older is kept.
const LOG_MAX: u64 = 10 << 20;
