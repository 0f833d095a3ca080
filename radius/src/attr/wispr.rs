//! Attribute numbers of WISPr ([`super::vendor::Vendor::WISPR`]).

/// Integer, bit/s from the subscriber.
pub const BANDWIDTH_MAX_UP: u8 = 7;

/// Integer, bit/s to the subscriber.
pub const BANDWIDTH_MAX_DOWN: u8 = 8;

/// Text, where a login page is.
pub const REDIRECTION_URL: u8 = 4;
