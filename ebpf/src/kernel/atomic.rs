//! Atomics on map values, which other CPUs and the edge see.
//!
//! `core::sync::atomic` has no read-modify-write operations for BPF, and LLVM cannot select an
//! atomic load there; the intrinsics compile to what the verifier takes (instruction set v3).

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_or, atomic_xadd};

/// A word in a map value. It lives as long as the program runs: the kernel frees map memory only
/// after a grace period.
#[derive(Clone, Copy)]
pub struct Word(*mut u64);

impl Word {
    /// # Safety
    ///
    /// `word` points into a map value.
    #[inline(always)]
    pub unsafe fn new(word: *mut u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub fn load(self) -> u64 {
        // SAFETY: by `new`; an aligned load of a word is not torn.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    pub fn store(self, value: u64) {
        // SAFETY: by `new`; an aligned store of a word is not torn.
        unsafe { self.0.write_volatile(value) }
    }

    #[inline(always)]
    pub fn add(self, value: u64) {
        // SAFETY: by `new`.
        unsafe {
            atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(self.0, value);
        }
    }

    /// Adds, and says what was there before.
    ///
    /// A relaxed one LLVM makes an instruction that adds and fetches nothing, whether the result
    /// is used or not.
    #[inline(always)]
    pub fn fetch_add(self, value: u64) -> u64 {
        // SAFETY: by `new`.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(self.0, value) }
    }

    /// Sets bits, and says what was there before.
    #[inline(always)]
    pub fn fetch_or(self, bits: u64) -> u64 {
        // SAFETY: by `new`.
        unsafe { atomic_or::<u64, u64, { AtomicOrdering::Relaxed }>(self.0, bits) }
    }

    /// `Err` has what is there instead of `old`.
    #[inline(always)]
    pub fn compare_exchange(self, old: u64, new: u64) -> Result<(), u64> {
        // SAFETY: by `new`.
        let (found, done) = unsafe {
            atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(
                self.0, old, new,
            )
        };
        if done { Ok(()) } else { Err(found) }
    }
}
