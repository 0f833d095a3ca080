//! The session thread: events in, then close, write, act, in that order.
//!
//! It takes whatever has arrived as one batch, so that one fsync serves all of it. While the disk
//! works, the next batch collects in the channel.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use shared::{
    daemon::{Chain, Life},
    id::SessionId,
    wire::latest::journal::{self, Answered},
};
use tokio::sync::{Notify, mpsc, watch};

use super::{
    Act, Ask, Decision, Held, Kept, Pace, Session, Sessions,
    event::{AskId, Event, NasAnswer},
    leases::Leases,
    times::Clocked,
};
use crate::{
    dataplane::{Dataplane, DataplaneError, Entry, Garden, Reading, Slot, bpf::monotonic_ns},
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
    ways: Ways,
    /// Questions that could not be asked.
    unasked: Vec<AskId>,
    next_round: Instant,
    /// What each session had moved in the last round.
    moved: HashMap<SessionId, u64>,
    clocked: Clocked,
    /// Those that have moved something since the round before.
    busy: HashSet<SessionId>,
}

/// To those who are told what has become of sessions.
pub struct Ways {
    /// Told the journal's next sequence number after each write.
    pub written: watch::Sender<u64>,
    /// To those who ask NASes.
    pub asks: mpsc::Sender<Ask>,
    pub leases: Arc<Leases>,
    /// Rung when there is something to ask the controller about quotas.
    pub hungry: Arc<Notify>,
    /// What is for everybody, by this host's settings.
    pub base: Garden,
}

