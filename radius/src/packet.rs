//! Header and length rules of RFC 2865 §3. A packet is borrowed from the datagram it came in.

use std::fmt;

use crate::{
    attr::{Attr, AttrType, Attrs},
    code::Code,
};

/// The shortest packet: a header without attributes.
pub const LEN_MIN: usize = 20;

/// The longest packet, and the size of every buffer for one.
pub const LEN_MAX: usize = 4096;

/// Sixteen octets: a request's nonce or hash, a reply's proof.
pub type Authenticator = [u8; 16];

/// A packet whose length and attributes are well-formed. Nothing about it is verified yet: see
/// [`crate::authenticator`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    header: &'a [u8; LEN_MIN],
    /// Exactly as many octets as the Length field says, header included.
    bytes: &'a [u8],
}

/// Why a datagram is not a packet. RFC 2865 §3: it is dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not even a header.
    #[error("{0} octets are too few for a header")]
    NoHeader(usize),
    /// The Length field is outside of 20 to 4096.
    #[error("the Length field says {0}, which should be 20 to 4096")]
    Length(u16),
    /// The datagram ends before the packet does.
    #[error("the Length field says {claimed} octets and {got} came")]
    Truncated {
        /// What the Length field says.
        claimed: u16,
        /// What came.
        got: usize,
    },
    /// An attribute whose length is below 2 or that goes beyond the end of the packet.
    #[error("the attribute at octet {at} does not fit")]
    Attribute {
        /// Where it begins, from the start of the packet.
        at: usize,
    },
}

impl<'a> Packet<'a> {
    /// Octets beyond the Length field are padding and ignored, RFC 2865 §3.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let header: &[u8; LEN_MIN] =
            datagram.first_chunk().ok_or(DecodeError::NoHeader(datagram.len()))?;
        let &[_, _, high, low, ..] = header;
        let claimed = u16::from_be_bytes([high, low]);
        let len = usize::from(claimed);
        if !(LEN_MIN..=LEN_MAX).contains(&len) {
            return Err(DecodeError::Length(claimed));
        }
        let bytes =
            datagram.get(..len).ok_or(DecodeError::Truncated { claimed, got: datagram.len() })?;
        let packet = Self { header, bytes };
        let mut attrs = packet.attrs();
        while attrs.next().is_some() {}
        match attrs.fault() {
            Some(at) => Err(DecodeError::Attribute { at }),
            None => Ok(packet),
        }
    }

    /// What the packet is.
    pub const fn code(&self) -> Code {
        Code(self.header[0])
    }

    /// Matches a reply to its request.
    pub const fn id(&self) -> u8 {
        self.header[1]
    }

    /// The Authenticator field.
    pub fn authenticator(&self) -> &'a Authenticator {
        self.header.last_chunk().expect("a header is longer than its authenticator")
    }

    /// The attributes, in the order of the packet.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.bytes, LEN_MIN)
    }

    /// The first attribute of this type.
    pub fn attr(&self, kind: AttrType) -> Option<Attr<'a>> {
        self.attrs().find(|attr| attr.kind == kind)
    }

    /// The octets of the packet, without padding.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Without values: some are passwords.
impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.code(), self.id())?;
        f.debug_list().entries(self.attrs().map(|attr| attr.kind)).finish()
    }
}
