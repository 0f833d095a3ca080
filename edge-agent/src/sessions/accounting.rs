//! What accounting packets mean for sessions. Pure.
//!
//! Idempotent by what they say: a NAS that repeats a record with another identifier changes
//! nothing.

use std::sync::Arc;

use shared::{
    id::SessionId,
    octets::Counters,
    rate::{Kbps, Shape},
    wire::latest::journal,
};

use super::{
    Act, Cause, Decision, LEASE, Session, Sessions,
    event::{Accounting, AcctStatus, Ticket},
    forgotten::Again,
    metering::{NasMeter, Told},
    session::{AcctKey, Limits, Meter},
    slow, wanted_limits,
};

impl Sessions {
    pub fn accounting(
        &mut self,
        record: &Accounting,
        ticket: Ticket,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        // When that was what the record tells, by this host's clock: NASes' own clocks are often
        // wrong, and what they say of delays is not.
        let delay_ms = u64::from(record.delay_seconds.min(DELAY_MAX)) * 1_000;
        let when = now_ms.saturating_sub(delay_ms);
        match record.status {
            AcctStatus::On | AcctStatus::Off => self.nas_restarted(record, decision),
            AcctStatus::Start | AcctStatus::Interim | AcctStatus::Stop => {
                self.acct_of_session(record, (when, now_ms), decision);
            }
        }
        decision.acts.push(Act::Reply(ticket));
    }

    fn acct_of_session(
        &mut self,
        record: &Accounting,
        (when, now_ms): (u64, u64),
        decision: &mut Decision,
    ) {
        let found = self.acct_find(record).filter(|id| !self.is_another(*id, record, when));
        // Also a Stop that is the first we hear of a session: its usage counts.
        let id = match found {
            Some(id) => id,
            None => match self.acct_open(record, (when, now_ms), decision) {
                Some(id) => id,
                None => return,
            },
        };
        self.acct_progress(id, record, (when, now_ms), decision);
        match record.status {
            AcctStatus::Start => self.arrive(id, decision),
            AcctStatus::Interim => self.acct_usage(id, now_ms, decision),
            AcctStatus::Stop => {
                let cause = match record.terminate_cause {
                    0 => self.asked_because(id).unwrap_or(Cause::NAS_REQUEST),
                    given => Cause(given),
                };
                if let Some(session) = self.live.get_mut(&id) {
                    session.ended_at_ms = Some(when.max(session.started_at_ms));
                }
                decision.close(id, cause);
                // Who asked for it hears of the Stop, also where the kernel knew before.
                self.asks_stopped(Some(id), None, now_ms, decision);
            }
            AcctStatus::On | AcctStatus::Off => {}
        }
    }

