//! What is wanted of live sessions: the desired state, and single commands. Pure.

use std::sync::Arc;

use shared::{
    id::SessionId,
    wire::latest::{command::Effect, desired::Class},
};

use super::{Act, Cause, Decision, LEASE, Sessions, Want, event, limits};
use crate::desired::Snapshot;

impl Sessions {
    /// Brings live sessions to what is wanted now.
    pub fn desired(&mut self, snapshot: &Snapshot, now_ms: u64, decision: &mut Decision) {
        self.nas = snapshot.nas().iter().map(|nas| (nas.name.clone(), Arc::clone(nas))).collect();
        let ids: Vec<SessionId> = self.live.keys().copied().collect();
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
            let wanted = (subscriber.shape(), limits(subscriber));
            let was_active = session.class == Class::Active;
            let stays = session.wanted == wanted && session.class == subscriber.class;
            if stays {
                continue;
            }
            let shape_before = session.shape;
            if session.wanted != wanted {
                session.wanted = wanted;
                (session.shape, session.limits) = wanted;
            }
            session.class = subscriber.class;
            let is_blocked = session.class == Class::Blocked;
            if (session.shape, was_active) == (shape_before, !is_blocked) {
                // Other limits only.
                decision.put(session);
                continue;
            }
            session.revision = snapshot.revision;
            decision.started(now_ms, session);
            if let Some(entry) = session.entry() {
                decision.acts.push(Act::Install(entry, None));
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
