//! The topology.
//!
//! ```text
//!  s1 eth0 ─┐             lan: a switch              edge              internet
//!  s2 eth0 ─┼─ isolated ports of a bridge ─ lan0 ┤ forwards ├ wan0 ─ eth0 ┤ iperf3 │
//!  s3 eth0 ─┘   (as access points do it)
//! ```
//!
//! [`Network::manage`] adds a wire between switch and edge, for a NAS that is a machine of its own.
//!
//! Every wire is a veth pair between two namespaces; none ends in the host's. Two things make an
//! interface's counters comparable with the kernel programs' to the byte: neighbours are written
//! down and ARP, neighbour discovery and multicast reports are off, so that nothing but the
//! subscriber's own packets is on the wire; and segmentation offload is off on the subscribers'
//! and the edge's LAN links, so that each packet is one frame with one header.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    process::Command,
};

use anyhow::Result;

use crate::{
    lab::{Counters, Lab, Namespace},
    workspace,
};

/// Whether the internet's side sends super-packets into the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    Off,
    On,
}

#[derive(Debug)]
pub struct Network {
    /// The access points between subscribers and edge.
    pub switch: Namespace,
    pub edge: Namespace,
    pub internet: Namespace,
    pub seats: Vec<Seat>,
}

/// Where one subscriber sits: a namespace with one interface.
#[derive(Clone, Debug)]
pub struct Seat {
    pub namespace: Namespace,
    /// As RADIUS writes it: `02-6B-6E-00-00-01`.
    pub mac: String,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Seat {
    /// Its interface's counters: what the subscriber itself can know.
    pub fn counters(&self) -> Result<Counters> {
        self.namespace.counters(INTERFACE)
    }
}

impl Network {
    pub fn build(lab: &Lab, subscribers: u8, offload: Offload) -> Result<Self> {
        Self::build_at(lab, "", 1..=subscribers, offload)
    }

    /// Another site, far from the first: with the same addresses, but devices of these numbers.
    /// `site` ends the names of its namespaces.
    pub fn build_at(
        lab: &Lab,
        site: &str,
        seats_of: RangeInclusive<u8>,
        offload: Offload,
    ) -> Result<Self> {
        let switch = lab.namespace(&format!("lan{site}"))?;
        let edge = lab.namespace(&format!("edge{site}"))?;
        let internet = lab.namespace(&format!("internet{site}"))?;
        for namespace in [&switch, &edge, &internet] {
            namespace.settings(QUIET)?;
        }
        switch.settings(&[("ipv6/conf/default/disable_ipv6", "1")])?;
        internet.settings(HOST)?;

        switch.ip([
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0".to_owned(),
            "link set br0 up".to_owned(),
            wire("edge", None, &edge, "lan0", LAN_MAC),
            "link set edge master br0 up".to_owned(),
        ])?;
        switch.bridge([format!("fdb replace {LAN_MAC} dev edge master static")])?;
        edge.ip([wire("wan0", Some(WAN_MAC), &internet, INTERFACE, INTERNET_MAC)])?;

        let mut seats = Vec::new();
        for number in seats_of.clone() {
            let namespace = lab.namespace(&format!("s{number}"))?;
            namespace.settings(QUIET)?;
            namespace.settings(HOST)?;
            let seat = Seat {
                namespace,
                mac: format!("02-6B-6E-00-00-{number:02X}"),
                v4: Ipv4Addr::new(10, 64, 0, 10 + number),
                v6: Ipv6Addr::new(0xfd6b, 0x6e, 1, 0, 0, 0, 0, 0x10 + u16::from(number)),
            };
            let (port, mac) = (format!("s{number}"), link_layer(&seat.mac));
            switch.ip([
                wire(&port, None, &seat.namespace, INTERFACE, &mac),
                format!("link set {port} master br0 up"),
                format!("link set {port} type bridge_slave isolated on flood off mcast_flood off"),
            ])?;
            switch.bridge([format!("fdb replace {mac} dev {port} master static")])?;
            let mut lines = interface(INTERFACE, &[(seat.v4.into(), 24), (seat.v6.into(), 64)]);
            lines.extend(neighbours(INTERFACE, LAN_MAC, &[LAN_V4.into(), LAN_V6.into()]));
            lines.extend(defaults(LAN_V4, LAN_V6));
            seat.namespace.ip(lines)?;
            seats.push(seat);
        }

        let mut lines = interface("lan0", &[(LAN_V4.into(), 24), (LAN_V6.into(), 64)]);
        lines.extend(interface("wan0", &[(WAN_V4.into(), 30), (WAN_V6.into(), 64)]));
        lines.extend(neighbours("wan0", INTERNET_MAC, &[SERVER_V4.into(), SERVER_V6.into()]));
        for seat in &seats {
            let mac = link_layer(&seat.mac);
            lines.extend(neighbours("lan0", &mac, &[seat.v4.into(), seat.v6.into()]));
        }
        edge.ip(lines)?;
        edge.settings(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])?;

