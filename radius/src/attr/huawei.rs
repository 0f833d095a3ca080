//! Attribute numbers of Huawei ([`super::vendor::Vendor::HUAWEI`]). All are integers, bit/s.

/// From the subscriber.
pub const INPUT_AVERAGE_RATE: u8 = 2;

/// To the subscriber.
pub const OUTPUT_AVERAGE_RATE: u8 = 5;
