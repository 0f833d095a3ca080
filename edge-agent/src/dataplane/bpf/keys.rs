//! What the programs find sessions by: devices, addresses, prefixes.

use std::collections::{BTreeMap, BTreeSet, HashMap as HashMapOf};

use aya::maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie::Key};
use ebpf::layout::{Address, Config, Device};
use shared::net::{Mac, Prefix};

use super::near::Near;
use crate::dataplane::{
    DataplaneError, Slot, Within,
    garden::{key, key_bits},
    mapped::MappedMut,
};

/// The maps, and what is in them.
pub(super) struct Keys {
    devices: HashMap<MapData, u64, u32>,
    /// Of the process that decides.
    near: Option<Near>,
    addresses: HashMap<MapData, [u32; 4], u32>,
    prefixes: LpmTrie<MapData, [u32; 4], u32>,
    of_slots: BTreeMap<Slot, OfSlot>,
    /// Whose a device is now: the last slot that wanted it.
    by_mac: HashMapOf<Mac, Slot>,
    /// How many prefixes are in each of the two maps.
    in_addresses: usize,
    in_prefixes: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OfSlot {
    pub(super) mac: Option<Mac>,
    pub(super) prefixes: BTreeSet<Prefix>,
}

impl Keys {
    /// Reads what a process before this one has left.
    pub(super) fn open(
        devices: HashMap<MapData, u64, u32>,
        addresses: HashMap<MapData, [u32; 4], u32>,
        prefixes: LpmTrie<MapData, [u32; 4], u32>,
    ) -> Result<Self, DataplaneError> {
        let mut of_slots: BTreeMap<Slot, OfSlot> = BTreeMap::new();
        let attempt = || "read what sessions are found by".to_owned();
        for found in &devices {
            let (device, slot) = found.within(attempt)?;
            of_slots.entry(Slot(slot)).or_default().mac = Some(Mac(Device(device).mac()));
        }
        for found in &addresses {
            let (address, slot) = found.within(attempt)?;
            if let Some(prefix) = prefix_of(Address(address), None) {
                of_slots.entry(Slot(slot)).or_default().prefixes.insert(prefix);
            }
        }
        for found in &prefixes {
            let (prefix, slot) = found.within(attempt)?;
            if let Some(prefix) = prefix_of(Address(prefix.data()), Some(prefix.prefix_len())) {
                of_slots.entry(Slot(slot)).or_default().prefixes.insert(prefix);
            }
        }
        let by_mac = of_slots.iter().filter_map(|(slot, of)| Some((of.mac?, *slot))).collect();
        let all = || of_slots.values().flat_map(|of: &OfSlot| &of.prefixes);
        let in_addresses = all().filter(|prefix| place(**prefix) == Place::Addresses).count();
        let in_prefixes = all().count() - in_addresses;
        let near = None;
        Ok(Self { devices, near, addresses, prefixes, of_slots, by_mac, in_addresses, in_prefixes })
    }

    /// Keeps this table of devices, too.
    pub(super) fn keep_near(&mut self, buckets: MappedMut) -> Result<(), DataplaneError> {
        let devices = self.by_mac.iter().map(|(mac, slot)| (Device::from_mac(mac.0), *slot));
        self.near = Some(Near::open(buckets, devices)?);
        Ok(())
    }

    /// See [`Config::near_bits`].
    pub(super) fn near_bits(&self) -> u32 {
        self.near.as_ref().map_or(0, Near::bits)
    }

    pub(super) fn of(&self, slot: Slot) -> Option<&OfSlot> {
        self.of_slots.get(&slot)
    }

    /// What the programs have to look at for these keys.
    pub(super) fn flags(&self) -> u64 {
        let flag = |count, bit| if count > 0 { bit } else { 0 };
        flag(self.in_addresses, Config::HAS_ADDRESSES)
            | flag(self.in_prefixes, Config::HAS_PREFIXES)
    }

