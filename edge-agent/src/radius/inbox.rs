//! Datagrams, received many at a time.

use std::{
    array, io,
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd as _,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
    },
};
use radius::LEN_MAX;

/// Where a datagram came from, and so where its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) peer: SocketAddr,
    /// Which of our addresses it was sent to, where the socket has them all: the reply has to
    /// leave from there, or the NAS does not know it.
    pub(super) here: Option<IpAddr>,
}

/// Buffers for one batch.
#[derive(Debug)]
pub(super) struct Inbox {
    buffers: Box<[[u8; LEN_MAX]]>,
    headers: MultiHeaders<SockaddrStorage>,
    got: Vec<(Origin, usize)>,
}

/// Half of what batching gains is gained at 8 and nearly all at 32; this is 128 KiB per thread.
pub(super) const BATCH: usize = 32;

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![[0; LEN_MAX]; BATCH].into_boxed_slice(),
            headers: MultiHeaders::preallocate(
                BATCH,
                Some(cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo)),
            ),
            got: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for a datagram, at most the socket's read time-out, and takes those that are there.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.got.clear();
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = array::from_fn(|_| {
            [IoSliceMut::new(buffers.next().expect("there are as many buffers as slices"))]
        });
        let datagrams = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            MsgFlags::MSG_WAITFORONE,
            None,
        )?;
        for datagram in datagrams {
            // What is longer than a packet can be is cut; beyond that there is only padding.
            // An unknown origin is nobody's, and keeps the place in the row.
            let peer = datagram.address.as_ref().and_then(internet);
            let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            self.got.push((Origin { peer, here: destination(&datagram) }, datagram.bytes));
        }
        Ok(())
    }

    /// What came, and from where.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (Origin, &[u8])> {
        self.got
            .iter()
            .zip(&self.buffers)
            .map(|(&(origin, len), buffer)| (origin, buffer.get(..len).unwrap_or_default()))
    }
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    Some(SocketAddr::V6(SocketAddrV6::from(*address.as_sockaddr_in6()?)))
}

/// Said only by sockets that are bound to all addresses.
fn destination(datagram: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    datagram.cmsgs().ok()?.find_map(|message| {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
            Some(IpAddr::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())))
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
            Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
        } else {
            None
        }
    })
}
