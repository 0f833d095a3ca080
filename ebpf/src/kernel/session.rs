//! A packet of a session: is it allowed, does it fit, when does it leave.

use aya_ebpf::bindings::__sk_buff;

use super::{
    event, garden,
    lane::{OwnCounts, SharedLane, SharedState},
    levels::{self, Comer, is_first},
    maps,
    packet::{Packet, Size},
    time::{self, Moment},
};
use crate::{
    clock::{Decision, Muscle},
    layout::{
        Account, Address, Binding, Class, Config, Device, Direction, EventKind, Plot, Session,
    },
    parse::{Headers, TCP},
    verdict::Reason,
};

/// Counts it, in one way or the other, and says why it does not simply pass.
#[inline(always)]
pub fn pass(
    packet: &Packet,
    config: &Config,
    headers: &Headers,
    direction: Direction,
    slot: u32,
) -> Result<(), Reason> {
    let session = maps::session(slot).ok_or(Reason::NoSlot)?;
    let state = maps::state(slot).ok_or(Reason::NoSlot)?;
    let counts = maps::counts(slot).ok_or(Reason::NoSlot)?;
    let size = packet.size(headers, direction);
    let passed = judge(packet, config, headers, direction, (slot, session, state, counts), size);
    if passed.is_err() {
        state.lane(direction).count_dropped(size);
    }
    passed
}

#[inline(always)]
fn judge(
    packet: &Packet,
    config: &Config,
    headers: &Headers,
    direction: Direction,
    (slot, session, state, counts): (u32, &Session, SharedState, OwnCounts),
    size: Size,
) -> Result<(), Reason> {
    let is_up = matches!(direction, Direction::Up);
    if is_up && config.flags & Config::ANTI_SPOOF != 0 && is_spoofed(config, headers, session, slot)
    {
        if is_first(state.events(), EventKind::SPOOFED) {
            event::of_device(EventKind::SPOOFED, headers.source, headers.from, time::about());
        }
        return Err(Reason::Spoofed);
    }
    if session.until != 0 || session.idle_ms != 0 {
        times(session, state, slot)?;
    }
    let account = if session.account == 0 { None } else { maps::account(session.account) };
    // Beyond the quota it is another class, and without it the session's own.
    let is_beyond =
        account.is_some_and(|(_, shared)| shared.events().load() & EventKind::QUOTA.bit() != 0);
    let (class, refusal) = match account {
        Some((account, _)) if is_beyond => (account.beyond, Reason::OverQuota),
        Some(_) | None => (session.class, Reason::Walled),
    };
    let mut is_free = false;
    let mut is_throttled = false;
    match Class(class) {
        Class::ACTIVE => {}
        Class::THROTTLED => is_throttled = true,
        Class::GARDEN => {
            let reason = garden::gate(packet, config, headers, is_up);
            if matches!(reason, Reason::Walled) {
                return Err(refusal);
            }
            maps::count(reason);
            garden::show_names(packet, config, headers, direction);
            is_free = true;
        }
        // A class that is not known here is one that this program cannot grant anything.
        _ => return Err(if is_beyond { refusal } else { Reason::Blocked }),
    }
    if !is_free && config.flags & Config::HAS_FREE != 0 {
        is_free = maps::plot(headers.there(is_up)) & Plot::FREE != 0;
    }
    let limit = match (direction, is_throttled) {
        (Direction::Down, false) => session.down,
        (Direction::Up, false) => session.up,
        (Direction::Down, true) => session.slow_down,
        (Direction::Up, true) => session.slow_up,
    };
    let has_site = config.flags & Config::HAS_SITE != 0;
    let comer = Comer {
        slot,
        account: session.account,
        is_up,
        is_free,
        has_site,
        is_alone: !has_site && account.is_none_or(|(account, _)| !account.has_rate(is_up)),
        octets: size.octets,
        segments: size.segments,
        ns_per_byte: limit.ns_per_byte,
        priority: limit.priority,
    };
    keep_to_rates(packet, state.lane(direction), comer)?;
    if is_free {
        counts.add(true, direction, size);
        return Ok(());
    }
    if let Some((account, shared)) = account
        && account.quota != Account::WITHOUT_END
    {
        let before = shared.charged().fetch_add(size.octets);
        if before + size.octets > account.quota {
            shared.charged().add(size.octets.wrapping_neg());
            if shared.is_first(EventKind::QUOTA) {
                event::of_session(EventKind::QUOTA, slot, session.account, time::about());
            }
            return Err(Reason::OverQuota);
        }
    } else if let Some((_, shared)) = account {
        shared.charged().add(size.octets);
    }
    counts.add(false, direction, size);
    if headers.protocol == TCP
        && let Some(segment) = headers.segment(size.once)
    {
        state.time(direction, &segment, || headers.flow(is_up));
    }
    Ok(())
}

/// Its session's own, its account's, its site's.
#[inline(always)]
fn keep_to_rates(packet: &Packet, lane: SharedLane, comer: Comer) -> Result<(), Reason> {
    if !comer.is_limited() || levels::pass_at_once(lane, &comer) {
        if matches!(maps::muscle(), Muscle::Htb) {
            packet.set_priority(comer.priority);
        }
        return Ok(());
    }
    *maps::comer().ok_or(Reason::NoSlot)? = comer;
    match rates(packet.context()) {
        PASSED => Ok(()),
        FULL => Err(Reason::QueueFull),
        SHED => Err(Reason::Congested),
        _ => Err(Reason::NoSlot),
    }
}

