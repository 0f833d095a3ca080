//! B4: a thousand sessions at once that all want half more than they have.

use std::{
    net::{SocketAddrV4, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Pace,
    sheet::{Sheet, count, float, jain},
    stand::Stand,
    system::{Subscriber, System, crowd, route},
    world::{Side, World},
};

const ALL: &[System] = &[System::Police, System::Htb, System::PlainHtb, System::NftLimit];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    let crowd = crowd(1_000, 1_000);
    let stands: Vec<Stand> = ALL
        .iter()
        .map(|system| {
            Stand::new("many", *system, &crowd, |world| {
                route(world, &crowd);
                put_sink(world);
            })
        })
        .collect();
    for _ in 0..pace.rounds(3) {
        for stand in &stands {
            let name = stand.system.name();
            let seen = run(&stand.world, &crowd);
            let case = "1,000 x 1 Mbit/s";
            sheet.add(("offered to each session, of its plan", "%"), case, name, seen.offered);
            let of_plan: Vec<f64> = seen.of_plan;
            let sum: f64 = of_plan.iter().sum();
            let errors: f64 = of_plan.iter().map(|it| (it - 100.0).abs()).sum();
            let all = count(of_plan.len());
            let least = of_plan.iter().copied().fold(f64::INFINITY, f64::min);
            let most = of_plan.iter().copied().fold(0.0, f64::max);
            sheet.add(("rate of each session, mean", "%"), case, name, sum / all);
            sheet.add(("rate of each session, least", "%"), case, name, least);
            sheet.add(("rate of each session, most", "%"), case, name, most);
            sheet.add(("rate of each session, mean error", "%"), case, name, errors / all);
            sheet.add(("Jain's index", ""), case, name, jain(&of_plan));
        }
    }
}

struct Seen {
    offered: f64,
    /// Per cent, of each session.
    of_plan: Vec<f64>,
}

fn run(world: &World, crowd: &[Subscriber]) -> Seen {
    let (warm, time) = (Duration::from_secs(3), Duration::from_secs(12));
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(world, crowd, 150, warm + time + Duration::from_secs(1)));
        thread::sleep(warm);
        // The kernel brings in each of both at once, as the last thing that the program does.
        world.at(Side::Client, "nft add rule netdev sink in update @seen { ip daddr }");
        let start = Instant::now();
        thread::sleep(time);
        world.at(Side::Client, "nft flush chain netdev sink in");
        let window = start.elapsed().as_secs_f64();
        let offered = flood.join().expect("it sends");
        let list = world.at(Side::Client, "nft -j list set netdev sink seen");
        world.at(Side::Client, "nft flush set netdev sink seen");
        let list: Value = serde_json::from_str(&list).expect("nft speaks JSON");
        let bytes = elements(&list);
        let of_plan: Vec<f64> = crowd
            .iter()
            .map(|it| {
                let address = it.address.to_string();
                let bytes = bytes.iter().find(|(of, _)| *of == address).map_or(0, |(_, it)| *it);
                float(bytes) * 8.0 / window / f64::from(it.kbps) / 10.0
            })
            .collect();
        Seen { offered, of_plan }
    })
}

/// Counts octets of IP that arrive at the client by who they are for, while there is a rule.
fn put_sink(world: &World) {
    for command in [
        "nft add table netdev sink",
        "nft add set netdev sink seen { type ipv4_addr ; size 65535 ; flags dynamic ; counter ; }",
        "nft add chain netdev sink in { type filter hook ingress device eth0 priority 0 ; }",
    ] {
        world.at(Side::Client, command);
    }
}

fn elements(list: &Value) -> Vec<(String, u64)> {
    let all = list.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let sets = all.filter_map(|it| it.pointer("/set/elem")?.as_array()).flatten();
    sets.filter_map(|it| {
        let address = it.pointer("/elem/val")?.as_str()?.to_owned();
        Some((address, it.pointer("/elem/counter/bytes")?.as_u64()?))
    })
    .collect()
}

/// Full-size datagrams from the server to all in turn, evenly, so many per cent of their plans.
/// Says how many per cent it were.
pub(crate) fn flood(world: &World, crowd: &[Subscriber], percent: u32, time: Duration) -> f64 {
    world.inside(Side::Server, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let payload = [0; 1_472];
        let kbps = crowd.first().map_or(1, |it| it.kbps);
        let each = Duration::from_secs_f64(1_500.0 * 8.0 * 100.0 / f64::from(kbps * percent) / 1e3);
        let each = each / u32::try_from(crowd.len()).expect("some thousands");
        let start = Instant::now();
        let (mut sent, mut behind) = (0_u32, Duration::ZERO);
        for target in crowd.iter().cycle() {
            let elapsed = start.elapsed();
            if elapsed >= time {
                break;
            }
            let due = each * sent + behind;
            if due > elapsed + Duration::from_micros(200) {
                thread::sleep(due.saturating_sub(elapsed));
            }
            // Nobody catches up with a burst what a machine with other work has missed.
            behind += elapsed.saturating_sub(due + Duration::from_millis(2));
            let _full = socket.send_to(&payload, SocketAddrV4::new(target.address, 9));
            sent += 1;
        }
        let bits = f64::from(sent) * 1_500.0 * 8.0;
        let plans = count(crowd.len()) * f64::from(kbps) * 1e3;
        100.0 * bits / plans / start.elapsed().as_secs_f64()
    })
}
