//! Attributes: type, length, value.
//!
//! To add one: a line in the table below, in the order of the numbers. To add a vendor: a line in
//! [`vendor::Vendor`] and a file beside [`mikrotik`] with its attribute numbers.

use std::fmt;

pub mod mikrotik;
pub mod value;
pub mod vendor;
pub mod wispr;

/// An attribute number. A struct and not an enum, so that a number we do not know survives a
/// decode and encode round trip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrType(pub u8);

/// The longest value of one attribute.
pub const VALUE_LEN_MAX: usize = 253;

const HEADER_LEN: usize = 2;

/// An attribute as it stands in a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its number.
    pub kind: AttrType,
    /// Its value, at most [`VALUE_LEN_MAX`] octets. [`value`] reads it.
    pub value: &'a [u8],
}

/// Walks over the attributes of a packet.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
    at: usize,
    fault: Option<usize>,
}

impl<'a> Attrs<'a> {
    /// From the octets of a packet; `at` is where the attributes begin.
    pub(crate) fn new(packet: &'a [u8], at: usize) -> Self {
        Self { rest: packet.get(at..).unwrap_or_default(), at, fault: None }
    }

    /// Where the next attribute begins, from the start of the packet.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Where an attribute does not fit. A decoded packet has none.
    pub(crate) const fn fault(&self) -> Option<usize> {
        self.fault
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let attr = match *self.rest {
            [kind, claimed, ..] => self
                .rest
                .split_at_checked(usize::from(claimed))
                .and_then(|(attr, rest)| Some((kind, attr.get(HEADER_LEN..)?, rest))),
            _ => None,
        };
        let Some((kind, value, rest)) = attr else {
            self.fault = Some(self.at);
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        self.at += HEADER_LEN + value.len();
        Some(Attr { kind: AttrType(kind), value })
    }
}

/// Without the value: it may be a password.
impl fmt::Debug for Attr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} octets)", self.kind, self.value.len())
    }
}

