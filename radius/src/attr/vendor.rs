//! Vendor-Specific (26): a vendor's number, then its own attributes.
//!
//! The vendors here use the form that RFC 2865 §5.26 recommends: type and length of one octet
//! each. What has another form is not read, and survives as the octets it is.

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

/// Octets before a vendor's value: vendor, type, length.
pub(crate) const OVERHEAD: usize = 6;

impl<'a> Attr<'a> {
    /// The attributes inside a Vendor-Specific; nothing when it is not one, or not of this form.
    pub fn vendor_attrs(&self) -> impl Iterator<Item = VendorAttr<'a>> + use<'a> {
        let inside = match (self.kind, self.value.split_first_chunk::<4>()) {
            (AttrType::VENDOR_SPECIFIC, Some((vendor, rest))) => {
                Some((Vendor(u32::from_be_bytes(*vendor)), rest))
            }
            _ => None,
        };
        inside.into_iter().flat_map(|(vendor, rest)| {
            super::Attrs::new(rest, 0).map(move |attr| VendorAttr { vendor, attr })
        })
    }
}
