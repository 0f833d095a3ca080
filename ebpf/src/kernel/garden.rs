//! What is there for devices without access: names, the portal, and what the tenant allows.

use super::{atomic::Word, event, maps, packet::Packet, portal, time};
use crate::{
    clock::{self, Arrival},
    layout::{Config, Device, Direction, EventKind, Plot},
    parse::{Headers, Request, UDP},
    verdict::Reason,
};

/// Why a packet may pass; [`Reason::Walled`] if it may not.
#[inline(never)]
pub fn gate(packet: &Packet, config: &Config, headers: &Headers, is_up: bool) -> Reason {
    let request = headers.request(is_up);
    let there = headers.there(is_up);
    match request {
        Request::Bootstrap => return Reason::Bootstrap,
        Request::ThisHost if is_here(packet, headers, is_up) => return Reason::Bootstrap,
        Request::Names
            if config.flags & Config::ANY_DNS != 0 || is_here(packet, headers, is_up) =>
        {
            return Reason::Garden;
        }
        Request::Tcp if portal::is_at(config, there, headers, is_up) => {
            if is_up {
                portal::visits(headers);
                return Reason::Garden;
            }
            if packet.is_from_this_host() {
                return Reason::Garden;
            }
        }
        Request::ThisHost | Request::Names | Request::Web | Request::Tcp | Request::Other => {}
    }
    let plot = maps::plot(there);
    let is_open = plot & Plot::OPEN != 0;
    if is_open || (plot & Plot::DNS != 0 && matches!(request, Request::Names)) {
        return Reason::Garden;
    }
    if is_up && matches!(request, Request::Web) && portal::lead_there(packet, config, headers) {
        return Reason::Redirected;
    }
    Reason::Walled
}

#[inline(always)]
fn is_here(packet: &Packet, headers: &Headers, is_up: bool) -> bool {
    if is_up { packet.is_for_this_host(headers) } else { packet.is_from_this_host() }
}

/// Shows the edge the names that somebody in the garden was told, by those who are believed: else
/// anybody could open any address with an answer of his own.
#[inline(always)]
pub fn show_names(packet: &Packet, config: &Config, headers: &Headers, direction: Direction) {
    if config.flags & Config::HAS_NAMES != 0
        && matches!(direction, Direction::Down)
        && headers.protocol == UDP
        && headers.from_port == 53
        && headers.transport != 0
        && (packet.is_from_this_host() || maps::plot(headers.from) & Plot::DNS != 0)
    {
        event::of_names(packet, headers.transport as usize + 8);
    }
}

/// A packet of a device without a session: the reason why it passes or not.
#[inline(always)]
pub fn stranger(
    packet: &Packet,
    config: &Config,
    headers: &Headers,
    direction: Direction,
    device: Device,
) -> Reason {
    let is_up = matches!(direction, Direction::Up);
    let size = packet.size(headers, direction);
    let reason = gate(packet, config, headers, is_up);
    if !matches!(reason, Reason::Garden | Reason::Redirected) {
        if !matches!(reason, Reason::Walled) {
            return reason;
        }
        if device.is_group() {
            return Reason::Group;
        }
        if is_up {
            tell(headers, device);
        }
        return Reason::Unknown;
    }
    if let Some(clocks) = maps::stranger(device) {
        let is_names = headers.from_port == 53 || headers.to_port == 53;
        // SAFETY: a whole map value.
        let clock = unsafe {
            Word::new(match (is_names, direction) {
                (true, Direction::Down) => &raw mut (*clocks).dns_down_at,
                (true, Direction::Up) => &raw mut (*clocks).dns_up_at,
                (false, Direction::Down) => &raw mut (*clocks).garden_down_at,
                (false, Direction::Up) => &raw mut (*clocks).garden_up_at,
            })
        };
        let rate = if is_names { config.dns_ns_per_byte } else { config.garden_ns_per_byte };
        if rate != 0 && !has_left(clock, clock::cost(rate, size.octets, size.segments)) {
            return Reason::GardenRate;
        }
    }
    show_names(packet, config, headers, direction);
    reason
}

/// A policer: two CPUs at once may let a packet too many through.
#[inline(always)]
fn has_left(clock: Word, cost: u64) -> bool {
    let Arrival { base, delay } = Arrival::at(time::about(), clock.load(), BURST);
    if delay == 0 {
        clock.store(base + cost);
    }
    delay == 0
}

/// Tells the edge that there is somebody, once in a while.
#[inline(always)]
fn tell(headers: &Headers, device: Device) {
    let Some(clocks) = maps::stranger(device) else { return };
    // SAFETY: a whole map value.
    let told_at = unsafe { Word::new(&raw mut (*clocks).told_at) };
    let (now, before) = (time::about(), told_at.load());
    if before != 0 && now.saturating_sub(before) < TELL_EVERY {
        return;
    }
    if told_at.compare_exchange(before, now).is_ok() {
        event::of_device(EventKind::STRANGER, device, headers.from, now);
    }
}

/// A page of the portal at once.
const BURST: u64 = 1_000_000_000;

const TELL_EVERY: u64 = 10_000_000_000;
