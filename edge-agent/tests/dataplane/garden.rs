//! What is open to devices without access, and what they are told of the rest.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use edge_agent::dataplane::{Dataplane as _, Entry, Garden};
use shared::{net::Prefix, rate::Kbps, wire::latest::desired::Class};

use crate::world::{SLOT, Side, World, entry, reading, verdict};

const PORTAL_V4: &str = "10.77.0.1:2080";
const PORTAL_V6: &str = "[fd77::1]:2080";

fn garden() -> Garden {
    Garden {
        portal_v4: Some(PORTAL_V4.parse().expect("an address")),
        portal_v6: Some(PORTAL_V6.parse().expect("an address")),
        ..Garden::default()
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// Answers each connection with who asked and what for.
fn serve(world: &World, side: Side, at: &str) -> thread::JoinHandle<()> {
    let address: SocketAddr = at.parse().expect("an address");
    let listener = world.inside(side, || TcpListener::bind(address).expect("a free port"));
    thread::spawn(move || {
        // Two connections are asked for at most.
        for connection in listener.incoming().take(2) {
            let mut connection = connection.expect("a connection");
            let mut asked = [0; 100];
            let read = connection.read(&mut asked).unwrap_or_default();
            let peer = connection.peer_addr().expect("it is connected");
            let asked = String::from_utf8_lossy(asked.get(..read).unwrap_or_default());
            let _gone = write!(connection, "{} asked at {address} for {asked}", peer.ip());
        }
    })
}

/// What comes back from there, within two seconds, and after how long.
fn ask(world: &World, at: &str) -> (io::Result<String>, Duration) {
    let address: SocketAddr = at.parse().expect("an address");
    world.inside(Side::Client, || {
        let start = Instant::now();
        let answer = (|| {
            let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            connection.set_read_timeout(Some(Duration::from_secs(2)))?;
            connection.write_all(b"page")?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            assert_eq!(connection.peer_addr()?, address, "the device sees whom it asked");
            Ok(answer)
        })();
        (answer, start.elapsed())
    })
}

#[test]
fn pages_of_a_device_without_access_come_from_the_portal() {
    let world = World::new("portal");
    let mut bpf = world.open();
    bpf.set_garden(&garden()).unwrap();
    for (wanted, portal, device) in
        [("10.78.0.2:80", PORTAL_V4, "10.77.0.2"), ("[fd78::2]:80", PORTAL_V6, "fd77::2")]
    {
        let server = serve(&world, Side::Gateway, portal);
        let (answer, _) = ask(&world, wanted);
        assert_eq!(answer.unwrap(), format!("{device} asked at {portal} for page"));
        // And by its own name.
        let (answer, _) = ask(&world, portal);
        assert_eq!(answer.unwrap(), format!("{device} asked at {portal} for page"));
        server.join().unwrap();
    }
    assert!(verdict(&bpf, "redirected") > 0);

    // With access it is the page itself; in the garden the portal's again.
    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    let server = serve(&world, Side::Server, "10.78.0.2:80");
    assert!(ask(&world, "10.78.0.2:80").0.unwrap().contains("asked at 10.78.0.2:80"));
    bpf.install(&Entry { class: Class::Garden, ..entry(1, 10_000, 10_000) }).unwrap();
    let before = reading(&bpf);
    let portal = serve(&world, Side::Gateway, PORTAL_V4);
    assert!(ask(&world, "10.78.0.2:80").0.unwrap().contains("asked at 10.77.0.1:2080"));
    let after = reading(&bpf);
    assert_eq!(after.passed, before.passed, "nothing of it is charged");
    assert!((after.free - before.free).down_bytes > 0);
    // One more each, so that both end.
    ask(&world, PORTAL_V4).0.unwrap();
    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    ask(&world, "10.78.0.2:80").0.unwrap();
    server.join().unwrap();
    portal.join().unwrap();
}

#[test]
fn what_is_refused_is_answered_at_once() {
    let world = World::new("answers");
    let mut bpf = world.open();
    bpf.set_garden(&Garden::default()).unwrap();
    for address in ["10.78.0.2:443", "[fd78::2]:443"] {
        let (answer, took) = ask(&world, address);
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionRefused, "{address}");
        assert!(took < Duration::from_secs(1), "{address}: {took:?}");
    }
    for (from, to) in [("0.0.0.0:0", "10.78.0.2:4433"), ("[::]:0", "[fd78::2]:4433")] {
        let error = world.inside(Side::Client, || {
            let socket = UdpSocket::bind(from).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            socket.connect(to).unwrap();
            socket.send(&[7; 300]).unwrap();
            socket.recv(&mut [0; 8]).unwrap_err()
        });
        let prohibited = [io::ErrorKind::HostUnreachable, io::ErrorKind::PermissionDenied];
        assert!(prohibited.contains(&error.kind()), "{to}: {error:?}");
    }
    assert_eq!(verdict(&bpf, "answered"), 4);
    assert_eq!(verdict(&bpf, "unknown_device"), 4);

    // Where nobody is to be told, nobody is.
    bpf.set_garden(&Garden { answers: false, ..Garden::default() }).unwrap();
    let (answer, _) = ask(&world, "10.78.0.2:443");
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(verdict(&bpf, "answered"), 4);
}

#[test]
fn a_connection_that_stands_is_reset_when_the_session_is_blocked() {
    let world = World::new("reset");
    let mut bpf = world.open();
    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    let listener =
        world.inside(Side::Server, || TcpListener::bind("10.78.0.2:7").expect("a free port"));
    let mut client = world.inside(Side::Client, || TcpStream::connect("10.78.0.2:7").unwrap());
    client.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"?").unwrap();
    server.read_exact(&mut [0]).unwrap();
    bpf.install(&Entry { class: Class::Blocked, ..entry(1, 10_000, 10_000) }).unwrap();
    client.write_all(b"?").unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_the_tenant_opens_is_open_and_what_is_free_is_not_charged() {
    let world = World::new("open");
    let mut bpf = world.open();
    let ping = "ping -c 1 -W 1 10.78.0.2";
    assert!(world.fails(Side::Client, ping));
    bpf.set_garden(&Garden { open: vec![prefix("10.78.0.0/24")], ..Garden::default() }).unwrap();
    world.at(Side::Client, ping);
    // What the process before has opened, nobody wants any more.
    drop(bpf);
    let mut bpf = world.open();
    world.at(Side::Client, ping);
    bpf.set_garden(&Garden::default()).unwrap();
    assert!(world.fails(Side::Client, ping));

    bpf.install(&entry(1, 10_000, 10_000)).unwrap();
    bpf.set_garden(&Garden { free: vec![prefix("10.78.0.2")], ..Garden::default() }).unwrap();
    world.at(Side::Client, ping);
    let free = reading(&bpf);
    assert_eq!((free.free.up_packets, free.free.down_packets), (1, 1));
    assert_eq!((free.free.up_bytes, free.passed.total_bytes()), (84, 0));
    world.at(Side::Client, "ping -c 1 -W 1 fd78::2");
    assert_eq!(reading(&bpf).passed.up_packets, 1);

    // A session in the garden gets no further.
    bpf.install(&Entry { class: Class::Garden, ..entry(1, 10_000, 10_000) }).unwrap();
    assert!(world.fails(Side::Client, ping));
    assert!(verdict(&bpf, "walled") > 0);
    bpf.set_garden(&Garden { open: vec![prefix("10.78.0.2")], ..Garden::default() }).unwrap();
    world.at(Side::Client, ping);
    assert_eq!(bpf.observe().unwrap()[0].slot, SLOT);
}

#[test]
fn a_device_without_a_session_moves_no_more_than_its_part() {
    let world = World::new("part");
    let mut bpf = world.open();
    let garden = Garden {
        open: vec![prefix("10.78.0.2")],
        garden_kbps: Kbps::new(100),
        dns_kbps: Kbps::new(50),
        ..Garden::default()
    };
    bpf.set_garden(&garden).unwrap();
    let arrived = |port: u16| {
        let sink = world.inside(Side::Server, || UdpSocket::bind(("0.0.0.0", port)).unwrap());
        sink.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let start = Instant::now();
        world.inside(Side::Client, || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..100 {
                socket.send_to(&[7; 972], ("10.78.0.2", port)).unwrap();
            }
        });
        let took = usize::try_from(start.elapsed().as_millis()).unwrap();
        (std::iter::from_fn(|| sink.recv(&mut [0; 2_000]).ok()).count(), took)
    };
    // A second's worth at once: 12.6 packets of 1,000 octets, and 6.3; the last may go beyond.
    let (of_garden, took) = arrived(9);
    assert!((12..=15 + took / 80).contains(&of_garden), "{of_garden} in {took} ms");
    let (of_names, took) = arrived(53);
    assert!((6..=9 + took / 160).contains(&of_names), "{of_names} in {took} ms");
    assert!(verdict(&bpf, "garden_rate") > 100);
}
