//! Values that are longer than one attribute, and so stand in several.

use super::{Attr, AttrType, Attrs, extended::Extended};
use crate::packet::{LEN_MAX, Packet};

/// Some attributes of a packet whose values are one value together.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// From the first of them on.
    attrs: Attrs<'a>,
    /// How many they are.
    count: usize,
    /// How many octets of each are not of the value.
    skip: usize,
}

impl<'a> Parts<'a> {
    pub(crate) const fn new(attrs: Attrs<'a>, count: usize, skip: usize) -> Self {
        Self { attrs, count, skip }
    }

    /// The parts, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let skip = self.skip;
        self.attrs
            .clone()
            .take(self.count)
            .map(move |attr| attr.value.get(skip..).unwrap_or_default())
    }

    /// The whole value, in `buffer` if it has several parts. A buffer for a packet has room for
    /// all that a packet says.
    pub fn join<'b>(&self, buffer: &'b mut [u8; LEN_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        join(self.iter(), buffer)
    }
}

fn join<'a: 'b, 'b>(
    mut parts: impl Iterator<Item = &'a [u8]>,
    buffer: &'b mut [u8; LEN_MAX],
) -> &'b [u8] {
    let Some(first) = parts.next() else { return &[] };
    let Some(second) = parts.next() else { return first };
    let mut len = 0;
    for part in [first, second].into_iter().chain(parts) {
        if let Some(place) = buffer.get_mut(len..len + part.len()) {
            place.copy_from_slice(part);
            len += part.len();
        }
    }
    buffer.get(..len).unwrap_or_default()
}

impl<'a> Packet<'a> {
    /// The value of all attributes of this type joined: an EAP packet in its EAP-Messages
    /// (RFC 3579 §3.1), or another one of RFC 8044's `concat` (§3.6). `None` if there is none.
    pub fn joined<'b>(&self, kind: AttrType, buffer: &'b mut [u8; LEN_MAX]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        let mut parts =
            self.attrs().filter(|attr| attr.kind == kind).map(|attr| attr.value).peekable();
        parts.peek()?;
        Some(join(parts, buffer))
    }

    /// The value of the first valid extended attribute with these numbers, e.g. 245 and 1, its
    /// fragments joined.
    pub fn extended<'b>(
        &self,
        kind: AttrType,
        number: u8,
        buffer: &'b mut [u8; LEN_MAX],
    ) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        let mut attrs = self.attrs();
        loop {
            let here = attrs.clone();
            let first = attrs.next()?;
            match first.extended() {
                Some(found) if found.kind == kind && found.number == number => {
                    if let Some(count) = fragments(&here, found) {
                        return Some(Parts::new(here, count, header_len(kind)).join(buffer));
                    }
                    // The fragments of what is not complete are no attributes of their own.
                    while attrs.clone().next().is_some_and(|next| continues(next, found)) {
                        attrs.next();
                    }
                }
                _ => {}
            }
        }
    }
}

/// Octets of an extended attribute's value that are not its own.
pub(crate) const fn header_len(kind: AttrType) -> usize {
    if kind.is_long_extended() { 2 } else { 1 }
}

/// How many attributes make up the value that begins with `first`, at the beginning of `attrs`.
/// `None` if its end is missing: then all of it is invalid, RFC 6929 §2.2.
pub(crate) fn fragments(attrs: &Attrs<'_>, first: Extended<'_>) -> Option<usize> {
    let mut count = 0;
    for attr in attrs.clone() {
        let part = attr.extended()?;
        if part.kind != first.kind || part.number != first.number {
            return None;
        }
        count += 1;
        if !part.more {
            return Some(count);
        }
    }
    None
}

fn continues(next: Attr<'_>, first: Extended<'_>) -> bool {
    next.extended().is_some_and(|next| next.kind == first.kind && next.number == first.number)
}
