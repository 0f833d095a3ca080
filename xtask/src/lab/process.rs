//! A process in the lab, with its log.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::workspace;

#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    pub(super) fn start(name: &str, log: PathBuf, command: &mut Command) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let line = workspace::shown(command);
        let child = unblocked(command)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C is for us; we end our processes in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of what it printed, for messages.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(20);
        format!("{}:\n  {}", self.log.display(), lines.get(from..).unwrap_or(&[]).join("\n  "))
    }

    /// Waits until `ready` says so; fails early when the process ends.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            if ready()? {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before {what}; {}", self.name, self.last_words());
            }
            if start.elapsed() > limit {
                let seconds = limit.as_secs();
                bail!("{}: not {what} within {seconds} s; {}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for its own end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                let seconds = limit.as_secs();
                bail!("{} did not end within {seconds} s; {}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, as systemd would, and waits.
    pub fn stop(mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }
}

/// The same, with the signals as they usually are: a child inherits which ones are blocked, and
/// we block some ([`crate::lab::interrupt`]).
pub(super) fn unblocked(command: &Command) -> Command {
    let mut unblocked = Command::new("env");
    unblocked.arg("--default-signal=HUP,INT,TERM");
    unblocked.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => unblocked.env(key, value),
            None => unblocked.env_remove(key),
        };
    }
    unblocked
}

impl Drop for Process {
    /// So that no process of a test that failed halfway stays behind as a zombie.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone_already_is_fine = self.child.kill();
            let _gone_already_is_fine = self.child.wait();
        }
    }
}
