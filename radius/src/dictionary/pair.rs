//! An attribute and its value: from text, and into a packet.

use zeroize::Zeroizing;

use super::{
    Attribute, DataType, Dictionary, Encryption,
    value::{self, Value, hexadecimal},
};
use crate::attr::{
    path::Path,
    place::{NoSuchPlace, Place},
    tagged::LARGEST,
};

/// An attribute with its value, ready to be written by [`crate::Writer::pair`] as often as one
/// likes. It does not print its value, and wipes it when it goes: it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    name: Box<str>,
    place: Place,
    tag: Option<u8>,
    encryption: Option<Encryption>,
    value: Zeroizing<Box<[u8]>>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} octets)", self.name, self.value.len())
    }
}

impl Pair {
    /// As the dictionary spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it goes.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The octet of its tag, if one is to be written.
    pub const fn tag(&self) -> Option<u8> {
        self.tag
    }

    /// How it has to be encrypted.
    pub const fn encryption(&self) -> Option<Encryption> {
        self.encryption
    }

    /// The octets of the value: without tag, not encrypted.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// Why a text is not an attribute with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// There is no `=`, or no name before it.
    #[error("expected `Name = value`, not {0:?}")]
    Form(String),
    /// Another operator than `=` and `+=`, which both add the attribute.
    #[error("expected `=` or `+=` after `{0}`")]
    Operator(String),
    /// No dictionary has this name.
    #[error("no dictionary has an attribute `{0}`")]
    Unknown(String),
    /// It has a name and cannot be sent.
    #[error("{0} is never in a packet")]
    InNoPacket(String),
    /// The number is none that an attribute can have.
    #[error(transparent)]
    Place(#[from] NoSuchPlace),
    /// A tag that is none, or on an attribute that has none.
    #[error("{0}: only an attribute with the flag has_tag has a tag, which is 0 to 31")]
    Tag(String),
    /// The value is not one of this attribute's.
    #[error("{name} is of the type {kind}{}, and `{text}` is none", if *.has_names { " or one of its names" } else { "" })]
    Value {
        /// The attribute.
        name: String,
        /// What its values are.
        kind: DataType,
        /// Whether values of it have names.
        has_names: bool,
        /// What stood there, unless it is a secret.
        text: String,
    },
    /// An attribute by its number has its octets as value.
    #[error("{name} is written by its number, so it takes octets like 0x0a1b, not `{text}`")]
    Raw {
        /// The attribute.
        name: String,
        /// What stood there.
        text: String,
    },
}

impl Dictionary {
    /// Reads `Name = value` or `Name += value`, as [`super::Show`] prints it:
    ///
    /// - the name of an attribute, with its tag if it has one: `Tunnel-Type:1`;
    /// - or its number, for octets that no dictionary knows: `Attr-26.32473.1`;
    /// - a value of its type, a named value, text in double quotes (with `\n`, `\"`, `\001`,
    ///   `\x01`), in single quotes or without any, octets as `0x…`.
    pub fn parse_pair(&self, text: &str) -> Result<Pair, PairError> {
        let text = text.trim();
        let (left, right) = text.split_once('=').ok_or_else(|| PairError::Form(text.to_owned()))?;
        let left = left.trim_end();
        let left = left.strip_suffix('+').unwrap_or(left).trim_end();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.:/".contains(letter);
        if left.is_empty() {
            return Err(PairError::Form(text.to_owned()));
        }
        if !left.chars().all(is_name) || left.ends_with(':') || right.starts_with(['=', '~', '*']) {
            return Err(PairError::Operator(left.to_owned()));
        }
        let value = right.trim();
        let (name, tag) = match left.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (left, None),
        };
        if let Some(attribute) = self.attribute(name) {
            return self.known(attribute, tag, value);
        }
        let path = unknown(name).ok_or_else(|| PairError::Unknown(name.to_owned()))?;
        if tag.is_some() {
            return Err(PairError::Tag(name.to_owned()));
        }
        self.unknown(name, path, value)
    }

    fn known(
        &self,
        attribute: &Attribute,
        tag: Option<&str>,
        text: &str,
    ) -> Result<Pair, PairError> {
        let name = attribute.name();
        if !attribute.is_in_packets() {
            return Err(PairError::InNoPacket(name.to_owned()));
        }
        let flags = attribute.flags();
        let is_secret = flags.secret || flags.encryption.is_some();
        let value = attribute.octets(text).ok_or_else(|| PairError::Value {
            name: name.to_owned(),
            kind: attribute.kind(),
            has_names: attribute.values().next().is_some(),
            text: if is_secret { "(hidden)".to_owned() } else { text.to_owned() },
        })?;
        let mut value = Zeroizing::new(value.into_boxed_slice());
        let mut given = None;
        if let Some(tag) = tag {
            let number = tag.parse::<u8>().ok().filter(|&tag| tag <= LARGEST && flags.tagged);
            given = Some(number.ok_or_else(|| PairError::Tag(name.to_owned()))?);
        }
        let is_integer = attribute.kind() == DataType::Integer;
        let needs_octet = || {
            let looks_tagged = value.first().is_some_and(|&first| first <= LARGEST);
            is_integer || flags.encryption.is_some() || looks_tagged
        };
        let tag = match given {
            None if flags.tagged && needs_octet() => Some(0),
            given => given,
        };
        if flags.tagged && is_integer {
            // A tag leaves 24 bits.
            let &[0, ref low @ ..] = &**value else {
                return Err(PairError::Value {
                    name: name.to_owned(),
                    kind: attribute.kind(),
                    has_names: attribute.values().next().is_some(),
                    text: text.to_owned(),
                });
            };
            value = Zeroizing::new(Box::from(low));
        }
        let place = self.place(attribute.path())?;
        Ok(Pair { name: name.into(), place, tag, encryption: flags.encryption, value })
    }

    fn unknown(&self, name: &str, path: Path, text: &str) -> Result<Pair, PairError> {
        let value = hexadecimal(text)
            .ok_or_else(|| PairError::Raw { name: name.to_owned(), text: text.to_owned() })?;
        let value = Zeroizing::new(value.into_boxed_slice());
        let place = self.place(path)?;
        Ok(Pair { name: name.into(), place, tag: None, encryption: None, value })
    }
}

impl Attribute {
    /// The octets of a value as text, which may be one of its names.
    fn octets(&self, text: &str) -> Option<Vec<u8>> {
        let named = self.kind().is_number().then(|| self.value(value::strip_quotes(text)));
        match named.flatten() {
            Some(number) => Value::parse(self.kind(), &number.to_string()),
            None => Value::parse(self.kind(), text),
        }
    }
}

/// `Attr-26.9.1`, and as others write it `Vendor-9-Attr-1`.
fn unknown(name: &str) -> Option<Path> {
    let lower = name.to_ascii_lowercase();
    if let Some(numbers) = lower.strip_prefix("attr-") {
        return Path::parse(numbers);
    }
    let (vendor, number) = lower.strip_prefix("vendor-")?.split_once("-attr-")?;
    Some(Path::vendor(vendor.parse().ok()?, number.parse().ok()?))
}
