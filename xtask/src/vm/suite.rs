//! The tests that run in guests: which program, on which kernel, with which clock.
//!
//! To add one: one line in [`CASES`].

use std::{
    collections::BTreeMap,
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
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

const CASES: [Case; 4] = [
    Case::data_plane("6.1 data plane", Series::V6_1),
    Case::data_plane("6.12 data plane", Series::V6_12),
    Case::wifi("6.1 Wi-Fi", Series::V6_1),
    Case::wifi("6.12 Wi-Fi", Series::V6_12),
];

/// Idle guests wait: when they wait for the host, the clock would leap over the time limits of
/// others.
const WAITING: Accel<'static> = Accel::Icount("shift=0,sleep=on");

impl Case {
    const fn data_plane(name: &'static str, series: Series) -> Self {
        Self { name, series, accel: WAITING, program: "dataplane", arguments: &[], limit: 3_600 }
    }

    const fn wifi(name: &'static str, series: Series) -> Self {
        let arguments = &["--ignored", "--nocapture"];
        Self { name, series, accel: WAITING, program: "wifi", arguments, limit: 900 }
    }
}

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
    // A guest has one processor, so as many run at once as there are.
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(cases.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut ended = Vec::new();
        while let Some(case) = next() {
            println!("{}: begins", case.name);
            let program = programs.get(case.program).context("it was just built")?;
            ended.push(case.run(program, &binaries));
        }
        Ok(ended)
    };
    let ended: Result<Vec<Vec<Ended>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().map_err(|_| anyhow!("a thread that ran a guest panicked"))?
        });
        joined.collect()
    });
    let ended: Vec<Ended> = ended?.into_iter().flatten().collect();
    println!();
    for Ended { name, is_well, counts, took } in &ended {
        let outcome = if *is_well { "ok    " } else { "FAILED" };
        println!("{outcome}  {:>5} s  {name}: {counts}", took.as_secs());
    }
    let failed = ended.iter().filter(|it| !it.is_well).map(|it| it.name);
    let failed: Vec<&str> = failed.collect();
    ensure!(failed.is_empty(), "failed in guests: {}", failed.join(", "));
    Ok(())
}

/// What came of a case.
struct Ended {
    name: &'static str,
    is_well: bool,
    counts: String,
    took: Duration,
}

impl Case {
    fn run(&self, program: &Path, binaries: &Path) -> Ended {
        let start = Instant::now();
        let mut words = vec![
            "env".to_owned(),
            format!("KENNET_BIN_DIR={}", binaries.display()),
            program.display().to_string(),
        ];
        words.extend(self.arguments.iter().map(|word| (*word).to_owned()));
        let (is_well, counts) = match self.counts(&words) {
            Ok((status, Some(counts))) => {
                // A filter that fits nothing is a mistake in the table.
                (status == 0 && !counts.starts_with("0 passed"), counts)
            }
            Ok((status, None)) => (false, format!("ended with {status} and no result")),
            Err(error) => (false, format!("{error:#}")),
        };
        Ended { name: self.name, is_well, counts, took: start.elapsed() }
    }

    /// The program's status, and what it counted.
    fn counts(&self, command: &[String]) -> Result<(u8, Option<String>)> {
        let kernel = fetch::any(self.series)?;
        let guest = Guest {
            kernel: &kernel,
            accel: self.accel,
            cpu: boot::CPU,
            mebibytes: boot::MEBIBYTES,
            limit: Duration::from_secs(self.limit),
        };
        let mut out = Heard { name: self.name, line: Vec::new(), counts: None };
        let status = guest.run(command, &mut out)?;
        Ok((status, out.counts))
    }
}

/// Prints what a test program says, says which one, and remembers its result.
struct Heard {
    name: &'static str,
    line: Vec<u8>,
    counts: Option<String>,
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend(bytes);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.counts = counts(&line).or_else(|| self.counts.take());
            write!(io::stdout(), "{}: {line}", self.name)?;
        }
        Ok(bytes.len())
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
