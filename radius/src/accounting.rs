//! Accounting (RFC 2866) as a typed record.

use std::net::IpAddr;

use crate::{
    attr::{Attr, AttrType},
    packet::Packet,
};

/// Acct-Status-Type. A struct and not an enum, so that a value we do not know survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// A session begins.
    pub const START: Self = Self(1);
    /// A session has ended.
    pub const STOP: Self = Self(2);
    /// A session goes on.
    pub const INTERIM: Self = Self(3);
    /// The NAS has started.
    pub const ON: Self = Self(7);
    /// The NAS is about to stop.
    pub const OFF: Self = Self(8);
}

/// What an Accounting-Request says. Counters are since the session's start; *input* is what the
/// subscriber has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// `None` where the packet has none, which RFC 2866 §5.1 forbids.
    pub status: Option<Status>,
    /// Acct-Session-Id: unique at its NAS, more or less.
    pub session_id: Option<&'a [u8]>,
    /// User-Name.
    pub username: Option<&'a [u8]>,
    /// Class: what the Access-Accept said. There may be several; the first is here.
    pub class: Option<&'a [u8]>,
    /// Calling-Station-Id.
    pub calling_station_id: Option<&'a [u8]>,
    /// Framed-IP-Address, or else Framed-IPv6-Address.
    pub address: Option<IpAddr>,
    /// Acct-Input-Octets with Gigawords.
    pub input_octets: Option<u64>,
    /// Acct-Output-Octets with Gigawords.
    pub output_octets: Option<u64>,
    /// There were Gigawords, so that the octets do not go round at 32 bits.
    pub has_gigawords: bool,
    /// Acct-Input-Packets.
    pub input_packets: Option<u32>,
    /// Acct-Output-Packets.
    pub output_packets: Option<u32>,
    /// Acct-Session-Time, seconds.
    pub session_time: Option<u32>,
    /// Acct-Delay-Time: for how many seconds the NAS has been trying to send this.
    pub delay_time: Option<u32>,
    /// Event-Timestamp, seconds since 1970.
    pub event_timestamp: Option<u32>,
    /// Acct-Terminate-Cause.
    pub terminate_cause: Option<u32>,
}

impl<'a> Record<'a> {
    /// Reads what is there. An attribute that is not of its type counts as absent; of several,
    /// the first counts.
    pub fn of(request: &Packet<'a>) -> Self {
        let mut record = Self::default();
        let mut ipv6 = None;
        let (mut input, mut output) = (Halves::default(), Halves::default());
        for attr in request.attrs() {
            match attr.kind {
                AttrType::ACCT_STATUS_TYPE => first(&mut record.status, integer(attr).map(Status)),
                AttrType::ACCT_SESSION_ID => first(&mut record.session_id, Some(attr.value)),
                AttrType::USER_NAME => first(&mut record.username, Some(attr.value)),
                AttrType::CLASS => first(&mut record.class, Some(attr.value)),
                AttrType::CALLING_STATION_ID => {
                    first(&mut record.calling_station_id, Some(attr.value));
                }
                AttrType::FRAMED_IP_ADDRESS => first(&mut record.address, attr.address()),
                AttrType::FRAMED_IPV6_ADDRESS => first(&mut ipv6, attr.address()),
                AttrType::ACCT_INPUT_OCTETS => first(&mut input.low, integer(attr)),
                AttrType::ACCT_INPUT_GIGAWORDS => first(&mut input.high, integer(attr)),
                AttrType::ACCT_OUTPUT_OCTETS => first(&mut output.low, integer(attr)),
                AttrType::ACCT_OUTPUT_GIGAWORDS => first(&mut output.high, integer(attr)),
                AttrType::ACCT_INPUT_PACKETS => first(&mut record.input_packets, integer(attr)),
                AttrType::ACCT_OUTPUT_PACKETS => first(&mut record.output_packets, integer(attr)),
                AttrType::ACCT_SESSION_TIME => first(&mut record.session_time, integer(attr)),
                AttrType::ACCT_DELAY_TIME => first(&mut record.delay_time, integer(attr)),
                AttrType::EVENT_TIMESTAMP => first(&mut record.event_timestamp, integer(attr)),
                AttrType::ACCT_TERMINATE_CAUSE => {
                    first(&mut record.terminate_cause, integer(attr));
                }
                _ => {}
            }
        }
        record.address = record.address.or(ipv6);
        record.has_gigawords = input.high.is_some() || output.high.is_some();
        record.input_octets = input.join();
        record.output_octets = output.join();
        record
    }
}

/// A counter of 64 bits in two attributes, RFC 2869 §5.1.
#[derive(Default)]
struct Halves {
    low: Option<u32>,
    high: Option<u32>,
}

impl Halves {
    fn join(self) -> Option<u64> {
        match (self.high, self.low) {
            (None, None) => None,
            (high, low) => Some(u64::from(high.unwrap_or(0)) << 32 | u64::from(low.unwrap_or(0))),
        }
    }
}

fn integer(attr: Attr<'_>) -> Option<u32> {
    attr.integer()
}

fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}
