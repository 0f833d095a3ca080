//! One account at two sites: what both let through together is what was bought, whoever dies.

use std::{
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use xtask::{
    lab::{self, Cable, Counters, Network, Offload, Process, Seat},
    provider::{
        HOME, Messages, NAS_SECRET, Person, Provider,
        controller::{number, text},
        edge::{self, API_PORT, Edge, Live, MQTT_PORT, Orders},
        radclient::{Nas, Password},
        traffic::{self, Family},
    },
    workspace,
};

/// Of the voucher. Much more than an edge has in hand at a time, so that leases are renewed.
const QUOTA: u64 = 40_000_000;
/// Both directions; an edge has as much in hand as passes in four seconds.
const DOWN_KBPS: u32 = 12_000;
const UP_KBPS: u32 = 2_000;
/// The largest packet on the way.
const PACKET: u64 = 1_500;

const USERNAME: &str = "pamoja";
const PASSWORD: &str = "jasmine-1";

/// Has the first site, and nothing to do with the quota.
const NEIGHBOUR: Person =
    Person { username: "amina", password: PASSWORD, chap: false, family: Family::V4, plan: HOME };

#[test]
fn two_edges_never_pass_more_than_was_bought_though_one_is_killed() -> Result<()> {
    let _alone = lab::alone()?;
    let provider = Provider::open(&[NEIGHBOUR], Messages::Embedded, Offload::Off)?;
    let more = traffic::serve_at(&provider.lab, &provider.network.internet, 5300..5302)?;
    let mut far = Far::open(&provider)?;
    buy(&provider)?;
    converge(&provider)?;

    let seat = |network: &Network| network.seats.first().cloned().context("a seat");
    let (here, there) = (&seat(&provider.network)?, &seat(&far.network)?);
    let class = arrive(&provider.nas(), here)?;
    let far_class = arrive(&far.nas(&provider), there)?;
    let mut drains = vec![drain(&provider, here, 5300)?, drain(&provider, there, 5300)?];
    far.edge.wait_until("something has passed there", LIMIT, || {
        Ok(there.counters()?.down_bytes > QUOTA / 8)
    })?;

    // The edge that is killed has something in hand, and its kernel goes on with that, until the
    // device there has enough. The other one goes on until there is nothing but that.
    far.edge.process.kill()?;
    let alone = there.counters()?.down_bytes;
    thread::sleep(Duration::from_secs(1));
    ensure!(there.counters()?.down_bytes > alone + QUOTA / 100, "the kernel goes on");
    drains.pop().context("it drains there")?.kill()?;
    stalls(&[here, there])?;
    far.edge.restart(&provider.lab)?;
    let near = session(&provider, &provider.edge)?.passed;
    let beyond = taken_over(&provider, &far.edge)?.passed;
    println!("one edge killed: {near:?} here, {beyond:?} there");
    ensure!(beyond.down_bytes > alone, "what passed meanwhile was counted");
    ensure!(total(near) > QUOTA / 2, "what was leased here was renewed");
    let kept = QUOTA.checked_sub(total(near) + total(beyond));
    let kept = kept.context("more has passed than was bought")?;
    ensure!(kept > QUOTA / 100, "{kept} are leased to the edge that died, and to nobody else");

    // Who leaves there gives back what is left there, and it is used here, to the last packet.
    leave(&far.nas(&provider), there, &far_class, beyond)?;
    drains.push(drain_again(&provider, here, 5301)?);
    stalls(&[here])?;
    let near = here_passed(&provider, near)?;
    println!("the other has left: {near:?} here");
    let sum = total(near) + total(beyond);
    ensure!(sum <= QUOTA, "{sum} of {QUOTA} have passed");
    ensure!(sum + 2 * PACKET > QUOTA, "{sum} of {QUOTA} have passed, and the rest is lost");

    for mut drain in drains {
        drain.kill()?;
    }
    if session(&provider, &provider.edge).is_ok() {
        leave(&provider.nas(), here, &class, near)?;
    }
    let booked = booked(&provider, 2)?;
    println!("booked: {booked} of {QUOTA}");
    ensure!(booked == sum, "the books say {booked}, the kernels {sum}");
    drop(more);
    far.close()?;
    provider.close()
}

/// Another site of the same provider.
struct Far {
    cable: Cable,
    edge: Edge,
    servers: Vec<Process>,
    network: Network,
}

impl Far {
    fn open(provider: &Provider) -> Result<Self> {
        let lab = &provider.lab;
        let network = Network::build_at(lab, "-far", SEATS, Offload::Off)?;
        let servers = traffic::serve_at(lab, &network.internet, 5300..5301)?;
        let office = &provider.office;
        let made = json!({ "name": "Far edge", "site": "Another village" });
        let made = office.post("/api/network/edges", &made)?;
        let (id, secret) = (text(&made, "/id")?, text(&made, "/secret")?);
        office.post(
            "/api/network/nas",
            &json!({
                "edge": id, "name": "far lab", "address": "127.0.0.0/8", "secret": NAS_SECRET,
                "enforce": "edge",
            }),
        )?;
        let ports = [
            (MQTT_PORT, provider.controller.mqtt.port()),
            (API_PORT, provider.controller.http.port()),
        ];
        let cable = Cable::lay(&network.edge, &ports)?;
        let orders = Orders::Controller { edge: &id, secret: &secret };
        let binaries = workspace::binaries()?;
        let edge = Edge::start_beside(lab, &binaries, &network.edge, orders, "edge-far")?;
        Ok(Self { cable, edge, servers, network })
    }

    fn nas<'a>(&'a self, provider: &'a Provider) -> Nas<'a> {
        Nas { namespace: &self.network.edge, ..provider.nas() }
    }

    fn close(self) -> Result<()> {
        let Self { cable, edge, servers, network, .. } = self;
        let status = edge.process.stop(Duration::from_secs(15))?;
        ensure!(status.success(), "the far edge ended with {status}");
        drop((cable, servers, network));
        Ok(())
    }
}

/// A voucher for two devices, wherever they are.
fn buy(provider: &Provider) -> Result<()> {
    let office = &provider.office;
    let terms = json!({
        "access": "hotspot", "billing": "prepaid", "price_cents": 5_000, "max_devices": 2,
        "validity_seconds": 86_400, "down_kbps": DOWN_KBPS, "up_kbps": UP_KBPS,
        "data_bytes": QUOTA,
    });
    let plan = json!({ "code": "shared", "name": "Shared", "terms": terms });
    let version = text(&office.post("/api/plans", &plan)?, "/latest/id")?;
    let who = json!({ "username": USERNAME, "password": PASSWORD, "full_name": "Pamoja" });
    let who = text(&office.post("/api/subscribers", &who)?, "/id")?;
    let batch = json!({ "plan_version": version, "qty": 1, "presold": true });
    let code = text(&office.post("/api/vouchers/issue", &batch)?, "/codes/0")?;
    office.post("/api/vouchers/redeem", &json!({ "code": code, "subscriber": who }))?;
    Ok(())
}

/// Waits until both edges have what they should have.
fn converge(provider: &Provider) -> Result<()> {
    let start = Instant::now();
    loop {
        let mut all = true;
        for edge in provider.office.list("/api/network/edges")? {
            let desired = number(&edge, "/desired_revision")?;
            all &= desired > 0 && number(&edge, "/applied_revision")? == desired;
        }
        if all {
            return Ok(());
        }
        ensure!(start.elapsed() < LIMIT, "the edges do not converge");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Logs in; returns the Class.
fn arrive(nas: &Nas<'_>, seat: &Seat) -> Result<String> {
    let start = Instant::now();
    let answer = loop {
        let answer = nas.login(seat, USERNAME, Password::Pap(PASSWORD))?;
        if answer.is("Access-Accept") {
            break answer;
        }
        // What the office has sold has to get there.
        ensure!(start.elapsed() < LIMIT, "not let in: {}", answer.text);
        thread::sleep(Duration::from_millis(200));
    };
    let class = answer.class.with_context(|| format!("no Class in: {}", answer.text))?;
    let started = nas.start(seat, USERNAME, &seat.mac, &class)?;
    ensure!(started.is("Accounting-Response"), "{}", started.text);
    Ok(class)
}

fn leave(nas: &Nas<'_>, seat: &Seat, class: &str, seen: Counters) -> Result<()> {
    let answer = nas.stop(seat, USERNAME, &seat.mac, class, seen)?;
    ensure!(answer.is("Accounting-Response"), "{}", answer.text);
    Ok(())
}

/// Takes as much as there is, as long as it runs.
fn drain(provider: &Provider, seat: &Seat, port: u16) -> Result<Process> {
    let mut command = seat.namespace.command("iperf3");
    command.args(["--client", &Family::V4.server().to_string(), "--port", &port.to_string()]);
    command.args(["--reverse", "--time", "600"]);
    provider.lab.start(&format!("drain-{}-{port}", seat.mac), &mut command)
}

/// As [`drain`], for somebody whose connections are refused until there is something again.
fn drain_again(provider: &Provider, seat: &Seat, port: u16) -> Result<Process> {
    let start = Instant::now();
    loop {
        let mut process = drain(provider, seat, port)?;
        thread::sleep(Duration::from_secs(1));
        if process.has_ended()?.is_none() {
            return Ok(process);
        }
        ensure!(start.elapsed() < LIMIT, "what was given back is used by nobody");
    }
}

/// Waits until nothing comes any more, for longer than an edge needs to ask for more.
fn stalls(seats: &[&Seat]) -> Result<()> {
    let start = Instant::now();
    let sum = || seats.iter().map(|seat| Ok(seat.counters()?.down_bytes)).sum::<Result<u64>>();
    let (mut last, mut since) = (sum()?, Instant::now());
    while since.elapsed() < Duration::from_secs(12) {
        thread::sleep(Duration::from_millis(200));
        let now = sum()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        ensure!(start.elapsed() < Duration::from_mins(3), "it goes on and on: {last}");
    }
    Ok(())
}

fn session(provider: &Provider, edge: &Edge) -> Result<Live> {
    let sessions = edge.sessions(&provider.lab)?;
    let mut own = sessions.into_iter().filter(|session| session.username == USERNAME);
    own.next().with_context(|| format!("no session of {USERNAME}"))
}

/// By an edge that was started again.
fn taken_over(provider: &Provider, edge: &Edge) -> Result<Live> {
    let start = Instant::now();
    loop {
        let found = session(provider, edge);
        if found.is_ok() || start.elapsed() > LIMIT {
            return found;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Of the session here; one that ended because nothing is left says so in the journal.
fn here_passed(provider: &Provider, before: Counters) -> Result<Counters> {
    if let Ok(live) = session(provider, &provider.edge) {
        return Ok(live.passed);
    }
    let stops = provider.edge.records(&provider.lab, "session_stopped")?;
    let all = stops.iter().map(|stop| edge::counters(stop, "/octets"));
    let all = all.collect::<Result<Vec<_>>>()?;
    let mine = all.into_iter().find(|one| one.down_bytes >= before.down_bytes);
    mine.context("the journal has no end of the session")
}

/// All bytes of these many sessions, once the office has the end of each.
fn booked(provider: &Provider, sessions: usize) -> Result<u64> {
    let start = Instant::now();
    loop {
        let all = provider.office.list("/api/sessions")?;
        let ended = all.iter().filter(|one| one.get("stopped_at").is_some_and(|at| !at.is_null()));
        let ended: Vec<_> = ended.collect();
        if ended.len() == sessions {
            return ended
                .iter()
                .map(|one| Ok(number(one, "/down_bytes")? + number(one, "/up_bytes")?))
                .sum();
        }
        ensure!(start.elapsed() < LIMIT, "not {sessions} sessions have ended: {all:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

const fn total(counters: Counters) -> u64 {
    counters.down_bytes + counters.up_bytes
}

/// The devices of the far site.
const SEATS: RangeInclusive<u8> = 2..=2;
const LIMIT: Duration = Duration::from_secs(30);
