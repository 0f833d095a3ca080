//! What a subscriber's terms mean for one session. Pure.

use std::net::IpAddr;

use shared::{
    net::Prefix,
    rate::{Kbps, Shape},
    wire::latest::desired::Subscriber,
};

use super::Limits;

/// Nobody is found by an address that counts on one link only.
pub(super) const fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Addresses that are the subscriber's own. `given`: what it was given, where it is told by that.
pub(super) fn own_prefixes(subscriber: &Subscriber, given: Option<IpAddr>) -> Vec<Prefix> {
    let host = |address: IpAddr| Prefix::new(address, if address.is_ipv4() { 32 } else { 128 });
    let mut prefixes: Vec<Prefix> = Vec::new();
    prefixes.extend(subscriber.static_ip.and_then(host));
    prefixes.extend(given.and_then(host));
    prefixes.extend(
        subscriber
            .delegated_prefix
            .and_then(|prefix| Prefix::new(prefix.address().into(), prefix.bits())),
    );
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

/// What a session has in class throttled.
pub(super) fn slow(subscriber: &Subscriber) -> Shape {
    let default = || {
        let kbps = Kbps::new(SLOW_KBPS).expect("not zero");
        let Shape { down_kbps, up_kbps } = subscriber.shape();
        Shape { down_kbps: down_kbps.min(kbps), up_kbps: up_kbps.min(kbps) }
    };
    subscriber.slow.unwrap_or_else(default)
}

/// Enough for messages and the portal.
const SLOW_KBPS: u32 = 512;

/// What is said of one session; `left` is what is left of all time on-line, from its beginning on.
pub(super) fn limits(subscriber: &Subscriber, left: Option<u64>) -> Limits {
    let Subscriber { data_bytes, session_timeout, idle_timeout, .. } = subscriber;
    let session_seconds = [left, session_timeout.map(u64::from)];
    Limits {
        data_bytes: *data_bytes,
        session_seconds: session_seconds.into_iter().flatten().min(),
        idle_seconds: idle_timeout.map(u64::from),
    }
}

/// As if nothing were used: to see that something else is wanted.
pub(super) fn wanted_limits(subscriber: &Subscriber) -> Limits {
    limits(subscriber, subscriber.online_seconds)
}
