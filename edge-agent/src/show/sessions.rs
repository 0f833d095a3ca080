//! `kennet-edge sessions`: who is on-line, how fast, how far away, and what was refused.

use std::{collections::HashMap, io::IsTerminal as _, path::Path, thread, time::Duration};

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use edge_agent::{
    agent::JOURNAL,
    dataplane::{
        Entry, Reading, Rtt,
        bpf::{self, Left},
    },
    journal::Reader,
    sessions::{Kept, Session},
    settings::Settings,
};
use serde_json::{Value, json};
use shared::{id::SessionId, wire::latest::desired::Class};

/// What is known of one session at a moment.
#[derive(Clone)]
struct Seen {
    session: Session,
    /// The kernel's own word, where it meters.
    class: Class,
    reading: Reading,
    rtt: Rtt,
    left: Option<Left>,
}

/// All of them, and packets by verdict.
struct Look {
    sessions: Vec<Seen>,
    verdicts: Vec<(&'static str, u64)>,
}

/// `watch`: again and again, with what has moved in between.
pub(crate) fn sessions(config: &Path, as_json: bool, watch: Option<u32>) -> anyhow::Result<()> {
    let settings = Settings::read(config)?;
    let mut before = None;
    loop {
        let now = look(&settings)?;
        match (as_json, watch) {
            (true, None) => println!("{}", serde_json::to_string_pretty(&list(&now))?),
            (true, Some(_)) => println!("{}", list(&now)),
            (false, _) => {
                if watch.is_some() && std::io::stdout().is_terminal() {
                    // Home, and clear what is below.
                    print!("\x1b[H\x1b[J");
                }
                println!("{}", table(&now, before.as_ref(), watch.unwrap_or(1)));
                println!("on-line: {}", now.sessions.len());
                println!("{}", refused(&now, before.as_ref()));
            }
        }
        let Some(seconds) = watch else { return Ok(()) };
        before = Some(now);
        thread::sleep(Duration::from_secs(seconds.into()));
    }
}

fn look(settings: &Settings) -> anyhow::Result<Look> {
    let reader = Reader::open(&settings.state_dir.join(JOURNAL))?;
    let live = |row: &[u8]| match Session::from_row(row)? {
        Kept::Live(session) => Some(session),
        Kept::Ended { .. } => None,
    };
    let mut sessions: Vec<Session> =
        reader.sessions()?.iter().filter_map(|(_, row)| live(row)).collect();
    sessions.sort_by_key(|session| (session.started_at_ms, session.id));
    let kernel = settings.dataplane.as_ref().map(|it| bpf::Reader::open(&it.pins)).transpose()?;
    let mut found: HashMap<SessionId, (Entry, Reading)> = HashMap::new();
    let mut verdicts = Vec::new();
    if let Some(kernel) = &kernel {
        found = kernel.observe()?.into_iter().map(|it| (it.0.session, it)).collect();
        verdicts = kernel.verdicts()?;
    }
    let seen = |session: Session| -> anyhow::Result<Seen> {
        let (Some(kernel), Some((entry, reading))) = (&kernel, found.get(&session.id)) else {
            let reading = Reading { passed: session.counters, ..Reading::default() };
            let (class, rtt, left) = (session.class, Rtt::default(), None);
            return Ok(Seen { session, class, reading, rtt, left });
        };
        let reading = Reading { passed: session.base() + reading.passed, ..*reading };
        let left = entry.account.map(|number| kernel.left(number)).transpose()?.flatten();
        Ok(Seen { class: entry.class, reading, rtt: kernel.rtt(entry.slot)?, left, session })
    };
    let sessions = sessions.into_iter().map(seen).collect::<anyhow::Result<_>>()?;
    Ok(Look { sessions, verdicts })
}

fn list(look: &Look) -> Value {
    let listed = look.sessions.iter().map(|seen| {
        let Seen { session, class, reading, rtt, left } = seen;
        json!({
            "session": session.id,
            "username": session.username,
            "nas": &*session.nas.name,
            "mac": session.mac,
            "ip": session.ip,
            "acct_session_id": session.acct_session_id,
            "class": class,
            "down_kbps": session.shape.down_kbps,
            "up_kbps": session.shape.up_kbps,
            "started_at_ms": session.started_at_ms,
            "slot": session.slot().map(|slot| slot.0),
            "passed": reading.passed,
            "dropped": reading.dropped,
            "free": reading.free,
            "left_bytes": left.map(bytes_left),
            "rtt_subscriber_us": rtt.to_subscriber().map(|it| json!([it.p50_us, it.p95_us])),
            "rtt_internet_us": rtt.to_internet().map(|it| json!([it.p50_us, it.p95_us])),
        })
    });
    listed.collect()
}

fn table(now: &Look, before: Option<&Look>, seconds: u32) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "subscriber",
        "device",
        "address",
        "class",
        "plan down/up",
        if before.is_some() { "now down/up" } else { "bytes down/up" },
        "left",
        "RTT subscriber",
        "RTT internet",
        "dropped",
    ]);
    for seen in &now.sessions {
        let Seen { session, class, reading, rtt, left } = seen;
        let then = before
            .and_then(|before| before.sessions.iter().find(|other| other.session.id == session.id));
        let moved = match then {
            Some(then) => {
                let passed = reading.passed - then.reading.passed;
                let kbps = |bytes: u64| bytes * 8 / 1_000 / u64::from(seconds);
                format!("{} / {}", kbps(passed.down_bytes), kbps(passed.up_bytes))
            }
            None => format!("{} / {}", reading.passed.down_bytes, reading.passed.up_bytes),
        };
        let rtt = then.map_or(*rtt, |then| rtt.since(&then.rtt));
        let dash = || "-".to_owned();
        table.add_row([
            session.username.clone(),
            session.mac.map_or_else(dash, |mac| mac.to_string()),
            session.ip.map_or_else(dash, |ip| ip.to_string()),
            format!("{class:?}").to_lowercase(),
            format!("{} / {}", session.shape.down_kbps, session.shape.up_kbps),
            moved,
            left.map_or_else(dash, |left| size(bytes_left(left))),
            times(rtt.to_subscriber()),
            times(rtt.to_internet()),
            size(reading.dropped.total_bytes()),
        ]);
    }
    table
}

