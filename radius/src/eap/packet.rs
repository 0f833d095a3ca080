//! The EAP packet: code, identifier, length, type. RFC 3748 §4.

use std::fmt;

/// What an EAP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// From us.
    Request = 1,
    /// From the peer.
    Response = 2,
    /// From us: the end.
    Success = 3,
    /// From us: the end.
    Failure = 4,
}

/// The type of a request or response: a method, or one of a few other things. A struct, so that
/// a type we do not know survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Who are you? RFC 3748 §5.1.
    pub const IDENTITY: Self = Self(1);
    /// Text for a person. RFC 3748 §5.2.
    pub const NOTIFICATION: Self = Self(2);
    /// Another method, please. RFC 3748 §5.3.
    pub const NAK: Self = Self(3);
    /// EAP-MD5. RFC 3748 §5.4.
    pub const MD5: Self = Self(4);
    /// EAP-GTC: the password itself, for the inside of tunnels. RFC 3748 §5.6.
    pub const GTC: Self = Self(6);
    /// EAP-TLS. RFC 5216, RFC 9190.
    pub const TLS: Self = Self(13);
    /// EAP-TTLS. RFC 5281.
    pub const TTLS: Self = Self(21);
    /// PEAP, version 0. \[MS-PEAP\].
    pub const PEAP: Self = Self(25);
    /// EAP-MSCHAPv2. draft-kamath-pppext-eap-mschapv2.
    pub const MSCHAPV2: Self = Self(26);
    /// Extensions inside PEAP: the result. \[MS-PEAP\] §2.2.8.1.
    pub const EXTENSIONS: Self = Self(33);

    /// As people call the method, if it is one of the constants here.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::IDENTITY => "Identity",
            Self::NOTIFICATION => "Notification",
            Self::NAK => "Nak",
            Self::MD5 => "MD5",
            Self::GTC => "GTC",
            Self::TLS => "TLS",
            Self::TTLS => "TTLS",
            Self::PEAP => "PEAP",
            Self::MSCHAPV2 => "MSCHAPv2",
            Self::EXTENSIONS => "Extensions",
            Self(_) => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A packet, borrowed from the octets it came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub code: Code,
    /// Matches a response to its request.
    pub id: u8,
    /// Type and what follows it; of requests and responses only.
    pub body: Option<(Kind, &'a [u8])>,
}

/// Not an EAP packet. RFC 3748 §4: to be discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an EAP packet")]
pub struct Malformed;

/// Code, identifier, length.
const HEADER_LEN: usize = 4;

impl<'a> Packet<'a> {
    /// Octets beyond the Length field are padding and ignored, RFC 3748 §4.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let &[code, id, high, low, ..] = bytes else { return Err(Malformed) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let rest = bytes.get(HEADER_LEN..len).ok_or(Malformed)?;
        let code = match code {
            1 => Code::Request,
            2 => Code::Response,
            3 => Code::Success,
            4 => Code::Failure,
            _ => return Err(Malformed),
        };
        let body = match (code, rest) {
            (Code::Request | Code::Response, &[kind, ref data @ ..]) => Some((Kind(kind), data)),
            (Code::Success | Code::Failure, []) => None,
            _ => return Err(Malformed),
        };
        Ok(Self { code, id, body })
    }
}

/// Without what is in it.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.code, self.id)?;
        match self.body {
            Some((kind, data)) => write!(f, " {kind} ({} octets)", data.len()),
            None => Ok(()),
        }
    }
}

/// A request or response. What is longer than 65,535 octets is cut, which nothing here is.
pub fn encode(code: Code, id: u8, kind: Kind, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(HEADER_LEN + 1 + data.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(usize::from(len));
    packet.extend([code as u8, id]);
    packet.extend(len.to_be_bytes());
    packet.push(kind.0);
    packet.extend_from_slice(data);
    packet.truncate(usize::from(len));
    packet
}

/// Success or failure.
pub const fn end(code: Code, id: u8) -> [u8; 4] {
    [code as u8, id, 0, 4]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_are_read_as_the_rfc_writes_them() {
        let identity = b"\x02\x07\x00\x0a\x01amina";
        let packet = Packet::decode(identity).unwrap();
        assert_eq!((packet.code, packet.id), (Code::Response, 7));
        assert_eq!(packet.body, Some((Kind::IDENTITY, &b"amina"[..])));
        assert_eq!(encode(Code::Response, 7, Kind::IDENTITY, b"amina"), identity);
        let padded = [&identity[..], b"padding"].concat();
        assert_eq!(Packet::decode(&padded), Ok(packet));
        let success = Packet::decode(&[3, 9, 0, 4]).unwrap();
        assert_eq!((success.code, success.id, success.body), (Code::Success, 9, None));
        assert_eq!(end(Code::Failure, 9), [4, 9, 0, 4]);
        let nothing: [&[u8]; 8] = [
            &[],
            &[2],
            &[2, 1, 0],
            &[2, 1, 0, 4],
            &[2, 1, 0, 3, 1],
            &[2, 1, 0, 6, 1],
            &[3, 1, 0, 5, 1],
            &[5, 1, 0, 5, 1],
        ];
        for bytes in nothing {
            assert_eq!(Packet::decode(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_back(bytes: Vec<u8>, typed: bool) {
            let mut bytes = bytes;
            if typed && bytes.len() >= 5 {
                bytes[0] = 1 + bytes[0] % 2;
                let len = u16::try_from(bytes.len()).unwrap();
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
            }
            if let Ok(packet) = Packet::decode(&bytes) {
                let again = match packet.body {
                    Some((kind, data)) => encode(packet.code, packet.id, kind, data),
                    None => end(packet.code, packet.id).to_vec(),
                };
                prop_assert_eq!(&again[..], &bytes[..again.len()]);
            }
        }
    }
}
