//! What delays packets, chosen by what this kernel has: [`fq`], else [`htb`], else nothing.
//!
//! The programs decide when a packet leaves; a muscle makes it so. Without one, what would have to
//! wait is dropped.

use std::io;

use aya::util::KernelVersion;
use ebpf::{clock::Muscle as Kind, layout::Direction};
use shared::rate::Kbps;

pub(super) mod fq;
pub(super) mod htb;

use htb::{Htb, Whose};

use super::{
    DataplaneError, Within,
    netlink::Netlink,
    tc::{self, Root},
};

#[derive(Debug)]
pub(super) enum Muscle {
    Police,
    Htb(Htb),
    Fq(Netlink),
}

/// One interface, and what is shaped on its way out: downloads towards the LAN, uploads towards the
/// WAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) direction: Direction,
}

/// The queue's own number, `4b44:` or `4b55:` in `tc`. Different ones, so that a packet never
/// lands in another interface's class by mistake.
pub(super) const fn handle(direction: Direction) -> u32 {
    match direction {
        Direction::Down => 0x4b44_0000,
        Direction::Up => 0x4b55_0000,
    }
}

impl Muscle {
    /// The best kind that this kernel has, found out without touching any interface of the edge's;
    /// or the one that is `wanted`, if it has that.
    pub(super) fn choose(wanted: Option<Kind>) -> Result<Kind, DataplaneError> {
        let kinds = match wanted {
            Some(kind) => vec![kind],
            // Before, nobody keeps a departure time across forwarding.
            None if !keeps_times() => vec![Kind::Htb, Kind::Police],
            None => vec![Kind::Fq, Kind::Htb, Kind::Police],
        };
        let mut netlink = netlink()?;
        let mut refused = DataplaneError::NoQueue("police");
        for kind in kinds {
            let attempt = || format!("try whether this kernel has `{}`", kind.name());
            match probe(&mut netlink, kind) {
                Ok(()) => return Ok(kind),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::info!("this kernel has no `{}`", kind.name());
                    refused = DataplaneError::NoQueue(kind.name());
                }
                Err(error) => return Err(error).within(attempt),
            }
        }
        Err(refused)
    }

    /// Puts queues on the interfaces.
    pub(super) fn open(legs: &[Leg], kind: Kind) -> Result<Self, DataplaneError> {
        let mut muscle = Self::of(kind)?;
        legs.iter().try_for_each(|leg| muscle.put(leg.clone()))?;
        Ok(muscle)
    }

    fn of(kind: Kind) -> Result<Self, DataplaneError> {
        Ok(match kind {
            Kind::Police => Self::Police,
            Kind::Htb => Self::Htb(Htb::new(netlink()?)),
            Kind::Fq => Self::Fq(netlink()?),
        })
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Police => Kind::Police,
            Self::Htb(_) => Kind::Htb,
            Self::Fq(_) => Kind::Fq,
        }
    }

    /// Puts the queue on an interface; one that is there already stays as it is.
    pub(super) fn put(&mut self, leg: Leg) -> Result<(), DataplaneError> {
        let attempt = || format!("ask for the queues of {}", leg.name);
        let netlink = &mut netlink()?;
        let found = tc::root(netlink, leg.index, &OURS).within(attempt)?;
        if let Root::Foreign(kind) = found {
            return Err(DataplaneError::Occupied { interface: leg.name, kind });
        }
        let kind = self.kind().name().to_owned();
        let is_there = found == Root::Ours { kind, handle: handle(leg.direction) };
        if !is_there {
            // One of another kind: the settings have changed.
            remove(netlink, &leg.name, leg.index, &found)?;
        }
        match self {
            Self::Police => Ok(()),
            Self::Htb(htb) => htb.put(leg, is_there),
            Self::Fq(_) if is_there => Ok(()),
            Self::Fq(netlink) => netlink
                .run(vec![fq::put(&leg)])
                .within(|| format!("make an fq queue on {}", leg.name)),
        }
    }

    /// Brings queues to these rates, down and up, where queues have rates.
    pub(super) fn set(&mut self, rates: &[(Whose, [Kbps; 2])]) -> Result<(), DataplaneError> {
        match self {
            Self::Htb(htb) if !rates.is_empty() => htb.set(rates),
            Self::Htb(_) | Self::Police | Self::Fq(_) => Ok(()),
        }
    }

    /// Takes away the queues that are ours.
    pub(super) fn detach(
        interfaces: impl IntoIterator<Item = (String, u32)>,
    ) -> Result<(), DataplaneError> {
        let mut netlink = netlink()?;
        for (name, index) in interfaces {
            let attempt = || format!("ask for the queues of {name}");
            let found = tc::root(&mut netlink, index, &OURS).within(attempt)?;
            remove(&mut netlink, &name, index, &found)?;
        }
        Ok(())
    }
}

fn remove(
    netlink: &mut Netlink,
    name: &str,
    index: u32,
    found: &Root,
) -> Result<(), DataplaneError> {
    let Root::Ours { handle, .. } = found else { return Ok(()) };
    netlink
        .run(vec![tc::remove_root(index, *handle)])
        .within(|| format!("remove the queue of {name}"))
}

fn netlink() -> Result<Netlink, DataplaneError> {
    Netlink::open().within(|| "open a netlink socket".to_owned())
}

/// Puts such a queue on the loopback, which has none of its own, and takes it away again.
fn probe(netlink: &mut Netlink, kind: Kind) -> io::Result<()> {
    let leg = Leg { name: "lo".to_owned(), index: LOOPBACK, direction: Direction::Down };
    let request = match kind {
        Kind::Police => return Ok(()),
        Kind::Htb => htb::new_root(&leg),
        Kind::Fq => fq::put(&leg),
    };
    // Somebody else's stays there; ours, of a process that ended in between, does not.
    match tc::root(netlink, LOOPBACK, &OURS)? {
        Root::Default => {}
        Root::Ours { handle, .. } => netlink.run(vec![tc::remove_root(LOOPBACK, handle)])?,
        Root::Foreign(_) => return Err(io::ErrorKind::NotFound.into()),
    }
    netlink.run(vec![request])?;
    netlink.run(vec![tc::remove_root(LOOPBACK, handle(leg.direction))])
}

/// In every network namespace.
const LOOPBACK: u32 = 1;

fn keeps_times() -> bool {
    KernelVersion::current().is_ok_and(|here| here >= KernelVersion::new(5, 18, 0))
}

const OURS: [u32; 2] = [handle(Direction::Down), handle(Direction::Up)];
