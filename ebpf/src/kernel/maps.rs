//! The maps. Their sizes are set when they are loaded; those here are for one session.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    helpers::generated::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, lpm_trie::Key},
};

use super::{
    atomic::Word,
    lane::{OwnCounts, SharedState},
    levels::{Comer, SharedAccount},
    packet::Link,
};
use crate::{
    clock::{Flow, Muscle},
    layout::{
        Account, AccountState, Address, Config, Counts, Device, Host, STRANGERS_MAX, Session,
        State, Stranger, Visitor,
        near::{Bucket, Place},
    },
    parse::Headers,
    rtt::mix,
    verdict::Reason,
};

#[map]
static CONFIG: Array<Config> = Array::with_max_entries(1, BPF_F_MMAPABLE);

// Preallocated, so that a session can start when memory is short.
#[map]
static DEVICES: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);

#[map]
static NEAR: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(1, 0);

#[map]
static PREFIXES: LpmTrie<Address, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

#[map]
static SESSIONS: Array<Session> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static STATES: Array<State> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static COUNTS: Array<Counts> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static ACCOUNTS: Array<Account> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static ACCOUNT_STATES: Array<AccountState> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static GARDEN: LpmTrie<Address, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

// What is forgotten here costs a packet its place in the queue, or a page its redirection.
#[map]
static FLOWS: LruHashMap<u64, Flow> = LruHashMap::with_max_entries(1, 0);

#[map]
static REDIRECTS: LruHashMap<Visitor, Address> = LruHashMap::with_max_entries(1, 0);

#[map]
static STRANGERS: Array<Stranger> = Array::with_max_entries(STRANGERS_MAX, 0);

#[map]
static REFUSALS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4_096, 0);

#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32, 0);

// What is read from here the verifier knows nothing of, and so it follows one way through the rest of
// a program, and not one for each kind of header. A packet at a time is on a CPU.
#[map]
static HEADERS: PerCpuArray<Headers> = PerCpuArray::with_max_entries(1, 0);

#[map]
static COMER: PerCpuArray<Comer> = PerCpuArray::with_max_entries(1, 0);

/// For the edge alone.
#[map]
static HOST: Array<Host> = Array::with_max_entries(1, 0);

// Set when the programs are loaded.
#[unsafe(no_mangle)]
static MUSCLE: u32 = 0;

#[unsafe(no_mangle)]
static BARE: u32 = 0;

#[unsafe(no_mangle)]
static TICK: u64 = 0;

#[unsafe(no_mangle)]
static SHARDS: u32 = 1;

#[inline(always)]
pub fn link() -> Link {
    // SAFETY: as in `muscle`.
    if unsafe { (&raw const BARE).read_volatile() } == 0 { Link::Ethernet } else { Link::Bare }
}

/// Between two of the kernel's ticks, in nanoseconds.
#[inline(always)]
pub fn tick() -> u64 {
    // SAFETY: as in `muscle`.
    unsafe { (&raw const TICK).read_volatile() }
}

#[inline(always)]
pub fn muscle() -> Muscle {
    // SAFETY: a constant of this object; volatile, because LLVM knows only the value it has here.
    Muscle::from_number(unsafe { (&raw const MUSCLE).read_volatile() })
}

/// Of the packet that this CPU is at.
#[inline(always)]
pub fn comer() -> Option<&'static mut Comer> {
    // SAFETY: this CPU's own memory, and this program is the only one that runs on it.
    COMER.get_ptr_mut(0).map(|comer| unsafe { &mut *comer })
}

#[inline(always)]
pub fn config() -> Option<&'static Config> {
    CONFIG.get(0)
}

#[inline(always)]
pub fn slot_of(config: &Config, device: Device) -> Option<u32> {
    if config.near_bits != 0 {
        let place = Place::of(device, config.near_bits);
        if let Some(bucket) = NEAR.get_ptr(place.bucket) {
            let found = place.look(read(bucket));
            if found.slot().is_some() || found.has_room {
                return found.slot();
            }
        }
    }
    // SAFETY: the value is one aligned word, which the edge replaces as a whole.
    unsafe { DEVICES.get(device.0) }.copied()
}

/// Each entry in one piece: the edge writes beside this.
#[inline(always)]
fn read(bucket: *const Bucket) -> Bucket {
    // SAFETY: a whole map value.
    unsafe {
        let entry: *const u64 = bucket.cast();
        [
            entry.read_volatile(),
            entry.add(1).read_volatile(),
            entry.add(2).read_volatile(),
            entry.add(3).read_volatile(),
        ]
    }
}

