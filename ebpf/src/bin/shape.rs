//! The programs: `up` at the ingress of a LAN interface, `down` at its egress.
//!
//! headers → find the session → class, times → clocks → quota → count → choose the queue. Nothing is
//! decided here: see `parse`, `clock`, `rtt` and `verdict`, and `kernel` for what puts them to work.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "symbols that the loader looks for")]
#![expect(clippy::inline_always, reason = "each program is one function to the verifier")]

use aya_ebpf::{
    bindings::tcx_action_base::{TCX_DROP, TCX_NEXT},
    macros::classifier,
    programs::TcContext,
};
use ebpf::{
    kernel::{answer, garden, maps, packet::Packet, portal, session},
    layout::{Config, Direction},
    parse::{Headers, Network, TCP},
    verdict::{Action, Reason},
};

#[classifier]
fn up(context: TcContext) -> i32 {
    run(&Packet::new(&context), Direction::Up)
}

#[classifier]
fn down(context: TcContext) -> i32 {
    run(&Packet::new(&context), Direction::Down)
}

#[inline(always)]
fn run(packet: &Packet, direction: Direction) -> i32 {
    let Some(headers) = packet.headers() else { return finish(Reason::Malformed) };
    let Some(config) = maps::config() else { return finish(Reason::NoSlot) };
    let Err(reason) = look(packet, config, headers, direction) else {
        // Not "pass": that would end the chain and skip the operator's own filters.
        return TCX_NEXT;
    };
    if matches!(direction, Direction::Up)
        && reason.is_told()
        && config.flags & Config::ANSWERS != 0
        && let Some(code) = answer::answer(packet, headers)
    {
        maps::count(Reason::Answered);
        maps::count(reason);
        return code;
    }
    finish(reason)
}

#[inline(always)]
fn finish(reason: Reason) -> i32 {
    maps::count(reason);
    match reason.action() {
        Action::Pass => TCX_NEXT,
        Action::Drop => TCX_DROP,
    }
}

#[inline(always)]
fn look(
    packet: &Packet,
    config: &Config,
    headers: &Headers,
    direction: Direction,
) -> Result<(), Reason> {
    match headers.network {
        Network::V4 | Network::V6 => {}
        Network::Arp => return Err(session::arp(config, headers, direction)),
        Network::Other => return Err(Reason::NotIp),
    }
    if matches!(direction, Direction::Down) && answer::is_ours(packet) {
        return Ok(());
    }
    if matches!(direction, Direction::Down)
        && headers.protocol == TCP
        && headers.from_port == config.portal_port
    {
        portal::bring_back(packet, config, headers);
    }
    match session::find(config, headers, direction) {
        Some(slot) => session::pass(packet, config, headers, direction, slot),
        None if session::is_of_another(config, headers, direction) => Err(Reason::Spoofed),
        None => {
            let device = session::device_of(headers, direction);
            Err(garden::stranger(packet, config, headers, direction, device))
        }
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The verifier lets only GPL-compatible programs call some helpers; ours is under MIT or
// Apache-2.0, and MIT with GPL is what the kernel understands.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
