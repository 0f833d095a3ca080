//! A way in with its duplicate cache, and replies that go out of it.

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
use radius::{Server, server::Pending};

use super::{
    Role,
    clients::Client,
    drops::{DropReason, Tally},
    hub::Hub,
    inbox::Origin,
};

/// Shared by the thread that receives and by all that answer later.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) role: Role,
    pub(super) hub: Arc<Hub>,
    socket: Arc<UdpSocket>,
    server: Mutex<Server>,
}

impl Port {
    pub(super) fn new(role: Role, hub: Arc<Hub>, socket: Arc<UdpSocket>) -> Self {
        Self { role, hub, socket, server: Mutex::default() }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.hub.tally
    }

    /// Contended only while somebody answers later.
    pub(super) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a reply for retransmissions and sends it, unless nobody waits for it any more.
    pub(super) fn answer(&self, to: Origin, pending: Pending, reply: &[u8]) {
        if self.server().finish(Instant::now(), pending, reply) {
            self.send(to, reply);
        }
    }

    pub(super) fn send(&self, to: Origin, reply: &[u8]) {
        let sent = match to.here {
            None => self.socket.send_to(reply, to.peer),
            Some(here) => send_from(&self.socket, here, to, reply),
        };
        match sent {
            Ok(_) => self.tally().reply(reply),
            Err(error) => {
                tracing::debug!(%error, "cannot send to {}", to.peer);
                self.dropped(Instant::now(), to, None, DropReason::NotSent);
            }
        }
    }

    pub(super) fn dropped(
        &self,
        now: Instant,
        from: Origin,
        client: Option<&Client>,
        why: DropReason,
    ) {
        let nas = client.map(|client| &*client.named.name);
        self.tally().dropped(now, from.peer.ip().to_canonical(), nas, why);
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
