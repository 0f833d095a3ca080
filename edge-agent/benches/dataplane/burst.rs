//! B11: how much more than its rate a session gets after a pause.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use ebpf::clock::{Bounds, Muscle, cost, ns_per_byte, share_burst};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
    sockopt::{RcvBufForce, ReceiveTimestampns},
};

use crate::{
    Pace,
    flows::CLIENT,
    sheet::{Sheet, float},
    stand::Stand,
    system::System,
    tcp::client,
    world::{Side, World},
};

const ALL: &[System] = &[System::Htb, System::Police, System::PlainHtb, System::NftLimit];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    for mbits in [10, 100] {
        let kbps = mbits * 1_000;
        let case = format!("{mbits} Mbit/s");
        for system in ALL {
            let stand = Stand::new("burst", *system, &[client(kbps)], |_| {});
            for _ in 0..pace.rounds(3) {
                thread::sleep(Duration::from_secs(1));
                let most = excess(&stand.world, kbps);
                let ms = most * 8.0 / f64::from(kbps);
                sheet.add(("more than the rate after a pause", "ms"), &case, system.name(), ms);
            }
            let muscle = match system {
                System::Htb => Muscle::Htb,
                System::Police => Muscle::Police,
                System::Nothing
                | System::Metering
                | System::Fq
                | System::PlainHtb
                | System::NftLimit
                | System::HtbFqCodel
                | System::HtbCake => continue,
            };
            // And a packet, which is let go when the first of its octets may; and what need not wait
            // because it begins something. The others wait for it afterwards.
            let packet = cost(ns_per_byte(kbps), 1_500, 1);
            let burst = Bounds::of(ns_per_byte(kbps), muscle).burst;
            let allowed = float(burst + packet + share_burst(packet)) / 1e6;
            sheet.add(("more than the rate that is meant", "ms"), &case, system.name(), allowed);
        }
    }
}

/// The most octets of IP beyond the rate in any stretch of time, while twice the rate and more is
/// offered.
fn excess(world: &World, kbps: u32) -> f64 {
    let sink = world.inside(Side::Client, || {
        let socket = UdpSocket::bind(SocketAddrV4::new(CLIENT, 0)).expect("a free port");
        setsockopt(&socket, RcvBufForce, &(64 << 20)).expect("root may");
        setsockopt(&socket, ReceiveTimestampns, &true).expect("the kernel has time stamps");
        socket.set_read_timeout(Some(Duration::from_millis(700))).expect("not zero");
        socket
    });
    let to = sink.local_addr().expect("it is bound");
    thread::scope(|scope| {
        scope.spawn(|| {
            world.inside(Side::Server, || {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
                let start = Instant::now();
                // As fast as it goes for a moment, then at three times the rate.
                let mut sent = 0_u32;
                while start.elapsed() < Duration::from_millis(1_500) {
                    let _full = socket.send_to(&[0; 1_472], to);
                    sent += 1;
                    if sent > 2_000 {
                        thread::sleep(Duration::from_secs_f64(4.0 / f64::from(kbps)));
                    }
                }
            });
        });
        let rate = f64::from(kbps) * 1e3 / 8.0;
        let (mut first, mut before, mut least, mut most) = (None, 0.0, f64::INFINITY, 0.0_f64);
        while let Some(at) = arrival(&sink) {
            let seconds = at - *first.get_or_insert(at);
            least = least.min(before - rate * seconds);
            before += 1_500.0;
            most = most.max(before - rate * seconds - least);
        }
        most
    })
}

/// When the next one came, in seconds; `None` when no more come.
fn arrival(sink: &UdpSocket) -> Option<f64> {
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let message =
        recvmsg::<()>(sink.as_raw_fd(), &mut [], Some(&mut space), MsgFlags::empty()).ok()?;
    message.cmsgs().ok()?.find_map(|it| {
        let ControlMessageOwned::ScmTimestampns(at) = it else { return None };
        Some(Duration::from(at).as_secs_f64())
    })
}
