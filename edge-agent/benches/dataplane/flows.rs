//! TCP as fast as it goes, and how much of it arrives.

#![expect(unsafe_code, reason = "a socket option that has no wrapper")]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    sheet::float,
    world::{Side, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) way: Way,
    pub(crate) count: usize,
    /// As the kernel names it.
    pub(crate) congestion: &'static str,
    /// Payload bits per second that each sends at most.
    pub(crate) pace: Option<u64>,
}

/// Flows between the client and the server until it is dropped.
pub(crate) struct Flows {
    streams: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
    arrived: Arc<AtomicU64>,
}

impl Flows {
    pub(crate) fn start(world: &World, kind: Kind) -> Self {
        let mut flows = Self { streams: Vec::new(), threads: Vec::new(), arrived: Arc::default() };
        // All stand before the first one sends: what stops one must not stop the next from coming.
        for (sender, receiver) in Self::pairs(world, kind) {
            flows.run(sender, receiver);
        }
        flows
    }

    /// Who sends and who receives of each.
    pub(crate) fn pairs(world: &World, kind: Kind) -> Vec<(TcpStream, TcpStream)> {
        let listener = world.inside(Side::Server, || {
            let socket = socket(kind);
            let any: SocketAddr = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into();
            socket.bind(&any.into()).expect("a free port");
            socket.listen(64).expect("a bound socket");
            TcpListener::from(socket)
        });
        let port = listener.local_addr().expect("it is bound").port();
        let connect = |_| {
            let client: TcpStream = world.inside(Side::Client, || {
                let socket = socket(kind);
                let from: SocketAddr = SocketAddrV4::new(CLIENT, 0).into();
                socket.bind(&from.into()).expect("the client's address");
                let to: SocketAddr = SocketAddrV4::new(SERVER, port).into();
                socket.connect(&to.into()).expect("the server listens");
                socket.into()
            });
            let (server, _) = listener.accept().expect("somebody has come");
            match kind.way {
                Way::Down => (server, client),
                Way::Up => (client, server),
            }
        };
        (0..kind.count).map(connect).collect()
    }

    fn run(&mut self, mut sender: TcpStream, mut receiver: TcpStream) {
        for stream in [&sender, &receiver] {
            self.streams.push(stream.try_clone().expect("a descriptor more"));
        }
        let arrived = Arc::clone(&self.arrived);
        self.threads.push(thread::spawn(move || {
            let chunk = vec![7; 64 * 1_024];
            while sender.write(&chunk).is_ok_and(|written| written > 0) {}
        }));
        self.threads.push(thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1_024];
            while let Ok(read @ 1..) = receiver.read(&mut buffer) {
                arrived.fetch_add(read as u64, Ordering::Relaxed);
            }
        }));
    }

    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Payload bits per second from now on.
    pub(crate) fn goodput(&self, time: Duration) -> f64 {
        let (before, start) = (self.arrived(), Instant::now());
        thread::sleep(time);
        float(self.arrived() - before) * 8.0 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        for stream in &self.streams {
            let _over = stream.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

fn socket(kind: Kind) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("TCP");
    socket.set_tcp_congestion(kind.congestion.as_bytes()).expect("the kernel has it");
    if let Some(bits) = kind.pace {
        let bytes = bits / 8;
        // SAFETY: the kernel reads the eight bytes of `bytes`.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MAX_PACING_RATE,
                (&raw const bytes).cast(),
                8,
            )
        };
        assert_eq!(done, 0, "TCP paces itself");
    }
    socket
}

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
