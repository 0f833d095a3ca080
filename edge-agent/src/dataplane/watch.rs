//! What the kernel tells without being asked: events of the data plane, and neighbours.
//!
//! A thread each; both end with the channel or when the daemon stops. What is missed costs nothing
//! but time: sessions are looked at each second, and neighbours are told again when they speak.

use std::{
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Arc, mpsc::SyncSender},
    thread,
    time::Instant,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shared::{
    daemon::{Chain, Life},
    net::Mac,
};

use super::{
    bpf::{Events, Names, Notice},
    netlink::{self, Netlink},
};
use crate::{desired::Current, sessions::event::Event};

/// Passes on what the programs tell.
pub fn events(
    mut ring: Events,
    mut names: Names,
    current: Current,
    to: SyncSender<Event>,
    life: Life,
) -> std::io::Result<()> {
    let run = move || {
        while !life.is_stopping() {
            wait(ring.as_fd());
            let mut happened = false;
            while let Some(notice) = ring.take() {
                match notice {
                    Notice::Session { .. } => happened = true,
                    Notice::Names(message) => {
                        let snapshot = current.load();
                        let listed = &snapshot.garden().names;
                        if let Err(error) = names.learn(&message, listed, Instant::now()) {
                            tracing::warn!(error = %Chain(&error), "a name stays closed");
                        }
                    }
                    Notice::Stranger { mac, address } => {
                        tracing::debug!(%mac, %address, "a device without a session is there");
                    }
                    Notice::Spoofed { mac, address } => {
                        tracing::warn!(%mac, %address, "a device sends from what is not its own");
                    }
                }
            }
            // Full: each second they are looked at anyway.
            if happened {
                let _full = to.try_send(Event::Kernel);
            }
            if let Err(error) = names.forget(Instant::now()) {
                tracing::warn!(error = %Chain(&error), "a name stays open");
            }
        }
    };
    thread::Builder::new().name("kernel-events".to_owned()).spawn(run).map(drop)
}

/// Passes on which device has which address on these interfaces.
pub fn neighbours(
    interfaces: Arc<[String]>,
    to: SyncSender<Event>,
    life: Life,
) -> std::io::Result<()> {
    let netlink = Netlink::neighbours()?;
    let run = move || {
        while !life.is_stopping() {
            wait(netlink.descriptor());
            let told = match netlink.told() {
                Ok(told) => told,
                Err(error) => {
                    // More was told than the socket holds: it will be told again.
                    tracing::debug!(%error, "neighbours are missed");
                    continue;
                }
            };
            for (kind, payload) in told {
                if kind != netlink::NEWNEIGH {
                    continue;
                }
                let Some((index, ip, mac)) = neighbour(&payload) else { continue };
                let is_ours = interfaces
                    .iter()
                    .any(|name| nix::net::if_::if_nametoindex(name.as_str()) == Ok(index));
                if is_ours {
                    let _full = to.try_send(Event::Neighbour { mac, ip });
                }
            }
        }
    };
    thread::Builder::new().name("neighbours".to_owned()).spawn(run).map(drop)
}

/// Until there is something to read, but not for ever.
fn wait(descriptor: BorrowedFd<'_>) {
    let mut wanted = [PollFd::new(descriptor, PollFlags::POLLIN)];
    // A signal is as good as a time-out.
    let _interrupted = poll(&mut wanted, PollTimeout::from(POLL_MS));
}

/// `struct ndmsg` and its attributes: where, who, which device. `None` of one that is not there.
fn neighbour(payload: &[u8]) -> Option<(u32, IpAddr, Mac)> {
    let index = netlink::u32_at(payload, 4)?;
    let state = u16::from_ne_bytes(*payload.get(8..)?.first_chunk()?);
    if state & NUD_REACHED == 0 {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for (kind, value) in netlink::attributes(payload, NDMSG) {
        match kind {
            NDA_DST => {
                ip = <[u8; 4]>::try_from(value).map(IpAddr::from).ok();
                ip = ip.or_else(|| <[u8; 16]>::try_from(value).map(IpAddr::from).ok());
            }
            NDA_LLADDR => mac = <[u8; 6]>::try_from(value).map(Mac).ok(),
            _ => {}
        }
    }
    Some((index, ip?, mac?))
}

/// How often it is looked whether the daemon stops.
const POLL_MS: u8 = 200;

/// Reachable, stale, delay, probe, permanent.
const NUD_REACHED: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
const NDMSG: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_read() {
        let mut bytes = vec![2, 0, 0, 0];
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(0x04_u16.to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend(netlink::attribute(NDA_DST, &[10, 0, 0, 9]));
        bytes.extend(netlink::attribute(NDA_LLADDR, &[2, 0, 0, 0, 0, 1]));
        let expected = (7, IpAddr::from([10, 0, 0, 9]), Mac([2, 0, 0, 0, 0, 1]));
        assert_eq!(neighbour(&bytes), Some(expected));
        // Failed.
        bytes[8] = 0x20;
        assert_eq!(neighbour(&bytes), None);
        assert_eq!(neighbour(&bytes[..5]), None);
    }
}
