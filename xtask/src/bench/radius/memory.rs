//! What the edge occupies of memory: with all its subscribers on-line, and with a crowd behind
//! one NAS that begins to log in and goes away.

use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::{
    CROWD, HERE, SUBSCRIBERS,
    certificates::Certificates,
    eap::{EapLoad, Method, Plan, Version},
    load::Load,
    measured::Measured,
    mebibytes,
    peers::Peer,
    request::Kind,
};
use crate::workspace;

const SESSIONS: &str = "memory-sessions";
const HALF_OPEN: &str = "memory-half-open";

pub(super) const NAMES: &[&str] = &[SESSIONS, HALF_OPEN];

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) sessions: Option<Sessions>,
    pub(super) half_open: Option<HalfOpen>,
}

#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) count: usize,
    pub(super) memory_bytes: u64,
}

/// Conversations that nobody goes on with, and what another NAS has of it.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) count: u64,
    pub(super) memory_bytes: (u64, u64),
    /// Of PAP from another NAS: before, while they are opened, while they stand open.
    pub(super) others: [Measured; 3],
}

pub(super) fn run(
    is_wanted: impl Fn(&str) -> bool,
    binaries: &Path,
    certificates: &Certificates,
) -> Result<Memory> {
    let mut memory = Memory::default();
    if is_wanted(SESSIONS) {
        let sessions = sessions(binaries, certificates).context(SESSIONS)?;
        println!(
            "\n{SESSIONS}: {} MiB with {SUBSCRIBERS} subscribers and {} sessions",
            mebibytes(sessions.memory_bytes),
            sessions.count,
        );
        memory.sessions = Some(sessions);
    }
    if is_wanted(HALF_OPEN) {
        let half_open = half_open(binaries, certificates).context(HALF_OPEN)?;
        let (before, after) = half_open.memory_bytes;
        println!(
            "\n{HALF_OPEN}: {} conversations of one NAS, {} MiB before, {} MiB with them;\n\
             PAP of another NAS at {OTHERS_PER_SECOND}/s:",
            half_open.count,
            mebibytes(before),
            mebibytes(after),
        );
        for (when, measured) in WHEN.iter().zip(&half_open.others) {
            let Measured { p50_us, p99_us, lost, .. } = measured;
            println!("  {when:<22} p50 {p50_us} us, p99 {p99_us} us, {lost} lost");
        }
        memory.half_open = Some(half_open);
    }
    Ok(memory)
}

/// Everybody logs in and is accounted for.
fn sessions(binaries: &Path, certificates: &Certificates) -> Result<Sessions> {
    let edge = Peer::edge(binaries, certificates)?;
    for (to, kind) in [(edge.auth, Kind::Pap), (edge.acct, Kind::Accounting)] {
        let mut load = Load::new(HERE, to, kind, (4, 64), false)?;
        load.wait_for_server()?;
        while load.laps() == 0 {
            load.run(Duration::from_millis(200), &|| Ok(0.0))?;
        }
    }
    let mut command = Command::new(binaries.join("kennet-edge"));
    command.args(["sessions", "--json", "--config"]).arg(edge.folder()?.join("edge.toml"));
    let listed: Vec<Value> = serde_json::from_str(&workspace::output(&mut command)?)?;
    let (count, memory_bytes) = (listed.len(), edge.memory_bytes()?.context("it is a process")?);
    ensure!(count == SUBSCRIBERS, "there are {count} sessions; {}", edge.last_words());
    edge.stop()?;
    Ok(Sessions { count, memory_bytes })
}

/// How many a crowd begins.
const CONVERSATIONS: u64 = 10_000;

const OTHERS_PER_SECOND: u32 = 2_000;

const WHEN: [&str; 3] = ["before", "while they are opened", "while they stand open"];

/// How long the crowd may take: it is the server that is slow, or nobody.
const PATIENCE: Duration = Duration::from_mins(1);

fn half_open(binaries: &Path, certificates: &Certificates) -> Result<HalfOpen> {
    let edge = Peer::edge(binaries, certificates)?;
    let mut others = Load::new(HERE, edge.auth, Kind::Pap, (1, 64), false)?;
    others.wait_for_server()?;
    others.at(Some(OTHERS_PER_SECOND));
    let time = Duration::from_secs(2);
    let before = others.run(time, &|| Ok(0.0))?;
    let memory_before = edge.memory_bytes()?.context("it is a process")?;

    let plan = Plan {
        method: Method::Peap,
        version: Version::Tls12,
        resumes: false,
        abandons: true,
        peers: 32,
    };
    let mut crowd = EapLoad::new(CROWD, edge.auth, plan, certificates)?;
    let (count, during) = thread::scope(|scope| -> Result<_> {
        let opening = scope.spawn(move || -> Result<u64> {
            let (start, mut count) = (Instant::now(), 0);
            while count < CONVERSATIONS {
                crowd.run(Duration::from_millis(500), &|| Ok(0.0))?;
                count += crowd.finished();
                ensure!(start.elapsed() < PATIENCE, "{count} conversations after {PATIENCE:?}");
            }
            Ok(count)
        });
        let during = others.run(time, &|| Ok(0.0))?;
        let count = opening.join().map_err(|_| anyhow!("the crowd panicked"))??;
        Ok((count, during))
    })?;
    let memory_after = edge.memory_bytes()?.context("it is a process")?;
    let after = others.run(time, &|| Ok(0.0))?;
    edge.stop()?;
    Ok(HalfOpen {
        count,
        memory_bytes: (memory_before, memory_after),
        others: [before, during, after],
    })
}

impl Memory {
    pub(super) fn json(&self) -> Value {
        let sessions = self.sessions.as_ref();
        let half_open = self.half_open.as_ref();
        json!({
            "sessions": sessions.map(|it| json!({ "count": it.count, "bytes": it.memory_bytes })),
            "half_open": half_open.map(|it| {
                let others: Vec<Value> = WHEN.iter().zip(&it.others).map(|(when, measured)| {
                    json!({
                        "when": when,
                        "p50_us": measured.p50_us,
                        "p99_us": measured.p99_us,
                        "lost": measured.lost,
                    })
                }).collect();
                let (before, after) = it.memory_bytes;
                json!({
                    "count": it.count,
                    "bytes_before": before,
                    "bytes_after": after,
                    "another_nas": others,
                })
            }),
        })
    }
}
