//! What time it is, on `CLOCK_MONOTONIC`, in nanoseconds.
//!
//! To read it exactly takes as long as all else that is done about a packet. What it was at the
//! kernel's last tick is a load from memory, and as a rule decides as well: who is not waited for at
//! the last tick is not now either.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};

use super::maps;
use crate::clock::number::{above, below};

/// A time that may have been a while ago.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at: u64,
    /// It is not later than so much after `at`.
    pub late: u64,
}

impl Moment {
    #[inline(always)]
    pub fn of_last_tick() -> Self {
        Self { at: about(), late: maps::tick() }
    }

    /// The exact time, if one of these is later. What is set then is computed and not chosen: the
    /// verifier would follow either to the end of the program.
    #[inline(always)]
    pub fn unless_before(self, others: [u64; 4]) -> Self {
        let ahead = others.into_iter().fold(0, |ahead, other| ahead | above(other, self.at));
        let late = self.late & below(ahead, 1);
        let at = if ahead == 0 { self.at } else { exactly() };
        Self { at, late }
    }
}

/// At the last tick: some milliseconds ago.
#[inline(always)]
pub fn about() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_ktime_get_coarse_ns() }
}

#[inline(always)]
pub fn exactly() -> u64 {
    // SAFETY: takes nothing.
    unsafe { bpf_ktime_get_ns() }
}
