//! Comparisons without branches (pure).
//!
//! BPF has no instruction for them, and LLVM would make a branch of each: the verifier follows both
//! ways of all of them, one after the other. Numbers here are below 2^63, as times are.

/// All bits set if `a < b`, else none.
#[inline(always)]
pub(crate) fn below(a: u64, b: u64) -> u64 {
    sign(a.wrapping_sub(b))
}

#[inline(always)]
pub(crate) fn max(a: u64, b: u64) -> u64 {
    a.wrapping_add(b.wrapping_sub(a) & below(a, b))
}

#[inline(always)]
pub(crate) fn min(a: u64, b: u64) -> u64 {
    b.wrapping_add(a.wrapping_sub(b) & below(a, b))
}

/// How far `a` is above `b`; zero if it is not.
#[inline(always)]
pub(crate) fn above(a: u64, b: u64) -> u64 {
    a.wrapping_sub(b) & !below(a, b)
}

/// The highest bit, as all bits. LLVM sees through arithmetic, too, and must not.
#[inline(always)]
fn sign(value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        #[expect(unsafe_code, reason = "one instruction that LLVM does not know")]
        // SAFETY: it touches nothing but its register.
        unsafe {
            core::arch::asm!(
                "{0} s>>= 63",
                inout(reg) value,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    (value.cast_signed() >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u64 = 1 << 62;

    proptest! {
        #[test]
        fn they_are_what_their_names_say(a in 0..MOST, b in 0..MOST) {
            prop_assert_eq!(max(a, b), a.max(b));
            prop_assert_eq!(min(a, b), a.min(b));
            prop_assert_eq!(above(a, b), a.saturating_sub(b));
            prop_assert_eq!(below(a, b), if a < b { u64::MAX } else { 0 });
        }
    }
}
