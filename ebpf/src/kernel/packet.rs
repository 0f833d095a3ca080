//! The packet that a program was called for.

use core::{
    arch::asm,
    cmp::min,
    mem::{self, offset_of},
};

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_PSEUDO_HDR, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NOT_FWDED,
        bpf_fib_lookup,
    },
    helpers,
    programs::TcContext,
};

use super::maps;
use crate::{
    layout::{Address, Direction},
    parse::{Frame, Headers, Network, Piece},
};

pub struct Packet(*mut __sk_buff);

/// A field of the context, in exactly the one instruction that the verifier takes: LLVM would add
/// the offset to the address first, join neighbouring fields, or cut an address to 32 bits.
macro_rules! field {
    ($packet:expr, $name:ident) => {{
        let value: u64;
        // SAFETY: the kernel's context, valid while the program runs; the verifier knows it.
        unsafe {
            asm!(
                "{value} = *(u32 *)({context} + {offset})",
                value = out(reg) value,
                context = in(reg) $packet.0,
                offset = const offset_of!(__sk_buff, $name),
                options(nostack, preserves_flags)
            );
        }
        value
    }};
}

/// A number in a piece of the packet.
macro_rules! load {
    ($bits:literal, $piece:expr, $at:expr) => {{
        let value: u64;
        // SAFETY: the verifier has followed the comparison that the piece was made by.
        unsafe {
            asm!(
                concat!("{value} = *(", $bits, " *)({address} + {at})"),
                value = out(reg) value,
                address = in(reg) $piece.0,
                at = const $at,
                options(nostack, preserves_flags, readonly)
            );
        }
        value as u32
    }};
}

macro_rules! set_field {
    ($packet:expr, $name:ident, $value:expr) => {{
        // SAFETY: as in `field`, and one that programs may write.
        unsafe {
            asm!(
                "*(u32 *)({context} + {offset}) = {value}",
                context = in(reg) $packet.0,
                value = in(reg) u64::from($value),
                offset = const offset_of!(__sk_buff, $name),
                options(nostack, preserves_flags)
            );
        }
    }};
}

/// What is metered.
#[derive(Clone, Copy)]
pub struct Size {
    /// Of IP, in all segments.
    pub octets: u64,
    /// Packets on the wire.
    pub segments: u64,
    /// Octets with the headers of a super-packet counted once.
    pub once: u32,
}

impl Frame for Packet {
    type Piece<const SIZE: usize> = Room;

    #[inline(always)]
    fn piece<const SIZE: usize>(&self, at: usize) -> Option<Room> {
        // The verifier wants a bound; no header lies behind it.
        if at > OFFSET_MAX {
            return None;
        }
        let address = field!(self, data) as usize + at;
        if address + SIZE > field!(self, data_end) as usize { None } else { Some(Room(address)) }
    }
}

/// The address in memory of bytes that are there.
#[derive(Clone, Copy)]
pub struct Room(usize);

impl Piece for Room {
    #[inline(always)]
    fn byte<const AT: usize>(&self) -> u32 {
        load!("u8", self, AT)
    }

    #[inline(always)]
    fn pair<const AT: usize>(&self) -> u32 {
        load!("u16", self, AT)
    }

    #[inline(always)]
    fn word<const AT: usize>(&self) -> u32 {
        load!("u32", self, AT)
    }
}

impl Packet {
    pub fn new(context: &TcContext) -> Self {
        Self(context.skb.skb)
    }

    #[inline(always)]
    pub const fn of(context: *mut __sk_buff) -> Self {
        Self(context)
    }

    #[inline(always)]
    pub const fn context(&self) -> *mut __sk_buff {
        self.0
    }

