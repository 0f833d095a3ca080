//! The data plane in the kernel: loads the programs, writes their maps, reads their counters.
//!
//! Everything is pinned. A process that ends, however it ends, leaves programs, maps and queues at
//! work; the next one opens the pins, puts its own programs in the place of the old and goes on.

use std::{io, path::Path, slice, thread, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
    programs::{ProgramError, SchedClassifier},
};
use ebpf::{
    clock,
    layout::{self, Device, Direction, Lane, Limit, State},
    verdict::Reason,
};
use nix::net::if_::{if_nameindex, if_nametoindex};
use rustix::thread::{MembarrierCommand, membarrier};
use shared::{
    id::SessionId,
    net::Mac,
    octets::Counters,
    rate::{Kbps, Shape},
    wire::latest::desired::Class,
};
use uuid::Uuid;

use super::{
    Dataplane, DataplaneError, Entry, Reading, Slot, Within,
    htb::{self, Htb},
    mapped::{Mapped, MappedMut},
    netlink::{ETHERNET, Netlink},
    pins::Pins,
    sysctl,
};
use crate::settings;

/// The data plane, for the one process that decides.
pub struct Bpf {
    devices: HashMap<MapData, u64, u32>,
    sessions: MappedMut,
    states: MappedMut,
    verdicts: PerCpuArray<MapData, u64>,
    htb: Htb,
}

/// The same, for any process that only looks.
#[derive(Debug)]
pub struct Reader {
    sessions: Mapped,
    states: Mapped,
}

impl Bpf {
    /// Loads and attaches, or takes over what a process before this one has left.
    pub fn open(settings: &settings::Dataplane) -> Result<Self, DataplaneError> {
        if settings.slots > htb::SLOTS_MAX {
            let (wanted, max) = (settings.slots, htb::SLOTS_MAX);
            return Err(DataplaneError::TooManySlots { wanted, max });
        }
        let interfaces = interfaces(settings)?;
        let pins = Pins::at(&settings.pins);
        let mut loader = EbpfLoader::new();
        // The programs touch nothing of the kernel's whose layout they would have to look up.
        loader.btf(None);
        for name in MAPS {
            loader.map_pin_path(name, pins.map(name));
        }
        for name in [layout::DEVICES, layout::SESSIONS, layout::STATES] {
            loader.map_max_entries(name, settings.slots);
        }
        let object = OBJECT.ok_or(DataplaneError::NoProgram)?;
        pins.prepare()?;
        let mut ebpf = loader.load(object).within(|| "load the kernel programs".to_owned())?;
        // The programs take the maps by their descriptors, which are closed further down.
        for (name, _) in PROGRAMS {
            let attempt = || format!("load the kernel program `{name}`");
            load(classifier(&mut ebpf, name)?).within(attempt)?;
        }

        let sessions = MappedMut::open(data(&take(&mut ebpf, layout::SESSIONS)?)?, SESSION_WORDS)?;
        let states = MappedMut::open(data(&take(&mut ebpf, layout::STATES)?)?, State::WORDS)?;
        if sessions.slots() != settings.slots {
            tracing::warn!(
                there = sessions.slots(),
                wanted = settings.slots,
                "the number of slots changes only when the data plane is detached first"
            );
        }
        keep_priority(&mut ebpf)?;
        let bpf = Self {
            devices: typed(&mut ebpf, layout::DEVICES)?,
            sessions,
            states,
            verdicts: typed(&mut ebpf, layout::VERDICTS)?,
            // Before the programs, which choose its classes.
            htb: Htb::open(interfaces)?,
        };
        for (name, direction) in PROGRAMS {
            let program = classifier(&mut ebpf, name)?;
            for interface in &settings.lan {
                pins.attach(program, interface, direction)?;
            }
        }
        pins.sweep(&settings.lan)?;
        Ok(bpf)
    }

    /// Takes everything out of the kernel: programs, maps with their counters, queues.
    pub fn detach(settings: &settings::Dataplane) -> Result<(), DataplaneError> {
        let pins = Pins::at(&settings.pins);
        let before = match MapData::from_pin(pins.map(layout::HOST)) {
            Ok(host) => Some(forward_priority(&typed_pin(host)?)?),
            Err(_not_there) => None,
        };
        pins.remove()?;
        let names = settings.lan.iter().chain(&settings.wan);
        // An interface that is gone has taken its queues along.
        Htb::detach(names.filter_map(|name| Some((name.clone(), index_of(name)?))))?;
        match before {
            Some(Some(before)) => sysctl::restore(before),
            Some(None) | None => Ok(()),
        }
    }

    /// No packet that has found a device which is deleted now is still on its way to a counter.
    fn settle() {
        // Waits until every program that ran when it was called has ended (an RCU grace period).
        if let Err(error) = membarrier(MembarrierCommand::Global) {
            tracing::debug!("membarrier: {error}");
            thread::sleep(SETTLE);
        }
    }

