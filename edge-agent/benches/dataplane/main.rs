//! What the data plane costs and how well it shapes, beside nothing and beside its peers. Needs root.
//!
//! Prints one line of JSON; `cargo xtask bench dataplane` makes tables of it and holds the budgets
//! against it. Each system stands in namespaces of its own, and all are measured in turns.
//! Arguments: `--quick`, `--only=PART` as often as wanted, and `--guest`.

#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::print_stderr, reason = "it takes minutes, and says where it is")]
#![expect(clippy::float_arithmetic, reason = "ratios for people")]

#[path = "../../tests/dataplane/world.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod world;

mod burst;
mod counters;
mod exact;
mod flows;
mod forwarding;
mod goodput;
mod isolation;
mod line;
mod many;
mod pinger;
mod quota;
mod refused;
mod restart;
mod sessions;
mod sheet;
mod stand;
mod system;
mod tcp;
mod wire;

use std::{fs, time::Instant};

use serde_json::{Value, json};
use sheet::Sheet;

/// How much time there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) is_quick: bool,
}

impl Pace {
    pub(crate) const fn rounds(self, full: usize) -> usize {
        if self.is_quick { 1 } else { full }
    }
}

type Part = fn(&mut Sheet, Pace);

const PARTS: &[(&str, Part)] = &[
    ("forwarding", forwarding::few),
    ("crowded", forwarding::many),
    ("tcp", tcp::measure),
    ("sessions", sessions::measure),
    ("many", many::measure),
    ("quota", quota::measure),
    ("goodput", goodput::measure),
    ("isolation", isolation::measure),
    ("exact", exact::measure),
    ("restart", restart::measure),
    ("burst", burst::measure),
    ("refused", refused::measure),
];

/// With `--guest`: beside queues that not every kernel has.
const GUEST_PARTS: &[(&str, Part)] = &[
    ("queues", goodput::measure_queues),
    ("forwarding", |sheet, pace| {
        for count in [1, 1_000] {
            forwarding::forwarding(sheet, count, goodput::QUEUES, pace.rounds(5));
        }
    }),
];

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pace = Pace { is_quick: arguments.iter().any(|it| it == "--quick") };
    let only: Vec<&str> = arguments.iter().filter_map(|it| it.strip_prefix("--only=")).collect();
    let mut sheet = Sheet::default();
    let start = Instant::now();
    let is_guest = arguments.iter().any(|it| it == "--guest");
    for (name, measure) in if is_guest { GUEST_PARTS } else { PARTS } {
        if only.is_empty() || only.iter().any(|part| name.contains(part)) {
            eprintln!("{:>4} s  {name}", start.elapsed().as_secs());
            measure(&mut sheet, pace);
        }
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let result: Value = json!({
        "machine": {"cpus": cpus, "kernel": kernel.trim(), "took_s": start.elapsed().as_secs()},
        "rows": sheet.rows(),
    });
    println!("{result}");
}
