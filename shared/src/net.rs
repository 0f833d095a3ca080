//! Addresses as types that cannot be wrong: a device's MAC, a prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A 48-bit MAC address. Prints as `02:00:00:00:00:01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a MAC address like 02:00:00:00:00:01")]
pub struct ParseMacError;

/// Every spelling that NASes use: `02:00:…`, `02-00-…`, `0200.0000.0001`, `020000000001`.
///
/// What follows the twelve digits (hostapd's `MAC:SSID`) is not part of a MAC address.
impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let grouped = match text.len() {
            12 => 0,
            14 => 4,
            17 => 2,
            _ => return Err(ParseMacError),
        };
        let mut digits = [0_u8; 12];
        let mut filled = 0_usize;
        let mut separator = None;
        for (at, byte) in text.bytes().enumerate() {
            let is_separator = grouped != 0 && at % (grouped + 1) == grouped;
            if is_separator {
                let allowed: &[u8] = if grouped == 4 { b"." } else { b":-" };
                if !allowed.contains(&byte) || *separator.get_or_insert(byte) != byte {
                    return Err(ParseMacError);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(ParseMacError)?;
            let slot = digits.get_mut(filled).ok_or(ParseMacError)?;
            *slot = u8::try_from(digit).map_err(|_| ParseMacError)?;
            filled += 1;
        }
        if filled != digits.len() {
            return Err(ParseMacError);
        }
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            if let [high, low] = pair {
                *octet = high << 4 | low;
            }
        }
        Ok(Self(octets))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An address or a prefix; host bits are zero. `127.0.0.1` is `127.0.0.1/32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    #[error("expected an address or prefix like 10.0.0.1, 10.0.0.0/24 or 2001:db8::/32")]
    Malformed,
    #[error("the prefix has bits set beyond its length: {0} is the network")]
    HostBits(Prefix),
}

impl Prefix {
    /// `None` if `len` is longer than the address. Host bits are cleared.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, len })
    }

    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that count.
    pub const fn bits(self) -> u8 {
        self.len
    }

    /// Is it the address of one host?
    pub const fn is_one_host(self) -> bool {
        match self.address {
            IpAddr::V4(_) => self.len == 32,
            IpAddr::V6(_) => self.len == 128,
        }
    }

    /// IPv4-mapped IPv6 addresses (of a dual-stack socket) count as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        Self::new(address, self.len).is_some_and(|network| network == self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParsePrefixError::Malformed)?;
        let len = match len {
            // `+8` and `08` parse as numbers and are not lengths.
            Some(len) if !len.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(ParsePrefixError::Malformed);
            }
            Some(len) => len.parse().map_err(|_| ParsePrefixError::Malformed)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        let prefix = Self::new(address, len).ok_or(ParsePrefixError::Malformed)?;
        if prefix.address == address { Ok(prefix) } else { Err(ParsePrefixError::HostBits(prefix)) }
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A prefix of IPv6 only, as it is delegated to a subscriber's router.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ipv6Prefix(Prefix);

impl Ipv6Prefix {
    pub const fn address(self) -> Ipv6Addr {
        match self.0.address {
            IpAddr::V6(address) => address,
            IpAddr::V4(address) => address.to_ipv6_mapped(),
        }
    }

    /// The number of leading bits that count.
    pub const fn bits(self) -> u8 {
        self.0.len
    }
}

impl fmt::Display for Ipv6Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Ipv6Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIpv6PrefixError {
    #[error(transparent)]
    Prefix(#[from] ParsePrefixError),
    #[error("expected an IPv6 prefix like 2001:db8:0:100::/56")]
    Ipv4,
}

impl FromStr for Ipv6Prefix {
    type Err = ParseIpv6PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prefix: Prefix = text.parse()?;
        if prefix.address.is_ipv6() { Ok(Self(prefix)) } else { Err(ParseIpv6PrefixError::Ipv4) }
    }
}

impl<'de> Deserialize<'de> for Ipv6Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A VLAN that traffic can be in: 1 to 4094, IEEE 802.1Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Vlan(u16);

impl Vlan {
    pub const fn new(id: u16) -> Option<Self> {
        match id {
            1..=4094 => Some(Self(id)),
            _ => None,
        }
    }

    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Vlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = u16::deserialize(deserializer)?;
        Self::new(id).ok_or_else(|| D::Error::custom(format_args!("a VLAN is 1 to 4094, not {id}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mac_is_read_in_every_spelling_of_nases() {
        let mac = Mac([2, 0, 0, 0, 0xab, 1]);
        for text in ["02:00:00:00:ab:01", "02-00-00-00-AB-01", "0200.0000.ab01", "02000000AB01"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_mac_is_refused() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00-00:00:00:01",
            "0g:00:00:00:00:01",
            "02000000000",
            "02:00:00:00:00:01:KenNet",
            "0200:0000:0001",
            "０2:00:00:00:0:1",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(ParseMacError), "{text}");
        }
    }

    #[test]
    fn a_prefix_contains_its_addresses_and_no_others() {
        let loopback: Prefix = "127.0.0.0/8".parse().unwrap();
        assert!(loopback.contains("127.9.9.9".parse().unwrap()));
        assert!(loopback.contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!loopback.contains("128.0.0.1".parse().unwrap()));
        let everything: Prefix = "::/0".parse().unwrap();
        assert!(everything.contains("2001:db8::1".parse().unwrap()));
        assert!(!everything.contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_prefix_with_host_bits_names_the_network_that_was_meant() {
        let error = "10.0.0.1/24".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the prefix has bits set beyond its length: 10.0.0.0/24 is the network"
        );
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "ten", "10.0.0.0/8/8"] {
            assert_eq!(text.parse::<Prefix>(), Err(ParsePrefixError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_delegated_prefix_is_ipv6() {
        let prefix: Ipv6Prefix = "2001:db8:0:100::/56".parse().unwrap();
        assert_eq!((prefix.address().segments()[3], prefix.bits()), (0x100, 56));
        assert_eq!("10.0.0.0/8".parse::<Ipv6Prefix>(), Err(ParseIpv6PrefixError::Ipv4));
    }

    #[test]
    fn a_vlan_is_one_that_traffic_can_be_in() {
        let read = |text: &str| serde_json::from_str::<Vlan>(text).map(Vlan::get).ok();
        assert_eq!([read("1"), read("4094")], [Some(1), Some(4094)]);
        assert_eq!([read("0"), read("4095"), read("65536"), read("-1")], [None; 4]);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails(text: String) {
            let _ = text.parse::<Mac>();
            let _ = text.parse::<Prefix>();
        }

        #[test]
        fn a_mac_prints_and_parses_back(octets: [u8; 6]) {
            prop_assert_eq!(Mac(octets).to_string().parse(), Ok(Mac(octets)));
        }

        #[test]
        fn a_prefix_prints_and_parses_back(address: IpAddr, len in 0_u8..=128) {
            if let Some(prefix) = Prefix::new(address, len) {
                prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
                // An IPv4-mapped address counts as IPv4 and so is in no IPv6 prefix.
                prop_assert_eq!(prefix.contains(address), address.to_canonical() == address);
            }
        }
    }
}
