//! Dynamic authorisation, RFC 5176: what a Disconnect- or CoA-Request may say, and what its
//! answer means.
//!
//! Here "the client" is who asks (a RADIUS server, as a rule) and "the NAS" who is asked.
//! [`Target`] names a session, [`Request`] reads what somebody asks, [`ErrorCause`] is why not.
//! Whether there is such a session is somebody else's question.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::{
    attr::{Attr, AttrType},
    code::Code,
    packet::Packet,
    writer::Writer,
};

/// RFC 5176 §6.3: how far, in seconds, the Event-Timestamp of a request may be from now.
pub const WINDOW_SECONDS: u32 = 300;

/// Error-Cause, RFC 5176 §3.5. A struct and not an enum, so that one we do not know survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCause(pub u32);

macro_rules! error_causes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl ErrorCause {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// As the RFCs spell it, if it is one of the constants here.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    Self(_) => None,
                }
            }
        }
    };
}

error_causes! {
    /// The session is gone, what it left is removed. In an ACK.
    RESIDUAL_SESSION_CONTEXT_REMOVED = 201, "Residual-Session-Context-Removed";
    /// An EAP packet that was ignored. In a challenge.
    INVALID_EAP_PACKET = 202, "Invalid-EAP-Packet";
    /// An attribute that this NAS does not take.
    UNSUPPORTED_ATTRIBUTE = 401, "Unsupported-Attribute";
    /// An attribute that this NAS needs.
    MISSING_ATTRIBUTE = 402, "Missing-Attribute";
    /// Another NAS is meant.
    NAS_IDENTIFICATION_MISMATCH = 403, "NAS-Identification-Mismatch";
    /// Something else is wrong with the request.
    INVALID_REQUEST = 404, "Invalid-Request";
    /// A Service-Type that this NAS does not do.
    UNSUPPORTED_SERVICE = 405, "Unsupported-Service";
    /// An extension that this NAS does not know.
    UNSUPPORTED_EXTENSION = 406, "Unsupported-Extension";
    /// A value that cannot be.
    INVALID_ATTRIBUTE_VALUE = 407, "Invalid-Attribute-Value";
    /// Not from this client.
    ADMINISTRATIVELY_PROHIBITED = 501, "Administratively-Prohibited";
    /// A proxy does not know where to send it.
    REQUEST_NOT_ROUTABLE = 502, "Request-Not-Routable";
    /// There is no such session.
    SESSION_CONTEXT_NOT_FOUND = 503, "Session-Context-Not-Found";
    /// There is, and it stays.
    SESSION_CONTEXT_NOT_REMOVABLE = 504, "Session-Context-Not-Removable";
    /// A proxy failed otherwise.
    OTHER_PROXY_PROCESSING_ERROR = 505, "Other-Proxy-Processing-Error";
    /// The NAS is out of something.
    RESOURCES_UNAVAILABLE = 506, "Resources-Unavailable";
    /// The NAS will ask (Authorize Only).
    REQUEST_INITIATED = 507, "Request-Initiated";
    /// Several sessions are meant, and this NAS does one at a time.
    MULTIPLE_SESSION_SELECTION_UNSUPPORTED = 508, "Multiple-Session-Selection-Unsupported";
    /// RFC 5580 §4.6.
    LOCATION_INFO_REQUIRED = 509, "Location-Info-Required";
    /// RFC 7930 §4.
    RESPONSE_TOO_BIG = 601, "Response-Too-Big";
}

impl ErrorCause {
    /// Of a reply.
    pub fn of(reply: &Packet<'_>) -> Option<Self> {
        reply.attr(AttrType::ERROR_CAUSE)?.integer().map(Self)
    }
}

impl fmt::Display for ErrorCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Error-Cause {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which NAS and which session is meant, RFC 5176 §3: what is there has to match, all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// NAS-IP-Address or NAS-IPv6-Address.
    pub nas_address: Option<IpAddr>,
    /// NAS-Identifier.
    pub nas_identifier: Option<&'a [u8]>,
    /// User-Name.
    pub username: Option<&'a [u8]>,
    /// NAS-Port.
    pub nas_port: Option<u32>,
    /// NAS-Port-Id.
    pub nas_port_id: Option<&'a [u8]>,
    /// Framed-IP-Address.
    pub framed_ip: Option<IpAddr>,
    /// Framed-IPv6-Address, RFC 6911 §3.1.
    pub framed_ipv6: Option<IpAddr>,
    /// Framed-IPv6-Prefix: address and length.
    pub framed_ipv6_prefix: Option<(Ipv6Addr, u8)>,
    /// Called-Station-Id.
    pub called_station_id: Option<&'a [u8]>,
    /// Calling-Station-Id.
    pub calling_station_id: Option<&'a [u8]>,
    /// Acct-Session-Id.
    pub acct_session_id: Option<&'a [u8]>,
    /// Acct-Multi-Session-Id.
    pub acct_multi_session_id: Option<&'a [u8]>,
    /// Chargeable-User-Identity.
    pub chargeable_user_identity: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Does it name a session, and not only a NAS?
    pub const fn names_a_session(&self) -> bool {
        self.username.is_some()
            || self.nas_port.is_some()
            || self.nas_port_id.is_some()
            || self.framed_ip.is_some()
            || self.framed_ipv6.is_some()
            || self.framed_ipv6_prefix.is_some()
            || self.calling_station_id.is_some()
            || self.acct_session_id.is_some()
            || self.acct_multi_session_id.is_some()
            || self.chargeable_user_identity.is_some()
    }

