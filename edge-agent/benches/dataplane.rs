//! What the data plane costs, side by side with nothing and with plain HTB. Needs root.
//!
//! Prints one line of JSON; `cargo xtask bench dataplane` makes a table of it. Each system stands in
//! namespaces of its own. They are measured in turns, many short ones, and the best turn of each
//! counts: other work on the machine only ever makes a turn slower.

#![expect(clippy::print_stdout, reason = "its result is what it prints")]
#![expect(clippy::float_arithmetic, reason = "ratios for people")]

#[path = "../tests/dataplane/world.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod world;

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    slice,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap},
    programs::{SchedClassifier, TcAttachType},
};
use ebpf::{clock, layout};
use edge_agent::dataplane::{Dataplane as _, Entry, Slot};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::{Value, json};
use shared::net::Mac;
use world::{Side, World, entry};

fn main() {
    // `cargo bench` adds arguments of its own, which start with a dash.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let parts: [(&str, Part); 3] = [
        ("forwarding", || [1, 10_000].into_iter().map(forwarding).collect()),
        ("tcp", tcp),
        ("sessions", || [1_000, 10_000].into_iter().map(sessions).collect()),
    ];
    let mut result = serde_json::Map::new();
    for (name, measure) in parts {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            result.insert(name.to_owned(), measure());
        }
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    result.insert("machine".to_owned(), json!({"cpus": cpus, "kernel": kernel.trim()}));
    println!("{}", Value::Object(result));
}

type Part = fn() -> Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    /// Forwarding alone.
    Nothing,
    /// Sessions without a limit: found and counted.
    Metering,
    /// And the virtual clock, which never says no here.
    Deciding,
    /// And an HTB class of the session's own.
    Queueing,
    /// HTB with one class for all, chosen by default: no program.
    PlainHtb,
}

impl System {
    const ALL: [Self; 5] =
        [Self::Nothing, Self::Metering, Self::Deciding, Self::Queueing, Self::PlainHtb];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no program",
            Self::Metering => "metering",
            Self::Deciding => "metering + clock",
            Self::Queueing => "metering + clock + HTB class",
            Self::PlainHtb => "plain HTB, one class",
        }
    }

    /// Puts the system into the gateway, with `macs` as the devices on-line.
    fn start(self, world: &World, macs: &[Mac]) -> Option<Ebpf> {
        match self {
            Self::Nothing => None,
            Self::Metering => Some(programs(macs, 0)),
            Self::Deciding => Some(programs(macs, clock::ns_per_byte(FAST))),
            Self::Queueing => {
                let entries: Vec<Entry> = (0..)
                    .zip(macs)
                    .map(|(slot, &mac)| Entry {
                        slot: Slot(slot),
                        mac: Some(mac),
                        ..entry(1, FAST, FAST)
                    })
                    .collect();
                // Pinned: it stays when this is dropped.
                world.open().install_all(&entries).expect("sessions");
                None
            }
            Self::PlainHtb => {
                for interface in ["lan0", "wan0"] {
                    for rest in [
                        "qdisc add dev IF root handle 1: htb default 1",
                        "class add dev IF parent 1: classid 1:1 htb rate 100gbit quantum 1514",
                    ] {
                        world.at(Side::Gateway, &format!("tc {}", rest.replace("IF", interface)));
                    }
                }
                None
            }
        }
    }
}

/// The programs alone, attached for as long as the object lives.
fn programs(macs: &[Mac], ns_per_byte: u64) -> Ebpf {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader.override_global(layout::MUSCLE, &1_u32, true);
    let slots = u32::try_from(macs.len()).expect("some thousands");
    for name in [layout::DEVICES, layout::SESSIONS, layout::STATES] {
        loader.map_max_entries(name, slots);
    }
    let mut object = loader.load(object()).expect("the kernel takes the programs");
    let limit = layout::Limit { ns_per_byte, priority: 0, kbps: 0 };
    let session = layout::Session { id: [1, 1], down: limit, up: limit, ..Default::default() };
    let sessions = object.map_mut(layout::SESSIONS).expect("a map");
    let mut sessions: Array<_, [u64; layout::Session::WORDS]> =
        sessions.try_into().expect("an array");
    for slot in 0..slots {
        sessions.set(slot, session.words(), 0).expect("a slot");
    }
    let devices = object.map_mut(layout::DEVICES).expect("a map");
    let mut devices: HashMap<_, u64, u32> = devices.try_into().expect("a hash map");
    for (slot, mac) in (0..).zip(macs) {
        devices.insert(layout::Device::from_mac(mac.0).0, slot, 0).expect("a device");
    }
    for (name, side) in [("up", TcAttachType::Ingress), ("down", TcAttachType::Egress)] {
        let program: &mut SchedClassifier =
            object.program_mut(name).expect(name).try_into().expect(name);
        program.load().expect(name);
        program.attach("lan0", side).expect(name);
    }
    object
}

/// A system at work.
struct Stand {
    system: System,
    world: World,
    _programs: Option<Ebpf>,
    best: Option<f64>,
}

/// Every system in namespaces of its own.
fn stands(name: &str, macs: &[Mac], prepare: impl Fn(&World)) -> Vec<Stand> {
    let stand = |(index, system): (usize, System)| {
        let mut world = World::new(&format!("{name}{index}"));
        world.settings.slots = u32::try_from(macs.len()).expect("some thousands");
        prepare(&world);
        let programs = system.start(&world, macs);
        Stand { system, world, _programs: programs, best: None }
    };
    System::ALL.into_iter().enumerate().map(stand).collect()
}

