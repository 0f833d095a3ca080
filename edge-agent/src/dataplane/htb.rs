//! What delays packets: an HTB queue on every interface, a class for every slot.
//!
//! The programs choose the class by `skb->priority`. A class runs a little faster than the virtual
//! clock of its session, so its queue stays shorter than the virtual one, and HTB never drops.
//! Adding a class takes the kernel longer the more there are; changing one does not. So classes
//! are added in blocks ahead of need, and are never taken away.

use ebpf::{
    clock::{self, Bounds},
    layout::Direction,
};
use shared::rate::Kbps;

use super::{
    DataplaneError, Entry, Slot, Within,
    netlink::{self, Netlink, Request, attribute, attributes, u32_at},
};

/// All queues of this data plane.
#[derive(Debug)]
pub(super) struct Htb {
    netlink: Netlink,
    legs: Vec<Leg>,
}

/// One interface.
#[derive(Debug)]
struct Leg {
    name: String,
    index: u32,
    direction: Direction,
    /// Classes for the slots below this are there.
    classes: u32,
}

/// Class ids have 16 bits, and a few are the kernel's.
pub(super) const SLOTS_MAX: u32 = 65_000;

/// Value of `skb->priority` for a slot's queue in this direction.
pub(super) const fn class_of(slot: Slot, direction: Direction) -> u32 {
    handle(direction) | (slot.0 + 1)
}

/// The queue's own number, `4b44:` or `4b55:` in `tc`. Different ones, so that a packet never
/// lands in another interface's class by mistake.
const fn handle(direction: Direction) -> u32 {
    match direction {
        Direction::Down => 0x4b44_0000,
        Direction::Up => 0x4b55_0000,
    }
}

impl Htb {
    /// Takes over the queues that a process before this one has left, and makes the others.
    pub(super) fn open(
        interfaces: impl IntoIterator<Item = (String, u32, Direction)>,
    ) -> Result<Self, DataplaneError> {
        let netlink = Netlink::open().within(|| "open a netlink socket".to_owned())?;
        let mut htb = Self { netlink, legs: Vec::new() };
        for (name, index, direction) in interfaces {
            let classes = match htb.root(&name, index)? {
                Root::Ours(found) if found == handle(direction) => {
                    htb.count_classes(&name, index)?
                }
                Root::Default => {
                    htb.netlink
                        .run(vec![new_root(index, direction)])
                        .within(|| format!("make an HTB queue on {name}"))?;
                    0
                }
                Root::Ours(_) => {
                    return Err(DataplaneError::Occupied {
                        interface: name,
                        kind: "htb".to_owned(),
                    });
                }
                Root::Foreign(kind) => {
                    return Err(DataplaneError::Occupied { interface: name, kind });
                }
            };
            htb.legs.push(Leg { name, index, direction, classes });
        }
        Ok(htb)
    }

    /// Brings the slots' classes to these rates.
    pub(super) fn set(&mut self, entries: &[Entry]) -> Result<(), DataplaneError> {
        let Some(highest) = entries.iter().map(|entry| entry.slot).max() else { return Ok(()) };
        self.reserve(highest)?;
        let mut requests = Vec::with_capacity(self.legs.len() * entries.len());
        for leg in &self.legs {
            requests.extend(entries.iter().map(|entry| {
                let rate = match leg.direction {
                    Direction::Down => entry.shape.down_kbps,
                    Direction::Up => entry.shape.up_kbps,
                };
                class(leg, entry.slot.0, rate)
            }));
        }
        self.netlink.run(requests).within(|| format!("set the rates up to {highest:?}"))
    }

