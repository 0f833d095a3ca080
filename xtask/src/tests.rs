//! `cargo xtask test`: every test there is, on a machine that may have nothing.

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{
    fuzz,
    setup::{self, program},
    vm, workspace,
};

/// With `guests`, those that run in guests with other kernels too.
pub fn run(guests: bool) -> Result<()> {
    setup::tests()?;
    if guests {
        setup::vm()?;
    }
    if program("cargo-clippy").is_none() || program("cargo-fmt").is_none() {
        workspace::run(Command::new("rustup").args(["component", "add", "clippy", "rustfmt"]))?;
    }
    if !nix::unistd::geteuid().is_root() {
        println!("not root: tests that need network namespaces or the kernel will fail");
    }
    let mut report = Report::default();
    for (name, arguments) in STEPS {
        println!("\n=== {name}: cargo {}", arguments.join(" "));
        // Tests that start our programs take them from here instead of asking cargo again.
        let binaries = workspace::target().join("debug");
        report.run(name, || {
            let mut cargo = workspace::cargo();
            cargo.args(*arguments).env("KENNET_BIN_DIR", binaries);
            workspace::run(cargo.env("KENNET_SCHEMATHESIS", setup::schemathesis()))
        });
    }
    println!("\n=== fuzz: the RADIUS codec");
    report.run("fuzz", || fuzz::run(fuzz::SECONDS_EACH));
    if guests {
        println!("\n=== guests: stock Debian kernels");
        report.run("guests", || vm::suite::run(&[]));
    }
    println!("\n=== summary");
    for line in report.summary {
        println!("{line}");
    }
    if !report.failed.is_empty() {
        bail!("failed: {}", report.failed.join(", "));
    }
    Ok(())
}

#[derive(Default)]
struct Report {
    summary: Vec<String>,
    failed: Vec<&'static str>,
}

impl Report {
    /// A step that fails does not keep the next ones from running.
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = step();
        let seconds = start.elapsed().as_secs();
        match result {
            Ok(()) => self.summary.push(format!("ok      {seconds:>5} s  {name}")),
            Err(error) => {
                self.summary.push(format!("FAILED  {seconds:>5} s  {name}: {error:#}"));
                self.failed.push(name);
            }
        }
    }
}

/// Of the same packages each: another choice turns other features on, and all is built again.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("build", &["build", "--workspace", "--bins"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace", "--no-fail-fast"]),
    // The crate that others may use: its public items are its manual.
    ("docs", &["rustdoc", "-p", "radius", "--lib", "--all-features", "--", "-D", "warnings"]),
];
