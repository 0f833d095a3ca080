//! Loading and attaching, and taking over what a process before this one has left.

use std::{fs, io, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError},
    programs::{ProgramError, SchedClassifier},
};
use ebpf::{
    clock::Muscle as Kind,
    layout::{self, Direction},
};
use nix::{
    net::if_::{if_nameindex, if_nametoindex},
    time::{ClockId, clock_getres},
};

use crate::{
    dataplane::{
        DataplaneError, Within,
        attach::Hook,
        muscle::Leg,
        netlink::{self, Netlink},
        pins::Pins,
        sysctl,
    },
    settings,
};

/// The programs of one kind of link.
pub(super) struct Programs(Ebpf);

/// Interfaces towards subscribers, and what their packets look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Ethernet,
    Bare,
}

impl Programs {
    /// Loads them on the pinned maps, which are made where they are not there.
    pub(super) fn load(
        settings: &settings::Dataplane,
        pins: &Pins,
        kind: Kind,
        link: Link,
    ) -> Result<Self, DataplaneError> {
        let muscle = kind.number();
        let bare = u32::from(link == Link::Bare);
        let mut loader = EbpfLoader::new();
        // The programs touch nothing of the kernel's whose layout they would have to look up.
        loader.btf(None);
        loader.override_global(layout::MUSCLE, &muscle, true);
        loader.override_global(layout::BARE, &bare, true);
        let tick = tick().within(|| "learn how long a tick of the kernel is".to_owned())?;
        loader.override_global(layout::TICK, &tick, true);
        let shards = shards(pins)?;
        loader.override_global(layout::SHARDS, &shards, true);
        for name in layout::MAPS {
            loader.map_pin_path(name, pins.map(name));
        }
        let slots = settings.slots;
        for (name, entries) in [
            (layout::DEVICES, slots),
            (layout::NEAR, 1 << layout::near::bits(slots)),
            (layout::ADDRESSES, slots.saturating_mul(2)),
            (layout::PREFIXES, slots),
            (layout::SESSIONS, slots),
            (layout::STATES, slots),
            (layout::COUNTS, slots.saturating_mul(shards)),
            (layout::ACCOUNTS, accounts(slots)),
            (layout::ACCOUNT_STATES, accounts(slots)),
            (layout::GARDEN, GARDEN_MAX),
            (layout::FLOWS, slots.saturating_mul(2).clamp(4_096, 65_536)),
            (layout::REDIRECTS, 8_192),
            (layout::EVENTS, EVENTS_BYTES),
        ] {
            loader.map_max_entries(name, entries);
        }
        let object = super::OBJECT.ok_or(DataplaneError::NoProgram)?;
        let ebpf = loader.load(object).within(|| "load the kernel programs".to_owned())?;
        let mut programs = Self(ebpf);
        // The programs take the maps by their descriptors, which are closed when they are dropped.
        for (name, _) in PROGRAMS {
            let attempt = || format!("load the kernel program `{name}`");
            load(programs.classifier(name)?).within(attempt)?;
        }
        Ok(programs)
    }

    pub(super) fn attach(
        &mut self,
        pins: &Pins,
        (interface, index): (&str, u32),
    ) -> Result<(), DataplaneError> {
        for (name, direction) in PROGRAMS {
            let program = self.classifier(name)?;
            Hook::here().attach(pins, program, (interface, index), direction)?;
        }
        Ok(())
    }

    pub(super) fn take(&mut self, name: &str) -> Result<Map, DataplaneError> {
        self.0
            .take_map(name)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .within(|| format!("find the map {name} in the kernel programs"))
    }

    pub(super) fn typed<M: TryFrom<Map, Error = MapError>>(
        &mut self,
        name: &str,
    ) -> Result<M, DataplaneError> {
        M::try_from(self.take(name)?).within(|| format!("open the map {name}"))
    }

    fn classifier(&mut self, name: &str) -> Result<&mut SchedClassifier, DataplaneError> {
        let attempt = || format!("find the kernel program `{name}`");
        let program = self
            .0
            .program_mut(name)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .within(attempt)?;
        program.try_into().within(attempt)
    }
}

/// The programs keep what they know of a packet in memory of their CPU, and count there without a
/// lock. A kernel with PREEMPT_RT may, from 6.18 on, let one interrupt another.
pub(super) fn warn_of_realtime() {
    let is_realtime = fs::read_to_string("/sys/kernel/realtime").is_ok_and(|it| it.trim() == "1");
    if is_realtime {
        tracing::warn!("this kernel has PREEMPT_RT, on which the data plane has not been tried");
    }
}

/// Between two of the kernel's ticks, in nanoseconds.
fn tick() -> io::Result<u64> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(Duration::from(tick).as_nanos().try_into().unwrap_or(u64::MAX))
}