/// Whose address that is, by what there is at all.
#[inline(always)]
pub fn owner(flags: u64, address: Address) -> Option<u32> {
    if flags & Config::HAS_ADDRESSES != 0 {
        // SAFETY: as in `slot_of`.
        if let Some(slot) = unsafe { ADDRESSES.get(address) } {
            return Some(*slot);
        }
        if !address.is_v4() {
            // SAFETY: as in `slot_of`.
            if let Some(slot) = unsafe { ADDRESSES.get(address.network64()) } {
                return Some(*slot);
            }
        }
    }
    if flags & Config::HAS_PREFIXES == 0 {
        return None;
    }
    PREFIXES.get(Key::new(128, address)).copied()
}

/// Bits of a [`Plot`](crate::layout::Plot).
#[inline(always)]
pub fn plot(address: Address) -> u32 {
    GARDEN.get(Key::new(128, address)).copied().unwrap_or(0)
}

#[inline(always)]
pub fn session(slot: u32) -> Option<&'static Session> {
    SESSIONS.get(slot)
}

#[inline(always)]
pub fn state(slot: u32) -> Option<SharedState> {
    // SAFETY: a whole map value.
    STATES.get_ptr_mut(slot).map(|state| unsafe { SharedState::new(state) })
}

/// Where this CPU counts.
#[inline(always)]
pub fn counts(slot: u32) -> Option<OwnCounts> {
    // SAFETY: takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    // SAFETY: as in `muscle`.
    let last = unsafe { (&raw const SHARDS).read_volatile() }.wrapping_sub(1);
    let is_own = cpu < last;
    let shard = if is_own { cpu } else { last };
    let at = slot.wrapping_mul(last.wrapping_add(1)).wrapping_add(shard);
    // SAFETY: a whole map value; all but the last of a slot have one CPU.
    COUNTS.get_ptr_mut(at).map(|counts| unsafe { OwnCounts::new(counts, is_own) })
}

#[inline(always)]
pub fn account(number: u32) -> Option<(&'static Account, SharedAccount)> {
    Some((ACCOUNTS.get(number)?, account_state(number)?))
}

#[inline(always)]
pub fn account_state(number: u32) -> Option<SharedAccount> {
    // SAFETY: a whole map value.
    ACCOUNT_STATES.get_ptr_mut(number).map(|state| unsafe { SharedAccount::new(state) })
}

#[inline(always)]
pub fn flow(key: u64) -> Option<Flow> {
    // SAFETY: copied at once; two CPUs on one flow may mix up two of its states, which steers it
    // a little wrong and counts nothing.
    unsafe { FLOWS.get(key) }.copied()
}

#[inline(always)]
pub fn set_flow(key: u64, flow: Flow) {
    // A full table forgets another.
    let _best_effort = FLOWS.insert(key, flow, 0);
}

#[inline(always)]
pub fn redirected(visitor: Visitor) -> Option<Address> {
    // SAFETY: copied at once, and written once before it is looked for.
    unsafe { REDIRECTS.get(visitor) }.copied()
}

#[inline(always)]
pub fn set_redirected(visitor: Visitor, wanted: Address) -> bool {
    REDIRECTS.insert(visitor, wanted, 0).is_ok()
}

#[inline(always)]
pub fn forget_redirected(visitor: Visitor) {
    let _not_there_is_fine = REDIRECTS.remove(visitor);
}

/// The clocks that this device shares with few others.
#[inline(always)]
pub fn stranger(device: Device) -> Option<*mut Stranger> {
    let (low, high) = (device.0 as u32, (device.0 >> 32) as u32);
    STRANGERS.get_ptr_mut(mix(low ^ mix(high)) % STRANGERS_MAX)
}

/// Memory for the headers of the packet that this CPU is at.
#[inline(always)]
pub(super) fn headers() -> Option<*mut Headers> {
    HEADERS.get_ptr_mut(0)
}

/// This CPU's clock of refusals.
#[inline(always)]
pub fn refusals() -> Option<Word> {
    // SAFETY: a whole map value.
    REFUSALS.get_ptr_mut(0).map(|clock| unsafe { Word::new(clock) })
}

#[inline(always)]
pub(super) fn events() -> &'static RingBuf {
    &EVENTS
}

#[inline(always)]
pub fn count(reason: Reason) {
    if let Some(packets) = VERDICTS.get_ptr_mut(reason.counter()) {
        // SAFETY: this CPU's own value, and nothing interrupts the program to run another here.
        unsafe { *packets += 1 };
    }
}
