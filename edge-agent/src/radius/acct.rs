//! A genuine Accounting-Request as an event for the sessions (pure).

use std::{net::SocketAddr, sync::Arc};

use radius::{
    Attr, AttrType, Packet,
    accounting::{Record, Status},
};
use shared::{
    id::SessionId,
    net::Mac,
    octets::Counters,
    wire::latest::desired::{Enforce, Nas},
};

use super::drops::DropReason;
use crate::{
    desired::Snapshot,
    sessions::event::{Accounting, AcctStatus, NasRef, Place},
};

#[derive(Debug)]
pub(super) enum Verdict {
    Record(Box<Accounting>),
    /// Nothing that is kept here; the NAS gets its acknowledgement.
    Acknowledge,
    Drop(DropReason),
}

/// `fresh` is the id of the session that the record opens, if it opens one; `source` is where the
/// packet came from.
pub(super) fn record(
    snapshot: &Snapshot,
    (nas, named): (&Nas, &NasRef),
    request: &Packet<'_>,
    source: SocketAddr,
    fresh: SessionId,
) -> Verdict {
    let record = Record::of(request);
    let Some(status) = record.status else {
        return Verdict::Drop(DropReason::IncompleteAccounting);
    };
    let status = match status {
        Status::START => AcctStatus::Start,
        Status::INTERIM => AcctStatus::Interim,
        Status::STOP => AcctStatus::Stop,
        Status::ON => AcctStatus::On,
        Status::OFF => AcctStatus::Off,
        // Of tunnels and links, RFC 2867.
        _ => return Verdict::Acknowledge,
    };
    let is_of_a_session = match status {
        AcctStatus::Start | AcctStatus::Interim | AcctStatus::Stop => true,
        AcctStatus::On | AcctStatus::Off => false,
    };
    if is_of_a_session && record.session_id.is_none_or(<[u8]>::is_empty) {
        return Verdict::Drop(DropReason::IncompleteAccounting);
    }

    let username = text(record.username);
    let device = username.parse::<Mac>().ok();
    let by_name = snapshot.identified(&username);
    let owner = device.and_then(|mac| snapshot.owner_of(mac));
    let calling =
        record.calling_station_id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    Verdict::Record(Box::new(Accounting {
        fresh,
        nas: named.clone(),
        metered_here: match nas.enforce {
            Enforce::Edge => true,
            Enforce::Nas => false,
        },
        status,
        acct_session_id: text(record.session_id),
        subscriber: by_name.or(owner).map(Arc::clone),
        // Others put a Class of their own beside ours.
        class: request
            .attrs()
            .filter(|attr| attr.kind == AttrType::CLASS)
            .find_map(|attr| SessionId::from_slice(attr.value)),
        // A NAS that logs in devices by their MAC need not repeat it.
        mac: calling.or(device),
        ip: record.address,
        counters: counters(&record),
        has_gigawords: record.has_gigawords,
        session_time: record.session_time,
        delay_seconds: record.delay_time.unwrap_or(0),
        place: place(request, source),
        terminate_cause: record.terminate_cause.unwrap_or(0),
        username,
    }))
}

/// Where at its NAS somebody is, as an Access- or Accounting-Request says it.
pub(super) fn place(request: &Packet<'_>, source: SocketAddr) -> Place {
    let scope = match source {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(source) => source.scope_id(),
    };
    let address = Some(source.ip().to_canonical());
    let mut place = Place { address, scope, ..Place::default() };
    let mut nas_address = None;
    for attr in request.attrs() {
        match attr.kind {
            AttrType::NAS_IDENTIFIER => place.nas_identifier = owned(attr),
            AttrType::NAS_IP_ADDRESS | AttrType::NAS_IPV6_ADDRESS => nas_address = attr.address(),
            AttrType::CALLED_STATION_ID => place.called = owned(attr),
            AttrType::CALLING_STATION_ID => place.calling = owned(attr),
            AttrType::NAS_PORT => place.port = attr.integer().filter(|port| *port != 0),
            AttrType::NAS_PORT_ID => place.port_id = owned(attr),
            AttrType::NAS_PORT_TYPE => place.port_type = attr.integer(),
            _ => {}
        }
    }
    if place.nas_identifier.is_empty()
        && let Some(address) = nas_address
    {
        place.nas_identifier = address.to_string();
    }
    place
}

