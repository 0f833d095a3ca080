//! Ethernet, up to two VLAN tags, ARP, IPv4 and IPv6, TCP and UDP: all that a packet's headers say,
//! read once (pure).
//!
//! Numbers are 32 bits wide although most fields are narrower: a narrower one LLVM masks again and
//! again, also where there is none, and the verifier minds.

use crate::{
    layout::{Address, Device},
    rtt::{self, Segment},
};

/// The bytes of a frame, from its destination address on.
pub trait Frame {
    type Piece<const SIZE: usize>: Piece;

    /// So many bytes in a row. `None`: they are not all there.
    fn piece<const SIZE: usize>(&self, at: usize) -> Option<Self::Piece<SIZE>>;
}

/// Bytes that are there; numbers as they lie in memory. What is asked for has to lie within: a
/// compiler, or the verifier, refuses it else.
pub trait Piece {
    fn byte<const AT: usize>(&self) -> u32;
    fn pair<const AT: usize>(&self) -> u32;
    fn word<const AT: usize>(&self) -> u32;
}

impl Frame for [u8] {
    type Piece<const SIZE: usize> = [u8; SIZE];

    fn piece<const SIZE: usize>(&self, at: usize) -> Option<[u8; SIZE]> {
        self.get(at..)?.first_chunk().copied()
    }
}

#[expect(clippy::indexing_slicing, reason = "constants, within the size by the trait's rule")]
impl<const SIZE: usize> Piece for [u8; SIZE] {
    fn byte<const AT: usize>(&self) -> u32 {
        self[AT].into()
    }

    fn pair<const AT: usize>(&self) -> u32 {
        u16::from_ne_bytes([self[AT], self[AT + 1]]).into()
    }

    fn word<const AT: usize>(&self) -> u32 {
        u32::from_ne_bytes([self[AT], self[AT + 1], self[AT + 2], self[AT + 3]])
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

/// What the headers say. What is not there is zero; but what is TCP's alone is left as it was where
/// the packet is of another protocol.
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
    /// TCP's: zeroes for others would cost each of them what they cost a packet of TCP.
    pub seq: u32,
    pub ack: u32,
    pub flags: u32,
    /// Length of TCP's header.
    pub tcp_header: u32,
}

impl Headers {
    /// Those of a link that carries IP and nothing around it. `None`: the packet ends too early.
    /// `is_whole`: what is behind the end is not there at all, and not only elsewhere.
    ///
    /// Each is written where it is read: carried along they would be too many for the registers.
    #[inline(always)]
    pub fn read_bare<F: Frame + ?Sized>(&mut self, packet: &F, is_whole: bool) -> Option<()> {
        (self.destination, self.source) = (Device::NONE, Device::NONE);
        let network = match packet.piece::<1>(0)?.byte::<0>() >> 4 {
            4 => Network::V4,
            6 => Network::V6,
            _ => Network::Other,
        };
        self.read_network(packet, (network, 0), is_whole)
    }

    #[inline(always)]
    pub fn read_ethernet<F: Frame + ?Sized>(&mut self, frame: &F, is_whole: bool) -> Option<()> {
        let link = frame.piece::<14>(0)?;
        self.destination = device::<0, 4>(&link);
        self.source = device::<6, 10>(&link);
        let (mut kind, mut at) = (link.pair::<12>(), 14);
        if is_tag(kind) {
            (kind, at) = (frame.piece::<2>(16)?.pair::<0>(), 18);
            if is_tag(kind) {
                (kind, at) = (frame.piece::<2>(20)?.pair::<0>(), 22);
            }
        }
        let network = match kind {
            IPV4 => Network::V4,
            IPV6 => Network::V6,
            ARP => Network::Arp,
            _ => Network::Other,
        };
        self.read_network(frame, (network, at), is_whole)
    }