    /// Writes what is there. The prefix is not written: no NAS here needs it.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self.nas_address {
            Some(address @ IpAddr::V4(_)) => {
                writer.address(AttrType::NAS_IP_ADDRESS, address);
            }
            Some(address @ IpAddr::V6(_)) => {
                writer.address(AttrType::NAS_IPV6_ADDRESS, address);
            }
            None => {}
        }
        for (kind, value) in [
            (AttrType::NAS_IDENTIFIER, self.nas_identifier),
            (AttrType::USER_NAME, self.username),
            (AttrType::NAS_PORT_ID, self.nas_port_id),
            (AttrType::CALLED_STATION_ID, self.called_station_id),
            (AttrType::CALLING_STATION_ID, self.calling_station_id),
            (AttrType::ACCT_SESSION_ID, self.acct_session_id),
            (AttrType::ACCT_MULTI_SESSION_ID, self.acct_multi_session_id),
            (AttrType::CHARGEABLE_USER_IDENTITY, self.chargeable_user_identity),
        ] {
            if let Some(value) = value {
                writer.attr(kind, value);
            }
        }
        if let Some(port) = self.nas_port {
            writer.integer(AttrType::NAS_PORT, port);
        }
        for (kind, address) in [
            (AttrType::FRAMED_IP_ADDRESS, self.framed_ip),
            (AttrType::FRAMED_IPV6_ADDRESS, self.framed_ipv6),
        ] {
            if let Some(address) = address {
                writer.address(kind, address);
            }
        }
    }

    /// Takes an attribute that is part of a target; `Ok(false)` if it is not.
    fn take(&mut self, attr: Attr<'a>) -> Result<bool, ErrorCause> {
        const MALFORMED: ErrorCause = ErrorCause::INVALID_ATTRIBUTE_VALUE;
        let address = || attr.address().ok_or(MALFORMED);
        match attr.kind {
            AttrType::NAS_IP_ADDRESS | AttrType::NAS_IPV6_ADDRESS => {
                self.nas_address = Some(address()?);
            }
            AttrType::NAS_IDENTIFIER => self.nas_identifier = Some(attr.value),
            AttrType::USER_NAME => self.username = Some(attr.value),
            AttrType::NAS_PORT => self.nas_port = Some(attr.integer().ok_or(MALFORMED)?),
            AttrType::NAS_PORT_ID => self.nas_port_id = Some(attr.value),
            AttrType::FRAMED_IP_ADDRESS => self.framed_ip = Some(address()?),
            AttrType::FRAMED_IPV6_ADDRESS => self.framed_ipv6 = Some(address()?),
            AttrType::FRAMED_IPV6_PREFIX => {
                self.framed_ipv6_prefix = Some(attr.ipv6_prefix().ok_or(MALFORMED)?);
            }
            AttrType::CALLED_STATION_ID => self.called_station_id = Some(attr.value),
            AttrType::CALLING_STATION_ID => self.calling_station_id = Some(attr.value),
            AttrType::ACCT_SESSION_ID => self.acct_session_id = Some(attr.value),
            AttrType::ACCT_MULTI_SESSION_ID => self.acct_multi_session_id = Some(attr.value),
            AttrType::CHARGEABLE_USER_IDENTITY => self.chargeable_user_identity = Some(attr.value),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the session.
    Disconnect,
    /// Change what the session may do.
    Change,
}

/// A request that a NAS got and whose authenticator is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What to do.
    pub action: Action,
    /// With whom.
    pub target: Target<'a>,
    /// What a CoA-Request wants changed, in the order of the packet. None in a Disconnect-Request.
    pub changes: Vec<Attr<'a>>,
    /// When it was made, seconds since 1970.
    pub event_timestamp: Option<u32>,
}

