//! B1 to B3: how close TCP comes to its plan over a long line, and what others see of that.
//!
//! One hundred per cent is what a plan promises: its rate is octets of IP in packets of 1,500, of
//! which TCP with time stamps carries 1,448. The peers have the same rate in octets of IP.

use std::{net::Ipv4Addr, thread, time::Duration};

use shared::net::Mac;

use crate::{
    Pace,
    flows::{CLIENT, Flows, Kind, Way},
    line::Line,
    pinger::{Pinger, Took},
    sheet::Sheet,
    stand::Stand,
    system::{Subscriber, System},
    tcp::{client, set_segmentation},
    world::{Side, World},
};

const ALL: &[System] =
    &[System::Nothing, System::Htb, System::Police, System::PlainHtb, System::NftLimit];

pub(crate) const QUEUES: &[System] =
    &[System::Nothing, System::Fq, System::HtbFqCodel, System::HtbCake, System::Htb];

#[derive(Clone, Copy, Debug)]
struct Case {
    rtt_ms: u64,
    way: Way,
    congestion: &'static str,
    flows: usize,
}

const fn case(rtt_ms: u64, way: Way, congestion: &'static str, flows: usize) -> Case {
    Case { rtt_ms, way, congestion, flows }
}

/// Those with budgets first.
const CASES: &[Case] = &[
    case(20, Way::Down, "cubic", 1),
    case(20, Way::Down, "cubic", 4),
    case(20, Way::Down, "bbr", 1),
    case(20, Way::Down, "bbr", 4),
    case(20, Way::Up, "cubic", 1),
    case(60, Way::Down, "cubic", 1),
    case(60, Way::Down, "bbr", 1),
];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    for (mbits, at_once) in [(10, ALL.len()), (100, 2)] {
        let stands = ALL.iter().map(|system| Long::new(*system, mbits, true)).collect();
        let cases = CASES.get(..1).filter(|_| pace.is_quick).unwrap_or(CASES);
        trials(sheet, stands, cases, at_once, pace);
    }
}

/// In a guest, whose kernel has every queue there is.
pub(crate) fn measure_queues(sheet: &mut Sheet, pace: Pace) {
    for mbits in [10, 50] {
        let stands = QUEUES.iter().map(|system| Long::new(*system, mbits, false)).collect();
        let few = if pace.is_quick { 1 } else { 4 };
        let cases = CASES.get(..few).unwrap_or(CASES);
        trials(sheet, stands, cases, 1, pace);
    }
}

/// `at_once`: where the machine has time for several.
fn trials(sheet: &mut Sheet, mut stands: Vec<Long>, cases: &[Case], at_once: usize, pace: Pace) {
    for _ in 0..pace.rounds(3) {
        for case in cases {
            for some in stands.chunks_mut(at_once) {
                let trials: Vec<(System, u32, Trial)> = thread::scope(|scope| {
                    let running: Vec<_> = some
                        .iter_mut()
                        .map(|it| {
                            scope.spawn(move || (it.stand.system, it.mbits, it.run(*case, pace)))
                        })
                        .collect();
                    running.into_iter().map(|it| it.join().expect("it measures")).collect()
                });
                for (system, mbits, trial) in trials {
                    write(sheet, mbits, *case, system, &trial);
                }
            }
        }
    }
}

struct Trial {
    error_percent: f64,
    idle: [Took; 2],
    loaded: [Took; 2],
}

fn write(sheet: &mut Sheet, mbits: u32, case: Case, system: System, trial: &Trial) {
    let name = if system == System::Nothing { "no program, paced" } else { system.name() };
    let way = if case.way == Way::Down { "down" } else { "up" };
    let key =
        format!("{mbits} Mbit/s, RTT {} ms, {} {} {way}", case.rtt_ms, case.flows, case.congestion);
    sheet.add(("TCP goodput against the plan", "%"), &key, name, trial.error_percent);
    let [[own_idle, other_idle], [own, other]] = [trial.idle, trial.loaded];
    sheet.add(("RTT in the session over idle, p50", "ms"), &key, name, own.p50 - own_idle.p50);
    sheet.add(("RTT in the session over idle, p95", "ms"), &key, name, own.p95 - own_idle.p95);
    sheet.add(("RTT in the session over idle, p99", "ms"), &key, name, own.p99 - own_idle.p99);
    sheet.add(("pings lost in the session", "%"), &key, name, own.lost_percent);
    sheet.add(
        ("RTT in another session over idle, p50", "ms"),
        &key,
        name,
        other.p50 - other_idle.p50,
    );
    sheet.add(
        ("RTT in another session over idle, p95", "ms"),
        &key,
        name,
        other.p95 - other_idle.p95,
    );
}

