//! The servers, each on one core: ours, FreeRADIUS, and an echo that does nothing else.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::{SocketAddr, UdpSocket},
    path::Path,
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
use nix::unistd::{SysconfVar, gettid, sysconf};
use tempfile::TempDir;

use super::{
    SECRET, SERVER_CORE, SUBSCRIBERS, echo,
    load::{password_of, username},
    pin,
};
use crate::workspace;

pub(super) struct Peer {
    pub(super) auth: SocketAddr,
    pub(super) acct: SocketAddr,
    running: Running,
    /// Of `/proc`.
    stat: String,
}

enum Running {
    Process(Guard, TempDir),
    Thread(Arc<AtomicBool>, JoinHandle<Result<()>>),
}

/// A process that does not outlive this one.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone_already_is_fine = self.0.kill();
        let _gone_already_is_fine = self.0.wait();
    }
}

impl Peer {
    /// `kennet-edge`, without a data plane: its NAS enforces.
    pub(super) fn edge(binaries: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (auth, acct) = free_ports()?;
        let settings = format!(
            "state_dir = \"state\"\n\
             [radius]\nauth = [\"{auth}\"]\nacct = [\"{acct}\"]\n\
             [desired]\nfile = \"desired.toml\"\n"
        );
        let mut desired = format!(
            "[[nas]]\nname = \"bench\"\naddress = \"127.0.0.1\"\nsecret = \"{SECRET}\"\n\
             enforce = \"nas\"\nvendor = \"mikrotik\"\nrequests_per_second = 1000000\n"
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
        Self::process(command, folder, (auth, acct))
    }

    /// FreeRADIUS with what the cases need only.
    pub(super) fn freeradius(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (auth, acct) = free_ports()?;
        let mut users = String::new();
        for at in 0..SUBSCRIBERS {
            writeln!(
                users,
                "{} Cleartext-Password := \"{}\"\n\tSession-Timeout = 3600,\n\
                 \tAcct-Interim-Interval = 60,\n\tMikrotik-Rate-Limit = \"5000k/10000k\"\n",
                username(at),
                password_of(at)
            )?;
        }
        let here = folder.path();
        fs::write(here.join("users"), users)?;
        fs::write(here.join("dictionary"), "")?;
        let settings = FREERADIUS
            .replace("@HERE@", &here.display().to_string())
            .replace("@SECRET@", SECRET)
            .replace("@AUTH@", &auth.port().to_string())
            .replace("@ACCT@", &acct.port().to_string());
        fs::write(here.join("radiusd.conf"), settings)?;
        let mut command = pinned("freeradius");
        command.args(["-f", "-l", "stdout"]).args(arguments).arg("-d").arg(here);
        Self::process(command, folder, (auth, acct))
    }

    fn process(
        mut command: Command,
        folder: TempDir,
        (auth, acct): (SocketAddr, SocketAddr),
    ) -> Result<Self> {
        let log = File::create(folder.path().join("log"))?;
        let line = workspace::shown(&command);
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let stat = format!("/proc/{}/stat", child.id());
        let mut guard = Guard(child);
        thread::sleep(Duration::from_millis(300));
        if let Some(status) = guard.0.try_wait()? {
            let log = fs::read_to_string(folder.path().join("log"))?;
            bail!("`{line}` ended: {status}\n{log}");
        }
        Ok(Self { auth, acct, running: Running::Process(guard, folder), stat })
    }

    /// Sends every datagram back: the least that a server can do.
    pub(super) fn echo() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send_id, id) = mpsc::sync_channel(1);
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let _nobody_waits_when_it_failed = send_id.send(pin(SERVER_CORE).map(|()| gettid()));
            echo::serve(&socket, &stopped).map_err(Into::into)
        });
        let id = id.recv().context("the echo did not start")??;
        Ok(Self {
            auth: address,
            acct: address,
            running: Running::Thread(stop, thread),
            stat: format!("/proc/self/task/{id}/stat"),
        })
    }

    /// User and system time so far.
    #[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a measurement")]
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let stat =
            fs::read_to_string(&self.stat).with_context(|| format!("{} is gone", self.stat))?;
        // The name before it may hold spaces; `utime` and `stime` are 11 and 12 fields behind it.
        let (_, rest) = stat.rsplit_once(") ").context("a stat file without a name")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |at: usize| -> Result<u64> {
            Ok(fields.get(at).context("a stat file that ends early")?.parse()?)
        };
        let per_second = sysconf(SysconfVar::CLK_TCK)?.context("a clock without ticks")?;
        Ok((ticks(11)? + ticks(12)?) as f64 / per_second as f64)
    }

    pub(super) fn stop(self) -> Result<()> {
        match self.running {
            Running::Process(guard, folder) => {
                drop(guard);
                folder.close().context("cannot remove what the server has written")
            }
            Running::Thread(stop, thread) => {
                stop.store(true, Ordering::Relaxed);
                match thread.join() {
                    Ok(ended) => ended.context("the echo failed"),
                    Err(_) => bail!("the echo panicked"),
                }
            }
        }
    }
}

/// On the server's core, and ended when this process ends.
fn pinned(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list"]);
    command.arg(SERVER_CORE.to_string()).arg(program);
    command
}

/// Nobody keeps them for us, but the kernel gives others the next ones first.
fn free_ports() -> Result<(SocketAddr, SocketAddr)> {
    let (auth, acct) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    Ok((auth.local_addr()?, acct.local_addr()?))
}

/// One listener for each port and the modules that the cases need; nothing is logged or stored.
/// The pool of threads is Debian's.
const FREERADIUS: &str = r#"
name = bench
libdir = /usr/lib/freeradius
logdir = @HERE@
raddbdir = @HERE@
run_dir = @HERE@
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
proxy_requests = no
log {
    destination = stdout
    auth = no
}
security {
    max_attributes = 200
    reject_delay = 1
    status_server = yes
    allow_core_dumps = no
}
thread pool {
    start_servers = 5
    max_servers = 32
    min_spare_servers = 3
    max_spare_servers = 10
    max_requests_per_server = 0
    auto_limit_acct = no
}
client bench {
    ipaddr = 127.0.0.1
    secret = "@SECRET@"
    require_message_authenticator = yes
}
modules {
    pap {
    }
    chap {
    }
    files {
        usersfile = @HERE@/users
    }
    always ok {
        rcode = ok
    }
}
server bench {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = @AUTH@
    }
    listen {
        type = acct
        ipaddr = 127.0.0.1
        port = @ACCT@
    }
    authorize {
        chap
        files
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
        Auth-Type CHAP {
            chap
        }
    }
    accounting {
        ok
    }
}
"#;
