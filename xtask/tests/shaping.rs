//! An edge on its own: what subscribers get is what they pay for, and what is counted is what
//! went over the wire.

#![expect(clippy::print_stdout, reason = "what was measured is worth reading")]

use std::{net::UdpSocket, time::Duration};

use anyhow::{Result, anyhow, ensure};
use xtask::{
    lab::{self, Counters, Lab, Network, Offload, Seat},
    provider::{
        edge::{Edge, Orders},
        radclient::{Nas, Password},
        traffic::{self, Direction, FIRST_PORT, Family, Taker, Together, Transfer, near},
    },
    workspace,
};

const DESIRED: &str = r#"
[[nas]]
name = "lab"
address = "127.0.0.1"
secret = "testing123"
enforce = "edge"

[[subscriber]]
username = "ten"
password = "jasmine-1"
down_kbps = 10000
up_kbps = 10000

[[subscriber]]
username = "fifty"
password = "jasmine-1"
down_kbps = 50000
up_kbps = 50000
"#;

#[test]
fn ten_and_fifty_megabits_within_five_percent_both_ways_when_packets_are_frames() -> Result<()> {
    shaped(Offload::Off)
}

/// The internet's side hands the edge up to 64 kB at once: charged as what they are on the wire.
#[test]
fn ten_and_fifty_megabits_within_five_percent_both_ways_with_super_packets() -> Result<()> {
    shaped(Offload::On)
}

fn shaped(offload: Offload) -> Result<()> {
    let _alone = lab::alone()?;
    let binaries = workspace::binaries()?;
    let lab = Lab::new()?;
    lab.keep_logs(true);
    let network = Network::build(&lab, 2, offload)?;
    let _servers = traffic::serve(&lab, &network.internet, 2)?;
    let mut edge = Edge::start(&lab, &binaries, &network.edge, Orders::File(DESIRED))?;
    edge.wait_until("serving", Duration::from_secs(30), || {
        Ok(network.edge.inside(|| Ok(UdpSocket::bind("127.0.0.1:1812")?)).is_err())
    })?;
    let nas = Nas { lab: &lab, namespace: &network.edge, secret: "testing123" };
    let people = [("ten", Family::V4, 10_000), ("fifty", Family::V6, 50_000)];
    let before: Vec<Counters> = network.seats.iter().map(Seat::counters).collect::<Result<_>>()?;
    for (seat, (username, ..)) in network.seats.iter().zip(people) {
        let answer = nas.login(seat, username, Password::Pap("jasmine-1"))?;
        ensure!(answer.is("Access-Accept"), "{}", answer.text);
    }
    let mut faults = Vec::new();
    for direction in [Direction::Down, Direction::Up] {
        let takers: Vec<_> = (FIRST_PORT..)
            .zip(&network.seats)
            .zip(people)
            .map(|((port, seat), (_, family, plan_kbps))| {
                let transfer = Transfer { direction, family, port, seconds: 6 };
                Taker { seat, transfer, plan_kbps }
            })
            .collect();
        let Together { goodputs, tries } = traffic::together(&lab, &takers)?;
        println!("{offload:?} {direction:?}: measured {tries} times");
        for ((username, _, plan), goodput) in people.iter().zip(goodputs) {
            println!("{offload:?} {username} {direction:?}: {} of {plan} kbit/s", goodput.kbps);
            if !near(*plan, goodput.kbps) {
                faults.push(format!("{username} {direction:?}: {goodput:?}"));
            }
        }
    }
    for ((seat, (username, ..)), before) in network.seats.iter().zip(people).zip(before) {
        let client = traffic::silence(seat)? - before;
        let live = edge.sessions(&lab)?.into_iter().find(|it| it.username == username);
        let live = live.ok_or_else(|| anyhow!("no session of {username}"))?;
        println!("{username}: client {client:?}, edge {live:?}");
        let passed = Counters {
            up_bytes: live.passed.up_bytes + live.dropped.up_bytes,
            up_packets: live.passed.up_packets + live.dropped.up_packets,
            ..live.passed
        };
        if passed != client {
            faults.push(format!("{username}: {client:?} on the wire, {live:?} counted"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    lab.keep_logs(false);
    Ok(())
}
