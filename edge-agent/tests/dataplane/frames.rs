//! Frames by hand into the programs: what a cable in a namespace cannot carry.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::{
    EbpfLoader,
    maps::{Array, HashMap, Map, MapData},
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
};
use ebpf::{
    clock::Muscle,
    layout::{
        self,
        near::{Bucket, Place},
    },
};
use edge_agent::dataplane::{Dataplane as _, Entry, Garden, Slot, bpf::Notice};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use shared::{id::SessionId, net::Mac, octets::Counters};
use uuid::Uuid;

use crate::world::{CLIENT, SLOT, World, entry, reading, shape, verdict};

/// `TCX_NEXT`, -1.
const NEXT: u32 = u32::MAX;
/// `TCX_DROP`.
const DROP: u32 = 2;

/// The programs once more, on the maps of the running ones.
struct Programs(aya::Ebpf);

impl Programs {
    fn beside(world: &World) -> Self {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        let muscle = Muscle::Htb.number();
        loader.override_global(layout::MUSCLE, &muscle, true);
        let folder = world.settings.pins.join(format!("v{}", layout::LAYOUT));
        let counts = MapData::from_pin(folder.join(format!("map-{}", layout::COUNTS)));
        let counts = counts.expect("the running ones count").info().expect("a map").max_entries();
        let shards = counts / world.settings.slots;
        loader.override_global(layout::SHARDS, &shards, true);
        for name in layout::MAPS {
            loader.map_pin_path(name, folder.join(format!("map-{name}")));
        }
        let mut programs = loader.load(object()).expect("it has been loaded before");
        for name in ["up", "down"] {
            let program: &mut SchedClassifier =
                programs.program_mut(name).expect(name).try_into().expect(name);
            // A signal in the middle of it, of another test's process that ends, is no fault.
            let is_loaded = (0..10).any(|_| program.load().is_ok());
            assert!(is_loaded, "{name}: {:?}", program.load());
        }
        Self(programs)
    }

    fn run(&self, name: &str, frame: &[u8]) -> u32 {
        let program: &SchedClassifier = self.0.program(name).expect(name).try_into().expect(name);
        let options = TestRunOptions { data_in: Some(frame), repeat: 1, ..Default::default() };
        program.test_run(options).expect("the kernel runs programs on request").return_value
    }
}

#[cfg(kernel_program)]
fn object() -> &'static [u8] {
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shape"))
}

#[cfg(not(kernel_program))]
fn object() -> &'static [u8] {
    panic!("the kernel programs were not compiled: see the warnings of the build")
}

fn frame(from: &str, tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
    let from: Mac = from.parse().expect("a MAC address");
    let mut bytes = [[2, 0, 0, 0, 1, 0x77], from.0].concat();
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 7]);
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(rest);
    bytes
}

#[test]
fn tags_are_not_metered_and_sessions_are_found_behind_them() {
    let world = World::new("frames");
    let mut bpf = world.open();
    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    let programs = Programs::beside(&world);
    let before = reading(&bpf);
    let packet = [0x45; 100];
    let mut sent = 0;
    for tags in [&[][..], &[0x8100][..], &[0x88a8, 0x8100][..], &[0x8100, 0x8100][..]] {
        for ethertype in [0x0800, 0x86dd] {
            assert_eq!(programs.run("up", &frame(CLIENT, tags, ethertype, &packet)), NEXT);
            sent += 1;
        }
    }
    let counted = reading(&bpf).passed - before.passed;
    assert_eq!((counted.up_packets, counted.up_bytes), (sent, sent * 100));
    assert_eq!((counted.down_packets, counted.down_bytes), (0, 0));

    // Sixty bytes on the cable, forty of them a packet.
    let mut short = [0; 46];
    short[..4].copy_from_slice(&[0x45, 0, 0, 40]);
    assert_eq!(programs.run("up", &frame(CLIENT, &[], 0x0800, &short)), NEXT);
    let padded = reading(&bpf).passed - before.passed;
    assert_eq!(
        (padded.up_packets - counted.up_packets, padded.up_bytes - counted.up_bytes),
        (1, 40)
    );
    let counted = padded;

    // ARP passes, behind a tag too, and is nobody's traffic; nor is what has three tags.
    let others = verdict(&bpf, "not_ip");
    assert_eq!(programs.run("up", &frame(CLIENT, &[0x8100], 0x0806, &[0; 46])), NEXT);
    assert_eq!(programs.run("up", &frame(CLIENT, &[0x8100; 3], 0x0800, &packet)), NEXT);
    assert_eq!(verdict(&bpf, "not_ip") - others, 2);
    assert_eq!(reading(&bpf).passed - before.passed, counted);

    // Somebody else's device, and a frame that ends in its header.
    assert_eq!(programs.run("up", &frame("02:00:00:00:00:99", &[], 0x0800, &packet)), DROP);
    assert_eq!(programs.run("up", &frame(CLIENT, &[0x88a8], 0x8100, &[])), DROP);
    assert_eq!(verdict(&bpf, "malformed"), 1);
}

