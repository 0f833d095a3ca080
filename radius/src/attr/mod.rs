//! Attributes: type, length, value.
//!
//! [`Attr`] is one of them as it stands in a packet, and [`types`] has the numbers of the RFCs.
//! What a value is, is for [`value`] to read, or for [`tagged`], [`vendor`] and [`extended`];
//! [`parts`] joins what stands in several attributes. A [`path`] names every place where a value
//! can be, and [`place`] is how to write there. What the numbers of all vendors mean is in
//! [`crate::dictionary`].
//!
//! To add one: a line in [`types`], in the order of the numbers. To add a vendor that the code
//! itself speaks of: a line in [`vendor::Vendor`] and a file beside [`mikrotik`].

use std::fmt;

pub mod aruba;
pub mod cambium;
pub mod canopy;
pub mod chillispot;
pub mod cisco;
pub mod extended;
pub mod huawei;
pub mod microsoft;
pub mod mikrotik;
pub mod parts;
pub mod path;
pub mod place;
pub mod tagged;
pub mod types;
pub mod value;
pub mod vendor;
pub mod wispr;

/// An attribute number. A struct and not an enum, so that a number we do not know survives a
/// decode and encode round trip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrType(pub u8);

/// The longest value of one attribute.
pub const VALUE_LEN_MAX: usize = 253;

const HEADER_LEN: usize = 2;

/// An attribute as it stands in a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its number.
    pub kind: AttrType,
    /// Its value, at most [`VALUE_LEN_MAX`] octets. [`value`] reads it.
    pub value: &'a [u8],
}

/// Walks over the attributes of a packet.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
    at: usize,
    fault: Option<usize>,
}

impl<'a> Attrs<'a> {
    /// From the octets of a packet; `at` is where the attributes begin.
    pub(crate) fn new(packet: &'a [u8], at: usize) -> Self {
        Self { rest: packet.get(at..).unwrap_or_default(), at, fault: None }
    }

    /// Where the next attribute begins, from the start of the packet.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Where an attribute does not fit. A decoded packet has none.
    pub(crate) const fn fault(&self) -> Option<usize> {
        self.fault
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let attr = match *self.rest {
            [kind, claimed, ..] => self
                .rest
                .split_at_checked(usize::from(claimed))
                .and_then(|(attr, rest)| Some((kind, attr.get(HEADER_LEN..)?, rest))),
            _ => None,
        };
        let Some((kind, value, rest)) = attr else {
            self.fault = Some(self.at);
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        self.at += HEADER_LEN + value.len();
        Some(Attr { kind: AttrType(kind), value })
    }
}

/// Without the value: it may be a password.
impl fmt::Debug for Attr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} octets)", self.kind, self.value.len())
    }
}

impl fmt::Debug for AttrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}
