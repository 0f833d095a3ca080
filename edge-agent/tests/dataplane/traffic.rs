//! UDP of random sizes, both ways, with and without super-packets.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::world::{Side, World};

/// Sends `count` datagrams from one side to a port of the other where nobody listens or minds.
pub(crate) fn udp(world: &World, from: Side, to: &str, count: u32, segment: Option<i32>) {
    let to: SocketAddr = to.parse().expect("an address with a port");
    world.inside(from, || {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a free port");
        if let Some(size) = segment {
            setsockopt(&socket, UdpGsoSegment, &size).expect("the kernel segments UDP");
        }
        let longest = if segment.is_some() { 20_000 } else { 1_400 };
        let payload = vec![7; longest];
        let mut random = 0x9e37_79b9_u32;
        for index in 0..count {
            // Xorshift: any sizes, but the same in each run.
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let length = random as usize % longest + 1;
            // A full socket buffer is no reason to fail: what was not sent is not counted.
            let _sent = socket.send_to(payload.get(..length).unwrap_or_default(), to);
            if index % 64 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
}
