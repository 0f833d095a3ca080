//! `cargo xtask bench`: measures side by side with the peer where there is one.
//!
//! Each bench prints its own table and returns what it measured; that is written to
//! `target/bench/NAME.json`. To add one: a file beside this one with `run`, and a line in [`What`].

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{setup, workspace};

pub mod dataplane;
pub mod radius;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    Radius,
    Dataplane,
}

impl What {
    const ALL: &[Self] = &[Self::Radius, Self::Dataplane];

    const fn name(self) -> &'static str {
        match self {
            Self::Radius => "radius",
            Self::Dataplane => "dataplane",
        }
    }

    fn run(self) -> Result<Value> {
        match self {
            Self::Radius => radius::run(),
            Self::Dataplane => dataplane::run(),
        }
    }
}

pub fn run(what: &[What]) -> Result<()> {
    setup::benches()?;
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for bench in if what.is_empty() { What::ALL } else { what } {
        let name = bench.name();
        println!("=== {name}");
        let measured = bench.run().with_context(|| format!("bench {name}"))?;
        let file = folder.join(name).with_extension("json");
        fs::write(&file, serde_json::to_string_pretty(&measured)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("written to {}", file.display());
    }
    Ok(())
}
