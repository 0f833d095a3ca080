//! Whatever dies or is cut off, and is there again: no byte is lost, none is counted twice.

#![expect(clippy::print_stdout, reason = "what was measured is worth reading")]

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use xtask::{
    lab::{self, Cut, Offload},
    provider::{
        HOME, Messages, Person, Provider,
        traffic::{Direction, Family, Goodput, Transfer},
        visit::{Books, Visit},
    },
};

const PEOPLE: [Person; 2] = [
    Person {
        username: "amina",
        password: "jasmine-1",
        chap: false,
        family: Family::V4,
        plan: HOME,
    },
    Person {
        username: "baraka",
        password: "acacia-22",
        chap: true,
        family: Family::V6,
        plan: HOME,
    },
];

#[test]
fn kill_9_of_the_edge_in_a_transfer_loses_no_byte_and_no_second_of_shaping() -> Result<()> {
    let _alone = lab::alone()?;
    let mut provider = Provider::open(&PEOPLE, Messages::Embedded, Offload::Off)?;
    let visit = provider.arrive(0)?;
    let seat = visit.household.seat.clone();
    let (transferred, alone) = thread::scope(|scope| -> Result<_> {
        let lab = &provider.lab;
        let transfer = transfer(&visit, Direction::Down, 12);
        let seat = &seat;
        let transferring = scope.spawn(move || transfer.run(lab, seat));
        thread::sleep(Duration::from_secs(4));
        provider.edge.process.kill()?;
        let (start, before) = (Instant::now(), seat.counters()?);
        thread::sleep(Duration::from_secs(4));
        let moved = seat.counters()? - before;
        let micros = u64::try_from(start.elapsed().as_micros())?;
        let alone = moved.down_bytes * 8_000 / micros;
        provider.edge.restart(lab)?;
        Ok((transferring.join().map_err(|_| anyhow!("the transfer panicked"))??, alone))
    })?;
    let plan = u64::from(HOME.down_kbps);
    println!("without an edge: {alone} kbit/s of IP on the wire, the plan is {plan}");
    println!("over the kill and the restart: {transferred:?}");
    ensure!(near(alone, plan, 6), "shaping goes on without the edge");
    ensure!(near(transferred.kbps, plan, 6), "and nobody notices the restart");
    check("edge killed", provider.leave(&visit)?)?;

    // The restarted edge is a whole one.
    let visit = provider.arrive(1)?;
    moves(&provider, &visit, Direction::Up)?;
    check("after the restart", provider.leave(&visit)?)?;
    provider.close()
}

#[test]
fn kill_9_of_the_controller() -> Result<()> {
    outage(
        "controller killed",
        Messages::Embedded,
        |provider| provider.controller.process.kill(),
        |provider| provider.controller.restart(&provider.lab),
    )
}

#[test]
fn kill_9_of_postgres() -> Result<()> {
    outage(
        "Postgres killed",
        Messages::Embedded,
        |provider| {
            let pid = i32::try_from(provider.controller.postgres()?)?;
            kill(Pid::from_raw(pid), Signal::SIGKILL).context("cannot kill Postgres")
        },
        // The controller starts it again by itself.
        |provider| provider.controller.wait_until_ready(),
    )
}

#[test]
fn kill_9_of_a_broker_of_ones_own() -> Result<()> {
    outage(
        "mosquitto killed",
        Messages::Mosquitto,
        |provider| provider.broker.as_mut().context("there is a broker")?.process.kill(),
        |provider| provider.broker.as_mut().context("there is a broker")?.restart(&provider.lab),
    )
}

#[test]
fn a_cut_cable_that_tells_nobody() -> Result<()> {
    cut(Cut::Silent)
}

#[test]
fn a_cut_cable_that_resets_connections() -> Result<()> {
    cut(Cut::Reset)
}

fn cut(cut: Cut) -> Result<()> {
    outage(
        &format!("cable cut: {cut:?}"),
        Messages::Embedded,
        |provider| {
            provider.cable.cut(cut);
            Ok(())
        },
        |provider| {
            provider.cable.mend();
            Ok(())
        },
    )
}

/// A session that is there before, during and after; one that comes and goes during.
fn outage(
    what: &str,
    messages: Messages,
    begin: impl FnOnce(&mut Provider) -> Result<()>,
    end: impl FnOnce(&mut Provider) -> Result<()>,
) -> Result<()> {
    let _alone = lab::alone()?;
    let mut provider = Provider::open(&PEOPLE, messages, Offload::Off)?;
    let long = provider.arrive(0)?;
    moves(&provider, &long, Direction::Down)?;
    begin(&mut provider)?;
    let short = provider.arrive(1)?;
    moves(&provider, &short, Direction::Up)?;
    moves(&provider, &long, Direction::Up)?;
    let short = provider.log_out(&short)?;
    let start = Instant::now();
    end(&mut provider)?;
    moves(&provider, &long, Direction::Down)?;
    check(&format!("{what}: came and went in the outage"), provider.settle(&short)?)?;
    println!("{what}: in the books {} ms after its end", start.elapsed().as_millis());
    check(&format!("{what}: was there all the time"), provider.leave(&long)?)?;
    provider.close()
}

fn moves(provider: &Provider, visit: &Visit, direction: Direction) -> Result<Goodput> {
    transfer(visit, direction, 1).run(&provider.lab, &visit.household.seat)
}

fn transfer(visit: &Visit, direction: Direction, seconds: u32) -> Transfer {
    let (family, port) = (visit.household.family, visit.household.port);
    Transfer { direction, family, port, seconds }
}

fn check(what: &str, books: Books) -> Result<()> {
    let Books { client, kernel, dropped, journal, database } = books;
    println!("{what}:\n  client {client:?}\n  kernel {kernel:?}\n  dropped {dropped:?}");
    println!("  journal {journal:?}\n  database {database:?}");
    ensure!(kernel.down_bytes > 0 && kernel.up_bytes > 0, "something was moved");
    ensure!(books.equal(), "{what}: the books differ");
    Ok(())
}

fn near(measured: u64, plan: u64, percent: u64) -> bool {
    measured.abs_diff(plan) * 100 <= plan * percent
}
