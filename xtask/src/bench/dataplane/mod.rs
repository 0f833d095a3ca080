//! `cargo xtask bench dataplane`: the kernel programs beside nothing and beside their peers.
//!
//! The measuring is `edge-agent/benches/dataplane/`; this prints it as tables and holds the
//! [`budgets`] against it.

use std::process::Stdio;

use anyhow::Result;
use serde_json::Value;

use super::{Options, rows::Measured};
use crate::workspace;

mod budgets;
mod guest;

pub fn run(options: &Options) -> Result<Value> {
    if options.vm {
        return guest::run(options);
    }
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--quiet", "-p", "edge-agent", "--bench", "dataplane", "--"]);
    // It says where it is.
    cargo.args(options.arguments()).stderr(Stdio::inherit());
    let said = workspace::output(&mut cargo)?;
    report(&said)
}

fn report(said: &str) -> Result<Value> {
    Ok(Measured::read(said)?.report(budgets::judge))
}
