//! `cargo xtask test`: every test there is, on a machine that may have nothing.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{setup, workspace};

pub fn run() -> Result<()> {
    setup::run()?;
    let mut failed = Vec::new();
    let mut summary = Vec::new();
    for (name, arguments) in STEPS {
        println!("\n=== {name}: cargo {}", arguments.join(" "));
        let start = Instant::now();
        let result = workspace::run(workspace::cargo().args(*arguments));
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(()) => summary.push(format!("ok      {seconds:>5} s  {name}")),
            Err(error) => {
                summary.push(format!("FAILED  {seconds:>5} s  {name}: {error:#}"));
                failed.push(*name);
            }
        }
    }
    println!("\n=== summary");
    for line in summary {
        println!("{line}");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("build", &["build", "--workspace", "--bins"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace", "--no-fail-fast"]),
];
