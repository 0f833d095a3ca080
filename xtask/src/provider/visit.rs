//! One session, from login to the books.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::{
    lab::Counters,
    provider::{
        Household, Provider,
        controller::number,
        edge::{Live, counters},
        traffic,
    },
};

/// Somebody on-line.
#[derive(Clone, Debug)]
pub struct Visit {
    pub household: Household,
    /// What the edge answered to the login.
    pub answer: String,
    pub acct_session_id: String,
    pub class: String,
    /// The wire's counters at login.
    pub before: Counters,
}

/// Somebody who was on-line; the controller may not know it yet.
#[derive(Clone, Debug)]
pub struct Left {
    pub client: Counters,
    pub live: Live,
    pub journal: Counters,
}

/// What four places say about the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// The subscriber's own interface. Its *up* is what it sent, refused or not.
    pub client: Counters,
    pub kernel: Counters,
    /// Refused by the kernel; not in any other column.
    pub dropped: Counters,
    pub journal: Counters,
    pub database: Counters,
}

impl Books {
    /// To the byte and to the packet.
    pub fn equal(&self) -> bool {
        let Counters { down_bytes, up_bytes, down_packets, up_packets } = self.kernel;
        // What the kernel refused upwards had left the subscriber; what it refused downwards
        // never reached it.
        let client = Counters {
            down_bytes,
            up_bytes: up_bytes + self.dropped.up_bytes,
            down_packets,
            up_packets: up_packets + self.dropped.up_packets,
        };
        self.client == client && self.journal == self.kernel && self.database == self.kernel
    }
}

impl Provider {
    pub fn household(&self, index: usize) -> Result<&Household> {
        self.households.get(index).context("there is no such household")
    }

    /// Logs in and waits until the kernel has the session.
    pub fn arrive(&self, index: usize) -> Result<Visit> {
        let household = self.household(index)?.clone();
        let before = household.seat.counters()?;
        let Household { username, seat, .. } = &household;
        let nas = self.nas();
        let answer = nas.login(seat, username, household.password())?;
        ensure!(answer.is(ACCEPT), "{username} was not let in: {}", answer.text);
        let class = answer.class.with_context(|| format!("no Class in: {}", answer.text))?;
        let acct_session_id = format!("{}-{username}", self.lab.name());
        let answer = nas.start(seat, username, &acct_session_id, &class)?;
        ensure!(answer.is("Accounting-Response"), "start of {username}: {}", answer.text);
        let visit = Visit { household, answer: ACCEPT.to_owned(), acct_session_id, class, before };
        self.live(&visit)?;
        Ok(visit)
    }

    /// The session in the kernel.
    pub fn live(&self, visit: &Visit) -> Result<Live> {
        let username = visit.household.username;
        let sessions = self.edge.sessions(&self.lab)?;
        let mut own = sessions.iter().filter(|session| session.username == username);
        let found =
            own.next().with_context(|| format!("no session of {username}: {sessions:?}"))?;
        ensure!(own.next().is_none(), "more than one session of {username}: {sessions:?}");
        Ok(found.clone())
    }

    /// What the office's screens show, once they show `count` sessions that move.
    pub fn seen_live(&self, count: usize) -> Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let live = self.office.list("/api/sessions?state=live")?;
            let moves = |it: &&Value| number(it, "/seen/down_bytes").is_ok_and(|bytes| bytes > 0);
            if live.iter().filter(moves).count() == count {
                return Ok(live);
            }
            if start.elapsed() > Duration::from_secs(10) {
                bail!("the office should see {count} sessions that move: {live:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for silence, logs out, and asks everybody.
    pub fn leave(&self, visit: &Visit) -> Result<Books> {
        let left = self.log_out(visit)?;
        self.settle(&left)
    }

    /// Waits for silence and logs out; asks those who are near.
    pub fn log_out(&self, visit: &Visit) -> Result<Left> {
        let Household { username, seat, .. } = &visit.household;
        let client = traffic::silence(seat)? - visit.before;
        let live = self.live(visit)?;
        // A NAS that counts otherwise: where the edge's kernel meters, it is not believed.
        let wrong = Counters { down_bytes: 1, up_bytes: 1, down_packets: 1, up_packets: 1 };
        let nas = self.nas();
        let answer = nas.stop(seat, username, &visit.acct_session_id, &visit.class, wrong)?;
        ensure!(answer.is("Accounting-Response"), "stop of {username}: {}", answer.text);
        let journal = self.journal_of(&live.session)?;
        Ok(Left { client, live, journal })
    }

    /// Waits until the controller has it too.
    pub fn settle(&self, left: &Left) -> Result<Books> {
        let database = self.database_of(&left.live.session, Duration::from_mins(1))?;
        let Left { client, live, journal } = left.clone();
        Ok(Books { client, kernel: live.passed, dropped: live.dropped, journal, database })
    }

    /// What the journal's record of the session's end says.
    fn journal_of(&self, session: &str) -> Result<Counters> {
        let journal = self.edge.journal(&self.lab)?;
        let stops: Vec<&Value> = journal
            .iter()
            .filter(|record| record.get("session").and_then(Value::as_str) == Some(session))
            .filter(|record| record.get("kind").and_then(Value::as_str) == Some("session_stopped"))
            .collect();
        match stops.as_slice() {
            [stop] => counters(stop, "/octets"),
            other => bail!("{} ends of {session} in the journal: {other:?}", other.len()),
        }
    }

    /// What the controller has committed, once it has the session's end.
    pub fn database_of(&self, session: &str, limit: Duration) -> Result<Counters> {
        let start = Instant::now();
        loop {
            let found = self.office.get(&format!("/api/sessions/{session}"));
            if let Ok(row) = &found
                && row.get("stopped_at").is_some_and(|at| !at.is_null())
            {
                return counters(row, "");
            }
            if start.elapsed() > limit {
                bail!("no end of {session} in the database: {found:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

const ACCEPT: &str = "Access-Accept";
