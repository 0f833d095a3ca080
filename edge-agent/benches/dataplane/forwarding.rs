//! B5: what one forwarded packet of 64 bytes costs.
//!
//! What a core does in a second is not the same from one to the next, by much more than what is
//! compared here. So the systems take turns of a millisecond, and only turns that lie beside each
//! other are compared.

use std::{
    iter::Cycle,
    net::{SocketAddrV4, UdpSocket},
    thread,
    time::Instant,
    vec::IntoIter,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    Pace,
    counters::Counters,
    sheet::{Sheet, float, percentile, sorted},
    stand::Stand,
    system::{FAST, Subscriber, System, crowd, route},
    world::Side,
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
        forwarding(sheet, count, ALL, pace.rounds(60));
    }
}

pub(crate) fn many(sheet: &mut Sheet, pace: Pace) {
    if !pace.is_quick {
        forwarding(sheet, 10_000, ALL, 15);
        forwarding(sheet, 100_000, LARGE, 15);
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
    let mut lanes: Vec<Lane> = stands.iter().map(|stand| Lane::open(stand, &crowd)).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            on_one_cpu();
            let mut counters = Counters::open().ok();
            for _ in 0..rounds {
                round(sheet, &case, &mut lanes, counters.as_mut());
            }
        });
    });
}

/// All systems, in turns.
fn round(sheet: &mut Sheet, case: &str, lanes: &mut [Lane], mut counters: Option<&mut Counters>) {
    let mut took = vec![Vec::new(); lanes.len()];
    let mut counted = vec![[0, 0]; lanes.len()];
    for _ in 0..TURNS {
        for ((lane, took), counted) in lanes.iter_mut().zip(&mut took).zip(&mut counted) {
            lane.send(lane.warm);
            let before = counters.as_mut().map(|it| it.read());
            took.push(lane.send(PACKETS));
            let after = counters.as_mut().map(|it| it.read());
            for (sum, (before, after)) in counted
                .iter_mut()
                .zip(before.into_iter().flatten().zip(after.into_iter().flatten()))
            {
                *sum += after - before;
            }
        }
    }
    let took: Vec<f64> = took.into_iter().map(|took| percentile(&sorted(took), 50)).collect();
    let base = took.first().copied().unwrap_or(f64::NAN);
    for ((lane, ns), [cycles, instructions]) in lanes.iter().zip(took).zip(counted) {
        let name = lane.system.name();
        sheet.add(("64-byte packet", "ns"), case, name, ns);
        sheet.add(("64-byte packet, ratio", "x"), case, name, base / ns);
        if counters.is_some() {
            let all = f64::from(TURNS * PACKETS);
            sheet.add(("64-byte packet, cycles", ""), case, name, float(cycles) / all);
            sheet.add(("64-byte packet, instructions", ""), case, name, float(instructions) / all);
        }
    }
}

/// From the server to the devices in turn, sender and receiver included, all on one CPU.
struct Lane {
    system: System,
    socket: UdpSocket,
    targets: Cycle<IntoIter<SocketAddrV4>>,
    /// Packets until the caches hold what they hold when nothing else runs.
    warm: u32,
}

impl Lane {
    fn open(stand: &Stand, crowd: &[Subscriber]) -> Self {
        let bind = || UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let targets: Vec<_> = crowd.iter().map(|it| SocketAddrV4::new(it.address, 9)).collect();
        Self {
            system: stand.system,
            socket: stand.world.inside(Side::Server, bind),
            warm: u32::try_from(targets.len()).expect("not that many").clamp(100, 10_000),
            targets: targets.into_iter().cycle(),
        }
    }

    /// Nanoseconds of one.
    fn send(&mut self, packets: u32) -> f64 {
        // Of 64 bytes, 14 are Ethernet's, 20 IP's and 8 UDP's.
        let payload = [0; 22];
        let start = Instant::now();
        for target in self.targets.by_ref().take(packets as usize) {
            self.socket.send_to(&payload, target).expect("the cable takes it");
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(packets)
    }
}

pub(crate) fn on_one_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(0).expect("there is a CPU");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("a CPU that is there");
}

/// Of each system in a round.
const TURNS: u32 = 20;
/// In a turn: shorter than what the scheduler gives to one in a piece.
const PACKETS: u32 = 500;
