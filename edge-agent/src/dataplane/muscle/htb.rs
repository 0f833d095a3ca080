//! An HTB queue on every interface, a class for every slot and for every account with a rate.
//!
//! The programs choose the class by `skb->priority`. A class runs a little faster than the virtual
//! clock of its session, so its queue stays shorter than the virtual one, and HTB never drops.
//! Adding a class takes the kernel longer the more there are; changing one does not. So classes
//! are added in blocks ahead of need, and are never taken away.

use ebpf::{
    clock::{self, Bounds, Muscle},
    layout::Direction,
};
use shared::rate::Kbps;

use super::{Leg, handle};
use crate::dataplane::{
    AccountNumber, DataplaneError, Slot, Within,
    netlink::{self, Netlink, Request, attribute, u32_at},
    tc::{ROOT, RTM_GETTCLASS, RTM_NEWQDISC, RTM_NEWTCLASS, TCA_KIND, TCA_OPTIONS, tcmsg},
};

/// All queues of this data plane.
#[derive(Debug)]
pub(in crate::dataplane) struct Htb {
    netlink: Netlink,
    legs: Vec<(Leg, Pools)>,
}

/// How many classes are there on an interface, of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Pools {
    sessions: u32,
    accounts: u32,
}

/// Whose class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dataplane) enum Whose {
    Session(Slot),
    Account(AccountNumber),
}

/// Class ids have 16 bits; half of them are for sessions and half for accounts.
pub(in crate::dataplane) const SLOTS_MAX: u32 = 32_500;

/// Value of `skb->priority` for a queue in this direction.
pub(in crate::dataplane) const fn class_of(whose: Whose, direction: Direction) -> u32 {
    handle(direction)
        | match whose {
            Whose::Session(slot) => slot.0 + 1,
            Whose::Account(number) => SLOTS_MAX + 1 + number.0,
        }
}

impl Htb {
    pub(super) fn new(netlink: Netlink) -> Self {
        Self { netlink, legs: Vec::new() }
    }

    /// Puts the queue on an interface, or takes over the one that is there.
    pub(super) fn put(&mut self, leg: Leg, is_there: bool) -> Result<(), DataplaneError> {
        let pools = if is_there {
            self.count_classes(&leg)?
        } else {
            self.netlink
                .run(vec![new_root(&leg)])
                .within(|| format!("make an HTB queue on {}", leg.name))?;
            Pools::default()
        };
        self.legs.retain(|(there, _)| there.name != leg.name);
        self.legs.push((leg, pools));
        Ok(())
    }

    /// Brings the classes to these rates, down and up.
    pub(super) fn set(&mut self, rates: &[(Whose, [Kbps; 2])]) -> Result<(), DataplaneError> {
        self.reserve(rates)?;
        let mut requests = Vec::with_capacity(self.legs.len() * rates.len());
        for (leg, _) in &self.legs {
            requests.extend(rates.iter().map(|&(whose, [down, up])| {
                let rate = match leg.direction {
                    Direction::Down => down,
                    Direction::Up => up,
                };
                class(leg, whose, rate)
            }));
        }
        self.netlink.run(requests).within(|| format!("set the rates of {} classes", rates.len()))
    }

    /// Adds classes until each has one.
    fn reserve(&mut self, rates: &[(Whose, [Kbps; 2])]) -> Result<(), DataplaneError> {
        let mut wanted = Pools::default();
        for (whose, _) in rates {
            match whose {
                Whose::Session(slot) => wanted.sessions = wanted.sessions.max(slot.0 + 1),
                Whose::Account(number) => wanted.accounts = wanted.accounts.max(number.0 + 1),
            }
        }
        for (leg, pools) in &mut self.legs {
            if wanted.sessions > pools.sessions {
                let upto = wanted.sessions.next_multiple_of(BLOCK).min(SLOTS_MAX);
                let new = (pools.sessions..upto).map(|slot| Whose::Session(Slot(slot)));
                make(&mut self.netlink, leg, new)?;
                pools.sessions = upto;
            }
            if wanted.accounts > pools.accounts {
                let upto = wanted.accounts.next_multiple_of(BLOCK).min(SLOTS_MAX);
                let new =
                    (pools.accounts..upto).map(|number| Whose::Account(AccountNumber(number)));
                make(&mut self.netlink, leg, new)?;
                pools.accounts = upto;
            }
        }
        Ok(())
    }

