//! Map memory shared with the kernel: the one place of the edge with unsafe code.
//!
//! A `BPF_F_MMAPABLE` array is memory that both sides see. It is read and written as words of 64
//! bits, each in one piece, so that ten thousand counters cost no system call.

#![expect(unsafe_code, reason = "memory that the kernel writes, seen only as atomic words")]

use std::{
    num::NonZeroUsize,
    ops::Deref,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::{DataplaneError, Slot, Within};

/// An array of the kernel's, for reading.
#[derive(Debug)]
pub(super) struct Mapped {
    start: NonNull<AtomicU64>,
    words: NonZeroUsize,
    /// Words of all entries of one slot.
    stride: usize,
    slots: u32,
}

/// The same, for writing too.
#[derive(Debug)]
pub(super) struct MappedMut(Mapped);

// SAFETY: the memory belongs to the map, not to a thread, and is only touched atomically.
unsafe impl Send for Mapped {}

impl Mapped {
    /// `stride`: words of one entry, which must be what the map was made for.
    pub(super) fn open(map: &MapData, stride: usize) -> Result<Self, DataplaneError> {
        Self::map(map, (stride, None), ProtFlags::PROT_READ)
    }

    /// Of which each slot has several entries in a row, of so many words.
    pub(super) fn open_shards(
        map: &MapData,
        words: usize,
        slots: u32,
    ) -> Result<Self, DataplaneError> {
        Self::map(map, (words, Some(slots)), ProtFlags::PROT_READ)
    }

    fn map(
        map: &MapData,
        (words, slots): (usize, Option<u32>),
        access: ProtFlags,
    ) -> Result<Self, DataplaneError> {
        let info = map.info().within(|| "ask for the size of a map".to_owned())?;
        let entries = info.max_entries();
        let slots = slots.unwrap_or(entries);
        let is_even = entries.checked_rem(slots) == Some(0);
        if !is_even || usize::try_from(info.value_size()) != Ok(words * size_of::<u64>()) {
            return Err(DataplaneError::Layout(info.value_size()));
        }
        let shards = entries.checked_div(slots).and_then(|shards| usize::try_from(shards).ok());
        let stride = words * shards.unwrap_or_default();
        let words = usize::try_from(slots)
            .ok()
            .and_then(|slots| NonZeroUsize::new(slots.checked_mul(stride)?))
            .ok_or(DataplaneError::Layout(info.value_size()))?;
        let bytes = words.saturating_mul(EIGHT);
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing of ours.
        let start = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, map.fd(), 0) }
            .within(|| "map the counters into memory".to_owned())?;
        Ok(Self { start: start.cast(), words, stride, slots })
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    pub(super) fn load_one(&self, slot: Slot, word: usize) -> Result<u64, DataplaneError> {
        Ok(self.entry(slot)?.get(word).map_or(0, |word| word.load(Ordering::Relaxed)))
    }

    pub(super) fn load<const N: usize>(
        &self,
        slot: Slot,
        from: usize,
    ) -> Result<[u64; N], DataplaneError> {
        let words = self.entry(slot)?.get(from..from + N).unwrap_or_default();
        let mut loaded = [0; N];
        for (to, word) in loaded.iter_mut().zip(words) {
            *to = word.load(Ordering::Relaxed);
        }
        Ok(loaded)
    }

    /// Of all shards, word by word.
    pub(super) fn sum<const N: usize>(&self, slot: Slot) -> Result<[u64; N], DataplaneError> {
        let mut sum = [0_u64; N];
        for shard in self.entry(slot)?.chunks_exact(N) {
            for (sum, word) in sum.iter_mut().zip(shard) {
                *sum = sum.wrapping_add(word.load(Ordering::Relaxed));
            }
        }
        Ok(sum)
    }

    /// Where the last shard of a slot begins, if each has so many words.
    pub(super) const fn last_shard(&self, words: usize) -> usize {
        self.stride - words
    }

    fn entry(&self, slot: Slot) -> Result<&[AtomicU64], DataplaneError> {
        // SAFETY: `words` words are mapped at `start` for as long as `self` lives, page-aligned,
        // and nobody in this process sees them except as atomics.
        let words = unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words.get()) };
        usize::try_from(slot.0)
            .ok()
            .and_then(|slot| words.get(slot * self.stride..(slot + 1) * self.stride))
            .ok_or(DataplaneError::NoSuchSlot(slot, self.slots))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and no reference outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.words.get() * size_of::<u64>()) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

impl MappedMut {
    pub(super) fn open(map: &MapData, stride: usize) -> Result<Self, DataplaneError> {
        Mapped::map(map, (stride, None), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).map(Self)
    }

    pub(super) fn open_shards(
        map: &MapData,
        words: usize,
        slots: u32,
    ) -> Result<Self, DataplaneError> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Mapped::map(map, (words, Some(slots)), access).map(Self)
    }

    /// All words of a slot to zero.
    pub(super) fn clear(&mut self, slot: Slot) -> Result<(), DataplaneError> {
        for word in self.0.entry(slot)? {
            word.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// From the entry's first word on.
    pub(super) fn store(&mut self, slot: Slot, words: &[u64]) -> Result<(), DataplaneError> {
        for (to, &word) in self.0.entry(slot)?.iter().zip(words) {
            to.store(word, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl MappedMut {
    pub(super) fn store_one(
        &mut self,
        slot: Slot,
        word: usize,
        value: u64,
    ) -> Result<(), DataplaneError> {
        if let Some(word) = self.0.entry(slot)?.get(word) {
            word.store(value, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Beside the programs, where they add with a lock, too.
    pub(super) fn add(
        &mut self,
        slot: Slot,
        word: usize,
        value: u64,
    ) -> Result<(), DataplaneError> {
        if let Some(word) = self.0.entry(slot)?.get(word) {
            word.fetch_add(value, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Beside the programs, which set others.
    pub(super) fn clear_bits(
        &mut self,
        slot: Slot,
        word: usize,
        bits: u64,
    ) -> Result<(), DataplaneError> {
        if let Some(word) = self.0.entry(slot)?.get(word) {
            word.fetch_and(!bits, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Deref for MappedMut {
    type Target = Mapped;

    fn deref(&self) -> &Mapped {
        &self.0
    }
}

const EIGHT: NonZeroUsize = NonZeroUsize::new(size_of::<u64>()).expect("a word is not empty");
