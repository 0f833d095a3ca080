//! Refusals that the device hears of: without them, a browser waits for minutes.
//!
//! TCP is reset, UDP gets "administratively prohibited" (RFC 1812 §5.2.7.1, RFC 4443 §3.1). The
//! packet itself becomes the answer and goes back out.

use aya_ebpf::helpers;

use super::{maps, packet::Packet, time};
use crate::{
    clock::Arrival,
    parse::{ACK, Frame as _, Headers, Network, Piece as _, RST, TCP, UDP},
};

/// What the program returns for the answer; `None` where there is none.
#[inline(always)]
pub fn answer(packet: &Packet, headers: &Headers) -> Option<i32> {
    if make(packet, headers) == 0 {
        return None;
    }
    packet.set_fwmark(OURS);
    Some(packet.send_back())
}

/// Turns the packet into its answer; zero: there is none. A function of its own: of the stack there
/// are 512 bytes for all that have called each other.
#[inline(never)]
fn make(packet: &Packet, headers: &Headers) -> u64 {
    if headers.destination.is_group() || headers.transport == 0 || packet.is_super() {
        return 0;
    }
    let is_made = match headers.protocol {
        TCP => headers.flags & RST == 0 && may_answer() && reset(packet, headers),
        UDP => may_answer() && prohibited(packet, headers),
        _ => false,
    };
    is_made.into()
}

/// Whether this is such an answer, on its way out. The mark is taken off.
#[inline(always)]
pub fn is_ours(packet: &Packet) -> bool {
    if packet.fwmark() != OURS {
        return false;
    }
    packet.set_fwmark(0);
    true
}

/// A thousand in a second on each CPU, fifty at once: who sends without end is not our amplifier.
#[inline(always)]
fn may_answer() -> bool {
    let Some(clock) = maps::refusals() else { return false };
    let Arrival { base, delay } = Arrival::at(time::about(), clock.load(), 50 * EACH);
    if delay == 0 {
        clock.store(base + EACH);
    }
    delay == 0
}

/// RFC 9293 §3.10.7.1: a reset for a segment that has nowhere to go.
#[inline(always)]
fn reset(packet: &Packet, headers: &Headers) -> bool {
    let at = headers.transport as usize;
    // Of what it carries only SYN and FIN are acknowledged: nobody resets a connection that is
    // just being made with data, and one that stands has an acknowledgement to be reset with.
    let (seq, ack, flags) = if headers.flags & ACK != 0 {
        (headers.ack, 0, RST)
    } else {
        (0, headers.seq.wrapping_add(headers.counted()), RST | ACK)
    };
    let checksum = at + 16;
    let offset = headers.tcp_header << 10;
    let Some(before) = packet.piece::<2>(at + 12).map(|it| it.pair::<0>()) else { return false };
    let after = u32::from(((offset | flags) as u16).to_be());
    let (ports, swapped) =
        ((headers.from_port as u16).to_be_bytes(), (headers.to_port as u16).to_be_bytes());
    // Both ends change places: the sums stay as they are.
    packet.mend_transport(checksum, (headers.seq.to_be(), seq.to_be()), 4, false)
        && packet.mend_transport(checksum, (headers.ack.to_be(), ack.to_be()), 4, false)
        && packet.mend_transport(checksum, (before, after), 2, false)
        && packet.store(at + 4, &seq.to_be_bytes())
        && packet.store(at + 8, &ack.to_be_bytes())
        && packet.store(at + 12, &(after as u16).to_ne_bytes())
        && packet.store(at, &swapped)
        && packet.store(at + 2, &ports)
        && swap_addresses(packet, headers)
        && swap_devices(packet, headers)
}

#[inline(always)]
fn swap_addresses(packet: &Packet, headers: &Headers) -> bool {
    let at = headers.at as usize;
    match headers.network {
        Network::V4 => {
            packet.store(at + 12, &headers.to.low().to_ne_bytes())
                && packet.store(at + 16, &headers.from.low().to_ne_bytes())
        }
        Network::V6 => {
            packet.store(at + 8, &headers.to.octets())
                && packet.store(at + 24, &headers.from.octets())
        }
        Network::Arp | Network::Other => false,
    }
}

#[inline(always)]
fn swap_devices(packet: &Packet, headers: &Headers) -> bool {
    headers.at == 0
        || (packet.store(0, &headers.source.mac()) && packet.store(6, &headers.destination.mac()))
}

