//! The data plane in the kernel: writes the programs' maps, reads their counters.
//!
//! Everything is pinned. A process that ends, however it ends, leaves programs, maps and queues at
//! work; the next one opens the pins, puts its own programs in the place of the old and goes on
//! ([`open`]), also where the maps had another layout ([`migrate`]).

use std::{
    collections::BTreeMap,
    slice, thread,
    time::{Duration, Instant},
};

use aya::maps::{Array, LpmTrie, Map, MapData, PerCpuArray};
use ebpf::{
    clock::{Muscle as Kind, ns_per_byte},
    layout::{self, AccountState, Config, Counts, State, near::Bucket},
    verdict::Reason,
};
use nix::time::{ClockId, clock_gettime};
use rustix::thread::{MembarrierCommand, membarrier};
use shared::rate::Kbps;

use super::{
    Account, AccountNumber, Charge, Dataplane, DataplaneError, Entry, Garden, Reading, Rtt, Slot,
    Within,
    attach::{Hook, sweep_filters},
    mapped::MappedMut,
    muscle::{Leg, Muscle, htb, htb::Whose},
    pins::Pins,
    sysctl,
};
use crate::settings;

mod accounts;
mod entry;
mod events;
mod keys;
mod migrate;
mod names;
mod near;
mod open;
mod plots;
mod reader;

use entry::{from_session, reading, to_keys, to_session};
pub use events::{Events, Notice};
use keys::{Keys, OfSlot};
use migrate::Older;
pub use names::Names;
use open::{Link, Programs};
use plots::bring;
pub use reader::{Left, Reader};

/// The data plane, for the one process that decides.
pub struct Bpf {
    settings: settings::Dataplane,
    pins: Pins,
    keys: Keys,
    config: MappedMut,
    sessions: MappedMut,
    states: MappedMut,
    counts: MappedMut,
    accounts: MappedMut,
    account_states: MappedMut,
    plots: LpmTrie<MapData, [u32; 4], u32>,
    garden: Garden,
    verdicts: PerCpuArray<MapData, u64>,
    muscle: Muscle,
    attached: BTreeMap<String, u32>,
    events: Option<Events>,
}

impl Bpf {
    /// Loads and attaches, or takes over what a process before this one has left.
    pub fn open(settings: &settings::Dataplane) -> Result<Self, DataplaneError> {
        open::warn_of_realtime();
        let legs = open::legs(settings)?;
        let pins = Pins::at(&settings.pins);
        pins.prepare()?;
        let mut older = Older::find(&pins)?;
        let kind = Muscle::choose(settings.muscle.map(settings::Muscle::kind))?;
        if kind == Kind::Htb && settings.slots > htb::SLOTS_MAX {
            let (wanted, max) = (settings.slots, htb::SLOTS_MAX);
            return Err(DataplaneError::TooManySlots { wanted, max });
        }
        // Before the programs, which choose its classes.
        let muscle = Muscle::open(&legs.all, kind)?;
        let mut programs = Programs::load(settings, &pins, kind, Link::Ethernet)?;
        let mut host: Array<MapData, u64> = programs.typed(layout::HOST)?;
        if let Some(before) = older.as_ref().and_then(|older| older.host().transpose()) {
            let before = before?;
            if let Some(value) = open::forward_priority(&before)? {
                let attempt = || "remember a setting of this host".to_owned();
                host.set(0, value + 1, 0).within(attempt)?;
            }
        }
        open::keep_priority(&mut host)?;
        let mut bpf = Self::of(settings, pins, &mut programs, muscle)?;
        if let Some(older) = &older {
            tracing::info!(sessions = older.entries.len(), "taking over an older layout");
            bpf.install_all(&older.entries)?;
            older.hand_links(&bpf.pins, &settings.lan)?;
        }
        bpf.attach(&legs.lan, Some(programs))?;
        if let Some(older) = &mut older {
            Self::settle();
            older.hand_counters(&mut bpf.counts, &mut bpf.states)?;
        }
        bpf.pins.sweep(&settings.lan)?;
        let kept = if Hook::here() == Hook::Clsact { &settings.lan[..] } else { &[] };
        sweep_filters(kept)?;
        Ok(bpf)
    }

