//! How much the office does: journals of edges booked, questions answered, money applied.
//!
//! Each part runs the controller's binary with a private cluster, as safe as it is by default, and
//! comes in by the ways that edges, operators and providers come in by. Prints one line of JSON;
//! `cargo xtask bench ingest` and `api` make tables of it and hold the budgets against it.
//! Arguments: the parts, `--quick`, and `--only=CASE` as often as wanted.

#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::print_stderr, reason = "it takes minutes, and says where it is")]
#![expect(clippy::float_arithmetic, reason = "ratios for people")]

mod api;
mod console;
mod copy;
mod fill;
mod fleet;
mod ingest;
mod live;
mod sheet;
mod stand;
mod story;

use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::json;
use sheet::Sheet;

/// How much time there is, and what is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) is_quick: bool,
    only: Vec<String>,
}

impl Pace {
    pub(crate) const fn pick<T: Copy>(&self, quick: T, full: T) -> T {
        if self.is_quick { quick } else { full }
    }

    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| case.contains(it))
    }
}

fn main() -> anyhow::Result<()> {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().filter_map(|it| it.strip_prefix("--only=")).map(str::to_owned);
    let pace = Pace { is_quick: arguments.iter().any(|it| it == "--quick"), only: only.collect() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let mut sheet = Sheet::default();
    let start = Instant::now();
    for part in arguments.iter().filter(|it| !it.starts_with("--")) {
        eprintln!("{:>4} s  {part}", start.elapsed().as_secs());
        match part.as_str() {
            "api" => runtime.block_on(api::measure(&mut sheet, &pace))?,
            "ingest" => runtime.block_on(ingest::measure(&mut sheet, &pace))?,
            other => anyhow::bail!("no such part: {other}"),
        }
    }
    ensure!(!sheet.rows().is_empty(), "no part or case has such a name");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = json!({ "cpus": cpus, "took_s": start.elapsed().as_secs() });
    println!("{}", json!({ "machine": machine, "rows": sheet.rows() }));
    Ok(())
}

/// Says where it is.
pub(crate) fn say(what: &str) {
    eprintln!("        {what}");
}
