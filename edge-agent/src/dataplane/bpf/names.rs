//! Addresses of names that are open to everybody, learnt from the answers that devices get.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use aya::maps::{LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use ebpf::layout::{Address, Plot};
use simple_dns::{Packet, rdata::RData};

use crate::dataplane::{
    DataplaneError, Within,
    garden::{address, key, key_bits},
};

/// The kernel's list, and until when each address that was learnt is in it.
pub struct Names {
    plots: LpmTrie<MapData, [u32; 4], u32>,
    until: BTreeMap<IpAddr, Instant>,
}

impl Names {
    /// What a process before this one has learnt stays for the shortest time.
    pub(super) fn open(map: MapData, now: Instant) -> Result<Self, DataplaneError> {
        let attempt = || "open the walled garden".to_owned();
        let plots: LpmTrie<MapData, [u32; 4], u32> =
            LpmTrie::try_from(Map::LpmTrie(map)).within(attempt)?;
        let mut until = BTreeMap::new();
        for there in &plots {
            let (key, bits) = there.within(attempt)?;
            if bits & Plot::LEARNT != 0 {
                until.insert(address(Address(key.data())), now + KEEP_MIN);
            }
        }
        Ok(Self { plots, until })
    }

    /// Opens what the message says of these names. What the tenant has listed stays as it is.
    pub fn learn(
        &mut self,
        message: &[u8],
        names: &[String],
        now: Instant,
    ) -> Result<(), DataplaneError> {
        for (address, seconds) in answers(message, names) {
            let until = now + Duration::from_secs(seconds.into()).clamp(KEEP_MIN, KEEP_MAX);
            let key = lpm(address);
            if !self.until.contains_key(&address) {
                if self.until.len() >= LEARNT_MAX || self.plots.get(&key, 0).is_ok_and(is_listed) {
                    continue;
                }
                self.plots
                    .insert(&key, Plot::OPEN | Plot::LEARNT, 0)
                    .within(|| format!("open {address} to everybody"))?;
                tracing::debug!(%address, "open to everybody by its name");
            }
            let kept = self.until.entry(address).or_insert(until);
            *kept = until.max(*kept);
        }
        Ok(())
    }

    /// Closes what is over.
    pub fn forget(&mut self, now: Instant) -> Result<(), DataplaneError> {
        let over: Vec<IpAddr> =
            self.until.iter().filter(|(_, until)| **until <= now).map(|(at, _)| *at).collect();
        for address in over {
            self.until.remove(&address);
            let key = lpm(address);
            if self.plots.get(&key, 0).is_ok_and(is_listed) {
                continue;
            }
            match self.plots.remove(&key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error).within(|| format!("close {address} again")),
            }
        }
        Ok(())
    }
}

/// Of the tenant's own list. The longest prefix alone counts, and that may be a shorter one.
fn is_listed(bits: u32) -> bool {
    bits != 0 && bits & Plot::LEARNT == 0
}

fn lpm(address: IpAddr) -> Key<[u32; 4]> {
    let bits = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let prefix = shared::net::Prefix::new(address, bits).expect("the length of the address");
    Key::new(key_bits(prefix), key(address).0)
}

/// Addresses and how long they hold, of an answer about one of the names or what is below them.
fn answers(message: &[u8], names: &[String]) -> Vec<(IpAddr, u32)> {
    // What does not fit into one event is not read: the rest of it is in the packet alone.
    let Ok(packet) = Packet::parse(message) else { return Vec::new() };
    let is_of_names = packet.questions.iter().any(|question| {
        let asked = question.qname.to_string();
        names.iter().any(|name| is_below(&asked, name))
    });
    if !is_of_names {
        return Vec::new();
    }
    let addresses = packet.answers.iter().filter_map(|record| {
        let address = if let RData::A(a) = &record.rdata {
            IpAddr::from(a.address.to_be_bytes())
        } else if let RData::AAAA(aaaa) = &record.rdata {
            IpAddr::from(aaaa.address.to_be_bytes())
        } else {
            return None;
        };
        // Nobody opens what is ours by a name.
        let is_public = !address.is_loopback() && !address.is_unspecified();
        is_public.then_some((address, record.ttl))
    });
    addresses.collect()
}

/// `name` itself, or something below it.
fn is_below(asked: &str, name: &str) -> bool {
    let (asked, name) = (asked.trim_end_matches('.'), name.trim_end_matches('.'));
    let Some(at) = asked.len().checked_sub(name.len()) else { return false };
    asked.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(name))
        && (at == 0 || asked.as_bytes().get(at - 1) == Some(&b'.'))
}

/// Connections last longer than answers do.
const KEEP_MIN: Duration = Duration::from_mins(5);
const KEEP_MAX: Duration = Duration::from_hours(24);

/// Beside what is listed.
const LEARNT_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use simple_dns::{CLASS, Name, QCLASS, QTYPE, Question, ResourceRecord, TYPE, rdata};

    use super::*;

    fn answer(asked: &str, records: &[(&str, RData<'static>)]) -> Vec<u8> {
        let mut packet = Packet::new_reply(1);
        packet.questions.push(Question::new(
            Name::new_unchecked(asked),
            QTYPE::TYPE(TYPE::A),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        for (name, rdata) in records {
            let name = Name::new_unchecked(name).into_owned();
            packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, rdata.clone()));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn a(address: [u8; 4]) -> RData<'static> {
        RData::A(rdata::A { address: u32::from_be_bytes(address) })
    }

    #[test]
    fn addresses_of_the_names_are_found_behind_aliases() {
        let names = ["wikipedia.org".to_owned()];
        let alias = RData::CNAME(rdata::CNAME(Name::new_unchecked("dyna.example").into_owned()));
        let message = answer(
            "sw.WIKIPEDIA.org",
            &[("sw.wikipedia.org", alias), ("dyna.example", a([192, 0, 2, 7]))],
        );
        assert_eq!(answers(&message, &names), [(IpAddr::from([192, 0, 2, 7]), 60)]);
        let other = answer("notwikipedia.org", &[("notwikipedia.org", a([192, 0, 2, 8]))]);
        assert_eq!(answers(&other, &names), []);
        let loopback = answer("wikipedia.org", &[("wikipedia.org", a([127, 0, 0, 1]))]);
        assert_eq!(answers(&loopback, &names), []);
    }

    #[test]
    fn below_means_behind_a_dot() {
        assert!(is_below("a.example.org.", "example.org"));
        assert!(is_below("example.ORG", "example.org"));
        assert!(!is_below("badexample.org", "example.org"));
        assert!(!is_below("org", "example.org"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>) {
            let _ = answers(&bytes, &["example.org".to_owned()]);
        }
    }
}