    /// Classes of a kind are made in order: the highest number is how many there are.
    fn count_classes(&mut self, leg: &Leg) -> Result<Pools, DataplaneError> {
        let answers = self
            .netlink
            .dump(Request::new(RTM_GETTCLASS, 0, &tcmsg(leg.index, 0, 0, 0)))
            .within(|| format!("ask for the classes of {}", leg.name))?;
        let mut pools = Pools::default();
        for (_, payload) in answers {
            let (Some(index), Some(class)) = (u32_at(&payload, 4), u32_at(&payload, 8)) else {
                continue;
            };
            if index != leg.index {
                continue;
            }
            match class & 0xffff {
                minor @ 1..=SLOTS_MAX => pools.sessions = pools.sessions.max(minor),
                minor => pools.accounts = pools.accounts.max(minor.saturating_sub(SLOTS_MAX)),
            }
        }
        Ok(pools)
    }
}

fn make(
    netlink: &mut Netlink,
    leg: &Leg,
    new: impl Iterator<Item = Whose>,
) -> Result<(), DataplaneError> {
    let requests: Vec<Request> = new.map(|whose| class(leg, whose, IDLE_RATE)).collect();
    let count = requests.len();
    let attempt = || format!("make {count} more queues on {}", leg.name);
    // A class takes the limit of its queue from the interface's queue length.
    let length = netlink.link(leg.index).within(attempt)?.queue_length;
    // That one was left by a process that ended in the middle of this.
    let length = if QUEUE_MAX.contains(&length) { QUEUE_DEFAULT } else { length };
    let mut longest = Ok(());
    for packets in QUEUE_MAX {
        longest = netlink.run(vec![set_queue_length(leg.index, packets)]);
        if longest.is_ok() {
            break;
        }
    }
    longest.within(attempt)?;
    let made = netlink.run(requests);
    netlink.run(vec![set_queue_length(leg.index, length)]).within(attempt)?;
    made.within(attempt)
}

pub(super) fn new_root(leg: &Leg) -> Request {
    let mut glob = Vec::new();
    // Version, rate to quantum, default class (none: pass unshaped), debug, direct packets.
    for field in [3_u32, 10, 0, 0, 0] {
        glob.extend(field.to_ne_bytes());
    }
    let tcmsg = tcmsg(leg.index, handle(leg.direction), ROOT, 0);
    Request::new(RTM_NEWQDISC, netlink::CREATE | netlink::REPLACE, &tcmsg)
        .with(TCA_KIND, b"htb\0")
        .with(TCA_OPTIONS, &attribute(TCA_HTB_INIT, &glob))
}

/// Makes the class or changes it; a queue in it stays.
fn class(leg: &Leg, whose: Whose, rate: Kbps) -> Request {
    let class = class_of(whose, leg.direction);
    let bytes_per_second = queue_rate(rate);
    let burst = Bounds::of(clock::ns_per_byte(rate.get()), Muscle::Htb).burst + BURST_MORE;
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
    let tcmsg = tcmsg(leg.index, class, handle(leg.direction), 0);
    Request::new(RTM_NEWTCLASS, netlink::CREATE, &tcmsg)
        .with(TCA_KIND, b"htb\0")
        .with(TCA_OPTIONS, &nested)
}

/// Bytes per second on the wire, three parts in a thousand above the virtual clock: what has piled up
/// does not leave noticeably faster than it may.
const fn queue_rate(rate: Kbps) -> u64 {
    rate.bits_per_second() / 8 * 1_514 * 1_003 / (1_500 * 1_000)
}

/// `struct tc_ratespec`; with a link layer given, the kernel needs no table.
fn ratespec(bytes_per_second: u64) -> [u8; 12] {
    let [a, b, c, d] = u32::try_from(bytes_per_second).unwrap_or(u32::MAX).to_ne_bytes();
    [0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0, a, b, c, d]
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
/// and drivers that refuse the first (Linux 6.12.117; tunnels) take the second.
const QUEUE_MAX: [u32; 2] = [1_000_000, 32_767];

/// What the kernel gives an interface.
const QUEUE_DEFAULT: u32 = 1_000;

/// What HTB lets through at once beyond what the clock does, so that the clock comes first.
const BURST_MORE: u64 = 2_000_000;

/// Bytes that a class may send in its turn; without it, the kernel complains of high rates.
const QUANTUM: u32 = 1_514;

/// The kernel counts token time in units of 64 ns.
const TICK_SHIFT: u32 = 6;

const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;
const TC_LINKLAYER_ETHERNET: u8 = 1;
