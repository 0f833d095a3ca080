//! Interface counters, as IP bytes (pure).

use std::ops::Sub;

use serde::Serialize;

/// What an interface sent and received. From a subscriber's side: received is *down*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub down_bytes: u64,
    pub up_bytes: u64,
    pub down_packets: u64,
    pub up_packets: u64,
}

impl Counters {
    /// Out of `/proc/net/dev`, less an Ethernet header for each frame. Exact only where each
    /// packet is one frame: with segmentation offload on, many share one header.
    pub(super) fn find(table: &str, interface: &str) -> Option<Self> {
        let (_, numbers) = table
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == interface)?;
        let mut numbers = numbers.split_whitespace().map(|number| number.parse::<u64>().ok());
        let down_frames_bytes = numbers.next()??;
        let down_packets = numbers.next()??;
        let up_frames_bytes = numbers.nth(6)??;
        let up_packets = numbers.next()??;
        Some(Self {
            down_bytes: down_frames_bytes.checked_sub(down_packets * ETHERNET_HEADER)?,
            up_bytes: up_frames_bytes.checked_sub(up_packets * ETHERNET_HEADER)?,
            down_packets,
            up_packets,
        })
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            down_bytes: self.down_bytes - before.down_bytes,
            up_bytes: self.up_bytes - before.up_bytes,
            down_packets: self.down_packets - before.down_packets,
            up_packets: self.up_packets - before.up_packets,
        }
    }
}

const ETHERNET_HEADER: u64 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_table_is_read_and_headers_are_taken_off() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
            lo:       0       0    0    0    0     0          0         0        0       0    0    0\n  \
            eth0:    1514      1    0    0    0     0          0         0     1094      11    0    0\n";
        let want = Counters { down_bytes: 1500, up_bytes: 940, down_packets: 1, up_packets: 11 };
        assert_eq!(Counters::find(table, "eth0"), Some(want));
        assert_eq!(Counters::find(table, "eth1"), None);
    }
}
