//! A datagram every ten milliseconds to the server and back, and how long each took.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    flows::SERVER,
    sheet::{count, percentile, sorted},
    wire::hurry,
    world::{Side, World},
};

pub(crate) struct Pinger {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Since somebody last looked.
#[derive(Clone, Debug, Default)]
struct Seen {
    sent: usize,
    took_ms: Vec<f64>,
}

/// Of all that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) lost_percent: f64,
}

impl Pinger {
    /// From this address of the client's.
    pub(crate) fn start(world: &World, from: Ipv4Addr) -> Self {
        let over = Arc::<AtomicBool>::default();
        let seen = Arc::<Mutex<Seen>>::default();
        let server = world.inside(Side::Server, || udp(SocketAddrV4::new(SERVER, 0)));
        let to = server.local_addr().expect("it is bound");
        let client = world.inside(Side::Client, || udp(SocketAddrV4::new(from, 0)));
        client.connect(to).expect("there is a way");
        let echo = {
            let over = Arc::clone(&over);
            thread::spawn(move || echo(&server, &over))
        };
        let ping = {
            let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
            thread::spawn(move || ping(&client, &over, &seen))
        };
        Self { seen, over, threads: vec![echo, ping] }
    }

    /// Forgets what was before.
    pub(crate) fn reset(&self) {
        *self.seen.lock().expect("nobody fails with it") = Seen::default();
    }

    /// Since it was reset. What is still under way counts as lost, so that is one or two too many.
    pub(crate) fn took(&self) -> Took {
        let Seen { sent, took_ms } = self.seen.lock().expect("nobody fails with it").clone();
        let lost = sent.saturating_sub(took_ms.len());
        let all = sorted(took_ms);
        Took {
            p50: percentile(&all, 50),
            p95: percentile(&all, 95),
            p99: percentile(&all, 99),
            lost_percent: 100.0 * count(lost) / count(sent.max(1)),
        }
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

fn udp(address: SocketAddrV4) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    socket
}

fn echo(socket: &UdpSocket, over: &AtomicBool) {
    hurry();
    let mut buffer = [0; 128];
    while !over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _lost = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
        }
    }
}

fn ping(socket: &UdpSocket, over: &AtomicBool, seen: &Mutex<Seen>) {
    hurry();
    let start = Instant::now();
    let now = || u64::try_from(start.elapsed().as_nanos()).expect("less than centuries");
    let mut next = Instant::now();
    let mut buffer = [0; 128];
    while !over.load(Ordering::Relaxed) {
        // As long as a voice packet.
        let mut payload = [0; 60];
        payload[..8].copy_from_slice(&now().to_ne_bytes());
        let _lost = socket.send(&payload);
        seen.lock().expect("nobody fails with it").sent += 1;
        next += EVERY;
        while let left = next.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            socket.set_read_timeout(Some(left.max(Duration::from_micros(10)))).expect("not zero");
            if let Ok(8..) = socket.recv(&mut buffer) {
                let sent = buffer.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                let took = now() - sent;
                let took = Duration::from_nanos(took).as_secs_f64() * 1e3;
                seen.lock().expect("nobody fails with it").took_ms.push(took);
            }
        }
    }
}

const EVERY: Duration = Duration::from_millis(10);
