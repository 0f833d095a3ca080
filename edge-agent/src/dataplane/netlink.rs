//! As much of rtnetlink as queues need: messages by hand, many in one call.

use std::{
    io, iter,
    os::fd::{AsFd as _, BorrowedFd},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// A request under construction.
#[derive(Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
}

/// What the kernel answers to a question: the message's type and what follows its header.
pub(super) type Answer = (u16, Vec<u8>);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// One that is told of neighbours.
    pub(super) fn neighbours() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.add_membership(RTNLGRP_NEIGH)?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What has been told since; nothing if nothing was.
    pub(super) fn told(&self) -> io::Result<Vec<Answer>> {
        match self.receive() {
            Ok(messages) => {
                Ok(messages.into_iter().map(|message| (message.kind, message.payload)).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sends all, waits until the kernel has done all, and returns the first error.
    pub(super) fn run(&mut self, mut requests: Vec<Request>) -> io::Result<()> {
        // One answer for a batch: a receive buffer holds a few hundred. Errors come unasked.
        for batch in requests.chunks_mut(BATCH) {
            let mut bytes = Vec::new();
            let last = batch.len().saturating_sub(1);
            for (index, request) in batch.iter_mut().enumerate() {
                self.sequence = self.sequence.wrapping_add(1);
                request.finish(self.sequence, if index == last { NLM_F_ACK } else { 0 });
                bytes.append(&mut request.bytes);
            }
            self.socket.send(&bytes, 0)?;
            self.until_acknowledged()?;
        }
        Ok(())
    }

    /// Asks for everything of a kind.
    pub(super) fn dump(&mut self, mut request: Request) -> io::Result<Vec<Answer>> {
        self.sequence = self.sequence.wrapping_add(1);
        request.finish(self.sequence, NLM_F_DUMP);
        self.socket.send(&request.bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            for message in self.receive()? {
                match message.kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => return Err(message.error()),
                    kind => answers.push((kind, message.payload)),
                }
            }
        }
    }

    /// Asks for one thing.
    pub(super) fn ask(&mut self, mut request: Request) -> io::Result<Answer> {
        self.sequence = self.sequence.wrapping_add(1);
        request.finish(self.sequence, 0);
        self.socket.send(&request.bytes, 0)?;
        loop {
            let mut messages = self.receive()?.into_iter();
            if let Some(message) = messages.find(|it| it.sequence == self.sequence) {
                return match message.kind {
                    NLMSG_ERROR => Err(message.error()),
                    kind => Ok((kind, message.payload)),
                };
            }
        }
    }

    /// About an interface.
    pub(super) fn link(&mut self, index: u32) -> io::Result<Link> {
        let answers = self.dump(Request::new(GETLINK, 0, &ifinfomsg(0)))?;
        answers
            .iter()
            .find(|(_, payload)| u32_at(payload, 4) == Some(index))
            .and_then(|(_, payload)| {
                let length = attributes(payload, IFINFOMSG).find(|&(kind, _)| kind == IFLA_TXQLEN);
                Some(Link { kind: u16_at(payload, 2)?, queue_length: u32_at(length?.1, 0)? })
            })
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn until_acknowledged(&mut self) -> io::Result<()> {
        let mut first = None;
        loop {
            for message in self.receive()? {
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let error = message.error();
                if error.raw_os_error() != Some(0) {
                    first.get_or_insert(error);
                }
                // The last of a batch is always answered, and in its turn.
                if message.sequence == self.sequence {
                    return first.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn receive(&self) -> io::Result<Vec<Message>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        Ok(iter::from_fn(|| {
            let length = usize::try_from(u32_at(rest, 0)?).ok()?;
            let message = Message {
                kind: u16_at(rest, 4)?,
                sequence: u32_at(rest, 8)?,
                payload: rest.get(HEADER..length)?.to_vec(),
            };
            rest = rest.get(aligned(length)..).unwrap_or_default();
            Some(message)
        })
        .collect())
    }
}

/// An interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// An `ARPHRD_…`: what its frames look like.
    pub(super) kind: u16,
    pub(super) queue_length: u32,
}

struct Message {
    kind: u16,
    sequence: u32,
    payload: Vec<u8>,
}

impl Message {
    fn error(&self) -> io::Error {
        let code = u32_at(&self.payload, 0).map_or(0, u32::cast_signed);
        io::Error::from_raw_os_error(code.saturating_neg())
    }
}

impl Request {
    /// `flags` beside those that go without saying.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Self { bytes }
    }

    #[must_use]
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(attribute(kind, value));
        self
    }

    fn finish(&mut self, sequence: u32, flags: u16) {
        let length = u32::try_from(self.bytes.len()).expect("our messages are short");
        let flags = flags | u16_at(&self.bytes, 6).unwrap_or_default();
        if let Some(header) = self.bytes.first_chunk_mut::<HEADER>() {
            header[..4].copy_from_slice(&length.to_ne_bytes());
            header[6..8].copy_from_slice(&flags.to_ne_bytes());
            header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        }
    }
}

pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = ATTRIBUTE + value.len();
    let mut bytes = Vec::with_capacity(aligned(length));
    bytes.extend(u16::try_from(length).expect("our attributes are short").to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(length), 0);
    bytes
}

/// The attributes behind a fixed part of `fixed` bytes.
pub(super) fn attributes(payload: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = payload.get(aligned(fixed)..).unwrap_or_default();
    iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)?;
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// `struct ifinfomsg`.
pub(super) fn ifinfomsg(index: u32) -> [u8; IFINFOMSG] {
    let mut bytes = [0; IFINFOMSG];
    if let Some(field) = bytes.chunks_exact_mut(4).nth(1) {
        field.copy_from_slice(&index.to_ne_bytes());
    }
    bytes
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// `NLM_F_CREATE`: make what is not there.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_EXCL`: but only then.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_REPLACE`: put it in the place of what is there.
pub(super) const REPLACE: u16 = 0x100;

/// `RTM_NEWNEIGH`.
pub(super) const NEWNEIGH: u16 = 28;
const RTNLGRP_NEIGH: u32 = 3;
/// `RTM_NEWLINK`.
pub(super) const NEWLINK: u16 = 16;
/// `RTM_GETLINK`.
const GETLINK: u16 = 18;
pub(super) const IFLA_TXQLEN: u16 = 13;
/// `ARPHRD_ETHER`.
pub(super) const ETHERNET: u16 = 1;
/// `ARPHRD_PPP`, `ARPHRD_RAWIP`, `ARPHRD_NONE`: IP and nothing around it.
pub(super) const BARE: [u16; 3] = [512, 519, 0xfffe];
const IFINFOMSG: usize = 16;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE: usize = 4;

/// Requests in one call.
const BATCH: usize = 256;
