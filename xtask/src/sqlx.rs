//! `cargo xtask sqlx`: checks every query of the controller against a private Postgres and writes
//! what it learned to `controller/.sqlx`, so that builds need no database.

use std::process::Command;

use anyhow::Result;

use crate::workspace;

pub fn run() -> Result<()> {
    workspace::run(&mut Command::new(workspace::root().join("controller/prepare-queries.sh")))
}
