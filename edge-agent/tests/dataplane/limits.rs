//! Quotas, steps, times and idle times, decided at the packet that crosses the line.

use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

use edge_agent::dataplane::{
    Account, AccountNumber, Charge, Dataplane as _, Entry, Garden, Slot,
    bpf::{Bpf, Notice, monotonic_ns},
};
use shared::wire::latest::desired::Class;

use crate::world::{CLIENT, Side, World, entry, reading, shape, verdict};

const NUMBER: AccountNumber = AccountNumber(5);
const FAST: u32 = 500_000;
/// As in other tests of the kind: 25 MiB.
const QUOTA: u64 = 26_214_400;

fn account() -> Account {
    Account {
        number: NUMBER,
        id: 77,
        shape: None,
        slow: None,
        step: None,
        quota: None,
        beyond: Class::Blocked,
    }
}

fn of_account(session: u128) -> Entry {
    Entry { account: Some(NUMBER), ..entry(session, FAST, FAST) }
}

fn charge(bpf: &Bpf) -> Charge {
    *bpf.charges(&[(NUMBER, 77)]).expect("an account").first().expect("one for one")
}

/// How long it took: meanwhile some leave.
fn datagrams(world: &World, count: usize, octets: usize) -> Duration {
    let start = Instant::now();
    world.inside(Side::Client, || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        for _ in 0..count {
            socket.send_to(&vec![7; octets - 28], "10.78.0.2:9").expect("a route");
        }
    });
    start.elapsed()
}

/// Sends datagrams of so many octets of IP, and says how many arrived.
fn send(world: &World, count: usize, octets: usize) -> usize {
    let sink = world.inside(Side::Server, || UdpSocket::bind("0.0.0.0:9").expect("a free port"));
    sink.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    datagrams(world, count, octets);
    std::iter::from_fn(|| sink.recv(&mut [0; 2_000]).ok()).count()
}

#[test]
fn a_quota_is_held_to_the_byte() {
    let world = World::new("quota");
    let mut bpf = world.open();
    let mut events = bpf.events().expect("nobody has taken them");
    bpf.set_accounts(&[Account { quota: Some(10_500), ..account() }]).unwrap();
    bpf.install(&of_account(1)).unwrap();
    let passed = send(&world, 15, 1_000);
    assert_eq!(passed, 10, "{:?} {:?}", charge(&bpf), reading(&bpf));
    assert_eq!(charge(&bpf).charged, 10_000);
    assert!(charge(&bpf).happened.is_used_up());
    let expected = Notice::Session { slot: Slot(3), account: Some(NUMBER) };
    assert_eq!(events.take(), Some(expected), "told at once");
    assert_eq!(events.take(), None, "and once");
    assert_eq!(verdict(&bpf, "over_quota"), 5);
    // Latched: also what would fit does not pass any more.
    assert_eq!(send(&world, 1, 100), 0);

    // More was bought: the next packet passes.
    bpf.set_accounts(&[Account { quota: Some(12_000), ..account() }]).unwrap();
    assert_eq!(send(&world, 5, 1_000), 2);
    assert_eq!(charge(&bpf).charged, 12_000);
    // Another's account under the same number begins at zero.
    bpf.set_accounts(&[Account { id: 78, ..account() }]).unwrap();
    assert_eq!(bpf.charges(&[(NUMBER, 78)]).unwrap()[0], Charge::default());
    assert_eq!(charge(&bpf), Charge::default(), "and says nothing of the other");
}

#[test]
fn a_quota_holds_with_many_flows_both_ways_at_full_speed() {
    let world = World::new("flows");
    // Where they are counted, packets are to be what is on a wire.
    for interface in ["lan0", "wan0"] {
        world.segmentation(Side::Gateway, interface, false);
    }
    let mut bpf = world.open();
    // Answers to what is refused are on the wire, too, and nobody's traffic.
    bpf.set_garden(&Garden { answers: false, ..Garden::default() }).unwrap();
    bpf.set_accounts(&[Account { quota: Some(QUOTA), ..account() }]).unwrap();
    bpf.install(&of_account(1)).unwrap();
    let before = world.counted(Side::Client, "eth0");
    let _server = world.start(Side::Server, "iperf3 -s");
    thread::sleep(Duration::from_millis(300));
    let client = world.start(Side::Client, "iperf3 -c 10.78.0.2 -P 8 --bidir -t 20");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !charge(&bpf).happened.is_used_up() {
        assert!(Instant::now() < deadline, "{:?}", charge(&bpf));
        thread::sleep(Duration::from_millis(50));
    }
    drop(client);
    let end = world.settle(&bpf);
    let charged = charge(&bpf).charged;
    assert!(charged <= QUOTA, "{charged}");
    assert!(charged > QUOTA - 65_600, "one super-packet at most is missing: {charged}");
    assert_eq!(end.passed.total_bytes(), charged);
    assert_eq!(
        world.undelivered(Side::Gateway, "lan0"),
        0,
        "packets that passed are lost after it"
    );
    // What the client got is what was charged, and no more.
    let client = world.counted(Side::Client, "eth0").since(before);
    assert_eq!(client.received.of_ip().bytes, end.passed.down_bytes);
}