    /// Takes the slot's device out, if it still points to the slot.
    fn unpublish(&mut self, slot: Slot) -> Result<bool, DataplaneError> {
        let device = session(&self.sessions, slot)?.device;
        if device == 0 {
            return Ok(false); // The slot was never used.
        }
        let attempt = || format!("take the device of {slot:?} out");
        match self.devices.get(&device, 0) {
            Ok(found) if found == slot.0 => {
                self.devices.remove(&device).within(attempt)?;
                Ok(true)
            }
            Ok(_) | Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(error).within(attempt),
        }
    }
}

impl Dataplane for Bpf {
    fn install(&mut self, entry: &Entry) -> Result<(), DataplaneError> {
        self.install_all(slice::from_ref(entry))
    }

    fn install_all(&mut self, entries: &[Entry]) -> Result<(), DataplaneError> {
        let mut removed = false;
        for entry in entries {
            let (there, wanted) = (session(&self.sessions, entry.slot)?, to_session(entry));
            if there.id != wanted.id || there.device != wanted.device {
                removed |= self.unpublish(entry.slot)?;
            }
        }
        if removed {
            Self::settle();
        }
        self.htb.set(entries)?;
        for entry in entries {
            let (there, wanted) = (session(&self.sessions, entry.slot)?, to_session(entry));
            if there.id != wanted.id {
                self.states.store(entry.slot, &[0; State::WORDS])?;
            }
            self.sessions.store(entry.slot, &wanted.words())?;
            // Last: from here on packets find the session.
            self.devices
                .insert(wanted.device, entry.slot.0, 0)
                .within(|| format!("put the device {} in", entry.mac))?;
        }
        Ok(())
    }

    fn remove(&mut self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        let mut removed = false;
        for &slot in slots {
            removed |= self.unpublish(slot)?;
        }
        if removed {
            Self::settle();
        }
        self.read(slots)
    }

    fn read(&self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        slots.iter().map(|&slot| reading(&self.states, slot)).collect()
    }

    fn observe(&self) -> Result<Vec<Entry>, DataplaneError> {
        observe(&self.sessions)
    }

    fn slots(&self) -> u32 {
        self.sessions.slots()
    }

    fn capabilities(&self) -> Vec<String> {
        ["meter:tcx", "shape:htb"].map(str::to_owned).to_vec()
    }

    fn verdicts(&self) -> Vec<(&'static str, u64)> {
        let packets = |reason: Reason| {
            // One that cannot be read now can be read at the next scrape.
            let counts = self.verdicts.get(&reason.counter(), 0);
            counts.map_or(0, |counts| counts.iter().sum())
        };
        Reason::ALL.iter().map(|&reason| (reason.name(), packets(reason))).collect()
    }
}

impl Reader {
    /// Opens what a running edge, or one that ran, has pinned.
    pub fn open(pins: &Path) -> Result<Self, DataplaneError> {
        let pins = Pins::at(pins);
        let open = |name, stride| {
            let path = pins.map(name);
            let map = MapData::from_pin(&path).within(|| format!("open {}", path.display()))?;
            Mapped::open(&map, stride)
        };
        Ok(Self {
            sessions: open(layout::SESSIONS, SESSION_WORDS)?,
            states: open(layout::STATES, State::WORDS)?,
        })
    }

    /// As [`Dataplane::observe`], with the readings of now.
    pub fn observe(&self) -> Result<Vec<(Entry, Reading)>, DataplaneError> {
        let entries = observe(&self.sessions)?.into_iter();
        entries.map(|entry| Ok((entry, reading(&self.states, entry.slot)?))).collect()
    }
}

fn session(sessions: &Mapped, slot: Slot) -> Result<layout::Session, DataplaneError> {
    sessions.load(slot, 0).map(layout::Session::from_words)
}

fn observe(sessions: &Mapped) -> Result<Vec<Entry>, DataplaneError> {
    let mut entries = Vec::new();
    for slot in (0..sessions.slots()).map(Slot) {
        entries.extend(from_session(slot, &session(sessions, slot)?));
    }
    Ok(entries)
}

fn reading(states: &Mapped, slot: Slot) -> Result<Reading, DataplaneError> {
    let words: [u64; State::WORDS] = states.load(slot, 0)?;
    let (down, up) = words.split_at(State::UP);
    let counters = |bytes: usize, packets: usize| {
        let of = |lane: &[u64], at: usize| lane.get(at).copied().unwrap_or_default();
        Counters {
            down_bytes: of(down, bytes),
            up_bytes: of(up, bytes),
            down_packets: of(down, packets),
            up_packets: of(up, packets),
        }
    };
    Ok(Reading {
        passed: counters(Lane::PASSED_BYTES, Lane::PASSED_PACKETS),
        dropped: counters(Lane::DROPPED_BYTES, Lane::DROPPED_PACKETS),
    })
}

