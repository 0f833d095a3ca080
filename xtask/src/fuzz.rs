//! Runs every fuzz target of `radius/fuzz` for a moment, from the inputs that are committed.
//!
//! It builds them as `cargo fuzz build -s none` does, with the coverage counters that stable Rust
//! has, so that neither `cargo-fuzz` nor a nightly Rust is needed.

use std::{
    env::consts,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;

/// So that all of them together, with their build, stay below two minutes.
pub const SECONDS_EACH: u32 = 10;

/// A little more than the longest packet.
const LEN_MAX: u32 = 4200;

/// What the targets may take: they make nothing that is larger than a packet is worth.
const MEGABYTES_MAX: u32 = 256;

/// What libFuzzer needs to see where an input goes.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// A crash is an error; its input is kept, and printed.
pub fn run(seconds_each: u32) -> Result<()> {
    let folder = workspace::root().join("radius/fuzz");
    let target_dir = workspace::target().join("fuzz");
    // A target that is named, as flags for it are not meant for build scripts.
    let triple = format!("{}-unknown-linux-gnu", consts::ARCH);
    workspace::run(
        workspace::cargo()
            .args(["build", "--release", "--bins", "--locked", "--target", &triple])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}")),
    )?;
    let targets = targets(&folder.join("fuzz_targets"))?;
    let mut crashed = Vec::new();
    for name in &targets {
        println!("\n--- {name}");
        let program = target_dir.join(&triple).join("release").join(name);
        if let Err(error) = run_one(&program, seconds_each, &folder, &target_dir) {
            crashed.push(format!("{name}: {error:#}"));
        }
    }
    ensure!(crashed.is_empty(), "{}", crashed.join("; "));
    Ok(())
}

/// The files there are the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    ensure!(!names.is_empty(), "{} has no fuzz target", folder.display());
    names.sort();
    Ok(names)
}

fn run_one(program: &Path, seconds: u32, folder: &Path, target_dir: &Path) -> Result<()> {
    let name = program.file_name().unwrap_or_default();
    // What is found goes there, and not between the inputs that are committed.
    let found = made(target_dir.join("corpus").join(name))?;
    let crashes = made(target_dir.join("artifacts").join(name))?;
    let ran = workspace::run(
        Command::new(program)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={LEN_MAX}"))
            .arg(format!("-rss_limit_mb={MEGABYTES_MAX}"))
            .arg("-timeout=5")
            .arg("-verbosity=0")
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .args([&found, &folder.join("corpus").join(name)]),
    );
    if ran.is_ok() {
        return Ok(());
    }
    for entry in fs::read_dir(&crashes)? {
        let path = entry?.path();
        println!("kept {}: {}", path.display(), fs::read(&path)?.escape_ascii());
    }
    bail!("an input made it fail; it is in {}", crashes.display())
}

/// An empty folder.
fn made(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
