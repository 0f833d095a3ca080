//! Takes a packet apart down to single values, with what the dictionary knows of them.

use super::{Attribute, DataType, Dictionary, value::Value};
use crate::{
    attr::{
        Attr, AttrType, Attrs, extended,
        parts::{Parts, fragments, header_len},
        path::Path,
        tagged,
        vendor::{Format, VendorValue},
    },
    packet::{LEN_MAX, Packet},
};

/// A value in a packet.
#[derive(Clone, Copy)]
pub struct Item<'i> {
    /// Where it is. What cannot be taken further apart is at the path of the whole.
    pub path: Path,
    /// What the dictionary knows of it; `None` also if the octets are not what it says.
    pub attribute: Option<&'i Attribute>,
    /// The octet of its tag, 0 to 31, if it has one.
    pub tag: Option<u8>,
    /// The value, without tag, all parts joined. It may be encrypted.
    pub value: &'i [u8],
}

/// Without the value: it may be a password.
impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} octets)", self.path, self.value.len())
    }
}

impl Dictionary {
    /// Calls `see` for every value, in the order of the packet.
    pub fn walk(&self, packet: &Packet<'_>, see: &mut dyn FnMut(Item<'_>)) {
        let mut buffer = [0; LEN_MAX];
        let mut attrs = packet.attrs();
        loop {
            let here = attrs.clone();
            let Some(attr) = attrs.next() else { return };
            let used = if attr.kind == AttrType::VENDOR_SPECIFIC {
                self.vendor_specific(attr, &here, &mut buffer, see)
            } else if attr.kind.is_extended() {
                self.extended(attr, &here, &mut buffer, see)
            } else {
                self.plain(attr, &here, &mut buffer, see)
            };
            for _ in 1..used {
                attrs.next();
            }
        }
    }

    fn plain(
        &self,
        attr: Attr<'_>,
        here: &Attrs<'_>,
        buffer: &mut [u8; LEN_MAX],
        see: &mut dyn FnMut(Item<'_>),
    ) -> usize {
        let path = Path::standard(attr.kind.0.into());
        let concat = self.at(path).is_some_and(|attribute| attribute.flags().concat);
        let count = if concat { of_one_value(here, attr) } else { 1 };
        self.value(path, Parts::new(here.clone(), count, 0).join(buffer), see);
        count
    }

    fn extended(
        &self,
        attr: Attr<'_>,
        here: &Attrs<'_>,
        buffer: &mut [u8; LEN_MAX],
        see: &mut dyn FnMut(Item<'_>),
    ) -> usize {
        let outer = Path::standard(attr.kind.0.into());
        let whole = attr.extended().and_then(|first| Some((first, fragments(here, first)?)));
        let Some((first, count)) = whole else {
            raw(outer, attr.value, see);
            return 1;
        };
        let value = Parts::new(here.clone(), count, header_len(attr.kind)).join(buffer);
        let inner = outer.child(first.number.into()).unwrap_or(outer);
        match extended::vendor_specific(value) {
            Some((vendor, number, value)) if first.number == extended::VENDOR_SPECIFIC => {
                let path = inner.child(vendor.0).and_then(|path| path.child(number.into()));
                self.value(path.unwrap_or(inner), value, see);
            }
            _ if first.number == extended::VENDOR_SPECIFIC => raw(inner, value, see),
            _ => self.value(inner, value, see),
        }
        count
    }

    fn vendor_specific(
        &self,
        attr: Attr<'_>,
        here: &Attrs<'_>,
        buffer: &mut [u8; LEN_MAX],
        see: &mut dyn FnMut(Item<'_>),
    ) -> usize {
        let outer = Path::standard(attr.kind.0.into());
        let Some((vendor, inside)) = attr.vendor_specific() else {
            raw(outer, attr.value, see);
            return 1;
        };
        let path = outer.child(vendor.0).unwrap_or(outer);
        let format = self.format_at(path);
        let values = attr.vendor_values(format);
        if !values.is_whole() || inside.is_empty() {
            raw(path, inside, see);
            return 1;
        }
        if format.continues()
            && let Some((number, count)) = continued(here, attr, format)
        {
            let skip = VENDOR_LEN + format.header_len();
            let value = Parts::new(here.clone(), count, skip).join(buffer);
            self.value(path.child(number).unwrap_or(path), value, see);
            return count;
        }
        for inner in values {
            self.value(path.child(inner.number).unwrap_or(path), inner.value, see);
        }
        1
    }

    fn value(&self, path: Path, value: &[u8], see: &mut dyn FnMut(Item<'_>)) {
        let Some(attribute) = self.at(path) else { return raw(path, value, see) };
        let can_be_deeper = path.child(0).is_some() && !value.is_empty();
        if attribute.kind() == DataType::Tlv && can_be_deeper && is_whole(value) {
            for tlv in Attrs::new(value, 0) {
                self.value(path.child(tlv.kind.0.into()).unwrap_or(path), tlv.value, see);
            }
            return;
        }
        let whole = value;
        let (tag, value) = match (attribute.flags().tagged, value.split_first()) {
            (true, Some((&tag, rest)))
                if attribute.flags().encryption.is_some() || tag <= tagged::LARGEST =>
            {
                (Some(if tag <= tagged::LARGEST { tag } else { 0 }), rest)
            }
            // RFC 2868: a first octet above 31 belongs to the text. An integer has none.
            (true, _) if attribute.kind() == DataType::Integer => return raw(path, whole, see),
            _ => (None, value),
        };
        let kind = attribute.kind();
        let wide;
        let value = match (kind, tag, value) {
            // A tagged integer has 24 bits.
            (DataType::Integer, Some(_), &[high, middle, low]) => {
                wide = [0, high, middle, low];
                &wide
            }
            (DataType::Integer, Some(_), _) if attribute.flags().encryption.is_none() => {
                return raw(path, whole, see);
            }
            (_, _, value) => value,
        };
        if attribute.flags().encryption.is_none() && Value::read(kind, value).is_none() {
            return raw(path, whole, see);
        }
        see(Item { path, attribute: Some(attribute), tag, value });
    }
}

fn raw(path: Path, value: &[u8], see: &mut dyn FnMut(Item<'_>)) {
    see(Item { path, attribute: None, tag: None, value });
}

/// How many attributes from here on are one value of RFC 8044's `concat`: those that follow each
/// other, the last of them being the first that is not full.
fn of_one_value(here: &Attrs<'_>, first: Attr<'_>) -> usize {
    let mut count = 0;
    for attr in here.clone().take_while(|attr| attr.kind == first.kind) {
        count += 1;
        if attr.value.len() < crate::attr::VALUE_LEN_MAX {
            break;
        }
    }
    count
}

fn is_whole(tlvs: &[u8]) -> bool {
    let mut walk = Attrs::new(tlvs, 0);
    while walk.next().is_some() {}
    walk.fault().is_none()
}

const VENDOR_LEN: usize = 4;

/// The number of a value that goes on in the next Vendor-Specific, and over how many it goes.
/// `None` if it is in this one alone, or its end is missing.
fn continued(here: &Attrs<'_>, first: Attr<'_>, format: Format) -> Option<(u32, usize)> {
    let start = only_value(first, format).filter(|value| value.more)?;
    let (vendor, _) = first.vendor_specific()?;
    let mut count = 0;
    for attr in here.clone() {
        let (whose, _) = attr.vendor_specific()?;
        let part = only_value(attr, format)
            .filter(|part| whose == vendor && part.number == start.number)?;
        count += 1;
        if !part.more {
            return Some((start.number, count));
        }
    }
    None
}

/// The value of a Vendor-Specific that holds one alone.
fn only_value(attr: Attr<'_>, format: Format) -> Option<VendorValue<'_>> {
    let mut values = attr.vendor_values(format);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
