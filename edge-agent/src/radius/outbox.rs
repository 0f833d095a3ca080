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
    /// How often in a row the kernel would not cut segments.
    uncut: u8,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            plain: MultiHeaders::preallocate(BATCH, None),
            from_v4: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in_pktinfo))),
            from_v6: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(libc::in6_pktinfo))),
            uncut: 0,
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
        while let Some(&(to, _)) = self.replies.get(next) {
            let (sent, mut error) = match self.send_some(headers, socket, to, next) {
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

    /// Sends the replies from `next` on that can go together, and says how many have gone.
    fn send_some(
        &self,
        headers: &mut Headers,
        socket: &UdpSocket,
        to: Origin,
        next: usize,
    ) -> io::Result<usize> {
        let alike = self.alike(next);
        if alike > 1 && headers.uncut < UNCUT_MAX {
            if self.send_alike(socket, to, next..next + alike).is_ok() {
                headers.uncut = 0;
                return Ok(alike);
            }
            // Too long for the way there, or a device that cannot: one by one they may go.
            headers.uncut += 1;
            return self.send_run(headers, socket, to.here, next..next + alike);
        }
        let rest = self.replies.iter().enumerate().skip(next + 1).take(BATCH - 1);
        let run = rest.take_while(|&(at, &(other, _))| {
            other.here == to.here && (headers.uncut >= UNCUT_MAX || self.alike(at) == 1)
        });
        self.send_run(headers, socket, to.here, next..next + 1 + run.count())
    }

    /// How many replies from `at` on go the same way and are as long as the first; the last may
    /// be shorter.
    fn alike(&self, at: usize) -> usize {
        let mut replies = self.replies.iter().skip(at).take(BATCH);
        let Some((to, first)) = replies.next() else { return 0 };
        if first.len() > SEGMENT_MAX {
            return 1;
        }
        let mut alike = 1;
        for (other, range) in replies {
            if other != to || range.len() > first.len() {
                break;
            }
            alike += 1;
            if range.len() < first.len() {
                break;
            }
        }
        alike
    }

    /// As one piece that the kernel cuts, or the network card: the way through the kernel is most
    /// of what a reply costs.
    fn send_alike(&self, socket: &UdpSocket, to: Origin, run: Range<usize>) -> io::Result<usize> {
        let replies = self.replies.get(run).unwrap_or_default();
        let (Some((_, first)), Some((_, last))) = (replies.first(), replies.last()) else {
            return Ok(0);
        };
        let octets = self.octets.get(first.start..last.end).unwrap_or_default();
        let len = u16::try_from(first.len()).map_err(io::Error::other)?;
        let cut = ControlMessage::UdpGsoSegments(&len);
        send_with(socket, to, octets, Some(cut))
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

/// Sends one reply, from the address of ours that was asked and not from the one that the route
/// prefers.
pub(super) fn send_one(socket: &UdpSocket, to: Origin, reply: &[u8]) -> io::Result<usize> {
    match to.here {
        None => socket.send_to(reply, to.peer),
        Some(_) => send_with(socket, to, reply, None),
    }
}

fn send_with(
    socket: &UdpSocket,
    to: Origin,
    octets: &[u8],
    cut: Option<ControlMessage<'_>>,
) -> io::Result<usize> {
    let (v4, v6);
    let from = match to.here {
        None => None,
        Some(IpAddr::V4(here)) => {
            v4 = from_v4(here);
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(here)) => {
            v6 = from_v6(here);
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
    };
    let messages = match (from, cut) {
        (None, None) => &[][..],
        (Some(one), None) | (None, Some(one)) => &[one],
        (Some(from), Some(cut)) => &[from, cut],
    };
    let peer = SockaddrStorage::from(to.peer);
    let octets = [IoSlice::new(octets)];
    Ok(sendmsg(socket.as_raw_fd(), &octets, messages, MsgFlags::empty(), Some(&peer))?)
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

/// A segment is not fragmented: what fits every path of IPv6 with room for tunnels.
const SEGMENT_MAX: usize = 1_200;

/// A kernel or device that could not so often cannot.
const UNCUT_MAX: u8 = 16;

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

    #[test]
    fn replies_of_any_length_arrive_one_by_one_and_in_order() {
        let nas = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        nas.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        other.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let mut headers = Headers::new();
        for uncut in [0, UNCUT_MAX] {
            headers.uncut = uncut;
            for here in [None, Some(IpAddr::from([127, 0, 0, 7]))] {
                let lens = [100, 100, 100, 60, 100, 20, 20, 4096, 4096, 1200, 1200, 1201, 1201, 20];
                let mut outbox = Outbox::new();
                for (at, len) in (0_u8..).zip(lens) {
                    let peer = if at % 5 == 4 { &other } else { &nas }.local_addr().unwrap();
                    assert!(outbox.push(Origin { peer, here }, &vec![at; len]));
                }
                let mut sent = Vec::new();
                outbox.send(&mut headers, &socket, |_, reply| sent.push(reply.unwrap().len()));
                assert_eq!(sent, lens);
                for (at, len) in (0_u8..).zip(lens) {
                    let mut buffer = [0; 8192];
                    let receiver = if at % 5 == 4 { &other } else { &nas };
                    let (got, source) = receiver.recv_from(&mut buffer).unwrap();
                    assert_eq!(buffer.get(..got).unwrap(), vec![at; len], "{at}");
                    assert!(here.is_none_or(|here| source.ip() == here), "{source}");
                }
            }
        }
        assert_eq!(headers.uncut, UNCUT_MAX);
    }
}
