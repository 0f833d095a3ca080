//! Sends every datagram back: no server can do less.

use std::{
    array,
    io::{IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvfrom, recvmmsg, sendmmsg, sendto},
};

const BATCH: usize = 64;

/// Many at a time; until `stop`, or until the socket fails.
pub(super) fn batched(socket: &UdpSocket, stop: &AtomicBool) -> nix::Result<()> {
    let mut buffers = vec![[0_u8; 4096]; BATCH];
    let mut inbound: MultiHeaders<SockaddrStorage> = MultiHeaders::preallocate(BATCH, None);
    let mut outbound: MultiHeaders<SockaddrStorage> = MultiHeaders::preallocate(BATCH, None);
    let mut got: Vec<(Option<SockaddrStorage>, usize)> = Vec::with_capacity(BATCH);
    while !stop.load(Ordering::Relaxed) {
        got.clear();
        {
            let mut buffers = buffers.iter_mut();
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = array::from_fn(|_| {
                [IoSliceMut::new(buffers.next().expect("there are as many buffers as slices"))]
            });
            let fd = socket.as_raw_fd();
            let flags = MsgFlags::MSG_WAITFORONE;
            match recvmmsg(fd, &mut inbound, slices.iter_mut(), flags, None) {
                Ok(batch) => got.extend(batch.map(|datagram| (datagram.address, datagram.bytes))),
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(error) => return Err(error),
            }
        }
        let addresses: Vec<_> = got.iter().map(|&(from, _)| from).collect();
        let slices: Vec<_> = buffers
            .iter()
            .zip(&got)
            .map(|(buffer, &(_, len))| [IoSlice::new(buffer.get(..len).unwrap_or_default())])
            .collect();
        sendmmsg(socket.as_raw_fd(), &mut outbound, &slices, &addresses, [], MsgFlags::empty())?;
    }
    Ok(())
}

/// One at a time; until `stop`, or until the socket fails.
pub(super) fn one_by_one(socket: &UdpSocket, stop: &AtomicBool) -> nix::Result<()> {
    let mut buffer = [0_u8; 4096];
    let fd = socket.as_raw_fd();
    while !stop.load(Ordering::Relaxed) {
        match recvfrom::<SockaddrStorage>(fd, &mut buffer) {
            Ok((len, Some(from))) => {
                let datagram = buffer.get(..len).unwrap_or_default();
                sendto(fd, datagram, &from, MsgFlags::empty())?;
            }
            Ok((_, None)) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
