//! B6: one TCP flow without a limit, with super-packets and without.

use std::{thread, time::Duration};

use crate::{
    Pace,
    flows::{CLIENT, Flows, Kind, Way},
    sheet::Sheet,
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
        for _ in 0..pace.rounds(40) {
            let mut base = f64::NAN;
            for stand in &stands {
                let kind = Kind { way: Way::Down, count: 1, congestion: "cubic", pace: None };
                let flows = Flows::start(&stand.world, kind);
                thread::sleep(Duration::from_millis(100));
                let reached = flows.goodput(Duration::from_millis(250)) / 1e9;
                let name = stand.system.name();
                if stand.system == System::Nothing {
                    base = reached;
                }
                sheet.add(("one TCP flow, no limit", "Gbit/s"), case, name, reached);
                // Only what lies beside each other: the machine has better and worse seconds.
                sheet.add(("one TCP flow, no limit, ratio", "x"), case, name, reached / base);
            }
        }
    }
}

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
