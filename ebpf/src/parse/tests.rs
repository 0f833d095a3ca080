//! Frames by hand, and any bytes.

extern crate std;

use core::net::{Ipv4Addr, Ipv6Addr};
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

fn ipv4(protocol: u32, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap();
    let mut bytes = [&[0x45, 0x02][..], &length.to_be_bytes(), &[0, 0]].concat();
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, u8::try_from(protocol).unwrap(), 0, 0]);
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut bytes = [&[0x60, 0x30, 0, 0][..], &length.to_be_bytes()].concat();
    bytes.extend([u8::try_from(next).unwrap(), 64]);
    bytes.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend(payload);
    bytes
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes(), [0; 2], [0; 2]].concat()
}

fn tcp(flags: u32, payload: usize) -> Vec<u8> {
    let mut bytes = [50_000_u16.to_be_bytes(), 443_u16.to_be_bytes()].concat();
    bytes.extend(1_000_u32.to_be_bytes());
    bytes.extend(2_000_u32.to_be_bytes());
    bytes.extend([6 << 4, u8::try_from(flags).unwrap(), 0, 0, 0, 0, 0, 0, 1, 1, 1, 0]);
    bytes.resize(24 + payload, 7);
    bytes
}

fn ethernet(bytes: &[u8], is_whole: bool) -> Option<Headers> {
    over_any(|headers| headers.read_ethernet(bytes, is_whole))
}

fn bare(bytes: &[u8], is_whole: bool) -> Option<Headers> {
    over_any(|headers| headers.read_bare(bytes, is_whole))
}

/// Nothing is left of the headers that were in the same memory before, but what is TCP's.
fn over_any(read: impl Fn(&mut Headers) -> Option<()>) -> Option<Headers> {
    let address = Address([9; 4]);
    let mut before = Headers {
        destination: Device(9),
        source: Device(9),
        network: Network::V6,
        at: 9,
        from: address,
        to: address,
        declared: 9,
        ecn: 9,
        protocol: 9,
        transport: 9,
        from_port: 9,
        to_port: 9,
        icmp: 9,
        seq: 9,
        ack: 9,
        flags: 9,
        tcp_header: 9,
    };
    let mut empty = Headers::default();
    let is_read = read(&mut empty);
    assert_eq!(read(&mut before), is_read);
    if empty.protocol != TCP {
        let Headers { seq, ack, flags, tcp_header, .. } = empty;
        before = Headers { seq, ack, flags, tcp_header, ..before };
    }
    is_read.map(|()| assert_eq!(before, empty))?;
    Some(empty)
}

#[track_caller]
fn read(bytes: &[u8]) -> Headers {
    ethernet(bytes, false).unwrap()
}

#[track_caller]
fn check(bytes: &[u8], up: Request, down: Request) {
    assert_eq!((read(bytes).request(true), read(bytes).request(false)), (up, down));
}

#[test]
fn tags_are_skipped_and_not_metered() {
    for (tags, at) in [(&[][..], 14), (&[0x8100][..], 18), (&[0x88a8, 0x8100][..], 22)] {
        let headers = read(&frame(tags, 0x0800, &ipv4(UDP, 0, &udp(1, 2))));
        assert_eq!(headers.destination, Device::from_mac(TO));
        assert_eq!(headers.source, Device::from_mac(FROM));
        assert_eq!((headers.network, headers.at, headers.ecn), (Network::V4, at, 2));
        assert_eq!((headers.declared, headers.transport), (28, at + 20));
        assert_eq!((headers.from_port, headers.to_port), (1, 2));
        assert_eq!(headers.payload(), Some(at + 28));
    }
}

#[test]
fn addresses_are_read_as_keys() {
    let headers = read(&frame(&[], 0x0800, &ipv4(UDP, 0, &udp(1, 2))));
    let v4 = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped().octets();
    assert_eq!(headers.from.octets(), v4("10.0.0.1"));
    assert_eq!(headers.there(true).octets(), v4("10.0.0.2"));
    let headers = read(&frame(&[], 0x86dd, &ipv6(UDP, &udp(1, 2))));
    let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(headers.from.octets(), v6("2001:db8::1"));
    assert_eq!(headers.there(false).octets(), v6("2001:db8::1"));
    assert_eq!((headers.ecn, headers.declared), (3, 48));
}

#[test]
fn a_link_may_carry_ip_alone() {
    let headers = bare(&ipv6(TCP, &tcp(ACK, 5))[..], false).unwrap();
    assert_eq!((headers.at, headers.transport, headers.source), (0, 40, Device::NONE));
    let headers = bare(&ipv4(UDP, 0, &udp(1, 2))[..], false).unwrap();
    assert_eq!((headers.network, headers.to_port), (Network::V4, 2));
    assert_eq!(bare(&[0x15, 0, 0, 0][..], false).unwrap().network, Network::Other);
}

