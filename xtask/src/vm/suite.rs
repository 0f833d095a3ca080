//! The tests that run in guests: which program, on which kernel, with which clock.
//!
//! To add one: one line in [`CASES`].

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    setup,
    vm::{
        boot::{self, Accel, Guest},
        fetch,
        kernel::Series,
    },
    workspace,
};

/// Some tests of one test program, in a guest of their own.
struct Case {
    name: &'static str,
    series: Series,
    accel: Accel<'static>,
    /// What `cargo test --test` calls the program; names are unique in the workspace.
    program: &'static str,
    /// For the program: filters and the like.
    arguments: &'static [&'static str],
    /// In seconds of the host's time.
    limit: u64,
}

const CASES: &[Case] = &[
    Case {
        name: "6.12 data plane",
        series: Series::V6_12,
        accel: Accel::Icount(boot::ICOUNT),
        program: "dataplane",
        arguments: &[],
        limit: 900,
    },
    Case {
        name: "6.12 Wi-Fi",
        series: Series::V6_12,
        accel: Accel::Icount("shift=1,sleep=on"),
        program: "wifi",
        arguments: &["--ignored", "--nocapture", "--skip", "portal"],
        limit: 600,
    },
];

/// Runs those whose name contains one of `names`, or all when there are none.
pub fn run(names: &[String]) -> Result<()> {
    setup::vm()?;
    let is_asked = |case: &&Case| {
        names.is_empty() || names.iter().any(|name| case.name.contains(name.as_str()))
    };
    let cases: Vec<&Case> = CASES.iter().filter(is_asked).collect();
    ensure!(
        !cases.is_empty(),
        "there are only: {}",
        CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ")
    );
    for case in &cases {
        fetch::any(case.series)?;
    }
    let programs = programs(&cases)?;
    let binaries = workspace::binaries()?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for case in cases {
        println!("\n--- {}", case.name);
        let program = programs.get(case.program).context("it was just built")?;
        let start = Instant::now();
        let mut words = vec![
            "env".to_owned(),
            format!("KENNET_BIN_DIR={}", binaries.display()),
            program.display().to_string(),
        ];
        words.extend(case.arguments.iter().map(|word| (*word).to_owned()));
        let (is_well, counts) = case.run(&words)?;
        let seconds = start.elapsed().as_secs();
        let word = if is_well { "ok    " } else { "FAILED" };
        lines.push(format!("{word}  {seconds:>5} s  {}: {counts}", case.name));
        if !is_well {
            failed.push(case.name);
        }
    }
    println!();
    for line in lines {
        println!("{line}");
    }
    ensure!(failed.is_empty(), "failed in guests: {}", failed.join(", "));
    Ok(())
}

impl Case {
    /// Whether all passed, and how many that were.
    fn run(&self, command: &[String]) -> Result<(bool, String)> {
        let kernel = fetch::any(self.series)?;
        let guest = Guest {
            kernel: &kernel,
            accel: self.accel,
            cpu: boot::CPU,
            mebibytes: boot::MEBIBYTES,
            limit: Duration::from_secs(self.limit),
        };
        let mut out = Heard { last: Vec::new(), counts: None };
        let status = match guest.run(command, &mut out) {
            Ok(status) => status,
            Err(error) => return Ok((false, format!("{error:#}"))),
        };
        Ok(match out.counts {
            // A filter that fits nothing is a mistake in the table.
            Some(counts) if counts.starts_with("0 passed") => (false, counts),
            Some(counts) => (status == 0, counts),
            None => (false, format!("ended with {status} and no result")),
        })
    }
}

/// Prints what a test program says and remembers its result.
struct Heard {
    last: Vec<u8>,
    counts: Option<String>,
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.last.extend(bytes);
        while let Some(end) = self.last.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.last.drain(..=end).collect();
            self.counts = counts(&String::from_utf8_lossy(&line)).or_else(|| self.counts.take());
        }
        io::stdout().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// Of `test result: ok. 14 passed; 0 failed; 1 ignored; 0 measured; …`.
fn counts(line: &str) -> Option<String> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let kept: Vec<&str> = counts.split("; ").take(3).collect();
    Some(kept.join(", "))
}

/// Builds the test programs of the cases; where each is.
fn programs(cases: &[&Case]) -> Result<BTreeMap<String, PathBuf>> {
    // Of all packages, as everywhere: another choice would build all again.
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    for case in cases {
        cargo.args(["--test", case.program]);
    }
    let line = workspace::shown(&cargo);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let programs: BTreeMap<String, PathBuf> = messages.lines().filter_map(program).collect();
    for case in cases {
        if !programs.contains_key(case.program) {
            bail!("cargo built no test program `{}`", case.program);
        }
    }
    Ok(programs)
}

/// Name and file of a test program, if that is what cargo's message is about.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message.pointer("/target/kind/0")?.as_str()? == "test";
    let name = message.pointer("/target/name")?.as_str()?;
    let file = message.get("executable")?.as_str()?;
    is_test.then(|| (name.to_owned(), PathBuf::from(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_programs_are_found_in_what_others_print() {
        let line = "test result: ok. 14 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out\n";
        assert_eq!(counts(line).as_deref(), Some("14 passed, 0 failed, 1 ignored"));
        assert_eq!(counts("test a::b ... ok\n"), None);
        let message = r#"{"target":{"kind":["test"],"name":"wifi"},"executable":"/t/wifi-1"}"#;
        assert_eq!(program(message), Some(("wifi".to_owned(), PathBuf::from("/t/wifi-1"))));
        let message = r#"{"target":{"kind":["bin"],"name":"xtask"},"executable":"/t/xtask"}"#;
        assert_eq!(program(message), None);
    }
}
