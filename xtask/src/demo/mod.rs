//! `cargo xtask demo`: a provider comes up, three subscribers use it, and the books are compared.
//!
//! It proves what it says, or fails: the figures come from the subscribers' own interfaces, from
//! `iperf3`, from the kernel, from the edge's journal and from the controller's API.

use std::{path::Path, thread, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    demo::report::{Moved, Report, Shown},
    lab::{Offload, interrupt},
    provider::{
        Household, Messages, PEOPLE, Provider,
        controller::{EMAIL, PASSWORD},
        traffic::{self, Direction, Taker, Together, Transfer},
        visit::Visit,
    },
    setup,
};

pub mod report;

/// Tells the story; without `once` it then stays until Ctrl-C.
pub fn run(once: bool, to: Option<&Path>) -> Result<()> {
    setup::run()?;
    say("building");
    let start = Instant::now();
    crate::workspace::binaries()?;
    say(&format!("built in {} s", start.elapsed().as_secs()));
    interrupt::watch()?;
    let (provider, report) = match story() {
        Ok(told) => told,
        Err(error) => {
            write(&Report::failed(&error), to)?;
            return Err(error);
        }
    };
    println!("\n{report}");
    write(&report, to)?;
    if !report.ok {
        bail!("not everything holds: {}", report.faults().join("; "));
    }
    if !once {
        stay(&provider)?;
    }
    say("stopping edge and controller, removing everything");
    provider.close()
}

fn write(report: &Report, to: Option<&Path>) -> Result<()> {
    let Some(file) = to else { return Ok(()) };
    let json = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    say(&format!("report written to {}", file.display()));
    Ok(())
}

/// From nothing to a report.
pub fn story() -> Result<(Provider, Report)> {
    let start = Instant::now();
    say("making the lab: 3 subscribers, a switch, an edge, an internet, each a network namespace");
    say("starting the controller (private Postgres, embedded broker) and the edge");
    let provider = Provider::open(&PEOPLE, Messages::Embedded, Offload::Off)?;
    let seconds = start.elapsed().as_secs();
    say(&format!("the edge has applied what the office wants, {seconds} s after the start"));

    let mut visits = Vec::new();
    for index in 0..provider.households.len() {
        let visit = provider.arrive(index)?;
        let household = &visit.household;
        let method = if household.chap { "CHAP" } else { "PAP" };
        say(&format!(
            "{} logs in by {method} at {} and gets {}",
            household.username, household.seat.mac, household.plan.name
        ));
        visits.push(visit);
    }
    say("all three download at once");
    let down = together(&provider, &visits, Direction::Down)?;
    let seen = provider.seen_live(visits.len())?;
    say(&format!("the office sees {} sessions live, their counters moving", seen.len()));
    say("all three upload at once");
    let up = together(&provider, &visits, Direction::Up)?;
    say("they log out; asking wires, kernel, journal and database");
    let mut subscribers = Vec::new();
    for ((visit, down), up) in visits.iter().zip(&down.goodputs).zip(&up.goodputs) {
        let live = provider.live(visit)?;
        let books = provider.leave(visit)?;
        subscribers.push(Shown::new(visit, &live, *down, *up, books));
    }
    let tries = Moved { down: down.tries.into(), up: up.tries.into() };
    Ok((provider, Report::new(subscribers, tries)))
}

/// One TCP connection each, at the same time.
fn together(provider: &Provider, visits: &[Visit], direction: Direction) -> Result<Together> {
    let takers: Vec<_> = visits.iter().map(|visit| taker(visit, direction)).collect();
    let together = traffic::together(&provider.lab, &takers)?;
    if together.tries > 1 {
        say(&format!("this machine is busy: that was measured {} times", together.tries));
    }
    Ok(together)
}

fn taker(visit: &Visit, direction: Direction) -> Taker<'_> {
    let Household { seat, family, port, plan, .. } = &visit.household;
    let transfer = Transfer { direction, family: *family, port: *port, seconds: SECONDS };
    let plan_kbps = match direction {
        Direction::Down => plan.down_kbps.into(),
        Direction::Up => plan.up_kbps.into(),
    };
    Taker { seat, transfer, plan_kbps }
}

fn stay(provider: &Provider) -> Result<()> {
    let kennet = provider.controller.log_in_cli(&provider.lab)?;
    let at = provider.controller.http;
    println!("API       http://{at}/api  (OpenAPI: http://{at}/api/openapi.json)");
    println!("log in    {EMAIL} / {PASSWORD}");
    println!("kennet    {kennet} sessions list");
    println!("edge      nsenter --net={} bash", provider.network.edge.path().display());
    for household in &provider.households {
        let path = household.seat.namespace.path();
        println!("{:<9} nsenter --net={} bash", household.username, path.display());
    }
    println!("Ctrl-C ends it and removes everything");
    loop {
        thread::park();
    }
}

fn say(line: &str) {
    println!("- {line}");
}

/// Of each transfer, after a second that is not counted.
const SECONDS: u32 = 6;
