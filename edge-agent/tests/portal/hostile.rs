//! Who asks too often, too much, too slowly, or for nothing that makes sense.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use crate::{
    PANICS, World, get, post,
    world::{Side, send},
};

#[test]
fn who_keeps_asking_does_not_keep_the_sessions_busy() {
    let world = World::new("often");
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(world.own("/").status, 200);
    }
    let lists = u128::try_from(world.told(|told| told.lists)).unwrap();
    let most = begun.elapsed().as_millis() / 500 + 1;
    assert!((1..=most).contains(&lists), "{lists} lists, at most {most}");
}

#[test]
fn ten_thousand_requests_of_random_octets_break_nothing() {
    let world = World::new("random");
    let own = world.portal.to_string();
    let seeds = [
        get(&own, "/?lang=sw"),
        get("captive.apple.com", "/hotspot-detect.html"),
        get(&own, "/api/captive-portal"),
        post(world.portal, "/login", "token=00&username=amina&password=simba"),
        "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na=b&c\r\n0\r\n\r\n"
            .to_owned(),
    ];
    let answered = world.cable.inside(Side::Device, || {
        let mut random = Random(0x5eed);
        let mut answered = 0;
        for round in 0..10_000 {
            let mut octets = match round % 4 {
                0 => (0..random.below(600)).map(|_| random.octet()).collect(),
                _ => seeds[random.below(seeds.len())].clone().into_bytes(),
            };
            for _ in 0..random.below(6) {
                if octets.is_empty() {
                    break;
                }
                let at = random.below(octets.len());
                match random.below(4) {
                    0 => octets.truncate(at),
                    1 => octets.insert(at, random.octet()),
                    2 => drop(octets.remove(at)),
                    _ => octets[at] = random.octet(),
                }
            }
            let mut stream = TcpStream::connect(world.portal).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let _gone = stream.write_all(&octets);
            let _gone = stream.shutdown(std::net::Shutdown::Write);
            let mut said = Vec::new();
            let _reset = stream.read_to_end(&mut said);
            answered += usize::from(said.starts_with(b"HTTP/1."));
        }
        answered
    });
    assert!(answered > 3_000, "only {answered} of them were answered at all");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something has panicked");
    assert_eq!(world.own("/").status, 200);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}

/// xorshift64: the same octets in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        for shift in [13, -7, 17_i32] {
            let by = shift.unsigned_abs();
            self.0 ^= if shift > 0 { self.0 << by } else { self.0 >> by };
        }
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % limit.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

#[test]
fn who_is_slow_is_dropped_and_keeps_nobody_out() {
    let world = World::new("slow");
    let portal = world.portal;
    let begun = Instant::now();
    world.cable.inside(Side::Device, || {
        thread::scope(|scope| {
            let drip = |head: &'static str, within: Duration| {
                let mut stream = TcpStream::connect(portal).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                stream.write_all(head.as_bytes()).unwrap();
                let mut one = [0; 256];
                loop {
                    match stream.read(&mut one) {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            if !head.is_empty() && stream.write_all(b"x").is_err() {
                                break;
                            }
                        }
                        Err(_) => break,
                    }
                    assert!(begun.elapsed() < within, "still there: {head:?}");
                }
                assert!(begun.elapsed() > Duration::from_secs(3), "dropped at once: {head:?}");
            };
            let head = Duration::from_secs(10);
            let slow: Vec<_> = (0..12)
                .map(|n| {
                    let request = match n {
                        0 => "POST /login HTTP/1.1\r\nHost: 10.77.0.1:2080\r\nContent-Length: 4000\r\n\r\n",
                        1..6 => "GET / HTTP/1.1\r\nHost: 10.77.0.1:2080\r\nX: ",
                        _ => "",
                    };
                    let within = if n == 0 { Duration::from_secs(25) } else { head };
                    let thread = scope.spawn(move || drip(request, within));
                    thread::sleep(Duration::from_millis(20));
                    thread
                })
                .collect();
            // That is all that one device may have open.
            thread::sleep(Duration::from_millis(300));
            assert!(send(portal, get("10.77.0.1:2080", "/").as_bytes()).is_empty());
            for thread in slow {
                thread.join().unwrap();
            }
        });
    });
    assert_eq!(world.own("/").status, 200);
}

#[test]
fn more_than_can_be_is_refused_in_words() {
    let world = World::new("large");
    let own = world.portal.to_string();
    let long = format!("GET /{} HTTP/1.1\r\nHost: {own}\r\n\r\n", "x".repeat(40_000));
    assert!([414, 431].contains(&world.ask(&long).status));
    let many = "X: y\r\n".repeat(100);
    let many = format!("GET / HTTP/1.1\r\nHost: {own}\r\n{many}\r\n");
    assert_eq!(world.ask(&many).status, 431);
    // One request is all that a connection carries.
    let two = get(&own, "/").repeat(2);
    let said = world.cable.inside(Side::Device, || send(world.portal, two.as_bytes()));
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
}
