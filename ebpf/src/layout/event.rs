//! What the programs tell the edge at once (pure).

use super::Address;

/// Something happened to a session or a device.
///
/// A ring buffer can be full: then the event is lost, and counted as
/// [`Reason::EventLost`](crate::verdict::Reason::EventLost). What happened to a session also stands
/// as a bit in its state or in its account's, where the edge finds it when it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// An [`EventKind`].
    pub kind: u32,
    pub slot: u32,
    /// Its account, or zero.
    pub account: u32,
    pub reserved: u32,
    /// `CLOCK_MONOTONIC`.
    pub at: u64,
    /// [`Device`](super::Device) that the packet came from, of events without a session.
    pub device: u64,
    /// Where the packet came from, likewise.
    pub address: Address,
}

/// Each is also a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct EventKind(pub u32);

impl EventKind {
    /// The first packet that would have gone beyond the account's quota.
    pub const QUOTA: Self = Self(1);
    /// The first packet at or beyond the account's step.
    pub const STEP: Self = Self(2);
    /// The first packet after the session's time.
    pub const TIME: Self = Self(4);
    /// The first packet after the session's idle time.
    pub const IDLE: Self = Self(8);
    /// A device without a session has sent something.
    pub const STRANGER: Self = Self(16);
    /// A session has sent from an address that is not its own.
    pub const SPOOFED: Self = Self(32);
    /// A [`DnsAnswer`].
    pub const DNS: Self = Self(64);

    pub const fn bit(self) -> u64 {
        self.0 as u64
    }
}

/// An answer to somebody in the walled garden: the names in it may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DnsAnswer {
    /// [`EventKind::DNS`].
    pub kind: u32,
    /// How much of `message` is filled.
    pub length: u32,
    /// The DNS message from its header on.
    pub message: [u8; DNS_BYTES_MAX],
}

/// What fits into a packet without EDNS.
pub const DNS_BYTES_MAX: usize = 512;

impl Event {
    /// As it comes out of the ring; `None` if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        if bytes.len() < size_of::<Self>() || word(0)? == EventKind::DNS.0 {
            return None;
        }
        Some(Self {
            kind: word(0)?,
            slot: word(4)?,
            account: word(8)?,
            reserved: 0,
            at: long(16)?,
            device: long(24)?,
            address: Address::from_octets(*bytes.get(32..)?.first_chunk()?),
        })
    }
}

impl DnsAnswer {
    /// The message in what comes out of the ring; `None` if it is something else.
    pub fn message(bytes: &[u8]) -> Option<&[u8]> {
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        if word(0)? != EventKind::DNS.0 {
            return None;
        }
        bytes.get(8..)?.get(..usize::try_from(word(4)?).ok()?)
    }
}

const _: () = assert!(size_of::<Event>() == 48);
const _: () = assert!(core::mem::offset_of!(Event, at) == 16);
const _: () = assert!(core::mem::offset_of!(Event, address) == 32);
const _: () = assert!(core::mem::offset_of!(DnsAnswer, message) == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_as_they_went_in() {
        let mut bytes = [0_u8; 48];
        bytes[0] = 4;
        bytes[4] = 9;
        bytes[16] = 7;
        bytes[24] = 2;
        bytes[47] = 1;
        let event = Event::from_bytes(&bytes).unwrap();
        assert_eq!((event.kind, event.slot, event.at, event.device), (4, 9, 7, 2));
        assert_eq!(event.address.octets()[15], 1);
        assert_eq!(Event::from_bytes(&bytes[..47]), None);
        assert_eq!(DnsAnswer::message(&bytes), None);
        bytes[0] = 64;
        bytes[4] = 2;
        assert_eq!(DnsAnswer::message(&bytes), Some(&bytes[8..10]));
        assert_eq!(Event::from_bytes(&bytes), None);
        bytes[4] = 200;
        assert_eq!(DnsAnswer::message(&bytes), None);
    }
}
