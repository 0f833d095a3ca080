//! The servers, each on one core with all that it needs: ours, FreeRADIUS
//! ([`super::freeradius`]), and threads that do next to nothing.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::socket::{setsockopt, sockopt::RcvBufForce},
    unistd::{SysconfVar, gettid, sysconf},
};
use tempfile::TempDir;

use super::{
    CROWD, HERE, SECRET, SERVER_CORE, SUBSCRIBERS,
    certificates::Certificates,
    pin,
    postgres::Postgres,
    request::{password_of, username},
};
use crate::workspace;

pub(super) struct Peer {
    pub(super) auth: SocketAddr,
    pub(super) acct: SocketAddr,
    running: Running,
    /// Its database, if that is a process of its own.
    database: Option<Postgres>,
}

enum Running {
    Process(Guard, TempDir),
    Thread { stop: Arc<AtomicBool>, thread: JoinHandle<Result<()>>, stat: PathBuf },
}

/// As much as the edge has.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A process that does not outlive this one.
pub(super) struct Guard(pub(super) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone_already_is_fine = self.0.kill();
        let _gone_already_is_fine = self.0.wait();
    }
}

impl Peer {
    /// `kennet-edge`, without a data plane: its NAS enforces.
    pub(super) fn edge(binaries: &Path, certificates: &Certificates) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (auth, acct) = free_ports()?;
        let settings = format!(
            "state_dir = \"state\"\n\
             [radius]\nauth = [\"{auth}\"]\nacct = [\"{acct}\"]\n\
             eap = {{ cert = \"{}\", key = \"{}\", client_ca = \"{}\" }}\n\
             [desired]\nfile = \"desired.toml\"\n",
            certificates.server.certificate.display(),
            certificates.server.key.display(),
            certificates.ca.display(),
        );
        let mut desired = format!(
            "[[nas]]\nname = \"bench\"\naddress = \"{HERE}\"\nsecret = \"{SECRET}\"\n\
             enforce = \"nas\"\nvendor = \"mikrotik\"\nrequests_per_second = 1000000\n\
             [[nas]]\nname = \"crowd\"\naddress = \"{CROWD}\"\nsecret = \"{SECRET}\"\n"
        );
        for at in 0..SUBSCRIBERS {
            writeln!(
                desired,
                "[[subscriber]]\nusername = \"{}\"\npassword = \"{}\"\n\
                 down_kbps = 10000\nup_kbps = 5000\nsession_timeout = 3600",
                username(at),
                password_of(at)
            )?;
        }
        fs::create_dir(folder.path().join("state"))?;
        fs::write(folder.path().join("edge.toml"), settings)?;
        fs::write(folder.path().join("desired.toml"), desired)?;
        let binary = binaries.join("kennet-edge");
        let mut command = pinned(&binary.display().to_string());
        command.args(["run", "--config"]).arg(folder.path().join("edge.toml"));
        Self::process(command, folder, (auth, acct), None)
    }

    pub(super) fn process(
        mut command: Command,
        folder: TempDir,
        (auth, acct): (SocketAddr, SocketAddr),
        database: Option<Postgres>,
    ) -> Result<Self> {
        let log = File::create(folder.path().join("log"))?;
        let line = workspace::shown(&command);
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let mut guard = Guard(child);
        thread::sleep(Duration::from_millis(300));
        if let Some(status) = guard.0.try_wait()? {
            bail!("`{line}` ended: {status}\n{}", last_words(&folder));
        }
        Ok(Self { auth, acct, running: Running::Process(guard, folder), database })
    }

    /// A thread of our own.
    pub(super) fn thread(serve: fn(&UdpSocket, &AtomicBool) -> nix::Result<()>) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        // A burst from many ports does not fit into the default; without root it has to.
        let _the_default_is_fine = setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER);
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send_id, id) = mpsc::sync_channel(1);
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let _nobody_waits_when_it_failed = send_id.send(pin(SERVER_CORE).map(|()| gettid()));
            serve(&socket, &stopped).map_err(Into::into)
        });
        let id = id.recv().context("it did not start")??;
        let stat = format!("/proc/self/task/{id}/stat").into();
        let running = Running::Thread { stop, thread, stat };
        Ok(Self { auth: address, acct: address, running, database: None })
    }

    /// User and system time so far, its database's with it.
    #[expect(clippy::float_arithmetic, reason = "a measurement")]
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let own = match &self.running {
            Running::Process(guard, _) => cpu_seconds(&format!("/proc/{}/stat", guard.0.id()))?,
            Running::Thread { stat, .. } => cpu_seconds(&stat.display().to_string())?,
        };
        let database = self.database.as_ref().map(Postgres::cpu_seconds).transpose()?;
        Ok(own + database.unwrap_or(0.0))
    }

    /// What it occupies of memory, its database's with it: each shared page once.
    pub(super) fn memory_bytes(&self) -> Result<Option<u64>> {
        let Running::Process(guard, _) = &self.running else { return Ok(None) };
        let own = memory_bytes(guard.0.id())?;
        let database = self.database.as_ref().map(Postgres::memory_bytes).transpose()?;
        Ok(Some(own + database.unwrap_or(0)))
    }

    /// With its settings.
    pub(super) fn folder(&self) -> Result<&Path> {
        match &self.running {
            Running::Process(_, folder) => Ok(folder.path()),
            Running::Thread { .. } => bail!("a thread has no settings"),
        }
    }

    /// The end of what it printed, for messages.
    pub(super) fn last_words(&self) -> String {
        match &self.running {
            Running::Process(_, folder) => last_words(folder),
            Running::Thread { .. } => String::new(),
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        match self.running {
            Running::Process(guard, folder) => {
                drop(guard);
                folder.close().context("cannot remove what the server has written")?;
            }
            Running::Thread { stop, thread, .. } => {
                stop.store(true, Ordering::Relaxed);
                match thread.join() {
                    Ok(ended) => ended.context("it failed")?,
                    Err(_) => bail!("it panicked"),
                }
            }
        }
        self.database.map_or(Ok(()), Postgres::stop)
    }
}

fn last_words(folder: &TempDir) -> String {
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(20);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// User and system time of a `stat` file of `/proc`.
pub(super) fn cpu_seconds(stat: &str) -> Result<f64> {
    // `utime` and `stime`.
    seconds_of(stat, 11)
}

/// Of children that have ended.
pub(super) fn cpu_seconds_of_ended(stat: &str) -> Result<f64> {
    // `cutime` and `cstime`.
    seconds_of(stat, 13)
}

/// Two fields, counted from behind the name.
#[expect(clippy::cast_precision_loss, clippy::float_arithmetic, reason = "a measurement")]
fn seconds_of(stat: &str, field: usize) -> Result<f64> {
    let text = fs::read_to_string(stat).with_context(|| format!("{stat} is gone"))?;
    // The name before it may hold spaces.
    let (_, rest) = text.rsplit_once(") ").context("a stat file without a name")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| -> Result<u64> {
        Ok(fields.get(at).context("a stat file that ends early")?.parse()?)
    };
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("a clock without ticks")?;
    Ok((ticks(field)? + ticks(field + 1)?) as f64 / per_second as f64)
}

/// A process's own pages, and its part of those that it shares.
pub(super) fn memory_bytes(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("no Pss in {file}"))? * 1024)
}

/// On the server's core, and ended when this process ends.
pub(super) fn pinned(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list"]);
    command.arg(SERVER_CORE.to_string()).arg(program);
    command
}

/// Nobody keeps them for us, but the kernel gives others the next ones first.
pub(super) fn free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let (auth, acct) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    Ok((auth.local_addr()?, acct.local_addr()?))
}
