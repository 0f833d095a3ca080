//! B12: whether anything gets through that must not.

use std::{net::Ipv4Addr, thread, time::Duration};

use edge_agent::dataplane::{Dataplane as _, Entry, Slot};
use shared::{id::SessionId, net::Mac, wire::latest::desired::Class};
use uuid::Uuid;

use crate::{
    Pace,
    flows::{CLIENT, SERVER},
    sheet::{Sheet, count, float},
    stand::Stand,
    system::{FAST, System},
    tcp::client,
    wire::Wire,
    world::{CLIENT as MAC, Side, shape},
};

const FRAMES: usize = 2_000;

pub(crate) fn measure(sheet: &mut Sheet, _pace: Pace) {
    let mut stand = Stand::new("refused", System::Police, &[client(FAST)], |_| {});
    let mut bpf = stand.bpf.take().expect("ours");
    let own: Mac = MAC.parse().expect("a MAC address");
    let stranger = Mac([2, 9, 9, 9, 9, 9]);
    let neighbour = Ipv4Addr::new(10, 77, 0, 9);
    let entry = |class| Entry {
        prefixes: vec!["10.77.0.2".parse().expect("an address")],
        is_bound: true,
        class,
        ..Entry::of_device(
            Slot(0),
            SessionId::from_uuid(Uuid::from_u128(1)),
            own,
            shape(FAST, FAST),
        )
    };
    let cases = [
        ("its own address", Class::Active, own, CLIENT, true),
        ("another address", Class::Active, own, neighbour, false),
        ("no session, the address of one", Class::Active, stranger, CLIENT, false),
        ("no session", Class::Active, stranger, neighbour, false),
        ("walled garden", Class::Garden, own, CLIENT, false),
        ("blocked", Class::Blocked, own, CLIENT, false),
    ];
    for (case, class, mac, from, may_pass) in cases {
        bpf.install(&entry(class)).expect("a session");
        let before = stand.world.counted(Side::Server, "eth0").received.packets;
        let frame = frame(mac, from);
        stand.world.inside(Side::Client, || {
            let wire = Wire::open("eth0");
            for _ in 0..FRAMES {
                assert!(wire.send(&frame), "the cable takes it");
            }
        });
        thread::sleep(Duration::from_millis(300));
        let arrived = stand.world.counted(Side::Server, "eth0").received.packets - before;
        let figure = if may_pass { "passed as it should" } else { "refused" };
        let passed = 100.0 * float(arrived) / count(FRAMES);
        let value = if may_pass { passed } else { 100.0 - passed };
        sheet.add((figure, "%"), case, stand.system.name(), value);
    }
}

/// UDP to a port of the server's, without a checksum.
fn frame(mac: Mac, from: Ipv4Addr) -> Vec<u8> {
    let mut ip =
        [[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0].as_slice(), &from.octets(), &SERVER.octets()]
            .concat();
    let sum = ip.chunks_exact(2).fold(0_u32, |sum, pair| {
        sum + pair.iter().fold(0, |word, octet| word << 8 | u32::from(*octet))
    });
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from(sum).expect("few words have few carries");
    ip.splice(10..12, sum.to_be_bytes());
    let gateway = [2, 0, 0, 0, 1, 0x77];
    [&gateway[..], &mac.0, &[8, 0], &ip, &[0x9c, 0x40, 0, 9, 0, 26, 0, 0], &[0; 18]].concat()
}