/// Measures all in turns; the best counts.
fn take_turns(
    stands: &mut [Stand],
    turns: u32,
    measure: impl Fn(&World) -> f64,
    better: fn(f64, f64) -> f64,
) {
    for _ in 0..turns {
        for stand in &mut *stands {
            let measured = measure(&stand.world);
            stand.best = Some(stand.best.map_or(measured, |best| better(best, measured)));
        }
    }
}

fn report(stands: &[Stand], key: &str, ratio: impl Fn(f64, f64) -> f64) -> Value {
    let measured = || stands.iter().filter_map(|stand| Some((stand.system, stand.best?)));
    let base = measured().next().map_or(1.0, |(_, base)| base);
    measured()
        .map(|(system, value)| {
            json!({"system": system.name(), key: value, "ratio": ratio(value, base)})
        })
        .collect()
}

/// 64-byte frames from the server to `count` devices in turn: nanoseconds for each, sender and
/// receiver included, all on one CPU.
fn forwarding(count: u16) -> Value {
    let devices: Vec<(Ipv4Addr, Mac)> = (0..count)
        .map(|index| {
            let [high, low] = index.to_be_bytes();
            // The client drops what is for another MAC before it looks inside.
            (Ipv4Addr::new(10, 80, high, low), Mac([2, 1, 0, 0, high, low]))
        })
        .collect();
    let mut neighbours = "route add 10.80.0.0/16 dev lan0\n".to_owned();
    for (address, mac) in &devices {
        let _infallible =
            writeln!(neighbours, "neigh replace {address} lladdr {mac} nud permanent dev lan0");
    }
    let batch = std::env::temp_dir().join(format!("kennet-bench-{}", std::process::id()));
    fs::write(&batch, neighbours).expect("a file in the temporary folder");
    let (addresses, macs): (Vec<_>, Vec<_>) = devices.into_iter().unzip();
    let mut stands = stands("fw", &macs, |world| {
        world.at(Side::Gateway, &format!("ip -batch {}", batch.display()));
    });
    fs::remove_file(&batch).expect("it was there");

    let targets: Vec<_> = addresses.iter().map(|&ip| SocketAddrV4::new(ip, 9)).collect();
    let measure = |world: &World| {
        world.inside(Side::Server, || {
            on_one_cpu();
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
            // Of 64 bytes, 14 are Ethernet's, 20 IP's and 8 UDP's.
            let payload = [0; 22];
            let mut targets = targets.iter().cycle();
            let mut send = |packets: u32| {
                let start = Instant::now();
                for target in targets.by_ref().take(packets as usize) {
                    socket.send_to(&payload, target).expect("the cable takes it");
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(packets)
            };
            send(10_000);
            // Two milliseconds: shorter than what the scheduler gives to one in a piece.
            (0..60).map(|_| send(500)).fold(f64::INFINITY, f64::min)
        })
    };
    take_turns(&mut stands, 20, measure, f64::min);
    json!({
        "sessions": count,
        "systems": report(&stands, "ns_per_packet", |value, base| base / value),
    })
}

fn on_one_cpu() {
    let mut cpus = CpuSet::new();
    cpus.set(0).expect("there is a CPU");
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("a CPU that is there");
}

/// One TCP flow as fast as it goes, with super-packets.
fn tcp() -> Value {
    let client = entry(1, 1, 1).mac.expect("a device's session");
    let mut stands = stands("tcp", &[client], |_| {});
    take_turns(&mut stands, 4, |world| world.goodput(2, "-R") / 1e9, f64::max);
    report(&stands, "gbit_per_s", |value, base| value / base)
}

/// How long sessions take until the kernel has them: the first time, when HTB classes are made;
/// changed all at once; and one at a time among all the others.
fn sessions(count: u16) -> Value {
    let mut world = World::new("sessions");
    world.settings.slots = u32::from(count);
    let mut bpf = world.open();
    let entries = |session: u128, kbps: u32| -> Vec<Entry> {
        (0..count)
            .map(|slot| {
                let [high, low] = slot.to_be_bytes();
                let mac = Mac([2, 1, 0, 0, high, low]);
                Entry { slot: Slot(slot.into()), mac: Some(mac), ..entry(session, kbps, kbps) }
            })
            .collect()
    };
    let mut timed = |entries: &[Entry]| {
        let start = Instant::now();
        bpf.install_all(entries).expect("sessions");
        milliseconds(start.elapsed())
    };
    let first = timed(&entries(1, 10_000));
    let changed =
        (0..5).map(|round| timed(&entries(1, 20_000 + round))).fold(f64::INFINITY, f64::min);
    let replaced = timed(&entries(2, 20_000));
    let mut single: Vec<f64> =
        entries(2, 30_000).iter().take(1_000).map(|entry| timed(slice::from_ref(entry))).collect();
    single.sort_by(f64::total_cmp);
    let at = |percent: usize| single.get(single.len() * percent / 100).copied();
    let slots: Vec<Slot> = (0..u32::from(count)).map(Slot).collect();
    let start = Instant::now();
    bpf.read(&slots).expect("readings");
    let read = milliseconds(start.elapsed());
    let start = Instant::now();
    bpf.remove(&slots).expect("readings");
    let removed = milliseconds(start.elapsed());
    json!({
        "sessions": count,
        "first_ms": first,
        "changed_ms": changed,
        "replaced_ms": replaced,
        "one_ms": {"p50": at(50), "p99": at(99)},
        "read_ms": read,
        "removed_ms": removed,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(kernel_program)]
fn object() -> &'static [u8] {
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shape"))
}

#[cfg(not(kernel_program))]
fn object() -> &'static [u8] {
    panic!("the kernel programs were not compiled: see the warnings of the build")
}

/// So fast that nothing ever waits: 100 Gbit/s.
const FAST: u32 = 100_000_000;