    /// Adds classes until the slot has one.
    fn reserve(&mut self, slot: Slot) -> Result<(), DataplaneError> {
        for leg in &mut self.legs {
            if slot.0 < leg.classes {
                continue;
            }
            let wanted = (slot.0 + 1).next_multiple_of(BLOCK).min(SLOTS_MAX);
            let requests = (leg.classes..wanted).map(|slot| class(leg, slot, IDLE_RATE)).collect();
            let attempt = || format!("make the queues of slots below {wanted} on {}", leg.name);
            // A class takes the limit of its queue from the interface's queue length.
            let length = self.netlink.link(leg.index).within(attempt)?.queue_length;
            // That one was left by a process that ended in the middle of this.
            let length = if QUEUE_MAX.contains(&length) { QUEUE_DEFAULT } else { length };
            let mut longest = Ok(());
            for packets in QUEUE_MAX {
                longest = self.netlink.run(vec![set_queue_length(leg.index, packets)]);
                let too_long =
                    longest.as_ref().is_err_and(|error| error.raw_os_error() == Some(ERANGE));
                if !too_long {
                    break;
                }
            }
            longest.within(attempt)?;
            let made = self.netlink.run(requests);
            self.netlink.run(vec![set_queue_length(leg.index, length)]).within(attempt)?;
            made.within(attempt)?;
            leg.classes = wanted;
        }
        Ok(())
    }

    /// Takes away the queues that are ours; the kernel puts its default in their place.
    pub(super) fn detach(
        interfaces: impl IntoIterator<Item = (String, u32)>,
    ) -> Result<(), DataplaneError> {
        let netlink = Netlink::open().within(|| "open a netlink socket".to_owned())?;
        let mut htb = Self { netlink, legs: Vec::new() };
        for (name, index) in interfaces {
            if let Root::Ours(handle) = htb.root(&name, index)? {
                let request = Request::new(RTM_DELQDISC, 0, &tcmsg(index, handle, TC_H_ROOT));
                htb.netlink
                    .run(vec![request])
                    .within(|| format!("remove the HTB queue of {name}"))?;
            }
        }
        Ok(())
    }

    fn root(&mut self, name: &str, index: u32) -> Result<Root, DataplaneError> {
        let answers = self
            .netlink
            .dump(Request::new(RTM_GETQDISC, 0, &tcmsg(index, 0, 0)))
            .within(|| format!("ask for the queues of {name}"))?;
        let root = answers.iter().find(|(_, payload)| {
            u32_at(payload, 4) == Some(index) && u32_at(payload, 12) == Some(TC_H_ROOT)
        });
        let Some((_, payload)) = root else { return Ok(Root::Default) };
        let found = u32_at(payload, 8).unwrap_or_default();
        let kind = attributes(payload, TCMSG)
            .find(|&(kind, _)| kind == TCA_KIND)
            .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
            .unwrap_or_default();
        Ok(if found == 0 {
            Root::Default
        } else if kind == "htb" && [handle(Direction::Down), handle(Direction::Up)].contains(&found)
        {
            Root::Ours(found)
        } else {
            Root::Foreign(kind)
        })
    }

    /// Classes are made in order: the highest number is how many there are.
    fn count_classes(&mut self, name: &str, index: u32) -> Result<u32, DataplaneError> {
        let answers = self
            .netlink
            .dump(Request::new(RTM_GETTCLASS, 0, &tcmsg(index, 0, 0)))
            .within(|| format!("ask for the classes of {name}"))?;
        let highest = answers
            .iter()
            .filter(|(_, payload)| u32_at(payload, 4) == Some(index))
            .filter_map(|(_, payload)| u32_at(payload, 8))
            .map(|class| class & 0xffff)
            .max();
        Ok(highest.unwrap_or(0))
    }
}

/// What is at the root of an interface's queues.
enum Root {
    /// What the kernel puts there by itself.
    Default,
    Ours(u32),
    /// Somebody's work, which we do not throw away.
    Foreign(String),
}

