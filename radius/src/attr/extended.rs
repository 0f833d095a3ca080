//! Extended attributes (RFC 6929): four spaces of numbers behind 241 to 244, and two behind 245
//! and 246 whose values go over several attributes.

use super::{Attr, AttrType, vendor::Vendor};

/// An extended attribute, or a fragment of a long one. [`super::parts`] joins fragments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extended<'a> {
    /// 241 to 246.
    pub kind: AttrType,
    /// Extended-Type.
    pub number: u8,
    /// Whether the value goes on in the next attribute.
    pub more: bool,
    /// The value, or this fragment of it.
    pub value: &'a [u8],
}

/// Without the value: it may be a password.
impl std::fmt::Debug for Extended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{} ({} octets)", self.kind.0, self.number, self.value.len())
    }
}

/// The Extended-Type of vendors.
pub const VENDOR_SPECIFIC: u8 = 26;

/// The More flag.
pub(crate) const MORE: u8 = 0x80;

/// The longest value of an attribute that is not long-extended.
pub(crate) const SHORT_LEN_MAX: usize = 252;

/// The longest fragment. All but the last are that long.
pub(crate) const FRAGMENT_LEN_MAX: usize = 251;

impl AttrType {
    /// 241 to 246.
    pub const fn is_extended(self) -> bool {
        matches!(self.0, 241..=246)
    }

    /// 245 and 246, whose values may be fragmented.
    pub const fn is_long_extended(self) -> bool {
        matches!(self.0, 245 | 246)
    }
}

impl<'a> Attr<'a> {
    /// `None` if it is not one of 241 to 246, or what RFC 6929 calls invalid: without a value
    /// (§2.1, §2.2), or a fragment that is not full and yet goes on (§2.2).
    pub fn extended(&self) -> Option<Extended<'a>> {
        let (number, more, value) = match *self.value {
            [number, flags, ref value @ ..] if self.kind.is_long_extended() => {
                (number, flags & MORE != 0, value)
            }
            [number, ref value @ ..]
                if self.kind.is_extended() && !self.kind.is_long_extended() =>
            {
                (number, false, value)
            }
            _ => return None,
        };
        let is_valid = !value.is_empty() && (!more || value.len() == FRAGMENT_LEN_MAX);
        is_valid.then_some(Extended { kind: self.kind, number, more, value })
    }
}

/// The vendor, its number and the value inside an Extended-Vendor-Specific, RFC 6929 §2.4. Of a
/// long one `value` is what was joined. `None` where it is too short.
pub fn vendor_specific(value: &[u8]) -> Option<(Vendor, u8, &[u8])> {
    let (vendor, rest) = value.split_first_chunk::<4>()?;
    let (&number, value) = rest.split_first()?;
    Some((Vendor(u32::from_be_bytes(*vendor)), number, value))
}
