//! What a NAS is asked, in the attributes by which it knows a session (pure).
//!
//! MikroTik finds a session by Acct-Session-Id, or by User-Name with Framed-IP-Address, and one of
//! its hotspot only with the address. hostapd takes a short list of attributes, refuses every
//! other (401), and drops what has no recent Event-Timestamp. What is named has to match, so no
//! more is named than is known to be the NAS's own word.

use radius::{AttrType, Code, EncodeError, LEN_MAX, Secret, Writer, dynauth::Target};
use shared::wire::latest::desired::{Nas, Vendor};

use crate::{
    radius::policy,
    sessions::{Ask, Want},
};

/// Has this NAS words for it? Cisco's policies have names and no numbers.
pub(super) const fn can_say(nas: &Nas, want: Want) -> bool {
    match want {
        Want::Disconnect => true,
        Want::Change { .. } => !matches!(nas.vendor, Vendor::Cisco),
    }
}

/// A signed request, made at `seconds` since 1970.
pub(super) fn write<'b>(
    ask: &Ask,
    nas: &Nas,
    seconds: u32,
    id: u8,
    buffer: &'b mut [u8; LEN_MAX],
    secret: &Secret,
) -> Result<&'b [u8], EncodeError> {
    let code = match ask.want {
        Want::Disconnect => Code::DISCONNECT_REQUEST,
        Want::Change { .. } => Code::COA_REQUEST,
    };
    let mut writer = Writer::change_request(buffer, code, id);
    target(ask, nas.vendor).write(&mut writer);
    writer.integer(AttrType::EVENT_TIMESTAMP, seconds);
    match ask.want {
        Want::Disconnect => {}
        Want::Change { after, .. } => policy::write_rates(&mut writer, nas.vendor, after),
    }
    writer.sign(secret)
}

fn target(ask: &Ask, vendor: Vendor) -> Target<'_> {
    let some = |text: &'_ str| (!text.is_empty()).then_some(());
    let acct_session_id = some(&ask.acct_session_id).map(|()| ask.acct_session_id.as_bytes());
    let calling = some(&ask.place.calling).map(|()| ask.place.calling.as_bytes());
    let username = some(&ask.username).map(|()| ask.username.as_bytes());
    if vendor == Vendor::Mikrotik {
        let (v4, v6) = match ask.ip {
            Some(ip) if ip.is_ipv4() => (Some(ip), None),
            ip => (None, ip),
        };
        return Target {
            username,
            acct_session_id,
            framed_ip: v4,
            framed_ipv6: v6,
            // A hotspot may have it by its device only.
            calling_station_id: calling.filter(|_| acct_session_id.is_none() && ask.ip.is_none()),
            ..Target::default()
        };
    }
    Target {
        // Before accounting begins it is not known what the NAS calls its user.
        username: username.filter(|_| acct_session_id.is_some() || calling.is_none()),
        acct_session_id,
        calling_station_id: calling,
        ..Target::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use radius::{Packet, authenticator};
    use shared::rate::{Kbps, Shape};

    use super::*;
    use crate::sessions::event::{AskId, NasRef, Place};

    fn ask(want: Want) -> Ask {
        Ask {
            id: AskId(1),
            nas: NasRef { id: None, name: Arc::from("n") },
            to: IpAddr::from([10, 0, 0, 1]),
            want,
            username: "amina".to_owned(),
            acct_session_id: "81a00001".to_owned(),
            ip: Some(IpAddr::from([10, 0, 0, 20])),
            place: Place { calling: "02-00-00-00-00-01".to_owned(), ..Place::default() },
        }
    }

    #[track_caller]
    fn check(vendor: &str, ask: &Ask, code: Code, expected: &[(u8, &[u8])]) {
        let nas: Nas = serde_json::from_str(&format!(
            r#"{{ "name": "n", "address": "10.0.0.1", "secret": "s", "vendor": "{vendor}" }}"#
        ))
        .unwrap();
        let secret = Secret::new(b"s");
        let mut buffer = [0; LEN_MAX];
        let packet = write(ask, &nas, 5, 9, &mut buffer, &secret).unwrap();
        let packet = Packet::decode(packet).unwrap();
        assert_eq!((packet.code(), packet.id()), (code, 9));
        authenticator::verify_accounting(&packet, &secret).unwrap();
        let attrs: Vec<(u8, &[u8])> =
            packet.attrs().skip(1).map(|attr| (attr.kind.0, attr.value)).collect();
        assert_eq!(attrs, expected);
    }

    fn change() -> Want {
        let shape = |down, up| Shape {
            down_kbps: Kbps::new(down).unwrap(),
            up_kbps: Kbps::new(up).unwrap(),
        };
        Want::Change { before: shape(1, 1), after: shape(10_000, 5_000) }
    }

    const TIME: (u8, &[u8]) = (55, &[0, 0, 0, 5]);

    #[test]
    fn a_session_has_the_names_by_which_its_nas_knows_it() {
        let (user, session) = ((1, &b"amina"[..]), (44, &b"81a00001"[..]));
        let (calling, ip) = ((31, &b"02-00-00-00-00-01"[..]), (8, &[10, 0, 0, 20][..]));
        let disconnect = Code::DISCONNECT_REQUEST;
        let asked = ask(Want::Disconnect);
        check("standard", &asked, disconnect, &[user, calling, session, TIME]);
        check("mikrotik", &asked, disconnect, &[user, session, ip, TIME]);
        let unbound = Ask { acct_session_id: String::new(), ..asked };
        check("standard", &unbound, disconnect, &[calling, TIME]);
        check("mikrotik", &unbound, disconnect, &[user, ip, TIME]);
        let unnamed = Ask { place: Place::default(), ..unbound };
        check("standard", &unnamed, disconnect, &[user, TIME]);
    }

    #[test]
    fn a_change_is_said_in_the_words_of_the_nas() {
        let (user, session) = ((1, &b"amina"[..]), (44, &b"81a00001"[..]));
        let ip = (8, &[10, 0, 0, 20][..]);
        let rate = (26, &b"\x00\x00\x3a\x8c\x08\x0e5000k/10000k"[..]);
        check("mikrotik", &ask(change()), Code::COA_REQUEST, &[user, session, ip, TIME, rate]);
    }
}
