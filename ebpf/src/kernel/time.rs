//! What time it is, on `CLOCK_MONOTONIC`, in nanoseconds.
//!
//! To read it exactly takes as long as all else that is done about a packet. What it was at the
//! kernel's last tick is a load from memory, and as a rule decides as well: who is not waited for at
//! the last tick is not now either.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};

use super::maps;

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

    #[inline(always)]
    pub fn exact() -> Self {
        Self { at: exactly(), late: 0 }
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
