//! A private Postgres, for FreeRADIUS's SQL module and for other benches: on a Unix socket, on the
//! server's core, as safe as Postgres is by default.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::User;
use tempfile::TempDir;

use super::{
    SUBSCRIBERS,
    peers::{Guard, cpu_seconds, cpu_seconds_of_ended, memory_bytes, pinned},
    request::{password_of, username},
};
use crate::workspace;

pub(in crate::bench) struct Postgres {
    server: Guard,
    programs: PathBuf,
    folder: TempDir,
}

/// Postgres does not run as root; files of its own belong to somebody else then.
const UNPRIVILEGED: &str = "nobody";

/// The tables, as Debian's FreeRADIUS brings them.
const SCHEMA: &str = "/etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql";

impl Postgres {
    /// With FreeRADIUS's tables, and the subscribers in them.
    pub(super) fn start() -> Result<Self> {
        let postgres = Self::bare()?;
        let schema = fs::read_to_string(SCHEMA).with_context(|| format!("cannot read {SCHEMA}"))?;
        postgres.run(&schema)?;
        postgres.run(&subscribers()?)?;
        Ok(postgres)
    }

    /// With nothing in it.
    pub(in crate::bench) fn bare() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        if let Some(user) = unprivileged()? {
            for path in [folder.path(), &data] {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                    .with_context(|| format!("cannot give {} away", path.display()))?;
            }
        }
        let mut initdb = lowered(&programs.join("initdb"))?;
        initdb.args(["--username", "radius", "--auth", "trust", "--pgdata"]).arg(&data);
        workspace::output(&mut initdb)?;
        let mut server = lowered(&programs.join("postgres"))?;
        server
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!("unix_socket_directories={}", folder.path().display()));
        let log = fs::File::create(folder.path().join("log"))?;
        let server = server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let postgres = Self { server: Guard(server), programs, folder };
        postgres.wait_until_up()?;
        Ok(postgres)
    }

    /// For libpq.
    pub(super) fn address(&self) -> String {
        format!("host={} user=radius dbname=postgres", self.folder.path().display())
    }

    /// For programs that take a URL.
    pub(in crate::bench) fn url(&self) -> String {
        format!("postgres://radius@localhost/postgres?host={}", self.folder.path().display())
    }

    /// What a query says, one row a line.
    pub(in crate::bench) fn ask(&self, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        Ok(workspace::output(psql.args(["--command", sql]).arg(self.address()))?.trim().to_owned())
    }

    fn wait_until_up(&self) -> Result<()> {
        let start = Instant::now();
        while let Err(error) = self.run("SELECT 1") {
            if start.elapsed() > Duration::from_secs(20) {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(error.context(log));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(in crate::bench) fn run(&self, sql: &str) -> Result<()> {
        let mut child = Command::new(self.programs.join("psql"))
            .args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", &self.address()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start psql")?;
        // What psql does not read, it complains about itself.
        let _ = child.stdin.take().context("its input is piped")?.write_all(sql.as_bytes());
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {errors}");
        Ok(())
    }

    /// Of all its processes, those that have ended among them.
    #[expect(clippy::float_arithmetic, reason = "a measurement")]
    pub(in crate::bench) fn cpu_seconds(&self) -> Result<f64> {
        let mut sum = cpu_seconds_of_ended(&format!("/proc/{}/stat", self.server.0.id()))?;
        for pid in self.processes()? {
            // One that has just ended has used next to nothing: those at work stay.
            sum += cpu_seconds(&format!("/proc/{pid}/stat")).unwrap_or(0.0);
        }
        Ok(sum)
    }

    pub(super) fn memory_bytes(&self) -> Result<u64> {
        Ok(self.processes()?.into_iter().filter_map(|pid| memory_bytes(pid).ok()).sum())
    }

    /// The first one and its children.
    fn processes(&self) -> Result<Vec<u32>> {
        let first = self.server.0.id();
        let file = format!("/proc/{first}/task/{first}/children");
        let children = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let mut all = vec![first];
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
        Ok(all)
    }

    pub(in crate::bench) fn stop(self) -> Result<()> {
        let Self { mut server, folder, .. } = self;
        // Its children end when it is told to; a kill would leave them to find out.
        let pid = nix::unistd::Pid::from_raw(server.0.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
        server.0.wait()?;
        folder.close().context("cannot remove the database")
    }
}

/// Each with a password, and the reply that the other servers give.
fn subscribers() -> Result<String> {
    let mut sql = String::from("COPY radcheck (username, attribute, op, value) FROM STDIN;\n");
    for at in 0..SUBSCRIBERS {
        writeln!(sql, "{}\tCleartext-Password\t:=\t{}", username(at), password_of(at))?;
    }
    sql.push_str("\\.\nCOPY radreply (username, attribute, op, value) FROM STDIN;\n");
    for at in 0..SUBSCRIBERS {
        for (attribute, value) in super::freeradius::REPLY {
            writeln!(sql, "{}\t{attribute}\t=\t{value}", username(at))?;
        }
    }
    sql.push_str("\\.\nANALYZE;\n");
    Ok(sql)
}

fn unprivileged() -> Result<Option<User>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name(UNPRIVILEGED)?;
    Ok(Some(user.with_context(|| format!("there is no user {UNPRIVILEGED}"))?))
}

/// On the server's core, and not as root.
fn lowered(program: &Path) -> Result<Command> {
    let Some(user) = unprivileged()? else { return Ok(pinned(&program.display().to_string())) };
    let mut command = pinned("setpriv");
    command.args(["--clear-groups", "--reuid", &user.uid.to_string()]);
    // Who changes its user has to say again that it does not outlive us.
    command.args(["--regid", &user.gid.to_string(), "--pdeathsig", "KILL"]).arg(program);
    Ok(command)
}

/// Where Debian keeps the newest version's programs; elsewhere they are in PATH.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let numbered = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_string_lossy().parse().ok()?;
        Some((number, version.path().join("bin")))
    });
    if let Some((_, newest)) = numbered.max() {
        return Ok(newest);
    }
    let initdb = crate::setup::program("initdb").context("PostgreSQL is not installed")?;
    Ok(initdb.parent().context("a program is in a folder")?.to_owned())
}
