//! Writes a packet into the caller's buffer and signs it.

use std::net::IpAddr;

use crate::{
    attr::{
        Attr, AttrType, VALUE_LEN_MAX,
        tagged::{self, Tag},
        vendor::{OVERHEAD, Vendor},
    },
    authenticator::{hash, hmac},
    code::Code,
    packet::{Authenticator, LEN_MAX, LEN_MIN, Packet},
    salted::{self, Salt},
    secret::Secret,
};

mod pair;
mod place;

/// A buffer for one packet.
pub type Buffer = [u8; LEN_MAX];

/// A packet that is being written. [`Writer::sign`] ends it.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut Buffer,
    len: usize,
    /// What the Message-Authenticator and the hash take as authenticator.
    nonce: Authenticator,
    authenticator: Signed,
    message_authenticator_at: Option<usize>,
    fault: Option<EncodeError>,
}

/// How the authenticator field is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    /// It is the nonce itself.
    Nonce,
    /// It is the hash over packet, nonce and secret.
    Hash,
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The value does not fit into one attribute.
    #[error("a value of {len} octets does not fit into one {kind:?}")]
    ValueTooLong {
        /// The attribute.
        kind: AttrType,
        /// How long its value was to be.
        len: usize,
    },
    /// A tagged integer has 24 bits.
    #[error("{integer} does not fit into the 24 bits of a tagged {kind:?}")]
    IntegerTooLarge {
        /// The attribute.
        kind: AttrType,
        /// What it was to be.
        integer: u32,
    },
    /// A pair has to be encrypted: [`Writer::pair_with`] can.
    #[error("{kind:?} is encrypted, and there is no secret to do it with")]
    NotEncrypted {
        /// The attribute.
        kind: AttrType,
    },
    /// An extended attribute has at least one octet of value, RFC 6929 §2.1.
    #[error("an extended attribute {kind:?} cannot be empty")]
    Empty {
        /// The attribute.
        kind: AttrType,
    },
    /// The packet would be longer than 4096 octets.
    #[error("the packet would be longer than {LEN_MAX} octets")]
    PacketTooLong,
}

impl<'b> Writer<'b> {
    /// An Access-Request or Status-Server, with a Message-Authenticator. `nonce` is random.
    pub fn request(buffer: &'b mut Buffer, code: Code, id: u8, nonce: Authenticator) -> Self {
        let mut writer = Self::start(buffer, code, id, nonce, Signed::Nonce);
        writer.message_authenticator();
        writer
    }

    /// As [`Writer::request`] without a Message-Authenticator, as old devices send it.
    pub fn unsigned_request(
        buffer: &'b mut Buffer,
        code: Code,
        id: u8,
        nonce: Authenticator,
    ) -> Self {
        Self::start(buffer, code, id, nonce, Signed::Nonce)
    }

    /// An Accounting-, CoA- or Disconnect-Request: its authenticator is a hash.
    pub fn accounting_request(buffer: &'b mut Buffer, code: Code, id: u8) -> Self {
        Self::start(buffer, code, id, [0; 16], Signed::Hash)
    }

    /// A CoA- or Disconnect-Request with a Message-Authenticator, RFC 5176 §3.4.
    pub fn change_request(buffer: &'b mut Buffer, code: Code, id: u8) -> Self {
        let mut writer = Self::start(buffer, code, id, [0; 16], Signed::Hash);
        writer.message_authenticator();
        writer
    }

    /// The reply to `request`. Access replies and replies to Status-Server start with a
    /// Message-Authenticator (against CVE-2024-3596 it has to be the first).
    ///
    /// An Accounting-Response has none: no RFC says over which authenticator it would be, servers
    /// differ, and its Response Authenticator covers all of it.
    pub fn reply(buffer: &'b mut Buffer, code: Code, request: &Packet<'_>) -> Self {
        let mut writer =
            Self::start(buffer, code, request.id(), *request.authenticator(), Signed::Hash);
        match request.code() {
            Code::ACCESS_REQUEST | Code::STATUS_SERVER => writer.message_authenticator(),
            // RFC 5176 §3.4: it may be there; who sends one understands one.
            Code::COA_REQUEST | Code::DISCONNECT_REQUEST
                if request.attr(AttrType::MESSAGE_AUTHENTICATOR).is_some() =>
            {
                writer.message_authenticator();
            }
            _ => {}
        }
        writer
    }

    fn start(
        buffer: &'b mut Buffer,
        Code(code): Code,
        id: u8,
        nonce: Authenticator,
        authenticator: Signed,
    ) -> Self {
        let mut writer = Self {
            buffer,
            len: 0,
            nonce,
            authenticator,
            message_authenticator_at: None,
            fault: None,
        };
        writer.put(&[code, id, 0, 0]);
        writer.put(&nonce);
        writer
    }

    fn message_authenticator(&mut self) {
        self.message_authenticator_at = Some(self.len);
        self.attr(AttrType::MESSAGE_AUTHENTICATOR, &[0; 16]);
    }

    /// Adds an attribute. What does not fit shows in [`Writer::sign`].
    pub fn attr(&mut self, kind: AttrType, value: &[u8]) -> &mut Self {
        self.parts(kind, &[value])
    }

