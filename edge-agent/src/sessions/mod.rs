//! Who is on-line: the one place that decides about sessions.
//!
//! [`Sessions`] is pure: it is told what happened ([`event::Event`]) and the time, and answers
//! with a [`Decision`]: what to write, then what to do. [`desk`] is the thread around it that owns
//! the journal and the data plane. Sockets, MQTT and clocks are elsewhere.
//!
//! A session is metered by this host's kernel when its traffic passes here, else by its NAS. Both
//! end as the same records.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use shared::{
    id::SessionId,
    net::Mac,
    octets::Counters,
    wire::latest::{
        command::Effect,
        desired::{Nas, Subscriber},
        journal::{self, Record},
    },
};

use crate::{
    dataplane::{Entry, Reading, Slot},
    journal::Row,
};

mod accounting;
mod asks;
mod authorise;
pub mod desk;
pub mod event;
mod failures;
mod forgotten;
pub mod leases;
mod metering;
mod session;
mod slots;
mod wanted;

use asks::Asks;
pub use asks::{Ask, Want};
use event::{Listed, Open, Ticket};
use failures::Failures;
use forgotten::{Gone, Ports};
pub use leases::{Device, LEASE, Lease};
pub use metering::NasMeter;
use radius::dynauth::ErrorCause;
pub use session::{AcctKey, Cause, Kept, Limits, Meter, Session};
use slots::Slots;

#[derive(Debug)]
pub struct Sessions {
    live: BTreeMap<SessionId, Session>,
    /// Sessions that this host's kernel meters; a device has one.
    by_mac: HashMap<Mac, SessionId>,
    by_acct: BTreeMap<AcctKey, SessionId>,
    ports: Ports,
    gone: Gone,
    asks: Asks,
    /// By name, as they are wanted now.
    nas: HashMap<String, Arc<Nas>>,
    slots: Slots,
    /// The data plane refused; every round tries again.
    behind: BTreeSet<SessionId>,
    failures: Failures,
    pace: Pace,
    reported_at_ms: u64,
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Usage is written down.
    pub report_ms: u64,
    /// For how long a NAS may say nothing of a session that it meters; three of its own intervals
    /// if that is longer.
    pub silence_ms: u64,
}

/// What to do, in this order: close, write, act.
#[derive(Debug, Default)]
pub struct Decision {
    /// Take these out of the data plane and come back with [`Sessions::closed`].
    pub close: Vec<(SessionId, Cause)>,
    closing: HashSet<SessionId>,
    pub records: Vec<Record>,
    pub rows: Vec<Row>,
    /// Only when all of the above is done.
    pub acts: Vec<Act>,
    /// Who is on-line with which device, for those who count devices.
    pub leases: Vec<Lease>,
}

#[derive(Debug)]
pub enum Act {
    /// Bring the data plane to this, then answer.
    Install(Entry, Option<Ticket>),
    Reply(Ticket),
    /// Ask a NAS, and come back with [`Sessions::answered`].
    Ask(Box<Ask>),
    Authorised(event::Verdict, Result<(), ErrorCause>),
    Answer(event::Answer<Effect>, Effect),
    Applied(event::Answer<()>),
}

impl Decision {
    fn record(&mut self, now_ms: u64, event: journal::Event) {
        self.records.push(Record { at_ms: now_ms, event: Some(event) });
    }

    fn put(&mut self, session: &Session) {
        self.rows.push(Row::Put { session: session.id, body: session.to_row() });
    }

    /// A session as it is now: a second such record tells what has changed.
    fn started(&mut self, at_ms: u64, session: &Session) {
        self.record(at_ms, journal::Event::SessionStarted(session.started()));
        self.put(session);
    }

    fn is_closing(&self, id: SessionId) -> bool {
        self.closing.contains(&id)
    }

    fn close(&mut self, id: SessionId, cause: Cause) {
        if self.closing.insert(id) {
            self.close.push((id, cause));
        }
    }
}

