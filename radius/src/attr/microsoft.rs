//! Attribute numbers of Microsoft ([`super::vendor::Vendor::MICROSOFT`]), RFC 2548.

/// Identifier, flags, LM response, NT response: 50 octets. §2.1.3.
pub const CHAP_RESPONSE: u8 = 1;

/// Identifier, then text like `E=691 R=0 C=… V=3`. §2.1.5.
pub const CHAP_ERROR: u8 = 2;

/// Integer: 1 encryption allowed, 2 required. §2.4.4.
pub const MPPE_ENCRYPTION_POLICY: u8 = 7;

/// Integer, bits: 2 40-bit keys, 4 128-bit keys. §2.4.5.
pub const MPPE_ENCRYPTION_TYPES: u8 = 8;

/// Identifier, then the domain as text. §2.1.4.
pub const CHAP_DOMAIN: u8 = 10;

/// Octets. §2.1.2.
pub const CHAP_CHALLENGE: u8 = 11;

/// LM key and NT key, hidden like a User-Password. §2.4.1.
pub const CHAP_MPPE_KEYS: u8 = 12;

/// Salt-encrypted, see [`crate::salted`]. §2.4.2.
pub const MPPE_SEND_KEY: u8 = 16;

/// Salt-encrypted, see [`crate::salted`]. §2.4.3.
pub const MPPE_RECV_KEY: u8 = 17;

/// Identifier, flags, peer challenge, reserved, response: 50 octets. §2.3.2.
pub const CHAP2_RESPONSE: u8 = 25;

/// Identifier, then `S=` and 40 hexadecimal digits. §2.3.3.
pub const CHAP2_SUCCESS: u8 = 26;

/// IPv4. §2.7.1.
pub const PRIMARY_DNS_SERVER: u8 = 28;

/// IPv4. §2.7.2.
pub const SECONDARY_DNS_SERVER: u8 = 29;
