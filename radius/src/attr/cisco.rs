//! Attribute numbers of Cisco ([`super::vendor::Vendor::CISCO`]).

/// Text `protocol:name=value`; many may be in a packet.
pub const AV_PAIR: u8 = 1;