impl Sessions {
    /// Takes over what a process before this one left: `rows` from beside the journal, `observed`
    /// from the data plane. What the decision asks for brings the data plane in line.
    pub fn restore(
        rows: impl IntoIterator<Item = Kept>,
        observed: &[Entry],
        slots: u32,
        pace: Pace,
        now_ms: u64,
    ) -> (Self, Decision) {
        let mut decision = Decision::default();
        let kept: HashMap<SessionId, Slot> =
            observed.iter().map(|entry| (entry.session, entry.slot)).collect();
        let mut sessions = Self {
            live: BTreeMap::new(),
            by_mac: HashMap::new(),
            by_acct: BTreeMap::new(),
            ports: Ports::default(),
            gone: Gone::default(),
            asks: Asks::default(),
            nas: HashMap::new(),
            slots: Slots::new(0, []),
            behind: BTreeSet::new(),
            failures: Failures::default(),
            pace,
            reported_at_ms: now_ms,
        };
        for row in rows {
            let mut session = match row {
                Kept::Live(session) => session,
                Kept::Ended { session, cause, at_ms } => {
                    sessions.gone.put(session, cause, at_ms, &mut decision);
                    continue;
                }
            };
            session.active_at_ms = now_ms;
            // While this host was silent, so were its NASes.
            session.heard_at_ms = now_ms;
            if let Meter::Kernel { slot, base, installed } = &mut session.meter {
                *installed = kept.get(&session.id) == Some(slot);
                if !*installed {
                    // The kernel has forgotten it (the host was restarted): it counts from zero.
                    *base = session.counters;
                    decision.put(&session);
                }
            }
            if let Some(entry) = session.entry() {
                decision.acts.push(Act::Install(entry, None));
                sessions.by_mac.insert(entry.mac, session.id);
            }
            if let Some(key) = session.acct_key() {
                sessions.by_acct.insert(key, session.id);
            }
            sessions.ports.arrive(&session);
            sessions.live.insert(session.id, session);
        }
        sessions.slots = Slots::new(slots, sessions.live.values().filter_map(Session::slot));
        (sessions, decision)
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.live.get(&id)
    }

    /// The slots that the kernel counts in, with whose they are.
    pub fn metered(&self) -> Vec<(SessionId, Slot)> {
        let installed = |session: &Session| Some((session.id, session.installed_slot()?));
        self.live.values().filter_map(installed).collect()
    }

    /// A device was accepted. A session that it had ends: the new one is under the new terms.
    pub fn open(&mut self, open: Open, ticket: Ticket, now_ms: u64, decision: &mut Decision) {
        if let Some(&old) = self.by_mac.get(&open.mac) {
            if let Some(session) = self.live.get(&old).filter(|it| it.goes_on_with(&open)) {
                decision.acts.extend(session.entry().map(|it| Act::Install(it, Some(ticket))));
                return;
            }
            decision.close(old, Cause::PORT_REINITIALIZED);
        }
        let Some(slot) = self.slots.take() else {
            // No reply: the NAS tries another server or later.
            tracing::error!(mac = %open.mac, "no slot is free: the session is not opened");
            metrics::counter!("kennet_sessions_refused_total", "reason" => "slots").increment(1);
            return;
        };
        let subscriber = &open.subscriber;
        let session = Session {
            id: open.session,
            username: subscriber.username.clone(),
            subscriber: subscriber.id,
            subscription: subscriber.subscription,
            nas: open.nas,
            mac: Some(open.mac),
            ip: open.ip,
            acct_session_id: String::new(),
            acct_username: String::new(),
            place: open.place,
            meter: Meter::Kernel { slot, base: Counters::default(), installed: false },
            shape: subscriber.shape(),
            class: subscriber.class,
            started_at_ms: now_ms,
            revision: open.revision,
            limits: limits(subscriber),
            counters: Counters::default(),
            active_at_ms: now_ms,
            reported: Counters::default(),
            is_known: true,
            wanted: (subscriber.shape(), limits(subscriber)),
            heard_at_ms: now_ms,
            event_at_ms: now_ms,
            asked_at_ms: None,
            unwanted: None,
            ended_at_ms: None,
            kept: Counters::default(),
        };
        decision.started(now_ms, &session);
        if subscriber.max_sessions.is_some() {
            decision.leases.extend(session.lease(None));
        }
        if let Some(entry) = session.entry() {
            decision.acts.push(Act::Install(entry, Some(ticket)));
        }
        self.by_mac.insert(open.mac, session.id);
        self.live.insert(session.id, session);
    }

    /// Refused logins are counted and written down together, once a round.
    pub fn auth_failure(&mut self, failure: event::AuthFailure) {
        self.failures.count(failure);
    }

    /// A round: readings of the data plane, in any order; limits, reports, second tries.
    pub fn tick(
        &mut self,
        readings: &[(SessionId, Reading)],
        now_ms: u64,
        decision: &mut Decision,
    ) {
        for (id, reading) in readings {
            if let Some(session) = self.live.get_mut(id) {
                session.observe(reading.passed, now_ms);
            }
        }
        let exhausted: Vec<(SessionId, Cause)> = self
            .live
            .values()
            .filter_map(|session| {
                let cause = if session.is_metered_here() {
                    session.exhausted(now_ms)
                } else {
                    session.overdue(now_ms).or(session.unwanted)
                };
                Some((session.id, cause?))
            })
            .collect();
        for (id, cause) in exhausted {
            self.end(id, cause, now_ms, decision);
        }
        self.silent(now_ms, decision);
        self.settle(now_ms, decision);
        if now_ms.saturating_sub(self.reported_at_ms) >= self.pace.report_ms {
            self.report(now_ms, decision);
        }
        for id in &self.behind {
            if let Some(entry) = self.live.get(id).and_then(Session::entry) {
                decision.acts.push(Act::Install(entry, None));
            }
        }
    }