    /// All that its headers say. Those that are not in the linear part are brought there, once.
    #[inline(always)]
    pub fn headers(&self) -> Option<&'static Headers> {
        let link = maps::link();
        // SAFETY: this CPU's own memory, and this program is the only one that runs on it.
        let headers = unsafe { &mut *maps::headers()? };
        if read_headers(self, link, headers) == 0 {
            let whole = self.len();
            let wanted = if whole < HEADERS_MAX { whole } else { HEADERS_MAX };
            // SAFETY: no address in the packet is kept across this.
            let pulled = unsafe { helpers::generated::bpf_skb_pull_data(self.0, wanted) };
            if pulled != 0 || read_whole_headers(self, link, headers) == 0 {
                return None;
            }
        }
        Some(headers)
    }

    #[inline(always)]
    pub fn len(&self) -> u32 {
        field!(self, len) as u32
    }

    /// A super-packet counts as the packets that it becomes.
    #[inline(always)]
    pub fn size(&self, headers: &Headers, direction: Direction) -> Size {
        let whole = self.len();
        let before = headers.at;
        let payload_max = field!(self, gso_size) as u32;
        if payload_max == 0 {
            let octets = min(headers.declared, whole.saturating_sub(before));
            return Size { octets: octets.into(), segments: 1, once: octets };
        }
        let once = whole.saturating_sub(before);
        let counted = field!(self, gso_segs) as u32;
        if matches!(direction, Direction::Down) && counted != 0 {
            // The kernel has done it for its queues; on the way in it has not.
            let wire = field!(self, wire_len) as u32;
            let octets = wire.saturating_sub(counted * before);
            return Size { octets: octets.into(), segments: counted.into(), once };
        }
        let payload = headers.payload().unwrap_or(headers.at);
        let segments = match counted {
            // From a guest, for example: nobody has counted yet.
            0 => whole.saturating_sub(payload).div_ceil(payload_max).max(1),
            counted => counted,
        };
        let repeated = payload.saturating_sub(before) * (segments - 1);
        Size { octets: u64::from(once + repeated), segments: segments.into(), once }
    }

    /// Marks "congestion experienced"; `false` where the sender does not understand that.
    #[inline(always)]
    pub fn mark(&self) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe { helpers::generated::bpf_skb_ecn_set_ce(self.0) != 0 }
    }

    /// Held back by `fq` until then, also where it goes out after it was forwarded.
    #[inline(always)]
    pub fn leave_at(&self, at: u64) {
        // SAFETY: no address in the packet is kept across this.
        let _refused_is_not_delayed = unsafe {
            helpers::generated::bpf_skb_set_tstamp(self.0, at, BPF_SKB_TSTAMP_DELIVERY_MONO)
        };
    }

    #[inline(always)]
    pub fn fwmark(&self) -> u32 {
        field!(self, mark) as u32
    }

    #[inline(always)]
    pub fn set_fwmark(&self, mark: u32) {
        set_field!(self, mark, mark);
    }

    /// Out of the interface that it came in by.
    #[inline(always)]
    pub fn send_back(&self) -> i32 {
        let index = field!(self, ifindex) as u32;
        // SAFETY: takes numbers.
        unsafe { helpers::generated::bpf_redirect(index, 0) as i32 }
    }

    /// `N` bytes in the place of those at `at`. Checksums stay as they are.
    #[inline(always)]
    pub fn store<const N: usize>(&self, at: usize, bytes: &[u8; N]) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe {
            helpers::generated::bpf_skb_store_bytes(
                self.0,
                at as u32,
                bytes.as_ptr().cast(),
                N as u32,
                0,
            ) == 0
        }
    }

    /// Into memory of the program's own: `length` bytes of the packet, which the verifier must see
    /// not to be zero.
    ///
    /// # Safety
    ///
    /// `to` has room for as many.
    #[inline(always)]
    pub unsafe fn copy(&self, to: *mut u8, at: usize, length: usize) -> bool {
        // SAFETY: by the caller.
        unsafe {
            helpers::generated::bpf_skb_load_bytes(
                self.0.cast_const().cast(),
                at as u32,
                to.cast(),
                length as u32,
            ) == 0
        }
    }

    /// Mends a checksum of the network header for a field of 32 bits that changes.
    #[inline(always)]
    pub fn mend_network(&self, checksum: usize, from: u32, to: u32) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe {
            helpers::generated::bpf_l3_csum_replace(
                self.0,
                checksum as u32,
                u64::from(from),
                u64::from(to),
                4,
            ) == 0
        }
    }

    /// Mends a checksum of the transport header; of a field of `size` bytes, in the pseudo-header
    /// or in what follows it.
    #[inline(always)]
    pub fn mend_transport(
        &self,
        checksum: usize,
        (from, to): (u32, u32),
        size: u64,
        is_pseudo: bool,
    ) -> bool {
        let pseudo = if is_pseudo { u64::from(BPF_F_PSEUDO_HDR) } else { 0 };
        // SAFETY: no address in the packet is kept across this.
        unsafe {
            helpers::generated::bpf_l4_csum_replace(
                self.0,
                checksum as u32,
                u64::from(from),
                u64::from(to),
                size | pseudo,
            ) == 0
        }
    }

    /// Cuts the packet off behind `length` bytes.
    #[inline(always)]
    pub fn truncate(&self, length: usize) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe { helpers::generated::bpf_skb_change_tail(self.0, length as u32, 0) == 0 }
    }

    /// Makes room in front of it.
    #[inline(always)]
    pub fn prepend(&self, length: usize) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe { helpers::generated::bpf_skb_change_head(self.0, length as u32, 0) == 0 }
    }

    #[inline(always)]
    pub fn is_super(&self) -> bool {
        field!(self, gso_size) != 0
    }

    #[inline(always)]
    pub fn set_priority(&self, priority: u32) {
        set_field!(self, priority, priority);
    }

    /// Made here, not forwarded.
    #[inline(always)]
    pub fn is_from_this_host(&self) -> bool {
        field!(self, ingress_ifindex) == 0
    }

    /// Whether the routing table would keep it here.
    #[inline(always)]
    pub fn is_for_this_host(&self, headers: &Headers) -> bool {
        // SAFETY: all zeroes are a value of this plain structure.
        let mut query: bpf_fib_lookup = unsafe { mem::zeroed() };
        query.ifindex = field!(self, ifindex) as u32;
        let (Address(from), Address(to)) = (headers.from, headers.to);
        match headers.network {
            Network::V4 => {
                query.family = AF_INET;
                query.__bindgen_anon_3.ipv4_src = headers.from.low();
                query.__bindgen_anon_4.ipv4_dst = headers.to.low();
            }
            Network::V6 => {
                query.family = AF_INET6;
                query.__bindgen_anon_3.ipv6_src = from;
                query.__bindgen_anon_4.ipv6_dst = to;
            }
            Network::Arp | Network::Other => return false,
        }
        // SAFETY: the helper is told the structure's true size.
        let found = unsafe {
            helpers::generated::bpf_fib_lookup(
                self.0.cast(),
                &raw mut query,
                size_of::<bpf_fib_lookup>() as i32,
                0,
            )
        };
        found == i64::from(BPF_FIB_LKUP_RET_NOT_FWDED)
            || found == i64::from(BPF_FIB_LKUP_RET_FWD_DISABLED)
    }
}

/// What packets on an interface look like. The programs are told when they are loaded.
#[derive(Clone, Copy)]
pub enum Link {
    Ethernet,
    Bare,
}

// Functions of their own, so that there are registers enough. A number is returned, since the
// verifier follows it.
#[inline(never)]
fn read_headers(packet: &Packet, link: Link, headers: &mut Headers) -> u64 {
    read(packet, link, headers, false)
}

#[inline(never)]
fn read_whole_headers(packet: &Packet, link: Link, headers: &mut Headers) -> u64 {
    read(packet, link, headers, true)
}

#[inline(always)]
fn read(packet: &Packet, link: Link, headers: &mut Headers, is_whole: bool) -> u64 {
    let is_read = match link {
        Link::Ethernet => headers.read_ethernet(packet, is_whole),
        Link::Bare => headers.read_bare(packet, is_whole),
    };
    is_read.is_some().into()
}

/// Ethernet with two tags, IPv6 with a hop-by-hop header, TCP.
const HEADERS_MAX: u32 = 128;

const OFFSET_MAX: usize = 4_095;

/// Its clock is `CLOCK_MONOTONIC`.
const BPF_SKB_TSTAMP_DELIVERY_MONO: u32 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
