//! A NAS that is not ours and meters by itself: what it counts is in the journal, to the octet.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use xtask::{
    lab::{Lab, Namespace, Network, Offload},
    provider::{
        authority::{Authority, Role},
        edge::{Edge, Orders},
        vpn::{INSIDE, TUNNEL, Vpn},
    },
    workspace,
};

const SECRET: &str = "testing123";

const DESIRED: &str = r#"
[[nas]]
name = "vpn"
address = "127.0.0.1"
secret = "testing123"
enforce = "nas"
require_message_authenticator = false

[[subscriber]]
username = "amina"
password = "jasmine-1"
down_kbps = 100000
up_kbps = 100000
session_timeout = 3600
static_ip = "192.168.77.20"
"#;

const NAME: &str = "vpn.lab";

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn what_a_foreign_nas_counts_is_in_the_journal_to_the_octet() -> Result<()> {
    let binaries = workspace::binaries()?;
    let lab = Lab::new()?;
    lab.keep_logs(true);
    let network = Network::build(&lab, 0, Offload::Off)?;
    let (site, home) = (&network.edge, &network.internet);
    // Or the tunnel's new end says something on its own, at a time of its own.
    for namespace in [site, home] {
        namespace.settings(&[("ipv6/conf/default/disable_ipv6", "1")])?;
    }
    let authority = Authority::new(&lab.folder("certificates")?, "root")?;
    let identity = authority.issue(Role::Server, NAME)?;
    let mut edge = Edge::start(&lab, &binaries, site, Orders::File(DESIRED))?;
    let log = edge.process.log().to_owned();
    let said = |words: &str| -> Result<bool> { Ok(fs::read_to_string(&log)?.contains(words)) };
    edge.wait_until("running", Duration::from_secs(30), || said("kennet-edge is running"))?;

    let listen = SocketAddr::from(([198, 51, 100, 1], 4443));
    let vpn = Vpn::start(&lab, site, listen, (NAME, &identity), SECRET)?;
    let mut caller = vpn.dial(&lab, home, &authority, ("amina", "jasmine-1"))?;
    caller.wait_until("on-line", LIMIT, || Ok(addresses(home)?.contains("192.168.77.20")))?;
    until("accounted for", || {
        let live = edge.sessions(&lab)?;
        Ok(live.first().is_some_and(|it| it.username == "amina" && !it.acct_session_id.is_empty()))
    })?;
    ensure!(said("CVE-2024-3596")?, "an old client is let in, and that is said");
    let told = fs::read_to_string(caller.log())?;
    ensure!(told.contains("will expire"), "Session-Timeout arrives: {told}");

    // Something down, less up; then silence.
    let inside = INSIDE.to_string();
    let mut server = site.command("iperf3");
    let server = lab.start("iperf3", server.args(["-s", "-1", "--forceflush", "-B", &inside]))?;
    until("iperf3 listens", || Ok(fs::read_to_string(server.log())?.contains("listening")))?;
    let mut client = lab.command(Some(home), "iperf3");
    workspace::output(client.args(["-c", &inside, "-n", "20M", "-R"]))?;
    let mut before = tunnel(site)?;
    until("silence", || {
        thread::sleep(Duration::from_millis(300));
        let now = tunnel(site)?;
        Ok(std::mem::replace(&mut before, now) == now)
    })?;
    let counted = tunnel(site)?;
    ensure!(counted.down > 20_000_000 && counted.up > 0, "{counted:?}");
    until("an interim report is in the journal", || {
        Ok(octets(&edge.journal(&lab)?, "usage").is_some_and(|usage| usage.down > 0))
    })?;

    caller.signal(Signal::SIGINT)?;
    caller.wait(LIMIT)?;
    until("the end is in the journal", || {
        Ok(octets(&edge.journal(&lab)?, "session_stopped").is_some())
    })?;
    let journal = octets(&edge.journal(&lab)?, "session_stopped");
    println!("the NAS's interface {counted:?}, the journal {journal:?}");
    assert_eq!(journal, Some(counted));
    ensure!(edge.sessions(&lab)?.is_empty(), "and the session is over");
    lab.keep_logs(false);
    Ok(())
}

/// From the subscriber's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Octets {
    down: u64,
    up: u64,
}

/// What the interface of the NAS has counted: it has no header that is not IP's.
fn tunnel(site: &Namespace) -> Result<Octets> {
    let table = site.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix(TUNNEL)?.strip_prefix(':'));
    let numbers = line.with_context(|| format!("no {TUNNEL} in {table}"))?.split_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>()?;
    let at = |at: usize| numbers.get(at).copied().context("a short line");
    Ok(Octets { down: at(8)?, up: at(0)? })
}

/// Of the last record of its kind.
fn octets(journal: &[Value], kind: &str) -> Option<Octets> {
    let is_it = |record: &&Value| record.get("kind").and_then(Value::as_str) == Some(kind);
    let octets = journal.iter().rfind(is_it)?.get("octets")?;
    let of = |name: &str| octets.get(name).and_then(Value::as_u64);
    Some(Octets { down: of("down_bytes")?, up: of("up_bytes")? })
}

fn addresses(namespace: &Namespace) -> Result<String> {
    workspace::output(Command::new("ip").args(["-n", namespace.name(), "-4", "address"]))
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds().with_context(|| what.to_owned())? {
        ensure!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
