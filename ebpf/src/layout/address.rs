//! An IP address, as a key (pure).

/// An IPv6 address, or an IPv4 address as `::ffff:a.b.c.d`; bytes as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Address(pub [u32; 4]);

impl Address {
    pub const NONE: Self = Self([0; 4]);

    /// `octets` as a number with the bytes as they lie in a packet.
    pub const fn v4(octets: u32) -> Self {
        Self([0, 0, MAPPED, octets])
    }

    #[expect(clippy::many_single_char_names, reason = "words of memory, in their order")]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d] = self.0;
        let (a, b, c, d) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes());
        [
            a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1],
            d[2], d[3],
        ]
    }

    pub const fn is_v4(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// Of IPv4, or the last part of IPv6.
    pub const fn low(self) -> u32 {
        self.0[3]
    }

    /// The first address of its network of 64 bits.
    #[must_use]
    pub const fn network64(self) -> Self {
        Self([self.0[0], self.0[1], 0, 0])
    }

    /// `fe80::/10`, or unspecified: nothing that could be anybody's for long.
    pub const fn is_of_link(self) -> bool {
        let first = u32::from_be(self.0[0]);
        first >> 22 == 0xfe80 >> 6
            || (first == 0 && self.0[1] == 0 && self.0[2] == 0 && self.0[3] == 0)
            || (self.is_v4() && self.0[3] == 0)
    }
}

const MAPPED: u32 = 0xffff_u32.to_be();

const _: () = assert!(size_of::<Address>() == 16);

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v6(text: &str) -> Address {
        Address::from_octets(text.parse::<Ipv6Addr>().unwrap().octets())
    }

    #[test]
    fn ipv4_is_mapped() {
        let v4 = Ipv4Addr::new(10, 0, 0, 7);
        let address = Address::v4(u32::from_ne_bytes(v4.octets()));
        assert_eq!(address, v6("::ffff:10.0.0.7"));
        assert_eq!(address.octets(), v4.to_ipv6_mapped().octets());
        assert!(address.is_v4() && !v6("2001:db8::7").is_v4());
    }

    #[test]
    fn a_network_is_its_first_half() {
        assert_eq!(v6("2001:db8:1:2:3:4:5:6").network64(), v6("2001:db8:1:2::"));
    }

    #[test]
    fn addresses_of_a_link_are_nobodys() {
        for text in ["fe80::1", "febf::1", "::", "::ffff:0.0.0.0"] {
            assert!(v6(text).is_of_link(), "{text}");
        }
        for text in ["fec0::1", "2001:db8::1", "::ffff:10.0.0.1", "::1"] {
            assert!(!v6(text).is_of_link(), "{text}");
        }
    }
}