    /// Adds an attribute of a packet as it is, e.g. a Proxy-State that has to come back.
    pub fn copy(&mut self, attr: Attr<'_>) -> &mut Self {
        self.attr(attr.kind, attr.value)
    }

    /// Adds text.
    pub fn text(&mut self, kind: AttrType, text: &str) -> &mut Self {
        self.attr(kind, text.as_bytes())
    }

    /// Adds an integer.
    pub fn integer(&mut self, kind: AttrType, integer: u32) -> &mut Self {
        self.attr(kind, &integer.to_be_bytes())
    }

    /// Adds an address.
    pub fn address(&mut self, kind: AttrType, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.attr(kind, &address.octets()),
            IpAddr::V6(address) => self.attr(kind, &address.octets()),
        }
    }

    /// Adds an attribute of a vendor, in a Vendor-Specific of its own.
    pub fn vendor(&mut self, vendor: Vendor, kind: u8, value: &[u8]) -> &mut Self {
        let Ok(len) = u8::try_from(value.len() + 2) else {
            return self.fail(EncodeError::ValueTooLong {
                kind: AttrType::VENDOR_SPECIFIC,
                len: value.len() + OVERHEAD,
            });
        };
        let vendor = vendor.0.to_be_bytes();
        self.parts(AttrType::VENDOR_SPECIFIC, &[&vendor, &[kind, len], value])
    }

    /// Adds a tagged text, RFC 2868 §3.3. Without a tag there is no octet for it, unless the text
    /// itself would begin like one.
    pub fn tagged(&mut self, kind: AttrType, tag: Option<Tag>, value: &[u8]) -> &mut Self {
        match (tag, value.first()) {
            (Some(tag), _) => self.parts(kind, &[&[tag.get()], value]),
            (None, Some(&first)) if first <= tagged::LARGEST => self.parts(kind, &[&[0], value]),
            (None, _) => self.attr(kind, value),
        }
    }

    /// Adds a tagged integer of 24 bits, RFC 2868 §3.1.
    pub fn tagged_integer(&mut self, kind: AttrType, tag: Option<Tag>, integer: u32) -> &mut Self {
        let [0, high, middle, low] = integer.to_be_bytes() else {
            return self.fail(EncodeError::IntegerTooLarge { kind, integer });
        };
        self.attr(kind, &[tag.map_or(0, Tag::get), high, middle, low])
    }

    /// Adds a salt-encrypted text with a tag: a Tunnel-Password. The salt must not be that of
    /// another attribute of this packet.
    pub fn salted(
        &mut self,
        kind: AttrType,
        tag: Option<Tag>,
        plain: &[u8],
        salt: Salt,
        secret: &Secret,
    ) -> &mut Self {
        match salted::encrypt(plain, salt, &self.nonce, secret) {
            Some(salted) => self.parts(kind, &[&[tag.map_or(0, Tag::get)], salted.as_bytes()]),
            None => self.fail(EncodeError::ValueTooLong { kind, len: plain.len() }),
        }
    }

    /// Adds a salt-encrypted text without a tag: a key of MPPE. The salt must not be that of
    /// another attribute of this packet.
    pub fn vendor_salted(
        &mut self,
        vendor: Vendor,
        kind: u8,
        plain: &[u8],
        salt: Salt,
        secret: &Secret,
    ) -> &mut Self {
        match salted::encrypt(plain, salt, &self.nonce, secret) {
            Some(salted) => self.vendor(vendor, kind, salted.as_bytes()),
            None => self.fail(EncodeError::ValueTooLong {
                kind: AttrType::VENDOR_SPECIFIC,
                len: plain.len(),
            }),
        }
    }

    /// Fills in length, Message-Authenticator and authenticator.
    pub fn sign(self, secret: &Secret) -> Result<&'b [u8], EncodeError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let packet = self.buffer.get_mut(..self.len).ok_or(EncodeError::PacketTooLong)?;
        let len = u16::try_from(packet.len()).map_err(|_| EncodeError::PacketTooLong)?;
        fill(packet, 2, &len.to_be_bytes());
        if let Some(at) = self.message_authenticator_at {
            let proof = hmac(packet, at, &self.nonce, secret);
            fill(packet, at + 2, &proof);
        }
        if self.authenticator == Signed::Hash {
            let proof = hash(packet, &self.nonce, secret);
            fill(packet, 4, &proof);
        }
        Ok(packet)
    }

    fn parts(&mut self, kind: AttrType, parts: &[&[u8]]) -> &mut Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let octet = match u8::try_from(len + 2) {
            Ok(octet) if len <= VALUE_LEN_MAX => octet,
            _ => return self.fail(EncodeError::ValueTooLong { kind, len }),
        };
        self.put(&[kind.0, octet]);
        for part in parts {
            self.put(part);
        }
        self
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.buffer.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len = end;
            }
            None => {
                self.fail(EncodeError::PacketTooLong);
            }
        }
    }

    fn fail(&mut self, fault: EncodeError) -> &mut Self {
        self.fault.get_or_insert(fault);
        self
    }
}

fn fill(packet: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = packet.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

const _: () = assert!(LEN_MIN <= LEN_MAX);
