//! How fast the edge's journal makes records durable, beside a table of records and the bare disk.
//!
//! Writers wait for what they wrote, as a NAS does for its Accounting-Response; one thread takes
//! whatever has arrived as one group, as the session thread does, and makes it durable at once.
//! Only what it writes with differs. Prints one line of JSON; `cargo xtask bench journal` makes
//! tables of it and holds the budgets against it. Arguments: `--quick`, and `--only=CASE` as often
//! as wanted.

#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::print_stderr, reason = "it takes minutes, and says where it is")]
#![expect(clippy::float_arithmetic, reason = "ratios for people")]

mod group;
mod recovery;
#[path = "../dataplane/sheet.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod sheet;
mod stores;

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use sheet::{Sheet, count, percentile, sorted};
use stores::{Bare, Ours, Store, Table};

const DURABLE: (&str, &str) = ("records durable", "/s");
const BESIDE: (&str, &str) = ("records durable, beside the bare disk", "x");
const GROUP: (&str, &str) = ("records a group", "");
const WAIT: (&str, &str) = ("a writer waits, p50", "ms");
const WAIT_LATE: (&str, &str) = ("a writer waits, p99", "ms");
const PER_CPU: (&str, &str) = ("records per second of the thread's CPU", "/s");
const WRITTEN: (&str, &str) = ("written to the disk for a record", "B");

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|it| it == "--quick");
    let only: Vec<&str> = arguments.iter().filter_map(|it| it.strip_prefix("--only=")).collect();
    let wants = |case: &str| only.is_empty() || only.iter().any(|it| case.contains(it));
    let mut sheet = Sheet::default();
    let start = Instant::now();
    for writers in WRITERS {
        let case = format!("{writers} writers");
        if wants(&case) {
            eprintln!("{:>4} s  {case}", start.elapsed().as_secs());
            for _ in 0..if is_quick { 1 } else { 3 } {
                side_by_side(&mut sheet, &case, writers, is_quick);
            }
        }
    }
    if wants(recovery::CASE) {
        eprintln!("{:>4} s  {}", start.elapsed().as_secs(), recovery::CASE);
        recovery::measure(&mut sheet, is_quick);
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let machine = json!({
        "cpus": cpus, "kernel": kernel.trim(), "took_s": start.elapsed().as_secs(),
    });
    println!("{}", json!({ "machine": machine, "rows": sheet.rows() }));
}

/// One after the other, in one round.
fn side_by_side(sheet: &mut Sheet, case: &str, writers: usize, is_quick: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let time = if is_quick { Duration::from_millis(500) } else { Duration::from_secs(3) };
    let mut bare = Bare::create(&path("bare"));
    let least = one(sheet, case, &mut bare, writers, time);
    let mut table = Table::create(&path("table.db"));
    one(sheet, case, &mut table, writers, time);
    let mut ours = Ours::create(&path("journal.db"));
    let rate = one(sheet, case, &mut ours, writers, time);
    sheet.add(BESIDE, case, ours.name(), rate / least);
}

fn one(
    sheet: &mut Sheet,
    case: &str,
    store: &mut dyn Store,
    writers: usize,
    time: Duration,
) -> f64 {
    let name = store.name();
    let measured = group::run(store, writers, time);
    let waits = sorted(measured.waits);
    let records = count(waits.len());
    let rate = records / measured.took.as_secs_f64();
    sheet.add(DURABLE, case, name, rate);
    sheet.add(GROUP, case, name, records / count(measured.groups));
    sheet.add(WAIT, case, name, percentile(&waits, 50));
    sheet.add(WAIT_LATE, case, name, percentile(&waits, 99));
    sheet.add(PER_CPU, case, name, records / measured.cpu.as_secs_f64());
    sheet.add(WRITTEN, case, name, sheet::float(measured.written) / records);
    rate
}

const WRITERS: [usize; 3] = [1, 16, 256];
