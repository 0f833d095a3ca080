//! B5: what one forwarded packet of 64 bytes costs.

use std::{
    net::{SocketAddrV4, UdpSocket},
    time::Instant,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    Pace,
    counters::Counters,
    sheet::{Sheet, float},
    stand::Stand,
    system::{FAST, Subscriber, System, crowd, route},
    world::{Side, World},
};

const ALL: &[System] = &[
    System::Nothing,
    System::Metering,
    System::Police,
    System::Htb,
    System::PlainHtb,
    System::NftLimit,
];

/// HTB has no class ids for more than some ten thousand.
const LARGE: &[System] = &[System::Nothing, System::Metering, System::Police, System::NftLimit];

pub(crate) fn few(sheet: &mut Sheet, pace: Pace) {
    for count in [1, 1_000] {
        forwarding(sheet, count, ALL, pace.rounds(30));
    }
}

pub(crate) fn many(sheet: &mut Sheet, pace: Pace) {
    if !pace.is_quick {
        forwarding(sheet, 10_000, ALL, 12);
        forwarding(sheet, 100_000, LARGE, 12);
    }
}

pub(crate) fn forwarding(sheet: &mut Sheet, count: u32, systems: &[System], rounds: usize) {
    let crowd = crowd(count, FAST);
    let stands: Vec<Stand> = systems
        .iter()
        .map(|system| {
            Stand::new(&format!("fw{}", count / 10), *system, &crowd, |world| route(world, &crowd))
        })
        .collect();
    let case = format!("{count} in turn");
    let mut best = vec![f64::INFINITY; stands.len()];
    for _ in 0..rounds {
        for (stand, best) in stands.iter().zip(&mut best) {
            let name = stand.system.name();
            let cost = cost(&stand.world, &crowd);
            *best = best.min(cost.ns);
            sheet.add(("64-byte packet", "ns"), &case, name, cost.ns);
            if let Some([cycles, instructions]) = cost.counted {
                sheet.add(("64-byte packet, cycles", ""), &case, name, cycles);
                sheet.add(("64-byte packet, instructions", ""), &case, name, instructions);
            }
        }
    }
    // What a core does in a second is not the same from one to the next, by much more than what is
    // compared here; the best that each has come to in all rounds is.
    let base = best.first().copied().unwrap_or(f64::NAN);
    for (stand, best) in stands.iter().zip(best) {
        sheet.add(("64-byte packet, ratio", "x"), &case, stand.system.name(), base / best);
    }
}

struct Cost {
    /// The best two milliseconds: shorter than what the scheduler gives to one in a piece, and
    /// other work on the machine only ever makes it longer.
    ns: f64,
    counted: Option<[f64; 2]>,
}

/// From the server to the devices in turn, sender and receiver included, all on one CPU.
fn cost(world: &World, crowd: &[Subscriber]) -> Cost {
    world.inside(Side::Server, || {
        on_one_cpu();
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        // Of 64 bytes, 14 are Ethernet's, 20 IP's and 8 UDP's.
        let payload = [0; 22];
        let mut targets = crowd.iter().map(|it| SocketAddrV4::new(it.address, 9)).cycle();
        let mut counters = Counters::open().ok();
        let mut send = |packets: u32| {
            let start = Instant::now();
            for target in targets.by_ref().take(packets as usize) {
                socket.send_to(&payload, target).expect("the cable takes it");
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(packets)
        };
        send(10_000);
        let before = counters.as_mut().map(Counters::read);
        let ns = (0..BURSTS).map(|_| send(PACKETS)).fold(f64::INFINITY, f64::min);
        let after = counters.as_mut().map(Counters::read);
        let all = f64::from(BURSTS * PACKETS);
        let counted =
            before.zip(after).map(|([a, b], [c, d])| [float(c - a) / all, float(d - b) / all]);
        Cost { ns, counted }
    })
}

fn on_one_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(0).expect("there is a CPU");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("a CPU that is there");
}

const BURSTS: u32 = 60;
const PACKETS: u32 = 500;
