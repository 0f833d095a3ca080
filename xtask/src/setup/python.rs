//! Tools of tests that come from the Python package index, in a folder of their own.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::workspace;

/// Where `schemathesis` is, once it is there: it asks an API what its document promises.
pub fn schemathesis() -> PathBuf {
    workspace::target().join("schemathesis/bin/schemathesis")
}

pub(super) fn ensure() -> Result<()> {
    if schemathesis().is_file() {
        return Ok(());
    }
    println!("missing: schemathesis (a client that reads the API's document and tries it)");
    let folder = workspace::target().join("schemathesis");
    workspace::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("cannot make a folder for Python's packages")?;
    let pip = folder.join("bin/pip");
    workspace::run(Command::new(pip).args(["install", "--quiet", PACKAGE]))
        .with_context(|| format!("cannot install {PACKAGE}"))
}

/// Pinned: what it tries, and so what the test finds, changes with its version.
const PACKAGE: &str = "schemathesis==4.32.5";