    fn of(
        settings: &settings::Dataplane,
        pins: Pins,
        programs: &mut Programs,
        muscle: Muscle,
    ) -> Result<Self, DataplaneError> {
        let counts = programs.take(layout::COUNTS)?;
        let mut mapped = |name, stride| MappedMut::open(data(&programs.take(name)?)?, stride);
        let config = mapped(layout::CONFIG, Config::WORDS)?;
        let sessions = mapped(layout::SESSIONS, layout::Session::WORDS)?;
        let states = mapped(layout::STATES, State::WORDS)?;
        let counts = MappedMut::open_shards(data(&counts)?, Counts::WORDS, states.slots())?;
        let accounts = mapped(layout::ACCOUNTS, layout::Account::WORDS)?;
        let account_states = mapped(layout::ACCOUNT_STATES, AccountState::WORDS)?;
        if sessions.slots() != settings.slots {
            tracing::warn!(
                there = sessions.slots(),
                wanted = settings.slots,
                "the number of slots changes only when the data plane is detached first"
            );
        }
        let near = mapped(layout::NEAR, size_of::<Bucket>() / size_of::<u64>())?;
        let mut keys = Keys::open(
            programs.typed(layout::DEVICES)?,
            programs.typed(layout::ADDRESSES)?,
            programs.typed(layout::PREFIXES)?,
        )?;
        keys.keep_near(near)?;
        let mut bpf = Self {
            settings: settings.clone(),
            pins,
            keys,
            config,
            sessions,
            states,
            counts,
            accounts,
            account_states,
            plots: programs.typed(layout::GARDEN)?,
            garden: Garden::default(),
            verdicts: programs.typed(layout::VERDICTS)?,
            muscle,
            attached: BTreeMap::new(),
            events: Some(Events::open(programs.take(layout::EVENTS)?)?),
        };
        // What a process before this one has said stays until something else is said.
        if bpf.config.load_one(CONFIG, 0)? == 0 {
            bpf.configure()?;
        }
        bpf.use_near()?;
        Ok(bpf)
    }

    /// Puts programs on these interfaces; `ethernet` are loaded already.
    fn attach(
        &mut self,
        lan: &[(Leg, Link)],
        ethernet: Option<Programs>,
    ) -> Result<(), DataplaneError> {
        let kind = self.muscle.kind();
        let mut loaded = BTreeMap::new();
        loaded.extend(ethernet.map(|programs| (false, programs)));
        for (leg, link) in lan {
            let is_bare = *link == Link::Bare;
            if let std::collections::btree_map::Entry::Vacant(place) = loaded.entry(is_bare) {
                place.insert(Programs::load(&self.settings, &self.pins, kind, *link)?);
            }
            if let Some(programs) = loaded.get_mut(&is_bare) {
                programs.attach(&self.pins, (&leg.name, leg.index))?;
            }
            self.attached.insert(leg.name.clone(), leg.index);
        }
        for name in &self.settings.wan {
            self.attached.extend(open::index_of(name).map(|index| (name.clone(), index)));
        }
        Ok(())
    }

    /// What the kernel tells without being asked; once.
    pub fn events(&mut self) -> Option<Events> {
        self.events.take()
    }

    /// The list of what is open, for addresses of names; for as long as this process runs.
    pub fn names(&self) -> Result<Names, DataplaneError> {
        let map = MapData::from_pin(self.pins.map(layout::GARDEN))
            .within(|| "open the walled garden".to_owned())?;
        Names::open(map, Instant::now())
    }

    /// Takes everything out of the kernel: programs, maps with their counters, queues.
    pub fn detach(settings: &settings::Dataplane) -> Result<(), DataplaneError> {
        let pins = Pins::at(&settings.pins);
        let before = match open::pinned_host(&pins.map(layout::HOST))? {
            Some(host) => open::forward_priority(&host)?,
            None => None,
        };
        pins.remove()?;
        sweep_filters(&[])?;
        let names = settings.lan.iter().chain(&settings.wan);
        // An interface that is gone has taken its queues along.
        Muscle::detach(names.filter_map(|name| Some((name.clone(), open::index_of(name)?))))?;
        before.map_or(Ok(()), sysctl::restore)
    }

