//! The edge as a process in its namespace, and what it says about itself.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    lab::{Counters, Lab, Namespace, Process},
    provider::{
        controller::{number, text},
        http,
    },
    workspace,
};

#[derive(Debug)]
pub struct Edge {
    pub process: Process,
    pub config: PathBuf,
    name: String,
    namespace: Namespace,
    program: PathBuf,
}

/// Ports on the edge's own loopback that the cable carries to the office.
pub const MQTT_PORT: u16 = 1883;
pub const API_PORT: u16 = 8080;

/// Who tells an edge what to do.
#[derive(Clone, Copy, Debug)]
pub enum Orders<'a> {
    /// A controller, which knows it by this id and secret.
    Controller { edge: &'a str, secret: &'a str },
    /// The text of a `desired.toml`.
    File(&'a str),
}

/// What one edge has in its `edge.toml` and others have not.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub orders: Orders<'a>,
    /// Keys of `[radius]`.
    pub radius: &'a str,
    /// Interfaces towards subscribers.
    pub lan: &'a [&'a str],
    /// Whole sections.
    pub more: &'a str,
}

impl<'a> Settings<'a> {
    /// With a NAS on its own loopback.
    const fn usual(orders: Orders<'a>) -> Self {
        Self { orders, radius: RADIUS, lan: &["lan0"], more: "" }
    }

    /// Reports are frequent, so that a story takes seconds.
    fn text(&self, pins: &Path) -> String {
        let Self { radius, lan, more, .. } = self;
        let pins = pins.display();
        format!(
            r#"state_dir = "state"

[radius]
{radius}
[dataplane]
lan = {lan:?}
wan = ["wan0"]
pins = "{pins}"

[metrics]
listen = "127.0.0.1:{METRICS_PORT}"

[sessions]
report_seconds = 1
live_seconds = 1

{more}
"#
        )
    }
}

/// A session, as the edge sees it in its kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub session: String,
    pub username: String,
    /// What the NAS calls it; empty as long as it has said nothing of it.
    pub acct_session_id: String,
    pub down_kbps: u64,
    pub up_kbps: u64,
    pub passed: Counters,
    pub dropped: Counters,
}

impl Edge {
    /// Writes `edge.toml` and starts the edge. It is told by `orders` who may log in.
    pub fn start(
        lab: &Lab,
        binaries: &Path,
        namespace: &Namespace,
        orders: Orders<'_>,
    ) -> Result<Self> {
        Self::start_as(lab, binaries, namespace, Settings::usual(orders))
    }

    /// As [`Edge::start`], with these keys in `[radius]`.
    pub fn start_with(
        lab: &Lab,
        binaries: &Path,
        namespace: &Namespace,
        orders: Orders<'_>,
        radius: &str,
    ) -> Result<Self> {
        let settings = Settings { radius, ..Settings::usual(orders) };
        Self::start_as(lab, binaries, namespace, settings)
    }

    /// As [`Edge::start`], with settings of its own.
    pub fn start_as(
        lab: &Lab,
        binaries: &Path,
        namespace: &Namespace,
        settings: Settings<'_>,
    ) -> Result<Self> {
        Self::start_named(lab, binaries, namespace, settings, "edge")
    }

    /// As [`Edge::start`], another one in the same lab.
    pub fn start_beside(
        lab: &Lab,
        binaries: &Path,
        namespace: &Namespace,
        orders: Orders<'_>,
        name: &str,
    ) -> Result<Self> {
        Self::start_named(lab, binaries, namespace, Settings::usual(orders), name)
    }

    fn start_named(
        lab: &Lab,
        binaries: &Path,
        namespace: &Namespace,
        settings: Settings<'_>,
        name: &str,
    ) -> Result<Self> {
        let config = write(lab, settings, name)?;
        let program = binaries.join("kennet-edge");
        let process = run(lab, namespace, &program, &config, name)?;
        let (name, namespace) = (name.to_owned(), namespace.clone());
        Ok(Self { process, config, name, namespace, program })
    }

