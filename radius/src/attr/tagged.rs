//! Tagged attributes (RFC 2868): a tag says which attributes speak of the same tunnel, or VLAN.

use super::Attr;

/// A tag in use, 1 to 31. Absence is `None`, on the wire 0 or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u8);

impl Tag {
    /// `None` if it is not 1 to 31.
    pub const fn new(tag: u8) -> Option<Self> {
        if tag >= 1 && tag <= LARGEST { Some(Self(tag)) } else { None }
    }

    /// The octet.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A first octet above it is not a tag but the first one of the text.
pub(crate) const LARGEST: u8 = 0x1f;

impl<'a> Attr<'a> {
    /// Of a tagged text: its tag, and the text. RFC 2868 §3.3.
    pub fn tagged(&self) -> (Option<Tag>, &'a [u8]) {
        match self.value.split_first() {
            Some((&tag, rest)) if tag <= LARGEST => (Tag::new(tag), rest),
            _ => (None, self.value),
        }
    }

    /// Of a tagged integer: its tag, and 24 bits. RFC 2868 §3.1.
    pub fn tagged_integer(&self) -> Option<(Option<Tag>, u32)> {
        let &[tag, high, middle, low] = self.value else { return None };
        (tag <= LARGEST).then(|| (Tag::new(tag), u32::from_be_bytes([0, high, middle, low])))
    }

    /// Of a Tunnel-Password: its tag, and what [`crate::salted::decrypt`] takes. RFC 2868 §3.5:
    /// the tag is always there, and one above 31 is to be ignored.
    pub fn tagged_salted(&self) -> Option<(Option<Tag>, &'a [u8])> {
        let (&tag, rest) = self.value.split_first()?;
        Some((Tag::new(tag), rest))
    }
}