impl<'a> Request<'a> {
    /// Reads a CoA- or Disconnect-Request and checks what RFC 5176 §3 demands of its attributes.
    /// `None` if it is neither; an error goes back in a NAK.
    pub fn of(packet: &Packet<'a>) -> Option<Result<Self, ErrorCause>> {
        let action = match packet.code() {
            Code::DISCONNECT_REQUEST => Action::Disconnect,
            Code::COA_REQUEST => Action::Change,
            _ => return None,
        };
        Some(Self::read(action, packet))
    }

    fn read(action: Action, packet: &Packet<'a>) -> Result<Self, ErrorCause> {
        let mut request = Self {
            action,
            target: Target::default(),
            changes: Vec::new(),
            event_timestamp: event_timestamp(packet),
        };
        for attr in packet.attrs() {
            if request.target.take(attr)? {
                continue;
            }
            match attr.kind {
                // Of the packet and not of the session. State comes back as it is, §3.3.
                AttrType::MESSAGE_AUTHENTICATOR
                | AttrType::EVENT_TIMESTAMP
                | AttrType::PROXY_STATE
                | AttrType::STATE => {}
                AttrType::SERVICE_TYPE if attr.integer() == Some(AUTHORIZE_ONLY) => {
                    return Err(ErrorCause::UNSUPPORTED_SERVICE);
                }
                _ => match action {
                    // §3.6: a Disconnect-Request names a session, and no more.
                    Action::Disconnect => return Err(ErrorCause::UNSUPPORTED_ATTRIBUTE),
                    Action::Change => request.changes.push(attr),
                },
            }
        }
        if request.target.names_a_session() {
            Ok(request)
        } else {
            Err(ErrorCause::MISSING_ATTRIBUTE)
        }
    }
}

/// Service-Type: the NAS is to ask by an Access-Request, RFC 5176 §3.2.
const AUTHORIZE_ONLY: u32 = 17;

/// When a request was made, if it says so.
pub fn event_timestamp(request: &Packet<'_>) -> Option<u32> {
    request.attr(AttrType::EVENT_TIMESTAMP)?.integer()
}

/// RFC 5176 §6.3: is a request that was made at `timestamp` not an old one that somebody sends
/// again? Both are seconds since 1970 in 32 bits, which go round in 2106.
pub const fn is_recent(timestamp: u32, now: u32) -> bool {
    let ahead = timestamp.wrapping_sub(now);
    let behind = now.wrapping_sub(timestamp);
    ahead <= WINDOW_SECONDS || behind <= WINDOW_SECONDS
}

/// Writes what an ACK or a NAK brings back of its request: State (§3.3) and the Proxy-States (§3.1)
/// as they came, and the reason of a NAK.
pub fn write_answer(reply: &mut Writer<'_>, request: &Packet<'_>, why: Option<ErrorCause>) {
    for attr in request.attrs() {
        if matches!(attr.kind, AttrType::STATE | AttrType::PROXY_STATE) {
            reply.copy(attr);
        }
    }
    if let Some(ErrorCause(why)) = why {
        reply.integer(AttrType::ERROR_CAUSE, why);
    }
}

