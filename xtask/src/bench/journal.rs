//! `cargo xtask bench journal`: the edge's journal beside a table of records and the bare disk.
//!
//! The measuring is `edge-agent/benches/journal/`; this prints it as tables.

use std::process::Stdio;

use anyhow::Result;
use serde_json::Value;

use super::{
    Options,
    budgets::{self, Bound::AtMost, Budget, Line, budget},
    rows::{Measured, Row},
};
use crate::workspace;

pub fn run(options: &Options) -> Result<Value> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--quiet", "-p", "edge-agent", "--bench", "journal", "--"]);
    // It says where it is.
    cargo.args(options.arguments()).stderr(Stdio::inherit());
    Ok(Measured::read(&workspace::output(&mut cargo)?)?.report(judge))
}

const BUDGETS: &[Budget] =
    &[budget("open after a kill, and what happened last", "", "journal", AtMost(1_000.0))];

fn judge(rows: &[Row]) -> Vec<Line> {
    budgets::judge(rows, BUDGETS, &[])
}
