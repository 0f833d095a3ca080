//! `cargo xtask bench radius`: the RADIUS server beside FreeRADIUS, the least that a server must do
//! ([`least`]) and a plain UDP echo.
//!
//! Servers on the first core, load on the second ([`load`], [`eap`]). [`cases`] says what is
//! measured; all servers of a case run at once and take turns, round by round, so that what else
//! the machine does falls on all of them. What counts is replies per second of *server CPU time*:
//! it hardly moves with that. [`budgets`] says whether it is enough.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::{Value, json};

use self::{
    cases::{CASES, Case, Generator, Server},
    certificates::Certificates,
    measured::Measured,
};
use super::Options;
use crate::workspace;

mod budgets;
mod cases;
mod certificates;
mod eap;
mod echo;
mod freeradius;
mod least;
mod load;
mod measured;
mod memory;
mod peers;
pub(super) mod postgres;
mod request;

const SECRET: &str = "a secret of the bench";
const SUBSCRIBERS: usize = 10_000;

/// The address of the NAS, and of one that misbehaves.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const CROWD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// How long each server is measured in a round, and how many rounds there are.
struct Pace {
    warm_up: Duration,
    /// Whether every session was accounted for once before it counts: a first time is more work.
    laps: bool,
    measure: Duration,
    rounds: usize,
}

const THOROUGH: Pace = Pace {
    warm_up: Duration::from_millis(500),
    laps: true,
    measure: Duration::from_secs(2),
    rounds: 3,
};
const QUICK: Pace = Pace {
    warm_up: Duration::from_millis(300),
    laps: false,
    measure: Duration::from_millis(700),
    rounds: 1,
};

/// One server in one case.
struct Row {
    case: &'static Case,
    server: Server,
    measured: Measured,
    memory_bytes: Option<u64>,
}

/// The load generator has to be faster than what it measures, so this runs as a release build.
pub fn run(options: &Options) -> Result<Value> {
    if cfg!(debug_assertions) {
        let mut optimised = workspace::cargo();
        optimised.args(["run", "--quiet", "--release", "-p", "xtask", "--", "bench", "radius"]);
        optimised.args(options.arguments());
        workspace::run(&mut optimised)?;
        let file = workspace::target().join("bench/radius.json");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(serde_json::from_str(&text)?);
    }
    let is_wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|it| name.contains(it));
    let names = || CASES.iter().map(|case| case.name).chain(memory::NAMES.iter().copied());
    ensure!(
        names().any(is_wanted),
        "no such case; there are {}",
        names().collect::<Vec<_>>().join(", ")
    );
    let pace = if options.quick { QUICK } else { THOROUGH };
    let binaries = optimised_binaries()?;
    let certificates = Certificates::make()?;
    pin(LOAD_CORE)?;
    println!(
        "{SUBSCRIBERS} subscribers. The edge records accounting on its disk before it answers;\n\
         FreeRADIUS without `detail` or SQL answers it and keeps nothing. With SQL, its CPU time\n\
         and memory are those of Postgres too. An EAP reply is a whole authentication.\n"
    );
    println!(
        "{:<18} {:<22} {:>8} {:>10} {:>10} {:>8} {:>8} {:>6} {:>7}",
        "case", "server", "load", "replies/s", "/s of CPU", "p50 us", "p99 us", "lost", "MiB"
    );
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for case in CASES.iter().filter(|case| is_wanted(case.name)) {
        match measure(case, &pace, &binaries, &certificates) {
            Ok(measured) => {
                measured.iter().for_each(Row::print);
                rows.extend(measured);
            }
            // The others are worth measuring all the same.
            Err(error) => {
                println!("{:<18} FAILED: {error:#}", case.name);
                failed.push(format!("{}: {error:#}", case.name));
            }
        }
    }
    let memory = memory::run(is_wanted, &binaries, &certificates)?;
    let ratios = budgets::ratios(&rows);
    let budgets = budgets::judge(&rows, &memory);
    Ok(json!({
        "subscribers": SUBSCRIBERS,
        "measured": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "memory": memory.json(),
        "ratios": ratios,
        "budgets": budgets,
        "failed": failed,
    }))
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

fn measure(
    case: &'static Case,
    pace: &Pace,
    binaries: &Path,
    certificates: &Certificates,
) -> Result<Vec<Row>> {
    let mut running = Vec::new();
    for &server in case.servers {
        let peer = server.start(case, binaries, certificates).context(server.name())?;
        let mut load = Generator::aim(case, server, &peer, certificates)
            .with_context(|| format!("{}: {}", server.name(), peer.last_words()))?;
        load.warm_up(pace).with_context(|| format!("{}: {}", server.name(), peer.last_words()))?;
        running.push((server, peer, load, Vec::new()));
    }
    for _ in 0..pace.rounds {
        for (server, peer, load, rounds) in &mut running {
            let measured = load.run(pace.measure, &|| peer.cpu_seconds());
            rounds.push(
                measured.with_context(|| format!("{}: {}", server.name(), peer.last_words()))?,
            );
        }
    }
    let mut rows = Vec::new();
    for (server, peer, _, rounds) in running {
        let measured = Measured::median(&rounds).context("there is no round")?;
        rows.push(Row { case, server, measured, memory_bytes: peer.memory_bytes()? });
        peer.stop()?;
    }
    Ok(rows)
}

impl Row {
    fn print(&self) {
        let Measured { per_second, per_cpu_second, p50_us, p99_us, lost } = self.measured;
        let memory = self.memory_bytes.map_or_else(|| "-".to_owned(), mebibytes);
        println!(
            "{:<18} {:<22} {:>8} {per_second:>10.0} {per_cpu_second:>10.0} {p50_us:>8} \
             {p99_us:>8} {lost:>6} {memory:>7}",
            self.case.name,
            self.server.name(),
            self.case.load(),
        );
    }

    fn json(&self) -> Value {
        json!({
            "case": self.case.name,
            "load": self.case.load(),
            "server": self.server.name(),
            "replies_per_second": self.measured.per_second,
            "replies_per_server_cpu_second": self.measured.per_cpu_second,
            "p50_us": self.measured.p50_us,
            "p99_us": self.measured.p99_us,
            "lost": self.measured.lost,
            "memory_bytes": self.memory_bytes,
        })
    }
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "for people to read")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1_048_576.0)
}

/// This thread runs on `core` only.
fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core).context("there is no such core")?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("cannot choose a core: two are needed")
}
