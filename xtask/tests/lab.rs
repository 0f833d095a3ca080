//! The lab itself: it carries traffic, counts it exactly, and leaves nothing behind.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use xtask::{
    lab::{
        Cable, Counters, Cut, Lab, Network, Offload,
        network::{SERVER_V4, SERVER_V6},
        sweep,
    },
    workspace::output,
};

#[test]
fn packets_cross_the_edge_and_nothing_else_is_on_the_wire() -> Result<()> {
    let lab = Lab::new()?;
    let network = Network::build(&lab, 2, Offload::Off)?;
    let seat = &network.seats[0];
    let other = &network.seats[1];
    let before = (seat.counters()?, other.counters()?);
    thread::sleep(Duration::from_secs(2));
    assert_eq!((seat.counters()?, other.counters()?), before, "an idle wire is silent");

    for server in [IpAddr::from(SERVER_V4), IpAddr::from(SERVER_V6)] {
        let mut ping = seat.namespace.command("ping");
        ping.args(["-n", "-c", "5", "-i", "0.05", "-s", "100", "-W", "2", &server.to_string()]);
        println!("{}", output(&mut ping)?);
    }
    let moved = seat.counters()? - before.0;
    // ICMP and ICMPv6 echoes of 100 octets, 8 of header, 20 and 40 of IP header.
    let want = Counters {
        down_bytes: 5 * (128 + 148),
        up_bytes: 5 * (128 + 148),
        down_packets: 10,
        up_packets: 10,
    };
    assert_eq!(moved, want);

    let mut ping = seat.namespace.command("ping");
    ping.args(["-n", "-c", "1", "-W", "1", &other.v4.to_string()]);
    assert!(output(&mut ping).is_err(), "subscribers are isolated from each other");
    assert_eq!(other.counters()?, before.1, "and do not see each other's packets");
    Ok(())
}

#[test]
fn a_cable_is_cut_and_mended() -> Result<()> {
    let lab = Lab::new()?;
    let edge = lab.namespace("edge")?;
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let echo = thread::spawn(move || -> Result<()> {
        for _ in 0..3 {
            let (stream, _) = listener.accept()?;
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
        Ok(())
    });
    let cable = Cable::lay(&edge, &[(1883, port)])?;
    let say = |stream: &mut std::net::TcpStream, word: &[u8]| -> std::io::Result<bool> {
        use std::io::{Read as _, Write as _};
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(word)?;
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard)?;
        Ok(heard == word)
    };
    let connect = || {
        edge.inside(|| {
            Ok(std::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)))?)
        })
    };
    let mut stream = connect()?;
    assert!(say(&mut stream, b"one")?);
    cable.cut(Cut::Silent);
    assert!(say(&mut stream, b"two").is_err(), "nothing arrives over a silent cut");
    cable.mend();
    let mut heard = [0; 3];
    std::io::Read::read_exact(&mut stream, &mut heard)?;
    assert_eq!(&heard, b"two", "what was under way arrives after all");
    cable.cut(Cut::Reset);
    assert!(say(&mut stream, b"three").is_err(), "the connection is gone");
    cable.mend();
    assert!(say(&mut connect()?, b"four")?);
    assert!(say(&mut connect()?, b"five")?);
    drop(cable);
    echo.join().expect("the echo does not panic")?;
    Ok(())
}

#[test]
fn nothing_is_left_after_a_lab() -> Result<()> {
    let lab = Lab::new()?;
    let name = lab.name().to_owned();
    fill(&lab)?;
    assert!(sweep::leftovers(&name)?.len() >= 4, "{:?}", sweep::leftovers(&name)?);
    drop(lab);
    assert_eq!(sweep::leftovers(&name)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn nothing_is_left_after_a_panic() -> Result<()> {
    let names = std::sync::Mutex::new(String::new());
    let panicked = std::panic::catch_unwind(|| {
        let lab = Lab::new().expect("root");
        lab.name().clone_into(&mut names.lock().expect("nobody panicked with it"));
        fill(&lab).expect("root");
        std::panic::resume_unwind(Box::new("in the middle"));
    });
    assert!(panicked.is_err());
    let name = names.lock().expect("nobody panicked with it").clone();
    assert_eq!(sweep::leftovers(&name)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn nothing_is_left_after_ctrl_c() -> Result<()> {
    ends_clean("INT")
}

#[test]
fn nothing_is_left_after_kill_9() -> Result<()> {
    ends_clean("KILL")
}

fn fill(lab: &Lab) -> Result<()> {
    let network = Network::build(lab, 1, Offload::Off)?;
    lab.bpffs()?;
    lab.start("sleeper", Command::new("sleep").arg("1000"))?;
    let mut inside = network.edge.command("sh");
    // Ignores SIGTERM, has no mark, and left its children behind: only the namespace tells.
    inside.args(["-c", "trap '' TERM; env -i setsid sleep 1000 & sleep 1000"]);
    let process = lab.start("stubborn", &mut inside)?;
    std::mem::forget(process);
    Ok(())
}

/// Signals `cargo xtask lab` once it is up.
fn ends_clean(signal: &str) -> Result<()> {
    let mut child = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_xtask")))
        .args(["lab", "--subscribers", "2"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let name = format!("kn-{}-0", child.id());
    let start = Instant::now();
    while !sweep::leftovers(&name)?.iter().any(|left| left.contains("-s2")) {
        ensure!(child.try_wait()?.is_none(), "it ended early");
        ensure!(start.elapsed() < Duration::from_secs(20), "it is not up");
        thread::sleep(Duration::from_millis(10));
    }
    output(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]))?;
    child.wait().context("cannot wait for it")?;
    if signal == "KILL" {
        // Nobody is left to do it but the warden.
        let start = Instant::now();
        while !sweep::leftovers(&name)?.is_empty() && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(sweep::leftovers(&name)?, Vec::<String>::new());
    Ok(())
}
