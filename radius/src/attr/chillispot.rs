//! Attribute numbers of ChilliSpot and CoovaChilli ([`super::vendor::Vendor::CHILLISPOT`]).
//! All are integers.

/// Octets in both directions after which the session ends, low 32 bits.
pub const MAX_TOTAL_OCTETS: u8 = 3;

/// Its high 32 bits.
pub const MAX_TOTAL_GIGAWORDS: u8 = 23;

/// kbit/s from the subscriber.
pub const BANDWIDTH_MAX_UP: u8 = 4;

/// kbit/s to the subscriber.
pub const BANDWIDTH_MAX_DOWN: u8 = 5;
