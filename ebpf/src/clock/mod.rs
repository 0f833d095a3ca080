//! The virtual clock of a session's direction, and what CoDel makes of it (pure).
//!
//! The clock is one number: when everything that was let through has left at the session's rate.
//! Its distance from now is how long a packet would wait in a queue of the session's own. That
//! delay decides: far too long, and the packet is dropped; longer than [`Bounds::target`] for a
//! whole [`INTERVAL`], and CoDel (RFC 8289) drops or marks. Whoever delays packets for real only
//! has to run a little faster than the clock, and its own queue stays the shorter of the two.

/// How long the delay may be above target before somebody is told to slow down.
pub const INTERVAL: u64 = 100 * MS;

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
    pub const fn of(ns_per_byte: u64) -> Self {
        let packet = cost(ns_per_byte, 1_500, 1);
        Self {
            burst: max(10 * MS, 10 * packet),
            target: max(15 * MS, 2 * packet),
            mark: max(40 * MS, 4 * packet),
            limit: max(250 * MS, 20 * packet),
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
    pub const fn at(now: u64, clear_at: u64, burst: u64) -> Self {
        let base = max(clear_at, now.saturating_sub(burst));
        Self { base, delay: base.saturating_sub(now) }
    }
}

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
/// its timer fires.
#[inline(always)] // A call to the kernel's machine passes five arguments at most.
pub const fn decide(
    codel: &mut Codel,
    bounds: &Bounds,
    now: u64,
    delay: u64,
    cost: u64,
    ect: bool,
) -> Decision {
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
    const fn step(&mut self, now: u64, delay: u64, target: u64) -> bool {
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
        let learnt = self.count.saturating_sub(self.last_count as u32);
        let recent = now.saturating_sub(self.drop_at) < 16 * INTERVAL;
        self.count = if recent && learnt > 1 { learnt } else { 1 };
        #[expect(clippy::cast_possible_truncation, reason = "the smaller of both fits")]
        {
            self.last_count =
                if self.count < u16::MAX as u32 { self.count as u16 } else { u16::MAX };
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
const fn square_root(value: u32) -> u64 {
    let value = value as u64;
    let mut root = 1_u64 << ((65 - value.leading_zeros()) / 2);
    let mut step = 0;
    while step < 5 {
        root = root.midpoint(value / root);
        step += 1;
    }
    root
}

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests;
