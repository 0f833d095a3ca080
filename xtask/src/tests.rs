//! `cargo xtask test`: every test there is, on a machine that may have nothing.

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{
    fuzz,
    setup::{self, program},
    workspace,
};

pub fn run() -> Result<()> {
    setup::tests()?;
    if program("cargo-clippy").is_none() || program("cargo-fmt").is_none() {
        workspace::run(Command::new("rustup").args(["component", "add", "clippy", "rustfmt"]))?;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("not root: tests that need network namespaces or the kernel will fail");
    }
    let mut failed = Vec::new();
    let mut summary = Vec::new();
    for (name, arguments) in STEPS {
        println!("\n=== {name}: cargo {}", arguments.join(" "));
        let start = Instant::now();
        // Tests that start our programs take them from here instead of asking cargo again.
        let binaries = workspace::target().join("debug");
        let result =
            workspace::run(workspace::cargo().args(*arguments).env("KENNET_BIN_DIR", binaries));
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(()) => summary.push(format!("ok      {seconds:>5} s  {name}")),
            Err(error) => {
                summary.push(format!("FAILED  {seconds:>5} s  {name}: {error:#}"));
                failed.push(*name);
            }
        }
    }
    println!("\n=== fuzz: the RADIUS codec");
    let start = Instant::now();
    let fuzzed = fuzz::run(fuzz::SECONDS_EACH);
    let seconds = start.elapsed().as_secs();
    match fuzzed {
        Ok(()) => summary.push(format!("ok      {seconds:>5} s  fuzz")),
        Err(error) => {
            summary.push(format!("FAILED  {seconds:>5} s  fuzz: {error:#}"));
            failed.push("fuzz");
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

/// Of the same packages each: another choice turns other features on, and all is built again.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("build", &["build", "--workspace", "--bins"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace", "--no-fail-fast"]),
];