macro_rules! attr_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl AttrType {
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

attr_types! {
    /// Text. RFC 2865 §5.1.
    USER_NAME = 1, "User-Name";
    /// Hidden, see [`crate::password`]. RFC 2865 §5.2.
    USER_PASSWORD = 2, "User-Password";
    /// 17 octets. RFC 2865 §5.3.
    CHAP_PASSWORD = 3, "CHAP-Password";
    /// IPv4. RFC 2865 §5.4.
    NAS_IP_ADDRESS = 4, "NAS-IP-Address";
    /// Integer. RFC 2865 §5.5.
    NAS_PORT = 5, "NAS-Port";
    /// Integer. RFC 2865 §5.6.
    SERVICE_TYPE = 6, "Service-Type";
    /// Integer. RFC 2865 §5.7.
    FRAMED_PROTOCOL = 7, "Framed-Protocol";
    /// IPv4. RFC 2865 §5.8.
    FRAMED_IP_ADDRESS = 8, "Framed-IP-Address";
    /// IPv4. RFC 2865 §5.9.
    FRAMED_IP_NETMASK = 9, "Framed-IP-Netmask";
    /// Text. RFC 2865 §5.11.
    FILTER_ID = 11, "Filter-Id";
    /// Integer. RFC 2865 §5.12.
    FRAMED_MTU = 12, "Framed-MTU";
    /// Text for the person who logs in. RFC 2865 §5.18.
    REPLY_MESSAGE = 18, "Reply-Message";
    /// Text. RFC 2865 §5.22.
    FRAMED_ROUTE = 22, "Framed-Route";
    /// Octets that come back with the answer to a challenge. RFC 2865 §5.24.
    STATE = 24, "State";
    /// Octets that come back in accounting. RFC 2865 §5.25.
    CLASS = 25, "Class";
    /// Vendor, number, value: see [`vendor`]. RFC 2865 §5.26.
    VENDOR_SPECIFIC = 26, "Vendor-Specific";
    /// Seconds. RFC 2865 §5.27.
    SESSION_TIMEOUT = 27, "Session-Timeout";
    /// Seconds. RFC 2865 §5.28.
    IDLE_TIMEOUT = 28, "Idle-Timeout";
    /// Integer. RFC 2865 §5.29.
    TERMINATION_ACTION = 29, "Termination-Action";
    /// Text, often a MAC address. RFC 2865 §5.30.
    CALLED_STATION_ID = 30, "Called-Station-Id";
    /// Text, often a MAC address. RFC 2865 §5.31.
    CALLING_STATION_ID = 31, "Calling-Station-Id";
    /// Text. RFC 2865 §5.32.
    NAS_IDENTIFIER = 32, "NAS-Identifier";
    /// Octets that a proxy wants back, in order. RFC 2865 §5.33.
    PROXY_STATE = 33, "Proxy-State";
    /// See [`crate::accounting::Status`]. RFC 2866 §5.1.
    ACCT_STATUS_TYPE = 40, "Acct-Status-Type";
    /// Seconds. RFC 2866 §5.2.
    ACCT_DELAY_TIME = 41, "Acct-Delay-Time";
    /// Octets from the subscriber, low 32 bits. RFC 2866 §5.3.
    ACCT_INPUT_OCTETS = 42, "Acct-Input-Octets";
    /// Octets to the subscriber, low 32 bits. RFC 2866 §5.4.
    ACCT_OUTPUT_OCTETS = 43, "Acct-Output-Octets";
    /// Text. RFC 2866 §5.5.
    ACCT_SESSION_ID = 44, "Acct-Session-Id";
    /// Integer. RFC 2866 §5.6.
    ACCT_AUTHENTIC = 45, "Acct-Authentic";
    /// Seconds. RFC 2866 §5.7.
    ACCT_SESSION_TIME = 46, "Acct-Session-Time";
    /// Integer. RFC 2866 §5.8.
    ACCT_INPUT_PACKETS = 47, "Acct-Input-Packets";
    /// Integer. RFC 2866 §5.9.
    ACCT_OUTPUT_PACKETS = 48, "Acct-Output-Packets";
    /// Integer. RFC 2866 §5.10.
    ACCT_TERMINATE_CAUSE = 49, "Acct-Terminate-Cause";
    /// Text. RFC 2866 §5.11.
    ACCT_MULTI_SESSION_ID = 50, "Acct-Multi-Session-Id";
    /// High 32 bits of the input octets. RFC 2869 §5.1.
    ACCT_INPUT_GIGAWORDS = 52, "Acct-Input-Gigawords";
    /// High 32 bits of the output octets. RFC 2869 §5.2.
    ACCT_OUTPUT_GIGAWORDS = 53, "Acct-Output-Gigawords";
    /// Seconds since 1970. RFC 2869 §5.3.
    EVENT_TIMESTAMP = 55, "Event-Timestamp";
    /// Octets; without it the Request Authenticator is the challenge. RFC 2865 §5.40.
    CHAP_CHALLENGE = 60, "CHAP-Challenge";
    /// Integer. RFC 2865 §5.41.
    NAS_PORT_TYPE = 61, "NAS-Port-Type";
    /// Tag and integer. RFC 2868 §3.1.
    TUNNEL_TYPE = 64, "Tunnel-Type";
    /// Tag and integer. RFC 2868 §3.2.
    TUNNEL_MEDIUM_TYPE = 65, "Tunnel-Medium-Type";
    /// Text. RFC 2869 §5.11.
    CONNECT_INFO = 77, "Connect-Info";
    /// A part of an EAP packet. RFC 3579 §3.1.
    EAP_MESSAGE = 79, "EAP-Message";
    /// 16 octets, see [`crate::authenticator`]. RFC 3579 §3.2.
    MESSAGE_AUTHENTICATOR = 80, "Message-Authenticator";
    /// Text. RFC 2868 §3.6.
    TUNNEL_PRIVATE_GROUP_ID = 81, "Tunnel-Private-Group-Id";
    /// Seconds, 60 or more. RFC 2869 §5.16.
    ACCT_INTERIM_INTERVAL = 85, "Acct-Interim-Interval";
    /// Text. RFC 2869 §5.17.
    NAS_PORT_ID = 87, "NAS-Port-Id";
    /// Text. RFC 2869 §5.18.
    FRAMED_POOL = 88, "Framed-Pool";
    /// Octets. RFC 4372.
    CHARGEABLE_USER_IDENTITY = 89, "Chargeable-User-Identity";
    /// IPv6. RFC 3162 §2.1.
    NAS_IPV6_ADDRESS = 95, "NAS-IPv6-Address";
    /// IPv6 prefix. RFC 3162 §2.3.
    FRAMED_IPV6_PREFIX = 97, "Framed-IPv6-Prefix";
    /// Integer. RFC 5176 §3.5.
    ERROR_CAUSE = 101, "Error-Cause";
    /// IPv6 prefix. RFC 4818.
    DELEGATED_IPV6_PREFIX = 123, "Delegated-IPv6-Prefix";
    /// IPv6. RFC 6911 §3.1.
    FRAMED_IPV6_ADDRESS = 168, "Framed-IPv6-Address";
}

impl fmt::Debug for AttrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}
