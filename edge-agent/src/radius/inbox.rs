//! Datagrams, received many at a time.

use std::{
    array, io,
    io::IoSliceMut,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use radius::LEN_MAX;

/// Buffers for one batch.
#[derive(Debug)]
pub(super) struct Inbox {
    buffers: Box<[[u8; LEN_MAX]]>,
    headers: MultiHeaders<SockaddrStorage>,
    got: Vec<(SocketAddr, usize)>,
}

/// Half of what batching gains is gained at 8 and nearly all at 32; this is 128 KiB per thread.
const BATCH: usize = 32;

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![[0; LEN_MAX]; BATCH].into_boxed_slice(),
            headers: MultiHeaders::preallocate(BATCH, None),
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
            let from = datagram.address.as_ref().and_then(internet);
            // An empty place keeps the following ones where they are.
            let from = from.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            self.got.push((from, datagram.bytes));
        }
        Ok(())
    }

    /// What came, and from where.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.got
            .iter()
            .zip(&self.buffers)
            .map(|(&(from, len), buffer)| (from, buffer.get(..len).unwrap_or_default()))
    }
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    Some(SocketAddr::V6(SocketAddrV6::from(*address.as_sockaddr_in6()?)))
}
