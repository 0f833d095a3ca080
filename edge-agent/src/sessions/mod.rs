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
    net::{Mac, Prefix},
    octets::Counters,
    wire::latest::{
        command::Effect,
        desired::Nas,
        journal::{self, Record},
    },
};

use crate::{
    dataplane::{Account, Entry, Reading, Slot},
    journal::Row,
};

mod accounting;
mod accounts;
mod asks;
mod authorise;
pub mod desk;
pub mod event;
mod failures;
mod forgotten;
mod leased;
pub mod leases;
mod list;
mod metering;
mod online;
mod round;
mod session;
mod slots;
mod terms;
mod times;
mod wanted;

use accounts::Accounts;
pub use accounts::Held;
use asks::Asks;
pub use asks::{Ask, Want};
use event::{Open, Ticket};
use failures::Failures;
use forgotten::{Gone, Ports};
pub use leases::{Device, LEASE, Lease};
pub use metering::NasMeter;
use radius::dynauth::ErrorCause;
pub use session::{AcctKey, Cause, Kept, Limits, Meter, Session};
use slots::Slots;
use terms::{limits, own_prefixes, slow, wanted_limits};

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
    accounts: Accounts,
    /// When the data plane's clock began, by the wall clock.
    boot_ms: u64,
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
    /// Bring the data plane's accounts to this, before the acts.
    pub accounts: Vec<Account>,
    /// Only when all of the above is done.
    pub acts: Vec<Act>,
    /// Who is on-line with which device, for those who count devices.
    pub leases: Vec<Lease>,
}

#[derive(Debug)]
pub enum Act {
    /// Bring the data plane to this, then answer.
    Install(Box<Entry>, Option<Ticket>),
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

    /// Brings the subscriber's account to the kernel, and writes it down: who is killed in between
    /// gives nobody a new quota.
    fn account(&mut self, accounts: &Accounts, username: &str) {
        if let (Some(account), Some(held)) = (accounts.account(username), accounts.get(username)) {
            self.accounts.push(account);
            self.rows.push(Row::Put { session: held.key(), body: held.to_row() });
        }
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
        (rows, accounts): (impl IntoIterator<Item = Kept>, Vec<Held>),
        observed: &[Entry],
        slots: u32,
        pace: Pace,
        (now_ms, boot_ms): (u64, u64),
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
            accounts: Accounts::new(slots, accounts),
            boot_ms,
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
            if session.account.is_some() {
                session.account = sessions.accounts.stays(&session.username, now_ms).map(|it| it.0);
            }
            if let Some(entry) = session.entry(boot_ms) {
                if let Some(mac) = entry.mac {
                    sessions.by_mac.insert(mac, session.id);
                }
                decision.acts.push(Act::Install(Box::new(entry), None));
            }
            if let Some(key) = session.acct_key() {
                sessions.by_acct.insert(key, session.id);
            }
            sessions.ports.arrive(&session);
            sessions.live.insert(session.id, session);
        }
        sessions.accounts.sweep();
        decision.accounts.extend(
            sessions.live.values().filter_map(|it| sessions.accounts.account(&it.username)),
        );
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
        let prefixes =
            own_prefixes(&open.subscriber, open.mac.is_none().then_some(open.ip).flatten());
        for old in self.before(open.mac, &prefixes) {
            if let Some(session) = self.live.get(&old).filter(|it| it.goes_on_with(&open)) {
                let entry = session.entry(self.boot_ms).map(Box::new);
                decision.acts.extend(entry.map(|it| Act::Install(it, Some(ticket))));
                return;
            }
            decision.close(old, Cause::PORT_REINITIALIZED);
        }
        if open.mac.is_none() && prefixes.is_empty() {
            tracing::error!(
                username = open.subscriber.username,
                "a session that is neither a \
                device's nor an address's cannot be metered here: it is not opened"
            );
            metrics::counter!("kennet_sessions_refused_total", "reason" => "nothing to tell it by")
                .increment(1);
            return;
        }
        let Some(slot) = self.slots.take() else {
            // No reply: the NAS tries another server or later.
            tracing::error!(mac = ?open.mac, "no slot is free: the session is not opened");
            metrics::counter!("kennet_sessions_refused_total", "reason" => "slots").increment(1);
            return;
        };
        let subscriber = &open.subscriber;
        let account = self.accounts.arrive(subscriber, now_ms);
        let left = self.accounts.left_seconds(&subscriber.username, now_ms);
        decision.account(&self.accounts, &subscriber.username);
        let session = Session {
            id: open.session,
            username: subscriber.username.clone(),
            subscriber: subscriber.id,
            subscription: subscriber.subscription,
            nas: open.nas,
            mac: open.mac,
            ip: open.ip,
            acct_session_id: String::new(),
            acct_username: String::new(),
            place: open.place,
            meter: Meter::Kernel { slot, base: Counters::default(), installed: false },
            shape: subscriber.shape(),
            slow: slow(subscriber),
            class: subscriber.class,
            account: account.map(|number| number.0),
            prefixes,
            started_at_ms: now_ms,
            revision: open.revision,
            limits: limits(subscriber, left),
            counters: Counters::default(),
            active_at_ms: now_ms,
            reported: Counters::default(),
            is_known: true,
            wanted: (subscriber.shape(), wanted_limits(subscriber)),
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
        if let Some(entry) = session.entry(self.boot_ms) {
            decision.acts.push(Act::Install(Box::new(entry), Some(ticket)));
        }
        if let Some(mac) = open.mac {
            self.by_mac.insert(mac, session.id);
        }
        self.live.insert(session.id, session);
    }

    /// Sessions that a new one takes the place of: of the same device, or of the same addresses.
    fn before(&self, mac: Option<Mac>, prefixes: &[Prefix]) -> Vec<SessionId> {
        if let Some(mac) = mac {
            return self.by_mac.get(&mac).copied().into_iter().collect();
        }
        let same = |session: &&Session| {
            session.is_metered_here()
                && session.mac.is_none()
                && session.prefixes.iter().any(|prefix| prefixes.contains(prefix))
        };
        self.live.values().filter(same).map(|session| session.id).collect()
    }

    /// Refused logins are counted and written down together, once a round.
    pub fn auth_failure(&mut self, failure: event::AuthFailure) {
        self.failures.count(failure);
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
        if session.account.is_some() {
            self.accounts.leave(&session.username, now_ms);
            if let Some(held) = self.accounts.get(&session.username) {
                decision.rows.push(Row::Put { session: held.key(), body: held.to_row() });
            }
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
}

#[cfg(test)]
mod tests;
