//! Values: text, integer, address, prefix. `None` where the octets are not one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Attr;

impl<'a> Attr<'a> {
    /// UTF-8, RFC 8044 §3.4.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }

    /// Four octets, big-endian, RFC 8044 §3.1. Also times, as seconds.
    pub fn integer(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.try_into().ok()?))
    }

    /// Eight octets, big-endian, RFC 8044 §3.7.
    pub fn integer64(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.value.try_into().ok()?))
    }

    /// Four octets are IPv4 and sixteen are IPv6, RFC 8044 §3.8 and §3.9.
    pub fn address(&self) -> Option<IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.value) {
            return Some(IpAddr::V4(Ipv4Addr::from(octets)));
        }
        let octets = <[u8; 16]>::try_from(self.value).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    }

    /// IPv6 prefix, RFC 8044 §3.10: a reserved octet, a length, and as many octets as it needs.
    pub fn ipv6_prefix(&self) -> Option<(Ipv6Addr, u8)> {
        let &[_, len, ref given @ ..] = self.value else { return None };
        if len > 128 || given.len() < usize::from(len).div_ceil(8) {
            return None;
        }
        let mut octets = [0; 16];
        octets.get_mut(..given.len())?.copy_from_slice(given);
        let address = Ipv6Addr::from(octets);
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Some((Ipv6Addr::from_bits(address.to_bits() & mask), len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::AttrType;

    fn attr(value: &[u8]) -> Attr<'_> {
        Attr { kind: AttrType(1), value }
    }

    #[test]
    fn values_have_exactly_their_size() {
        assert_eq!(attr(&[0, 0, 1, 2]).integer(), Some(258));
        assert_eq!(attr(&[0, 1, 2]).integer(), None);
        assert_eq!(attr(&[0, 0, 0, 0, 0, 0, 1, 2]).integer64(), Some(258));
        assert_eq!(attr(&[192, 0, 2, 7]).address(), Some(IpAddr::from([192, 0, 2, 7])));
        assert_eq!(attr(&[192, 0, 2, 7, 1]).address(), None);
        assert_eq!(attr("zażółć".as_bytes()).text(), Some("zażółć"));
        assert_eq!(attr(&[0xff]).text(), None);
    }

    #[test]
    fn a_prefix_may_leave_out_octets_that_are_zero() {
        let network = "2001:db8::".parse().unwrap();
        assert_eq!(attr(&[0, 32, 0x20, 1, 0xd, 0xb8]).ipv6_prefix(), Some((network, 32)));
        assert_eq!(attr(&[0, 32, 0x20, 1, 0xd, 0xb8, 0xff]).ipv6_prefix(), Some((network, 32)));
        assert_eq!(attr(&[0, 33, 0x20, 1, 0xd, 0xb8]).ipv6_prefix(), None);
        assert_eq!(attr(&[0, 129]).ipv6_prefix(), None);
        assert_eq!(attr(&[0, 0]).ipv6_prefix(), Some((Ipv6Addr::UNSPECIFIED, 0)));
        assert_eq!(attr(&[0; 19]).ipv6_prefix(), None);
    }
}
