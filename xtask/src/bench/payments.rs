//! `cargo xtask bench payments`: 10,000 payments through a provider that misbehaves, to a real
//! controller on a real Postgres, which is killed in between. Both books are the same at the end,
//! or it fails.
//!
//! The measuring is the test `rehearsal` of the controller, with release binaries.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Options;
use crate::workspace;

pub fn run(options: &Options) -> Result<Value> {
    let count = if options.quick { "1000" } else { "10000" };
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--quiet", "--release", "-p", "controller", "--test", "api"]);
    cargo.args(["--", "--nocapture", "rehearsal::"]);
    // It says what is wrong, if something is.
    cargo.env("KENNET_PAYMENTS", count).stderr(Stdio::inherit());
    let said = workspace::output(&mut cargo)?;
    let line =
        said.lines().rfind(|line| line.starts_with('{')).context("the rehearsal says nothing")?;
    let measured: Value = serde_json::from_str(line).context("it measured something else")?;
    println!("{measured:#}");
    Ok(measured)
}
