//! Words that are checked once, where they come in: a value of these types fits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

/// A text is none of these words; says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NotAWord(pub &'static str);

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $expected:literal, $fits:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAWord;

            fn from_str(text: &str) -> Result<Self, NotAWord> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) { Ok(Self(text.to_owned())) } else { Err(NotAWord($expected)) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

words! {
    /// A name for people: of a person, a plan, a site.
    Name = "1 to 100 characters, without line breaks or spaces at its ends",
        |text| is_line(text, 100);
    /// A login of a subscriber, as a RADIUS User-Name.
    Username = "1 to 64 letters, digits or any of . _ - @ + :", |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+:".contains(&byte))
    };
    /// A short name in URLs: of a tenant, a plan.
    Code = "2 to 41 lower-case letters, digits or hyphens, a letter or digit first", |text| {
        (2..=41).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    /// An e-mail address, in lower case.
    Email = "an e-mail address in lower case like amina@example.com", |text| {
        text.len() <= 254
            && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c.is_uppercase())
            && text.split_once('@').is_some_and(|(name, host)| {
                !name.is_empty() && !host.is_empty() && !host.contains('@')
            })
    };
    /// A mobile number as M-Pesa writes it.
    Msisdn = "a Kenyan mobile number like 254712345678", |text| {
        text.len() == 12
            && (text.starts_with("2547") || text.starts_with("2541"))
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    /// An ISO 4217 code.
    Currency = "three capital letters like KES",
        |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    /// An IANA time zone.
    TimeZone = "a time zone like Africa/Nairobi",
        |text| jiff::tz::TimeZone::get(text).is_ok();
    /// What something is called at a NAS: a filter, a pool, a policy.
    NasWord = "1 to 200 octets, without line breaks or spaces at its ends",
        |text| text.len() <= 200 && is_line(text, 200);
    /// An attribute of a RADIUS reply.
    Pair = "an attribute like `Filter-Id = gold`, of at most 300 characters", |text| {
        is_line(text, 300)
            && text.split_once('=').is_some_and(|(name, _)| !name.trim().is_empty())
    };
    /// What stands behind the @ of a login.
    Realm = "a realm like wisp.example, without spaces, @ and \\", |text| {
        is_line(text, 253) && !text.contains(|c: char| c.is_whitespace() || c == '@' || c == '\\')
    };
    /// A name in a certificate.
    DnsName = "a name like nas1.wisp.example", |text| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_*".contains(&byte))
    };
    /// What a provider calls a payment.
    Receipt = "1 to 64 letters, digits or any of . _ - /", |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    /// Where money comes in: a paybill, a till, an account.
    Shortcode = "1 to 40 letters, digits or any of . _ -", |text| {
        (1..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    /// The number of a till, of M-Pesa's Buy Goods.
    Till = "5 to 10 digits", |text| {
        (5..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    /// Some lines that somebody wrote.
    Text = "1 to 4000 characters, and not only spaces", |text| {
        (1..=4000).contains(&text.chars().count())
            && !text.trim().is_empty()
            && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
    };
    /// A remark of one line, also empty.
    Note = "at most 200 characters, without line breaks",
        |text| text.is_empty() || is_line(text, 200);
}

impl Shortcode {
    /// Of the shop.
    pub fn till() -> Self {
        Self("till".to_owned())
    }
}

/// Where the first of them are.
impl Default for Currency {
    fn default() -> Self {
        Self("KES".to_owned())
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self("Africa/Nairobi".to_owned())
    }
}

#[expect(clippy::derivable_impls, reason = "of these words only this one may be empty")]
impl Default for Note {
    fn default() -> Self {
        Self(String::new())
    }
}

fn is_line(text: &str, max: usize) -> bool {
    let count = text.chars().count();
    (1..=max).contains(&count) && text.trim() == text && !text.chars().any(char::is_control)
}

/// An enum whose values are texts in the database, in bodies and on screens.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
            utoipa::ToSchema,
        )]
        pub enum $name {
            $(#[serde(rename = $text)] $variant,)*
        }

        impl $name {
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::NotAWord;

            fn from_str(text: &str) -> Result<Self, $crate::words::NotAWord> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::words::NotAWord(concat!("one of:" $(, " ", $text)*))),
                }
            }
        }
    };
}
pub(crate) use choices;

