//! The programs: `up` at the ingress of a LAN interface, `down` at its egress.
//!
//! parse → find the session by its device → class → virtual clock → count → choose the queue.
//! Nothing is decided here: see `parse`, `clock` and `verdict`.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "symbols that the loader looks for")]

use aya_ebpf::{
    bindings::tcx_action_base::{TCX_DROP, TCX_NEXT},
    macros::classifier,
    programs::TcContext,
};
use ebpf::{
    clock::Decision,
    kernel::{
        maps,
        packet::{self, Packet},
    },
    layout::{Class, Device, Direction},
    parse::{Bootstrap, Ethernet, Network},
    verdict::{Action, Reason},
};

#[classifier]
fn up(context: TcContext) -> i32 {
    answer(run(&Packet::new(&context), Direction::Up))
}

#[classifier]
fn down(context: TcContext) -> i32 {
    answer(run(&Packet::new(&context), Direction::Down))
}

#[inline(always)]
fn answer(result: Result<(), Reason>) -> i32 {
    let action = match result {
        Ok(()) => Action::Pass,
        Err(reason) => {
            maps::count(reason);
            reason.action()
        }
    };
    match action {
        // Not "pass": that would end the chain and skip the operator's own filters.
        Action::Pass => TCX_NEXT,
        Action::Drop => TCX_DROP,
    }
}

#[inline(always)]
fn run(packet: &Packet, direction: Direction) -> Result<(), Reason> {
    let ethernet = packet.parse(|packet| Ethernet::parse(packet)).ok_or(Reason::Malformed)?;
    if ethernet.network == Network::Other {
        return Err(Reason::NotIp);
    }
    let device = match direction {
        Direction::Down => ethernet.destination,
        Direction::Up => ethernet.source,
    };
    let Some(slot) = maps::slot(device) else {
        return Err(stranger(packet, &ethernet, device, direction));
    };
    let session = maps::session(slot).ok_or(Reason::NoSlot)?;
    let lane = maps::lane(slot, direction).ok_or(Reason::NoSlot)?;
    let size = packet.size(&ethernet, direction).ok_or(Reason::Malformed)?;
    // A class that is not known here is one that this program cannot grant anything.
    if session.class != Class::ACTIVE.0 {
        lane.count_dropped(size);
        return Err(Reason::Blocked);
    }
    let limit = match direction {
        Direction::Down => session.down,
        Direction::Up => session.up,
    };
    if limit.ns_per_byte != 0 {
        let ecn = packet.parse(|packet| ethernet.ecn(packet)).ok_or(Reason::Malformed)?;
        match lane.admit(packet::now(), limit.ns_per_byte, size, ecn != 0) {
            Decision::Pass => {}
            Decision::Mark => {
                if packet.mark() {
                    maps::count(Reason::Marked);
                }
            }
            Decision::Refuse => {
                lane.count_dropped(size);
                return Err(Reason::QueueFull);
            }
            Decision::Shed => {
                lane.count_dropped(size);
                return Err(Reason::Congested);
            }
        }
    }
    lane.count_passed(size);
    packet.set_priority(limit.priority);
    Ok(())
}

/// A device without a session: it gets an address, finds its neighbours and logs in; nothing else.
#[inline(always)]
fn stranger(packet: &Packet, ethernet: &Ethernet, device: Device, direction: Direction) -> Reason {
    let from_device = direction == Direction::Up;
    let service = packet.parse(|packet| {
        ethernet.transport(packet)?.bootstrap(packet, ethernet.network, from_device)
    });
    let allowed = match service {
        Some(Bootstrap::Anyone) => true,
        Some(Bootstrap::ThisHost) if from_device => {
            packet.is_for_this_host(ethernet).unwrap_or(false)
        }
        Some(Bootstrap::ThisHost) => packet.is_from_this_host(),
        None => false,
    };
    if allowed {
        Reason::Bootstrap
    } else if device.is_group() {
        Reason::Group
    } else {
        Reason::Unknown
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