/// Median, and what 95 of 100 stay below.
fn times(times: Option<shared::wire::latest::live::Percentiles>) -> String {
    let tenths = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
    times.map_or_else(
        || "-".to_owned(),
        |it| format!("{} / {} ms", tenths(it.p50_us), tenths(it.p95_us)),
    )
}

/// Why packets did not simply pass.
fn refused(now: &Look, before: Option<&Look>) -> String {
    let counted = now.verdicts.iter().filter_map(|(reason, packets)| {
        let then = before.and_then(|before| {
            before.verdicts.iter().find(|(other, _)| other == reason).map(|(_, packets)| packets)
        });
        let packets = packets - then.unwrap_or(&0);
        (packets > 0).then(|| format!("{reason} {packets}"))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() {
        "verdicts: -".to_owned()
    } else {
        format!("verdicts: {}", counted.join(", "))
    }
}

const fn bytes_left(left: Left) -> u64 {
    left.quota.saturating_sub(left.charged)
}

/// For people: three digits and a unit.
fn size(bytes: u64) -> String {
    let mut rest = bytes;
    for unit in ["B", "kB", "MB", "GB"] {
        if rest < 10_000 {
            return format!("{rest} {unit}");
        }
        rest /= 1_000;
    }
    format!("{rest} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in
            [(0, "0 B"), (9_999, "9999 B"), (10_000, "10 kB"), (1_500_000_000, "1500 MB")]
        {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(size(u64::MAX), "18446744 TB");
    }
}
