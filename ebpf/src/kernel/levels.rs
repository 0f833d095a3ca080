//! A packet before all the rates that it has to keep to: its session's, its account's, its site's.
//!
//! Each has a clock; the one that is furthest ahead decides, and all of them move on.

use super::{atomic::Word, event, lane::SharedLane, maps, time::Moment};
use crate::{
    clock::{self, Arrival, Bounds, Decision, number::below},
    layout::{Account, AccountState, Direction, EventKind, Limit, SITE},
    parse::Headers,
};

#[derive(Clone, Copy)]
pub struct SharedAccount(*mut AccountState);

impl SharedAccount {
    /// # Safety
    ///
    /// `state` points to a map value.
    #[inline(always)]
    pub unsafe fn new(state: *mut AccountState) -> Self {
        Self(state)
    }

    #[inline(always)]
    pub fn charged(self) -> Word {
        // SAFETY: by `new`.
        unsafe { Word::new(&raw mut (*self.0).charged) }
    }

    #[inline(always)]
    pub fn events(self) -> Word {
        // SAFETY: by `new`.
        unsafe { Word::new(&raw mut (*self.0).events) }
    }

    /// Whether it is the first of its kind since the edge last looked.
    #[inline(always)]
    pub fn is_first(self, kind: EventKind) -> bool {
        is_first(self.events(), kind)
    }

    #[inline(always)]
    pub fn clear_at(self, direction: Direction) -> Word {
        // SAFETY: by `new`.
        unsafe {
            Word::new(match direction {
                Direction::Down => &raw mut (*self.0).down_clear_at,
                Direction::Up => &raw mut (*self.0).up_clear_at,
            })
        }
    }
}

#[inline(always)]
pub fn is_first(events: Word, kind: EventKind) -> bool {
    events.load() & kind.bit() == 0 && events.fetch_or(kind.bit()) & kind.bit() == 0
}

/// What a clock at a rate shows an arriving packet.
#[inline(always)]
fn arrival(clock: Word, ns_per_byte: u64, moment: Moment) -> Arrival {
    Arrival::at(moment.at, clock.load(), burst(ns_per_byte, moment))
}

/// What an idle session may have saved up. At an earlier moment it is rather a little less than
/// more than it should be.
#[inline(always)]
fn burst(ns_per_byte: u64, moment: Moment) -> u64 {
    Bounds::of(ns_per_byte, maps::muscle()).burst.saturating_sub(moment.late)
}

/// Moves a clock on.
#[inline(always)]
fn charge(clock: Word, ns_per_byte: u64, moment: Moment, comer: &Comer) {
    charge_seen(clock, clock.load(), ns_per_byte, moment, comer);
}

#[inline(always)]
fn charge_seen(clock: Word, seen: u64, ns_per_byte: u64, moment: Moment, comer: &Comer) {
    let Arrival { base, .. } = Arrival::at(moment.at, seen, burst(ns_per_byte, moment));
    let cost = clock::cost(ns_per_byte, comer.octets, comer.segments);
    if clock.compare_exchange(seen, base + cost).is_err() {
        // Another CPU was quicker, and has brought it out of the past.
        clock.add(cost);
    }
}

/// What becomes of a packet that passes.
#[derive(Clone, Copy)]
pub struct Leave {
    /// `CLOCK_MONOTONIC`; in the past: at once.
    pub at: u64,
    /// The HTB class that holds it back; zero: none does.
    pub priority: u32,
    pub decision: Decision,
}

/// A packet, and whose it is.
pub struct Comer {
    pub slot: u32,
    /// Zero: none.
    pub account: u32,
    pub is_up: bool,
    pub is_free: bool,
    pub has_site: bool,
    /// No rate but the session's own concerns it.
    pub is_alone: bool,
    pub octets: u64,
    pub segments: u64,
    /// The session's own rate; zero: none.
    pub ns_per_byte: u64,
    pub priority: u32,
}

impl Comer {
    #[inline(always)]
    pub const fn is_limited(&self) -> bool {
        self.ns_per_byte != 0 || !self.is_alone
    }
}

