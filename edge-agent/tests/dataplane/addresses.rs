//! Sessions that are told by their addresses, and addresses that are not one's own.

use edge_agent::dataplane::{Dataplane as _, Entry, Garden, Slot, bpf::Bpf};
use shared::net::Prefix;

use crate::world::{Side, World, entry, shape, verdict};

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn of_prefixes(slot: u32, session: u128, prefixes: &[&str]) -> Entry {
    Entry {
        slot: Slot(slot),
        mac: None,
        prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
        ..entry(session, 50_000, 50_000)
    }
}

/// Packets up and down that the slot has counted.
fn packets(bpf: &Bpf, slot: u32) -> (u64, u64) {
    let readings = bpf.read(&[Slot(slot)]).expect("a slot");
    let passed = readings.first().expect("one for one").passed;
    (passed.up_packets, passed.down_packets)
}

#[test]
fn a_session_is_told_by_an_address_or_a_prefix() {
    let world = World::new("prefix");
    let mut bpf = world.open();
    for (number, (prefixes, host)) in [
        (&["10.77.0.2"][..], "10.78.0.2"),
        (&["10.77.0.0/28"][..], "10.78.0.2"),
        (&["fd77::2"][..], "fd78::2"),
        (&["fd77::/64"][..], "fd78::2"),
        (&["fd77::/56", "10.77.0.2"][..], "fd78::2"),
    ]
    .into_iter()
    .enumerate()
    {
        let slot = u32::try_from(number).unwrap() + 10;
        let session = of_prefixes(slot, u128::from(slot), prefixes);
        bpf.install(&session).unwrap();
        world.at(Side::Client, &format!("ping -c 2 -i 0.1 -W 1 {host}"));
        assert_eq!(packets(&bpf, slot), (2, 2), "{prefixes:?}");
        let mut found = bpf.observe().unwrap();
        found.retain(|entry| entry.slot == Slot(slot));
        found[0].prefixes.sort_unstable();
        let mut expected = session.clone();
        expected.prefixes.sort_unstable();
        assert_eq!(found, [expected]);
        bpf.remove(&[Slot(slot)]).unwrap();
        assert!(world.fails(Side::Client, &format!("ping -c 1 -W 1 {host}")), "{prefixes:?}");
    }
    // The longest prefix wins, and a device goes before its address.
    bpf.install(&of_prefixes(20, 20, &["10.77.0.0/16"])).unwrap();
    bpf.install(&of_prefixes(21, 21, &["10.77.0.0/24"])).unwrap();
    world.at(Side::Client, "ping -c 1 -W 1 10.78.0.2");
    assert_eq!((packets(&bpf, 20), packets(&bpf, 21)), ((0, 0), (1, 1)));
    bpf.set_garden(&Garden { anti_spoof: false, ..Garden::default() }).unwrap();
    bpf.install(&entry(1, 50_000, 50_000)).unwrap();
    world.at(Side::Client, "ping -c 1 -W 1 10.78.0.2");
    assert_eq!((packets(&bpf, 3), packets(&bpf, 21)), ((1, 1), (1, 1)));
}

#[test]
fn nobody_sends_from_what_is_anothers() {
    let world = World::new("spoof");
    let mut bpf = world.open();
    bpf.set_garden(&Garden::default()).unwrap();
    let ping = |from: &str| {
        let bound = format!("ping -c 1 -W 1 -I {from} 10.78.0.2");
        !world.fails(Side::Client, &bound)
    };
    for address in ["10.77.0.7", "10.77.0.8"] {
        world.at(Side::Client, &format!("ip addr add {address}/24 dev eth0"));
        let neighbour = format!("{address} lladdr 02:00:00:00:00:77 nud permanent dev lan0");
        world.at(Side::Gateway, &format!("ip neigh replace {neighbour}"));
    }
    // A device that is not bound sends from any address that is nobody else's.
    bpf.install(&entry(1, 50_000, 50_000)).unwrap();
    assert!(ping("10.77.0.2") && ping("10.77.0.7"));
    let other = Entry {
        mac: Some("02:00:00:00:00:99".parse().unwrap()),
        is_bound: true,
        ..of_prefixes(30, 30, &["10.77.0.7"])
    };
    bpf.install(&other).unwrap();
    assert!(ping("10.77.0.2") && ping("10.77.0.8"));
    assert!(!ping("10.77.0.7"), "that is the other's");
    assert_eq!(verdict(&bpf, "spoofed"), 1);
    assert_eq!(packets(&bpf, 30), (0, 0));

    // Nor does one without a session.
    bpf.remove(&[Slot(3)]).unwrap();
    let before = verdict(&bpf, "spoofed");
    assert!(!ping("10.77.0.7"));
    assert_eq!((packets(&bpf, 30), verdict(&bpf, "spoofed")), ((0, 0), before + 1));

    // One that is bound sends from its own only; of IPv6 nothing was said.
    let bound =
        Entry { prefixes: vec![prefix("10.77.0.2")], is_bound: true, ..entry(1, 50_000, 50_000) };
    bpf.install(&bound).unwrap();
    assert!(ping("10.77.0.2"));
    assert!(!ping("10.77.0.8"));
    assert_eq!(verdict(&bpf, "spoofed"), 3);
    world.at(Side::Client, "ping -c 1 -W 1 fd78::2");

    // Nor does it tell others that it had another's address.
    world.at(Side::Client, "ip neigh flush all");
    let known = || world.at(Side::Gateway, "ip neigh show dev lan0");
    world.at(Side::Gateway, "ip neigh del 10.77.0.7 dev lan0");
    assert!(!ping("10.77.0.7"));
    assert!(!known().contains("10.77.0.7 lladdr 02:00:00:00:00:77"), "{}", known());
    assert!(verdict(&bpf, "spoofed") > 3);
}

#[test]
fn a_link_that_carries_ip_alone_is_metered_and_shaped() {
    let mut world = World::new("bare");
    // A tunnel over the cable to the client: no device is to be seen in it.
    let tunnel = |inner: &str| format!("TUN:{inner}/24,up,tun-name=tun1,iff-no-pi");
    let _here = world.start(
        Side::Gateway,
        &format!("socat UDP-LISTEN:7000,bind=10.77.0.1 {}", tunnel("10.79.0.1")),
    );
    world.wait_for(Side::Gateway, "ss -Hlun sport = :7000", "7000");
    let _there =
        world.start(Side::Client, &format!("socat UDP:10.77.0.1:7000 {}", tunnel("10.79.0.2")));
    world.wait_for(Side::Client, "ip addr show", "10.79.0.2");
    // The first packet through it lets the other end know where this one is.
    world.at(Side::Client, "ip route replace 10.78.0.0/24 dev tun1 src 10.79.0.2");
    let _first = world.fails(Side::Client, "ping -c 1 -W 1 10.79.0.1");
    world.wait_for(Side::Gateway, "ip addr show", "10.79.0.1");
    world.settings.lan = vec!["tun1".to_owned()];
    let mut bpf = world.open();
    assert!(world.fails(Side::Client, "ping -c 1 -W 1 10.78.0.2"));
    bpf.install(&of_prefixes(7, 7, &["10.79.0.2"])).unwrap();
    world.at(Side::Client, "ping -c 3 -i 0.1 -W 1 10.78.0.2");
    assert_eq!(packets(&bpf, 7), (3, 3));
    let passed = bpf.read(&[Slot(7)]).unwrap()[0].passed;
    assert_eq!((passed.up_bytes, passed.down_bytes), (3 * 84, 3 * 84));
    assert_eq!(bpf.observe().unwrap()[0].shape, shape(50_000, 50_000));
}
