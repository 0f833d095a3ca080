//! A subscriber's plan in the words of a NAS (pure).

use std::{io::Write as _, net::IpAddr};

use radius::{
    AttrType, Writer,
    attr::{mikrotik, vendor::Vendor as Speaks, wispr},
};
use shared::{
    id::SessionId,
    rate::{Kbps, Shape},
    wire::latest::desired::{Enforce, Nas, Subscriber, Vendor},
};

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
    if let Some(session) = session {
        reply.attr(AttrType::CLASS, session.as_uuid().as_bytes());
    }
    match nas.enforce {
        Enforce::Nas => write_rates(reply, nas.vendor, subscriber.shape()),
        // Two shapers in a row at the same rate only add delay.
        Enforce::Edge => {}
    }
}

fn write_rates(reply: &mut Writer<'_>, vendor: Vendor, shape: Shape) {
    match vendor {
        Vendor::Standard
        | Vendor::Chillispot
        | Vendor::Cisco
        | Vendor::Ubiquiti
        | Vendor::Cambium
        | Vendor::Canopy
        | Vendor::Aruba
        | Vendor::Omada
        | Vendor::Huawei => {
            for (kind, rate) in [
                (wispr::BANDWIDTH_MAX_UP, shape.up_kbps),
                (wispr::BANDWIDTH_MAX_DOWN, shape.down_kbps),
            ] {
                reply.vendor(Speaks::WISPR, kind, &bits_per_second(rate).to_be_bytes());
            }
        }
        Vendor::Mikrotik => {
            // From the router's view: what it receives is what the subscriber sends.
            let mut text = [0; 32];
            let mut rest = text.as_mut_slice();
            write!(rest, "{}k/{}k", shape.up_kbps.get(), shape.down_kbps.get())
                .expect("two numbers of ten digits fit 32 octets");
            let left = rest.len();
            let used = text.len() - left;
            reply.vendor(
                Speaks::MIKROTIK,
                mikrotik::RATE_LIMIT,
                text.get(..used).unwrap_or_default(),
            );
        }
    }
}

/// What is left of the time that was bought, or the session's own limit if that is less.
fn session_timeout(subscriber: &Subscriber) -> Option<u32> {
    let left = subscriber.online_seconds.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
    match (subscriber.session_timeout, left) {
        (Some(limit), Some(left)) => Some(limit.min(left)),
        (limit, left) => limit.or(left),
    }
}

/// WISPr has 32 bits: what is faster than 4.29 Gbit/s is as fast as it can say.
fn bits_per_second(rate: Kbps) -> u32 {
    u32::try_from(rate.bits_per_second()).unwrap_or(u32::MAX)
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
    fn a_plan_is_said_in_the_words_of_the_nas() {
        let interim = "85 0000003c";
        // 10,000 kbit/s are 0x989680 bit/s, 5,000 are 0x4c4b40.
        let wispr = ["26 0000372a0706004c4b40", "26 0000372a080600989680"];
        check(r#""vendor": "standard""#, "", None, &[interim, wispr[0], wispr[1]]);
        // 5000k/10000k: the subscriber's upload first.
        let mikrotik = "26 00003a8c080e353030306b2f31303030306b";
        check(r#""vendor": "mikrotik""#, "", None, &[interim, mikrotik]);
    }

    #[test]
    fn a_rate_beyond_32_bits_is_clamped() {
        assert_eq!(bits_per_second(Kbps::new(4_294_967).unwrap()), 4_294_967_000);
        assert_eq!(bits_per_second(Kbps::new(4_294_968).unwrap()), u32::MAX);
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