    /// No packet that has found a slot by what is taken out now is still on its way to a counter.
    fn settle() {
        // Waits until every program that ran when it was called has ended (an RCU grace period).
        if let Err(error) = membarrier(MembarrierCommand::Global) {
            tracing::debug!("membarrier: {error}");
            thread::sleep(SETTLE);
        }
    }

    fn session(&self, slot: Slot) -> Result<layout::Session, DataplaneError> {
        self.sessions.load(slot, 0).map(layout::Session::from_words)
    }

    /// Tells the programs what is for everybody.
    fn configure(&mut self) -> Result<(), DataplaneError> {
        let near_bits = self.keys.near_bits();
        let config = Config { near_bits, ..self.garden.config(self.keys.flags()) };
        self.config.store(CONFIG, &config.words())
    }

    /// From here on the programs look for devices in the near table first.
    fn use_near(&mut self) -> Result<(), DataplaneError> {
        let words = Config { near_bits: self.keys.near_bits(), ..Config::default() }.words();
        let said = self.config.load_one(CONFIG, Config::NEAR)?;
        let near = words.get(Config::NEAR).copied().unwrap_or_default();
        self.config.store_one(CONFIG, Config::NEAR, said & u64::from(u32::MAX) | near)
    }

    /// A part of the site's rate for each of so many.
    fn fair(kbps: Option<Kbps>, busy: u32) -> u64 {
        kbps.map_or(0, |kbps| ns_per_byte(kbps.get()).saturating_mul(busy.max(1).into()))
    }
}

impl Dataplane for Bpf {
    fn set_accounts(&mut self, accounts: &[Account]) -> Result<(), DataplaneError> {
        self.put_accounts(accounts)
    }

    fn charges(&self, accounts: &[(AccountNumber, u128)]) -> Result<Vec<Charge>, DataplaneError> {
        self.read_charges(accounts)
    }

    fn set_garden(&mut self, garden: &Garden) -> Result<(), DataplaneError> {
        bring(&mut self.plots, garden)?;
        self.garden = garden.clone();
        self.set_accounts(&[Account {
            number: AccountNumber::SITE,
            id: 0,
            shape: garden.site,
            slow: None,
            step: None,
            quota: None,
            beyond: shared::wire::latest::desired::Class::Active,
        }])?;
        self.configure()
    }

    fn set_busy(&mut self, sessions: u32) -> Result<(), DataplaneError> {
        let site = self.garden.site;
        let at = Slot(AccountNumber::SITE.0);
        let down = Self::fair(site.map(|site| site.down_kbps), sessions);
        let up = Self::fair(site.map(|site| site.up_kbps), sessions);
        self.accounts.store_one(at, layout::Account::FAIR_DOWN, down)?;
        self.accounts.store_one(at, layout::Account::FAIR_UP, up)
    }

    fn rtts(&self, slots: &[Slot]) -> Result<Vec<Rtt>, DataplaneError> {
        slots.iter().map(|slot| reader::rtt(&self.states, *slot)).collect()
    }

    fn install(&mut self, entry: &Entry) -> Result<(), DataplaneError> {
        self.install_all(slice::from_ref(entry))
    }

    fn install_all(&mut self, entries: &[Entry]) -> Result<(), DataplaneError> {
        let mut removed = false;
        for entry in entries {
            let there = self.session(entry.slot)?;
            let (high, low) = entry.session.as_uuid().as_u64_pair();
            let kept = if there.id == [high, low] { to_keys(entry) } else { OfSlot::default() };
            removed |= self.keys.take_out(entry.slot, &kept)?;
        }
        if removed {
            Self::settle();
        }
        let rates: Vec<_> =
            entries.iter().map(|entry| (Whose::Session(entry.slot), entry.rates())).collect();
        self.muscle.set(&rates)?;
        for entry in entries {
            let (there, wanted) = (self.session(entry.slot)?, to_session(entry));
            self.begin(entry.slot, &there, &wanted)?;
            self.sessions.store(entry.slot, &wanted.words())?;
        }
        let flags = self.keys.flags();
        for entry in entries {
            // Last: from here on packets find the session.
            self.keys.put_in(entry.slot, to_keys(entry))?;
        }
        if self.keys.flags() != flags {
            self.configure()?;
        }
        Ok(())
    }

