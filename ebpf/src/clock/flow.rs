//! Who need not wait in a session's queue, because it has asked for little (pure).
//!
//! Behind a download that fills its session, a call or a lookup would wait for the whole queue. A
//! [`Flow`] that stays below a quarter of the rate leaves at once; what it takes is charged to the
//! session all the same, and the others wait for it. All such flows together have a [`share`] of
//! the rate, so that a hundred of them are not a way around it.

use super::number::{above, max, min};

/// A flow in one direction of a session that has to queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Its own virtual clock, at a quarter of the rate.
    pub clear_at: u64,
    /// When its last packet leaves. Nothing overtakes that.
    pub leaves_at: u64,
}

impl Flow {
    /// What becomes of a packet that takes `cost` at the session's rate, a full-size one `packet`,
    /// and that would else leave at `base`: does it leave at once?
    #[inline(always)]
    pub fn arrive(self, now: u64, base: u64, (cost, packet): (u64, u64)) -> (bool, Self) {
        // A sparse flow sends something again after a pause: it may save up what it begins with.
        let clear_at = max(self.clear_at, above(now, FLOW_PART * packet));
        let is_sparse = self.leaves_at <= now && clear_at <= now + FLOW_PART * packet;
        let leaves_at = if is_sparse { now } else { max(base, self.leaves_at) };
        // Who has far too much need not wait for its clock to come back from far away.
        let furthest = now + FLOW_FURTHEST + FLOW_PART * packet;
        let clear_at = min(clear_at + FLOW_PART * cost, furthest);
        (is_sparse, Self { clear_at, leaves_at })
    }
}

/// Counts a sparse packet against what all sparse flows of a session may take together, a clock at
/// half of the rate. `None`: that is used up. Else what the clock becomes.
#[inline(always)]
pub fn share(clear_at: u64, now: u64, (cost, packet): (u64, u64)) -> Option<u64> {
    if clear_at > now + saved(packet) {
        return None;
    }
    Some(max(clear_at, now) + SHARE_PART * cost)
}

/// How far the clock of all sparse flows may be ahead.
#[inline(always)]
fn saved(packet: u64) -> u64 {
    max(SHARE_SAVED, SHARE_PART * 4 * packet)
}

/// What sparse flows may have at once beside the session's own burst, as time at its rate: what
/// their clock may be ahead, and the packet that takes it there.
pub fn share_burst(packet: u64) -> u64 {
    saved(packet) / SHARE_PART + packet
}

/// A sparse flow has at most one part in so many.
const FLOW_PART: u64 = 4;

/// All sparse flows have at most one part in so many.
const SHARE_PART: u64 = 2;

/// How long a flow is remembered for what it had too much.
const FLOW_FURTHEST: u64 = 50 * super::MS;

const SHARE_SAVED: u64 = 20 * super::MS;
