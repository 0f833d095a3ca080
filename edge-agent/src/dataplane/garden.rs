//! What is open to devices without access, and other settings for all (pure).

use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};

use ebpf::{
    clock::ns_per_byte,
    layout::{Address, Config, Plot},
};
use shared::{
    net::Prefix,
    rate::{Kbps, Shape},
};

use crate::desired::Snapshot;

/// What is for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garden {
    /// Where pages of devices without access are led.
    pub portal_v4: Option<SocketAddrV4>,
    pub portal_v6: Option<SocketAddrV6>,
    /// Everybody may speak with these.
    pub open: Vec<Prefix>,
    /// Nobody is charged for these.
    pub free: Vec<Prefix>,
    /// Who may be asked for names, besides this host; empty: anybody.
    pub dns: Vec<Prefix>,
    /// Names whose addresses are open: `wikipedia.org`, and all below it.
    pub names: Vec<String>,
    /// What one device without a session may move of open things, each way.
    pub garden_kbps: Option<Kbps>,
    /// And of names.
    pub dns_kbps: Option<Kbps>,
    /// What all sessions together may move.
    pub site: Option<Shape>,
    /// Sessions may only send from what is theirs, and nobody from what is another's.
    pub anti_spoof: bool,
    /// What is refused is answered.
    pub answers: bool,
}

impl Default for Garden {
    fn default() -> Self {
        Self {
            portal_v4: None,
            portal_v6: None,
            open: Vec::new(),
            free: Vec::new(),
            dns: Vec::new(),
            names: Vec::new(),
            garden_kbps: Kbps::new(2_000),
            dns_kbps: Kbps::new(128),
            site: None,
            anti_spoof: true,
            answers: true,
        }
    }
}

impl Garden {
    /// With what the office, or the file, wants for everybody.
    #[must_use]
    pub fn with(&self, snapshot: &Snapshot) -> Self {
        let wanted = snapshot.garden();
        Self {
            open: [&wanted.open[..], &wanted.free[..]].concat(),
            free: wanted.free.clone(),
            dns: wanted.dns.clone(),
            names: wanted.names.clone(),
            garden_kbps: wanted.kbps.or(self.garden_kbps),
            dns_kbps: wanted.dns_kbps.or(self.dns_kbps),
            site: snapshot.site(),
            ..self.clone()
        }
    }

    /// `flags`: what else the programs have to look at.
    pub(super) fn config(&self, flags: u64) -> Config {
        let flag = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
        let port = match (self.portal_v4, self.portal_v6) {
            (Some(v4), _) => v4.port(),
            (None, Some(v6)) => v6.port(),
            (None, None) => 0,
        };
        let v6 = self.portal_v6.filter(|v6| v6.port() == port);
        let rate = |kbps: Option<Kbps>| kbps.map_or(0, |kbps| ns_per_byte(kbps.get()));
        Config {
            flags: flags
                | flag(!self.free.is_empty(), Config::HAS_FREE)
                | flag(self.site.is_some(), Config::HAS_SITE)
                | flag(self.anti_spoof, Config::ANTI_SPOOF)
                | flag(self.answers, Config::ANSWERS)
                | flag(!self.names.is_empty(), Config::HAS_NAMES)
                | flag(self.dns.is_empty(), Config::ANY_DNS),
            portal_v4: self.portal_v4.map_or(Address::NONE, |at| key((*at.ip()).into())),
            portal_v6: v6.map_or(Address::NONE, |at| key((*at.ip()).into())),
            portal_port: port.into(),
            garden_ns_per_byte: rate(self.garden_kbps),
            dns_ns_per_byte: rate(self.dns_kbps),
            ..Config::default()
        }
    }

    /// Prefixes with the bits of all lists that they are in. Of an address, the longest prefix
    /// alone counts in the kernel: what a shorter one allows is allowed there, too.
    pub(super) fn plots(&self) -> Vec<(Prefix, u32)> {
        let lists = [(&self.open, Plot::OPEN), (&self.free, Plot::FREE), (&self.dns, Plot::DNS)];
        let mut plots: Vec<(Prefix, u32)> = Vec::new();
        for prefix in lists.iter().flat_map(|(list, _)| list.iter()) {
            if plots.iter().any(|(known, _)| known == prefix) {
                continue;
            }
            let bits = lists.iter().fold(0, |bits, (list, bit)| {
                let is_in = list
                    .iter()
                    .any(|other| other.bits() <= prefix.bits() && other.contains(prefix.address()));
                if is_in { bits | bit } else { bits }
            });
            plots.push((*prefix, bits));
        }
        plots
    }
}

/// An address as the maps have it.
pub(super) const fn key(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::v4(u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => Address::from_octets(v6.octets()),
    }
}

/// And back.
pub(super) fn address(key: Address) -> IpAddr {
    std::net::Ipv6Addr::from(key.octets()).to_canonical()
}

/// How many leading bits of the key count.
pub(super) const fn key_bits(prefix: Prefix) -> u32 {
    match prefix.address() {
        IpAddr::V4(_) => 96 + prefix.bits() as u32,
        IpAddr::V6(_) => prefix.bits() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_within_another_has_what_both_have() {
        let garden = Garden {
            open: vec![prefix("10.0.0.0/8"), prefix("2001:db8::/32")],
            free: vec![prefix("10.1.0.0/16"), prefix("192.0.2.1")],
            dns: vec![prefix("10.1.0.0/16")],
            ..Garden::default()
        };
        let plots = garden.plots();
        let bits = |text| plots.iter().find(|(known, _)| *known == prefix(text)).unwrap().1;
        assert_eq!(plots.len(), 4);
        assert_eq!(bits("10.0.0.0/8"), Plot::OPEN);
        assert_eq!(bits("10.1.0.0/16"), Plot::OPEN | Plot::FREE | Plot::DNS);
        assert_eq!(bits("192.0.2.1"), Plot::FREE);
    }

    #[test]
    fn a_portal_of_one_kind_is_none_of_the_other() {
        let garden =
            Garden { portal_v4: Some("10.0.0.1:2080".parse().unwrap()), ..Garden::default() };
        let config = garden.config(Config::HAS_PREFIXES);
        assert_eq!((config.portal_port, config.portal_v6), (2_080, Address::NONE));
        assert_ne!(config.flags & Config::HAS_PREFIXES, 0);
        assert_ne!(config.flags & Config::ANY_DNS, 0);
        assert_eq!(config.flags & Config::HAS_SITE, 0);
    }

    #[test]
    fn keys_of_both_kinds_are_alike() {
        assert_eq!(key_bits(prefix("10.0.0.0/8")), 104);
        assert_eq!(key_bits(prefix("2001:db8::/32")), 32);
        assert!(key("10.0.0.1".parse().unwrap()).is_v4());
    }
}
