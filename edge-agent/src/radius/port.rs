//! A socket with its duplicate cache, and replies that go out of it.

use std::{
    io,
    io::IoSlice,
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use nix::{
    libc,
    sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg},
};
use radius::{EncodeError, Server, server::Pending};

use super::{
    drops::{DropReason, Tally},
    inbox::Origin,
};

/// Shared by the thread that receives and by the tickets of sessions that are being opened.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) socket: UdpSocket,
    server: Mutex<Server>,
    pub(super) tally: Arc<Tally>,
}

impl Port {
    pub(super) fn new(socket: UdpSocket, tally: Arc<Tally>) -> Self {
        Self { socket, server: Mutex::default(), tally }
    }

    /// Contended only while a ticket completes.
    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a reply for retransmissions and sends it, unless nobody waits for it any more.
    pub(super) fn answer(&self, now: Instant, to: Origin, pending: Pending, reply: &[u8]) {
        if self.server().finish(now, pending, reply) {
            self.send(now, to, reply);
        }
    }

    /// A reply that cannot be written (too many Proxy-States) leaves its request unanswered.
    pub(super) fn or_abandon<'b>(
        &self,
        pending: Pending,
        reply: Result<&'b [u8], EncodeError>,
    ) -> Result<&'b [u8], DropReason> {
        reply.map_err(|error| {
            tracing::debug!(%error, "cannot write a reply");
            self.server().abandon(pending);
            DropReason::NotSent
        })
    }

    pub(super) fn send(&self, now: Instant, to: Origin, reply: &[u8]) {
        let sent = match to.here {
            None => self.socket.send_to(reply, to.peer),
            Some(here) => send_from(&self.socket, here, to, reply),
        };
        match sent {
            Ok(_) => self.tally.reply(reply),
            Err(error) => {
                tracing::debug!(%error, "cannot send to {}", to.peer);
                self.tally.dropped(now, to.peer.ip(), None, DropReason::NotSent);
            }
        }
    }
}

/// Sends from this address of ours and not from the one that the route prefers.
fn send_from(socket: &UdpSocket, here: IpAddr, to: Origin, reply: &[u8]) -> io::Result<usize> {
    let (v4, v6);
    let from = match here {
        IpAddr::V4(here) => {
            let here = libc::in_addr { s_addr: u32::from_ne_bytes(here.octets()) };
            let any = libc::in_addr { s_addr: 0 };
            v4 = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: here, ipi_addr: any };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(here) => {
            let here = libc::in6_addr { s6_addr: here.octets() };
            v6 = libc::in6_pktinfo { ipi6_addr: here, ipi6_ifindex: 0 };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let to = SockaddrStorage::from(to.peer);
    let reply = [IoSlice::new(reply)];
    Ok(sendmsg(socket.as_raw_fd(), &reply, &[from], MsgFlags::empty(), Some(&to))?)
}

/// A reply that waits for something. If it is dropped, the NAS's next attempt is a new request.
#[derive(Debug)]
pub(super) struct Held {
    port: Arc<Port>,
    to: Origin,
    /// `None` when it has gone out.
    pending: Option<Pending>,
    nas: Arc<str>,
    reply: Box<[u8]>,
}

impl Held {
    pub(super) fn new(
        port: &Arc<Port>,
        to: Origin,
        pending: Pending,
        nas: &Arc<str>,
        reply: &[u8],
    ) -> Self {
        Self {
            port: Arc::clone(port),
            to,
            pending: Some(pending),
            nas: Arc::clone(nas),
            reply: Box::from(reply),
        }
    }

    pub(super) fn send(mut self) {
        if let Some(pending) = self.pending.take() {
            self.port.answer(Instant::now(), self.to, pending, &self.reply);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if self.port.server().abandon(pending) {
            let source = self.to.peer.ip().to_canonical();
            let why = DropReason::NotDurable;
            self.port.tally.dropped(Instant::now(), source, Some(&self.nas), why);
        }
    }
}
