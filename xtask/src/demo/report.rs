//! What the demo measured: a table for people, JSON for machines.

use std::fmt;

use serde::Serialize;

use crate::provider::{
    Plan,
    edge::Live,
    traffic::{Direction, Goodput, near},
    visit::{Books, Visit},
};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// All that is claimed holds.
    pub ok: bool,
    /// How often the transfers were made: again when a busy machine kept one below its plan.
    pub tries: Moved,
    /// Why there is no more to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub subscribers: Vec<Shown>,
}

/// What was seen of one subscriber.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    pub username: String,
    /// What the edge answered to the login.
    pub radius: String,
    pub plan: Rates,
    /// What the kernel was told to hold.
    pub installed: Rates,
    /// TCP payload that arrived.
    pub goodput: Rates,
    /// Bytes of TCP payload that the traffic generator saw arrive in the measured seconds.
    pub generator: Moved,
    pub retransmits: Moved,
    /// IP bytes.
    pub bytes: Columns,
    pub packets: Columns,
    /// Kernel = journal = database, and = the client's interface with what was refused added.
    pub equal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rates {
    pub down_kbps: u64,
    pub up_kbps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    pub down: u64,
    pub up: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Columns {
    pub client: Moved,
    pub kernel: Moved,
    pub journal: Moved,
    pub database: Moved,
    /// Refused by the kernel, and in no other column but the client's upload.
    pub dropped: Moved,
}

impl Shown {
    pub fn new(visit: &Visit, live: &Live, down: Goodput, up: Goodput, books: Books) -> Self {
        let Plan { down_kbps, up_kbps, .. } = visit.household.plan;
        let columns = |pick: fn(&crate::lab::Counters) -> Moved| Columns {
            client: pick(&books.client),
            kernel: pick(&books.kernel),
            journal: pick(&books.journal),
            database: pick(&books.database),
            dropped: pick(&books.dropped),
        };
        Self {
            username: visit.household.username.to_owned(),
            radius: visit.answer.clone(),
            plan: Rates { down_kbps: down_kbps.into(), up_kbps: up_kbps.into() },
            installed: Rates { down_kbps: live.down_kbps, up_kbps: live.up_kbps },
            goodput: Rates { down_kbps: down.kbps, up_kbps: up.kbps },
            generator: Moved { down: down.bytes, up: up.bytes },
            retransmits: Moved { down: down.retransmits, up: up.retransmits },
            bytes: columns(|it| Moved { down: it.down_bytes, up: it.up_bytes }),
            packets: columns(|it| Moved { down: it.down_packets, up: it.up_packets }),
            equal: books.equal(),
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let username = &self.username;
        if self.installed != self.plan {
            faults.push(format!("{username}: the kernel has {:?}", self.installed));
        }
        for (direction, plan, goodput) in [
            (Direction::Down, self.plan.down_kbps, self.goodput.down_kbps),
            (Direction::Up, self.plan.up_kbps, self.goodput.up_kbps),
        ] {
            if !near(plan, goodput) {
                let line = format!("{username}: {direction:?} {goodput} kbit/s of {plan}");
                faults.push(line);
            }
        }
        if !self.equal {
            faults.push(format!("{username}: the books differ: {:?}", self.bytes));
        }
        faults
    }
}

impl Report {
    pub fn new(subscribers: Vec<Shown>, tries: Moved) -> Self {
        let mut report = Self { ok: false, tries, error: None, subscribers };
        report.ok = report.faults().is_empty() && !report.subscribers.is_empty();
        report
    }

    /// Of a story that did not come to its end.
    pub fn failed(error: &anyhow::Error) -> Self {
        let (tries, error) = (Moved { down: 0, up: 0 }, Some(format!("{error:#}")));
        Self { ok: false, tries, error, subscribers: Vec::new() }
    }

    pub fn faults(&self) -> Vec<String> {
        self.subscribers.iter().flat_map(Shown::faults).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>4} {:>9} {:>9} {:>6}  {:>11} {:>11} {:>11} {:>11} {:>9}",
            "", "", "plan", "goodput", "", "client", "kernel", "journal", "database", "refused"
        )?;
        writeln!(
            f,
            "{:<10} {:>4} {:>9} {:>9} {:>6}  {:>11} {:>11} {:>11} {:>11} {:>9}",
            "subscriber",
            "",
            "kbit/s",
            "kbit/s",
            "%",
            "IP bytes",
            "IP bytes",
            "IP bytes",
            "IP bytes",
            "IP bytes"
        )?;
        for shown in &self.subscribers {
            let Columns { client, kernel, journal, database, dropped } = shown.bytes;
            for (name, word, plan, goodput, of) in [
                (
                    shown.username.as_str(),
                    "down",
                    shown.plan.down_kbps,
                    shown.goodput.down_kbps,
                    [client, kernel, journal, database, dropped].map(|it| it.down),
                ),
                (
                    "",
                    "up",
                    shown.plan.up_kbps,
                    shown.goodput.up_kbps,
                    [client, kernel, journal, database, dropped].map(|it| it.up),
                ),
            ] {
                let tenths = goodput * 1000 / plan.max(1);
                let percent = format!("{}.{}", tenths / 10, tenths % 10);
                let [client, kernel, journal, database, dropped] = of;
                writeln!(
                    f,
                    "{name:<10} {word:>4} {plan:>9} {goodput:>9} {percent:>6}  {client:>11} \
                     {kernel:>11} {journal:>11} {database:>11} {dropped:>9}"
                )?;
            }
        }
        let equal = self.subscribers.iter().all(|shown| shown.equal);
        let words = if equal { "are equal to the byte" } else { "DIFFER" };
        write!(f, "client, kernel, journal and database {words}")
    }
}