/// The packet's beginning, behind new headers; not of packets with tags or options.
#[inline(always)]
fn prohibited(packet: &Packet, headers: &Headers) -> bool {
    let link = headers.at as usize;
    if link != 0 && link != ETHERNET {
        return false;
    }
    match headers.network {
        Network::V4 if headers.transport == headers.at + 20 => prohibited_v4(packet, headers, link),
        Network::V6 if headers.transport == headers.at + 40 => prohibited_v6(packet, headers, link),
        Network::V4 | Network::V6 | Network::Arp | Network::Other => false,
    }
}

#[inline(always)]
fn prohibited_v4(packet: &Packet, headers: &Headers, link: usize) -> bool {
    const QUOTED: usize = 28;
    if !packet.truncate(link + QUOTED) || !packet.prepend(28) {
        return false;
    }
    // ICMP with the quoted header and eight bytes.
    let mut message = [0_u8; 8 + QUOTED];
    (message[0], message[1]) = (3, 13);
    // SAFETY: as many bytes are behind the first eight.
    if !unsafe { packet.copy(message.as_mut_ptr().add(8), link + 28, QUOTED) } {
        return false;
    }
    let [high, low] = sum(&message, 0);
    let [a, b, c, d] = headers.to.low().to_ne_bytes();
    let [e, f, g, h] = headers.from.low().to_ne_bytes();
    let mut ip = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, a, b, c, d, e, f, g, h];
    (ip[10], ip[11]) = sum(&ip, 0).into();
    packet.store(link, &ip)
        && packet.store(link + 20, &[3, 13, high, low, 0, 0, 0, 0])
        && put_ethernet(packet, headers, [0x08, 0x00])
}

#[inline(always)]
fn prohibited_v6(packet: &Packet, headers: &Headers, link: usize) -> bool {
    const QUOTED: usize = 48;
    if !packet.truncate(link + QUOTED) || !packet.prepend(48) {
        return false;
    }
    let mut message = [0_u8; 8 + QUOTED];
    (message[0], message[1]) = (1, 1);
    // SAFETY: as many bytes are behind the first eight.
    if !unsafe { packet.copy(message.as_mut_ptr().add(8), link + 48, QUOTED) } {
        return false;
    }
    // The pseudo-header (RFC 8200 §8.1): addresses, length, next header.
    let pseudo = add(&headers.to.octets(), add(&headers.from.octets(), 0));
    let pseudo = add(&[0, 0, 0, 56, 0, 0, 0, 58], pseudo);
    let [high, low] = sum(&message, pseudo);
    packet.store(link, &[0x60, 0, 0, 0, 0, 56, 58, 64])
        && packet.store(link + 8, &headers.to.octets())
        && packet.store(link + 24, &headers.from.octets())
        && packet.store(link + 40, &[1, 1, high, low, 0, 0, 0, 0])
        && put_ethernet(packet, headers, [0x86, 0xdd])
}

#[inline(always)]
fn put_ethernet(packet: &Packet, headers: &Headers, kind: [u8; 2]) -> bool {
    headers.at == 0
        || (packet.store(0, &headers.source.mac())
            && packet.store(6, &headers.destination.mac())
            && packet.store(12, &kind))
}

/// The checksum of the internet (RFC 1071) over `bytes`, as it lies in a packet.
#[inline(always)]
fn sum<const N: usize>(bytes: &[u8; N], seed: u32) -> [u8; 2] {
    let all = add(bytes, seed);
    let all = (all & 0xffff) + (all >> 16);
    let all = (all & 0xffff) + (all >> 16);
    (!(all as u16)).to_ne_bytes()
}

#[inline(always)]
fn add<const N: usize>(bytes: &[u8; N], seed: u32) -> u32 {
    // SAFETY: reads `N` bytes of the stack, which are initialised; `N` is a multiple of four.
    unsafe {
        helpers::generated::bpf_csum_diff(
            core::ptr::null_mut(),
            0,
            bytes.as_ptr().cast_mut().cast(),
            N as u32,
            seed,
        ) as u32
    }
}

/// "KNAN".
const OURS: u32 = 0x4b4e_414e;

/// A millisecond.
const EACH: u64 = 1_000_000;

const ETHERNET: usize = 14;
