//! Why a packet is not simply counted and passed on: one table from reason to action (pure).

/// Numbers the [`VERDICTS`](crate::layout::VERDICTS) map: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// ARP and whatever else is not IP.
    NotIp,
    /// Too short for the headers it claims to have.
    Malformed,
    /// No session has this device.
    Unknown,
    /// No session has this device, but it may ask for an address and log in.
    Bootstrap,
    /// Multicast or broadcast that is nobody's.
    Group,
    /// The session's class lets nothing through.
    Blocked,
    /// The virtual queue is full.
    QueueFull,
    /// CoDel: the virtual queue has been long for too long.
    Congested,
    /// As `Congested` or about to be, said by a mark.
    Marked,
    /// The device's slot is beyond the arrays.
    NoSlot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::NotIp,
        Self::Malformed,
        Self::Unknown,
        Self::Bootstrap,
        Self::Group,
        Self::Blocked,
        Self::QueueFull,
        Self::Congested,
        Self::Marked,
        Self::NoSlot,
    ];

    /// No wildcard arm: a new reason does not compile until somebody decides about it.
    pub const fn action(self) -> Action {
        match self {
            Self::NotIp | Self::Bootstrap | Self::Marked => Action::Pass,
            Self::Malformed
            | Self::Unknown
            | Self::Group
            | Self::Blocked
            | Self::QueueFull
            | Self::Congested
            | Self::NoSlot => Action::Drop,
        }
    }

    /// Index in the counter array.
    pub const fn counter(self) -> u32 {
        self as u32
    }

    /// In metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown_device",
            Self::Bootstrap => "bootstrap",
            Self::Group => "group",
            Self::Blocked => "blocked",
            Self::QueueFull => "queue_full",
            Self::Congested => "congested",
            Self::Marked => "marked",
            Self::NoSlot => "no_slot",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_at_its_counter() {
        for (index, reason) in (0..).zip(Reason::ALL) {
            assert_eq!(reason.counter(), index, "{}", reason.name());
        }
    }
}