    /// Takes out what the slot is found by and does not want any more. `true`: there was something.
    pub(super) fn take_out(&mut self, slot: Slot, kept: &OfSlot) -> Result<bool, DataplaneError> {
        let Some(there) = self.of_slots.get(&slot).cloned() else { return Ok(false) };
        let mut taken = false;
        if let Some(mac) = there.mac.filter(|mac| kept.mac != Some(*mac)) {
            let device = Device::from_mac(mac.0).0;
            // It may be another slot's by now.
            match self.devices.get(&device, 0) {
                Ok(found) if found == slot.0 => {
                    let attempt = || format!("take the device of {slot:?} out");
                    if let Some(near) = &mut self.near {
                        near.take(Device(device))?;
                    }
                    self.devices.remove(&device).within(attempt)?;
                    taken = true;
                }
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error).within(|| format!("look for the device {mac}")),
            }
        }
        for prefix in there.prefixes.difference(&kept.prefixes) {
            let attempt = || format!("take {prefix} of {slot:?} out");
            taken |= match place(*prefix) {
                Place::Addresses => {
                    let key = key(prefix.address()).0;
                    let is_ours = self.addresses.get(&key, 0).is_ok_and(|found| found == slot.0);
                    is_ours && gone(self.addresses.remove(&key)).within(attempt)?
                }
                Place::Prefixes => {
                    let key = lpm(*prefix);
                    let is_ours = self.prefixes.get(&key, 0).is_ok_and(|found| found == slot.0);
                    is_ours && gone(self.prefixes.remove(&key)).within(attempt)?
                }
            };
        }
        for prefix in there.prefixes.difference(&kept.prefixes) {
            let count = match place(*prefix) {
                Place::Addresses => &mut self.in_addresses,
                Place::Prefixes => &mut self.in_prefixes,
            };
            *count = count.saturating_sub(1);
        }
        if let Some(mac) = there.mac.filter(|mac| kept.mac != Some(*mac))
            && self.by_mac.get(&mac) == Some(&slot)
        {
            self.by_mac.remove(&mac);
        }
        let left = self.of_slots.entry(slot).or_default();
        left.mac = left.mac.filter(|mac| kept.mac == Some(*mac));
        left.prefixes.retain(|prefix| kept.prefixes.contains(prefix));
        if *left == OfSlot::default() {
            self.of_slots.remove(&slot);
        }
        Ok(taken)
    }

    /// Lets packets find the slot by all of these.
    pub(super) fn put_in(&mut self, slot: Slot, wanted: OfSlot) -> Result<(), DataplaneError> {
        let there = self.of_slots.get(&slot);
        if there == Some(&wanted) {
            return Ok(());
        }
        let had = there.cloned().unwrap_or_default();
        for prefix in wanted.prefixes.difference(&had.prefixes) {
            let attempt = || format!("put {prefix} in");
            match place(*prefix) {
                Place::Addresses => {
                    self.addresses.insert(key(prefix.address()).0, slot.0, 0).within(attempt)?;
                }
                Place::Prefixes => {
                    self.prefixes.insert(&lpm(*prefix), slot.0, 0).within(attempt)?;
                }
            }
        }
        if let Some(mac) = wanted.mac.filter(|mac| had.mac != Some(*mac)) {
            let device = Device::from_mac(mac.0);
            self.devices
                .insert(device.0, slot.0, 0)
                .within(|| format!("put the device {mac} in"))?;
            if let Some(near) = &mut self.near {
                near.put(device, slot)?;
            }
        }
        for prefix in wanted.prefixes.difference(&had.prefixes) {
            match place(*prefix) {
                Place::Addresses => self.in_addresses += 1,
                Place::Prefixes => self.in_prefixes += 1,
            }
        }
        // A device that moved is not the other slot's any more.
        if let Some(mac) = wanted.mac
            && let Some(before) = self.by_mac.insert(mac, slot).filter(|before| *before != slot)
            && let Some(of) = self.of_slots.get_mut(&before)
        {
            of.mac = None;
        }
        self.of_slots.insert(slot, wanted);
        Ok(())
    }
}

fn gone(removed: Result<(), MapError>) -> Result<bool, MapError> {
    match removed {
        Ok(()) => Ok(true),
        Err(MapError::KeyNotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Which map a prefix is in: single addresses and networks of 64 bits are found in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Addresses,
    Prefixes,
}

fn place(prefix: Prefix) -> Place {
    let network = key(prefix.address());
    match key_bits(prefix) {
        // The first address of a network would be taken for all of it.
        128 if network.is_v4() || network.network64() != network => Place::Addresses,
        64 => Place::Addresses,
        _ => Place::Prefixes,
    }
}

fn lpm(prefix: Prefix) -> Key<[u32; 4]> {
    Key::new(key_bits(prefix), key(prefix.address()).0)
}

/// `bits`: of the longest-prefix map; without, as the other map has it.
fn prefix_of(address: Address, bits: Option<u32>) -> Option<Prefix> {
    let octets = address.octets();
    if address.is_v4() {
        let [.., a, b, c, d] = octets;
        let bits = bits.unwrap_or(128).checked_sub(96)?;
        return Prefix::new([a, b, c, d].into(), u8::try_from(bits).ok()?);
    }
    let whole = if address.network64() == address { 64 } else { 128 };
    Prefix::new(octets.into(), u8::try_from(bits.unwrap_or(whole)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_map_comes_out_the_same() {
        for (text, expected) in [
            ("10.0.0.1", Place::Addresses),
            ("10.0.0.0/24", Place::Prefixes),
            ("2001:db8::1", Place::Addresses),
            ("2001:db8::/64", Place::Addresses),
            ("2001:db8::/128", Place::Prefixes),
            ("2001:db8::/56", Place::Prefixes),
        ] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(place(prefix), expected, "{text}");
            let bits = (expected == Place::Prefixes).then(|| key_bits(prefix));
            assert_eq!(prefix_of(key(prefix.address()), bits), Some(prefix), "{text}");
        }
    }
}
