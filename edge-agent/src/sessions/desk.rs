//! The session thread: events in, then close, write, act, in that order.
//!
//! It takes whatever has arrived as one batch, so that one fsync serves all of it. While the disk
//! works, the next batch collects in the channel.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use shared::{
    daemon::{Chain, Life},
    id::SessionId,
    wire::latest::journal,
};
use tokio::sync::watch;

use super::{Act, Decision, Session, Sessions, event::Event};
use crate::{
    dataplane::{Dataplane, DataplaneError, Entry, Reading, Slot},
    journal::{Journal, JournalError},
};

/// Events that wait for the session thread. When it is full, RADIUS drops packets and NASes send
/// them again: about half a second of work at full speed.
pub const EVENTS_MAX: usize = 32_768;

/// Events that one fsync serves at most.
const BATCH_MAX: usize = 2_048;

/// How often limits are looked at and counters are read.
const ROUND: Duration = Duration::from_secs(1);

/// Acknowledged records are kept this long for people who look.
const KEEP_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("the journal cannot be written, so nothing could be acknowledged any more")]
    Journal(#[from] JournalError),
    #[error("the data plane does not answer")]
    Dataplane(#[from] DataplaneError),
}

pub struct Desk {
    journal: Journal,
    dataplane: Box<dyn Dataplane>,
    sessions: Sessions,
    /// Told the next sequence number after each write.
    written: watch::Sender<u64>,
    next_round: Instant,
}

impl Desk {
    /// Takes over what a process before this one left, so that when this returns the kernel is
    /// as the journal says.
    pub fn open(
        journal: Journal,
        mut dataplane: Box<dyn Dataplane>,
        report_every: Duration,
        written: watch::Sender<u64>,
    ) -> Result<Self, DeskError> {
        let rows = journal.sessions()?;
        let rows = rows.into_iter().filter_map(|(id, row)| {
            let session = Session::from_row(&row);
            if session.is_none() {
                tracing::error!(session = %id, "the row of session {id} cannot be read: dropped");
            }
            session
        });
        let rows: Vec<Session> = rows.collect();
        let observed = dataplane.observe()?;
        let strangers: Vec<Slot> = observed
            .iter()
            .filter(|entry| !rows.iter().any(|session| session.id == entry.session))
            .map(|entry| entry.slot)
            .collect();
        if !strangers.is_empty() {
            dataplane.remove(&strangers)?;
        }
        let now_ms = now_ms();
        let report_every = u64::try_from(report_every.as_millis()).unwrap_or(u64::MAX);
        let (sessions, mut decision) =
            Sessions::restore(rows, &observed, dataplane.slots(), report_every, now_ms);
        let started = journal::EdgeStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            birth: journal.birth(),
            sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
        };
        decision.record(now_ms, journal::Event::EdgeStarted(started));
        tracing::info!(sessions = sessions.len(), "sessions are taken over");
        let next_round = next_round();
        let mut desk = Self { journal, dataplane, sessions, written, next_round };
        desk.carry_out(decision, now_ms)?;
        Ok(desk)
    }

    /// Runs until every sender is gone or the daemon stops. On the way out what was moved so far
    /// is written down; the sessions themselves go on in the kernel.
    pub fn run(mut self, events: &Receiver<Event>, life: &Life) {
        let ended = loop {
            if life.is_stopping() {
                break self.last_report();
            }
            match self.turn(events) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = ended {
            tracing::error!(error = %Chain(&error), "the session thread cannot go on");
            life.ask_to_stop();
        }
    }

    fn turn(&mut self, events: &Receiver<Event>) -> Result<bool, DeskError> {
        let wait = self.next_round.saturating_duration_since(now());
        let first = match events.recv_timeout(wait.min(POLL)) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        };
        let now_ms = now_ms();
        let mut decision = Decision::default();
        for event in first.into_iter().chain(events.try_iter().take(BATCH_MAX)) {
            self.handle(event, now_ms, &mut decision)?;
        }
        if now() >= self.next_round {
            self.next_round = next_round();
            let readings = self.readings()?;
            self.sessions.tick(&readings, now_ms, &mut decision);
            self.export();
        }
        self.carry_out(decision, now_ms)?;
        Ok(true)
    }

    fn handle(
        &mut self,
        event: Event,
        now_ms: u64,
        decision: &mut Decision,
    ) -> Result<(), DeskError> {
        match event {
            Event::Open(open, ticket) => self.sessions.open(open, ticket, now_ms, decision),
            Event::Accounting(record, ticket) => {
                self.sessions.accounting(&record, ticket, now_ms, decision);
            }
            Event::AuthFailure(failure) => self.sessions.auth_failure(failure),
            Event::Desired(snapshot, applied) => {
                self.sessions.desired(&snapshot, now_ms, decision);
                decision.acts.extend(applied.map(Act::Applied));
            }
            Event::Disconnect(id, answer) => self.sessions.disconnect(id, answer, decision),
            Event::Acked(next_seq) => {
                self.journal.acknowledged(next_seq, now_ms.saturating_sub(KEEP_MS))?;
            }
            Event::List(answer) => {
                let readings = self.readings()?;
                // Who asked may be gone.
                let _ = answer.send(self.sessions.list(&readings, now_ms));
            }
        }
        Ok(())
    }

    fn export(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("kennet_sessions").set(self.sessions.len() as f64);
        for (verdict, packets) in self.dataplane.verdicts() {
            metrics::counter!("kennet_dataplane_packets_total", "verdict" => verdict)
                .absolute(packets);
        }
    }

    fn readings(&self) -> Result<Vec<(SessionId, Reading)>, DeskError> {
        let metered = self.sessions.metered();
        let slots: Vec<Slot> = metered.iter().map(|(_, slot)| *slot).collect();
        let readings = self.dataplane.read(&slots)?;
        Ok(metered.into_iter().map(|(id, _)| id).zip(readings).collect())
    }

    fn carry_out(&mut self, mut decision: Decision, now_ms: u64) -> Result<(), DeskError> {
        self.close(&mut decision, now_ms)?;
        let wrote = !decision.records.is_empty();
        self.journal.append(now_ms, &decision.records, &decision.rows)?;
        if wrote {
            self.written.send_replace(self.journal.head().next_seq);
        }
        let together = self.install_together(&decision.acts);
        for act in decision.acts {
            match act {
                Act::Install(entry, ticket) => {
                    let done = if together { Ok(()) } else { self.dataplane.install(&entry) };
                    self.sessions.installed(entry.session, done.is_ok());
                    match (done, ticket) {
                        (Ok(()), Some(ticket)) => ticket.complete(),
                        (Ok(()), None) => {}
                        (Err(error), _) => {
                            metrics::counter!("kennet_dataplane_install_failures_total")
                                .increment(1);
                            tracing::error!(session = %entry.session, error = %Chain(&error),
                                "session {} is not in the data plane", entry.session);
                        }
                    }
                }
                Act::Reply(ticket) => ticket.complete(),
                Act::Answer(answer, effect) => {
                    let _ = answer.send(effect);
                }
                Act::Applied(answer) => {
                    let _ = answer.send(());
                }
            }
        }
        Ok(())
    }

    /// Many at once are much quicker than one after the other. `false`: not all are in, and the
    /// one that is refused must not keep the others out.
    fn install_together(&mut self, acts: &[Act]) -> bool {
        let entries: Vec<Entry> = acts
            .iter()
            .filter_map(|act| match act {
                Act::Install(entry, _) => Some(*entry),
                Act::Reply(_) | Act::Answer(..) | Act::Applied(_) => None,
            })
            .collect();
        entries.len() > 1 && self.dataplane.install_all(&entries).is_ok()
    }

    fn close(&mut self, decision: &mut Decision, now_ms: u64) -> Result<(), DeskError> {
        let closing = std::mem::take(&mut decision.close);
        let slots: Vec<Option<Slot>> = closing
            .iter()
            .map(|(id, _)| self.sessions.get(*id).and_then(Session::installed_slot))
            .collect();
        let installed: Vec<Slot> = slots.iter().copied().flatten().collect();
        let mut last =
            if installed.is_empty() { Vec::new() } else { self.dataplane.remove(&installed)? }
                .into_iter();
        for ((id, cause), slot) in closing.into_iter().zip(slots) {
            let reading = slot.and_then(|_| last.next()).unwrap_or_default();
            self.sessions.closed(id, reading, cause, now_ms, decision);
        }
        Ok(())
    }

    fn last_report(&mut self) -> Result<(), DeskError> {
        let now_ms = now_ms();
        let mut decision = Decision::default();
        let readings = self.readings()?;
        self.sessions.tick(&readings, now_ms, &mut decision);
        self.sessions.report(now_ms, &mut decision);
        self.carry_out(decision, now_ms)
    }
}

/// So that a stop is noticed soon.
const POLL: Duration = Duration::from_millis(100);

fn now() -> Instant {
    Instant::now()
}

fn next_round() -> Instant {
    now() + ROUND
}

/// The wall clock, milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