fn new_root(index: u32, direction: Direction) -> Request {
    let tcmsg = tcmsg(index, handle(direction), TC_H_ROOT);
    let mut glob = Vec::new();
    // Version, rate to quantum, default class (none: pass unshaped), debug, direct packets.
    for field in [3_u32, 10, 0, 0, 0] {
        glob.extend(field.to_ne_bytes());
    }
    Request::new(RTM_NEWQDISC, netlink::CREATE | netlink::REPLACE, &tcmsg)
        .with(TCA_KIND, b"htb\0")
        .with(TCA_OPTIONS, &attribute(TCA_HTB_INIT, &glob))
}

/// Makes the class or changes it; a queue in it stays.
fn class(leg: &Leg, slot: u32, rate: Kbps) -> Request {
    let class = class_of(Slot(slot), leg.direction);
    let bytes_per_second = queue_rate(rate);
    let burst = Bounds::of(clock::ns_per_byte(rate.get())).burst + BURST_MORE;
    let rate = ratespec(bytes_per_second);
    let ticks = u32::try_from(burst >> TICK_SHIFT).unwrap_or(u32::MAX);
    let mut options = Vec::new();
    options.extend(rate);
    options.extend(rate); // The ceiling: nothing to borrow.
    for field in [ticks, ticks, QUANTUM, 0, 0] {
        options.extend(field.to_ne_bytes());
    }
    let mut nested = attribute(TCA_HTB_PARMS, &options);
    if bytes_per_second > u64::from(u32::MAX) {
        nested.extend(attribute(TCA_HTB_RATE64, &bytes_per_second.to_ne_bytes()));
        nested.extend(attribute(TCA_HTB_CEIL64, &bytes_per_second.to_ne_bytes()));
    }
    Request::new(RTM_NEWTCLASS, netlink::CREATE, &tcmsg(leg.index, class, handle(leg.direction)))
        .with(TCA_KIND, b"htb\0")
        .with(TCA_OPTIONS, &nested)
}

/// Bytes per second on the wire, one per cent above the virtual clock.
const fn queue_rate(rate: Kbps) -> u64 {
    rate.bits_per_second() / 8 * 1_514 * 101 / (1_500 * 100)
}

/// `struct tc_ratespec`; with a link layer given, the kernel needs no table.
fn ratespec(bytes_per_second: u64) -> [u8; 12] {
    let [a, b, c, d] = u32::try_from(bytes_per_second).unwrap_or(u32::MAX).to_ne_bytes();
    [0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

/// `struct tcmsg`.
fn tcmsg(index: u32, handle: u32, parent: u32) -> [u8; TCMSG] {
    let mut bytes = [0; TCMSG];
    for (field, value) in bytes.chunks_exact_mut(4).skip(1).zip([index, handle, parent]) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn set_queue_length(index: u32, packets: u32) -> Request {
    Request::new(netlink::NEWLINK, 0, &netlink::ifinfomsg(index))
        .with(netlink::IFLA_TXQLEN, &packets.to_ne_bytes())
}

/// Classes made at a time: some milliseconds while there are few, a third of a second at 10,000.
const BLOCK: u32 = 256;

/// Of a class that no session has had yet.
const IDLE_RATE: Kbps = Kbps::new(1_000).expect("not zero");

/// The programs bound the queue by time; this bound in packets only must not come first. Kernels
/// that refuse the first (6.12.117 does) take the second.
const QUEUE_MAX: [u32; 2] = [1_000_000, 32_767];

/// What the kernel gives an interface.
const QUEUE_DEFAULT: u32 = 1_000;

/// What HTB lets through at once beyond what the clock does, so that the clock comes first.
const BURST_MORE: u64 = 2_000_000;

/// Bytes that a class may send in its turn; without it, the kernel complains of high rates.
const QUANTUM: u32 = 1_514;

/// The kernel counts token time in units of 64 ns.
const TICK_SHIFT: u32 = 6;

/// The kernel's word for a number that it does not take.
const ERANGE: i32 = 34;

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const RTM_GETTCLASS: u16 = 42;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;
const TC_H_ROOT: u32 = u32::MAX;
const TC_LINKLAYER_ETHERNET: u8 = 1;
const TCMSG: usize = 20;