#[test]
fn what_tcp_says_is_read() {
    let headers = read(&frame(&[], 0x0800, &ipv4(TCP, 0, &tcp(ACK | SYN, 100))));
    assert_eq!((headers.seq, headers.ack), (1_000, 2_000));
    assert_eq!((headers.flags, headers.tcp_header), (ACK | SYN, 24));
    let segment = headers.segment(headers.declared).unwrap();
    assert_eq!((segment.length, segment.has_ack), (101, true));
    // The same flow both ways.
    let mut back = ipv4(TCP, 0, &tcp(ACK, 0));
    back[12..20].copy_from_slice(&[10, 0, 0, 2, 10, 0, 0, 1]);
    back[20..24].copy_from_slice(&[443_u16.to_be_bytes(), 50_000_u16.to_be_bytes()].concat());
    let back = read(&frame(&[], 0x0800, &back));
    assert_eq!(back.flow(false), headers.flow(true));
    assert_ne!(back.flow(true), headers.flow(true));
}

#[test]
fn arp_tells_of_an_address() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 2];
    arp.extend([FROM, [10, 0, 0, 9, 0, 0]].concat());
    arp.resize(28, 0);
    let headers = read(&frame(&[], 0x0806, &arp));
    assert_eq!(headers.network, Network::Arp);
    assert_eq!(headers.from.octets()[12..], [10, 0, 0, 9]);
    assert_eq!(read(&frame(&[], 0x1234, &[0; 28])).network, Network::Other);
}

#[test]
fn a_stranger_gets_an_address() {
    let dhcp = |from, to| frame(&[], 0x0800, &ipv4(UDP, 0, &udp(from, to)));
    check(&dhcp(68, 67), Request::Bootstrap, Request::Other);
    check(&dhcp(67, 68), Request::Other, Request::Bootstrap);
    let dhcpv6 = |from, to| frame(&[], 0x86dd, &ipv6(UDP, &udp(from, to)));
    check(&dhcpv6(546, 547), Request::Bootstrap, Request::Other);
    check(&dhcpv6(547, 546), Request::Other, Request::Bootstrap);
    // Each only in its own protocol.
    check(&dhcpv6(68, 67), Request::Other, Request::Other);
}

#[test]
fn a_stranger_finds_its_neighbours() {
    for kind in [130, 133, 135, 136, 143] {
        let bytes = frame(&[], 0x86dd, &ipv6(ICMPV6, &[kind, 0, 0, 0]));
        check(&bytes, Request::Bootstrap, Request::Bootstrap);
    }
    // Behind a router alert.
    let alert = [58, 0, 5, 2, 0, 0, 1, 0, 143, 0];
    let report = frame(&[], 0x86dd, &ipv6(HOP_BY_HOP, &alert));
    check(&report, Request::Bootstrap, Request::Bootstrap);
    check(&frame(&[], 0x86dd, &ipv6(ICMPV6, &[128, 0])), Request::Other, Request::Other);
}

#[test]
fn what_somebody_is_after_is_seen_both_ways() {
    let packet = |from, to| frame(&[], 0x0800, &ipv4(UDP, 0, &udp(from, to)));
    check(&packet(50_000, 1812), Request::ThisHost, Request::Other);
    check(&packet(1813, 50_000), Request::Other, Request::ThisHost);
    check(&packet(50_000, 3799), Request::Other, Request::ThisHost);
    check(&packet(3799, 50_000), Request::ThisHost, Request::Other);
    check(&packet(50_000, 53), Request::Names, Request::Other);
    check(&packet(53, 50_000), Request::Other, Request::Names);
    let mut page = ipv4(TCP, 0, &tcp(SYN, 0));
    page[22..24].copy_from_slice(&80_u16.to_be_bytes());
    check(&frame(&[], 0x0800, &page), Request::Web, Request::Tcp);
}

#[test]
fn the_rest_of_a_fragmented_packet_has_no_ports() {
    let headers = read(&frame(&[], 0x0800, &ipv4(UDP, 5, &udp(68, 67))));
    assert_eq!((headers.protocol, headers.transport, headers.from_port), (UDP, 0, 0));
    assert_eq!(headers.request(true), Request::Other);
    assert_eq!(headers.payload(), None);
}

#[test]
fn what_is_elsewhere_is_not_what_is_not_there() {
    let bytes = frame(&[], 0x0800, &ipv4(TCP, 0, &tcp(ACK, 0)));
    let cut = &bytes[..40];
    assert_eq!(ethernet(cut, false), None);
    let headers = ethernet(cut, true).unwrap();
    assert_eq!((headers.protocol, headers.from_port, headers.tcp_header), (TCP, 0, 0));
    assert_eq!(ethernet(&bytes[..30], true), None);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_end_too_early(bytes: Vec<u8>, up: bool, is_whole: bool) {
        for headers in [ethernet(&bytes[..], is_whole), bare(&bytes[..], is_whole)]
            .into_iter()
            .flatten()
        {
            let _ = headers.payload();
            let _ = headers.request(up);
            let _ = headers.segment(headers.declared);
        }
    }
}
