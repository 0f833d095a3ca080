//! `cargo xtask bench dataplane`: the kernel programs beside nothing and beside their peers.
//!
//! The measuring is `edge-agent/benches/dataplane/`; this prints it as tables and holds the
//! [`budgets`] against it.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use self::rows::Row;
use super::Options;
use crate::workspace;

mod budgets;
mod guest;
mod rows;

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

#[derive(Debug, Deserialize)]
struct Measured {
    machine: Value,
    rows: Vec<Row>,
}

fn report(said: &str) -> Result<Value> {
    let line =
        said.lines().rfind(|line| line.starts_with('{')).context("the bench says nothing")?;
    let Measured { machine, rows } =
        serde_json::from_str(line).context("the bench measured something else")?;
    ensure!(!rows.is_empty(), "no part of the bench has such a name");
    println!("machine: {machine}");
    rows::print(&rows);
    let budgets = budgets::judge(&rows);
    let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
    Ok(json!({ "machine": machine, "rows": rows, "budgets": budgets }))
}
