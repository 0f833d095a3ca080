//! Traffic over the bare lab: what the figures of shaped sessions are compared with.

use std::time::Duration;

use anyhow::{Result, ensure};
use xtask::{
    lab::{Lab, Network, Offload},
    provider::traffic::{self, Direction, FIRST_PORT, Family, Transfer},
};

#[test]
fn iperf3_runs_over_the_bare_lab_and_then_it_is_silent() -> Result<()> {
    let lab = Lab::new()?;
    let network = Network::build(&lab, 1, Offload::Off)?;
    let _servers = traffic::serve(&lab, &network.internet, 1)?;
    let seat = &network.seats[0];
    for family in [Family::V4, Family::V6] {
        for direction in [Direction::Down, Direction::Up] {
            let before = seat.counters()?;
            let transfer = Transfer { direction, family, port: FIRST_PORT, seconds: 1 };
            let goodput = transfer.run(&lab, seat)?;
            let moved = traffic::silence(seat)? - before;
            let (mbps, retransmits) = (goodput.kbps / 1000, goodput.retransmits);
            println!("{family:?} {direction:?}: {mbps} Mbit/s, {retransmits} retransmits");
            ensure!(mbps > 200, "the lab itself must not be what limits");
            let payload_side = match direction {
                Direction::Down => moved.down_bytes,
                Direction::Up => moved.up_bytes,
            };
            ensure!(payload_side > goodput.bytes, "headers are on the wire too: {moved:?}");
        }
    }
    ensure!(
        traffic::silence(seat)? == {
            std::thread::sleep(Duration::from_millis(300));
            seat.counters()?
        }
    );
    Ok(())
}
