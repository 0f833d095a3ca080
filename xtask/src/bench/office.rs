//! `cargo xtask bench ingest`, and `api`: the controller under the load of an office.
//!
//! The measuring is `controller/benches/office/`; this prints it as tables and holds the budgets
//! against it.

use std::process::Stdio;

use anyhow::Result;
use serde_json::Value;

use super::{
    Options,
    budgets::{
        self,
        Bound::{AtLeast, AtMost},
        Budget, Line, budget,
    },
    rows::{Measured, Row},
};
use crate::workspace;

pub fn run(part: &str, options: &Options) -> Result<Value> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--quiet", "-p", "controller", "--bench", "office", "--", part]);
    // It says where it is.
    cargo.args(options.arguments()).stderr(Stdio::inherit());
    Ok(Measured::read(&workspace::output(&mut cargo)?)?.report(judge))
}

const BUDGETS: &[Budget] = &[
    budget("records committed", "1 edges, batches of 1000", "controller", AtLeast(40_000.0)),
    budget("records committed", "10 edges, batches of 1000", "controller", AtLeast(40_000.0)),
    budget("records committed", "100 edges, batches of 1000", "controller", AtLeast(40_000.0)),
    budget("records committed", "100 edges, batches of 10", "controller", AtLeast(40_000.0)),
    budget("answer after it was due, p99", "", "controller", AtMost(20.0)),
    budget("questions without an answer", "", "controller", AtMost(0.0)),
    budget("done", "~vouchers redeemed", "controller", AtLeast(1_000.0)),
    budget("done", "~POST /api/payments", "controller", AtLeast(1_000.0)),
    budget("done", "~callbacks", "controller", AtLeast(1_000.0)),
    budget("ready after", "~the first", "controller", AtMost(5_000.0)),
    budget("ready after", "~the second", "controller", AtMost(2_000.0)),
    budget("scans of the whole table", "", "controller", AtMost(0.0)),
    budget("rows read for a row shown", "", "controller", AtMost(2.0)),
];

fn judge(rows: &[Row]) -> Vec<Line> {
    budgets::judge(rows, BUDGETS, EVERY_ROUND)
}

const EVERY_ROUND: &[&str] = &["questions without an answer", "scans of the whole table"];