/// One for each CPU, and one for the edge and for CPUs that come later; or what those have that are
/// pinned.
fn shards(pins: &Pins) -> Result<u32, DataplaneError> {
    let entries = |name| {
        let map = MapData::from_pin(pins.map(name)).ok()?;
        Some(map.info().ok()?.max_entries())
    };
    if let (Some(counts), Some(slots)) = (entries(layout::COUNTS), entries(layout::STATES)) {
        return Ok(counts.checked_div(slots).unwrap_or(1));
    }
    let attempt = || format!("learn from {ONLINE} which CPUs there are");
    let text = fs::read_to_string(ONLINE).within(attempt)?;
    let last = last_cpu(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    Ok(last.within(attempt)?.saturating_add(2))
}

/// Of a list as `0-3` or `0,2-5`: it counts, whatever is missing before it.
fn last_cpu(list: &str) -> Option<u32> {
    list.trim().rsplit(['-', ',']).next()?.parse().ok()
}

/// The verifier stops with EAGAIN when a signal arrives in the middle of it: nothing is wrong then,
/// and the next attempt starts anew.
fn load(program: &mut SchedClassifier) -> Result<(), ProgramError> {
    for _ in 1..LOAD_ATTEMPTS {
        match program.load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == io::ErrorKind::WouldBlock =>
            {
                metrics::counter!("kennet_dataplane_loads_interrupted_total").increment(1);
            }
            done => return done,
        }
    }
    program.load()
}

/// Where packets are shaped.
#[derive(Debug, Default)]
pub(super) struct Legs {
    pub(super) all: Vec<Leg>,
    /// Those towards subscribers, and what their packets look like.
    pub(super) lan: Vec<(Leg, Link)>,
}

/// Every interface with its index and what is shaped there.
pub(super) fn legs(settings: &settings::Dataplane) -> Result<Legs, DataplaneError> {
    let mut netlink = Netlink::open().within(|| "open a netlink socket".to_owned())?;
    let lan = settings.lan.iter().map(|name| (name, Direction::Down));
    let wan = settings.wan.iter().map(|name| (name, Direction::Up));
    let mut legs = Legs::default();
    for (name, direction) in lan.chain(wan) {
        let leg = leg(name, direction)?;
        if direction == Direction::Down {
            legs.lan.push((leg.clone(), link(&mut netlink, &leg)?));
        }
        legs.all.push(leg);
    }
    Ok(legs)
}

pub(super) fn leg(name: &str, direction: Direction) -> Result<Leg, DataplaneError> {
    let index = index_of(name).ok_or_else(|| DataplaneError::NoInterface {
        name: name.to_owned(),
        there: list_interfaces(),
    })?;
    Ok(Leg { name: name.to_owned(), index, direction })
}

pub(super) fn link(netlink: &mut Netlink, leg: &Leg) -> Result<Link, DataplaneError> {
    let name = &leg.name;
    let link = netlink.link(leg.index).within(|| format!("ask what {name} is"))?;
    match link.kind {
        netlink::ETHERNET => Ok(Link::Ethernet),
        kind if netlink::BARE.contains(&kind) => Ok(Link::Bare),
        _ => Err(DataplaneError::Unfit(name.clone())),
    }
}

pub(super) fn index_of(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

fn list_interfaces() -> String {
    let names = if_nameindex().map(|all| {
        all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    });
    names.unwrap_or_default().join(", ")
}

/// Remembers in the kernel how the setting was, for detaching.
pub(super) fn keep_priority(host: &mut Array<MapData, u64>) -> Result<(), DataplaneError> {
    let before = sysctl::keep_priority()?;
    if forward_priority(host)?.is_none() {
        host.set(0, before + 1, 0).within(|| "remember a setting of this host".to_owned())?;
    }
    Ok(())
}

pub(super) fn forward_priority(host: &Array<MapData, u64>) -> Result<Option<u64>, DataplaneError> {
    let stored = host.get(&0, 0).within(|| "read what is remembered of this host".to_owned())?;
    Ok(stored.checked_sub(1))
}

pub(super) fn pinned_host(
    path: &std::path::Path,
) -> Result<Option<Array<MapData, u64>>, DataplaneError> {
    let Ok(host) = MapData::from_pin(path) else { return Ok(None) };
    let attempt = || "open what is remembered of this host".to_owned();
    Array::try_from(Map::Array(host)).within(attempt).map(Some)
}

/// As many as sessions, as far as HTB has classes for them, and the site.
pub(super) const fn accounts(slots: u32) -> u32 {
    let most = crate::dataplane::muscle::htb::SLOTS_MAX;
    if slots < most { slots + 1 } else { most }
}

pub(super) const PROGRAMS: [(&str, Direction); 2] =
    [("up", Direction::Up), ("down", Direction::Down)];

/// Not those that are possible: where machines can grow, that is some hundred.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// A signal in each of so many is a fault elsewhere.
const LOAD_ATTEMPTS: usize = 100;

/// Prefixes of the tenant's list, and addresses that names had lately.
const GARDEN_MAX: u32 = 16_384;

/// Some thousand events.
const EVENTS_BYTES: u32 = 256 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_has_a_place() {
        for (list, last) in
            [("0\n", Some(0)), ("0-3\n", Some(3)), ("0,2-5\n", Some(5)), ("", None), ("a", None)]
        {
            assert_eq!(last_cpu(list), last, "{list:?}");
        }
    }
}
