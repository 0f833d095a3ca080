//! The clock and CoDel over any traffic.

use proptest::prelude::*;

use super::*;

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
    let bounds = Bounds::of(ns_per_byte(10_000));
    let arrival = Arrival::at(1_000_000_000, 5, bounds.burst);
    assert_eq!(arrival, Arrival { base: 1_000_000_000 - bounds.burst, delay: 0 });
}

#[test]
fn one_long_queue_is_forgiven_a_standing_one_is_not() {
    let bounds = Bounds::of(ns_per_byte(10_000));
    let mut codel = Codel::default();
    let long = bounds.target + 1;
    let mut at = |now, delay| decide(&mut codel, &bounds, now, delay, 1, false);
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
    let bounds = Bounds::of(ns_per_byte(10_000));
    let cost = cost(ns_per_byte(10_000), 64_000, 43);
    let mut codel = Codel::default();
    for round in 0..10 {
        let decision = decide(&mut codel, &bounds, round * INTERVAL, 3 * cost, cost, false);
        assert_eq!(decision, Decision::Pass);
    }
}

#[test]
fn who_understands_marks_is_not_dropped_from() {
    let bounds = Bounds::of(ns_per_byte(10_000));
    let mut codel = Codel::default();
    assert_eq!(decide(&mut codel, &bounds, 0, bounds.mark + 1, 1, true), Decision::Mark);
    assert_eq!(decide(&mut codel, &bounds, 0, bounds.mark, 1, true), Decision::Pass);
    assert_eq!(decide(&mut codel, &bounds, 0, bounds.limit + 1, 1, true), Decision::Refuse);
}

proptest! {
    /// Over any time and any arrivals, no more passes than the rate, the burst and the queue.
    #[test]
    fn no_more_passes_than_rate_and_burst(
        kbps in 64_u32..1_000_000,
        packets in prop::collection::vec((0_u64..20_000_000, 40_u64..65_000), 1..200),
    ) {
        let rate = ns_per_byte(kbps);
        let bounds = Bounds::of(rate);
        let start = 10_000_000_000_000;
        let (mut now, mut clear_at, mut passed, mut biggest) = (start, 0, 0, 0);
        let mut codel = Codel::default();
        for (pause, octets) in packets {
            now += pause;
            let arrival = Arrival::at(now, clear_at, bounds.burst);
            let cost = cost(rate, octets, octets.div_ceil(1_500));
            if decide(&mut codel, &bounds, now, arrival.delay, cost, false) == Decision::Pass {
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
        let bounds = Bounds::of(rate);
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
