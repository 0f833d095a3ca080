//! Writes a value wherever an attribute can be, cut into as many attributes as it needs.

use super::{EncodeError, Writer};
use crate::attr::{
    AttrType,
    extended::MORE,
    place::{Outer, Place},
};

impl Writer<'_> {
    /// Adds a value at a place, behind the octet of a tag if there is one.
    pub fn place(&mut self, place: &Place, tag: Option<u8>, value: &[u8]) -> &mut Self {
        let too_long = EncodeError::ValueTooLong { kind: kind(place), len: value.len() };
        let Some(prefix) = place.prefix(tag, value.len()) else { return self.fail(too_long) };
        let prefix = prefix.as_bytes();
        let len = prefix.len() + value.len();
        if len == 0 && matches!(place.outer(), Outer::Extended(..)) {
            return self.fail(EncodeError::Empty { kind: kind(place) });
        }
        let (room, several) = place.room();
        if len > room && !several {
            return self.fail(too_long);
        }
        let mut from = 0;
        loop {
            let to = len.min(from + room);
            self.part(
                place,
                [range(prefix, from, to, 0), range(value, from, to, prefix.len())],
                to < len,
            );
            from = to;
            if from >= len || self.fault.is_some() {
                return self;
            }
        }
    }

    /// One attribute: the whole value, or a part of it.
    fn part(&mut self, place: &Place, [prefix, value]: [&[u8]; 2], more: bool) {
        match place.outer() {
            Outer::Plain(kind) | Outer::Concat(kind) => self.parts(kind, &[prefix, value]),
            Outer::RawVendor(_) => self.parts(AttrType::VENDOR_SPECIFIC, &[prefix, value]),
            Outer::Vendor(vendor, number, format) => {
                let len = prefix.len() + value.len();
                let Some((header, used)) = format.header(number, len, more) else {
                    self.fail(EncodeError::ValueTooLong { kind: kind(place), len });
                    return;
                };
                let header = header.get(..used).unwrap_or_default();
                let vendor = vendor.0.to_be_bytes();
                self.parts(AttrType::VENDOR_SPECIFIC, &[&vendor, header, prefix, value])
            }
            Outer::Extended(kind, number, _) if kind.is_long_extended() => {
                let flags = if more { MORE } else { 0 };
                self.parts(kind, &[&[number, flags], prefix, value])
            }
            Outer::Extended(kind, number, _) => self.parts(kind, &[&[number], prefix, value]),
        };
    }
}

/// What of `octets`, which begin at `at`, is between `from` and `to`.
fn range(octets: &[u8], from: usize, to: usize, at: usize) -> &[u8] {
    let end = to.saturating_sub(at).min(octets.len());
    let start = from.saturating_sub(at).min(end);
    octets.get(start..end).unwrap_or_default()
}

pub(super) fn kind(place: &Place) -> AttrType {
    match place.outer() {
        Outer::Plain(kind) | Outer::Concat(kind) | Outer::Extended(kind, _, _) => kind,
        Outer::RawVendor(_) | Outer::Vendor(..) => AttrType::VENDOR_SPECIFIC,
    }
}
