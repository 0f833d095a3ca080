//! How an attribute is wrapped: what stands before its value, and where a long value is cut.

use super::{
    AttrType, VALUE_LEN_MAX, extended,
    path::Path,
    vendor::{Format, Vendor},
};

/// A path with what is needed to write there. [`crate::Writer::place`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    path: Path,
    outer: Outer,
    /// How many numbers of the path are used up by `outer`; what follows are TLVs.
    used: usize,
}

/// The attribute of the packet, and what it holds before any TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outer {
    /// Nothing but its value.
    Plain(AttrType),
    /// Its value, in as many attributes as it needs.
    Concat(AttrType),
    /// A vendor and octets that are in no known form.
    RawVendor(Vendor),
    /// A vendor's attribute.
    Vendor(Vendor, u32, Format),
    /// An extended attribute, with the vendor's numbers if it is of a vendor.
    Extended(AttrType, u8, Evs),
}

/// What stands before an extended value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evs {
    None,
    /// Octets after the vendor that are in no known form.
    Raw(Vendor),
    Attr(Vendor, u8),
}

/// A path that no attribute can have: a number is too large for its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no attribute of a packet can be {0}")]
pub struct NoSuchPlace(pub Path);

impl Place {
    /// `format` is that of the vendor if there is one; `concat` says that a value which is too
    /// long for one attribute goes into several (RFC 8044 §3.6).
    pub fn new(path: Path, format: Format, concat: bool) -> Result<Self, NoSuchPlace> {
        let no = NoSuchPlace(path);
        let octet = |number: u32| u8::try_from(number).map_err(|_| no);
        let (outer, used) = match *path.numbers() {
            [26, vendor] => (Outer::RawVendor(Vendor(vendor)), 2),
            [26, vendor, number, ..] if format.has_room_for(number) => {
                (Outer::Vendor(Vendor(vendor), number, format), 3)
            }
            [26, _, ..] | [] => return Err(no),
            [kind @ 241..=246, 26, vendor] => {
                (Outer::Extended(AttrType(octet(kind)?), 26, Evs::Raw(Vendor(vendor))), 3)
            }
            [kind @ 241..=246, 26, vendor, number, ..] => {
                let evs = Evs::Attr(Vendor(vendor), octet(number)?);
                (Outer::Extended(AttrType(octet(kind)?), 26, evs), 4)
            }
            [kind @ 241..=246, number, ..] => {
                (Outer::Extended(AttrType(octet(kind)?), octet(number)?, Evs::None), 2)
            }
            [kind, ..] => {
                let kind = AttrType(octet(kind)?);
                (if concat { Outer::Concat(kind) } else { Outer::Plain(kind) }, 1)
            }
        };
        let place = Self { path, outer, used };
        let fits = place.tlvs().iter().all(|&number| u8::try_from(number).is_ok());
        if fits { Ok(place) } else { Err(no) }
    }

    /// Where it is.
    pub const fn path(&self) -> Path {
        self.path
    }

    pub(crate) const fn outer(&self) -> Outer {
        self.outer
    }

    fn tlvs(&self) -> &[u32] {
        self.path.numbers().get(self.used..).unwrap_or_default()
    }

    /// What stands before a value of `len` octets in all of its attributes together. `None` if
    /// it is too long for a TLV.
    pub(crate) fn prefix(&self, tag: Option<u8>, len: usize) -> Option<Prefix> {
        let mut prefix = Prefix { octets: [0; PREFIX_LEN_MAX], len: 0 };
        match self.outer {
            Outer::RawVendor(vendor) | Outer::Extended(_, _, Evs::Raw(vendor)) => {
                prefix.push(&vendor.0.to_be_bytes());
            }
            Outer::Extended(_, _, Evs::Attr(vendor, number)) => {
                prefix.push(&vendor.0.to_be_bytes());
                prefix.push(&[number]);
            }
            Outer::Extended(_, _, Evs::None)
            | Outer::Plain(_)
            | Outer::Concat(_)
            | Outer::Vendor(..) => {}
        }
        let tlvs = self.tlvs();
        let inside = len + usize::from(tag.is_some());
        for (at, &number) in tlvs.iter().enumerate() {
            let deeper = (tlvs.len() - at) * TLV_HEADER_LEN;
            prefix.push(&[u8::try_from(number).ok()?, u8::try_from(inside + deeper).ok()?]);
        }
        if let Some(tag) = tag {
            prefix.push(&[tag]);
        }
        Some(prefix)
    }

    /// How many octets of prefix and value one attribute takes, and whether there may be several.
    pub(crate) const fn room(&self) -> (usize, bool) {
        match self.outer {
            Outer::Plain(_) | Outer::RawVendor(_) => (VALUE_LEN_MAX, false),
            Outer::Concat(_) => (VALUE_LEN_MAX, true),
            Outer::Vendor(_, _, format) => {
                (VALUE_LEN_MAX - VENDOR_LEN - format.header_len(), format.continues())
            }
            Outer::Extended(kind, _, _) if kind.is_long_extended() => {
                (extended::FRAGMENT_LEN_MAX, true)
            }
            Outer::Extended(..) => (extended::SHORT_LEN_MAX, false),
        }
    }
}

const TLV_HEADER_LEN: usize = 2;
const VENDOR_LEN: usize = 4;

/// A vendor, its number, seven TLVs and a tag.
const PREFIX_LEN_MAX: usize = 24;

/// Octets before a value.
pub(crate) struct Prefix {
    octets: [u8; PREFIX_LEN_MAX],
    len: usize,
}

impl Prefix {
    fn push(&mut self, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(self.len..self.len + octets.len()) {
            place.copy_from_slice(octets);
            self.len += octets.len();
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

// The longest: a vendor (4), its number (1), a TLV for each number that is left, a tag.
const _: () = assert!(PREFIX_LEN_MAX > VENDOR_LEN + 1 + super::path::DEPTH_MAX * TLV_HEADER_LEN);
