//! What the command line shows of an edge, running or not.
#![expect(clippy::print_stdout, reason = "a command-line tool's answer")]

use std::path::Path;

use edge_agent::{
    agent::JOURNAL,
    dataplane,
    journal::{Numbered, Reader},
    settings::Settings,
};
use serde_json::{Value, json};
use shared::{
    id::SessionId,
    octets::Counters,
    wire::latest::journal::{Event, Octets},
};

mod sessions;

pub(super) use sessions::sessions;

pub(super) fn journal(config: &Path, as_json: bool, from: u64) -> anyhow::Result<()> {
    let settings = Settings::read(config)?;
    let reader = Reader::open(&settings.state_dir.join(JOURNAL))?;
    for numbered in reader.records(from)? {
        let value = describe(&numbered);
        if as_json {
            println!("{value}");
        } else {
            println!("{}", line(&value));
        }
    }
    if !as_json {
        println!("epoch {}, {} records to be acknowledged", reader.epoch(), reader.depth()?);
    }
    Ok(())
}

/// Number, kind, then what is told of it.
fn line(value: &Value) -> String {
    let field = |key: &str| value.get(key).map(Value::to_string).unwrap_or_default();
    let rest = value.as_object().into_iter().flatten();
    let rest = rest.filter(|(key, _)| *key != "seq" && *key != "kind");
    let rest: Vec<String> = rest.map(|(key, value)| format!("{key}={value}")).collect();
    let (seq, kind) = (field("seq"), field("kind"));
    format!("{seq:>8}  {:<16} {}", kind.trim_matches('"'), rest.join(" "))
}

fn describe(numbered: &Numbered) -> Value {
    let Numbered { seq, acknowledged, record } = numbered;
    let Some(record) = record else {
        return json!({ "seq": seq, "acknowledged": acknowledged, "kind": "unknown" });
    };
    let mut value = json!({ "seq": seq, "acknowledged": acknowledged, "at_ms": record.at_ms });
    let counters = |octets: &Octets| json!(Counters::from(*octets));
    let session = |bytes: &[u8]| json!(SessionId::from_slice(bytes));
    let told = match &record.event {
        None => json!({ "kind": "unknown" }),
        Some(Event::SessionStarted(started)) => json!({
            "kind": "session_started",
            "session": session(&started.session),
            "username": started.username,
            "nas": started.nas_name,
            "ip": started.ip,
            "acct_session_id": started.acct_session_id,
            "down_kbps": started.down_kbps,
            "up_kbps": started.up_kbps,
        }),
        Some(Event::Usage(usage)) => json!({
            "kind": "usage",
            "session": session(&usage.session),
            "octets": counters(&usage.octets),
        }),
        Some(Event::SessionStopped(stopped)) => json!({
            "kind": "session_stopped",
            "session": session(&stopped.session),
            "octets": counters(&stopped.octets),
            "cause": stopped.cause,
        }),
        Some(Event::EdgeStarted(started)) => json!({
            "kind": "edge_started",
            "version": started.version,
            "birth": started.birth,
            "sessions": started.sessions,
        }),
        Some(Event::AuthFailures(failures)) => json!({
            "kind": "auth_failures",
            "nas": failures.nas_name,
            "username": failures.username,
            "reason": failures.reason,
            "count": failures.count,
        }),
        Some(Event::SessionEffect(effect)) => json!({
            "kind": "session_effect",
            "session": session(&effect.session),
            "nas": effect.nas_name,
            "asked": effect.asked().as_str(),
            "asked_at_ms": effect.asked_at_ms,
            "answered": effect.answered().as_str(),
            "error_cause": effect.error_cause,
            "observed": effect.observed().as_str(),
            "after_ms": effect.after_ms,
        }),
    };
    if let (Some(value), Value::Object(told)) = (value.as_object_mut(), told) {
        value.extend(told);
    }
    value
}

pub(super) fn detach(config: &Path) -> anyhow::Result<()> {
    let settings = Settings::read(config)?;
    match &settings.dataplane {
        Some(dataplane) => {
            dataplane::bpf::Bpf::detach(dataplane)?;
            println!("nothing of KenNet is left in the kernel");
        }
        None => println!("no [dataplane]: nothing to detach"),
    }
    Ok(())
}
