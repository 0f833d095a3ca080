//! The same bench in a guest, whose kernel has `fq`, `fq_codel` and CAKE.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::report;
use crate::{bench::Options, workspace};

pub(super) fn run(options: &Options) -> Result<Value> {
    let program = program()?;
    // A guest's clock counts instructions: rates and times are true whatever the host does.
    let mut guest = Command::new(env::current_exe().context("who we are")?);
    guest.args(["vm", "run", "--kernel", "6.12", "--time-limit", LIMIT_SECONDS, "--"]);
    guest.arg(program).arg("--guest").args(options.arguments());
    guest.stderr(Stdio::inherit());
    report(&workspace::output(&mut guest)?)
}

/// The bench, built and not run.
fn program() -> Result<String> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--no-run", "--quiet", "-p", "edge-agent", "--bench", "dataplane"]);
    cargo.args(["--message-format", "json"]);
    let said = workspace::output(&mut cargo)?;
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|name| name == "dataplane"))
        .find_map(|message| Some(message.get("executable")?.as_str()?.to_owned()))
        .context("cargo builds no bench")
}

/// Of the host's time.
const LIMIT_SECONDS: &str = "1500";