#[test]
fn what_each_cpu_lets_through_is_one_sum() {
    let world = World::new("cpus");
    let mut bpf = world.open();
    let beside = [Slot(SLOT.0 - 1), Slot(SLOT.0 + 1)];
    bpf.install_all(&[entry(1, 10_000, 10_000), other(beside[0]), other(beside[1])]).unwrap();
    let programs = Programs::beside(&world);
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("some CPUs");
    let packet = frame(CLIENT, &[], 0x0800, &[0x45; 100]);
    let mut sent = 0;
    for cpu in (0..CpuSet::count()).filter(|cpu| cpus.is_set(*cpu).expect("it is in the set")) {
        let mut one = CpuSet::new();
        one.set(cpu).expect("it is in the set");
        sched_setaffinity(Pid::from_raw(0), &one).expect("a CPU that is there");
        for _ in 0..=cpu {
            assert_eq!(programs.run("up", &packet), NEXT);
            sent += 1;
        }
    }
    let passed = reading(&bpf).passed;
    assert_eq!((passed.up_packets, passed.up_bytes), (sent, sent * 100));
    for reading in bpf.read(&beside).unwrap() {
        assert_eq!(reading.passed, Counters::default());
    }

    // Who has the slot next begins at nothing.
    bpf.install(&other(SLOT)).unwrap();
    assert_eq!(reading(&bpf).passed, Counters::default());
}

/// Of a device that sends nothing.
fn other(slot: Slot) -> Entry {
    let device = u8::try_from(slot.0).expect("not that many");
    let id = SessionId::from_uuid(Uuid::from_u128(100 + u128::from(slot.0)));
    Entry::of_device(slot, id, Mac([2, 0, 0, 0, 9, device]), shape(10_000, 10_000))
}

#[test]
fn what_is_over_the_rate_is_refused_and_counted_apart() {
    let world = World::new("rate");
    let mut bpf = world.open();
    bpf.install(&entry(1, 1_000, 1_000)).unwrap();
    let programs = Programs::beside(&world);
    let before = reading(&bpf);
    let full = frame(CLIENT, &[], 0x0800, &[0x45; 1_500]);
    let refused = (0..100).filter(|_| programs.run("up", &full) == DROP).count();
    let after = reading(&bpf);
    let (passed, dropped) = (after.passed - before.passed, after.dropped - before.dropped);
    // 12 ms each: ten are saved up, twenty more wait at most 250 ms, and a few leave meanwhile.
    assert!((30..40).contains(&passed.up_packets), "{passed:?}");
    assert_eq!(u64::try_from(refused).unwrap(), dropped.up_packets);
    assert_eq!(passed.up_packets + dropped.up_packets, 100);
    assert_eq!(dropped.up_bytes, dropped.up_packets * 1_500);

    // The highest rate is none.
    bpf.install(&entry(1, u32::MAX, u32::MAX)).unwrap();
    assert!((0..1_000).all(|_| programs.run("up", &full) == NEXT));
    assert_eq!(bpf.observe().unwrap(), [entry(1, u32::MAX, u32::MAX)]);
}

