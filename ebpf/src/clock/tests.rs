//! The clock and CoDel over any traffic.

use proptest::prelude::*;

use super::{
    codel::{INTERVAL, square_root},
    number::max,
    *,
};

/// One megabit per second at `kbps` 1,000 is a full packet every 12 ms.
#[test]
fn a_full_packet_takes_as_long_as_its_plan_says() {
    for (kbps, expected) in [(1_000, 12_000_000), (10_000, 1_200_000), (1_000_000, 12_000)] {
        let took = cost(ns_per_byte(kbps), 1_500, 1);
        assert!(took.abs_diff(expected) <= expected / 10_000, "{kbps}: {took}");
    }
}

#[test]
fn no_packet_overflows_the_slowest_rate() {
    let slowest = ns_per_byte(1);
    assert!(slowest < 1 << 43);
    let big = cost(slowest, 600_000, 500);
    assert_eq!(u128::from(big), (u128::from(slowest) * 607_000) >> POINT);
}

#[test]
fn an_idle_session_saves_up_a_burst_and_no_more() {
    let bounds = Bounds::of(ns_per_byte(10_000), Muscle::Htb);
    let arrival = Arrival::at(1_000_000_000, 5, bounds.burst);
    assert_eq!(arrival, Arrival { base: 1_000_000_000 - bounds.burst, delay: 0 });
}

#[test]
fn one_long_queue_is_forgiven_a_standing_one_is_not() {
    let bounds = Bounds::of(ns_per_byte(10_000), Muscle::Htb);
    let mut codel = Codel::default();
    let long = bounds.target + 1;
    let mut at = |now, delay| decide(&mut codel, (&bounds, Muscle::Htb), now, (delay, 1), false);
    assert_eq!(at(0, long), Decision::Pass);
    assert_eq!(at(INTERVAL - 1, long), Decision::Pass);
    assert_eq!(at(INTERVAL, long), Decision::Shed);
    // Not before the first one can have been noticed.
    assert_eq!(at(2 * INTERVAL + long - 1, long), Decision::Pass);
    assert_eq!(at(2 * INTERVAL + long, long), Decision::Shed);
    // Sooner from time to time: 100 ms / sqrt(2).
    let third = 2 * INTERVAL + long + long + 70_710_678;
    assert_eq!(at(third - 100_000, long), Decision::Pass);
    assert_eq!(at(third + 100_000, long), Decision::Shed);
    assert_eq!(at(third + 200_000, 0), Decision::Pass);
}

#[test]
fn few_super_packets_are_no_standing_queue() {
    let bounds = Bounds::of(ns_per_byte(10_000), Muscle::Htb);
    let cost = cost(ns_per_byte(10_000), 64_000, 43);
    let mut codel = Codel::default();
    for round in 0..10 {
        let decision =
            decide(&mut codel, (&bounds, Muscle::Htb), round * INTERVAL, (3 * cost, cost), false);
        assert_eq!(decision, Decision::Pass);
    }
}

#[test]
fn who_understands_marks_is_not_dropped_from() {
    let bounds = Bounds::of(ns_per_byte(10_000), Muscle::Htb);
    let mut codel = Codel::default();
    assert_eq!(
        decide(&mut codel, (&bounds, Muscle::Htb), 0, (bounds.mark + 1, 1), true),
        Decision::Mark
    );
    assert_eq!(
        decide(&mut codel, (&bounds, Muscle::Htb), 0, (bounds.mark, 1), true),
        Decision::Pass
    );
    assert_eq!(
        decide(&mut codel, (&bounds, Muscle::Htb), 0, (bounds.limit + 1, 1), true),
        Decision::Refuse
    );
}

