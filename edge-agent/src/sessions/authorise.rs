//! Others end or change a session of ours (RFC 5176, this host is the NAS). Pure.

use radius::dynauth::{Action, ErrorCause};
use shared::{id::SessionId, rate::Shape};

use super::{
    Act, Cause, Decision, Session, Sessions,
    event::{Authorise, Change, Verdict, Which},
};

impl Sessions {
    /// One session that this host's data plane holds; what it was told stays until the desired
    /// state wants something else for its subscriber.
    pub fn authorise(
        &mut self,
        asked: &Authorise,
        verdict: Verdict,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        let result = match (self.only(&asked.which), asked.action) {
            (Err(why), _) => Err(why),
            (Ok(id), Action::Disconnect) => {
                self.end(id, Cause::ADMIN_RESET, now_ms, decision);
                Ok(())
            }
            (Ok(id), Action::Change) => {
                self.change(id, asked.change, now_ms, decision);
                Ok(())
            }
        };
        decision.acts.push(Act::Authorised(verdict, result));
    }

    fn only(&self, which: &Which) -> Result<SessionId, ErrorCause> {
        let mut named = self.live.values().filter(|session| which.is(session)).peekable();
        named.peek().ok_or(ErrorCause::SESSION_CONTEXT_NOT_FOUND)?;
        let mut found = named.filter(|session| which.is_at_nas_of(session));
        let first = found.next().ok_or(ErrorCause::NAS_IDENTIFICATION_MISMATCH)?;
        if found.next().is_some() {
            return Err(ErrorCause::MULTIPLE_SESSION_SELECTION_UNSUPPORTED);
        }
        if first.is_metered_here() {
            Ok(first.id)
        } else {
            // Its NAS is to be asked, and not this host.
            Err(ErrorCause::SESSION_CONTEXT_NOT_REMOVABLE)
        }
    }

    fn change(&mut self, id: SessionId, change: Change, now_ms: u64, decision: &mut Decision) {
        let Some(session) = self.live.get_mut(&id) else { return };
        let Change { down_kbps, up_kbps, session_seconds, idle_seconds } = change;
        session.shape = Shape {
            down_kbps: down_kbps.unwrap_or(session.shape.down_kbps),
            up_kbps: up_kbps.unwrap_or(session.shape.up_kbps),
        };
        session.limits.session_seconds = session_seconds.or(session.limits.session_seconds);
        session.limits.idle_seconds = idle_seconds.or(session.limits.idle_seconds);
        decision.started(now_ms, session);
        if let Some(entry) = session.entry(self.boot_ms) {
            decision.acts.push(Act::Install(Box::new(entry), None));
        }
    }
}

impl Which {
    fn is_at_nas_of(&self, session: &Session) -> bool {
        self.nas_identifier.as_ref().is_none_or(|wanted| {
            *wanted == session.place.nas_identifier || **wanted == *session.nas.name
        }) && self.nas_address.is_none_or(|wanted| session.place.address == Some(wanted))
    }

    fn is(&self, session: &Session) -> bool {
        let same = |wanted: &Option<String>, has: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == has)
        };
        let id = || session.id.to_string();
        same(&self.username, &session.username)
            && (self
                .acct_session_id
                .as_ref()
                .is_none_or(|wanted| *wanted == session.acct_session_id || *wanted == id()))
            && self.mac.is_none_or(|mac| session.mac == Some(mac))
            && self.ip.is_none_or(|ip| session.ip == Some(ip))
            && self.port.is_none_or(|port| session.place.port == Some(port))
            && same(&self.port_id, &session.place.port_id)
            && same(&self.called, &session.place.called)
    }
}
