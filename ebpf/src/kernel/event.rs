//! Telling the edge.

use core::arch::asm;

use super::maps;
use crate::{
    kernel::packet::Packet,
    layout::{Address, DNS_BYTES_MAX, Device, DnsAnswer, Event, EventKind},
    verdict::Reason,
};

/// A session's event. The caller has made sure that it is the first of its kind.
#[inline(always)]
pub fn of_session(kind: EventKind, slot: u32, account: u32, at: u64) {
    send(Event { kind: kind.0, slot, account, at, ..Event::default() });
}

/// Something about a device.
#[inline(always)]
pub fn of_device(kind: EventKind, device: Device, address: Address, at: u64) {
    send(Event { kind: kind.0, device: device.0, address, at, ..Event::default() });
}

#[inline(always)]
fn send(event: Event) {
    match maps::events().reserve::<Event>(0) {
        Some(mut entry) => {
            entry.write(event);
            entry.submit(0);
        }
        None => maps::count(Reason::EventLost),
    }
}

/// The DNS message that begins at `at`, as far as it is of interest.
#[inline(always)]
pub fn of_names(packet: &Packet, at: usize) {
    let all = packet.len() as usize;
    if all <= at {
        return;
    }
    let Some(mut entry) = maps::events().reserve::<DnsAnswer>(0) else {
        maps::count(Reason::EventLost);
        return;
    };
    let mut more = (all - at - 1).min(DNS_BYTES_MAX - 1);
    // SAFETY: changes nothing; LLVM knows it, and the verifier has to be shown.
    unsafe {
        asm!("{0} &= 511", inout(reg) more, options(pure, nomem, nostack, preserves_flags));
    }
    let length = more + 1;
    let answer = entry.as_mut_ptr();
    // SAFETY: the entry has room for the whole structure, and `length` is at most its message's.
    let copied = unsafe {
        (&raw mut (*answer).kind).write(EventKind::DNS.0);
        (&raw mut (*answer).length).write(length as u32);
        packet.copy((&raw mut (*answer).message).cast(), at, length)
    };
    if copied { entry.submit(0) } else { entry.discard(0) }
}