fn owned(attr: Attr<'_>) -> String {
    text(Some(attr.value))
}

/// *Input* is what the subscriber has sent. `None` when the NAS counts nothing.
fn counters(record: &Record<'_>) -> Option<Counters> {
    if record.input_octets.is_none() && record.output_octets.is_none() {
        return None;
    }
    Some(Counters {
        down_bytes: record.output_octets.unwrap_or(0),
        up_bytes: record.input_octets.unwrap_or(0),
        down_packets: record.output_packets.unwrap_or(0).into(),
        up_packets: record.input_packets.unwrap_or(0).into(),
    })
}

fn text(octets: Option<&[u8]>) -> String {
    String::from_utf8_lossy(octets.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use radius::{Code, LEN_MAX, Secret, Writer};
    use shared::wire::latest::desired::Desired;
    use uuid::Uuid;

    use super::*;

    fn verdict(fill: impl FnOnce(&mut Writer<'_>)) -> Verdict {
        let state = r#"{
            "realms": ["wisp.example"],
            "nas": [{ "name": "lab", "address": "10.0.0.1", "secret": "s", "enforce": "edge" }],
            "subscriber": [{
                "username": "amina", "password": "simba", "down_kbps": 10000, "up_kbps": 5000,
                "macs": ["02:00:00:00:00:01"]
            }]
        }"#;
        let desired: Desired = serde_json::from_str(state).unwrap();
        let snapshot = Snapshot::new(desired).unwrap();
        let nas = Arc::clone(&snapshot.nas()[0]);
        let named = NasRef { id: None, name: Arc::from("lab") };
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::accounting_request(&mut buffer, Code::ACCOUNTING_REQUEST, 1);
        fill(&mut writer);
        let bytes = writer.sign(&Secret::new(b"s")).unwrap();
        let source = SocketAddr::from(([10, 0, 0, 1], 1813));
        record(&snapshot, (&nas, &named), &Packet::decode(bytes).unwrap(), source, id(1))
    }

    fn id(bits: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(bits))
    }

    fn accounting(fill: impl FnOnce(&mut Writer<'_>)) -> Accounting {
        match verdict(fill) {
            Verdict::Record(accounting) => *accounting,
            other @ (Verdict::Acknowledge | Verdict::Drop(_)) => panic!("no record: {other:?}"),
        }
    }

    #[test]
    fn a_realm_of_ours_names_the_same_subscriber() {
        let got = accounting(|writer| {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, 1)
                .text(AttrType::ACCT_SESSION_ID, "81a00001")
                .text(AttrType::USER_NAME, "amina@WISP.example");
        });
        assert_eq!(got.username, "amina@WISP.example");
        assert_eq!(got.subscriber.unwrap().username, "amina");
    }

    #[test]
    fn a_stop_says_who_where_and_how_much() {
        let got = accounting(|writer| {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, 2)
                .text(AttrType::ACCT_SESSION_ID, "81a00001")
                .text(AttrType::USER_NAME, "amina")
                .attr(AttrType::CLASS, b"of another server")
                .attr(AttrType::CLASS, &id(7).to_vec())
                .text(AttrType::CALLING_STATION_ID, "02-00-00-00-00-01")
                .address(AttrType::FRAMED_IP_ADDRESS, IpAddr::from([10, 0, 0, 20]))
                .integer(AttrType::ACCT_INPUT_OCTETS, 5)
                .integer(AttrType::ACCT_INPUT_GIGAWORDS, 1)
                .integer(AttrType::ACCT_OUTPUT_OCTETS, 9)
                .integer(AttrType::ACCT_OUTPUT_PACKETS, 2)
                .integer(AttrType::ACCT_TERMINATE_CAUSE, 6)
                .integer(AttrType::ACCT_SESSION_TIME, 60)
                .integer(AttrType::ACCT_DELAY_TIME, 3)
                .text(AttrType::CALLED_STATION_ID, "02-00-00-00-00-FF:lab")
                .address(AttrType::NAS_IP_ADDRESS, IpAddr::from([192, 0, 2, 7]))
                .integer(AttrType::NAS_PORT, 15)
                .integer(AttrType::NAS_PORT_TYPE, 15)
                .text(AttrType::NAS_PORT_ID, "ether1");
        });
        assert_eq!((got.fresh, got.class), (id(1), Some(id(7))));
        assert_eq!((got.status, got.terminate_cause), (AcctStatus::Stop, 6));
        assert_eq!((&*got.acct_session_id, &*got.username), ("81a00001", "amina"));
        assert_eq!(got.subscriber.unwrap().username, "amina");
        assert_eq!(got.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!(got.ip, Some(IpAddr::from([10, 0, 0, 20])));
        assert!(got.metered_here);
        let counters =
            Counters { down_bytes: 9, up_bytes: 0x1_0000_0005, down_packets: 2, up_packets: 0 };
        assert_eq!(got.counters, Some(counters));
        assert!(got.has_gigawords);
        assert_eq!((got.session_time, got.delay_seconds), (Some(60), 3));
        let place = Place {
            address: Some(IpAddr::from([10, 0, 0, 1])),
            scope: 0,
            nas_identifier: "192.0.2.7".to_owned(),
            called: "02-00-00-00-00-FF:lab".to_owned(),
            calling: "02-00-00-00-00-01".to_owned(),
            port: Some(15),
            port_id: "ether1".to_owned(),
            port_type: Some(15),
        };
        assert_eq!(got.place, place);
    }

    #[test]
    fn a_nas_that_counts_nothing_says_nothing_and_not_zero() {
        let got = accounting(|writer| {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, 3)
                .text(AttrType::ACCT_SESSION_ID, "1")
                .text(AttrType::USER_NAME, "stranger");
        });
        assert_eq!((got.status, got.counters), (AcctStatus::Interim, None));
        assert!(got.subscriber.is_none() && got.mac.is_none() && got.class.is_none());
    }

    #[test]
    fn a_device_is_known_by_its_mac() {
        let got = accounting(|writer| {
            writer
                .integer(AttrType::ACCT_STATUS_TYPE, 1)
                .text(AttrType::ACCT_SESSION_ID, "1")
                .text(AttrType::USER_NAME, "020000000001");
        });
        assert_eq!(got.subscriber.unwrap().username, "amina");
        assert_eq!(got.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    }

    #[test]
    fn a_nas_starts_and_stops_without_a_session() {
        for (number, status) in [(7, AcctStatus::On), (8, AcctStatus::Off)] {
            let got = accounting(|writer| {
                writer.integer(AttrType::ACCT_STATUS_TYPE, number);
            });
            assert_eq!(got.status, status);
        }
    }

    #[test]
    fn what_cannot_be_recorded_is_not_acknowledged_and_what_need_not_be_is() {
        let incomplete: [fn(&mut Writer<'_>); 3] = [
            |_| {},
            |writer| {
                writer.text(AttrType::ACCT_SESSION_ID, "1");
            },
            |writer| {
                writer.integer(AttrType::ACCT_STATUS_TYPE, 1).attr(AttrType::ACCT_SESSION_ID, b"");
            },
        ];
        for fill in incomplete {
            let got = verdict(fill);
            assert!(matches!(got, Verdict::Drop(DropReason::IncompleteAccounting)), "{got:?}");
        }
        let tunnel = verdict(|writer| {
            writer.integer(AttrType::ACCT_STATUS_TYPE, 9);
        });
        assert!(matches!(tunnel, Verdict::Acknowledge));
    }
}
