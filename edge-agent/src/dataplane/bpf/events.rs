//! What the kernel tells without being asked.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, RingBuf};
use ebpf::layout::{Device, DnsAnswer, Event, EventKind};
use shared::net::Mac;

use crate::dataplane::{AccountNumber, DataplaneError, Slot, Within, garden::address};

/// The ring of events.
pub struct Events(RingBuf<MapData>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something happened to a session or its account: its counters say what.
    Session { slot: Slot, account: Option<AccountNumber> },
    /// A device without a session has sent something from this address.
    Stranger { mac: Mac, address: std::net::IpAddr },
    /// Somebody has sent from an address that is not theirs.
    Spoofed { mac: Mac, address: std::net::IpAddr },
    /// A DNS message to somebody in the walled garden.
    Names(Vec<u8>),
}

impl Events {
    pub(super) fn open(map: Map) -> Result<Self, DataplaneError> {
        RingBuf::try_from(map).within(|| "open the ring of events".to_owned()).map(Self)
    }

    /// What has come since; `None` when there is no more for now.
    pub fn take(&mut self) -> Option<Notice> {
        loop {
            let item = self.0.next()?;
            if let Some(notice) = notice(&item) {
                return Some(notice);
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn notice(bytes: &[u8]) -> Option<Notice> {
    if let Some(message) = DnsAnswer::message(bytes) {
        return Some(Notice::Names(message.to_vec()));
    }
    let event = Event::from_bytes(bytes)?;
    let (mac, from) = (Mac(Device(event.device).mac()), address(event.address));
    match EventKind(event.kind) {
        EventKind::QUOTA | EventKind::STEP | EventKind::TIME | EventKind::IDLE => {
            let account = (event.account != 0).then_some(AccountNumber(event.account));
            Some(Notice::Session { slot: Slot(event.slot), account })
        }
        EventKind::STRANGER => Some(Notice::Stranger { mac, address: from }),
        EventKind::SPOOFED => Some(Notice::Spoofed { mac, address: from }),
        _ => None,
    }
}
