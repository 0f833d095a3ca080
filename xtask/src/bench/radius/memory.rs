//! What the edge occupies of memory: with all its subscribers on-line, and with a crowd that
//! begins to log in and goes away.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    SUBSCRIBERS, certificates::Certificates, load::Load, mebibytes, peers::Peer, request::Kind,
};
use crate::workspace;

pub(super) const NAMES: &[&str] = &["memory-sessions"];

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) sessions: Option<Sessions>,
}

#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) count: usize,
    pub(super) memory_bytes: u64,
}

pub(super) fn run(
    is_wanted: impl Fn(&str) -> bool,
    binaries: &Path,
    certificates: &Certificates,
) -> Result<Memory> {
    let mut memory = Memory::default();
    if is_wanted("memory-sessions") {
        let sessions = sessions(binaries, certificates).context("memory-sessions")?;
        println!(
            "\nmemory of the edge with {SUBSCRIBERS} subscribers and {} sessions: {} MiB",
            sessions.count,
            mebibytes(sessions.memory_bytes)
        );
        memory.sessions = Some(sessions);
    }
    Ok(memory)
}

/// Everybody logs in and is accounted for.
fn sessions(binaries: &Path, certificates: &Certificates) -> Result<Sessions> {
    let edge = Peer::edge(binaries, certificates)?;
    for (to, kind) in [(edge.auth, Kind::Pap), (edge.acct, Kind::Accounting)] {
        let mut load = Load::new(to, kind, (4, 64), false)?;
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

impl Memory {
    pub(super) fn json(&self) -> Value {
        let sessions = self.sessions.as_ref();
        json!({
            "sessions": sessions.map(|it| json!({ "count": it.count, "bytes": it.memory_bytes })),
        })
    }
}
