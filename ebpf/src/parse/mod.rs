//! Ethernet, up to two VLAN tags, ARP, IPv4 and IPv6, TCP and UDP: all that a packet's headers say,
//! read once (pure).
//!
//! Numbers are 32 bits wide although most fields are narrower: a narrower one LLVM masks again and
//! again, also where there is none, and the verifier minds.

use crate::{
    layout::{Address, Device},
    rtt::{self, Segment},
};

/// The bytes of a frame, from its destination address on; numbers as they lie in memory.
pub trait Frame {
    fn byte(&self, at: usize) -> Option<u32>;
    fn pair(&self, at: usize) -> Option<u32>;
    fn word(&self, at: usize) -> Option<u32>;
}

impl Frame for [u8] {
    fn byte(&self, at: usize) -> Option<u32> {
        self.get(at).copied().map(u32::from)
    }

    fn pair(&self, at: usize) -> Option<u32> {
        self.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes).into())
    }

    fn word(&self, at: usize) -> Option<u32> {
        self.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    V4,
    V6,
    Arp,
    #[default]
    Other,
}

/// What the headers say. What is not there is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    pub destination: Device,
    pub source: Device,
    pub network: Network,
    /// Where the network header starts: what is before is not metered.
    pub at: u32,
    /// Of ARP, whose address it tells of.
    pub from: Address,
    pub to: Address,
    /// How long the packet says it is. A short frame is filled up to what a cable needs, and what
    /// fills it up is nobody's traffic: routers cut it off.
    pub declared: u32,
    /// The two bits of RFC 3168.
    pub ecn: u32,
    /// What follows the network header, also where that is in another fragment.
    pub protocol: u32,
    /// Where it starts; zero in a fragment that does not begin the packet.
    pub transport: u32,
    pub from_port: u32,
    pub to_port: u32,
    /// Type of ICMPv6.
    pub icmp: u32,
    /// TCP's.
    pub seq: u32,
    pub ack: u32,
    pub flags: u32,
    /// Length of TCP's header.
    pub tcp_header: u32,
}

impl Headers {
    /// Those of a link that carries IP and nothing around it. `None`: the packet ends too early.
    /// `is_whole`: what is behind the end is not there at all, and not only elsewhere.
    #[inline(always)]
    pub fn bare<F: Frame + ?Sized>(packet: &F, is_whole: bool) -> Option<Self> {
        let network = match packet.byte(0)? >> 4 {
            4 => Network::V4,
            6 => Network::V6,
            _ => Network::Other,
        };
        Self::behind(packet, (Device::NONE, Device::NONE), (network, 0), is_whole)
    }

    #[inline(always)]
    pub fn ethernet<F: Frame + ?Sized>(frame: &F, is_whole: bool) -> Option<Self> {
        let devices = (device(frame, 0)?, device(frame, 6)?);
        let (mut kind, mut at) = (frame.pair(12)?, 14);
        if is_tag(kind) {
            (kind, at) = (frame.pair(16)?, 18);
            if is_tag(kind) {
                (kind, at) = (frame.pair(20)?, 22);
            }
        }
        let network = match kind {
            IPV4 => Network::V4,
            IPV6 => Network::V6,
            ARP => Network::Arp,
            _ => Network::Other,
        };
        Self::behind(frame, devices, (network, at), is_whole)
    }

    #[inline(always)]
    fn behind<F: Frame + ?Sized>(
        frame: &F,
        (destination, source): (Device, Device),
        (network, at): (Network, u32),
        is_whole: bool,
    ) -> Option<Self> {
        let ip = Ip::read(frame, network, at as usize)?;
        let transport = if ip.transport == 0 {
            Transport::default()
        } else {
            let read = Transport::read(frame, ip.protocol, (at + ip.transport) as usize);
            if is_whole { read.unwrap_or_default() } else { read? }
        };
        Some(Self {
            destination,
            source,
            network,
            at,
            from: ip.from,
            to: ip.to,
            declared: ip.declared,
            ecn: ip.ecn,
            protocol: ip.protocol,
            transport: if ip.transport == 0 { 0 } else { at + ip.transport },
            from_port: transport.from_port,
            to_port: transport.to_port,
            icmp: transport.icmp,
            seq: transport.seq,
            ack: transport.ack,
            flags: transport.flags,
            tcp_header: transport.header,
        })
    }

