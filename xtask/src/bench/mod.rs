//! `cargo xtask bench`: measures side by side with the peer where there is one.
//!
//! Each bench prints its own table and returns what it measured; that is written to
//! `target/bench/NAME.json`. To add one: a file beside this one with `run`, and a line in [`What`].

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{setup, workspace};

pub mod billing;
mod budgets;
pub mod dataplane;
pub mod journal;
pub mod office;
pub mod payments;
pub mod radius;
mod rows;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    Radius,
    Dataplane,
    Billing,
    Payments,
    Ingest,
    Api,
    Journal,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// One short round, to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// Only cases, or parts, with this in their name. May be repeated.
    #[arg(long, value_name = "CASE")]
    pub only: Vec<String>,
    /// Of `dataplane`: in a guest whose kernel has `fq`, `fq_codel` and CAKE, beside those.
    #[arg(long)]
    pub vm: bool,
    /// Of `billing`: how many there are, instead of 10,000.
    #[arg(long)]
    pub subscribers: Option<u32>,
    /// Of `billing`: for how long, instead of a year.
    #[arg(long)]
    pub months: Option<u32>,
}

impl Options {
    /// As they are typed.
    fn arguments(&self) -> Vec<String> {
        let quick = self.quick.then(|| "--quick".to_owned());
        let only = self.only.iter().map(|case| format!("--only={case}"));
        quick.into_iter().chain(only).collect()
    }
}

impl What {
    const ALL: &[Self] = &[
        Self::Radius,
        Self::Dataplane,
        Self::Journal,
        Self::Ingest,
        Self::Api,
        Self::Billing,
        Self::Payments,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Radius => "radius",
            Self::Dataplane => "dataplane",
            Self::Billing => "billing",
            Self::Payments => "payments",
            Self::Ingest => "ingest",
            Self::Api => "api",
            Self::Journal => "journal",
        }
    }

    fn run(self, options: &Options) -> Result<Value> {
        match self {
            Self::Radius => radius::run(options),
            Self::Dataplane => dataplane::run(options),
            Self::Billing => billing::run(options),
            Self::Payments => payments::run(options),
            Self::Ingest | Self::Api => office::run(self.name(), options),
            Self::Journal => journal::run(options),
        }
    }
}

pub fn run(what: &[What], options: &Options) -> Result<()> {
    setup::benches()?;
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for bench in if what.is_empty() { What::ALL } else { what } {
        let name = bench.name();
        println!("=== {name}");
        let measured = bench.run(options).with_context(|| format!("bench {name}"))?;
        let file = folder.join(name).with_extension("json");
        fs::write(&file, serde_json::to_string_pretty(&measured)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("written to {}", file.display());
        let failed = measured.get("failed").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(failed == 0, "{name}: {failed} cases could not be measured");
    }
    Ok(())
}
