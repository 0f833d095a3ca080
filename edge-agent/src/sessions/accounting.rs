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
    Act, Cause, Decision, Session, Sessions,
    event::{Accounting, AcctStatus, Ticket},
    limits,
    session::{Limits, Meter},
};

impl Sessions {
    pub fn accounting(
        &mut self,
        record: &Accounting,
        ticket: Ticket,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        match record.status {
            AcctStatus::On | AcctStatus::Off => self.nas_restarted(record, decision),
            AcctStatus::Start => {
                self.acct_progress(record, now_ms, decision);
            }
            AcctStatus::Interim => {
                if let Some(id) = self.acct_progress(record, now_ms, decision) {
                    self.acct_usage(id, now_ms, decision);
                }
            }
            AcctStatus::Stop => {
                // Also a Stop that is the first we hear of a session: its usage counts.
                if let Some(id) = self.acct_progress(record, now_ms, decision) {
                    let cause = match record.terminate_cause {
                        0 => Cause::NAS_REQUEST,
                        given => Cause(given),
                    };
                    decision.close(id, cause);
                }
            }
        }
        decision.acts.push(Act::Reply(ticket));
    }

    /// Finds the record's session, or opens it, and takes what the record tells about it.
    fn acct_progress(
        &mut self,
        record: &Accounting,
        now_ms: u64,
        decision: &mut Decision,
    ) -> Option<SessionId> {
        let Some(id) = self.acct_find(record) else {
            return self.acct_open(record, now_ms, decision);
        };
        let session = self.live.get_mut(&id)?;
        let mut told = false;
        if session.acct_session_id.is_empty() && !record.acct_session_id.is_empty() {
            session.acct_session_id.clone_from(&record.acct_session_id);
            let key = (Arc::clone(&session.nas.name), record.acct_session_id.clone());
            self.by_acct.insert(key, id);
            told = true;
        }
        if record.ip.is_some() && session.ip != record.ip {
            session.ip = record.ip;
            told = true;
        }
        if let (Meter::Nas, Some(counters)) = (session.meter, record.counters) {
            session.count(counters, now_ms);
        }
        if told {
            decision.started(now_ms, session);
        }
        Some(id)
    }

    fn acct_find(&self, record: &Accounting) -> Option<SessionId> {
        let by_class = record.class.filter(|id| self.live.contains_key(id));
        let by_acct = || {
            let key = (Arc::clone(&record.nas.name), record.acct_session_id.clone());
            self.by_acct.get(&key).copied()
        };
        // By device only as long as no Acct-Session-Id binds the session to another login.
        let by_mac = || {
            let id = record.mac.and_then(|mac| self.by_mac.get(&mac).copied())?;
            let session = self.live.get(&id)?;
            let unbound = session.acct_session_id.is_empty();
            (unbound && session.nas.name == record.nas.name).then_some(id)
        };
        by_class.or_else(by_acct).or_else(by_mac)
    }

    fn acct_open(
        &mut self,
        record: &Accounting,
        now_ms: u64,
        decision: &mut Decision,
    ) -> Option<SessionId> {
        if record.metered_here {
            // Sessions of our own data plane are opened by authentication only.
            metrics::counter!("kennet_accounting_unknown_total").increment(1);
            tracing::debug!(nas = %record.nas.name, acct_session_id = record.acct_session_id,
                "accounting for a session that is not on-line here");
            return None;
        }
        let subscriber = record.subscriber.as_deref();
        let unlimited = Kbps::new(u32::MAX)?;
        let session = Session {
            id: record.fresh,
            username: record.username.clone(),
            subscriber: subscriber.and_then(|subscriber| subscriber.id),
            subscription: subscriber.and_then(|subscriber| subscriber.subscription),
            nas: record.nas.clone(),
            mac: record.mac,
            ip: record.ip,
            acct_session_id: record.acct_session_id.clone(),
            meter: Meter::Nas,
            shape: subscriber
                .map_or(Shape { down_kbps: unlimited, up_kbps: unlimited }, |subscriber| {
                    subscriber.shape()
                }),
            class: subscriber.map(|subscriber| subscriber.class).unwrap_or_default(),
            started_at_ms: now_ms,
            revision: 0,
            limits: subscriber.map_or_else(Limits::default, limits),
            counters: record.counters.unwrap_or_default(),
            active_at_ms: now_ms,
            reported: Counters::default(),
        };
        decision.started(now_ms, &session);
        let id = session.id;
        self.by_acct.insert((Arc::clone(&session.nas.name), session.acct_session_id.clone()), id);
        self.live.insert(id, session);
        Some(id)
    }

    /// Written at once and not with the next report: the NAS deletes what we acknowledge. The
    /// row is not: what a NAS has said is in the journal, and it will say it again.
    fn acct_usage(&mut self, id: SessionId, now_ms: u64, decision: &mut Decision) {
        let Some(session) = self.live.get_mut(&id) else { return };
        if matches!(session.meter, Meter::Nas) && session.counters != session.reported {
            session.reported = session.counters;
            decision.record(now_ms, journal::Event::Usage(session.usage()));
        }
    }

    /// Accounting-On and -Off: what the NAS had is gone.
    fn nas_restarted(&self, record: &Accounting, decision: &mut Decision) {
        for session in self.live.values() {
            if session.nas.name == record.nas.name {
                decision.close(session.id, Cause::NAS_REBOOT);
            }
        }
    }
}