    /// Where the payload of TCP or UDP starts.
    #[inline(always)]
    pub const fn payload(&self) -> Option<u32> {
        match (self.protocol, self.transport) {
            (_, 0) => None,
            (TCP, at) => Some(at + self.tcp_header),
            (UDP, at) => Some(at + 8),
            _ => None,
        }
    }

    /// The end of the way that is not the subscriber's.
    #[inline(always)]
    pub const fn there(&self, is_up: bool) -> Address {
        if is_up { self.to } else { self.from }
    }

    /// Which flow of a device it is; the same both ways.
    #[inline(always)]
    pub const fn flow(&self, is_up: bool) -> u32 {
        let (here, there) =
            if is_up { (self.from_port, self.to_port) } else { (self.to_port, self.from_port) };
        let rest = self.there(is_up).low() ^ self.protocol;
        rtt::flow_hash(here, there, rest)
    }

    /// Of TCP, what tells how long it takes; `octets` is the length of the packet, of a
    /// super-packet with all that it carries but one header.
    #[inline(always)]
    pub const fn segment(&self, octets: u32, is_up: bool) -> Option<Segment> {
        if self.protocol != TCP || self.transport == 0 {
            return None;
        }
        let headers = self.transport - self.at + self.tcp_header;
        let payload = octets.saturating_sub(headers);
        Some(Segment {
            flow: self.flow(is_up),
            seq: self.seq,
            ack: self.ack,
            length: payload + self.counted(),
            has_ack: self.flags & ACK != 0,
        })
    }

    /// Flags that an acknowledgement counts as an octet each.
    #[inline(always)]
    pub const fn counted(&self) -> u32 {
        (self.flags & FIN) + ((self.flags & SYN) >> 1)
    }

    /// What a device without access is after.
    #[inline(always)]
    pub const fn request(&self, is_up: bool) -> Request {
        let (here, there) =
            if is_up { (self.from_port, self.to_port) } else { (self.to_port, self.from_port) };
        match (self.protocol, self.network) {
            _ if self.transport == 0 => Request::Other,
            (UDP, Network::V4) if here == 68 && there == 67 => Request::Bootstrap,
            (UDP, Network::V6) if here == 546 && there == 547 => Request::Bootstrap,
            // A NAS on the LAN: authentication, accounting, and what we tell it (RFC 5176).
            (UDP, _) if there == 1812 || there == 1813 || here == 3799 => Request::ThisHost,
            (UDP | TCP, _) if there == 53 => Request::Names,
            (TCP, _) if there == 80 => Request::Web,
            (TCP, _) => Request::Tcp,
            // Neighbour and router discovery; multicast listener discovery, without which a switch
            // that snoops forgets who wants to be discovered.
            (ICMPV6, _) if (self.icmp >= 130 && self.icmp <= 137) || self.icmp == 143 => {
                Request::Bootstrap
            }
            _ => Request::Other,
        }
    }
}

/// The network header.
#[derive(Default)]
struct Ip {
    from: Address,
    to: Address,
    declared: u32,
    ecn: u32,
    protocol: u32,
    /// Its length; zero if no transport header follows.
    transport: u32,
}