    /// Writes down what every session has moved since the last time.
    pub fn report(&mut self, now_ms: u64, decision: &mut Decision) {
        self.reported_at_ms = now_ms;
        for session in self.live.values_mut() {
            if session.counters != session.reported && !decision.is_closing(session.id) {
                session.reported = session.counters;
                decision.record(now_ms, journal::Event::Usage(session.usage()));
                decision.put(session);
            }
        }
        // A NAS's numbers are written down when they come. Once in a while the row says, too, how far
        // they are: what a NAS says after a restart is then not taken for less.
        for session in self.live.values_mut() {
            if session.counters != session.kept && !session.is_metered_here() {
                session.kept = session.counters;
                decision.put(session);
            }
        }
        for failures in self.failures.drain() {
            decision.record(now_ms, journal::Event::AuthFailures(failures));
        }
    }

    /// The data plane has let go of a session, or never had it: `reading` is its last.
    pub fn closed(
        &mut self,
        id: SessionId,
        reading: Reading,
        cause: Cause,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        let Some(mut session) = self.live.remove(&id) else { return };
        session.observe(reading.passed, now_ms);
        let ended_at_ms = session.ended_at_ms.unwrap_or(now_ms);
        decision.record(ended_at_ms, journal::Event::SessionStopped(session.stopped(cause)));
        if let Some(mac) = session.mac
            && self.by_mac.get(&mac) == Some(&id)
        {
            self.by_mac.remove(&mac);
        }
        let key = session.acct_key();
        if let Some(key) = &key
            && self.by_acct.get(key) == Some(&id)
        {
            self.by_acct.remove(key);
        }
        self.ports.leave(&session);
        self.behind.remove(&id);
        decision.leases.push(Lease::GivenBack(id));
        match session.meter {
            Meter::Kernel { slot, .. } => {
                decision.rows.push(Row::Delete { session: id });
                self.slots.give_back(slot);
            }
            Meter::Nas(_) => {
                self.asks_stopped(Some(id), None, now_ms, decision);
                let body = session.to_row_of_ended(cause, ended_at_ms);
                decision.rows.push(Row::Put { session: id, body });
                self.gone.put(session, cause, ended_at_ms, decision);
            }
        }
    }

    /// After closing: a session that was opened or changed in this same round does not come back
    /// to life.
    pub fn leave_closed(&self, decision: &mut Decision) {
        if decision.closing.is_empty() {
            return;
        }
        let is_closed =
            |id: SessionId| decision.closing.contains(&id) && !self.live.contains_key(&id);
        decision
            .acts
            .retain(|act| !matches!(act, Act::Install(entry, _) if is_closed(entry.session)));
    }

    /// What came of [`Act::Install`].
    pub fn installed(&mut self, id: SessionId, ok: bool) {
        let Some(session) = self.live.get_mut(&id) else { return };
        if !ok {
            self.behind.insert(id);
            return;
        }
        self.behind.remove(&id);
        if let Meter::Kernel { installed, .. } = &mut session.meter {
            *installed = true;
        }
    }

    /// For people; `readings` are the data plane's, now.
    pub fn list(&mut self, readings: &[(SessionId, Reading)], now_ms: u64) -> Vec<Listed> {
        let mut dropped = HashMap::new();
        for (id, reading) in readings {
            if let Some(session) = self.live.get_mut(id) {
                session.observe(reading.passed, now_ms);
                dropped.insert(*id, reading.dropped);
            }
        }
        let listed = self.live.values().map(|session| Listed {
            session: session.id,
            username: session.username.clone(),
            nas: Arc::clone(&session.nas.name),
            mac: session.mac,
            ip: session.ip,
            slot: session.slot(),
            class: session.class,
            shape: session.shape,
            limits: session.limits,
            started_at_ms: session.started_at_ms,
            reading: Reading {
                passed: session.counters,
                dropped: dropped.get(&session.id).copied().unwrap_or_default(),
            },
        });
        listed.collect()
    }
}

fn limits(subscriber: &Subscriber) -> Limits {
    let Subscriber { data_bytes, online_seconds, session_timeout, idle_timeout, .. } = subscriber;
    let session_seconds = [*online_seconds, session_timeout.map(u64::from)];
    Limits {
        data_bytes: *data_bytes,
        session_seconds: session_seconds.into_iter().flatten().min(),
        idle_seconds: idle_timeout.map(u64::from),
    }
}

#[cfg(test)]
mod tests;