#[test]
fn devices_share_one_quota_and_one_rate() {
    let world = World::new("shared");
    let mut bpf = world.open();
    let other =
        Entry { slot: Slot(9), mac: Some("02:00:00:00:00:99".parse().unwrap()), ..of_account(2) };
    bpf.set_accounts(&[Account { quota: Some(5_000), ..account() }]).unwrap();
    bpf.install_all(&[of_account(1), other]).unwrap();
    assert_eq!(send(&world, 3, 1_000), 3);
    world.at(Side::Client, "ip link set eth0 address 02:00:00:00:00:99");
    world.at(Side::Gateway, "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev lan0");
    assert_eq!(send(&world, 4, 1_000), 2);
    assert_eq!(charge(&bpf).charged, 5_000);
}

#[test]
fn beyond_a_step_the_slow_rate_counts_from_that_packet_on() {
    let world = World::new("step");
    world.settle_segmentation();
    let mut bpf = world.open();
    let slow = Some(shape(1_000, 1_000));
    bpf.set_accounts(&[Account { slow, step: Some(200_000), ..account() }]).unwrap();
    bpf.install(&of_account(1)).unwrap();
    // 200 pass at once, then what is saved up and what fits into the queue at 1 Mbit/s.
    let (passed, took) = send_all(&world, &bpf, 400);
    assert!((200..260 + leave(took, 8)).contains(&passed), "{passed} in {took:?}");
    assert!(charge(&bpf).happened.has_stepped());
    assert!(verdict(&bpf, "queue_full") > 100);
}

#[test]
fn a_session_is_over_when_its_time_is_and_not_before() {
    let world = World::new("time");
    let mut bpf = world.open();
    let until = monotonic_ns() + 4_000_000_000;
    let timed = Entry { until_ns: Some(until), ..entry(1, FAST, FAST) };
    bpf.install(&timed).unwrap();
    assert_eq!(send(&world, 1, 100), 1);
    thread::sleep(Duration::from_nanos(until.saturating_sub(monotonic_ns())));
    assert_eq!(send(&world, 2, 100), 0);
    assert!(reading(&bpf).happened.is_over_time());
    assert_eq!(verdict(&bpf, "over_time"), 2);
    // Longer.
    bpf.install(&Entry { until_ns: Some(until + 60_000_000_000), ..timed }).unwrap();
    assert!(!reading(&bpf).happened.is_over_time());
    assert_eq!(send(&world, 1, 100), 1);
}

#[test]
fn a_session_that_was_idle_is_over_at_the_next_packet() {
    let world = World::new("idle");
    let mut bpf = world.open();
    let idle = Entry { idle_ms: Some(3_000), ..entry(1, FAST, FAST) };
    bpf.install(&idle).unwrap();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(1_300));
        assert_eq!(send(&world, 1, 100), 1);
    }
    thread::sleep(Duration::from_millis(3_200));
    assert_eq!(send(&world, 1, 100), 0);
    assert!(reading(&bpf).happened.was_idle());
    assert_eq!(verdict(&bpf, "idle"), 1);
}

#[test]
fn a_class_changes_for_the_next_packet() {
    let world = World::new("class");
    let mut bpf = world.open();
    let at = |class| Entry { class, slow: shape(100, 100), ..entry(1, FAST, FAST) };
    for (class, expected) in [
        (Class::Active, 100..=100),
        (Class::Blocked, 0..=0),
        // Ten full-size packets saved up and twenty in the queue, and a few that are sparse.
        (Class::Throttled, 40..=55),
        (Class::Garden, 0..=0),
        (Class::Active, 100..=100),
    ] {
        bpf.install(&at(class)).unwrap();
        let (passed, took) = send_all(&world, &bpf, 100);
        let expected = if class == Class::Throttled {
            *expected.start()..=expected.end() + leave(took, 80)
        } else {
            expected
        };
        let now = (reading(&bpf), bpf.verdicts());
        assert!(expected.contains(&passed), "{class:?}: {passed} {now:?}");
    }
    assert_eq!(bpf.observe().unwrap()[0].mac, CLIENT.parse().ok());
}

/// How many packets leave a queue meanwhile.
fn leave(took: Duration, each_ms: u64) -> u64 {
    u64::try_from(took.as_millis()).expect("some seconds") / each_ms
}

/// Sends datagrams of 1,000 octets of IP, and says how many were let through, also if they wait.
fn send_all(world: &World, bpf: &Bpf, count: usize) -> (u64, Duration) {
    let before = reading(bpf).passed.up_packets;
    let took = datagrams(world, count, 1_000);
    thread::sleep(Duration::from_millis(50));
    (reading(bpf).passed.up_packets - before, took)
}