        let mut lines = interface(INTERFACE, &[(SERVER_V4.into(), 30), (SERVER_V6.into(), 64)]);
        lines.extend(neighbours(INTERFACE, WAN_MAC, &[WAN_V4.into(), WAN_V6.into()]));
        lines.extend(defaults(WAN_V4, WAN_V6));
        internet.ip(lines)?;

        let mut exact = vec![(&edge, "lan0"), (&switch, "edge")];
        exact.extend(seats.iter().map(|seat| (&seat.namespace, INTERFACE)));
        if offload == Offload::Off {
            exact.extend([(&edge, "wan0"), (&internet, INTERFACE)]);
        }
        for (namespace, interface) in exact {
            workspace::output(namespace.command("ethtool").args(["-K", interface]).args(OFFLOADS))?;
        }
        for number in seats_of {
            let mut command: Command = switch.command("ethtool");
            workspace::output(command.args(["-K", &format!("s{number}")]).args(OFFLOADS))?;
        }
        Ok(Self { switch, edge, internet, seats })
    }

    /// A wire of its own between switch and edge, for what they say to each other.
    pub fn manage(&self) -> Result<()> {
        self.switch.ip([
            format!("link add edge1 type veth peer name switch1 netns {}", self.edge.name()),
            format!("address add {SWITCH_V4}/30 dev edge1"),
            "link set edge1 up".to_owned(),
        ])?;
        self.edge
            .ip([format!("address add {EDGE_V4}/30 dev switch1"), "link set switch1 up".to_owned()])
    }
}

/// The name of the switch's port for the seat of this number; the first is 1.
pub fn port(seat: usize) -> String {
    format!("s{seat}")
}

/// A veth pair; the other end is in another namespace.
fn wire(name: &str, mac: Option<&str>, other: &Namespace, peer: &str, peer_mac: &str) -> String {
    let mac = mac.map(|mac| format!("address {mac} ")).unwrap_or_default();
    let other = other.name();
    format!("link add {name} {mac}type veth peer name {peer} address {peer_mac} netns {other}")
}

/// ARP off before there are addresses: so the kernel joins no multicast group and reports none.
fn interface(name: &str, addresses: &[(IpAddr, u8)]) -> Vec<String> {
    let mut lines =
        vec![format!("link set {name} arp off addrgenmode none"), format!("link set {name} up")];
    for (address, length) in addresses {
        lines.push(format!("address add {address}/{length} dev {name}"));
    }
    lines
}

fn neighbours(interface: &str, mac: &str, addresses: &[IpAddr]) -> Vec<String> {
    let line =
        |address| format!("neighbour replace {address} lladdr {mac} dev {interface} nud permanent");
    addresses.iter().map(line).collect()
}

fn defaults(v4: Ipv4Addr, v6: Ipv6Addr) -> [String; 2] {
    [format!("route add default via {v4}"), format!("route add ::/0 via {v6}")]
}

fn link_layer(mac: &str) -> String {
    mac.replace('-', ":").to_lowercase()
}

/// No duplicate address detection, no link-local addresses, no router solicitations.
const QUIET: &[(&str, &str)] = &[
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

/// Congestion is told by marks rather than by loss, and no connection learns from the last one.
const HOST: &[(&str, &str)] = &[("ipv4/tcp_ecn", "1"), ("ipv4/tcp_no_metrics_save", "1")];

const OFFLOADS: [&str; 6] = ["tso", "off", "gso", "off", "gro", "off"];

/// What a host calls its only interface.
const INTERFACE: &str = "eth0";

const LAN_MAC: &str = "02:6b:6e:00:01:01";
const WAN_MAC: &str = "02:6b:6e:00:01:02";
const INTERNET_MAC: &str = "02:6b:6e:00:01:03";

const LAN_V4: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const LAN_V6: Ipv6Addr = Ipv6Addr::new(0xfd6b, 0x6e, 1, 0, 0, 0, 0, 1);
const WAN_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const WAN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x6b6e, 0, 0, 0, 0, 1);

/// The ends of [`Network::manage`]'s wire.
pub const SWITCH_V4: Ipv4Addr = Ipv4Addr::new(10, 65, 0, 2);
pub const EDGE_V4: Ipv4Addr = Ipv4Addr::new(10, 65, 0, 1);

/// The server in the internet.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x6b6e, 0, 0, 0, 0, 2);
