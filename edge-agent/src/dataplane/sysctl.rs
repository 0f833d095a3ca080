//! The one kernel setting that shaping uploads needs.
//!
//! `skb->priority`, set where a packet comes in, chooses its queue where it goes out. Forwarding
//! IPv4 overwrites it unless `net.ipv4.ip_forward_update_priority` is 0 (IPv6 never does).

use std::fs;

use super::{DataplaneError, Within};

const PATH: &str = "/proc/sys/net/ipv4/ip_forward_update_priority";

/// Keeps priorities across forwarding. What was there before comes back as a number for
/// [`restore`].
pub(super) fn keep_priority() -> Result<u64, DataplaneError> {
    let before = fs::read_to_string(PATH).within(|| format!("read {PATH}"))?;
    let before = before.trim().parse().within(|| format!("read a number in {PATH}"))?;
    if before != 0 {
        write(0)?;
    }
    Ok(before)
}

pub(super) fn restore(before: u64) -> Result<(), DataplaneError> {
    write(before)
}

fn write(value: u64) -> Result<(), DataplaneError> {
    fs::write(PATH, value.to_string()).within(|| format!("write {value} to {PATH}"))
}