/// The code of the answer.
pub const fn answer_code(action: Action, done: bool) -> Code {
    match (action, done) {
        (Action::Disconnect, true) => Code::DISCONNECT_ACK,
        (Action::Disconnect, false) => Code::DISCONNECT_NAK,
        (Action::Change, true) => Code::COA_ACK,
        (Action::Change, false) => Code::COA_NAK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, packet::LEN_MAX};

    fn packet(code: Code, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = [0; LEN_MAX];
        let mut writer = Writer::change_request(&mut buffer, code, 1);
        fill(&mut writer);
        writer.sign(&Secret::new(b"s")).unwrap().to_vec()
    }

    #[track_caller]
    fn check(code: Code, fill: impl FnOnce(&mut Writer<'_>), expected: Result<usize, ErrorCause>) {
        let bytes = packet(code, fill);
        let read = Request::of(&Packet::decode(&bytes).unwrap()).unwrap();
        assert_eq!(read.map(|request| request.changes.len()), expected);
    }

    #[test]
    fn a_target_is_read_as_it_was_written() {
        let target = Target {
            nas_address: Some(IpAddr::from([192, 0, 2, 1])),
            nas_identifier: Some(b"ap-1"),
            username: Some(b"amina"),
            nas_port: Some(7),
            nas_port_id: Some(b"ether1"),
            framed_ip: Some(IpAddr::from([10, 0, 0, 20])),
            framed_ipv6: Some(IpAddr::from(Ipv6Addr::LOCALHOST)),
            framed_ipv6_prefix: None,
            called_station_id: Some(b"02-00-00-00-00-FF:lab"),
            calling_station_id: Some(b"02-00-00-00-00-01"),
            acct_session_id: Some(b"81a00001"),
            acct_multi_session_id: Some(b"m"),
            chargeable_user_identity: Some(b"c"),
        };
        let bytes = packet(Code::DISCONNECT_REQUEST, |writer| {
            target.write(writer);
            writer.integer(AttrType::EVENT_TIMESTAMP, 5);
        });
        let read = Request::of(&Packet::decode(&bytes).unwrap()).unwrap().unwrap();
        assert_eq!(read.target, target);
        assert_eq!((read.action, read.event_timestamp), (Action::Disconnect, Some(5)));
    }

    #[test]
    fn a_disconnect_names_a_session_and_says_no_more() {
        let code = Code::DISCONNECT_REQUEST;
        let name = |writer: &mut Writer<'_>| {
            writer.text(AttrType::USER_NAME, "amina").attr(AttrType::PROXY_STATE, b"p");
        };
        check(code, name, Ok(0));
        check(code, |_| {}, Err(ErrorCause::MISSING_ATTRIBUTE));
        let only_the_nas = |writer: &mut Writer<'_>| {
            writer.text(AttrType::NAS_IDENTIFIER, "ap-1");
        };
        check(code, only_the_nas, Err(ErrorCause::MISSING_ATTRIBUTE));
        let more = |writer: &mut Writer<'_>| {
            name(writer);
            writer.integer(AttrType::SESSION_TIMEOUT, 1);
        };
        check(code, more, Err(ErrorCause::UNSUPPORTED_ATTRIBUTE));
        check(Code::COA_REQUEST, more, Ok(1));
    }

    #[test]
    fn what_this_side_does_not_do_is_said() {
        for code in [Code::COA_REQUEST, Code::DISCONNECT_REQUEST] {
            let authorize = |writer: &mut Writer<'_>| {
                writer.text(AttrType::USER_NAME, "a").integer(AttrType::SERVICE_TYPE, 17);
            };
            check(code, authorize, Err(ErrorCause::UNSUPPORTED_SERVICE));
            let malformed = |writer: &mut Writer<'_>| {
                writer.attr(AttrType::FRAMED_IP_ADDRESS, b"10.0.0.20");
            };
            check(code, malformed, Err(ErrorCause::INVALID_ATTRIBUTE_VALUE));
        }
        let bytes = packet(Code::ACCOUNTING_REQUEST, |_| {});
        assert_eq!(Request::of(&Packet::decode(&bytes).unwrap()), None);
    }

    #[test]
    fn a_request_is_recent_for_five_minutes_in_both_directions() {
        for (timestamp, now, expected) in [
            (1_000, 1_000, true),
            (1_000, 1_300, true),
            (1_300, 1_000, true),
            (1_000, 1_301, false),
            (1_301, 1_000, false),
            (u32::MAX, 10, true),
            (10, u32::MAX, true),
            (0, u32::MAX / 2, false),
        ] {
            assert_eq!(is_recent(timestamp, now), expected, "{timestamp} at {now}");
        }
    }

    #[test]
    fn an_answer_brings_back_state_and_proxy_states_in_their_order() {
        let request = packet(Code::COA_REQUEST, |writer| {
            writer.attr(AttrType::PROXY_STATE, b"1").attr(AttrType::STATE, b"x");
            writer.text(AttrType::USER_NAME, "amina").attr(AttrType::PROXY_STATE, b"2");
        });
        let request = Packet::decode(&request).unwrap();
        let mut buffer = [0; LEN_MAX];
        let mut reply = Writer::reply(&mut buffer, answer_code(Action::Change, false), &request);
        write_answer(&mut reply, &request, Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND));
        let reply = Packet::decode(reply.sign(&Secret::new(b"s")).unwrap()).unwrap();
        let got: Vec<(AttrType, &[u8])> =
            reply.attrs().skip(1).map(|attr| (attr.kind, attr.value)).collect();
        let cause = 503_u32.to_be_bytes();
        assert_eq!(
            got,
            [
                (AttrType::PROXY_STATE, &b"1"[..]),
                (AttrType::STATE, b"x"),
                (AttrType::PROXY_STATE, b"2"),
                (AttrType::ERROR_CAUSE, &cause),
            ]
        );
        assert_eq!(reply.code(), Code::COA_NAK);
        assert_eq!(
            ErrorCause::of(&reply).map(|cause| cause.to_string()).as_deref(),
            Some("Session-Context-Not-Found")
        );
    }
}
