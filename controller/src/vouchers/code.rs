//! The codes on vouchers. Pure.
//!
//! The alphabet leaves out 0, 1, I, L and O and has 31 characters, a prime: a sum of the characters
//! weighted by their places, modulo 31, finds every wrong character and every swap of two
//! neighbours. A mistyped code is told from a wrong one without asking the database.

use std::{fmt, str::FromStr};

use crate::words::NotAWord;

/// A code as it is hashed: capitals, no separators, the check character last.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VoucherCode(String);

impl VoucherCode {
    /// With `len` characters before the check character; none if there is too little randomness.
    /// A byte that would make some characters likelier than others is left out.
    pub fn random(len: usize, bytes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let fair = bytes.into_iter().filter(|byte| *byte < FAIR);
        let code: String =
            fair.filter_map(|byte| letter(u32::from(byte))).take(len).map(char::from).collect();
        (code.len() == len).then(|| Self::seal(code)).flatten()
    }

    fn seal(mut code: String) -> Option<Self> {
        let check = check(code.as_bytes())?;
        code.push(char::from(check));
        Some(Self(code))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In groups that people can read out.
    pub fn grouped(&self) -> String {
        let groups = self.0.as_bytes().chunks(GROUP).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join("-")
    }
}

/// As people type it: small letters, spaces and hyphens do not matter.
impl FromStr for VoucherCode {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let code: String = text
            .chars()
            .filter(|c| !c.is_ascii_whitespace() && *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let fits = (LEN_MIN..=LEN_MAX).contains(&code.len().saturating_sub(1));
        let sealed = fits.then(|| code.as_bytes().split_last()).flatten();
        match sealed {
            Some((last, data)) if check(data) == Some(*last) => Ok(Self(code)),
            Some(_) | None => Err(NotAWord("a voucher's code: one character of this is wrong")),
        }
    }
}

/// A code is money: it does not go into logs.
impl fmt::Debug for VoucherCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherCode(…)")
    }
}

/// Would guessing at one guess a second, against so many live codes, take a year to hit one?
pub(super) fn is_long_enough(len: u32, live: u64) -> bool {
    let codes = u128::from(ALPHABET.len() as u64).checked_pow(len).unwrap_or(u128::MAX);
    codes >= u128::from(live) * u128::from(YEAR_SECONDS)
}

/// None if a character is not of the alphabet.
fn check(data: &[u8]) -> Option<u8> {
    let sum = (1_u32..).zip(data).try_fold(0_u32, |sum, (place, byte)| {
        let value = ALPHABET.iter().position(|letter| letter == byte)?;
        Some(sum + place * u32::try_from(value).ok()?)
    })?;
    letter(sum)
}

fn letter(value: u32) -> Option<u8> {
    ALPHABET.get(usize::try_from(value).ok()? % ALPHABET.len()).copied()
}

const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// The largest multiple of 31 that a byte can be below.
const FAIR: u8 = 248;
const GROUP: usize = 5;
/// Characters before the check character.
pub(super) const LEN_DEFAULT: u8 = 9;
pub(super) const LEN_MIN: usize = 7;
pub(super) const LEN_MAX: usize = 15;
const YEAR_SECONDS: u32 = 365 * 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> Result<VoucherCode, NotAWord> {
        text.parse()
    }

    #[test]
    fn the_published_example_has_its_check_character() {
        assert_eq!(check(b"KEN3T7Q"), Some(b'W'));
        assert!(code("KEN3T7QW").is_ok());
        assert_eq!(check(b"KEN0"), None);
    }

    #[test]
    fn people_type_as_they_like() {
        let right = code("KEN3T7QW").unwrap();
        for text in ["ken3t7qw", " KEN3T-7QW ", "KEN 3T7 QW", "k-e-n-3-t-7-q-w"] {
            assert_eq!(code(text).unwrap(), right, "{text}");
        }
        assert_eq!(right.grouped(), "KEN3T-7QW");
        for text in ["", "W", "KEN3T7Q", "KEN3T7QX", "KEN3T7QÜ", "KEN3T7QW0", &"2".repeat(40)] {
            assert!(code(text).is_err(), "{text}");
        }
        assert!(!format!("{right:?}").contains("KEN"));
    }

    #[test]
    fn every_wrong_character_and_every_swap_is_found() {
        let mut tried = 0;
        let mut seed = 1_u64;
        for len in [7, 9, 11, 15] {
            for _ in 0..60 {
                let noise = std::iter::from_fn(|| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    Some(seed.to_be_bytes()[0])
                });
                let right = VoucherCode::random(len, noise).unwrap();
                let letters = right.as_str().as_bytes();
                for at in 0..letters.len() {
                    for other in ALPHABET.iter().filter(|other| **other != letters[at]) {
                        let mut wrong = letters.to_vec();
                        wrong[at] = *other;
                        assert!(code(std::str::from_utf8(&wrong).unwrap()).is_err());
                        tried += 1;
                    }
                    if at + 1 < letters.len() && letters[at] != letters[at + 1] {
                        let mut wrong = letters.to_vec();
                        wrong.swap(at, at + 1);
                        assert!(code(std::str::from_utf8(&wrong).unwrap()).is_err());
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 80_000, "{tried}");
    }

    #[test]
    fn a_length_is_refused_that_can_be_guessed_within_a_year() {
        assert!(!is_long_enough(8, 100_000));
        assert!(is_long_enough(8, 10_000));
        assert!(is_long_enough(9, 100_000));
        assert!(!is_long_enough(6, 100));
        assert!(is_long_enough(200, u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 64..80)) {
            let made = VoucherCode::random(9, bytes).unwrap();
            prop_assert_eq!(made.as_str().len(), 10);
            prop_assert_eq!(made.grouped().parse(), Ok(made.clone()));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<VoucherCode>();
        }
    }

    #[test]
    fn too_little_randomness_makes_no_code() {
        assert!(VoucherCode::random(9, [255; 100]).is_none());
        assert!(VoucherCode::random(9, [0; 8]).is_none());
    }
}
