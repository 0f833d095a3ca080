//! How often an address may fail to log in. Pure: it is told the time.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use jiff::{SignedDuration, Timestamp};

/// Failures by address. A subscriber's whole IPv6 network counts as one.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: BTreeMap<IpAddr, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Timestamp,
}

impl Throttle {
    /// Seconds to wait, if it is too many.
    pub(crate) fn wait(&self, from: IpAddr, now: Timestamp) -> Option<u64> {
        let failures = self.failures.get(&network(from))?;
        let end = failures.since + WINDOW;
        let too_many = failures.count >= FAILURES_MAX && now < end;
        too_many.then(|| u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0).max(1))
    }

    pub(crate) fn failed(&mut self, from: IpAddr, now: Timestamp) {
        if self.failures.len() >= ADDRESSES_MAX {
            self.failures.retain(|_, failures| now < failures.since + WINDOW);
        }
        if self.failures.len() >= ADDRESSES_MAX {
            // More attackers than places: forgetting them all is better than growing, and the
            // lock on each login is in the database.
            self.failures.clear();
        }
        let failures =
            self.failures.entry(network(from)).or_insert(Failures { count: 0, since: now });
        if now >= failures.since + WINDOW {
            *failures = Failures { count: 0, since: now };
        }
        failures.count += 1;
    }

    pub(crate) fn succeeded(&mut self, from: IpAddr) {
        self.failures.remove(&network(from));
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// An office behind one address has people who mistype.
const FAILURES_MAX: u32 = 20;
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// A few hundred kilobytes.
const ADDRESSES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_twentieth_failure_closes_the_door_for_the_rest_of_five_minutes() {
        let t0 = Timestamp::UNIX_EPOCH;
        let mut throttle = Throttle::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.wait(ip("10.0.0.1"), t0), None);
            throttle.failed(ip("10.0.0.1"), t0);
        }
        assert_eq!(throttle.wait(ip("::ffff:10.0.0.1"), t0), Some(300));
        assert_eq!(throttle.wait(ip("10.0.0.2"), t0), None);
        assert_eq!(throttle.wait(ip("10.0.0.1"), t0 + WINDOW), None);
        throttle.failed(ip("10.0.0.1"), t0 + WINDOW);
        assert_eq!(throttle.wait(ip("10.0.0.1"), t0 + WINDOW), None);
    }

    #[test]
    fn a_subscribers_ipv6_network_is_one_address_and_a_login_clears_it() {
        let t0 = Timestamp::UNIX_EPOCH;
        let mut throttle = Throttle::default();
        for host in 0..FAILURES_MAX {
            throttle.failed(ip(&format!("2001:db8:0:1::{host:x}")), t0);
        }
        assert!(throttle.wait(ip("2001:db8:0:1:ffff::"), t0).is_some());
        assert!(throttle.wait(ip("2001:db8:0:2::"), t0).is_none());
        throttle.succeeded(ip("2001:db8:0:1::9"));
        assert!(throttle.wait(ip("2001:db8:0:1:ffff::"), t0).is_none());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut throttle = Throttle::default();
        for host in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 5 {
            throttle.failed(IpAddr::from(host.to_be_bytes()), Timestamp::UNIX_EPOCH);
        }
        assert!(throttle.failures.len() <= ADDRESSES_MAX);
    }
}