impl Ip {
    #[inline(always)]
    fn read<F: Frame + ?Sized>(frame: &F, network: Network, at: usize) -> Option<Self> {
        match network {
            Network::V4 => {
                // Version and header length, type of service, total length.
                let [version, tos, high, low] = frame.word(at)?.to_ne_bytes();
                let is_first = frame.pair(at + 6)? & FRAGMENT_OFFSET == 0;
                let header = (u32::from(version) & 15) * 4;
                Some(Self {
                    from: Address::v4(frame.word(at + 12)?),
                    to: Address::v4(frame.word(at + 16)?),
                    declared: u32::from(high) << 8 | u32::from(low),
                    ecn: u32::from(tos) & 3,
                    protocol: frame.byte(at + 9)?,
                    transport: if is_first { header } else { 0 },
                })
            }
            Network::V6 => {
                let [_, low, _, _] = frame.word(at)?.to_ne_bytes();
                let [length_high, length_low, next, _] = frame.word(at + 4)?.to_ne_bytes();
                let (mut protocol, mut transport) = (u32::from(next), 40);
                // Multicast listener reports carry a router alert.
                if protocol == HOP_BY_HOP {
                    let [next, length, _, _] = frame.word(at + 40)?.to_ne_bytes();
                    (protocol, transport) = (next.into(), 48 + u32::from(length) * 8);
                }
                Some(Self {
                    from: address(frame, at + 8)?,
                    to: address(frame, at + 24)?,
                    declared: 40 + (u32::from(length_high) << 8 | u32::from(length_low)),
                    ecn: u32::from(low) >> 4 & 3,
                    protocol,
                    transport: if protocol == FRAGMENT { 0 } else { transport },
                })
            }
            Network::Arp => Some(Self {
                from: Address::v4(frame.word(at + 14)?),
                to: Address::v4(frame.word(at + 24)?),
                ..Self::default()
            }),
            Network::Other => Some(Self::default()),
        }
    }
}

/// The transport header.
#[derive(Default)]
struct Transport {
    from_port: u32,
    to_port: u32,
    icmp: u32,
    seq: u32,
    ack: u32,
    flags: u32,
    header: u32,
}

impl Transport {
    #[inline(always)]
    fn read<F: Frame + ?Sized>(frame: &F, protocol: u32, at: usize) -> Option<Self> {
        match protocol {
            TCP | UDP => {
                let [a, b, c, d] = frame.word(at)?.to_ne_bytes();
                let ports = Self {
                    from_port: u32::from(a) << 8 | u32::from(b),
                    to_port: u32::from(c) << 8 | u32::from(d),
                    ..Self::default()
                };
                if protocol == UDP {
                    return Some(ports);
                }
                let [offset, flags, _, _] = frame.pair(at + 12)?.to_le_bytes();
                Some(Self {
                    seq: u32::from_be(frame.word(at + 4)?),
                    ack: u32::from_be(frame.word(at + 8)?),
                    flags: flags.into(),
                    header: u32::from(offset >> 4) * 4,
                    ..ports
                })
            }
            ICMPV6 => Some(Self { icmp: frame.pair(at)? & 0xff, ..Self::default() }),
            _ => Some(Self::default()),
        }
    }
}

/// What a device without access is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An address, its neighbours: never forwarded by its nature, or harmless when it is.
    Bootstrap,
    /// Something that only this very host answers.
    ThisHost,
    /// The domain name system.
    Names,
    /// HTTP without TLS.
    Web,
    /// Other TCP.
    Tcp,
    Other,
}

#[inline(always)]
fn device<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Device> {
    Some(Device(u64::from(frame.word(at)?) | u64::from(frame.pair(at + 4)?) << 32))
}

#[inline(always)]
fn address<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Address> {
    Some(Address([frame.word(at)?, frame.word(at + 4)?, frame.word(at + 8)?, frame.word(at + 12)?]))
}

const fn is_tag(kind: u32) -> bool {
    kind == VLAN || kind == SERVICE_VLAN
}

/// As two bytes lie on the wire and are read as a number of this host's.
const fn wire(number: u16) -> u32 {
    number.to_be() as u32
}

const IPV4: u32 = wire(0x0800);
const ARP: u32 = wire(0x0806);
const IPV6: u32 = wire(0x86dd);
const VLAN: u32 = wire(0x8100);
const SERVICE_VLAN: u32 = wire(0x88a8);
const FRAGMENT_OFFSET: u32 = wire(0x1fff);

const HOP_BY_HOP: u32 = 0;
pub const TCP: u32 = 6;
pub const UDP: u32 = 17;
const FRAGMENT: u32 = 44;
const ICMPV6: u32 = 58;

/// Flags of TCP.
pub const FIN: u32 = 1;
pub const SYN: u32 = 2;
pub const RST: u32 = 4;
pub const ACK: u32 = 16;

#[cfg(test)]
mod tests;
