//! A data plane without a kernel: it remembers what was asked and counts nothing.

use std::collections::BTreeMap;

use super::{Dataplane, DataplaneError, Entry, Reading, Slot};

#[derive(Debug, Default)]
pub struct Memory {
    entries: BTreeMap<Slot, Entry>,
}

const SLOTS: u32 = 131_072;

impl Dataplane for Memory {
    fn install(&mut self, entry: &Entry) -> Result<(), DataplaneError> {
        if entry.slot.0 >= SLOTS {
            return Err(DataplaneError::NoSuchSlot(entry.slot, SLOTS));
        }
        self.entries.insert(entry.slot, *entry);
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
        Ok(self.entries.values().copied().collect())
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
