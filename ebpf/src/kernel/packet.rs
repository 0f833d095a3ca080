//! The packet that a program was called for.

use core::{cmp::min, mem};

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NOT_FWDED, bpf_fib_lookup,
    },
    helpers,
    programs::TcContext,
};

use crate::{
    layout::Direction,
    parse::{Ethernet, Frame, Network},
};

pub struct Packet(*mut __sk_buff);

/// What is metered.
#[derive(Clone, Copy)]
pub struct Size {
    /// Of IP, in all segments.
    pub octets: u64,
    /// Packets on the wire.
    pub segments: u64,
}

impl Frame for Packet {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        // Volatile: an address that LLVM keeps from one read to the next it would cut to 32 bits
        // again, and the verifier would no longer see an address.
        // SAFETY: the kernel's context, valid while the program runs; the verifier knows it.
        let (start, end) = unsafe {
            (
                (&raw const (*self.0).data).read_volatile() as usize,
                (&raw const (*self.0).data_end).read_volatile() as usize,
            )
        };
        if start + at + N > end {
            return None;
        }
        // The one cast from an address in a packet.
        // SAFETY: `N` bytes from there on are inside, as was just asked.
        Some(unsafe { ((start + at) as *const [u8; N]).read_unaligned() })
    }
}

impl Packet {
    pub fn new(context: &TcContext) -> Self {
        Self(context.skb.skb)
    }

    /// What `parse` finds. Headers that are not in the linear part are brought there, once.
    #[inline(always)]
    pub fn parse<T>(&self, parse: impl Fn(&Self) -> Option<T>) -> Option<T> {
        if let Some(parsed) = parse(self) {
            return Some(parsed);
        }
        let whole = self.len();
        let wanted = if whole < HEADERS_MAX { whole } else { HEADERS_MAX };
        // SAFETY: no address in the packet is kept across this.
        if unsafe { helpers::generated::bpf_skb_pull_data(self.0, wanted) } != 0 {
            return None;
        }
        parse(self)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: as in `read`.
        unsafe { (*self.0).len }
    }

    /// A super-packet counts as the packets that it becomes.
    #[inline(always)]
    pub fn size(&self, ethernet: &Ethernet, direction: Direction) -> Option<Size> {
        let whole = u64::from(self.len());
        let before = ethernet.at as u64;
        // SAFETY: as in `read`.
        let (payload_max, segments, wire) = unsafe {
            (
                u64::from((*self.0).gso_size),
                u64::from((*self.0).gso_segs),
                u64::from((*self.0).wire_len),
            )
        };
        if payload_max == 0 {
            let declared = self.parse(|packet| ethernet.declared(packet))?;
            let octets = min(declared, whole.saturating_sub(before));
            return Some(Size { octets, segments: 1 });
        }
        if matches!(direction, Direction::Down) && segments != 0 {
            // The kernel has done it for its queues; on the way in it has not.
            return Some(Size { octets: wire.saturating_sub(segments * before), segments });
        }
        let headers = self.parse(|packet| ethernet.transport(packet)?.payload(packet))? as u64;
        let segments = match segments {
            // From a guest, for example: nobody has counted yet.
            0 => whole.saturating_sub(headers).div_ceil(payload_max).max(1),
            counted => counted,
        };
        let repeated = headers.saturating_sub(before) * (segments - 1);
        Some(Size { octets: whole.saturating_sub(before) + repeated, segments })
    }

    /// Marks "congestion experienced"; `false` where the sender does not understand that.
    #[inline(always)]
    pub fn mark(&self) -> bool {
        // SAFETY: no address in the packet is kept across this.
        unsafe { helpers::generated::bpf_skb_ecn_set_ce(self.0) != 0 }
    }

    #[inline(always)]
    pub fn set_priority(&self, priority: u32) {
        // Volatile: LLVM would join it with a neighbouring store, and the verifier refuses that.
        // SAFETY: a field that programs may write.
        unsafe { (&raw mut (*self.0).priority).write_volatile(priority) };
    }

    /// Made here, not forwarded.
    #[inline(always)]
    pub fn is_from_this_host(&self) -> bool {
        // SAFETY: as in `read`.
        unsafe { (*self.0).ingress_ifindex == 0 }
    }

    /// Whether the routing table would keep it here.
    #[inline(always)]
    pub fn is_for_this_host(&self, ethernet: &Ethernet) -> Option<bool> {
        // SAFETY: all zeroes are a value of this plain structure.
        let mut query: bpf_fib_lookup = unsafe { mem::zeroed() };
        // SAFETY: as in `read`.
        query.ifindex = unsafe { (*self.0).ifindex };
        match ethernet.network {
            Network::V4 => {
                query.family = AF_INET;
                query.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(self.read(ethernet.at + 12)?);
                query.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(self.read(ethernet.at + 16)?);
            }
            Network::V6 => {
                query.family = AF_INET6;
                query.__bindgen_anon_3.ipv6_src = self.address(ethernet.at + 8)?;
                query.__bindgen_anon_4.ipv6_dst = self.address(ethernet.at + 24)?;
            }
            Network::Other => return None,
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
        Some(
            found == i64::from(BPF_FIB_LKUP_RET_NOT_FWDED)
                || found == i64::from(BPF_FIB_LKUP_RET_FWD_DISABLED),
        )
    }

    #[inline(always)]
    fn address(&self, at: usize) -> Option<[u32; 4]> {
        Some([
            u32::from_ne_bytes(self.read(at)?),
            u32::from_ne_bytes(self.read(at + 4)?),
            u32::from_ne_bytes(self.read(at + 8)?),
            u32::from_ne_bytes(self.read(at + 12)?),
        ])
    }
}

#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing.
    unsafe { helpers::generated::bpf_ktime_get_ns() }
}

/// Ethernet with two tags, IPv6 with a hop-by-hop header, TCP.
const HEADERS_MAX: u32 = 128;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
