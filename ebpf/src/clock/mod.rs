//! The virtual clock of a rate, and who has to wait for it (pure).
//!
//! A clock is one number: when everything that was let through has left at the rate. Its distance
//! from now is how long a packet would wait in a queue of its own. That delay decides everything:
//! when a packet leaves ([`Arrival`]), who is told to slow down ([`codel`]), and who need not wait,
//! because it has asked for little ([`flow`]).
//!
//! What a delay comes to depends on the [`Muscle`]: where packets can be held back, they are; where
//! they cannot, what would wait is dropped.

pub mod codel;
pub mod flow;
pub(crate) mod number;

pub use codel::{Codel, Decision, decide};
pub use flow::{Flow, share, share_burst};
use number::{above, max};

/// What delays packets on this host. The programs are told when they are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Muscle {
    /// Nothing does: over the rate is dropped, after a deep burst.
    Police,
    /// An HTB class, chosen by `skb->priority`.
    Htb,
    /// `fq`, by the departure time in the packet.
    Fq,
}

impl Muscle {
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Htb,
            2 => Self::Fq,
            _ => Self::Police,
        }
    }

    pub const fn number(self) -> u32 {
        self as u32
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Police => "police",
            Self::Htb => "htb",
            Self::Fq => "fq",
        }
    }
}

/// Ethernet's header, which a plan's rate does not count: see [`ns_per_byte`].
pub const ETHERNET: u64 = 14;

const MS: u64 = 1_000_000;

/// Binary places behind the point of [`ns_per_byte`].
const POINT: u32 = 20;

/// Time that one byte on the wire takes, as a fixed-point number.
///
/// A rate means IP in full-size packets of 1,500 bytes, so a wire with 1,514 is that much faster:
/// `8e6 / kbps * 1500 / 1514` nanoseconds.
pub const fn ns_per_byte(kbps: u32) -> u64 {
    let kbps = if kbps == 0 { 1 } else { kbps };
    ((8_000_000 * 1_500) << POINT) / (kbps as u64 * (1_500 + ETHERNET))
}

/// Time that a packet takes: `octets` of IP in `segments` frames.
///
/// At 1 kbit/s a byte is less than 2^43, so that a megabyte in one packet does not overflow; the
/// kernel makes none larger than half of that.
pub const fn cost(ns_per_byte: u64, octets: u64, segments: u64) -> u64 {
    ns_per_byte.wrapping_mul(octets + segments * ETHERNET) >> POINT
}

/// The delays at which something happens, for one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How far the clock may lag behind: what an idle session saves up.
    pub burst: u64,
    /// What CoDel holds the delay down to.
    pub target: u64,
    /// Who understands marks is told from here on.
    pub mark: u64,
    /// The end of the virtual queue.
    pub limit: u64,
}

impl Bounds {
    /// Times in milliseconds, but never less than some full-size packets: a slow session would be
    /// denied its own rate.
    #[inline(always)]
    pub fn of(ns_per_byte: u64, muscle: Muscle) -> Self {
        let packet = cost(ns_per_byte, 1_500, 1);
        match muscle {
            // A sender's whole window may come at once, and nobody holds it back.
            Muscle::Police => {
                Self { burst: max(100 * MS, 10 * packet), target: 0, mark: 0, limit: 0 }
            }
            Muscle::Htb | Muscle::Fq => Self {
                burst: max(10 * MS, 10 * packet),
                target: max(15 * MS, 2 * packet),
                mark: max(40 * MS, 4 * packet),
                limit: max(250 * MS, 20 * packet),
            },
        }
    }
}

/// What an arriving packet finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the packet starts to leave; the clock goes on from here by the packet's cost.
    pub base: u64,
    /// How long it waits for that.
    pub delay: u64,
}

impl Arrival {
    #[inline(always)]
    pub fn at(now: u64, clear_at: u64, burst: u64) -> Self {
        let base = max(clear_at, earliest(now, burst));
        Self { base, delay: above(base, now) }
    }
}

/// A clock that lags further behind is set to this.
#[inline(always)]
pub fn earliest(now: u64, burst: u64) -> u64 {
    above(now, burst)
}

#[cfg(test)]
mod tests;