    /// Takes what the record tells about a session.
    fn acct_progress(
        &mut self,
        id: SessionId,
        record: &Accounting,
        (when, now_ms): (u64, u64),
        decision: &mut Decision,
    ) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let mut told = false;
        if session.acct_session_id.is_empty() && !record.acct_session_id.is_empty() {
            session.acct_session_id.clone_from(&record.acct_session_id);
            session.acct_username.clone_from(&record.username);
            session.place = record.place.clone();
            if let Some(key) = session.acct_key() {
                self.by_acct.insert(key, id);
            }
            told = true;
        }
        // After a move of its NAS it is asked where it is now.
        if record.place.address.is_some() {
            (session.place.address, session.place.scope) =
                (record.place.address, record.place.scope);
        }
        if record.ip.is_some() && session.ip != record.ip {
            session.ip = record.ip;
            told = true;
        }
        let mut rounds = None;
        if let Meter::Nas(meter) = &mut session.meter {
            meter.heard(record.status, now_ms.saturating_sub(session.heard_at_ms));
            rounds = Some(meter.rounds());
        }
        session.heard_at_ms = now_ms;
        session.event_at_ms = session.event_at_ms.max(when);
        if let Some(counters) = record.counters {
            session.count_of_nas(counters, record, now_ms);
        }
        if let (Meter::Nas(meter), Some(before)) = (session.meter, rounds) {
            // After a restart it has to be known how often a counter has gone round.
            if meter.rounds() != before && !told {
                decision.put(session);
            }
            if record.subscriber.as_ref().is_some_and(|one| one.max_sessions.is_some()) {
                decision.leases.extend(session.lease(Some(LEASE)));
            }
        }
        if told {
            decision.started(now_ms, session);
        }
        let counters = (!session.is_metered_here()).then_some(session.counters);
        if record.status == AcctStatus::Interim {
            self.asks_heard(Some(id), None, counters, when);
        }
    }

    fn acct_find(&self, record: &Accounting) -> Option<SessionId> {
        // A NAS speaks of its own sessions only, and of one whose name it has changed by its Class:
        // but the end of the old name is not the end of the session.
        let by_class = record.class.filter(|id| {
            self.live.get(id).is_some_and(|session| {
                let named = session.acct_session_id.as_str();
                session.nas.name == record.nas.name
                    && (record.status != AcctStatus::Stop
                        || named.is_empty()
                        || named == record.acct_session_id)
            })
        });
        // By device only as long as no Acct-Session-Id binds the session to another login.
        let by_mac = || {
            let id = record.mac.and_then(|mac| self.by_mac.get(&mac).copied())?;
            let session = self.live.get(&id)?;
            let unbound = session.acct_session_id.is_empty();
            (unbound && session.nas.name == record.nas.name).then_some(id)
        };
        by_class.or_else(|| self.acct_named(&record.key())).or_else(by_mac)
    }

    /// Also where one of the two says no User-Name.
    fn acct_named(&self, key: &AcctKey) -> Option<SessionId> {
        if let Some(id) = self.by_acct.get(key) {
            return Some(*id);
        }
        let nameless = AcctKey { username: String::new(), ..key.clone() };
        if !key.username.is_empty() {
            return self.by_acct.get(&nameless).copied();
        }
        let (next, id) = self.by_acct.range(nameless..).next()?;
        let same = (&next.nas, &next.nas_identifier, &next.session)
            == (&key.nas, &key.nas_identifier, &key.session);
        same.then_some(*id)
    }

    /// A NAS that counts its sessions from zero again gives a name that it has given before.
    fn is_another(&self, id: SessionId, record: &Accounting, when: u64) -> bool {
        let Some(session) = self.live.get(&id) else { return false };
        if record.class == Some(id) {
            return false;
        }
        let Meter::Nas(meter) = session.meter else { return false };
        let later = when > session.event_at_ms.saturating_add(SLACK_MS);
        match record.status {
            // Not one that is only repeated.
            AcctStatus::Start => later && when > session.started_at_ms.saturating_add(REPEATED_MS),
            AcctStatus::Interim | AcctStatus::Stop => {
                let (Some(now), Some(last)) = (record.session_time, meter.session_time) else {
                    return false;
                };
                later && now.saturating_add(BACK_MAX) < last
            }
            AcctStatus::On | AcctStatus::Off => false,
        }
    }

    fn acct_open(
        &mut self,
        record: &Accounting,
        (when, now_ms): (u64, u64),
        decision: &mut Decision,
    ) -> Option<SessionId> {
        let key = record.key();
        if record.metered_here {
            // Sessions of our own data plane are opened by authentication only.
            match record.status {
                AcctStatus::Stop => self.asks_stopped(record.class, Some(&key), now_ms, decision),
                AcctStatus::Start | AcctStatus::Interim | AcctStatus::On | AcctStatus::Off => {
                    self.asks_heard(record.class, Some(&key), None, when);
                }
            }
            metrics::counter!("kennet_accounting_unknown_total").increment(1);
            tracing::debug!(nas = %record.nas.name, acct_session_id = record.acct_session_id,
                "accounting for a session that is not on-line here");
            return None;
        }
        if let Some(&before) = self.by_acct.get(&key) {
            // Its NAS has restarted and not said so.
            decision.close(before, Cause::NAS_REBOOT);
        }
        let meter = match self.again(&key, record, when, decision) {
            Again::Old => return None,
            Again::New => NasMeter::default(),
            Again::On(before) => match before.meter {
                Meter::Nas(meter) => meter.continued(before.counters),
                Meter::Kernel { .. } => NasMeter::default(),
            },
        };
        let subscriber = record.subscriber.as_deref();
        let unlimited = Kbps::new(u32::MAX)?;
        let shape = subscriber
            .map_or(Shape { down_kbps: unlimited, up_kbps: unlimited }, |subscriber| {
                subscriber.shape()
            });
        let limits = subscriber.map_or_else(Limits::default, wanted_limits);
        let for_ms = match record.status {
            AcctStatus::Start | AcctStatus::On | AcctStatus::Off => 0,
            AcctStatus::Interim | AcctStatus::Stop => {
                u64::from(record.session_time.unwrap_or(0)) * 1_000
            }
        };
        let started_at_ms = when.saturating_sub(for_ms);
        let session = Session {
            id: record.fresh,
            username: subscriber
                .map_or_else(|| record.username.clone(), |known| known.username.clone()),
            subscriber: subscriber.and_then(|subscriber| subscriber.id),
            subscription: subscriber.and_then(|subscriber| subscriber.subscription),
            nas: record.nas.clone(),
            mac: record.mac,
            ip: record.ip,
            acct_session_id: record.acct_session_id.clone(),
            acct_username: record.username.clone(),
            place: record.place.clone(),
            meter: Meter::Nas(meter),
            shape,
            slow: subscriber.map_or(shape, slow),
            class: subscriber.map(|subscriber| subscriber.class).unwrap_or_default(),
            account: None,
            prefixes: Vec::new(),
            started_at_ms,
            revision: 0,
            limits,
            counters: Counters::default(),
            active_at_ms: now_ms,
            reported: Counters::default(),
            is_known: subscriber.is_some(),
            wanted: (shape, limits),
            heard_at_ms: now_ms,
            event_at_ms: when,
            asked_at_ms: None,
            unwanted: None,
            ended_at_ms: None,
            kept: Counters::default(),
        };
        decision.started(started_at_ms, &session);
        let id = session.id;
        self.by_acct.insert(key, id);
        self.live.insert(id, session);
        Some(id)
    }

    /// Written at once and not with the next report: the NAS deletes what we acknowledge. The
    /// row is not: what a NAS has said is in the journal, and it will say it again.
    fn acct_usage(&mut self, id: SessionId, now_ms: u64, decision: &mut Decision) {
        let Some(session) = self.live.get_mut(&id) else { return };
        if matches!(session.meter, Meter::Nas(_)) && session.counters != session.reported {
            session.reported = session.counters;
            decision.record(now_ms, journal::Event::Usage(session.usage()));
        }
    }
}

