//! What was promised of the data plane, and what was measured (pure, but for printing).

use serde_json::{Value, json};

use super::rows::{Row, short};

/// What a median, or of several cases the worst one, must come to.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Either way from zero.
    Within(f64),
}

impl Bound {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Within(most) => value.abs() <= most,
        }
    }

    fn text(self, unit: &str) -> String {
        let (sign, bound) = match self {
            Self::AtLeast(bound) => (">=", bound),
            Self::AtMost(bound) => ("<=", bound),
            Self::Within(bound) => ("within", bound),
        };
        format!("{sign} {bound} {unit}").trim_end().to_owned()
    }
}

struct Budget {
    figure: &'static str,
    /// The case; all when it is empty, and with `~` those that have the rest in their name.
    case: &'static str,
    system: &'static str,
    bound: Bound,
}

const fn budget(
    figure: &'static str,
    case: &'static str,
    system: &'static str,
    bound: Bound,
) -> Budget {
    Budget { figure, case, system, bound }
}

use Bound::{AtLeast, AtMost, Within};

const FORWARDED: &str = "64-byte packet, ratio";
const TCP: &str = "one TCP flow, no limit, ratio";
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
pub(super) fn judge(rows: &[Row]) -> Vec<Value> {
    let mut lines = Vec::new();
    for Budget { figure, case, system, bound } in BUDGETS {
        let is_it = |row: &&Row| {
            let is_case = match case.strip_prefix('~') {
                Some(part) => row.case.contains(part),
                None => case.is_empty() || row.case == *case,
            };
            row.figure == *figure && row.system == *system && is_case
        };
        let value = |row: &Row| {
            if EVERY_ROUND.contains(figure) { row.most() } else { row.median() }
        };
        let worst = rows.iter().filter(is_it).max_by(|one, other| {
            let (one, other) = (value(one), value(other));
            match bound {
                AtLeast(_) => other.total_cmp(&one),
                AtMost(_) => one.total_cmp(&other),
                Within(_) => one.abs().total_cmp(&other.abs()),
            }
        });
        let Some(worst) = worst else { continue };
        let unit = &worst.unit;
        lines.push((
            format!("{figure} {}: {system}, {}", bound.text(unit), worst.case),
            format!("{} {unit}", short(value(worst))),
            bound.is_met(value(worst)),
        ));
    }
    let (burst, meant) = BURST;
    for meant in rows.iter().filter(|row| row.figure == meant) {
        let seen = rows.iter().find(|row| {
            row.figure == burst && row.system == meant.system && row.case == meant.case
        });
        let Some(seen) = seen else { continue };
        let most = meant.median();
        lines.push((
            format!("{burst} <= {} ms: {}, {}", short(most), seen.system, seen.case),
            format!("{} ms", short(seen.median())),
            seen.median() <= most,
        ));
    }
    if !lines.is_empty() {
        println!("\nbudgets:");
    }
    for (what, measured, is_met) in &lines {
        let verdict = if *is_met { "ok" } else { "MISSED" };
        println!("{what:<94} {measured:>12}  {verdict}");
    }
    lines
        .iter()
        .map(|(what, measured, is_met)| {
            json!({ "budget": what, "measured": measured, "is_met": is_met })
        })
        .collect()
}
