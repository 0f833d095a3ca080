//! What a packet is.

use std::fmt;

/// The first octet of a packet. A struct and not an enum, so that a code we do not know survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Code {
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

codes! {
    /// RFC 2865 §4.1.
    ACCESS_REQUEST = 1, "Access-Request";
    /// RFC 2865 §4.2.
    ACCESS_ACCEPT = 2, "Access-Accept";
    /// RFC 2865 §4.3.
    ACCESS_REJECT = 3, "Access-Reject";
    /// RFC 2866 §4.1.
    ACCOUNTING_REQUEST = 4, "Accounting-Request";
    /// RFC 2866 §4.2.
    ACCOUNTING_RESPONSE = 5, "Accounting-Response";
    /// RFC 2865 §4.4.
    ACCESS_CHALLENGE = 11, "Access-Challenge";
    /// RFC 5997.
    STATUS_SERVER = 12, "Status-Server";
    /// RFC 5176 §3.
    DISCONNECT_REQUEST = 40, "Disconnect-Request";
    /// RFC 5176 §3.
    DISCONNECT_ACK = 41, "Disconnect-ACK";
    /// RFC 5176 §3.
    DISCONNECT_NAK = 42, "Disconnect-NAK";
    /// RFC 5176 §3.
    COA_REQUEST = 43, "CoA-Request";
    /// RFC 5176 §3.
    COA_ACK = 44, "CoA-ACK";
    /// RFC 5176 §3.
    COA_NAK = 45, "CoA-NAK";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
