//! Upgrades from an older layout, interfaces that come and go, and round-trip times.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use aya::{
    EbpfLoader,
    maps::{Array, HashMap},
    programs::{LinkOrder, SchedClassifier, TcAttachType, links::FdLink, tc::TcAttachOptions},
};
use ebpf::layout::{Device, v1};
use edge_agent::dataplane::{Dataplane as _, bpf::Reader};
use uuid::Uuid;

use crate::{
    traffic::udp,
    world::{Counted, Side, World, entry, reading, verdict},
};

const FAST: u32 = 200_000;

/// The programs as they were released with layout 1, for the client's session.
fn older(world: &World) -> PathBuf {
    let folder = world.settings.pins.join(format!("v{}", v1::LAYOUT));
    fs::create_dir_all(&folder).expect("a folder on the BPF file system");
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for name in [v1::DEVICES, v1::SESSIONS, v1::STATES, "VERDICTS", v1::HOST] {
        loader.map_pin_path(name, folder.join(format!("map-{name}")));
    }
    for name in [v1::DEVICES, v1::SESSIONS, v1::STATES] {
        loader.map_max_entries(name, 1_024);
    }
    let object = include_bytes!("fixtures/shape-v1");
    let mut programs = loader.load(object).expect("it was released");
    let (high, low) = Uuid::from_u128(1).as_u64_pair();
    let client = entry(1, FAST, FAST);
    let device = Device::from_mac(client.mac.expect("a device's").0).0;
    let limit = [0, u64::from(FAST) << 32];
    let session = [high, low, device, 0, limit[0], limit[1], limit[0], limit[1]];
    let map = programs.map_mut(v1::SESSIONS).expect("a map");
    let mut sessions: Array<_, [u64; v1::SESSION_WORDS]> = map.try_into().expect("an array");
    sessions.set(client.slot.0, session, 0).expect("a slot");
    let map = programs.map_mut(v1::DEVICES).expect("a map");
    let mut devices: HashMap<_, u64, u32> = map.try_into().expect("a hash map");
    devices.insert(device, client.slot.0, 0).expect("a device");
    for (name, side) in [("up", TcAttachType::Ingress), ("down", TcAttachType::Egress)] {
        let program: &mut SchedClassifier =
            programs.program_mut(name).expect(name).try_into().expect(name);
        program.load().expect(name);
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let link = program.attach_with_options("lan0", side, order).expect(name);
        let link: FdLink = program.take_link(link).expect(name).try_into().expect(name);
        link.pin(folder.join(format!("link-lan0-{name}"))).expect("a pin");
    }
    folder
}

#[test]
fn an_upgrade_to_another_layout_in_the_middle_of_a_transfer_loses_nothing() {
    if !has_links() {
        println!("not run: this kernel has no tcx, and layout 1 needed it");
        return;
    }
    let world = World::new("upgrade");
    world.settle_segmentation();
    let folder = older(&world);
    let before = world.counted(Side::Client, "eth0");
    let stop = AtomicBool::new(false);
    let bpf = thread::scope(|scope| {
        scope.spawn(|| {
            // At most: it must end when the other thread has failed.
            for _ in 0..2_000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                udp(&world, Side::Client, "10.78.0.2:9", 500, None);
            }
        });
        thread::sleep(Duration::from_millis(500));
        let mut bpf = world.open();
        let mut session = entry(1, FAST, FAST);
        session.slow = session.shape;
        assert_eq!(bpf.observe().unwrap(), [session.clone()]);
        bpf.install(&session).unwrap();
        thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        bpf
    });
    let end = world.settle(&bpf);
    let client = world.counted(Side::Client, "eth0").since(before);
    let seen = end.passed + end.dropped;
    let seen = Counted { bytes: seen.up_bytes, packets: seen.up_packets };
    assert_eq!(seen, client.sent.of_ip());
    assert!(seen.packets > 1_000, "{seen:?}");
    assert_eq!(verdict(&bpf, "unknown_device"), 0);
    assert!(!folder.exists(), "nothing of the older one is left");
}

fn has_links() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

#[test]
fn an_interface_that_was_gone_is_taken_up_again() {
    let world = World::new("again");
    let mut bpf = world.open();
    let session = entry(1, 10_000, 10_000);
    bpf.install(&session).unwrap();
    world.at(Side::Client, "ping -c 2 -i 0.1 -W 1 10.78.0.2");
    assert_eq!(bpf.reattach().unwrap(), Vec::<String>::new());
    let before = reading(&bpf);
    world.at(Side::Gateway, "ip link del lan0");
    assert_eq!(bpf.reattach().unwrap(), Vec::<String>::new());
    world.wire_client();
    // Now everybody gets through; from here on the session again.
    world.at(Side::Client, "ping -c 1 -W 1 10.78.0.2");
    assert_eq!(bpf.reattach().unwrap(), ["lan0"]);
    assert_eq!(bpf.reattach().unwrap(), Vec::<String>::new());
    world.at(Side::Client, "ping -c 2 -i 0.1 -W 1 10.78.0.2");
    let after = reading(&bpf);
    assert_eq!((after.passed - before.passed).up_packets, 2);
    let queues = world.at(Side::Gateway, "tc qdisc show dev lan0");
    assert!(["htb 4b44:", "fq 4b44:"].iter().any(|ours| queues.contains(ours)), "{queues}");
}

#[test]
fn a_bridge_is_a_lan_too() {
    let mut world = World::new("bridge");
    world.at(Side::Gateway, "ip addr flush dev lan0");
    world.at(Side::Gateway, "ip link add br0 address 02:00:00:00:01:77 type bridge");
    world.at(Side::Gateway, "ip link set lan0 master br0");
    world.at(Side::Gateway, "ip link set br0 up");
    world.at(Side::Gateway, "ip addr add 10.77.0.1/24 dev br0");
    world.at(
        Side::Gateway,
        "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:77 nud permanent dev br0",
    );
    world.settings.lan = vec!["br0".to_owned()];
    let mut bpf = world.open();
    assert!(world.fails(Side::Client, "ping -c 1 -W 1 10.78.0.2"));
    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    world.at(Side::Client, "ping -c 2 -i 0.1 -W 2 10.78.0.2");
    assert_eq!(reading(&bpf).passed.down_packets, 2);
}

#[test]
fn round_trip_times_are_seen_in_passing() {
    let world = World::new("rtt");
    let mut bpf = world.open();
    bpf.install(&entry(1, 20_000, 20_000)).unwrap();
    world.goodput(3, "-R");
    let rtt = bpf.rtts(&[entry(1, 1, 1).slot]).unwrap()[0];
    let internet = rtt.to_internet().expect("acknowledgements of the client's segments");
    let subscriber = rtt.to_subscriber().expect("acknowledgements of the download");
    // A cable and two programs, on a machine that does other things; the download waits in its own
    // queue, some 15 ms.
    assert!(internet.p50_us < 100_000, "{internet:?}");
    assert!((500..200_000).contains(&subscriber.p50_us), "{subscriber:?}");
    assert!(subscriber.p95_us >= subscriber.p50_us);
    let reader = Reader::open(Path::new(&world.settings.pins)).unwrap();
    assert_eq!(reader.rtt(entry(1, 1, 1).slot).unwrap().to_internet(), Some(internet));
}