/// The clocks of the session, its account and the site, for the packet of [`maps::headers`] and
/// [`maps::comer`].
///
/// A global function in the kernel's sense, so with nothing but the context: the verifier looks at
/// it once by itself, and not again from each place and in each state that it is called in.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rates(context: *mut __sk_buff) -> u32 {
    let packet = Packet::of(context);
    let (Some(headers), Some(comer)) = (maps::headers(), maps::comer()) else { return LOST };
    // SAFETY: this CPU's own memory, and this program is the only one that runs on it.
    let headers = unsafe { &*headers };
    let Some(moment) = levels::moment(comer) else { return LOST };
    let Some(leave) = levels::admit(comer, headers, moment) else { return LOST };
    match leave.decision {
        Decision::Pass => {}
        Decision::Mark => {
            if packet.mark() {
                maps::count(Reason::Marked);
            }
        }
        Decision::Refuse => return FULL,
        Decision::Shed => return SHED,
    }
    match maps::muscle() {
        Muscle::Police => {}
        Muscle::Htb => packet.set_priority(leave.priority),
        Muscle::Fq => {
            if leave.at > moment.at {
                packet.leave_at(leave.at);
            }
        }
    }
    PASSED
}

const PASSED: u32 = 0;
const FULL: u32 = 1;
const SHED: u32 = 2;
/// A number is beyond the arrays.
const LOST: u32 = 3;

/// `Err`: the session's time was over before this packet.
#[inline(always)]
fn times(session: &Session, state: SharedState, slot: u32) -> Result<(), Reason> {
    let tick = Moment::of_last_tick();
    // Around its end it matters how late it is.
    let is_near = session.until.saturating_sub(tick.at) <= tick.late;
    let now = if session.until != 0 && is_near { time::exactly() } else { tick.at };
    if session.until != 0 && now >= session.until {
        if is_first(state.events(), EventKind::TIME) {
            event::of_session(EventKind::TIME, slot, session.account, now);
        }
        return Err(Reason::OverTime);
    }
    if session.idle_ms != 0 {
        let seen_at = state.seen_at();
        let pause = now.saturating_sub(seen_at.load());
        if pause >= u64::from(session.idle_ms) * 1_000_000 {
            if is_first(state.events(), EventKind::IDLE) {
                event::of_session(EventKind::IDLE, slot, session.account, now);
            }
            return Err(Reason::Idle);
        }
        if pause >= SEEN_EVERY {
            seen_at.store(now);
        }
    }
    Ok(())
}

#[inline(always)]
fn is_spoofed(config: &Config, headers: &Headers, session: &Session, slot: u32) -> bool {
    let from = headers.from;
    if from.is_of_link() || (from.is_v4() && from.low() == session.v4) {
        return false;
    }
    match maps::owner(config.flags, from) {
        Some(owner) => owner != slot,
        None => is_bound(session, from),
    }
}

/// Whether the session may send only from what is its own, of this kind.
#[inline(always)]
fn is_bound(session: &Session, address: Address) -> bool {
    let kind = if address.is_v4() { Binding::V4.0 } else { Binding::V6.0 };
    session.binding & kind != 0
}

/// ARP of a session's device, or of another: nobody tells of an address that is somebody else's.
#[inline(always)]
pub fn arp(config: &Config, headers: &Headers, direction: Direction) -> Reason {
    if config.flags & Config::ANTI_SPOOF == 0 || matches!(direction, Direction::Down) {
        return Reason::NotIp;
    }
    let sender = headers.from;
    if sender.is_of_link() {
        return Reason::NotIp;
    }
    let slot = maps::slot_of(config, headers.source);
    let is_spoofed = match (maps::owner(config.flags, sender), slot) {
        (Some(owner), slot) => slot != Some(owner),
        (None, Some(slot)) => maps::session(slot).is_some_and(|session| is_bound(session, sender)),
        (None, None) => false,
    };
    if is_spoofed {
        event::of_device(EventKind::SPOOFED, headers.source, sender, time::about());
        return Reason::Spoofed;
    }
    Reason::NotIp
}

/// Whose packet it is: by its device, and where that has no session by its address.
#[inline(always)]
pub fn find(config: &Config, headers: &Headers, direction: Direction) -> Option<u32> {
    let device = device_of(headers, direction);
    if device != Device::NONE
        && let Some(slot) = maps::slot_of(config, device)
    {
        return Some(slot);
    }
    if config.flags & (Config::HAS_ADDRESSES | Config::HAS_PREFIXES) == 0 {
        return None;
    }
    let address = match direction {
        Direction::Down => headers.to,
        Direction::Up => headers.from,
    };
    let slot = maps::owner(config.flags, address)?;
    // A session that has a device is told by that alone.
    let has_device = maps::session(slot)?.device != Device::NONE.0;
    if has_device && device != Device::NONE { None } else { Some(slot) }
}

/// Whether a device without a session sends from an address that is a session's.
#[inline(always)]
pub fn is_of_another(config: &Config, headers: &Headers, direction: Direction) -> bool {
    matches!(direction, Direction::Up)
        && config.flags & Config::ANTI_SPOOF != 0
        && !headers.from.is_of_link()
        && maps::owner(config.flags, headers.from).is_some()
}

#[inline(always)]
pub const fn device_of(headers: &Headers, direction: Direction) -> Device {
    match direction {
        Direction::Down => headers.destination,
        Direction::Up => headers.source,
    }
}

/// How exactly it is known when a session last moved something.
const SEEN_EVERY: u64 = 100_000_000;
