//! Vendor-Specific (26): a vendor's number, then its own attributes.
//!
//! Almost all vendors use the form that RFC 2865 §5.26 recommends, type and length of one octet
//! each: [`Attr::vendor_attrs`] reads it. [`Attr::vendor_values`] reads every [`Format`]. What
//! has another form is not read, and survives as the octets it is.

use super::{Attr, AttrType};

/// A vendor by its IANA private enterprise number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vendor(pub u32);

impl Vendor {
    /// Aruba: [`super::aruba`].
    pub const ARUBA: Self = Self(14823);
    /// Cambium Networks: [`super::cambium`].
    pub const CAMBIUM: Self = Self(17713);
    /// ChilliSpot and CoovaChilli: [`super::chillispot`].
    pub const CHILLISPOT: Self = Self(14559);
    /// Cisco: [`super::cisco`].
    pub const CISCO: Self = Self(9);
    /// Huawei: [`super::huawei`].
    pub const HUAWEI: Self = Self(2011);
    /// Microsoft: [`super::microsoft`].
    pub const MICROSOFT: Self = Self(311);
    /// MikroTik RouterOS: [`super::mikrotik`].
    pub const MIKROTIK: Self = Self(14988);
    /// Motorola, whose Canopy is Cambium's PMP today: [`super::canopy`].
    pub const MOTOROLA: Self = Self(161);
    /// The Wi-Fi Alliance's roaming group: [`super::wispr`].
    pub const WISPR: Self = Self(14122);
}

/// An attribute of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorAttr<'a> {
    /// Whose it is.
    pub vendor: Vendor,
    /// Number and value. The number is the vendor's, so [`AttrType::name`] does not apply.
    pub attr: Attr<'a>,
}

/// How a vendor writes its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    type_len: u8,
    length_len: u8,
    continues: bool,
}

impl Format {
    /// That of RFC 2865 §5.26.
    pub const USUAL: Self = Self { type_len: 1, length_len: 1, continues: false };

    /// Octets of the type (1, 2 or 4) and of the length (0, 1 or 2; 0: the value goes on to the
    /// end of the Vendor-Specific). `continues` is WiMAX's octet after a one-octet length, which
    /// says whether the value goes on in the next Vendor-Specific. `None` if there is no such
    /// format.
    pub const fn new(type_len: u8, length_len: u8, continues: bool) -> Option<Self> {
        match (type_len, length_len, continues) {
            (1, 1, _) | (1 | 2 | 4, 0..=2, false) => Some(Self { type_len, length_len, continues }),
            _ => None,
        }
    }

    /// Octets before the value, without those of the vendor.
    pub(crate) const fn header_len(self) -> usize {
        self.type_len as usize + self.length_len as usize + self.continues as usize
    }

    /// Whether a value may go on in the next Vendor-Specific.
    pub const fn continues(self) -> bool {
        self.continues
    }

    /// Whether a type fits into its octets.
    pub(crate) const fn has_room_for(self, number: u32) -> bool {
        match self.type_len {
            1 => number <= 0xff,
            2 => number <= 0xffff,
            _ => true,
        }
    }

    /// The header of a value of `len` octets, and how many octets of it count.
    pub(crate) fn header(self, number: u32, len: usize, more: bool) -> Option<([u8; 8], usize)> {
        let mut header = [0; 8];
        let used = self.header_len();
        let (kind, rest) = header.get_mut(..used)?.split_at_mut_checked(self.type_len.into())?;
        write_number(kind, number.into())?;
        let (length, flags) = rest.split_at_mut_checked(self.length_len.into())?;
        if !length.is_empty() {
            write_number(length, u64::try_from(used + len).ok()?)?;
        }
        if let [flags] = flags {
            *flags = if more { MORE } else { 0 };
        }
        Some((header, used))
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let continues = if self.continues { ",c" } else { "" };
        write!(f, "{},{}{continues}", self.type_len, self.length_len)
    }
}

/// Big-endian; `None` if it does not fit.
fn write_number(place: &mut [u8], number: u64) -> Option<()> {
    let octets = number.to_be_bytes();
    let (zeros, used) = octets.split_at_checked(octets.len().checked_sub(place.len())?)?;
    zeros.iter().all(|&zero| zero == 0).then(|| place.copy_from_slice(used))
}

const MORE: u8 = 0x80;

/// A value of a vendor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VendorValue<'a> {
    /// The vendor's number for it.
    pub number: u32,
    /// Whether it goes on in the next Vendor-Specific of this vendor.
    pub more: bool,
    /// Its octets.
    pub value: &'a [u8],
}

/// Without the value: it may be a password.
impl std::fmt::Debug for VendorValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} octets)", self.number, self.value.len())
    }
}

/// Walks over the values in a Vendor-Specific; see [`VendorValues::is_whole`].
#[derive(Clone, Debug)]
pub struct VendorValues<'a> {
    rest: &'a [u8],
    format: Format,
}

impl VendorValues<'_> {
    /// Whether what is left is well-formed to its end.
    pub fn is_whole(&self) -> bool {
        let mut walk = self.clone();
        while walk.next().is_some() {}
        walk.rest.is_empty()
    }
}

impl<'a> Iterator for VendorValues<'a> {
    type Item = VendorValue<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, rest) = self.rest.split_at_checked(self.format.type_len.into())?;
        let (length, _) = rest.split_at_checked(self.format.length_len.into())?;
        let len = if length.is_empty() { self.rest.len() } else { read_number(length) };
        let (this, rest) = self.rest.split_at_checked(len)?;
        let value = this.get(self.format.header_len()..)?;
        let flags = if self.format.continues { this.get(2) } else { None };
        let more = flags.is_some_and(|flags| flags & MORE != 0);
        self.rest = rest;
        let number = u32::try_from(read_number(number)).ok()?;
        Some(VendorValue { number, more, value })
    }
}

fn read_number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, &octet| number << 8 | usize::from(octet))
}

/// Octets before a vendor's value: vendor, type, length.
pub(crate) const OVERHEAD: usize = 6;

impl<'a> Attr<'a> {
    /// The attributes inside a Vendor-Specific; nothing when it is not one, or not of this form.
    pub fn vendor_attrs(&self) -> impl Iterator<Item = VendorAttr<'a>> + use<'a> {
        self.vendor_specific().into_iter().flat_map(|(vendor, rest)| {
            super::Attrs::new(rest, 0).map(move |attr| VendorAttr { vendor, attr })
        })
    }

    /// The vendor of a Vendor-Specific, and what that vendor has written.
    pub fn vendor_specific(&self) -> Option<(Vendor, &'a [u8])> {
        match (self.kind, self.value.split_first_chunk::<4>()) {
            (AttrType::VENDOR_SPECIFIC, Some((vendor, rest))) => {
                Some((Vendor(u32::from_be_bytes(*vendor)), rest))
            }
            _ => None,
        }
    }

    /// The values inside a Vendor-Specific whose vendor writes them in this format.
    pub fn vendor_values(&self, format: Format) -> VendorValues<'a> {
        let rest = self.vendor_specific().map_or(&[][..], |(_, rest)| rest);
        VendorValues { rest, format }
    }
}