impl Desk {
    /// Takes over what a process before this one left, so that when this returns the kernel is
    /// as the journal says.
    pub fn open(
        journal: Journal,
        mut dataplane: Box<dyn Dataplane>,
        pace: Pace,
        ways: Ways,
    ) -> Result<Self, DeskError> {
        let (mut rows, mut accounts) = (Vec::new(), Vec::new());
        for (id, row) in journal.sessions()? {
            match (Session::from_row(&row), Held::from_row(&row)) {
                (Some(kept), _) => rows.push(kept),
                (None, Some(held)) => accounts.push(held),
                (None, None) => {
                    tracing::error!(session = %id, "the row of session {id} cannot be read: dropped");
                }
            }
        }
        catch_up(&journal, &mut rows, pace)?;
        let observed = dataplane.observe()?;
        let is_live = |entry: &Entry| {
            rows.iter().any(|kept| match kept {
                Kept::Live(session) => session.id == entry.session,
                Kept::Ended { .. } => false,
            })
        };
        let strangers: Vec<Slot> =
            observed.iter().filter(|entry| !is_live(entry)).map(|entry| entry.slot).collect();
        if !strangers.is_empty() {
            dataplane.remove(&strangers)?;
        }
        let now_ms = now_ms();
        let (sessions, mut decision) = Sessions::restore(
            (rows, accounts),
            &observed,
            dataplane.slots(),
            pace,
            (now_ms, boot_ms()),
        );
        let started = journal::EdgeStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            birth: journal.birth(),
            sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
        };
        decision.record(now_ms, journal::Event::EdgeStarted(started));
        tracing::info!(sessions = sessions.len(), "sessions are taken over");
        let next_round = next_round();
        let (unasked, moved) = (Vec::new(), HashMap::new());
        let (clocked, busy) = (Clocked::default(), HashSet::new());
        let mut desk =
            Self { journal, dataplane, sessions, ways, unasked, next_round, moved, clocked, busy };
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
        for id in std::mem::take(&mut self.unasked) {
            let answer = NasAnswer { answered: Answered::NotAsked, cause: None };
            self.sessions.answered(id, answer, now_ms, &mut decision);
        }
        for event in first.into_iter().chain(events.try_iter().take(BATCH_MAX)) {
            self.handle(event, now_ms, &mut decision)?;
        }
        if now() >= self.next_round {
            self.next_round = next_round();
            self.sessions.set_boot(boot_ms());
            let readings = self.readings()?;
            let charges = self.dataplane.charges(&self.sessions.accounts())?;
            self.sessions.tick(&readings, &charges, now_ms, &mut decision);
            self.share(&readings)?;
            self.look_at_interfaces();
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
            Event::Open(open, ticket) => self.sessions.open(*open, ticket, now_ms, decision),
            Event::Accounting(record, ticket) => {
                self.sessions.accounting(&record, ticket, now_ms, decision);
            }
            Event::AuthFailure(failure) => self.sessions.auth_failure(failure),
            Event::Desired(snapshot, applied) => {
                // Other terms of an account begin at what it has charged by now.
                let charges = self.dataplane.charges(&self.sessions.accounts())?;
                self.sessions.charged(&charges, now_ms, decision);
                self.dataplane.set_garden(&self.ways.base.with(&snapshot))?;
                self.sessions.desired(&snapshot, now_ms, decision);
                decision.acts.extend(applied.map(Act::Applied));
            }
            Event::Disconnect(id, answer) => {
                self.sessions.disconnect(id, answer, now_ms, decision);
            }
            Event::Answered(id, answer) => {
                self.sessions.answered(id, answer, now_ms, decision);
            }
            Event::Authorise(asked, verdict) => {
                self.sessions.authorise(&asked, verdict, now_ms, decision);
            }
            // Its counters say what it was, with all others'.
            Event::Kernel => self.next_round = now(),
            Event::Neighbour { mac, ip } => {
                self.sessions.neighbour(mac, ip, now_ms, decision);
            }
            Event::Questions(answer) => {
                let _ = answer.send(self.sessions.questions(now_ms));
            }
            Event::Leased(answers) => self.sessions.leased(&answers, now_ms, decision),
            Event::Acked(next_seq) => {
                self.journal.acknowledged(next_seq, now_ms.saturating_sub(KEEP_MS))?;
            }
            Event::List(answer) => {
                let readings = self.readings()?;
                // What is left is of the same moment as what was moved.
                let charges = self.dataplane.charges(&self.sessions.accounts())?;
                self.sessions.charged(&charges, now_ms, decision);
                let mut listed = self.sessions.list(&readings, now_ms);
                for session in &mut listed {
                    session.round_trips = self.clocked.of(session.session);
                }
                // Who asked may be gone.
                let _ = answer.send(listed);
            }
        }
        Ok(())
    }

    fn export(&mut self) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("kennet_sessions").set(self.sessions.len() as f64);
        self.export_rtt();
        for (verdict, packets) in self.dataplane.verdicts() {
            metrics::counter!("kennet_dataplane_packets_total", "verdict" => verdict)
                .absolute(packets);
        }
    }

    /// Round-trip times of all sessions together, of the last round.
    fn export_rtt(&mut self) {
        // Who moves nothing takes no time.
        let metered = self.sessions.metered();
        let (busy, slots): (Vec<_>, Vec<_>) =
            metered.iter().copied().filter(|(id, _)| self.busy.contains(id)).unzip();
        let Ok(rtts) = self.dataplane.rtts(&slots) else { return };
        let all = self.clocked.observe(busy.into_iter().zip(rtts));
        self.clocked.retain(&metered.into_iter().map(|(id, _)| id).collect());
        for (side, times) in [("subscriber", all.subscriber()), ("internet", all.internet())] {
            for (quantile, us) in
                times.into_iter().flat_map(|it| [("0.5", it.p50_us), ("0.95", it.p95_us)])
            {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::float_arithmetic,
                    reason = "a gauge is a float"
                )]
                metrics::gauge!("kennet_rtt_seconds", "side" => side, "quantile" => quantile)
                    .set(us as f64 / 1e6);
            }
        }
    }

    /// Of the site's rate, each session that moves something has its part.
    fn share(&mut self, readings: &[(SessionId, Reading)]) -> Result<(), DeskError> {
        let mut busy = 0;
        let mut moved = HashMap::with_capacity(readings.len());
        self.busy.clear();
        for (id, reading) in readings {
            let now = reading.passed.total_bytes() + reading.dropped.total_bytes();
            let before = self.moved.get(id).copied().unwrap_or_default();
            busy += u32::from(now.saturating_sub(before) >= BUSY_BYTES);
            if now != before {
                self.busy.insert(*id);
            }
            moved.insert(*id, now);
        }
        self.moved = moved;
        Ok(self.dataplane.set_busy(busy)?)
    }

    /// One that was taken away and has come back, as Wi-Fi does, is taken up again.
    fn look_at_interfaces(&mut self) {
        match self.dataplane.reattach() {
            Ok(back) => {
                for interface in back {
                    tracing::info!(
                        interface,
                        "{interface} has come back: metered and shaped again"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "an interface cannot be taken up again");
            }
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
            self.ways.written.send_replace(self.journal.head().next_seq);
        }
        let leases = std::mem::take(&mut decision.leases);
        if !leases.is_empty() {
            self.ways.leases.apply(leases, now());
        }
        if !decision.accounts.is_empty()
            && let Err(error) = self.dataplane.set_accounts(&decision.accounts)
        {
            tracing::error!(error = %Chain(&error), "accounts are not in the data plane");
        }
        if self.sessions.take_asks() {
            self.ways.hungry.notify_one();
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
                Act::Ask(ask) => {
                    let id = ask.id;
                    if let Err(error) = self.ways.asks.try_send(*ask) {
                        tracing::warn!(%error, "a NAS is not asked");
                        self.unasked.push(id);
                    }
                }
                Act::Authorised(verdict, result) => verdict.tell(result),
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
                Act::Install(entry, _) => Some(Entry::clone(entry)),
                Act::Reply(_)
                | Act::Ask(_)
                | Act::Authorised(..)
                | Act::Answer(..)
                | Act::Applied(_) => None,
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
        if !installed.is_empty() {
            let charges = self.dataplane.charges(&self.sessions.accounts())?;
            self.sessions.charged(&charges, now_ms, decision);
        }
        for ((id, cause), slot) in closing.into_iter().zip(slots) {
            let reading = slot.and_then(|_| last.next()).unwrap_or_default();
            self.sessions.closed(id, reading, cause, now_ms, decision);
        }
        self.sessions.leave_closed(decision);
        Ok(())
    }

    fn last_report(&mut self) -> Result<(), DeskError> {
        let now_ms = now_ms();
        let mut decision = Decision::default();
        let readings = self.readings()?;
        let charges = self.dataplane.charges(&self.sessions.accounts())?;
        self.sessions.tick(&readings, &charges, now_ms, &mut decision);
        self.sessions.report(now_ms, &mut decision);
        self.carry_out(decision, now_ms)
    }
}

/// Rows of sessions that their NAS meters are as old as a report; the journal is not.
fn catch_up(journal: &Journal, rows: &mut [Kept], pace: Pace) -> Result<(), DeskError> {
    let mut told = HashMap::new();
    for record in journal.recent(pace.report_ms * 2 + 10_000)? {
        if let Some(journal::Event::Usage(usage)) = record.event
            && let Some(session) = SessionId::from_slice(&usage.session)
        {
            told.entry(session).or_insert(usage.octets);
        }
    }
    for kept in rows {
        if let Kept::Live(session) = kept
            && let Some(&octets) = told.get(&session.id)
        {
            session.catch_up(octets.into());
        }
    }
    Ok(())
}

/// So that a stop is noticed soon.
const POLL: Duration = Duration::from_millis(100);

fn now() -> Instant {
    Instant::now()
}

fn next_round() -> Instant {
    now() + ROUND
}

/// When the data plane's clock began, by the wall clock.
fn boot_ms() -> u64 {
    now_ms().saturating_sub(monotonic_ns() / 1_000_000)
}

/// Moved in a round, by somebody who is doing something.
const BUSY_BYTES: u64 = 10_000;

/// The wall clock, milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
