//! What is wanted of live sessions: the desired state, and single commands. Pure.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use shared::{
    id::SessionId,
    wire::latest::{command::Effect, desired::Class},
};

use super::{
    Act, Cause, Decision, LEASE, Session, Sessions, Want, event, limits, own_prefixes, slow,
    wanted_limits,
};
use crate::desired::Snapshot;

impl Sessions {
    /// Brings live sessions to what is wanted now.
    pub fn desired(&mut self, snapshot: &Snapshot, now_ms: u64, decision: &mut Decision) {
        self.nas = snapshot.nas().iter().map(|nas| (nas.name.clone(), Arc::clone(nas))).collect();
        let ids: Vec<SessionId> = self.live.keys().copied().collect();
        let mut anew = HashSet::new();
        for id in ids {
            let Some(session) = self.live.get_mut(&id) else { continue };
            let Some(subscriber) = snapshot.identified(&session.username) else {
                // A session of somebody whom others let in is not ours to end.
                if session.is_known {
                    session.unwanted = Some(Cause::ADMIN_RESET);
                    self.end(id, Cause::ADMIN_RESET, now_ms, decision);
                }
                continue;
            };
            session.is_known = true;
            session.unwanted = (subscriber.class == Class::Blocked).then_some(Cause::ADMIN_RESET);
            session.subscription = subscriber.subscription;
            let is_metered_here = session.is_metered_here();
            if subscriber.max_sessions.is_some() {
                let lasting = (!is_metered_here).then_some(LEASE);
                decision.leases.extend(session.lease(lasting));
            }
            let account_before = session.account;
            // Another term of the account: its time begins anew, for all of its sessions.
            let is_anew = session.account.is_some()
                && (self.accounts.want(subscriber, now_ms) || anew.contains(&session.username));
            if session.account.is_some() {
                if is_anew && anew.insert(session.username.clone()) {
                    decision.account(&self.accounts, &session.username);
                }
            } else if is_metered_here {
                // It needs one now.
                session.account = self.accounts.arrive(subscriber, now_ms).map(|number| number.0);
                decision.account(&self.accounts, &session.username);
            }
            let has_account = session.account;
            let own = (slow(subscriber), own_prefixes(subscriber, told_by(session)));
            let wanted = (subscriber.shape(), wanted_limits(subscriber));
            let left = session
                .account
                .and_then(|_| self.accounts.left_seconds(&session.username, now_ms))
                .map(|left| left + now_ms.saturating_sub(session.started_at_ms).div_ceil(1_000))
                // Of one that its NAS meters, each session has all of it.
                .or_else(|| subscriber.online_seconds.filter(|_| !is_metered_here));
            let was_active = session.class != Class::Blocked;
            let had = (session.slow, session.prefixes.clone());
            let stays = session.wanted == wanted
                && !(is_anew && subscriber.online_seconds.is_some())
                && session.class == subscriber.class
                && had == own
                && has_account == account_before;
            if stays {
                continue;
            }
            (session.slow, session.prefixes) = own;
            let shape_before = session.shape;
            if session.wanted != wanted {
                session.wanted = wanted;
                session.shape = wanted.0;
                session.limits = limits(subscriber, left);
            } else if is_anew {
                session.limits.session_seconds = limits(subscriber, left).session_seconds;
            }
            session.class = subscriber.class;
            let is_blocked = session.class == Class::Blocked;
            if (session.shape, was_active) == (shape_before, !is_blocked) {
                // Nothing that the office would want to know: limits, addresses.
                decision.put(session);
                let entry = session.entry(self.boot_ms).map(Box::new);
                decision.acts.extend(entry.map(|entry| Act::Install(entry, None)));
                continue;
            }
            session.revision = snapshot.revision;
            decision.started(now_ms, session);
            if let Some(entry) = session.entry(self.boot_ms) {
                decision.acts.push(Act::Install(Box::new(entry), None));
            }
            let after = session.shape;
            if is_blocked {
                // Nothing passes here; its NAS is to close the port, too.
                self.ask_to_end(id, Cause::ADMIN_RESET, now_ms, decision);
            } else if !is_metered_here && after != shape_before {
                // A NAS that cannot keeps to the old rates until the next login: that is better
                // than to throw people out for a better plan, and the journal says it.
                let want = Want::Change { before: shape_before, after };
                self.ask(id, (want, Cause::ADMIN_RESET), None, now_ms, decision);
            }
        }
    }

    /// The answer comes when it is known what has become of the session.
    pub fn disconnect(
        &mut self,
        id: SessionId,
        answer: event::Answer<Effect>,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        let (answer, effect) = match self.live.get(&id) {
            None => (Some(answer), Effect::Nothing),
            Some(session) if session.is_metered_here() => {
                self.end(id, Cause::ADMIN_RESET, now_ms, decision);
                (Some(answer), Effect::Done)
            }
            Some(_) => {
                let reason = "the session is at a NAS that takes no Disconnect-Request".to_owned();
                let rest = self.ask(
                    id,
                    (Want::Disconnect, Cause::ADMIN_RESET),
                    Some(answer),
                    now_ms,
                    decision,
                );
                (rest, Effect::Failed { reason })
            }
        };
        decision.acts.extend(answer.map(|answer| Act::Answer(answer, effect)));
    }
}

/// The address that a session without a device is told by.
fn told_by(session: &Session) -> Option<IpAddr> {
    session.ip.filter(|_| session.mac.is_none())
}
