//! Account numbers: what a payer types. Pure.
//!
//! The last digit is Damm's check digit: it finds every wrong digit and every swap of two
//! neighbours, so that money does not go to somebody else's account.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::words::NotAWord;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountNo(String);

impl AccountNo {
    /// The `n`th of a tenant.
    pub fn nth(n: u64) -> Self {
        let digits = (FIRST + n).to_string();
        let check = damm(&digits).unwrap_or(0);
        Self(format!("{digits}{check}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountNo {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let fits = (6..=12).contains(&text.len()) && damm(text) == Some(0);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAWord("an account number")) }
    }
}

impl Serialize for AccountNo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for AccountNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn damm(digits: &str) -> Option<u8> {
    digits.bytes().try_fold(0_u8, |interim, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        let row = QUASIGROUP.get(usize::from(interim))?;
        row.get(usize::from(digit)).copied()
    })
}

/// Six digits before the check digit.
const FIRST: u64 = 100_000;

/// H. M. Damm, *Total anti-symmetrische Quasigruppen* (2004): weakly totally anti-symmetric.
const QUASIGROUP: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_has_its_check_digit() {
        assert_eq!(damm("572"), Some(4));
        assert_eq!(damm("5724"), Some(0));
    }

    #[test]
    fn every_wrong_digit_and_every_swap_of_neighbours_is_found() {
        for n in (0..100_000).step_by(97) {
            let right = AccountNo::nth(n);
            assert_eq!(right.as_str().parse(), Ok(right.clone()));
            let digits = right.as_str().as_bytes();
            for at in 0..digits.len() {
                for other in b'0'..=b'9' {
                    let mut wrong = digits.to_vec();
                    wrong[at] = other;
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(wrong.parse::<AccountNo>().is_ok(), wrong == right.as_str());
                }
                if at > 0 {
                    let mut wrong = digits.to_vec();
                    wrong.swap(at - 1, at);
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(wrong.parse::<AccountNo>().is_ok(), wrong == right.as_str());
                }
            }
        }
    }
}