    /// After it was killed.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process = run(lab, &self.namespace, &self.program, &self.config, &self.name)?;
        Ok(())
    }

    /// Another `desired.toml`, from now on.
    pub fn order(&self, desired: &str) -> Result<()> {
        write_file(&self.config.with_file_name(DESIRED), desired, 0o600)?;
        self.process.signal(Signal::SIGHUP)
    }

    pub fn command(&self, lab: &Lab, arguments: &[&str]) -> Command {
        let mut command = lab.command(Some(&self.namespace), &self.program.display().to_string());
        command.args(arguments).arg("--config").arg(&self.config);
        command
    }

    /// Prometheus's text.
    pub fn metrics(&self) -> Result<String> {
        let reply = self.namespace.inside(|| {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT));
            http::ask(at, "GET", "/metrics", &[], None)
        })?;
        Ok(reply.body)
    }

    /// The value of one line of the metrics, which may have labels.
    pub fn metric(&self, line: &str) -> Result<u64> {
        let text = self.metrics()?;
        let value = text.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        Ok(value.unwrap_or(0))
    }

    pub fn sessions(&self, lab: &Lab) -> Result<Vec<Live>> {
        let said = workspace::output(&mut self.command(lab, &["sessions", "--json"]))?;
        let sessions: Vec<Value> =
            serde_json::from_str(&said).with_context(|| format!("not a JSON array: {said}"))?;
        sessions.iter().map(Live::read).collect()
    }

    /// The decoded journal, one record each.
    pub fn journal(&self, lab: &Lab) -> Result<Vec<Value>> {
        let said = workspace::output(&mut self.command(lab, &["journal", "--json"]))?;
        said.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
            .collect()
    }

    /// The records of a kind, `session_started`.
    pub fn records(&self, lab: &Lab, kind: &str) -> Result<Vec<Value>> {
        let is_one = |record: &Value| record.get("kind").is_some_and(|it| it == kind);
        Ok(self.journal(lab)?.into_iter().filter(is_one).collect())
    }

    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        self.process.wait_until(what, limit, ready)
    }
}

impl Live {
    fn read(value: &Value) -> Result<Self> {
        Ok(Self {
            session: text(value, "/session")?,
            username: text(value, "/username")?,
            acct_session_id: text(value, "/acct_session_id")?,
            down_kbps: number(value, "/down_kbps")?,
            up_kbps: number(value, "/up_kbps")?,
            passed: counters(value, "/passed")?,
            dropped: counters(value, "/dropped")?,
        })
    }
}

/// Counters under the names that edge and controller both use.
pub fn counters(value: &Value, pointer: &str) -> Result<Counters> {
    let at = |name: &str| number(value, &format!("{pointer}/{name}"));
    Ok(Counters {
        down_bytes: at("down_bytes")?,
        up_bytes: at("up_bytes")?,
        down_packets: at("down_packets")?,
        up_packets: at("up_packets")?,
    })
}

fn run(
    lab: &Lab,
    namespace: &Namespace,
    program: &Path,
    config: &Path,
    name: &str,
) -> Result<Process> {
    let mut command = namespace.command(&program.display().to_string());
    command.arg("run").arg("--config").arg(config);
    lab.start(name, &mut command)
}

/// Makes the edge's folder with its settings and what they name; returns the settings' file.
pub fn write_settings(lab: &Lab, orders: Orders<'_>) -> Result<PathBuf> {
    write(lab, Settings::usual(orders), "edge")
}

fn write(lab: &Lab, settings: Settings<'_>, name: &str) -> Result<PathBuf> {
    let folder = lab.folder(name)?;
    let pins = lab.bpffs()?.join(format!("kennet-{name}"));
    let source = match settings.orders {
        Orders::Controller { edge, secret } => {
            write_file(&folder.join("secret"), secret, 0o600)?;
            format!(
                "[uplink]\nurl = \"mqtt://127.0.0.1:{MQTT_PORT}\"\n\
                 api = \"http://127.0.0.1:{API_PORT}\"\nedge = \"{edge}\"\n\
                 secret_file = \"secret\"\n"
            )
        }
        Orders::File(text) => {
            write_file(&folder.join(DESIRED), text, 0o600)?;
            format!("[desired]\nfile = \"{DESIRED}\"\n")
        }
    };
    let config = folder.join("edge.toml");
    write_file(&config, &(settings.text(&pins) + &source), 0o644)?;
    Ok(config)
}

fn write_file(file: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = fs::File::options();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// `[radius]` for a NAS on the edge's own loopback.
const RADIUS: &str = "auth = [\"127.0.0.1:1812\"]\nacct = [\"127.0.0.1:1813\"]\n";

const DESIRED: &str = "desired.toml";

const METRICS_PORT: u16 = 9091;