impl Accounting {
    fn key(&self) -> AcctKey {
        AcctKey {
            nas: Arc::clone(&self.nas.name),
            nas_identifier: self.place.nas_identifier.clone(),
            session: self.acct_session_id.clone(),
            username: self.username.clone(),
        }
    }
}

impl Session {
    /// Takes what its NAS has counted.
    fn count_of_nas(&mut self, counters: Counters, record: &Accounting, now_ms: u64) {
        let most = |rate: Kbps| rate.bits_per_second() / 8 * 5 / 4;
        let Shape { down_kbps, up_kbps } = self.shape;
        let is_limited = down_kbps.get() < u32::MAX;
        let Meter::Nas(meter) = &mut self.meter else { return };
        let total = meter.read(Told {
            counters,
            has_gigawords: record.has_gigawords,
            session_time: record.session_time,
            bytes_per_second: is_limited.then(|| (most(down_kbps), most(up_kbps))),
        });
        if let Some(total) = total {
            self.count(total, now_ms);
        }
    }
}

/// A day: nobody tries for longer, and a larger number is a mistake.
const DELAY_MAX: u32 = 24 * 60 * 60;

/// Acct-Delay-Time has whole seconds.
const SLACK_MS: u64 = 2_000;

/// For how long a NAS repeats a Start without saying so.
const REPEATED_MS: u64 = 60_000;

/// Seconds by which a session's time may go back: a clock that was set.
const BACK_MAX: u32 = 60;
