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
    /// Without a session, or in the walled garden, and allowed there.
    Garden,
    /// A web page that a device without access wanted; it gets the portal.
    Redirected,
    /// Allowed in the garden, but too much of it.
    GardenRate,
    /// A session in the walled garden wants out of it.
    Walled,
    /// It would have gone beyond the account's quota.
    OverQuota,
    /// The session's time is over.
    OverTime,
    /// The session was idle for too long before.
    Idle,
    /// From an address that is another session's, or not this one's.
    Spoofed,
    /// Dropped for one of the reasons above, and the device was told.
    Answered,
    /// The ring of events was full; the edge finds out when it looks around.
    EventLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
}

impl Reason {
    pub const ALL: [Self; 20] = [
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
        Self::Garden,
        Self::Redirected,
        Self::GardenRate,
        Self::Walled,
        Self::OverQuota,
        Self::OverTime,
        Self::Idle,
        Self::Spoofed,
        Self::Answered,
        Self::EventLost,
    ];

    /// No wildcard arm: a new reason does not compile until somebody decides about it.
    pub const fn action(self) -> Action {
        match self {
            Self::NotIp
            | Self::Bootstrap
            | Self::Marked
            | Self::Garden
            | Self::Redirected
            | Self::Answered
            | Self::EventLost => Action::Pass,
            Self::Malformed
            | Self::Unknown
            | Self::Group
            | Self::Blocked
            | Self::QueueFull
            | Self::Congested
            | Self::NoSlot
            | Self::GardenRate
            | Self::Walled
            | Self::OverQuota
            | Self::OverTime
            | Self::Idle
            | Self::Spoofed => Action::Drop,
        }
    }

    /// Whether the device is to be told: it would else wait until it gives up by itself.
    pub const fn is_told(self) -> bool {
        match self {
            Self::Unknown
            | Self::Blocked
            | Self::Walled
            | Self::OverQuota
            | Self::OverTime
            | Self::Idle => true,
            Self::NotIp
            | Self::Malformed
            | Self::Bootstrap
            | Self::Group
            | Self::QueueFull
            | Self::Congested
            | Self::Marked
            | Self::NoSlot
            | Self::Garden
            | Self::Redirected
            | Self::GardenRate
            | Self::Spoofed
            | Self::Answered
            | Self::EventLost => false,
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
            Self::Garden => "garden",
            Self::Redirected => "redirected",
            Self::GardenRate => "garden_rate",
            Self::Walled => "walled",
            Self::OverQuota => "over_quota",
            Self::OverTime => "over_time",
            Self::Idle => "idle",
            Self::Spoofed => "spoofed",
            Self::Answered => "answered",
            Self::EventLost => "event_lost",
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
