//! B6: one TCP flow without a limit, with super-packets and without.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Pace,
    flows::{CLIENT, Flows, Kind, Way},
    forwarding::on_one_cpu,
    sheet::{Sheet, float, percentile, sorted},
    stand::Stand,
    system::{FAST, Subscriber, System},
    world::{CLIENT as MAC, Side, World},
};

const ALL: &[System] = &[
    System::Nothing,
    System::Metering,
    System::Police,
    System::Htb,
    System::PlainHtb,
    System::NftLimit,
];

pub(crate) fn client(kbps: u32) -> Subscriber {
    Subscriber { address: CLIENT, mac: MAC.parse().expect("a MAC address"), kbps }
}

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    let stands: Vec<Stand> =
        ALL.iter().map(|system| Stand::new("tcp", *system, &[client(FAST)], |_| {})).collect();
    for (case, is_on) in [("super-packets", true), ("1,500 bytes", false)] {
        for stand in &stands {
            set_segmentation(&stand.world, is_on);
        }
        work(sheet, case, &stands, pace.rounds(40));
        for _ in 0..pace.rounds(10) {
            for stand in &stands {
                let flows = Flows::start(&stand.world, DOWN);
                thread::sleep(Duration::from_millis(100));
                let reached = flows.goodput(Duration::from_millis(250)) / 1e9;
                sheet.add(("one TCP flow, no limit", "Gbit/s"), case, stand.system.name(), reached);
            }
        }
    }
}

/// What it costs, sender and receiver included, on one CPU: how fast it goes on several depends
/// more on which does what than on what there is to do.
fn work(sheet: &mut Sheet, case: &str, stands: &[Stand], rounds: usize) {
    let names: Vec<_> = stands.iter().map(|stand| stand.system.name()).collect();
    let mut pairs: Vec<_> = stands.iter().map(|stand| Pair::connect(&stand.world)).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            on_one_cpu();
            for pair in &mut pairs {
                pair.carry(WARM);
            }
            for _ in 0..rounds {
                let mut took = vec![Vec::new(); names.len()];
                for _ in 0..TURNS {
                    for (pair, took) in pairs.iter_mut().zip(&mut took) {
                        pair.carry(TURN / 4);
                        took.push(pair.carry(TURN));
                    }
                }
                let took: Vec<_> =
                    took.into_iter().map(|took| percentile(&sorted(took), 50)).collect();
                let base = took.first().copied().unwrap_or(f64::NAN);
                for (name, ns) in names.iter().zip(&took) {
                    sheet.add(("TCP, 1 MB", "us"), case, name, ns / 1e3);
                    // Only what lies beside each other: the machine has better and worse seconds.
                    sheet.add(("TCP, 1 MB, ratio", "x"), case, name, base / ns);
                }
            }
        });
    });
}

/// Both ends of a flow, for one thread, which never waits for either.
struct Pair {
    sender: TcpStream,
    receiver: TcpStream,
    chunk: Vec<u8>,
}

impl Pair {
    fn connect(world: &World) -> Self {
        let (sender, receiver) = Flows::pairs(world, DOWN).pop().expect("one was asked for");
        for end in [&sender, &receiver] {
            end.set_nonblocking(true).expect("a socket");
        }
        Self { sender, receiver, chunk: vec![7; CHUNK] }
    }

    /// Nanoseconds of a million bytes.
    fn carry(&mut self, bytes: usize) -> f64 {
        let start = Instant::now();
        let mut arrived = 0;
        while arrived < bytes {
            while moved(self.sender.write(&self.chunk)) > 0 {}
            while let read @ 1.. = moved(self.receiver.read(&mut self.chunk)) {
                arrived += read;
            }
            assert!(start.elapsed() < STUCK, "the flow goes on");
        }
        start.elapsed().as_secs_f64() * 1e9 / float(arrived as u64) * 1e6
    }
}

/// Zero: not now.
fn moved(done: io::Result<usize>) -> usize {
    match done {
        Ok(moved) => moved,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("the flow stands: {error}"),
    }
}

const DOWN: Kind = Kind { way: Way::Down, count: 1, congestion: "cubic", pace: None };

const CHUNK: usize = 64 * 1_024;
/// Shorter than what makes TCP start slowly again.
const TURN: usize = 2 << 20;
const WARM: usize = 16 << 20;
const STUCK: Duration = Duration::from_secs(10);
/// Of each system in a round.
const TURNS: u32 = 20;

/// Off: no packet is larger than on a real cable, anywhere.
pub(crate) fn set_segmentation(world: &World, is_on: bool) {
    let state = if is_on { "on" } else { "off" };
    for (side, interface) in [
        (Side::Client, "eth0"),
        (Side::Gateway, "lan0"),
        (Side::Gateway, "wan0"),
        (Side::Server, "eth0"),
    ] {
        world.segmentation(side, interface, is_on);
        world.at(side, &format!("ethtool -K {interface} gro {state}"));
    }
}
