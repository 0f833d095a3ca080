//! What the office does reaches the kernel: another plan, a suspension, the end of a session.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use xtask::{
    lab::{self, Offload},
    provider::{
        HOME, Messages, OFFICE, Person, Provider, SMALL,
        controller::text,
        traffic::{Direction, Family, Goodput, Transfer, near},
        visit::Visit,
    },
};

const PEOPLE: [Person; 2] = [
    Person {
        username: "amina",
        password: "jasmine-1",
        chap: false,
        family: Family::V4,
        plan: SMALL,
    },
    Person {
        username: "baraka",
        password: "acacia-22",
        chap: true,
        family: Family::V6,
        plan: OFFICE,
    },
];

#[test]
fn a_change_at_the_office_reaches_sessions_that_are_on_line() -> Result<()> {
    let _alone = lab::alone()?;
    let provider = Provider::open(&PEOPLE, Messages::Embedded, Offload::Off)?;
    let visit = provider.arrive(0)?;
    let office = &provider.office;
    let subscription = format!("/api/subscriptions/{}", visit.household.subscription);

    // Another plan, in the middle of the session.
    let other = format!("/api/subscriptions/{}", provider.household(1)?.subscription);
    let version = text(&office.get(&other)?, "/plan_version")?;
    let start = Instant::now();
    office.patch(&subscription, &json!({ "plan_version": version }))?;
    until("the kernel has the new plan", || {
        Ok(provider.live(&visit)?.down_kbps == u64::from(OFFICE.down_kbps))
    })?;
    println!("another plan: in the kernel {} ms after PATCH", start.elapsed().as_millis());
    let goodput = moves(&provider, &visit, 4)?;
    println!("then {} kbit/s of {}", goodput.kbps, OFFICE.down_kbps);
    ensure!(near(OFFICE.down_kbps.into(), goodput.kbps), "{goodput:?}");

    // Suspended: nothing passes and nobody logs in, until it is active again.
    let start = Instant::now();
    office.post(&format!("{subscription}/suspend"), &json!({ "reason": "unpaid" }))?;
    let seat = &visit.household.seat;
    let login = || provider.nas().login(seat, "amina", visit.household.password());
    until("a suspended subscriber is refused", || Ok(login()?.is("Access-Reject")))?;
    println!("suspended: refused {} ms after POST", start.elapsed().as_millis());
    ensure!(moves(&provider, &visit, 1).is_err(), "nothing passes for a suspended subscriber");
    office.post(&format!("{subscription}/resume"), &json!({}))?;
    until("an active subscriber is let in", || Ok(login()?.is("Access-Accept")))?;
    moves(&provider, &visit, 1)?;
    provider.close()
}

#[test]
fn a_session_that_the_office_ends_is_out_of_the_kernel_and_in_the_books() -> Result<()> {
    let _alone = lab::alone()?;
    let provider =
        Provider::open(&[Person { plan: HOME, ..PEOPLE[0] }], Messages::Embedded, Offload::Off)?;
    let visit = provider.arrive(0)?;
    moves(&provider, &visit, 1)?;
    let live = provider.live(&visit)?;
    let list = provider.office.list("/api/sessions?state=live")?;
    ensure!(list.len() == 1, "one session is live: {list:?}");
    let start = Instant::now();
    let ended = provider.office.post(&format!("/api/sessions/{}/end", live.session), &json!({}))?;
    println!("ended {} ms after POST: {ended}", start.elapsed().as_millis());
    assert_eq!(text(&ended, "/effect")?, "done");
    ensure!(provider.edge.sessions(&provider.lab)?.is_empty(), "the edge has no session left");
    ensure!(moves(&provider, &visit, 1).is_err(), "nothing passes without a session");
    let booked = provider.database_of(&live.session, Duration::from_secs(10))?;
    println!("booked {booked:?}");
    assert_eq!(booked, live.passed);
    let list = provider.office.list("/api/sessions?state=live")?;
    ensure!(list.is_empty(), "none is live: {list:?}");
    provider.close()
}

fn moves(provider: &Provider, visit: &Visit, seconds: u32) -> Result<Goodput> {
    let (family, port) = (visit.household.family, visit.household.port);
    let transfer = Transfer { direction: Direction::Down, family, port, seconds };
    transfer.run(&provider.lab, &visit.household.seat)
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds().with_context(|| what.to_owned())? {
        ensure!(start.elapsed() < Duration::from_secs(15), "not within 15 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
