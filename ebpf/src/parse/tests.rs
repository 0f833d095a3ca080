//! Frames by hand, and any bytes.

extern crate std;

use proptest::prelude::*;
use std::{vec, vec::Vec};

use super::*;

const TO: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FROM: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn frame(tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = [TO, FROM].concat();
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 7]);
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0x02, 0, 0, 0, 0];
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol]);
    bytes.extend([0; 10]);
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0x30, 0, 0, 0, 0, next, 64];
    bytes.extend([0; 32]);
    bytes.extend(payload);
    bytes
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes(), [0; 2], [0; 2]].concat()
}

/// What a device without a session is allowed, going up and going down.
#[track_caller]
fn check(bytes: &[u8], up: Option<Bootstrap>, down: Option<Bootstrap>) {
    let ethernet = Ethernet::parse(bytes).unwrap();
    let transport = ethernet.transport(bytes).unwrap();
    for (from_device, expected) in [(true, up), (false, down)] {
        assert_eq!(transport.bootstrap(bytes, ethernet.network, from_device), expected);
    }
}

#[test]
fn tags_are_skipped_and_not_metered() {
    for (tags, at) in [(&[][..], 14), (&[VLAN][..], 18), (&[SERVICE_VLAN, VLAN][..], 22)] {
        let bytes = frame(tags, IPV4, &ipv4(UDP, 0, &udp(1, 2)));
        let ethernet = Ethernet::parse(&bytes[..]).unwrap();
        let (destination, source) = (Device::from_mac(TO), Device::from_mac(FROM));
        assert_eq!(ethernet, Ethernet { destination, source, network: Network::V4, at });
        assert_eq!(ethernet.ecn(&bytes[..]), Some(2));
        let transport = ethernet.transport(&bytes[..]).unwrap();
        assert_eq!(transport, Transport { protocol: UDP, at: at + 20 });
        assert_eq!(transport.payload(&bytes[..]), Some(at + 28));
    }
}

#[test]
fn ipv6_says_its_congestion_in_another_place() {
    let bytes = frame(&[], IPV6, &ipv6(TCP, &[0; 20]));
    let ethernet = Ethernet::parse(&bytes[..]).unwrap();
    assert_eq!(ethernet.network, Network::V6);
    assert_eq!(ethernet.ecn(&bytes[..]), Some(3));
}

#[test]
fn a_packet_says_how_long_it_is() {
    let mut bytes = frame(&[], IPV4, &ipv4(UDP, 0, &udp(1, 2)));
    bytes[16..18].copy_from_slice(&28_u16.to_be_bytes());
    assert_eq!(Ethernet::parse(&bytes[..]).unwrap().declared(&bytes[..]), Some(28));
    let mut bytes = frame(&[VLAN], IPV6, &ipv6(UDP, &udp(1, 2)));
    bytes[22..24].copy_from_slice(&8_u16.to_be_bytes());
    assert_eq!(Ethernet::parse(&bytes[..]).unwrap().declared(&bytes[..]), Some(48));
}

#[test]
fn what_is_not_ip_is_said_to_be_so() {
    let bytes = frame(&[], 0x0806, &[0; 28]);
    assert_eq!(Ethernet::parse(&bytes[..]).unwrap().network, Network::Other);
}

#[test]
fn a_stranger_gets_an_address() {
    let dhcp = |from, to| frame(&[], IPV4, &ipv4(UDP, 0, &udp(from, to)));
    check(&dhcp(68, 67), Some(Bootstrap::Anyone), None);
    check(&dhcp(67, 68), None, Some(Bootstrap::Anyone));
    let dhcpv6 = |from, to| frame(&[], IPV6, &ipv6(UDP, &udp(from, to)));
    check(&dhcpv6(546, 547), Some(Bootstrap::Anyone), None);
    check(&dhcpv6(547, 546), None, Some(Bootstrap::Anyone));
    // Each only in its own protocol.
    check(&frame(&[], IPV6, &ipv6(UDP, &udp(68, 67))), None, None);
}

#[test]
fn a_stranger_finds_its_neighbours() {
    for kind in [130, 133, 135, 136, 143] {
        let bytes = frame(&[], IPV6, &ipv6(ICMPV6, &[kind, 0, 0, 0]));
        check(&bytes, Some(Bootstrap::Anyone), Some(Bootstrap::Anyone));
    }
    // Behind a router alert.
    let alert = [ICMPV6, 0, 5, 2, 0, 0, 1, 0, 143, 0];
    let report = frame(&[], IPV6, &ipv6(HOP_BY_HOP, &alert));
    check(&report, Some(Bootstrap::Anyone), Some(Bootstrap::Anyone));
    check(&frame(&[], IPV6, &ipv6(ICMPV6, &[128, 0, 0, 0])), None, None);
}

#[test]
fn a_nas_speaks_with_this_host() {
    let packet = |from, to| frame(&[], IPV4, &ipv4(UDP, 0, &udp(from, to)));
    check(&packet(50_000, 1812), Some(Bootstrap::ThisHost), None);
    check(&packet(1813, 50_000), None, Some(Bootstrap::ThisHost));
    check(&packet(50_000, 3799), None, Some(Bootstrap::ThisHost));
    check(&packet(3799, 50_000), Some(Bootstrap::ThisHost), None);
    check(&packet(50_000, 53), None, None);
}

#[test]
fn the_rest_of_a_fragmented_packet_has_no_ports() {
    let bytes = frame(&[], IPV4, &ipv4(UDP, 5, &udp(68, 67)));
    assert_eq!(Ethernet::parse(&bytes[..]).unwrap().transport(&bytes[..]), None);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_end_too_early(bytes: Vec<u8>, up: bool) {
        if let Some(ethernet) = Ethernet::parse(&bytes[..]) {
            let _ = ethernet.ecn(&bytes[..]);
            let _ = ethernet.declared(&bytes[..]);
            if let Some(transport) = ethernet.transport(&bytes[..]) {
                let _ = transport.payload(&bytes[..]);
                let _ = transport.bootstrap(&bytes[..], ethernet.network, up);
            }
        }
    }
}
