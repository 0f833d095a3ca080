//! A network namespace, and how to be in it.

use std::{
    fs::{self, File},
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};

use crate::{lab::Counters, workspace};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn make(name: String) -> Result<Self> {
        workspace::output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip(["link set dev lo up"])?;
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs a program in the namespace. Only its network is another: `ip netns exec` would mount
    /// another `/sys` too and hide the BPF file system.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Lines for `ip`, in the namespace; all or an error.
    pub fn ip<I>(&self, lines: I) -> Result<()>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.batch("ip", lines)
    }

    /// Lines for `bridge`.
    pub fn bridge<I>(&self, lines: I) -> Result<()>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.batch("bridge", lines)
    }

    fn batch<I>(&self, program: &str, lines: I) -> Result<()>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let lines: Vec<String> = lines.into_iter().map(|line| line.as_ref().to_owned()).collect();
        let lines = lines.join("\n") + "\n";
        let mut child = Command::new(program)
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        child.stdin.take().context("its input is piped")?.write_all(lines.as_bytes())?;
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} in {}: {errors}\n{lines}", self.name);
        Ok(())
    }

    /// Kernel settings below `/proc/sys/net`.
    pub fn settings(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.inside(|| {
            for (key, value) in settings {
                let file = Path::new("/proc/sys/net").join(key);
                fs::write(&file, value)
                    .with_context(|| format!("cannot write {value} to {}", file.display()))?;
            }
            Ok(())
        })
    }

    pub fn counters(&self, interface: &str) -> Result<Counters> {
        let table = self.inside(|| {
            fs::read_to_string("/proc/thread-self/net/dev").context("cannot read the counters")
        })?;
        Counters::find(&table, interface)
            .with_context(|| format!("no interface {interface} in {}", self.name))
    }

    /// A socket that listens in the namespace, whoever accepts from it.
    pub fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        self.inside(|| {
            TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
        })
    }

    /// Runs `what` in a thread that is in the namespace: sockets it makes belong there.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file =
                    File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
                setns(file, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("cannot enter {}", path.display()))?;
                what()
            });
            thread.join().map_err(|_| anyhow!("the thread in {} panicked", self.name))?
        })
    }
}
