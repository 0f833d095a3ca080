//! `bpf-linker`, which joins Rust's bitcode into one object for the kernel.

use std::{env, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};

use crate::{setup::needs::program, workspace};

pub(super) fn is_there() -> bool {
    program("bpf-linker").is_some()
        || cargo_home().is_some_and(|home| home.join("bin/bpf-linker").is_file())
}

pub(super) fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    println!("missing: bpf-linker (the kernel programs); building it takes some minutes, once");
    let start = Instant::now();
    // Its build script finds LLVM through these two; linked dynamically, it is built quickest.
    let path = env::var("PATH").unwrap_or_default();
    workspace::run(
        workspace::cargo()
            .args(["install", "bpf-linker", "--version", VERSION, "--no-default-features"])
            .args(["--features", "llvm-22"])
            .env("LLVM_PREFIX", "/usr/lib/llvm-22")
            .env("PATH", format!("/usr/lib/llvm-22/bin:{path}"))
            .env_remove("CARGO_TARGET_DIR"),
    )
    .context("cannot build bpf-linker")?;
    println!("built bpf-linker in {} s", start.elapsed().as_secs());
    Ok(())
}

fn cargo_home() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Its major is LLVM's only by accident: this one speaks LLVM 22, as Debian's `rustc-web` does.
const VERSION: &str = "0.13.0";
