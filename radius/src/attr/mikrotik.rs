//! Attribute numbers of MikroTik RouterOS ([`super::vendor::Vendor::MIKROTIK`]).

/// Text `rx-rate/tx-rate …`, from the router's view: rx is what the subscriber sends. Numbers are
/// bit/s, or with `k` and `M` thousands and millions of them.
pub const RATE_LIMIT: u8 = 8;

/// Octets to the subscriber after which the session ends.
pub const XMIT_LIMIT: u8 = 2;

/// Octets in both directions after which the session ends, low 32 bits.
pub const TOTAL_LIMIT: u8 = 17;

/// Its high 32 bits.
pub const TOTAL_LIMIT_GIGAWORDS: u8 = 18;

/// Name of a firewall address list that the subscriber is put into.
pub const ADDRESS_LIST: u8 = 19;
