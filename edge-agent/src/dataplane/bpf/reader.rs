//! The data plane for any process that only looks.

use std::path::Path;

use aya::maps::{HashMap, LpmTrie, Map, MapData, PerCpuArray};
use ebpf::{
    layout::{self, Account as LayoutAccount, AccountState, Counts, State},
    rtt::BUCKETS,
    verdict::Reason,
};

use super::{
    entry::{from_session, reading},
    keys::Keys,
};
use crate::dataplane::{
    AccountNumber, DataplaneError, Entry, Reading, Rtt, Slot, Within, mapped::Mapped, pins::Pins,
};

/// What a running edge, or one that ran, has pinned.
pub struct Reader {
    keys: Keys,
    sessions: Mapped,
    states: Mapped,
    counts: Mapped,
    accounts: Mapped,
    account_states: Mapped,
    verdicts: PerCpuArray<MapData, u64>,
}

/// What an account may still move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub charged: u64,
    pub quota: u64,
}

impl Reader {
    pub fn open(pins: &Path) -> Result<Self, DataplaneError> {
        let pins = Pins::at(pins);
        let data = |name| {
            let path = pins.map(name);
            MapData::from_pin(&path).within(|| format!("open {}", path.display()))
        };
        let mapped = |name, stride| Mapped::open(&data(name)?, stride);
        let attempt = || "open what sessions are found by".to_owned();
        let keys = Keys::open(
            HashMap::try_from(Map::HashMap(data(layout::DEVICES)?)).within(attempt)?,
            HashMap::try_from(Map::HashMap(data(layout::ADDRESSES)?)).within(attempt)?,
            LpmTrie::try_from(Map::LpmTrie(data(layout::PREFIXES)?)).within(attempt)?,
        )?;
        let verdicts = Map::PerCpuArray(data(layout::VERDICTS)?);
        let sessions = mapped(layout::SESSIONS, layout::Session::WORDS)?;
        Ok(Self {
            keys,
            states: mapped(layout::STATES, State::WORDS)?,
            counts: Mapped::open_shards(&data(layout::COUNTS)?, Counts::WORDS, sessions.slots())?,
            sessions,
            accounts: mapped(layout::ACCOUNTS, LayoutAccount::WORDS)?,
            account_states: mapped(layout::ACCOUNT_STATES, AccountState::WORDS)?,
            verdicts: PerCpuArray::try_from(verdicts)
                .within(|| "open the counters of verdicts".to_owned())?,
        })
    }

    /// As [`observe`](crate::dataplane::Dataplane::observe), with the readings of now.
    pub fn observe(&self) -> Result<Vec<(Entry, Reading)>, DataplaneError> {
        let mut found = Vec::new();
        for slot in (0..self.sessions.slots()).map(Slot) {
            let session = layout::Session::from_words(self.sessions.load(slot, 0)?);
            if let Some(entry) = from_session(slot, &session, self.keys.of(slot)) {
                let reading = reading(&self.counts.sum(slot)?, &self.states.load(slot, 0)?);
                found.push((entry, reading));
            }
        }
        Ok(found)
    }

    pub fn rtt(&self, slot: Slot) -> Result<Rtt, DataplaneError> {
        rtt(&self.states, slot)
    }

    /// `None`: the account has no quota.
    pub fn left(&self, number: AccountNumber) -> Result<Option<Left>, DataplaneError> {
        let at = Slot(number.0);
        let quota = self.accounts.load_one(at, QUOTA)?;
        let charged = self.account_states.load_one(at, AccountState::CHARGED)?;
        Ok((quota != LayoutAccount::WITHOUT_END).then_some(Left { charged, quota }))
    }

    /// Packets by verdict: (reason, packets).
    pub fn verdicts(&self) -> Result<Vec<(&'static str, u64)>, DataplaneError> {
        let count = |reason: &Reason| {
            let counts = self.verdicts.get(&reason.counter(), 0);
            let counts = counts.within(|| "read the counters of verdicts".to_owned())?;
            Ok((reason.name(), counts.iter().sum()))
        };
        Reason::ALL.iter().map(count).collect()
    }
}

pub(super) fn rtt(states: &Mapped, slot: Slot) -> Result<Rtt, DataplaneError> {
    let subscriber: [u64; BUCKETS / 4] = states.load(slot, State::RTT_DOWN)?;
    let internet: [u64; BUCKETS / 4] = states.load(slot, State::RTT_UP)?;
    Ok(Rtt::from_words(&subscriber, &internet))
}

/// Where an account's quota is among its words.
const QUOTA: usize = 4;
