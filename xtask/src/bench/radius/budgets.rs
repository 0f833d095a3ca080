//! What was promised of the RADIUS server, and what was measured (pure, but for printing).

use serde_json::{Value, json};

use super::{
    Row,
    cases::Server,
    freeradius::{Store, Threads},
    mebibytes,
    memory::Memory,
};

/// Of servers that are measured side by side: replies per server CPU second, the first's by the
/// second's.
fn ratio(rows: &[Row], case: &str, one: Server, other: Server) -> Option<f64> {
    let of = |server| {
        let row = rows.iter().find(|row| row.case.name == case && row.server == server)?;
        Some(row.measured.per_cpu_second)
    };
    #[expect(clippy::float_arithmetic, reason = "a ratio of two measurements")]
    Some(of(one)? / of(other)?)
}

/// The edge beside everybody else.
pub(super) fn ratios(rows: &[Row]) -> Vec<Value> {
    let mut ratios = Vec::new();
    println!("\nthe edge beside the others, replies per server CPU second:");
    for row in rows.iter().filter(|row| row.server != Server::Edge && row.case.is_busy()) {
        let Some(ratio) = ratio(rows, row.case.name, Server::Edge, row.server) else { continue };
        println!("{:<18} {ratio:>8.2}x {}", row.case.name, row.server.name());
        ratios.push(json!({ "case": row.case.name, "peer": row.server.name(), "ratio": ratio }));
    }
    ratios
}

/// At least so many times as fast as the faster way of FreeRADIUS, or as an echo.
struct Faster {
    case: &'static str,
    than: &'static [Server],
    times: f64,
}

const FILES: &[Server] = &[
    Server::FreeRadius(Store::Files, Threads::One),
    Server::FreeRadius(Store::Files, Threads::Pool),
];
const SQL: &[Server] =
    &[Server::FreeRadius(Store::Sql, Threads::One), Server::FreeRadius(Store::Sql, Threads::Pool)];

const FASTER: &[Faster] = &[
    Faster { case: "pap", than: FILES, times: 4.3 },
    Faster { case: "pap", than: &[Server::Least], times: 0.64 },
    Faster { case: "pap", than: &[Server::BatchedEcho], times: 0.4 },
    Faster { case: "chap", than: FILES, times: 3.8 },
    Faster { case: "mschapv2", than: FILES, times: 3.4 },
    Faster { case: "accounting", than: SQL, times: 20.0 },
    Faster { case: "peap-tls12", than: FILES, times: 2.0 },
    Faster { case: "peap-tls13", than: FILES, times: 2.0 },
    Faster { case: "peap-resumed", than: FILES, times: 3.0 },
];

/// The case of an open loop, the longest half of its replies may take, in microseconds.
const OPEN_LOOP: (&str, u64) = ("pap-50000", 100);

/// How much longer half of another NAS's replies may take beside a crowd: less than a wake-up, or
/// half of what it was on a machine that does other things.
const OTHERS_SLACK_US: u64 = 25;

const MEMORY_MAX: u64 = 128 * 1024 * 1024;

/// One line for each budget that this run has measured.
pub(super) fn judge(rows: &[Row], memory: &Memory) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut say = |what: String, measured: String, is_met: bool| {
        lines.push((what, measured, is_met));
    };
    for Faster { case, than, times } in FASTER {
        let ratios =
            than.iter().filter_map(|&peer| Some((peer, ratio(rows, case, Server::Edge, peer)?)));
        let Some((peer, least)) = ratios.min_by(|(_, one), (_, other)| one.total_cmp(other)) else {
            continue;
        };
        say(format!("{case} >= {times}x {}", peer.name()), format!("{least:.2}x"), least >= *times);
    }
    let (case, p50_max) = OPEN_LOOP;
    if let Some(row) = rows.iter().find(|row| row.case.name == case && row.server == Server::Edge) {
        let (lost, p50) = (row.measured.lost, row.measured.p50_us);
        say(format!("{case}: nothing lost"), format!("{lost} lost"), lost == 0);
        say(format!("{case}: p50 <= {p50_max} us"), format!("{p50} us"), p50 <= p50_max);
    }
    if let Some(sessions) = &memory.sessions {
        say(
            format!("memory with {} sessions < 128 MiB", sessions.count),
            format!("{} MiB", mebibytes(sessions.memory_bytes)),
            sessions.memory_bytes < MEMORY_MAX,
        );
    }
    if let Some(half_open) = &memory.half_open {
        let (_, bytes) = half_open.memory_bytes;
        say(
            format!("memory with {} half-open conversations < 128 MiB", half_open.count),
            format!("{} MiB", mebibytes(bytes)),
            bytes < MEMORY_MAX,
        );
        let [before, during, after] = &half_open.others;
        say(
            "another NAS loses nothing to them".to_owned(),
            format!("{} lost", during.lost + after.lost),
            during.lost + after.lost == 0,
        );
        say(
            "another NAS waits as long as before".to_owned(),
            format!("{}, {} us", before.p50_us, after.p50_us),
            after.p50_us <= before.p50_us + OTHERS_SLACK_US.max(before.p50_us / 2),
        );
    }
    if !lines.is_empty() {
        println!("\nbudgets:");
    }
    for (what, measured, is_met) in &lines {
        let verdict = if *is_met { "ok" } else { "MISSED" };
        println!("{what:<52} {measured:>12}  {verdict}");
    }
    lines
        .iter()
        .map(|(what, measured, is_met)| {
            json!({ "budget": what, "measured": measured, "is_met": is_met })
        })
        .collect()
}