/// A stand at a long line, with two subscribers.
struct Long {
    /// Without one, the client's acknowledgements wait in `netem`.
    line: Option<Line>,
    stand: Stand,
    mbits: u32,
}

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x79]);

impl Long {
    fn new(system: System, mbits: u32, has_line: bool) -> Self {
        let kbps = mbits * 1_000;
        let other = Subscriber { address: OTHER, mac: OTHER_MAC, kbps };
        let stand = Stand::new(&format!("long{mbits}-"), system, &[client(kbps), other], move_in);
        let line = if has_line {
            Some(Line::lay(&stand.world))
        } else {
            set_segmentation(&stand.world, false);
            None
        };
        Self { line, stand, mbits }
    }

    fn set_rtt(&self, rtt_ms: u64) {
        if let Some(line) = &self.line {
            line.set_rtt(Duration::from_millis(rtt_ms));
            return;
        }
        let netem = format!("netem delay {rtt_ms}ms limit 10000");
        self.stand.world.at(Side::Client, &format!("tc qdisc replace dev eth0 root {netem}"));
    }

    fn run(&mut self, case: Case, pace: Pace) -> Trial {
        let world = &self.stand.world;
        self.set_rtt(case.rtt_ms);
        let pingers = [CLIENT, OTHER].map(|from| Pinger::start(world, from));
        thread::sleep(Duration::from_millis(200));
        let listen = |time: Duration| {
            pingers.iter().for_each(Pinger::reset);
            thread::sleep(time);
            pingers.each_ref().map(Pinger::took)
        };
        let idle = listen(Duration::from_millis(800));
        let plan = f64::from(self.mbits) * 1e6 * 1_448.0 / 1_500.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some millions"
        )]
        let pace_of_each = plan as u64 / case.flows as u64;
        let pace_of_each = (self.stand.system == System::Nothing).then_some(pace_of_each);
        let Case { way, congestion, flows: count, .. } = case;
        let flows = Flows::start(world, Kind { way, count, congestion, pace: pace_of_each });
        thread::sleep(Duration::from_millis(if pace.is_quick { 1_000 } else { 3_000 }));
        let time = Duration::from_millis(if pace.is_quick { 2_000 } else { 6_000 });
        let (reached, loaded) = thread::scope(|scope| {
            let goodput = scope.spawn(|| flows.goodput(time));
            let loaded = listen(time);
            (goodput.join().expect("it counts"), loaded)
        });
        drop(flows);
        // What is left in queues and on the line goes its way.
        thread::sleep(Duration::from_millis(300));
        Trial { error_percent: 100.0 * (reached / plan - 1.0), idle, loaded }
    }
}

/// A second device beside the client.
fn move_in(world: &World) {
    for command in [
        "ip link add link eth0 name eth1 address 02:00:00:00:00:79 type macvlan mode private",
        "ethtool -K eth1 gro off tso off gso off",
        "ip link set eth1 up",
        "ip addr add 10.77.0.3/32 dev eth1",
        "ip neigh replace 10.77.0.1 lladdr 02:00:00:00:01:77 nud permanent dev eth1",
        "ip route add 10.77.0.0/24 dev eth1 table 79",
        "ip route add default via 10.77.0.1 dev eth1 table 79",
        "ip rule add from 10.77.0.3 table 79",
    ] {
        world.at(Side::Client, command);
    }
    let neighbour = format!("ip neigh replace {OTHER} lladdr {OTHER_MAC} nud permanent dev lan0");
    world.at(Side::Gateway, &neighbour);
}
