//! Attribute numbers of Cambium Networks, ePMP and cnPilot ([`super::vendor::Vendor::CAMBIUM`]).
//! All are integers.

/// VLAN of the subscriber's traffic at an ePMP subscriber module.
pub const DATA_VLAN_ID: u8 = 21;

/// kbit/s from the subscriber.
pub const MAX_BURST_UPLINK_RATE: u8 = 26;

/// kbit/s to the subscriber.
pub const MAX_BURST_DOWNLINK_RATE: u8 = 27;

/// Octets in both directions after which the session ends, low 32 bits.
pub const TRAFFIC_QUOTA_LIMIT_TOTAL: u8 = 155;

/// Its high 32 bits.
pub const TRAFFIC_QUOTA_LIMIT_TOTAL_GIGAWORDS: u8 = 156;