    #[inline(always)]
    fn read_network<F: Frame + ?Sized>(
        &mut self,
        frame: &F,
        (network, at): (Network, u32),
        is_whole: bool,
    ) -> Option<()> {
        (self.network, self.at) = (network, at);
        // Where the transport header is, behind the beginning of this one; zero: nowhere.
        let mut transport = 0;
        match network {
            Network::V4 => {
                let ip = frame.piece::<20>(at as usize)?;
                self.from = Address::v4(ip.word::<12>());
                self.to = Address::v4(ip.word::<16>());
                self.declared = of_wire(ip.pair::<2>());
                self.ecn = ip.byte::<1>() & 3;
                self.protocol = ip.byte::<9>();
                if ip.pair::<6>() & FRAGMENT_OFFSET == 0 {
                    transport = (ip.byte::<0>() & 15) * 4;
                }
            }
            Network::V6 => {
                let ip = frame.piece::<40>(at as usize)?;
                self.from = address::<8, 12, 16, 20>(&ip);
                self.to = address::<24, 28, 32, 36>(&ip);
                self.declared = 40 + of_wire(ip.pair::<4>());
                self.ecn = ip.byte::<1>() >> 4 & 3;
                let mut protocol = ip.byte::<6>();
                transport = 40;
                // Multicast listener reports carry a router alert.
                if protocol == HOP_BY_HOP {
                    let options = frame.piece::<2>(at as usize + 40)?;
                    (protocol, transport) = (options.byte::<0>(), 48 + options.byte::<1>() * 8);
                }
                self.protocol = protocol;
                if protocol == FRAGMENT {
                    transport = 0;
                }
            }
            Network::Arp => {
                let arp = frame.piece::<28>(at as usize)?;
                self.from = Address::v4(arp.word::<14>());
                self.to = Address::v4(arp.word::<24>());
                (self.declared, self.ecn, self.protocol) = (0, 0, 0);
            }
            Network::Other => {
                (self.from, self.to) = (Address::NONE, Address::NONE);
                (self.declared, self.ecn, self.protocol) = (0, 0, 0);
            }
        }
        if transport == 0 {
            self.transport = 0;
            self.forget_transport();
            return Some(());
        }
        self.transport = at + transport;
        let is_read = self.read_transport(frame, (at + transport) as usize);
        if is_read.is_none() && is_whole {
            self.forget_transport();
            return Some(());
        }
        is_read
    }

    #[inline(always)]
    fn read_transport<F: Frame + ?Sized>(&mut self, frame: &F, at: usize) -> Option<()> {
        match self.protocol {
            UDP => {
                let udp = frame.piece::<4>(at)?;
                self.from_port = of_wire(udp.pair::<0>());
                self.to_port = of_wire(udp.pair::<2>());
                self.icmp = 0;
            }
            TCP => {
                let tcp = frame.piece::<14>(at)?;
                self.from_port = of_wire(tcp.pair::<0>());
                self.to_port = of_wire(tcp.pair::<2>());
                self.icmp = 0;
                self.seq = u32::from_be(tcp.word::<4>());
                self.ack = u32::from_be(tcp.word::<8>());
                self.flags = tcp.byte::<13>();
                self.tcp_header = (tcp.byte::<12>() >> 4) * 4;
            }
            ICMPV6 => {
                let icmp = frame.piece::<1>(at)?;
                (self.from_port, self.to_port) = (0, 0);
                self.icmp = icmp.byte::<0>();
            }
            _ => self.forget_ports(),
        }
        Some(())
    }

    #[inline(always)]
    const fn forget_ports(&mut self) {
        (self.from_port, self.to_port, self.icmp) = (0, 0, 0);
    }

    #[inline(always)]
    const fn forget_transport(&mut self) {
        self.forget_ports();
        (self.seq, self.ack, self.flags, self.tcp_header) = (0, 0, 0, 0);
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
    pub const fn segment(&self, octets: u32) -> Option<Segment> {
        if self.protocol != TCP || self.transport == 0 {
            return None;
        }
        let headers = self.transport - self.at + self.tcp_header;
        let payload = octets.saturating_sub(headers);
        Some(Segment {
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
fn device<const LOW: usize, const HIGH: usize>(link: &impl Piece) -> Device {
    Device(u64::from(link.word::<LOW>()) | u64::from(link.pair::<HIGH>()) << 32)
}

#[inline(always)]
fn address<const A: usize, const B: usize, const C: usize, const D: usize>(
    ip: &impl Piece,
) -> Address {
    Address([ip.word::<A>(), ip.word::<B>(), ip.word::<C>(), ip.word::<D>()])
}

/// The number in two bytes of a packet.
#[expect(clippy::cast_possible_truncation, reason = "they are two bytes")]
const fn of_wire(pair: u32) -> u32 {
    u16::from_be(pair as u16) as u32
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
