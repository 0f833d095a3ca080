//! A data plane without a kernel: it remembers what was asked and counts nothing.

use std::collections::BTreeMap;

use super::{
    Account, AccountNumber, Charge, Dataplane, DataplaneError, Entry, Garden, Reading, Rtt, Slot,
};

#[derive(Debug, Default)]
pub struct Memory {
    entries: BTreeMap<Slot, Entry>,
}

const SLOTS: u32 = 131_072;

impl Dataplane for Memory {
    fn set_accounts(&mut self, _accounts: &[Account]) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn charges(&self, accounts: &[(AccountNumber, u128)]) -> Result<Vec<Charge>, DataplaneError> {
        Ok(vec![Charge::default(); accounts.len()])
    }

    fn set_garden(&mut self, _garden: &Garden) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn set_busy(&mut self, _sessions: u32) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn rtts(&self, slots: &[Slot]) -> Result<Vec<Rtt>, DataplaneError> {
        Ok(vec![Rtt::default(); slots.len()])
    }

    fn install(&mut self, entry: &Entry) -> Result<(), DataplaneError> {
        if entry.slot.0 >= SLOTS {
            return Err(DataplaneError::NoSuchSlot(entry.slot, SLOTS));
        }
        self.entries.insert(entry.slot, entry.clone());
        Ok(())
    }

    fn remove(&mut self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        for slot in slots {
            self.entries.remove(slot);
        }
        self.read(slots)
    }

    fn read(&self, slots: &[Slot]) -> Result<Vec<Reading>, DataplaneError> {
        Ok(vec![Reading::default(); slots.len()])
    }

    fn observe(&self) -> Result<Vec<Entry>, DataplaneError> {
        Ok(self.entries.values().cloned().collect())
    }

    fn slots(&self) -> u32 {
        SLOTS
    }

    fn capabilities(&self) -> Vec<String> {
        vec!["dataplane:none".to_owned()]
    }

    fn verdicts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
