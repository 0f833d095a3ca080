//! `cargo xtask demo` as a person runs it: what it reports, and that nothing of it stays.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use xtask::{
    lab::{self, sweep},
    workspace,
};

#[test]
fn three_subscribers_on_three_plans_get_what_they_pay_for_to_the_byte() -> Result<()> {
    let _alone = lab::alone()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let mut demo = demo(&["--once", "--report", &file.display().to_string()])?;
    let name = lab_of(&demo);
    let status = demo.wait()?;
    let text = fs::read_to_string(&file).context("a report is written in every case")?;
    println!("{text}");
    let report: Value = serde_json::from_str(&text)?;
    ensure!(status.success(), "the demo ended with {status}");
    assert_eq!(report["ok"], true);
    let subscribers = report["subscribers"].as_array().context("there are subscribers")?;
    assert_eq!(subscribers.len(), 3);
    for it in subscribers {
        assert_eq!(it["radius"], "Access-Accept");
        for direction in ["down", "up"] {
            let rate = format!("{direction}_kbps");
            let (plan, goodput) = (&it["plan"][&rate], &it["goodput"][&rate]);
            let (plan, goodput) = (plan.as_u64().unwrap(), goodput.as_u64().unwrap());
            assert!(goodput.abs_diff(plan) * 20 <= plan, "{it}");
            let bytes = |place: &str| it["bytes"][place][direction].as_u64().unwrap();
            assert!(bytes("kernel") > 0);
            assert_eq!(bytes("kernel"), bytes("journal"), "{it}");
            assert_eq!(bytes("kernel"), bytes("database"), "{it}");
            let refused = if direction == "up" { bytes("dropped") } else { 0 };
            assert_eq!(bytes("client"), bytes("kernel") + refused, "{it}");
        }
    }
    assert_eq!(sweep::leftovers(&name)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn ctrl_c_in_the_middle_removes_everything() -> Result<()> {
    let _alone = lab::alone()?;
    let mut demo = demo(&[])?;
    let name = lab_of(&demo);
    // As late as the traffic, so that there is everything to remove.
    let start = Instant::now();
    let mut seen = Vec::new();
    while !seen.iter().any(|line: &String| line.contains("-s3")) || !is_serving(&name) {
        seen = sweep::leftovers(&name)?;
        ensure!(demo.try_wait()?.is_none(), "the demo ended early");
        ensure!(start.elapsed() < Duration::from_mins(2), "the demo does not come up: {seen:?}");
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_secs(2));
    println!("interrupting {:#?}", sweep::leftovers(&name)?);
    kill(Pid::from_raw(i32::try_from(demo.id())?), Signal::SIGINT)?;
    let status = demo.wait()?;
    assert_eq!(status.code(), Some(130), "{status}");
    assert_eq!(sweep::leftovers(&name)?, Vec::<String>::new());
    Ok(())
}

/// The edge has made its state.
fn is_serving(name: &str) -> bool {
    std::env::temp_dir().join(name).join("edge/state/journal.db").exists()
}

fn demo(arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env("KENNET_BIN_DIR", workspace::binaries()?);
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command.spawn().context("cannot start the demo")
}

fn lab_of(demo: &Child) -> String {
    format!("kn-{}-0", demo.id())
}
