//! A long line between the gateway and the server: every frame arrives a set time later.
//!
//! Not every kernel has `netem`. The server's address moves behind a second cable, and two threads
//! carry frames between the cables:
//!
//! ```text
//!   gateway wan0 ──── eth0 [line] far0 ──── near0 10.78.0.2
//! ```

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    tcp::set_segmentation,
    wire::{Wire, hurry},
    world::{Side, World},
};

pub(crate) struct Line {
    /// One way, in nanoseconds.
    delay: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Line {
    /// Packets are no larger than on a cable then.
    pub(crate) fn lay(world: &World) -> Self {
        set_segmentation(world, false);
        for command in [
            // No longer the address that the gateway sends to: the server looks away.
            "ip link set eth0 address 02:00:00:00:02:78",
            "ip addr flush dev eth0",
            "ip link add far0 type veth peer name near0 address 02:00:00:00:00:78",
            "ip link set far0 up",
            "ip link set near0 up",
            "ip addr add 10.78.0.2/24 dev near0",
            "ip neigh replace 10.78.0.1 lladdr 02:00:00:00:01:78 nud permanent dev near0",
            "ip route replace default via 10.78.0.1",
            "ethtool -K far0 gro off tso off gso off",
            // Checksums as on a cable: raw frames are not completed later.
            "ethtool -K near0 gro off tso off gso off tx off",
            "ethtool -K eth0 tx off",
        ] {
            world.at(Side::Server, command);
        }
        world.at(Side::Gateway, "ethtool -K wan0 tx off");
        let (delay, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let threads = [("eth0", "far0"), ("far0", "eth0")].map(|(from, to)| {
            let (delay, over) = (Arc::clone(&delay), Arc::clone(&over));
            world.inside(Side::Server, || {
                let (from, to) = (Wire::open(from), Wire::open(to));
                thread::spawn(move || carry(&from, &to, &delay, &over))
            })
        });
        Self { delay, over, threads: threads.into() }
    }

    pub(crate) fn set_rtt(&self, rtt: Duration) {
        let one_way = u64::try_from(rtt.as_nanos() / 2).expect("less than centuries");
        self.delay.store(one_way, Ordering::Relaxed);
    }
}

fn carry(from: &Wire, to: &Wire, delay: &AtomicU64, over: &AtomicBool) {
    hurry();
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut spare: Vec<Vec<u8>> = Vec::new();
    let mut buffer = vec![0; 65_536];
    while !over.load(Ordering::Relaxed) {
        let due = Instant::now() + Duration::from_nanos(delay.load(Ordering::Relaxed));
        for _ in 0..AT_ONCE {
            let Some(length) = from.receive(&mut buffer) else { break };
            let mut frame = spare.pop().unwrap_or_default();
            frame.clear();
            frame.extend_from_slice(buffer.get(..length).unwrap_or_default());
            under_way.push_back((due, frame));
        }
        while let Some((due, _)) = under_way.front()
            && *due <= Instant::now()
        {
            let Some((_, frame)) = under_way.pop_front() else { break };
            to.send(&frame);
            spare.push(frame);
        }
        let next = under_way
            .front()
            .map_or(IDLE, |(due, _)| due.saturating_duration_since(Instant::now()));
        if !next.is_zero() {
            from.wait(next);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// Frames read before those that are due are looked for.
const AT_ONCE: usize = 16;

/// How soon it sees that it is over.
const IDLE: Duration = Duration::from_millis(50);
