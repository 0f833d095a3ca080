//! `cargo xtask bench radius`: the RADIUS server beside FreeRADIUS and a plain UDP echo.
//!
//! Server on the first core, load on the second ([`load`]). [`peers`] starts the servers. What
//! counts is replies per second of *server CPU time*: it hardly moves with what else the machine
//! does.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::workspace;

mod echo;
mod load;
mod peers;

use self::{
    load::{Kind, Load, Measured},
    peers::Peer,
};

const SECRET: &str = "a secret of the bench";
const SUBSCRIBERS: usize = 10_000;

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// Per server and case; a machine where others work needs some time to be fair.
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(4);

struct Case {
    kind: Kind,
    /// Source ports, as of so many NASes.
    ports: usize,
    outstanding_per_port: usize,
    /// So many a second whatever the server does, or as many as it answers.
    per_second: Option<u32>,
}

const CASES: &[Case] = &[
    Case { kind: Kind::Pap, ports: 1, outstanding_per_port: 64, per_second: None },
    Case { kind: Kind::Chap, ports: 1, outstanding_per_port: 64, per_second: None },
    Case { kind: Kind::Accounting, ports: 1, outstanding_per_port: 64, per_second: None },
    Case { kind: Kind::Accounting, ports: 16, outstanding_per_port: 64, per_second: None },
    Case { kind: Kind::Pap, ports: 1, outstanding_per_port: 1, per_second: None },
    Case { kind: Kind::Pap, ports: 4, outstanding_per_port: 128, per_second: Some(50_000) },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Edge,
    /// One process without threads: its faster way on one core.
    FreeRadiusSingle,
    /// With its pool of threads, as its service starts it.
    FreeRadius,
    Echo,
}

impl Server {
    const ALL: [Self; 4] = [Self::Edge, Self::FreeRadiusSingle, Self::FreeRadius, Self::Echo];

    const fn name(self) -> &'static str {
        match self {
            Self::Edge => "kennet-edge",
            Self::FreeRadiusSingle => "freeradius -s",
            Self::FreeRadius => "freeradius",
            Self::Echo => "udp echo",
        }
    }

    fn start(self, binaries: &Path) -> Result<Peer> {
        match self {
            Self::Edge => Peer::edge(binaries),
            Self::FreeRadiusSingle => Peer::freeradius(&["-s"]),
            Self::FreeRadius => Peer::freeradius(&[]),
            Self::Echo => Peer::echo(),
        }
    }
}

/// The load generator has to be faster than what it measures, so this runs as a release build.
pub fn run() -> Result<Value> {
    if cfg!(debug_assertions) {
        let mut optimised = workspace::cargo();
        optimised.args(["run", "--quiet", "--release", "-p", "xtask", "--", "bench", "radius"]);
        workspace::run(&mut optimised)?;
        let file = workspace::target().join("bench/radius.json");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(serde_json::from_str(&text)?);
    }
    let binaries = optimised_binaries()?;
    pin(LOAD_CORE)?;
    println!(
        "{SUBSCRIBERS} subscribers; the edge records accounting on its disk before it answers,"
    );
    println!("FreeRADIUS (`files` module) answers accounting and keeps nothing\n");
    println!(
        "{:<11} {:<14} {:>8} {:>10} {:>12} {:>9} {:>9} {:>6}",
        "case", "server", "load", "replies/s", "/s of CPU", "p50 us", "p99 us", "lost"
    );
    let mut rows = Vec::new();
    for case in CASES {
        for server in Server::ALL {
            let measured = measure(case, server, &binaries)
                .with_context(|| format!("{} with {}", case.kind.name(), server.name()))?;
            print(case, server, &measured);
            rows.push((case, server, measured));
        }
    }
    println!();
    let mut ratios = Vec::new();
    // A server that is not busy says nothing about what it could do.
    for case in CASES.iter().filter(|case| case.per_second.is_none()) {
        let of = |server| {
            let row =
                rows.iter().find(|(other, of, _)| std::ptr::eq(*other, case) && *of == server);
            row.map(|(_, _, measured)| measured.per_cpu_second)
        };
        let Some(edge) = of(Server::Edge) else { continue };
        for peer in [Server::FreeRadiusSingle, Server::FreeRadius, Server::Echo] {
            let Some(other) = of(peer) else { continue };
            #[expect(clippy::float_arithmetic, reason = "a ratio of two measurements")]
            let ratio = edge / other;
            let name = format!("{}, {}", case.kind.name(), case.load());
            println!("{name}: {ratio:.2}x {} per server CPU second", peer.name());
            ratios.push(json!({ "case": name, "peer": peer.name(), "ratio": ratio }));
        }
    }
    let rows: Vec<Value> = rows
        .iter()
        .map(|(case, server, measured)| {
            json!({
                "case": case.kind.name(),
                "load": case.load(),
                "server": server.name(),
                "replies_per_second": measured.per_second,
                "replies_per_server_cpu_second": measured.per_cpu_second,
                "p50_us": measured.p50_us,
                "p99_us": measured.p99_us,
                "lost": measured.lost,
            })
        })
        .collect();
    Ok(json!({ "subscribers": SUBSCRIBERS, "measured": rows, "ratios": ratios }))
}

/// `KENNET_BIN_DIR` names a folder that has them already.
fn optimised_binaries() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("KENNET_BIN_DIR") {
        return Ok(PathBuf::from(folder));
    }
    let mut build = workspace::cargo();
    build.args(["build", "--quiet", "--release", "-p", "edge-agent", "--bins"]);
    workspace::run(&mut build)?;
    Ok(workspace::target().join("release"))
}

impl Case {
    /// How many are on their way, or come each second.
    fn load(&self) -> String {
        match self.per_second {
            Some(rate) => format!("{rate}/s"),
            None => (self.ports * self.outstanding_per_port).to_string(),
        }
    }
}

fn measure(case: &Case, server: Server, binaries: &Path) -> Result<Measured> {
    let peer = server.start(binaries)?;
    let to = match case.kind {
        Kind::Pap | Kind::Chap => peer.auth,
        Kind::Accounting => peer.acct,
    };
    let is_echo = server == Server::Echo;
    let mut load = Load::new(to, case.kind, (case.ports, case.outstanding_per_port), is_echo)?;
    load.wait_for_server()?;
    load.at(case.per_second);
    load.run(WARM_UP, || Ok(0.0))?;
    let measured = load.run(MEASURE, || peer.cpu_seconds())?;
    peer.stop()?;
    Ok(measured)
}

fn print(case: &Case, server: Server, measured: &Measured) {
    println!(
        "{:<11} {:<14} {:>8} {:>10.0} {:>12.0} {:>9} {:>9} {:>6}",
        case.kind.name(),
        server.name(),
        case.load(),
        measured.per_second,
        measured.per_cpu_second,
        measured.p50_us,
        measured.p99_us,
        measured.lost
    );
}

/// This thread runs on `core` only.
fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core).context("there is no such core")?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("cannot choose a core: two are needed")
}