/// What the clocks say: the one that is furthest ahead.
#[derive(Clone, Copy)]
struct Worst {
    arrival: Arrival,
    ns_per_byte: u64,
    priority: u32,
}

impl Worst {
    #[inline(always)]
    fn consider(&mut self, arrival: Arrival, ns_per_byte: u64, priority: u32) {
        // Computed and not chosen: the verifier would follow each choice to the end.
        let takes = below(self.arrival.delay, arrival.delay) | below(self.ns_per_byte, 1);
        let pick = |before: u64, now: u64| before ^ (before ^ now) & takes;
        self.arrival.base = pick(self.arrival.base, arrival.base);
        self.arrival.delay = pick(self.arrival.delay, arrival.delay);
        self.ns_per_byte = pick(self.ns_per_byte, ns_per_byte);
        self.priority = pick(self.priority.into(), priority.into()) as u32;
    }
}

#[inline(always)]
fn limit_of(account: &Account, direction: Direction, is_slow: bool) -> Limit {
    match (direction, is_slow) {
        (Direction::Down, false) => account.down,
        (Direction::Up, false) => account.up,
        (Direction::Down, true) => account.slow_down,
        (Direction::Up, true) => account.slow_up,
    }
}

/// Lets a packet pass that no rate but its session's own concerns, if nothing waits for that: so it
/// is with nearly all of them. `false`: all rates are to be asked.
#[inline(always)]
pub fn pass_at_once(lane: SharedLane, comer: &Comer) -> bool {
    if !comer.is_alone {
        return false;
    }
    let tick = Moment::of_last_tick();
    let seen = lane.clear_at().load();
    if seen > tick.at {
        return false;
    }
    charge_seen(lane.clear_at(), seen, comer.ns_per_byte, tick, comer);
    lane.calm();
    true
}

/// The time by which the packet is judged: where nothing waits on any clock, it does not matter
/// exactly how late it is. `None`: a number is beyond the arrays.
#[inline(always)]
pub fn moment(comer: &Comer) -> Option<Moment> {
    let direction = if comer.is_up { Direction::Up } else { Direction::Down };
    let state = maps::state(comer.slot)?;
    let tick = Moment::of_last_tick();
    // Whose account is not limited, and who has none, has a clock that stands.
    let account = maps::account_state(comer.account)?.clear_at(direction).load();
    let site = maps::account_state(SITE)?.clear_at(direction).load();
    let lane = state.lane(direction);
    let (lane, fair) = (lane.clear_at().load(), lane.fair_at().load());
    Some(tick.unless_before([lane, account, site, fair]))
}

