//! Attribute numbers of Aruba ([`super::vendor::Vendor::ARUBA`]).

/// Text, the name of a role that the controller has.
pub const USER_ROLE: u8 = 1;

/// Integer, a VLAN.
pub const USER_VLAN: u8 = 2;
