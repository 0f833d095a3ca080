//! Chance that is the same for the same seed. Pure.

/// Of something that has a name; each `turn` is another throw.
pub(super) fn throw(seed: u64, name: &str, turn: u64) -> u64 {
    // FNV-1a, and the finish of SplitMix64.
    let start = seed ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xCBF2_9CE4_8422_2325;
    let mut mixed = name
        .bytes()
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The `n`th receipt: ten letters and digits, no two alike.
pub(super) fn receipt(seed: u64, n: u64) -> String {
    let mixed = u128::from(n) * SCATTER + u128::from(seed);
    let mut rest = mixed % POSSIBLE;
    let mut letters = vec![b'T'];
    for _ in 0..9 {
        let digit = usize::try_from(rest % 36).unwrap_or(0);
        letters.extend(DIGITS.get(digit));
        rest /= 36;
    }
    String::from_utf8_lossy(&letters).into_owned()
}

const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const POSSIBLE: u128 = 36_u128.pow(9);
/// A prime, so that it reaches all of them.
const SCATTER: u128 = 2_654_435_761;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_and_no_receipt_twice() {
        let all: HashSet<_> = (0..20_000).map(|n| receipt(7, n)).collect();
        assert_eq!(all.len(), 20_000);
        assert!(all.iter().all(|receipt| receipt.len() == 10));
        assert_eq!(receipt(7, 3), receipt(7, 3));
        assert_ne!(receipt(8, 3), receipt(7, 3));
        assert_eq!(throw(1, "a", 2), throw(1, "a", 2));
        assert_ne!(throw(1, "a", 2), throw(1, "a", 3));
    }
}
