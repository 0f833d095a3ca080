//! A table of devices of which a packet touches half a cache line (pure).
//!
//! [`DEVICES`](super::DEVICES) has every device, at three cache lines and a function call each. This
//! has them, too, as far as there is room in the bucket where a device belongs; only where a bucket
//! is full can one be in `DEVICES` alone.
//!
//! A device is spread over 48 bits so that none is lost: the first say the bucket, the rest are
//! kept. With the slot that is one word, which is written in one piece.

use super::Device;
use crate::clock::number::below;

/// Four entries, see [`Place::entry`]; zero: free.
pub type Bucket = [u64; 4];

/// Where a device belongs, and how it is told from others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: u32,
    rest: u64,
}

/// What a bucket says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// One more than the slot; zero: it is not here.
    one_more: u64,
    pub has_room: bool,
}

/// Of as many slots: how many buckets, as a power of two. Each has up to two entries on average.
pub const fn bits(slots: u32) -> u32 {
    let half = slots.next_power_of_two().ilog2().saturating_sub(1);
    if half < BITS_MIN { BITS_MIN } else { half }
}

impl Place {
    /// In a table of `1 << bits` buckets.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "of a bucket there are as few bits")]
    pub const fn of(device: Device, bits: u32) -> Self {
        // Multiplying by an odd number and folding can be undone: no two devices fall together.
        let spread = device.0.wrapping_mul(0x9e37_79b9_7f4b) & DEVICE;
        let spread = (spread ^ spread >> 24).wrapping_mul(0xc2b2_ae3d_27d5) & DEVICE;
        let kept = DEVICE_BITS.wrapping_sub(bits) & 63;
        Self { bucket: (spread >> kept) as u32, rest: spread & ((1 << kept) - 1) }
    }

    /// The word for a device in this slot.
    pub const fn entry(self, slot: u32) -> u64 {
        self.rest << SLOT_BITS | (slot as u64 + 1)
    }

    /// Whether a word is this device's.
    pub const fn is_in(self, entry: u64) -> bool {
        entry != 0 && entry >> SLOT_BITS == self.rest
    }

    /// Without a branch: the verifier would follow each of them to the end of the program.
    #[inline(always)]
    pub fn look(self, bucket: Bucket) -> Found {
        let (mut found, mut free) = (0, 0);
        for entry in bucket {
            found |= entry & below((entry >> SLOT_BITS) ^ self.rest, 1);
            free |= below(entry & SLOT, 1);
        }
        Found { one_more: found & SLOT, has_room: free != 0 }
    }
}

impl Found {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a slot has 20 bits")]
    pub const fn slot(self) -> Option<u32> {
        if self.one_more == 0 { None } else { Some((self.one_more - 1) as u32) }
    }
}

const DEVICE_BITS: u32 = 48;
const DEVICE: u64 = (1 << DEVICE_BITS) - 1;

/// A slot has 20 bits.
const SLOT_BITS: u32 = 24;
const SLOT: u64 = (1 << SLOT_BITS) - 1;

/// What is kept of a device and a slot have room in a word.
const BITS_MIN: u32 = DEVICE_BITS + SLOT_BITS - u64::BITS;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{collections::BTreeSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_are_buckets_for_two_entries_each() {
        let buckets = |slots| 1_u32 << bits(slots);
        assert_eq!(buckets(1), 256);
        assert_eq!(buckets(1_024), 512);
        assert_eq!(buckets(100_000), 65_536);
        assert_eq!(buckets(1 << 20), 1 << 19);
    }

    #[test]
    fn neighbours_are_spread_evenly() {
        let mut filled = [0_u32; 512];
        for number in 0..1_024 {
            let place = Place::of(Device(0x0200_0000_0002 + (number << 32)), 9);
            filled[place.bucket as usize] += 1;
        }
        let crowded = filled.iter().filter(|filled| **filled > 4).count();
        assert!(crowded < 64, "{crowded} of 512 have more than four");
    }

    proptest! {
        #[test]
        fn a_device_is_found_where_it_was_put_and_no_other(
            devices in prop::collection::btree_set(1..=DEVICE, 1..9),
            slots in prop::collection::vec(0_u32..1 << 20, 9),
            bits in BITS_MIN..20,
        ) {
            let all: Vec<(Device, u32)> =
                devices.iter().map(|device| Device(*device)).zip(slots).collect();
            let mut bucket = [0; 4];
            let here = all.iter().take(4);
            for (entry, (device, slot)) in bucket.iter_mut().zip(here) {
                *entry = Place::of(*device, bits).entry(*slot);
            }
            for (number, (device, slot)) in all.iter().enumerate() {
                let place = Place::of(*device, bits);
                let same = |entry: &&(Device, u32)| Place::of(entry.0, bits).rest == place.rest;
                // They would be in other buckets.
                if all.iter().filter(same).count() > 1 {
                    continue;
                }
                let found = place.look(bucket);
                prop_assert_eq!(found.slot(), (number < 4).then_some(*slot));
                prop_assert_eq!(found.has_room, all.len() < 4);
                prop_assert_eq!(bucket.iter().any(|entry| place.is_in(*entry)), number < 4);
            }
        }

        #[test]
        fn no_two_devices_fall_together(
            devices in prop::collection::btree_set(1..=DEVICE, 2..50),
            bits in BITS_MIN..20,
        ) {
            let places: BTreeSet<(u32, u64)> = devices
                .iter()
                .map(|device| Place::of(Device(*device), bits))
                .map(|place| (place.bucket, place.rest))
                .collect();
            prop_assert_eq!(places.len(), devices.len());
            prop_assert!(places.iter().all(|(bucket, _)| *bucket < 1 << bits));
        }
    }
}
