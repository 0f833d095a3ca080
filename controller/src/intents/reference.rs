//! References: what stands in the payer's message, and what a payer types. Pure.
//!
//! `KN` and seven letters, the last of which checks the others: one wrong letter and two swapped
//! neighbours are found, so that money does not go to somebody else's intent.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{subscribers::AccountNo, words::NotAWord};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    /// Of some random bits.
    pub fn of(bits: u64) -> Self {
        let mut rest = bits;
        let mut values = [0_usize; LETTERS];
        for value in &mut values {
            *value = usize::try_from(rest % BASE as u64).unwrap_or(0);
            rest /= BASE as u64;
        }
        let last = check(&values);
        let letters = values.iter().chain([&last]).filter_map(|n| ALPHABET.get(*n));
        Self(PREFIX.chars().chain(letters.map(|letter| char::from(*letter))).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let wrong = NotAWord("a reference like KN4T7Q2WA");
        let letters = text.strip_prefix(PREFIX).ok_or(wrong)?;
        let value = |letter: u8| ALPHABET.iter().position(|known| *known == letter);
        let values: Option<Vec<_>> = letters.bytes().map(value).collect();
        match values.as_deref() {
            Some([values @ .., last]) if values.len() == LETTERS && check(values) == *last => {
                Ok(Self(text.to_owned()))
            }
            Some(_) | None => Err(wrong),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody typed on a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    Reference(Reference),
    Account(AccountNo),
    Nothing,
}

impl Typed {
    /// Spaces, hyphens and small letters are no mistakes; an O is a zero if the check digit
    /// agrees.
    pub fn read(text: &str) -> Self {
        let kept = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '/'));
        let text: String = kept.flat_map(char::to_uppercase).collect();
        if let Ok(reference) = text.parse() {
            return Self::Reference(reference);
        }
        text.replace('O', "0").parse().map_or(Self::Nothing, Self::Account)
    }

    pub const fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            Self::Account(_) | Self::Nothing => None,
        }
    }

    pub const fn account(&self) -> Option<&AccountNo> {
        match self {
            Self::Account(account) => Some(account),
            Self::Reference(_) | Self::Nothing => None,
        }
    }
}

/// Weights that differ modulo a prime find what people do wrong.
fn check(values: &[usize]) -> usize {
    let sum: usize = values.iter().zip(2..).map(|(value, weight)| value * weight).sum();
    (BASE - sum % BASE) % BASE
}

const PREFIX: &str = "KN";
const LETTERS: usize = 6;
/// Without those that look like others. Their number is a prime.
const ALPHABET: &[u8; BASE] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const BASE: usize = 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_letter_and_every_swap_of_neighbours_is_found() {
        for bits in (0..50).map(|n: u64| n * 1_234_567_891) {
            let right = Reference::of(bits);
            assert_eq!(right.as_str().len(), 9);
            assert_eq!(right.as_str().parse(), Ok(right.clone()));
            let letters = right.as_str().as_bytes();
            for at in 2..letters.len() {
                for other in ALPHABET {
                    let mut wrong = letters.to_vec();
                    wrong[at] = *other;
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(wrong.parse::<Reference>().is_ok(), wrong == right.as_str());
                }
                if at > 2 {
                    let mut wrong = letters.to_vec();
                    wrong.swap(at - 1, at);
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(wrong.parse::<Reference>().is_ok(), wrong == right.as_str());
                }
            }
        }
    }

    #[test]
    fn what_people_type_is_understood() {
        let reference = Reference::of(42);
        let typed = format!(" {} ", reference.as_str().to_lowercase());
        assert_eq!(Typed::read(&typed), Typed::Reference(reference.clone()));
        let (head, tail) = reference.as_str().split_at(4);
        assert_eq!(Typed::read(&format!("{head}-{tail}")), Typed::Reference(reference));
        let account = AccountNo::nth(0);
        let typed = account.as_str().replace('0', "o");
        assert_eq!(Typed::read(&typed), Typed::Account(account));
        for nothing in ["", "rent", "KN", "123", "100001"] {
            assert_eq!(Typed::read(nothing), Typed::Nothing, "{nothing}");
        }
    }
}
