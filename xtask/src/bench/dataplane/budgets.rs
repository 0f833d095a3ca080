//! What was promised of the data plane. Pure.

use crate::bench::{
    budgets::{
        self,
        Bound::{AtLeast, AtMost, Within},
        Budget, Line, budget,
    },
    rows::{Row, short},
};

const FORWARDED: &str = "64-byte packet, ratio";
const TCP: &str = "TCP, 1 MB, ratio";
const GOODPUT: &str = "TCP goodput against the plan";
const OWN_RTT: &str = "RTT in the session over idle, p95";
const OTHERS_RTT: &str = "RTT in another session over idle, p95";

const BUDGETS: &[Budget] = &[
    budget(FORWARDED, "1 in turn", "ours, metering", AtLeast(0.95)),
    budget(FORWARDED, "1 in turn", "ours, police", AtLeast(0.92)),
    budget(FORWARDED, "10000 in turn", "ours, police", AtLeast(0.85)),
    budget(TCP, "super-packets", "ours, metering", AtLeast(0.97)),
    budget(TCP, "1,500 bytes", "ours, metering", AtLeast(0.97)),
    budget("all changed at once", "10000 sessions", "ours, htb", AtMost(100.0)),
    budget("all changed at once", "10000 sessions", "ours, police", AtMost(100.0)),
    budget("one changed, p99", "10000 sessions", "ours, htb", AtMost(1.0)),
    budget("one changed, p99", "10000 sessions", "ours, police", AtMost(1.0)),
    budget("rate of each session, mean error", "", "ours, police", AtMost(0.5)),
    budget("rate of each session, mean error", "", "ours, htb", AtMost(0.5)),
    budget("Jain's index", "", "ours, police", AtLeast(0.999)),
    budget("Jain's index", "", "ours, htb", AtLeast(0.999)),
    budget("charged beyond 25 MiB", "", "ours, metering", AtMost(0.0)),
    budget("arrived beyond 25 MiB", "", "ours, metering", AtMost(0.0)),
    budget(GOODPUT, "10 Mbit/s, RTT 20 ms, 1 cubic down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "10 Mbit/s, RTT 20 ms, 4 cubic down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "10 Mbit/s, RTT 20 ms, 1 bbr down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "10 Mbit/s, RTT 20 ms, 4 bbr down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "10 Mbit/s, RTT 20 ms, 1 cubic up", "ours, htb", Within(2.0)),
    budget(GOODPUT, "100 Mbit/s, RTT 20 ms, 1 cubic down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "100 Mbit/s, RTT 20 ms, 4 cubic down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "100 Mbit/s, RTT 20 ms, 1 bbr down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "100 Mbit/s, RTT 20 ms, 4 bbr down", "ours, htb", Within(2.0)),
    budget(GOODPUT, "100 Mbit/s, RTT 20 ms, 1 cubic up", "ours, htb", Within(2.0)),
    budget(OWN_RTT, "~RTT 20 ms", "ours, htb", AtMost(5.0)),
    budget(OWN_RTT, "~RTT 20 ms", "ours, police", AtMost(5.0)),
    budget(OTHERS_RTT, "~RTT 20 ms", "ours, htb", AtMost(0.5)),
    budget(OTHERS_RTT, "~RTT 20 ms", "ours, police", AtMost(0.5)),
    budget("RTT beside 100 others over idle, p95", "", "ours, htb", AtMost(0.5)),
    budget("RTT beside 100 others over idle, p95", "", "ours, police", AtMost(0.5)),
    budget("octets counted wrong", "", "ours, htb", AtMost(0.0)),
    budget("octets counted wrong", "", "ours, police", AtMost(0.0)),
    budget("packets counted wrong", "", "ours, htb", AtMost(0.0)),
    budget("packets counted wrong", "", "ours, police", AtMost(0.0)),
    budget("packets lost", "", "ours, htb", AtMost(0.0)),
    budget("packets lost", "", "ours, police", AtMost(0.0)),
    budget("packets not counted", "", "ours, htb", AtMost(0.0)),
    budget("packets not counted", "", "ours, police", AtMost(0.0)),
    budget("refused", "", "ours, police", AtLeast(100.0)),
    budget("passed as it should", "", "ours, police", AtLeast(100.0)),
];

/// The median counts where rounds differ by what else the machine does, and every round where a
/// single fault is one too many.
const EVERY_ROUND: &[&str] = &[
    "charged beyond 25 MiB",
    "arrived beyond 25 MiB",
    "octets counted wrong",
    "packets counted wrong",
    "packets lost",
    "packets not counted",
];

const BURST: (&str, &str) =
    ("more than the rate after a pause", "more than the rate that is meant");

/// One line for each budget that this run has measured.
pub(super) fn judge(rows: &[Row]) -> Vec<Line> {
    let mut lines = budgets::judge(rows, BUDGETS, EVERY_ROUND);
    let (burst, meant) = BURST;
    for meant in rows.iter().filter(|row| row.figure == meant) {
        let seen = rows.iter().find(|row| {
            row.figure == burst && row.system == meant.system && row.case == meant.case
        });
        let Some(seen) = seen else { continue };
        let most = meant.median();
        lines.push(Line {
            budget: format!("{burst} <= {} ms: {}, {}", short(most), seen.system, seen.case),
            measured: format!("{} ms", short(seen.median())),
            is_met: seen.median() <= most,
        });
    }
    lines
}