/// An IPv4 packet in a frame to the device, or from it.
fn packet(device: &str, is_up: bool, ect: u8, protocol: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + rest.len()).expect("a packet");
    let mut ip =
        [&[0x45, ect][..], &length.to_be_bytes(), &[0, 0, 0, 0, 64, protocol, 0, 0]].concat();
    let (client, server) = ([10, 77, 0, 2], [10, 78, 0, 2]);
    ip.extend(if is_up { [client, server].concat() } else { [server, client].concat() });
    ip.extend(rest);
    let mut bytes = frame(device, &[], 0x0800, &ip);
    if !is_up {
        // Both devices, six octets each, change places.
        let (both, _) = bytes.split_at_mut(12);
        both.rotate_left(6);
    }
    bytes
}

#[test]
fn a_queue_that_stands_is_told_of_by_marks_or_by_drops() {
    let world = World::new("stands");
    let mut bpf = world.open();
    bpf.install(&entry(1, 1_000, 1_000)).unwrap();
    let programs = Programs::beside(&world);
    for (ect, reason) in [(2, "marked"), (0, "congested")] {
        let full = packet(CLIENT, true, ect, 17, &[0; 1_480]);
        let before = verdict(&bpf, reason);
        let start = Instant::now();
        // One each 12 ms is the rate; more stand in the queue until somebody slows down.
        while start.elapsed() < Duration::from_secs(1) {
            programs.run("up", &full);
            thread::sleep(Duration::from_millis(3));
        }
        assert!(verdict(&bpf, reason) > before, "{reason}: {:?}", bpf.verdicts());
        thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn multicast_to_nobody_and_slots_beyond_the_arrays_are_refused() {
    let world = World::new("beyond");
    let bpf = world.open();
    let programs = Programs::beside(&world);
    let group = packet("01:00:5e:00:00:05", false, 0, 17, &[0; 20]);
    assert_eq!(programs.run("down", &group), DROP);
    assert_eq!(verdict(&bpf, "group"), 1);

    let path = world.settings.pins.join(format!("v{}/map-DEVICES", layout::LAYOUT));
    let map = Map::HashMap(MapData::from_pin(path).expect("it is pinned"));
    let mut devices: HashMap<MapData, u64, u32> = map.try_into().expect("a hash map");
    let client: Mac = CLIENT.parse().expect("a MAC address");
    let device = layout::Device::from_mac(client.0);
    devices.insert(device.0, 999_999, 0).expect("room for one");
    // The programs look into that map where a bucket of the near one is full.
    let path = world.settings.pins.join(format!("v{}/map-NEAR", layout::LAYOUT));
    let map = Map::Array(MapData::from_pin(path).expect("it is pinned"));
    let mut near: Array<MapData, Bucket> = map.try_into().expect("an array");
    let bucket = Place::of(device, near.len().ilog2()).bucket;
    near.set(bucket, [u64::MAX; 4], 0).expect("the bucket is there");
    assert_eq!(programs.run("up", &packet(CLIENT, true, 0, 17, &[0; 20])), DROP);
    assert_eq!(verdict(&bpf, "no_slot"), 1);
}

#[test]
fn a_full_ring_of_events_is_counted() {
    let world = World::new("ring");
    let mut bpf = world.open();
    let mut events = bpf.events().expect("nobody has taken them");
    let garden = Garden {
        names: vec!["example.org".to_owned()],
        dns: vec!["10.78.0.2".parse().unwrap()],
        dns_kbps: None,
        ..Garden::default()
    };
    bpf.set_garden(&garden).unwrap();
    let programs = Programs::beside(&world);
    let answer = [&[0, 53, 200, 0, 1, 220, 0, 0][..], &[7; 468]].concat();
    let names = packet("02:00:00:00:00:55", false, 0, 17, &answer);
    for _ in 0..600 {
        assert_eq!(programs.run("down", &names), NEXT);
    }
    let mut told = 0;
    while let Some(notice) = events.take() {
        assert_eq!(notice, Notice::Names(vec![7; 468]));
        told += 1;
    }
    assert!((400..600).contains(&told), "{told}");
    assert_eq!(verdict(&bpf, "event_lost"), 600 - told);
}