/// The highest rate that can be said stands for none.
fn to_session(entry: &Entry) -> layout::Session {
    let (high, low) = entry.session.as_uuid().as_u64_pair();
    let limit = |rate: Kbps, direction| match rate.get() {
        // Neither the clock nor a queue of its own.
        kbps @ u32::MAX => Limit { ns_per_byte: 0, priority: 0, kbps },
        kbps => Limit {
            ns_per_byte: clock::ns_per_byte(kbps),
            priority: htb::class_of(entry.slot, direction),
            kbps,
        },
    };
    layout::Session {
        id: [high, low],
        device: Device::from_mac(entry.mac.0).0,
        class: match entry.class {
            Class::Active => layout::Class::ACTIVE.0,
            Class::Blocked => layout::Class::BLOCKED.0,
        },
        reserved: 0,
        down: limit(entry.shape.down_kbps, Direction::Down),
        up: limit(entry.shape.up_kbps, Direction::Up),
    }
}

/// `None` for a slot that was never used.
fn from_session(slot: Slot, session: &layout::Session) -> Option<Entry> {
    let [high, low] = session.id;
    if session.id == [0, 0] {
        return None;
    }
    Some(Entry {
        slot,
        session: SessionId::from_uuid(Uuid::from_u64_pair(high, low)),
        mac: Mac(Device(session.device).mac()),
        shape: Shape {
            down_kbps: Kbps::new(session.down.kbps)?,
            up_kbps: Kbps::new(session.up.kbps)?,
        },
        class: if session.class == layout::Class::ACTIVE.0 {
            Class::Active
        } else {
            Class::Blocked
        },
    })
}

/// Every interface with its index and what is shaped there: downloads towards the LAN, uploads
/// towards the WAN.
fn interfaces(
    settings: &settings::Dataplane,
) -> Result<Vec<(String, u32, Direction)>, DataplaneError> {
    let mut netlink = Netlink::open().within(|| "open a netlink socket".to_owned())?;
    let lan = settings.lan.iter().map(|name| (name, Direction::Down));
    let wan = settings.wan.iter().map(|name| (name, Direction::Up));
    let mut interfaces = Vec::new();
    for (name, direction) in lan.chain(wan) {
        let index = index_of(name).ok_or_else(|| DataplaneError::NoInterface {
            name: name.clone(),
            there: list_interfaces(),
        })?;
        let link = netlink.link(index).within(|| format!("ask what {name} is"))?;
        // Towards the internet, anything will do that has a queue.
        if direction == Direction::Down && link.kind != ETHERNET {
            return Err(DataplaneError::NotEthernet(name.clone()));
        }
        interfaces.push((name.clone(), index, direction));
    }
    Ok(interfaces)
}

fn index_of(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

fn list_interfaces() -> String {
    let names = if_nameindex().map(|all| {
        all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    });
    names.unwrap_or_default().join(", ")
}

/// Remembers in the kernel how the setting was, for [`Bpf::detach`].
fn keep_priority(ebpf: &mut Ebpf) -> Result<(), DataplaneError> {
    let mut host: Array<MapData, u64> = typed(ebpf, layout::HOST)?;
    let before = sysctl::keep_priority()?;
    if forward_priority(&host)?.is_none() {
        host.set(0, before + 1, 0).within(|| "remember a setting of this host".to_owned())?;
    }
    Ok(())
}

fn forward_priority(host: &Array<MapData, u64>) -> Result<Option<u64>, DataplaneError> {
    let stored = host.get(&0, 0).within(|| "read what is remembered of this host".to_owned())?;
    Ok(stored.checked_sub(1))
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, DataplaneError> {
    ebpf.take_map(name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .within(|| format!("find the map {name} in the kernel programs"))
}

fn typed<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<M, DataplaneError> {
    M::try_from(take(ebpf, name)?).within(|| format!("open the map {name}"))
}

fn typed_pin(host: MapData) -> Result<Array<MapData, u64>, DataplaneError> {
    Array::try_from(Map::Array(host)).within(|| "open what is remembered of this host".to_owned())
}

fn data(map: &Map) -> Result<&MapData, DataplaneError> {
    if let Map::Array(data) = map { Ok(data) } else { Err(DataplaneError::Layout(0)) }
}

/// The verifier stops with EAGAIN when a signal arrives in the middle of it: nothing is wrong then,
/// and the next attempt starts anew.
fn load(program: &mut SchedClassifier) -> Result<(), ProgramError> {
    for _ in 1..LOAD_ATTEMPTS {
        match program.load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    program.load()
}

/// A signal in each of so many is a fault elsewhere.
const LOAD_ATTEMPTS: usize = 10;

fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<&'a mut SchedClassifier, DataplaneError> {
    let attempt = || format!("find the kernel program `{name}`");
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .within(attempt)?;
    program.try_into().within(attempt)
}

/// Compiled by `build.rs`, where it could.
#[cfg(kernel_program)]
static OBJECT: Option<&[u8]> =
    Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shape")));
#[cfg(not(kernel_program))]
static OBJECT: Option<&[u8]> = None;

const PROGRAMS: [(&str, Direction); 2] = [("up", Direction::Up), ("down", Direction::Down)];

const MAPS: [&str; 5] =
    [layout::DEVICES, layout::SESSIONS, layout::STATES, layout::VERDICTS, layout::HOST];

const SESSION_WORDS: usize = layout::Session::WORDS;

/// Where the kernel cannot be asked to wait: far longer than a program runs.
const SETTLE: Duration = Duration::from_millis(50);
