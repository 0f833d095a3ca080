//! What is wrong on the wire gets no answer, is counted by its reason, and is said once.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use xtask::{
    lab::{Lab, Network, Offload},
    provider::{
        edge::{Edge, Orders},
        radclient::{Nas, Password},
    },
    workspace,
};

const DESIRED: &str = r#"
[[nas]]
name = "mast-7"
address = "127.0.0.1"
secret = "testing123"
enforce = "edge"

[[subscriber]]
username = "amina"
password = "jasmine-1"
down_kbps = 10000
up_kbps = 5000
"#;

#[test]
fn a_bad_packet_is_dropped_counted_by_reason_and_said_once() -> Result<()> {
    let binaries = workspace::binaries()?;
    let lab = Lab::new()?;
    lab.keep_logs(true);
    let network = Network::build(&lab, 1, Offload::Off)?;
    let mut edge = Edge::start(&lab, &binaries, &network.edge, Orders::File(DESIRED))?;
    let ready = Duration::from_secs(30);
    edge.process.wait_until("serving", ready, || Ok(edge_answers(&network)))?;

    let request = access_request();
    let mut too_long = request.clone();
    too_long.resize(4097, 0);
    too_long[2..4].copy_from_slice(&4097_u16.to_be_bytes());
    let mut claims_more = request.clone();
    claims_more[3] += 1;
    for (what, source, packet, reason) in [
        ("no Message-Authenticator", "127.0.0.1", request.clone(), "no_message_authenticator"),
        ("not even a header", "127.0.0.1", request[..10].to_vec(), "malformed"),
        ("cut short", "127.0.0.1", request[..request.len() - 1].to_vec(), "malformed"),
        ("claims to be longer", "127.0.0.1", claims_more, "malformed"),
        ("4097 octets", "127.0.0.1", too_long, "malformed"),
        ("another code", "127.0.0.1", with_code(&request, 40), "unexpected_code"),
        ("an unknown NAS", "127.0.0.2", request.clone(), "unknown_nas"),
    ] {
        let line = format!("kennet_radius_drops_total{{reason=\"{reason}\"}}");
        let before = edge.metric(&line)?;
        let answered = network.edge.inside(|| answered(source, &packet))?;
        assert!(!answered, "{what} was answered");
        let counted = edge.metric(&line)? - before;
        println!("{what}: no answer, {reason} +{counted}");
        assert_eq!(counted, 1, "{what} is counted as {reason}: {}", edge.metrics()?);
    }

    // The wrong secret, from a client that does everything else right.
    let wrong = Nas { lab: &lab, namespace: &network.edge, secret: "not the secret" };
    let seat = &network.seats[0];
    let line = "kennet_radius_drops_total{reason=\"bad_message_authenticator\"}";
    let answer = wrong.login(seat, "amina", Password::Pap("jasmine-1"))?;
    assert_eq!(answer.code, None, "{}", answer.text);
    assert_eq!(edge.metric(line)?, 1);
    println!("wrong secret: no answer, bad_message_authenticator +1");

    // Many: all counted, the log has one line with the NAS's name.
    network.edge.inside(|| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..200 {
            socket.send_to(&request, server())?;
        }
        Ok(())
    })?;
    let line = "kennet_radius_drops_total{reason=\"no_message_authenticator\"}";
    let start = Instant::now();
    while edge.metric(line)? < 201 && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(20));
    }
    let counted = edge.metric(line)?;
    let log = std::fs::read_to_string(edge.process.log()).context("the edge has a log")?;
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("it has no Message-Authenticator")).collect();
    println!("200 more: {counted} counted, {} lines: {lines:?}", lines.len());
    assert_eq!(counted, 201);
    assert!((1..=2).contains(&lines.len()), "said once in a while: {lines:?}");
    assert!(lines[0].contains("mast-7") && lines[0].contains("127.0.0.1"), "{lines:?}");

    // And who does it right is let in, or told no.
    let nas = Nas { lab: &lab, namespace: &network.edge, secret: "testing123" };
    for (password, code) in [
        (Password::Pap("jasmine-1"), "Access-Accept"),
        (Password::Chap("jasmine-1"), "Access-Accept"),
        (Password::Pap("wrong"), "Access-Reject"),
        (Password::Chap("wrong"), "Access-Reject"),
    ] {
        let answer = nas.login(seat, "amina", password)?;
        assert!(answer.is(code), "{password:?} should be {code}: {}", answer.text);
        println!("{password:?}: {code}");
    }
    lab.keep_logs(false);
    Ok(())
}

/// Once the port is taken, there is somebody.
fn edge_answers(network: &Network) -> bool {
    network.edge.inside(|| Ok(UdpSocket::bind(server())?)).is_err()
}

fn server() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1812))
}

fn answered(source: &str, packet: &[u8]) -> Result<bool> {
    let socket = UdpSocket::bind((source, 0)).with_context(|| format!("cannot bind {source}"))?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.send_to(packet, server())?;
    Ok(socket.recv_from(&mut [0; 4096]).is_ok())
}

/// A login as it was sent before 2024: well-formed, and proving nothing.
fn access_request() -> Vec<u8> {
    let attributes = [&[1, 7][..], b"amina", &[2, 18], &[0x33; 16]].concat();
    let length = u16::try_from(20 + attributes.len()).expect("it is short");
    [&[1, 7][..], &length.to_be_bytes(), &[0x5a; 16], &attributes].concat()
}

fn with_code(packet: &[u8], code: u8) -> Vec<u8> {
    [&[code][..], packet.get(1..).unwrap_or_default()].concat()
}
