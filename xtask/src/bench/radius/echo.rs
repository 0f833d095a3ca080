//! Sends every datagram back, or what a closure makes of it: no server can do less.

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
use radius::LEN_MAX;

const BATCH: usize = 64;

type Buffer = [u8; LEN_MAX];

/// Many at a time; until `stop`, or until the socket fails.
pub(super) fn batched(socket: &UdpSocket, stop: &AtomicBool) -> nix::Result<()> {
    answer(socket, stop, |datagram, buffer| {
        let place = buffer.get_mut(..datagram.len())?;
        place.copy_from_slice(datagram);
        Some(datagram.len())
    })
}

/// Many at a time, each answered with what `answer` writes: its length, or nothing.
pub(super) fn answer(
    socket: &UdpSocket,
    stop: &AtomicBool,
    mut answer: impl FnMut(&[u8], &mut Buffer) -> Option<usize>,
) -> nix::Result<()> {
    let mut buffers = vec![[0_u8; LEN_MAX]; BATCH];
    let mut replies = vec![[0_u8; LEN_MAX]; BATCH];
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
        let mut addresses = Vec::with_capacity(BATCH);
        let mut slices = Vec::with_capacity(BATCH);
        for ((buffer, reply), &(from, len)) in buffers.iter().zip(&mut replies).zip(&got) {
            if let Some(len) = answer(buffer.get(..len).unwrap_or_default(), reply) {
                addresses.push(from);
                slices.push([IoSlice::new(reply.get(..len).unwrap_or_default())]);
            }
        }
        sendmmsg(socket.as_raw_fd(), &mut outbound, &slices, &addresses, [], MsgFlags::empty())?;
    }
    Ok(())
}

/// One at a time; until `stop`, or until the socket fails.
pub(super) fn one_by_one(socket: &UdpSocket, stop: &AtomicBool) -> nix::Result<()> {
    let mut buffer = [0_u8; LEN_MAX];
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
