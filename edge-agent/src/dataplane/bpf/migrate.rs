//! Taking sessions over from maps of another layout, with all that was counted.

use aya::maps::{Array, Map, MapData};
use ebpf::layout::{self, Class as LayoutClass, Counts, Direction, Lane, State, v1};
use shared::{
    id::SessionId,
    net::Mac,
    rate::{Kbps, Shape},
    wire::latest::desired::Class,
};
use uuid::Uuid;

use super::open;
use crate::dataplane::{
    DataplaneError, Entry, Slot, Within,
    mapped::{Mapped, MappedMut},
    pins::Pins,
};

/// Sessions of an edge with layout 1, and where its programs still count.
pub(super) struct Older {
    pins: Pins,
    states: MappedMut,
    pub(super) entries: Vec<Entry>,
}

impl Older {
    /// What is there of an older layout, if anything is. `interfaces` keep their links.
    pub(super) fn find(pins: &Pins) -> Result<Option<Self>, DataplaneError> {
        let Some(pins) = pins.of_layout(v1::LAYOUT) else { return Ok(None) };
        let map = |name| {
            let path = pins.map(name);
            MapData::from_pin(&path).within(|| format!("open {}", path.display()))
        };
        let sessions = Mapped::open(&map(v1::SESSIONS)?, v1::SESSION_WORDS)?;
        let states = MappedMut::open(&map(v1::STATES)?, v1::STATE_WORDS)?;
        let devices = Map::HashMap(map(v1::DEVICES)?);
        let attempt = || "read the devices of an older layout".to_owned();
        let devices = aya::maps::HashMap::<MapData, u64, u32>::try_from(devices).within(attempt)?;
        let mut entries = Vec::new();
        // Only those that packets find; what is over is in the journal.
        for found in &devices {
            let (_, slot) = found.within(attempt)?;
            let session = v1::Session::from_words(sessions.load(Slot(slot), 0)?);
            entries.extend(entry(Slot(slot), &session));
        }
        Ok(Some(Self { pins, states, entries }))
    }

    /// What the host had set before the older edge came.
    pub(super) fn host(&self) -> Result<Option<Array<MapData, u64>>, DataplaneError> {
        open::pinned_host(&self.pins.map(v1::HOST))
    }

    /// Gives the older links to the new programs' pins.
    pub(super) fn hand_links(&self, to: &Pins, lan: &[String]) -> Result<(), DataplaneError> {
        for interface in lan {
            for direction in [Direction::Up, Direction::Down] {
                to.inherit(&self.pins, interface, direction)?;
            }
        }
        Ok(())
    }

    /// Moves what the older programs have counted, when none of them runs any more. The new ones
    /// count already: this is added beside them. Each number is taken away where it was, so that
    /// nobody who has to begin again adds it a second time.
    pub(super) fn hand_counters(
        &mut self,
        counts: &mut MappedMut,
        states: &mut MappedMut,
    ) -> Result<(), DataplaneError> {
        // The one that no CPU adds to without a lock.
        let own = counts.last_shard(Counts::WORDS);
        let Self { states: older, entries, .. } = self;
        for Entry { slot, .. } in &*entries {
            for (from, passed, lane) in
                [(0, 0, State::DOWN), (v1::LANE_WORDS, Counts::UP, State::UP)]
            {
                let from = from + v1::LANE_COUNTERS;
                hand(*slot, (older, from), (counts, own + Counts::PASSED + passed))?;
                hand(*slot, (older, from + PAIR), (states, lane + Lane::DROPPED_BYTES))?;
            }
        }
        Ok(())
    }
}

/// Bytes, and packets behind them.
fn hand(
    slot: Slot,
    (from, first): (&mut MappedMut, usize),
    (to, at): (&mut MappedMut, usize),
) -> Result<(), DataplaneError> {
    for word in 0..PAIR {
        let value = from.load_one(slot, first + word)?;
        to.add(slot, at + word, value)?;
        from.store_one(slot, first + word, 0)?;
    }
    Ok(())
}

const PAIR: usize = 2;

fn entry(slot: Slot, session: &v1::Session) -> Option<Entry> {
    let [high, low] = session.id;
    let mac = Mac(layout::Device(session.device).mac());
    let id = SessionId::from_uuid(Uuid::from_u64_pair(high, low));
    let shape =
        Shape { down_kbps: Kbps::new(session.down.kbps)?, up_kbps: Kbps::new(session.up.kbps)? };
    let class = if session.class == LayoutClass::ACTIVE.0 { Class::Active } else { Class::Blocked };
    Some(Entry { class, ..Entry::of_device(slot, id, mac, shape) })
}