/// Only what stays is charged to the clocks. `None`: a number is beyond the arrays.
#[inline(always)]
pub fn admit(comer: &Comer, headers: &Headers, moment: Moment) -> Option<Leave> {
    let now = moment.at;
    let direction = if comer.is_up { Direction::Up } else { Direction::Down };
    let state = maps::state(comer.slot)?;
    let lane = state.lane(direction);
    let mut worst = Worst { arrival: Arrival { base: 0, delay: 0 }, ns_per_byte: 0, priority: 0 };
    if comer.ns_per_byte != 0 {
        let arrival = arrival(lane.clear_at(), comer.ns_per_byte, moment);
        worst.consider(arrival, comer.ns_per_byte, comer.priority);
    }
    let mut account_rate = 0;
    if comer.account != 0 {
        let (limits, shared) = maps::account(comer.account)?;
        let limit = limit_of(limits, direction, is_slow(comer, limits, shared, now));
        account_rate = limit.ns_per_byte;
        if account_rate != 0 {
            let arrival = arrival(shared.clear_at(direction), account_rate, moment);
            worst.consider(arrival, account_rate, limit.priority);
        }
    }
    let mut site_rate = 0;
    if comer.has_site {
        let (limits, shared) = maps::account(SITE)?;
        let limit = limit_of(limits, direction, false);
        site_rate = limit.ns_per_byte;
        // Who keeps to its part does not wait for those who do not.
        if site_rate != 0 && !is_fair(comer, limits, lane, moment) {
            let arrival = arrival(shared.clear_at(direction), site_rate, moment);
            worst.consider(arrival, site_rate, limit.priority);
        }
    }

    let Worst { arrival, ns_per_byte, priority } = worst;
    let mut leave = Leave { at: arrival.base, priority, decision: Decision::Pass };
    if arrival.delay == 0 {
        lane.calm();
    } else {
        let cost = clock::cost(ns_per_byte, comer.octets, comer.segments);
        if is_sparse(comer, lane, (arrival.base, cost, ns_per_byte), headers, now) {
            leave = Leave { at: 0, priority: 0, decision: Decision::Pass };
        } else {
            let ect = headers.ecn != 0;
            leave.decision = decide(lane, ns_per_byte, (now, arrival.delay, cost), ect);
            if matches!(leave.decision, Decision::Refuse | Decision::Shed) {
                return Some(leave);
            }
        }
    }
    if comer.ns_per_byte != 0 {
        charge(lane.clear_at(), comer.ns_per_byte, moment, comer);
    }
    if account_rate != 0 {
        charge(
            maps::account_state(comer.account)?.clear_at(direction),
            account_rate,
            moment,
            comer,
        );
    }
    if site_rate != 0 {
        charge(maps::account_state(SITE)?.clear_at(direction), site_rate, moment, comer);
    }
    Some(leave)
}

/// Whether the account's slow rates count for this packet.
#[inline(always)]
fn is_slow(comer: &Comer, account: &Account, shared: SharedAccount, now: u64) -> bool {
    let is_slow = account.step != Account::WITHOUT_END
        && !comer.is_free
        && shared.charged().load() + comer.octets > account.step;
    if is_slow && shared.is_first(EventKind::STEP) {
        event::of_session(EventKind::STEP, comer.slot, comer.account, now);
    }
    is_slow
}

/// Whether the session keeps to its part of the site, which this packet is then counted to.
#[inline(always)]
fn is_fair(comer: &Comer, site: &Account, lane: SharedLane, moment: Moment) -> bool {
    let clock = lane.fair_at();
    let ns_per_byte = if comer.is_up { site.fair_up } else { site.fair_down };
    if ns_per_byte == 0 {
        return false;
    }
    let is_fair = arrival(clock, ns_per_byte, moment).delay == 0;
    if is_fair {
        charge(clock, ns_per_byte, moment, comer);
    }
    is_fair
}

#[inline(always)]
fn decide(
    lane: SharedLane,
    ns_per_byte: u64,
    (now, delay, cost): (u64, u64, u64),
    ect: bool,
) -> Decision {
    let muscle = maps::muscle();
    let bounds = Bounds::of(ns_per_byte, muscle);
    let before = lane.codel();
    let mut codel = before;
    let decision = clock::decide(&mut codel, (&bounds, muscle), now, (delay, cost), ect);
    if codel != before {
        lane.set_codel(codel);
    }
    decision
}

#[inline(always)]
fn is_sparse(
    comer: &Comer,
    lane: SharedLane,
    (base, cost, ns_per_byte): (u64, u64, u64),
    headers: &Headers,
    now: u64,
) -> bool {
    let packet = clock::cost(ns_per_byte, 1_500, 1);
    // Slots have 20 bits at most.
    let of_lane = u64::from(comer.slot) << 33 | u64::from(comer.is_up) << 32;
    let key = of_lane | u64::from(headers.flow(comer.is_up));
    let before = maps::flow(key).unwrap_or_default();
    let (is_sparse, mut after) = before.arrive(now, base, (cost, packet));
    let mut passes = false;
    if is_sparse {
        let share = lane.sparse_at();
        if let Some(next) = clock::share(share.load(), now, (cost, packet)) {
            share.store(next);
            passes = true;
        } else {
            after.leaves_at = base;
        }
    }
    maps::set_flow(key, after);
    passes
}
