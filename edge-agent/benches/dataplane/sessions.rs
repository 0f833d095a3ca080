//! B7: how long it takes until the kernel has a change, and what sessions take of memory.

use std::{
    collections::BTreeMap,
    fs, slice,
    time::{Duration, Instant},
};

use aya::maps::MapData;
use edge_agent::{
    dataplane::{Dataplane as _, Entry, Slot},
    settings::Muscle,
};
use shared::id::SessionId;
use uuid::Uuid;

use crate::{
    Pace,
    sheet::{Sheet, float, percentile, sorted},
    system::{crowd, entries},
    world::{Side, World, shape},
};

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    let cases: &[_] = if pace.is_quick {
        &[(1_000, Muscle::Htb, "ours, htb"), (10_000, Muscle::Police, "ours, police")]
    } else {
        &[
            (1_000, Muscle::Htb, "ours, htb"),
            (10_000, Muscle::Htb, "ours, htb"),
            (10_000, Muscle::Police, "ours, police"),
            (100_000, Muscle::Police, "ours, police"),
        ]
    };
    for (count, muscle, system) in cases {
        let mut world = World::new(&format!("sessions{}", count / 10));
        (world.settings.slots, world.settings.muscle) = (*count, Some(*muscle));
        let world = &world;
        world.inside(Side::Gateway, || sessions(sheet, world, *count, system));
    }
}

fn sessions(sheet: &mut Sheet, world: &World, count: u32, system: &'static str) {
    let mut bpf = world.open();
    let crowd = crowd(count, 10_000);
    // The first session of each slot, or the second one.
    let entries = |generation: u32, kbps: u32| -> Vec<Entry> {
        let mut entries = entries(&crowd, false);
        for (number, entry) in (0..).zip(&mut entries) {
            let number = u128::from(generation) << 64 | (number + 1);
            entry.session = SessionId::from_uuid(Uuid::from_u128(number));
            (entry.shape, entry.slow) = (shape(kbps, kbps), shape(kbps, kbps));
        }
        entries
    };
    let case = format!("{count} sessions");
    let mut add = |figure, unit, value| sheet.add((figure, unit), &case, system, value);
    let mut timed = |entries: &[Entry]| {
        let start = Instant::now();
        bpf.install_all(entries).expect("sessions");
        milliseconds(start.elapsed())
    };
    add("installed the first time", "ms", timed(&entries(1, 10_000)));
    for round in 0..7 {
        add("all changed at once", "ms", timed(&entries(1, 20_000 + round)));
    }
    for generation in 2..5 {
        add("all replaced by others", "ms", timed(&entries(generation, 20_000)));
    }
    let changed = entries(4, 30_000);
    let single = changed.iter().take(2_000).map(|entry| timed(slice::from_ref(entry)));
    let single = sorted(single.collect());
    add("one changed, p50", "ms", percentile(&single, 50));
    add("one changed, p99", "ms", percentile(&single, 99));
    add("one changed, longest", "ms", percentile(&single, 100));
    let slots: Vec<Slot> = (0..count).map(Slot).collect();
    for _ in 0..5 {
        let start = Instant::now();
        bpf.read(&slots).expect("readings");
        add("all counters read", "ms", milliseconds(start.elapsed()));
    }
    add("memory of the maps", "MiB", float(memory(world)) / 1_048_576.0);
    let start = Instant::now();
    bpf.remove(&slots).expect("readings");
    add("all removed", "ms", milliseconds(start.elapsed()));
}

/// What the kernel says that all pinned maps take.
fn memory(world: &World) -> u64 {
    let folder = world.settings.pins.join(format!("v{}", ebpf::layout::LAYOUT));
    let maps: Vec<MapData> = ebpf::layout::MAPS
        .iter()
        .map(|name| MapData::from_pin(folder.join(format!("map-{name}"))).expect("a pinned map"))
        .collect();
    let mut of_maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").expect("the kernel tells").flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            of_maps.insert(id, bytes);
        }
    }
    let of = |map: &MapData| of_maps.get(&u64::from(map.info().expect("it is open").id())).copied();
    maps.iter().map(|map| of(map).expect("the kernel tells of every map")).sum()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
