//! `cargo xtask bench dataplane`: the kernel programs beside nothing and beside plain HTB.
//!
//! The measuring is `edge-agent/benches/dataplane.rs`; this prints it as tables.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::workspace;

pub fn run() -> Result<Value> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--quiet", "-p", "edge-agent", "--bench", "dataplane"]);
    let said = workspace::output(&mut cargo)?;
    let line =
        said.lines().rfind(|line| line.starts_with('{')).context("the bench says nothing")?;
    let value: Value = serde_json::from_str(line).context("the bench does not speak JSON")?;
    let measured = Measured::deserialize(&value).context("the bench measured something else")?;
    measured.print();
    Ok(value)
}

#[derive(Debug, Deserialize)]
struct Measured {
    forwarding: Vec<Forwarding>,
    tcp: Vec<Tcp>,
    sessions: Vec<Applied>,
}

#[derive(Debug, Deserialize)]
struct Forwarding {
    sessions: u32,
    systems: Vec<Forwarded>,
}

#[derive(Debug, Deserialize)]
struct Forwarded {
    system: String,
    ns_per_packet: f64,
    ratio: f64,
}

#[derive(Debug, Deserialize)]
struct Tcp {
    system: String,
    gbit_per_s: f64,
    ratio: f64,
}

#[derive(Debug, Deserialize)]
struct Applied {
    sessions: u32,
    first_ms: f64,
    changed_ms: f64,
    replaced_ms: f64,
    one_ms: Percentiles,
    read_ms: f64,
    removed_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Measured {
    fn print(&self) {
        for forwarding in &self.forwarding {
            println!("64-byte packets forwarded, {} sessions in turn", forwarding.sessions);
            for Forwarded { system, ns_per_packet, ratio } in &forwarding.systems {
                println!("  {system:<28} {ns_per_packet:>8.0} ns {ratio:>6.2}x");
            }
        }
        println!("one TCP flow, no limit");
        for Tcp { system, gbit_per_s, ratio } in &self.tcp {
            println!("  {system:<28} {gbit_per_s:>5.1} Gbit/s {ratio:>6.2}x");
        }
        for it in &self.sessions {
            println!("{} sessions", it.sessions);
            println!("  first time, queues made      {:>10.1} ms", it.first_ms);
            println!("  all changed at once          {:>10.1} ms", it.changed_ms);
            println!("  all replaced by others       {:>10.1} ms", it.replaced_ms);
            println!("  one changed, median          {:>10.3} ms", it.one_ms.p50);
            println!("  one changed, 99 of 100       {:>10.3} ms", it.one_ms.p99);
            println!("  all counters read            {:>10.3} ms", it.read_ms);
            println!("  all removed                  {:>10.1} ms", it.removed_ms);
        }
    }
}
