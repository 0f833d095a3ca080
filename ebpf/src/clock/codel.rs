//! CoDel (RFC 8289) on a virtual queue, decided when a packet arrives (pure).

use super::{Bounds, Muscle, number::max};

/// How long the delay may be above target before somebody is told to slow down.
pub const INTERVAL: u64 = 100 * super::MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Pass,
    Mark,
    /// The queue is full.
    Refuse,
    /// CoDel wants somebody to slow down.
    Shed,
}

/// The part of a lane's state that CoDel keeps. Two CPUs may write it at once and lose a step:
/// it steers, it does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Codel {
    /// When the delay will have been above target for an interval; zero: it is below.
    pub above_until: u64,
    /// When to drop next, and when it was to be last time.
    pub drop_at: u64,
    /// Drops since dropping began.
    pub count: u32,
    /// `count` when dropping began, and whether it goes on.
    pub last_count: u16,
    pub dropping: u16,
}

/// Decides about one packet, which takes `cost` by itself.
///
/// A super-packet counts for more: it is dropped as a whole, and a sender that then has not some
/// others on their way (the three behind a lost one that make TCP send it again) sits idle until
/// its timer fires. Where nothing is held back it may borrow: it passes as soon as the clock has
/// come to now, however long it takes itself.
#[inline(always)]
pub fn decide(
    codel: &mut Codel,
    (bounds, muscle): (&Bounds, Muscle),
    now: u64,
    (delay, cost): (u64, u64),
    ect: bool,
) -> Decision {
    if matches!(muscle, Muscle::Police) {
        return if delay > 0 { Decision::Refuse } else { Decision::Pass };
    }
    if delay > max(bounds.limit, 6 * cost) {
        return Decision::Refuse;
    }
    let shed = codel.step(now, delay, max(bounds.target, 4 * cost));
    match (shed, ect) {
        (true, false) => Decision::Shed,
        (true, true) => Decision::Mark,
        (false, true) if delay > max(bounds.mark, 2 * cost) => Decision::Mark,
        (false, _) => Decision::Pass,
    }
}

impl Codel {
    /// RFC 8289 §5, with one difference. There the packet that is dropped is the oldest, here it is
    /// the newest: nobody hears of it before the queue in front of it has left. So the next one
    /// waits for that too; else one sender is told many times before it could answer.
    fn step(&mut self, now: u64, delay: u64, target: u64) -> bool {
        if delay < target {
            self.above_until = 0;
            self.dropping = 0;
            return false;
        }
        if self.above_until == 0 {
            self.above_until = now + INTERVAL;
            return false;
        }
        if now < self.above_until {
            return false;
        }
        if self.dropping != 0 {
            if now < self.drop_at {
                return false;
            }
            self.count = self.count.saturating_add(1);
            self.drop_at = now + delay + control_law(self.count);
            return true;
        }
        // What was learnt shortly before is still true.
        let learnt = self.count.saturating_sub(u32::from(self.last_count));
        let recent = now.saturating_sub(self.drop_at) < 16 * INTERVAL;
        self.count = if recent && learnt > 1 { learnt } else { 1 };
        #[expect(clippy::cast_possible_truncation, reason = "the smaller of both fits")]
        {
            self.last_count =
                if self.count < u32::from(u16::MAX) { self.count as u16 } else { u16::MAX };
        }
        self.dropping = 1;
        self.drop_at = now + delay + control_law(self.count);
        true
    }
}

/// `INTERVAL / sqrt(count)`.
const fn control_law(count: u32) -> u64 {
    // That many drops in one go would be one every 0.4 ms.
    let most = (1 << 16) - 1;
    let count = if count < most { count } else { most };
    (INTERVAL << 8) / square_root(count << 16)
}

/// Newton's method from the nearest power of two: no table, no floating point, and no branch,
/// whose two outcomes the verifier would follow each in turn. `value` is not zero.
pub(super) const fn square_root(value: u32) -> u64 {
    let value = value as u64;
    let mut root = 1_u64 << ((65 - value.leading_zeros()) / 2);
    let mut step = 0;
    while step < 5 {
        root = root.midpoint(value / root);
        step += 1;
    }
    root
}
