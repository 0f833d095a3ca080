//! What an Access-Accept says about a subscriber (pure).
//!
//! Here is what every NAS understands; rates, quotas and named policies are in each NAS's own
//! words: [`words`].

use std::net::IpAddr;

use radius::{AttrType, Writer};
use shared::{
    id::SessionId,
    net::{Ipv6Prefix, Vlan},
    wire::latest::desired::{Enforce, Nas, Subscriber, Vendor},
};

mod extras;
mod words;

pub use self::extras::ExtraError;
pub(super) use self::{extras::Extras, words::write_rates};

/// Writes the attributes of an Access-Accept. `session` is there when this host's data plane
/// holds the session; accounting brings it back as Class.
pub(super) fn write_accept(
    reply: &mut Writer<'_>,
    subscriber: &Subscriber,
    nas: &Nas,
    session: Option<SessionId>,
) {
    if let Some(seconds) = session_timeout(subscriber) {
        reply.integer(AttrType::SESSION_TIMEOUT, seconds);
    }
    if let Some(seconds) = subscriber.idle_timeout {
        reply.integer(AttrType::IDLE_TIMEOUT, seconds);
    }
    reply.integer(AttrType::ACCT_INTERIM_INTERVAL, INTERIM_SECONDS);
    match subscriber.static_ip {
        Some(address @ IpAddr::V4(_)) => {
            reply.address(AttrType::FRAMED_IP_ADDRESS, address);
        }
        Some(address @ IpAddr::V6(_)) => {
            reply.address(AttrType::FRAMED_IPV6_ADDRESS, address);
        }
        None => {}
    }
    if let Some(pool) = &subscriber.pool {
        reply.text(AttrType::FRAMED_POOL, pool);
    }
    if let Some(prefix) = subscriber.delegated_prefix {
        write_delegated(reply, prefix);
    }
    if let Some(vlan) = subscriber.vlan {
        write_vlan(reply, vlan);
        words::write_vlan(reply, nas.vendor, vlan);
    }
    if let Some(filter) = &subscriber.filter {
        reply.text(AttrType::FILTER_ID, filter);
    }
    if let Some(policy) = &subscriber.policy {
        words::write_policy(reply, nas.vendor, policy);
    }
    if let Some(session) = session {
        reply.attr(AttrType::CLASS, session.as_uuid().as_bytes());
    }
    match nas.enforce {
        Enforce::Nas => {
            // Ubiquiti's rates are a Filter-Id, too: what the subscriber has by name goes first.
            if nas.vendor != Vendor::Ubiquiti || subscriber.filter.is_none() {
                write_rates(reply, nas.vendor, subscriber.shape());
            }
            if let Some(left) = subscriber.data_bytes {
                words::write_quota(reply, nas.vendor, left);
            }
        }
        // Two shapers in a row at the same rate only add delay.
        Enforce::Edge => {}
    }
}

/// RFC 4818 §3: a reserved octet, the length, and the octets that it covers.
fn write_delegated(reply: &mut Writer<'_>, prefix: Ipv6Prefix) {
    let octets = prefix.address().octets();
    let mut value = [0; 18];
    let [_, len, address @ ..] = &mut value;
    *len = prefix.bits();
    *address = octets;
    let used = 2 + usize::from(prefix.bits()).div_ceil(8);
    reply.attr(AttrType::DELEGATED_IPV6_PREFIX, value.get(..used).unwrap_or_default());
}

/// RFC 3580 §3.31. Without tags: there is one VLAN, and some switches know no tags.
fn write_vlan(reply: &mut Writer<'_>, vlan: Vlan) {
    reply.tagged_integer(AttrType::TUNNEL_TYPE, None, TUNNEL_TYPE_VLAN);
    reply.tagged_integer(AttrType::TUNNEL_MEDIUM_TYPE, None, TUNNEL_MEDIUM_TYPE_802);
    let mut digits = words::Text::<4>::default();
    reply.attr(AttrType::TUNNEL_PRIVATE_GROUP_ID, digits.write(format_args!("{vlan}")));
}

const TUNNEL_TYPE_VLAN: u32 = 13;
const TUNNEL_MEDIUM_TYPE_802: u32 = 6;

