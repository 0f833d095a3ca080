//! Keeps [`layout::NEAR`] beside the map of all devices: what has no room is known here, so that it
//! moves in when there is some.

use std::collections::HashMap;

use ebpf::layout::{
    Device,
    near::{Bucket, Place},
};

use crate::dataplane::{DataplaneError, Slot, mapped::MappedMut};

/// The map, and what is beside it.
pub(super) struct Near {
    buckets: MappedMut,
    table: Table,
}

/// Which word of which bucket is to be written (pure).
#[derive(Debug)]
struct Table {
    bits: u32,
    /// By bucket, the devices that have no room in it.
    crowded: HashMap<u32, Vec<(Device, Slot)>>,
}

/// A word of a bucket, and what it becomes.
type Change = (usize, u64);

impl Near {
    /// Brings what a process before this one has left to just these.
    pub(super) fn open(
        buckets: MappedMut,
        devices: impl Iterator<Item = (Device, Slot)>,
    ) -> Result<Self, DataplaneError> {
        let table = Table { bits: buckets.slots().ilog2(), crowded: HashMap::new() };
        let mut near = Self { buckets, table };
        let mut wanted: HashMap<u32, Vec<(Device, Slot)>> = HashMap::new();
        for (device, slot) in devices {
            wanted.entry(near.table.place(device).bucket).or_default().push((device, slot));
        }
        for bucket in 0..near.buckets.slots() {
            let here = wanted.get(&bucket).map_or(&[][..], |here| here);
            let entries: Bucket = near.buckets.load(Slot(bucket), 0)?;
            for (index, entry) in entries.into_iter().enumerate() {
                if !here.iter().any(|one| near.table.entry(*one) == entry) && entry != 0 {
                    near.buckets.store_one(Slot(bucket), index, 0)?;
                }
            }
            for (device, slot) in here {
                near.put(*device, *slot)?;
            }
        }
        Ok(near)
    }

    pub(super) const fn bits(&self) -> u32 {
        self.table.bits
    }

    /// From now on the device is in this slot.
    pub(super) fn put(&mut self, device: Device, slot: Slot) -> Result<(), DataplaneError> {
        self.change(device, |table, entries| table.put(entries, device, slot))
    }

    pub(super) fn take(&mut self, device: Device) -> Result<(), DataplaneError> {
        self.change(device, |table, entries| table.take(entries, device))
    }

    fn change(
        &mut self,
        device: Device,
        decide: impl FnOnce(&mut Table, Bucket) -> Option<Change>,
    ) -> Result<(), DataplaneError> {
        let bucket = Slot(self.table.place(device).bucket);
        let entries = self.buckets.load(bucket, 0)?;
        match decide(&mut self.table, entries) {
            Some((index, entry)) => self.buckets.store_one(bucket, index, entry),
            None => Ok(()),
        }
    }
}

impl Table {
    const fn place(&self, device: Device) -> Place {
        Place::of(device, self.bits)
    }

    const fn entry(&self, (device, slot): (Device, Slot)) -> u64 {
        self.place(device).entry(slot.0)
    }

    fn put(&mut self, entries: Bucket, device: Device, slot: Slot) -> Option<Change> {
        let place = self.place(device);
        let index = entries
            .iter()
            .position(|entry| place.is_in(*entry))
            .or_else(|| entries.iter().position(|entry| *entry == 0));
        if index.is_none() {
            let crowded = self.crowded.entry(place.bucket).or_default();
            crowded.retain(|(other, _)| *other != device);
            crowded.push((device, slot));
        }
        index.map(|index| (index, place.entry(slot.0)))
    }

    fn take(&mut self, entries: Bucket, device: Device) -> Option<Change> {
        let place = self.place(device);
        let index = entries.iter().position(|entry| place.is_in(*entry));
        let crowded = self.crowded.get_mut(&place.bucket);
        let next = match (crowded, index) {
            (Some(crowded), Some(_)) => crowded.pop(),
            (Some(crowded), None) => {
                crowded.retain(|(other, _)| *other != device);
                None
            }
            (None, _) => None,
        };
        if self.crowded.get(&place.bucket).is_some_and(Vec::is_empty) {
            self.crowded.remove(&place.bucket);
        }
        index.map(|index| (index, next.map_or(0, |next| self.entry(next))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const BITS: u32 = 8;

    /// Some that share buckets, as ten thousand others would.
    fn devices() -> Vec<Device> {
        let of_bucket = |device: &Device| Place::of(*device, BITS).bucket < 2;
        (1..3_000).map(Device).filter(of_bucket).take(16).collect()
    }

    proptest! {
        /// A program that looks here, and into all devices where a bucket is full, finds just those.
        #[test]
        fn a_device_is_found_for_as_long_as_it_is_in(
            steps in prop::collection::vec((0..16_usize, prop::option::of(0..1_000_u32)), 1..200),
        ) {
            let devices = devices();
            let mut table = Table { bits: BITS, crowded: HashMap::new() };
            let mut buckets = [[0_u64; 4]; 2];
            let mut all: BTreeMap<u64, u32> = BTreeMap::new();
            for (number, slot) in steps {
                let device = devices[number];
                let bucket = &mut buckets[table.place(device).bucket as usize];
                let change = if let Some(slot) = slot {
                    all.insert(device.0, slot);
                    table.put(*bucket, device, Slot(slot))
                } else {
                    all.remove(&device.0);
                    table.take(*bucket, device)
                };
                if let Some((index, entry)) = change {
                    bucket[index] = entry;
                }
                for device in &devices {
                    let place = table.place(*device);
                    let found = place.look(buckets[place.bucket as usize]);
                    let wanted = all.get(&device.0).copied();
                    if found.slot().is_some() || found.has_room {
                        prop_assert_eq!(found.slot(), wanted);
                    }
                }
                let near: usize = buckets.as_flattened().iter().filter(|entry| **entry != 0).count();
                let crowded: usize = table.crowded.values().map(Vec::len).sum();
                prop_assert_eq!(near + crowded, all.len());
            }
        }
    }
}
