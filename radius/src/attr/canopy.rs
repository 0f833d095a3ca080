//! Attribute numbers of Canopy, Motorola's and then Cambium's PMP
//! ([`super::vendor::Vendor::MOTOROLA`]). The burst allocations beside them are kbit, not kbit/s.

/// Integer, sustained kbit/s from the subscriber.
pub const UPLINK_BIT_RATE: u8 = 6;

/// Integer, sustained kbit/s to the subscriber.
pub const DOWNLINK_BIT_RATE: u8 = 8;
