//! Replies of one socket, sent many at a time.

use std::{
    array, io,
    io::IoSlice,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    ops::Range,
    os::fd::AsRawFd as _,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg},
};

use super::inbox::{BATCH, Origin};

/// What waits for the end of its batch.
#[derive(Debug)]
pub(super) struct Outbox {
    octets: Vec<u8>,
    replies: Vec<(Origin, Range<usize>)>,
    peers: Vec<Option<SockaddrStorage>>,
}

/// What the kernel is handed, made once. It stays in its thread.
#[derive(Debug)]
pub(super) struct Headers {
    plain: MultiHeaders<SockaddrStorage>,
    /// For replies that leave from an address that is not the route's choice.
    from_v4: MultiHeaders<SockaddrStorage>,
    from_v6: MultiHeaders<SockaddrStorage>,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            plain: MultiHeaders::preallocate(BATCH, None),
            from_v4: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in_pktinfo))),
            from_v6: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in6_pktinfo))),
        }
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            octets: Vec::new(),
            replies: Vec::with_capacity(BATCH),
            peers: Vec::with_capacity(BATCH),
        }
    }

    /// `false` when it is full.
    pub(super) fn push(&mut self, to: Origin, reply: &[u8]) -> bool {
        if self.replies.len() >= REPLIES_MAX {
            return false;
        }
        let begin = self.octets.len();
        self.octets.extend_from_slice(reply);
        self.replies.push((to, begin..self.octets.len()));
        self.peers.push(Some(SockaddrStorage::from(to.peer)));
        true
    }

    /// Sends all, and says of each what has become of it.
    pub(super) fn send(
        &mut self,
        headers: &mut Headers,
        socket: &UdpSocket,
        mut done: impl FnMut(Origin, io::Result<&[u8]>),
    ) {
        let mut next = 0;
        while let Some(&(Origin { here, .. }, _)) = self.replies.get(next) {
            let replies = self.replies.get(next..).unwrap_or_default();
            let run = replies.iter().take(BATCH).take_while(|(to, _)| to.here == here).count();
            let (sent, mut error) = match self.send_run(headers, socket, here, next..next + run) {
                Ok(sent) => (sent.max(1), None),
                // Of the first one: those behind it have their own chance.
                Err(error) => (1, Some(error)),
            };
            for (to, range) in self.replies.iter().skip(next).take(sent) {
                let octets = self.octets.get(range.clone()).unwrap_or_default();
                done(*to, error.take().map_or(Ok(octets), Err));
            }
            next += sent;
        }
        self.octets.clear();
        self.replies.clear();
        self.peers.clear();
    }

    /// How many of these, which all leave from `here`, went out.
    fn send_run(
        &self,
        headers: &mut Headers,
        socket: &UdpSocket,
        here: Option<IpAddr>,
        run: Range<usize>,
    ) -> io::Result<usize> {
        let replies = self.replies.get(run.clone()).unwrap_or_default();
        let slices: [[IoSlice<'_>; 1]; BATCH] = array::from_fn(|at| {
            let range = replies.get(at).map_or(0..0, |(_, range)| range.clone());
            [IoSlice::new(self.octets.get(range).unwrap_or_default())]
        });
        let slices = slices.iter().take(replies.len());
        let peers = self.peers.get(run).unwrap_or_default();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let sent = match here {
            None => sendmmsg(fd, &mut headers.plain, slices, peers, [], flags)?.count(),
            Some(IpAddr::V4(here)) => {
                let info = from_v4(here);
                let from = [ControlMessage::Ipv4PacketInfo(&info)];
                sendmmsg(fd, &mut headers.from_v4, slices, peers, from, flags)?.count()
            }
            Some(IpAddr::V6(here)) => {
                let info = from_v6(here);
                let from = [ControlMessage::Ipv6PacketInfo(&info)];
                sendmmsg(fd, &mut headers.from_v6, slices, peers, from, flags)?.count()
            }
        };
        Ok(sent)
    }
}

/// Sends one reply, from this address of ours and not from the one that the route prefers.
pub(super) fn send_one(socket: &UdpSocket, to: Origin, reply: &[u8]) -> io::Result<usize> {
    let (v4, v6);
    let from = match to.here {
        None => return socket.send_to(reply, to.peer),
        Some(IpAddr::V4(here)) => {
            v4 = from_v4(here);
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        Some(IpAddr::V6(here)) => {
            v6 = from_v6(here);
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let peer = SockaddrStorage::from(to.peer);
    let reply = [IoSlice::new(reply)];
    Ok(sendmsg(socket.as_raw_fd(), &reply, &[from], MsgFlags::empty(), Some(&peer))?)
}

fn from_v4(here: Ipv4Addr) -> libc::in_pktinfo {
    libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(here.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    }
}

fn from_v6(here: Ipv6Addr) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: here.octets() }, ipi6_ifindex: 0 }
}

/// A batch of requests has as many replies; others may add theirs meanwhile.
const REPLIES_MAX: usize = 2 * BATCH;

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use super::*;

    #[test]
    fn what_cannot_be_sent_does_not_hold_up_what_is_behind_it() {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let nas = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        nas.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let peer = nas.local_addr().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let own = |octet| Some(IpAddr::from([127, 0, 0, octet]));
        let mut outbox = Outbox::new();
        let queue = [
            (peer, None, "one"),
            (nowhere, None, "lost"),
            (peer, None, "two"),
            (peer, own(5), "three"),
            (peer, own(5), "four"),
            (peer, own(6), "five"),
            (peer, None, "six"),
        ];
        for (peer, here, text) in queue {
            assert!(outbox.push(Origin { peer, here }, text.as_bytes()));
        }
        let mut lost = Vec::new();
        outbox.send(&mut Headers::new(), &socket, |to, sent| {
            if sent.is_err() {
                lost.push(to.peer);
            }
        });
        assert_eq!(lost, [nowhere]);
        for (text, from) in
            [("one", 1), ("two", 1), ("three", 5), ("four", 5), ("five", 6), ("six", 1)]
        {
            let mut buffer = [0; 16];
            let (len, source) = nas.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer.get(..len).unwrap(), text.as_bytes());
            assert_eq!(source.ip(), IpAddr::from([127, 0, 0, from]), "{text}");
        }
    }
}
