//! B8: whether what was counted is what arrived, to the octet.

use crate::{
    Pace,
    sheet::{Sheet, float},
    stand::{Stand, reading},
    system::System,
    tcp::client,
    world::{Counted, Side},
};

const ALL: &[System] = &[System::Htb, System::Police];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    for system in ALL {
        let stand = Stand::new("exact", *system, &[client(200_000)], |_| {});
        let bpf = stand.bpf.as_ref().expect("ours");
        // Cut up after the queues: interfaces count what is on a cable.
        for interface in ["lan0", "wan0"] {
            stand.world.segmentation(Side::Gateway, interface, false);
        }
        for (packets, is_super) in [("super-packets", true), ("1,500 bytes", false)] {
            for side in [Side::Client, Side::Server] {
                stand.world.segmentation(side, "eth0", is_super);
            }
            for host in ["10.78.0.2", "fd78::2"] {
                let ends = || {
                    // It waits for interfaces alone: the session is in another slot.
                    stand.world.settle(bpf);
                    let reading = reading(bpf);
                    let end = |side| stand.world.counted(side, "eth0");
                    (reading, end(Side::Client), end(Side::Server))
                };
                let (before, client, server) = ends();
                let length = if pace.is_quick { "3M" } else { "30M" };
                for direction in ["", "-R"] {
                    stand.world.transfer(host, &format!("-n {length} {direction}"));
                }
                let (after, client_after, server_after) = ends();
                let passed = after.passed - before.passed;
                let counted = [
                    Counted { bytes: passed.down_bytes, packets: passed.down_packets },
                    Counted { bytes: passed.up_bytes, packets: passed.up_packets },
                ];
                let arrived = [
                    client_after.since(client).received.of_ip(),
                    server_after.since(server).received.of_ip(),
                ];
                for ((counted, arrived), way) in counted.iter().zip(arrived).zip(["down", "up"]) {
                    let version = if host.contains(':') { "IPv6" } else { "IPv4" };
                    let case = format!("{version} {way}, {packets}");
                    let name = system.name();
                    let bytes = counted.bytes.abs_diff(arrived.bytes);
                    let packets = counted.packets.abs_diff(arrived.packets);
                    sheet.add(("octets counted", ""), &case, name, float(counted.bytes));
                    sheet.add(("octets counted wrong", ""), &case, name, float(bytes));
                    sheet.add(("packets counted wrong", ""), &case, name, float(packets));
                }
            }
        }
    }
}
