//! Traffic, by `iperf3`, and waiting until there is none.

use std::{
    fs,
    net::IpAddr,
    ops::Range,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::{
    lab::{
        Counters, Lab, Namespace, Process, Seat,
        network::{SERVER_V4, SERVER_V6},
    },
    workspace,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Down,
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const fn server(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(SERVER_V4),
            Self::V6 => IpAddr::V6(SERVER_V6),
        }
    }
}

/// One TCP connection, whose payload is measured where it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub direction: Direction,
    pub family: Family,
    pub port: u16,
    pub seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodput {
    /// Payload that arrived, after the first second.
    pub bytes: u64,
    pub kbps: u64,
    pub retransmits: u64,
}

/// A transfer and what it should reach.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a> {
    pub seat: &'a Seat,
    pub transfer: Transfer,
    pub plan_kbps: u64,
}

/// What all reached at the same time, and how often it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    pub goodputs: Vec<Goodput>,
    pub tries: u32,
}

/// All at once. A machine that has other things to do takes goodput away and never adds any: so
/// what stays below its plan is tried again, and what is above it is not.
pub fn together(lab: &Lab, takers: &[Taker<'_>]) -> Result<Together> {
    let mut tries = 0;
    loop {
        tries += 1;
        let goodputs = once(lab, takers)?;
        let slow = takers.iter().zip(&goodputs).any(|(taker, goodput)| {
            goodput.kbps < taker.plan_kbps && !near(taker.plan_kbps, goodput.kbps)
        });
        if !slow || tries == TRIES_MAX {
            return Ok(Together { goodputs, tries });
        }
    }
}

fn once(lab: &Lab, takers: &[Taker<'_>]) -> Result<Vec<Goodput>> {
    thread::scope(|scope| {
        let start = |taker: &Taker<'_>| {
            let Taker { seat, transfer, .. } = *taker;
            let seat = seat.clone();
            scope.spawn(move || transfer.run(lab, &seat))
        };
        let threads: Vec<_> = takers.iter().map(start).collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().map_err(|_| anyhow!("a thread that moved bytes panicked"))?
        });
        joined.collect()
    })
}

/// Within 5 % of the plan.
pub fn near(plan_kbps: u64, goodput_kbps: u64) -> bool {
    goodput_kbps.abs_diff(plan_kbps) * 20 <= plan_kbps
}

/// A server for each of `count` clients: each serves one at a time.
pub fn serve(lab: &Lab, internet: &Namespace, count: u16) -> Result<Vec<Process>> {
    serve_at(lab, internet, FIRST_PORT..FIRST_PORT + count)
}

/// As [`serve`], a server at each of these ports.
pub fn serve_at(lab: &Lab, internet: &Namespace, ports: Range<u16>) -> Result<Vec<Process>> {
    let mut servers = Vec::new();
    for port in ports.clone() {
        let mut command = internet.command("iperf3");
        command.args(["--server", "--port", &port.to_string()]);
        servers.push(lab.start(&format!("iperf3-{}-{port}", internet.name()), &mut command)?);
    }
    for (server, port) in servers.iter_mut().zip(ports) {
        server.wait_until("listening", Duration::from_secs(5), || listens(internet, port))?;
    }
    Ok(servers)
}

impl Transfer {
    pub fn run(&self, lab: &Lab, seat: &Seat) -> Result<Goodput> {
        // More than it should ever take; a transfer that hangs is a failure, not a wait.
        let limit = (self.seconds + 20).to_string();
        let mut command = lab.command(Some(&seat.namespace), "timeout");
        command.args([limit.as_str(), "iperf3", "--json", "--congestion", "cubic", "--omit", "1"]);
        command.args(["--connect-timeout", "3000"]);
        command.args(["--client", &self.family.server().to_string()]);
        command.args(["--port", &self.port.to_string(), "--time", &self.seconds.to_string()]);
        if self.direction == Direction::Down {
            command.arg("--reverse");
        }
        let line = workspace::shown(&command);
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{line}`"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text)
            .with_context(|| format!("`{line}` ended ({}) and said: {text}", output.status))?;
        if let Some(error) = report.get("error") {
            anyhow::bail!("`{line}`: {error}");
        }
        Goodput::read(&report).with_context(|| format!("`{line}` did not say what arrived: {text}"))
    }
}

impl Goodput {
    fn read(report: &Value) -> Option<Self> {
        let received = report.pointer("/end/sum_received")?;
        let bytes = received.get("bytes")?.as_u64()?;
        let seconds = Duration::try_from_secs_f64(received.get("seconds")?.as_f64()?).ok()?;
        let micros = u64::try_from(seconds.as_micros()).ok().filter(|micros| *micros > 0)?;
        let retransmits = report.pointer("/end/sum_sent/retransmits").and_then(Value::as_u64);
        let kbps = bytes.checked_mul(8_000)? / micros;
        Some(Self { bytes, kbps, retransmits: retransmits.unwrap_or(0) })
    }
}

/// Waits until a seat's wire is silent, and returns its counters then.
pub fn silence(seat: &Seat) -> Result<Counters> {
    let start = Instant::now();
    let (mut last, mut since) = (seat.counters()?, Instant::now());
    loop {
        thread::sleep(Duration::from_millis(50));
        let now = seat.counters()?;
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > SILENT {
            return Ok(now);
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "the wire does not fall silent");
    }
}

fn listens(namespace: &Namespace, port: u16) -> Result<bool> {
    let table = namespace.inside(|| {
        let v4 = fs::read_to_string("/proc/thread-self/net/tcp")?;
        Ok(v4 + &fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default())
    })?;
    let local = format!(":{port:04X}");
    Ok(table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let at = fields.nth(1).is_some_and(|address| address.ends_with(&local));
        at && fields.nth(1) == Some("0A") // LISTEN
    }))
}

pub const FIRST_PORT: u16 = 5201;

const TRIES_MAX: u32 = 3;

/// Longer than the timers of a TCP connection that is being closed on a short wire.
const SILENT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_are_near() {
        assert!(near(10_000, 9_500) && near(10_000, 10_500));
        assert!(!near(10_000, 9_499) && !near(10_000, 10_501));
    }
}
