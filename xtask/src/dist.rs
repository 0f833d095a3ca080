//! `cargo xtask dist`: what is shipped.

use anyhow::Result;

use crate::{setup, workspace};

pub fn run() -> Result<()> {
    setup::run()?;
    workspace::run(workspace::cargo().args([
        "build",
        "--release",
        "-p",
        "controller",
        "-p",
        "edge-agent",
        "--bins",
    ]))?;
    println!("release binaries are in {}", workspace::target().join("release").display());
    Ok(())
}