    fn remove(&mut self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        let flags = self.keys.flags();
        let mut removed = false;
        for &slot in slots {
            self.sessions.load_one(slot, 0)?;
            removed |= self.keys.take_out(slot, &OfSlot::default())?;
        }
        if removed {
            Self::settle();
        }
        if self.keys.flags() != flags {
            self.configure()?;
        }
        self.read(slots)
    }

    fn read(&self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        let read = |&slot| Ok(reading(&self.counts.sum(slot)?, &self.states.load(slot, 0)?));
        slots.iter().map(read).collect()
    }

    fn observe(&self) -> Result<Vec<Entry>, DataplaneError> {
        let mut entries = Vec::new();
        for slot in (0..self.sessions.slots()).map(Slot) {
            entries.extend(from_session(slot, &self.session(slot)?, self.keys.of(slot)));
        }
        Ok(entries)
    }

    fn slots(&self) -> u32 {
        self.sessions.slots()
    }

    fn reattach(&mut self) -> Result<Vec<String>, DataplaneError> {
        let mut back = Vec::new();
        let names = self.settings.lan.iter().map(|name| (name, layout::Direction::Down));
        let names = names.chain(self.settings.wan.iter().map(|name| (name, layout::Direction::Up)));
        for (name, direction) in names {
            let now = open::index_of(name);
            if now.is_some() && now != self.attached.get(name).copied() {
                back.push((name.clone(), direction));
            }
        }
        let mut netlink =
            super::netlink::Netlink::open().within(|| "open a netlink socket".to_owned())?;
        for (name, direction) in &back {
            let leg = open::leg(name, *direction)?;
            self.muscle.put(leg.clone())?;
            let rates = self.rates()?;
            self.muscle.set(&rates)?;
            if *direction == layout::Direction::Down {
                let link = open::link(&mut netlink, &leg)?;
                self.attach(&[(leg.clone(), link)], None)?;
            }
            self.attached.insert(leg.name, leg.index);
        }
        Ok(back.into_iter().map(|(name, _)| name).collect())
    }

    fn capabilities(&self) -> Vec<String> {
        let hook = format!("meter:{}", Hook::here().name());
        vec![hook, format!("shape:{}", self.muscle.kind().name())]
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

impl Bpf {
    /// Brings what the programs have said of a slot to what is wanted there now.
    fn begin(
        &mut self,
        slot: Slot,
        there: &layout::Session,
        wanted: &layout::Session,
    ) -> Result<(), DataplaneError> {
        if there.id != wanted.id {
            // Nothing finds the slot any more: a program that still counted would bring it all back.
            self.states.clear(slot)?;
            self.counts.clear(slot)?;
        }
        if rates_of(there) != rates_of(wanted) {
            // What was owed at another rate is forgiven: the change counts from the next packet.
            self.states.store_one(slot, State::DOWN, 0)?;
            self.states.store_one(slot, State::UP, 0)?;
        }
        if wanted.idle_ms != 0 && (there.id != wanted.id || there.idle_ms == 0) {
            self.states.store_one(slot, State::SEEN_AT, monotonic_ns())?;
        }
        if (there.until, there.idle_ms) != (wanted.until, wanted.idle_ms) {
            let both = layout::EventKind::TIME.bit() | layout::EventKind::IDLE.bit();
            self.states.clear_bits(slot, State::EVENTS, both)?;
        }
        Ok(())
    }
}

/// What its clocks run at, by its class.
const fn rates_of(session: &layout::Session) -> (u32, [u64; 4]) {
    let layout::Session { down, up, slow_down, slow_up, .. } = session;
    let rates = [down.ns_per_byte, up.ns_per_byte, slow_down.ns_per_byte, slow_up.ns_per_byte];
    (session.class, rates)
}

fn data(map: &Map) -> Result<&MapData, DataplaneError> {
    if let Map::Array(data) = map { Ok(data) } else { Err(DataplaneError::Layout(0)) }
}

/// The programs' clock.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// Compiled by `build.rs`, where it could.
#[cfg(kernel_program)]
static OBJECT: Option<&[u8]> =
    Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shape")));
#[cfg(not(kernel_program))]
static OBJECT: Option<&[u8]> = None;

/// The only entry of its map.
const CONFIG: Slot = Slot(0);

/// Where the kernel cannot be asked to wait: far longer than a program runs.
const SETTLE: Duration = Duration::from_millis(50);
