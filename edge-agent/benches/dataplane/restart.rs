//! B10: what is lost, or passes uncounted, while the edge ends and begins again under load.

use std::{
    net::{SocketAddrV4, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use edge_agent::dataplane::bpf::Bpf;

use crate::{
    Pace,
    flows::CLIENT,
    sheet::{Sheet, float},
    stand::{Stand, reading},
    system::{FAST, System},
    tcp::client,
    world::{Side, World},
};

const ALL: &[System] = &[System::Police, System::Htb];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    for system in ALL {
        let mut stand = Stand::new("restart", *system, &[client(FAST)], |_| {});
        for _ in 0..pace.rounds(3) {
            run(sheet, &mut stand);
        }
    }
}

fn run(sheet: &mut Sheet, stand: &mut Stand) {
    let Stand { bpf, world, system } = stand;
    let world = &*world;
    let counted = |bpf: &Bpf| {
        // It waits for interfaces alone: the session is in another slot.
        world.settle(bpf);
        reading(bpf).passed.down_packets
    };
    let before = counted(bpf.as_ref().expect("ours"));
    let arrived = || world.counted(Side::Client, "eth0").received.packets;
    let arrived_before = arrived();
    let time = Duration::from_secs(3);
    let (sent, restarts) = thread::scope(|scope| {
        let sender = scope.spawn(|| send(world, time));
        let start = Instant::now();
        let mut restarts = 0_u32;
        while start.elapsed() < time {
            // As if it had been killed: descriptors are closed, and nothing else is done.
            drop(bpf.take());
            *bpf = Some(world.inside(Side::Gateway, || world.open()));
            restarts += 1;
        }
        (sender.join().expect("it sends"), restarts)
    });
    let counted = counted(bpf.as_ref().expect("ours")) - before;
    let arrived = arrived() - arrived_before;
    let (case, name) = ("20,000 packets/s", system.name());
    sheet.add(("restarts", ""), case, name, restarts.into());
    sheet.add(("packets sent meanwhile", ""), case, name, float(sent));
    sheet.add(("packets lost", ""), case, name, float(sent.abs_diff(arrived)));
    sheet.add(("packets not counted", ""), case, name, float(arrived.abs_diff(counted)));
}

/// Small datagrams from the server to the client. How many it were.
fn send(world: &World, time: Duration) -> u64 {
    // Where somebody listens: nothing is answered, and nothing of it is read.
    let sink = world.inside(Side::Client, || UdpSocket::bind("10.77.0.2:0").expect("a free port"));
    let port = sink.local_addr().expect("it is bound").port();
    world.inside(Side::Server, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let (start, mut sent) = (Instant::now(), 0_u64);
        while start.elapsed() < time {
            // Twenty each millisecond.
            for _ in 0..20 {
                socket.send_to(&[0; 64], SocketAddrV4::new(CLIENT, port)).expect("there is room");
                sent += 1;
            }
            let due = start + Duration::from_millis(sent / 20);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        sent
    })
}
