//! The maps. Their sizes are set when they are loaded; those here are for one session.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};

use crate::{
    kernel::lane::SharedLane,
    layout::{Device, Direction, Host, Session, State},
    verdict::Reason,
};

// Preallocated, so that a session can start when memory is short.
#[map]
static DEVICES: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

#[map]
static SESSIONS: Array<Session> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static STATES: Array<State> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32, 0);

/// For the edge alone.
#[map]
static HOST: Array<Host> = Array::with_max_entries(1, 0);

#[inline(always)]
pub fn slot(device: Device) -> Option<u32> {
    // SAFETY: the value is one aligned word, which the edge replaces as a whole.
    unsafe { DEVICES.get(device.0) }.copied()
}

#[inline(always)]
pub fn session(slot: u32) -> Option<&'static Session> {
    SESSIONS.get(slot)
}

#[inline(always)]
pub fn lane(slot: u32, direction: Direction) -> Option<SharedLane> {
    let state = STATES.get_ptr_mut(slot)?;
    // SAFETY: `state` is a whole map value.
    Some(unsafe {
        SharedLane::new(match direction {
            Direction::Down => &raw mut (*state).down,
            Direction::Up => &raw mut (*state).up,
        })
    })
}

#[inline(always)]
pub fn count(reason: Reason) {
    if let Some(packets) = VERDICTS.get_ptr_mut(reason.counter()) {
        // SAFETY: this CPU's own value, and nothing interrupts the program to run another here.
        unsafe { *packets += 1 };
    }
}