/// What is left of the time that was bought, or the session's own limit if that is less.
fn session_timeout(subscriber: &Subscriber) -> Option<u32> {
    let left = subscriber.online_seconds.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
    match (subscriber.session_timeout, left) {
        (Some(limit), Some(left)) => Some(limit.min(left)),
        (limit, left) => limit.or(left),
    }
}

/// How often a NAS reports usage. hostapd ignores less.
const INTERIM_SECONDS: u32 = 60;

#[cfg(test)]
mod tests {
    use radius::{Code, LEN_MAX, Packet, Secret};
    use uuid::Uuid;

    use super::*;

    /// The attributes of the Accept, behind its Message-Authenticator, in hexadecimal.
    #[track_caller]
    fn check(nas: &str, subscriber: &str, session: Option<SessionId>, expected: &[&str]) {
        let nas: Nas = serde_json::from_str(&format!(
            r#"{{ "name": "n", "address": "10.0.0.1", "secret": "s", {nas} }}"#
        ))
        .unwrap();
        let subscriber: Subscriber = serde_json::from_str(&format!(
            r#"{{ "username": "amina", "down_kbps": 10000, "up_kbps": 5000 {subscriber} }}"#
        ))
        .unwrap();
        let mut buffer = [0; LEN_MAX];
        let writer = Writer::request(&mut buffer, Code::ACCESS_REQUEST, 1, [0; 16]);
        let request = writer.sign(&Secret::new(b"s")).unwrap().to_vec();
        let mut buffer = [0; LEN_MAX];
        let request = Packet::decode(&request).unwrap();
        let mut writer = Writer::reply(&mut buffer, Code::ACCESS_ACCEPT, &request);
        write_accept(&mut writer, &subscriber, &nas, session);
        let reply = Packet::decode(writer.sign(&Secret::new(b"s")).unwrap()).unwrap();
        let hex = |octets: &[u8]| -> String {
            octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
        };
        let got: Vec<String> = reply
            .attrs()
            .skip(1)
            .map(|attr| format!("{} {}", attr.kind.0, hex(attr.value)))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_session_in_this_data_plane_is_named_and_not_shaped_twice() {
        let session = SessionId::from_uuid(Uuid::from_u128(0x0198));
        check(
            r#""vendor": "mikrotik", "enforce": "edge""#,
            r#", "static_ip": "10.0.0.20", "idle_timeout": 600"#,
            Some(session),
            &["28 00000258", "85 0000003c", "8 0a000014", "25 00000000000000000000000000000198"],
        );
    }

    #[test]
    fn what_a_network_needs_to_know_is_said_as_the_rfcs_say_it() {
        check(
            r#""enforce": "edge""#,
            r#", "pool": "home", "delegated_prefix": "2001:db8:0:100::/56", "vlan": 100,
               "filter": "gold""#,
            None,
            &[
                "85 0000003c",
                "88 686f6d65",
                "123 003820010db8000001",
                "64 0000000d",
                "65 00000006",
                "81 313030",
                "11 676f6c64",
            ],
        );
        check(
            r#""enforce": "edge""#,
            r#", "delegated_prefix": "2001:db8::1/128""#,
            None,
            &["85 0000003c", "123 008020010db8000000000000000000000001"],
        );
    }

    #[test]
    fn the_shorter_of_two_limits_ends_the_session() {
        for (limits, expected) in [
            (r#", "session_timeout": 3600, "online_seconds": 7200"#, "27 00000e10"),
            (r#", "session_timeout": 3600, "online_seconds": 60"#, "27 0000003c"),
            (r#", "online_seconds": 60"#, "27 0000003c"),
            (r#", "online_seconds": 99999999999"#, "27 ffffffff"),
        ] {
            check(r#""enforce": "edge""#, limits, None, &[expected, "85 0000003c"]);
        }
    }

    #[test]
    fn a_static_ipv6_address_has_its_own_attribute() {
        check(
            r#""enforce": "edge""#,
            r#", "static_ip": "2001:db8::1""#,
            None,
            &["85 0000003c", "168 20010db8000000000000000000000001"],
        );
    }
}