proptest! {
    /// Over any time and any arrivals, no more passes than the rate, the burst and the queue.
    #[test]
    fn no_more_passes_than_rate_and_burst(
        kbps in 64_u32..1_000_000,
        packets in prop::collection::vec((0_u64..20_000_000, 40_u64..65_000), 1..200),
    ) {
        let rate = ns_per_byte(kbps);
        let bounds = Bounds::of(rate, Muscle::Htb);
        let start = 10_000_000_000_000;
        let (mut now, mut clear_at, mut passed, mut biggest) = (start, 0, 0, 0);
        let mut codel = Codel::default();
        for (pause, octets) in packets {
            now += pause;
            let arrival = Arrival::at(now, clear_at, bounds.burst);
            let cost = cost(rate, octets, octets.div_ceil(1_500));
            if decide(&mut codel, (&bounds, Muscle::Htb), now, (arrival.delay, cost), false) == Decision::Pass {
                clear_at = arrival.base + cost;
                passed += cost;
                biggest = max(biggest, cost);
            }
            let queue = max(bounds.limit, 6 * biggest) + biggest;
            prop_assert!(passed <= now - start + bounds.burst + queue);
        }
    }

    /// The clock loses nothing: a backlogged session gets its rate.
    #[test]
    fn a_backlogged_session_is_never_idle(kbps in 64_u32..1_000_000, count in 1_u64..1_000) {
        let rate = ns_per_byte(kbps);
        let bounds = Bounds::of(rate, Muscle::Htb);
        let now = 10_000_000_000_000;
        let packet = cost(rate, 1_500, 1);
        let mut clear_at = now;
        for _ in 0..count {
            clear_at = Arrival::at(now, clear_at, bounds.burst).base + packet;
        }
        prop_assert_eq!(clear_at, now + count * packet);
    }

    #[test]
    fn the_root_is_the_root(value in 1_u32..) {
        let exact = u64::from(value.isqrt());
        prop_assert!(square_root(value).abs_diff(exact) <= 1 + exact / 1_000);
    }
}

#[test]
fn without_a_queue_a_packet_may_borrow_and_then_others_wait() {
    let rate = ns_per_byte(10_000);
    let bounds = Bounds::of(rate, Muscle::Police);
    let mut codel = Codel::default();
    let mut police = |delay| decide(&mut codel, (&bounds, Muscle::Police), 0, (delay, 1), true);
    assert_eq!(police(0), Decision::Pass);
    assert_eq!(police(1), Decision::Refuse);
}

/// At 10 Mbit/s a full packet takes 1.2 ms.
const FULL: (u64, u64) = (1_200_000, 1_200_000);

#[test]
fn a_call_leaves_at_once_and_a_download_does_not() {
    let mut call = Flow::default();
    let mut download = Flow::default();
    let mut sparse = [0, 0];
    for ms in 0..1_000 {
        let now = 1_000_000_000 + ms * MS;
        // 200 octets each 20 ms are 80 kbit/s.
        if ms % 20 == 0 {
            let (is_sparse, next) = call.arrive(now, now + 15 * MS, (160_000, FULL.1));
            call = next;
            sparse[0] += u32::from(is_sparse);
        }
        let (is_sparse, next) = download.arrive(now, now + 15 * MS, FULL);
        download = next;
        sparse[1] += u32::from(is_sparse);
    }
    assert_eq!(sparse[0], 50);
    assert!(sparse[1] <= 3, "{sparse:?}");
}

#[test]
fn nothing_overtakes_its_own_flow() {
    let now = 1_000_000_000;
    let waiting = Flow { clear_at: 0, leaves_at: now + 1 };
    let (is_sparse, next) = waiting.arrive(now, now + 5, FULL);
    assert!(!is_sparse);
    assert_eq!(next.leaves_at, now + 5);
    let (is_sparse, _) = next.arrive(now + 5, now + 9, FULL);
    assert!(is_sparse);
}

#[test]
fn who_had_too_much_is_forgiven_soon() {
    let mut flow = Flow::default();
    let now = 1_000_000_000;
    for _ in 0..1_000 {
        flow = flow.arrive(now, now, FULL).1;
    }
    assert!(!flow.arrive(now + 40 * MS, now, FULL).0);
    assert!(flow.arrive(now + 51 * MS, now, FULL).0);
}

#[test]
fn all_sparse_flows_together_have_half() {
    let start = 1_000_000_000;
    let (mut clear_at, mut passed) = (0, 0);
    for step in 0..1_000 {
        // A hundred flows that each ask for little: twice the rate in all.
        let now = start + step * FULL.0 / 2;
        if let Some(next) = share(clear_at, now, FULL) {
            clear_at = next;
            passed += 1;
        }
    }
    assert!((250..270).contains(&passed), "{passed}");
}
