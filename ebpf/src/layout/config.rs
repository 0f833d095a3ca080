//! What the edge says about everybody, and small values of other maps (pure).

use super::{Address, pair};

/// What the edge says about this host. Two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Config {
    /// Bits, see the constants.
    pub flags: u64,
    /// Where the portal listens; [`Address::NONE`] where it does not.
    pub portal_v4: Address,
    pub portal_v6: Address,
    /// Host byte order.
    pub portal_port: u32,
    /// How many buckets [`NEAR`](super::NEAR) has, as a power of two; zero: it does not count.
    pub near_bits: u32,
    /// What one device without a session may move in the garden, each way; zero: no limit.
    pub garden_ns_per_byte: u64,
    /// And of names.
    pub dns_ns_per_byte: u64,
    pub reserved_too: [u64; 7],
}

impl Config {
    pub const WORDS: usize = size_of::<Self>() / 8;
    /// Which word [`Self::near_bits`] is the higher half of.
    pub const NEAR: usize = 5;

    /// There are sessions of single addresses or IPv6 networks of 64 bits.
    pub const HAS_ADDRESSES: u64 = 1;
    /// There are sessions of other prefixes.
    pub const HAS_PREFIXES: u64 = 2;
    /// [`Plot::FREE`] counts: the garden has to be looked into for each packet.
    pub const HAS_FREE: u64 = 4;
    /// The site's uplink is limited.
    pub const HAS_SITE: u64 = 8;
    /// Sessions may only send from what is theirs, and nobody from what is another's.
    pub const ANTI_SPOOF: u64 = 16;
    /// What is refused is answered, so that devices notice.
    pub const ANSWERS: u64 = 32;
    /// Names are allowed: the edge wants to see what they are.
    pub const HAS_NAMES: u64 = 64;
    /// Anybody may ask any server for names; else only this host and those of [`Plot::DNS`].
    pub const ANY_DNS: u64 = 128;

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn words(&self) -> [u64; Self::WORDS] {
        let [a, b, c, d] = self.portal_v4.0;
        let [e, f, g, h] = self.portal_v6.0;
        let [i, j, k, l, m, n, o] = self.reserved_too;
        [
            self.flags,
            pair(a, b),
            pair(c, d),
            pair(e, f),
            pair(g, h),
            pair(self.portal_port, self.near_bits),
            self.garden_ns_per_byte,
            self.dns_ns_per_byte,
            i,
            j,
            k,
            l,
            m,
            n,
            o,
            0,
        ]
    }
}

/// What an address in the garden is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Plot(pub u32);

impl Plot {
    /// Everybody may speak with it, with a session or without.
    pub const OPEN: u32 = 1;
    /// Nobody is charged for it.
    pub const FREE: u32 = 2;
    /// Everybody may ask it for names.
    pub const DNS: u32 = 4;
    /// The edge has learnt it from an answer about a name; the programs do not look at it.
    pub const LEARNT: u32 = 1 << 31;
}

/// Whose connection was led to the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Visitor {
    pub address: Address,
    /// As on the wire.
    pub port: u32,
}

/// Clocks of devices without a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stranger {
    pub garden_down_at: u64,
    pub garden_up_at: u64,
    pub dns_down_at: u64,
    pub dns_up_at: u64,
    /// When the edge was last told of such a device.
    pub told_at: u64,
}

/// What the edge must remember about this host for as long as the pins are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Host {
    /// `net.ipv4.ip_forward_update_priority` as it was found, plus one; zero: not touched.
    pub forward_priority: u64,
}

const _: () = assert!(size_of::<Config>() == 128);
const _: () = assert!(core::mem::offset_of!(Config, portal_port) == 40);
const _: () = assert!(core::mem::offset_of!(Config, near_bits) == Config::NEAR * 8 + 4);
const _: () = assert!(core::mem::offset_of!(Config, garden_ns_per_byte) == 48);
const _: () = assert!(size_of::<Visitor>() == 20);
const _: () = assert!(size_of::<Stranger>() == 40);
const _: () = assert!(size_of::<Host>() == 8);