/// A password that somebody chose or was given, long enough to be checked and not only guessed.
#[derive(Clone, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = Password)]
pub struct Passphrase(shared::secret::Secret);

impl Passphrase {
    pub const fn secret(&self) -> &shared::secret::Secret {
        &self.0
    }
}

impl FromStr for Passphrase {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let fits = (PASSPHRASE_MIN..=PASSPHRASE_MAX).contains(&text.chars().count());
        if fits {
            Ok(Self(shared::secret::Secret::new(text.to_owned())))
        } else {
            Err(NotAWord("10 to 200 characters"))
        }
    }
}

impl<'de> Deserialize<'de> for Passphrase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A secret of the RADIUS protocol: a subscriber's password, a NAS's shared secret.
#[derive(Clone, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = Password)]
pub struct RadiusSecret(shared::secret::Secret);

impl RadiusSecret {
    pub const fn secret(&self) -> &shared::secret::Secret {
        &self.0
    }
}

impl FromStr for RadiusSecret {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        // RFC 2865 §5.2: a User-Password has at most 128 octets.
        let fits = (1..=128).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(shared::secret::Secret::new(text.to_owned())))
        } else {
            Err(NotAWord("1 to 128 octets without control characters"))
        }
    }
}

impl<'de> Deserialize<'de> for RadiusSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A change of something that may be missing: absent in the body keeps it, `null` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Change<T> {
    pub fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(with(value)),
        }
    }
}

/// With `#[serde(default)]` on the field.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

const PASSPHRASE_MIN: usize = 10;
const PASSPHRASE_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<W: FromStr>(right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(text.parse::<W>().is_ok(), "{text:?}");
        }
        for text in wrong {
            assert!(text.parse::<W>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn words_fit_or_are_refused() {
        check::<Name>(&["Amina Wanjiru", "N"], &["", " a", "a\n", &"x".repeat(101)]);
        check::<Username>(&["amina", "a@b+c"], &["", "a b", "ä", &"x".repeat(65)]);
        check::<Code>(&["home-10"], &["", "a", "-a", "Home", "a_b"]);
        check::<Email>(
            &["a@b", "x.y@example.com"],
            &["", "@", "a@", "@b", "A@b", "a@b@c", "a b@c"],
        );
        check::<Msisdn>(&["254712345678"], &["0712345678", "254812345678", "2547123456789"]);
        check::<TimeZone>(&["Africa/Nairobi", "UTC"], &["", "Nairobi"]);
        check::<Passphrase>(&["correct horse"], &["short", ""]);
        check::<RadiusSecret>(&["x"], &["", "a\0b", &"x".repeat(129)]);
        check::<Note>(&["", "by phone"], &["a\nb"]);
        check::<Receipt>(&["TK60708BHZ", "RCT-000001"], &["", "a b", "ä", &"x".repeat(65)]);
        check::<Shortcode>(&["600000", "till"], &["", "a/b", "a:b", &"x".repeat(41)]);
        check::<Till>(&["174379"], &["", "1234", "12345a", "12345678901"]);
        check::<Text>(&["a\nb"], &["", " \n", "a\0b", &"x".repeat(4001)]);
        check::<NasWord>(&["gold", "Pool 1"], &["", " gold", &"ä".repeat(101)]);
        check::<Pair>(&["Filter-Id = gold", "A=b"], &["", "Filter-Id", "= gold", "a = b\nc = d"]);
        check::<Realm>(&["wisp.example"], &["", "a b", "a@b", "a\\b"]);
        check::<DnsName>(&["nas1.wisp.example"], &["", "a b", "nas/1"]);
    }

    #[test]
    fn a_secret_does_not_print() {
        let word: Passphrase = "correct horse".parse().unwrap();
        assert!(!format!("{word:?}").contains("horse"));
    }
}
