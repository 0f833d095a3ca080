//! Raw frames of an interface, and threads that do not wait for others.

#![expect(unsafe_code, reason = "calls that have no wrapper")]

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::{
    libc,
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _,
        bind, recv, send, socket,
    },
};

/// Frames that come in at an interface, and those that go out there.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn open(interface: &str) -> Self {
        let fd = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .expect("root may");
        let index = if_nametoindex(interface).expect("the interface is there");
        // SAFETY: all zeroes is an address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = 17; // AF_PACKET
        address.sll_protocol = 3_u16.to_be(); // ETH_P_ALL
        address.sll_ifindex = i32::try_from(index).expect("indices are small");
        // SAFETY: it points to an address of that length.
        let address = unsafe {
            LinkAddr::from_raw(
                (&raw const address).cast(),
                u32::try_from(size_of_val(&address)).ok(),
            )
        };
        bind(fd.as_raw_fd(), &address.expect("it is a link's")).expect("a new socket");
        let wire = Self(fd);
        // What we send we do not want back.
        wire.set(libc::SOL_PACKET, 23, 1); // PACKET_IGNORE_OUTGOING
        wire.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20);
        wire.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 16 << 20);
        wire
    }

    fn set(&self, level: i32, option: i32, value: i32) {
        // SAFETY: the kernel reads the four bytes of `value`.
        let done = unsafe {
            libc::setsockopt(self.0.as_raw_fd(), level, option, (&raw const value).cast(), 4)
        };
        assert_eq!(done, 0, "socket option {option}: {}", io::Error::last_os_error());
    }

    /// The next frame, if there is one already.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).ok()
    }

    /// `false`: there was no room for it.
    pub(crate) fn send(&self, frame: &[u8]) -> bool {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty()).is_ok()
    }

    /// Until there is a frame, and so long at most.
    pub(crate) fn wait(&self, most: Duration) {
        let mut one = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let most = libc::timespec {
            tv_sec: most.as_secs().cast_signed(),
            tv_nsec: most.subsec_nanos().into(),
        };
        // SAFETY: one descriptor, one time, no signals.
        unsafe { libc::ppoll(&raw mut one, 1, &raw const most, std::ptr::null()) };
    }
}

/// This thread runs when it wants to, and is woken to the microsecond.
pub(crate) fn hurry() {
    let parameter = libc::sched_param { sched_priority: 10 };
    // SAFETY: it is for this thread alone, and the parameter is there.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    assert_eq!(done, 0, "real time: {}", io::Error::last_os_error());
    // SAFETY: it is for this thread alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}
