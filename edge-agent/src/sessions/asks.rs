//! NASes that are asked to end or to change a session (RFC 5176): what they said, and what was
//! seen afterwards. Pure.
//!
//! An ACK is a promise. After it the session's Stop is awaited, or its traffic is looked at; the
//! journal tells both, and who gave the command hears what was seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use radius::dynauth::ErrorCause;
use shared::{
    id::SessionId,
    octets::Counters,
    rate::Shape,
    wire::latest::{
        command::Effect,
        desired::Nas,
        journal::{self, Answered, Observed, SessionEffect},
    },
};

use super::{
    Act, Cause, Decision, Session, Sessions,
    event::{self, AskId, NasAnswer, NasRef, Place},
    session::AcctKey,
};

/// What a NAS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub id: AskId,
    pub nas: NasRef,
    /// Where it is asked; the port is the NAS's as it is wanted then.
    pub to: IpAddr,
    pub want: Want,
    /// How the NAS knows the session.
    pub username: String,
    pub acct_session_id: String,
    pub ip: Option<IpAddr>,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Disconnect,
    /// Other rates.
    Change {
        before: Shape,
        after: Shape,
    },
}

/// Asked, and not over.
#[derive(Debug)]
struct Asked {
    session: SessionId,
    nas: Arc<str>,
    key: Option<AcctKey>,
    want: Want,
    /// Why the session is to end.
    cause: Cause,
    at_ms: u64,
    answer: Option<NasAnswer>,
    /// Until when something is looked for, once it is answered.
    until_ms: u64,
    /// Its NAS has ended it.
    stopped: bool,
    /// Its NAS says that it goes on.
    heard: bool,
    watch: Option<Watch>,
    tell: Option<event::Answer<Effect>>,
}

/// Traffic after a change.
#[derive(Clone, Copy, Debug)]
struct Watch {
    before: Shape,
    after: Shape,
    /// The first reading after the answer.
    from: Option<(u64, Counters)>,
    seen: Observed,
}

#[derive(Debug, Default)]
pub(super) struct Asks {
    next: u64,
    open: BTreeMap<AskId, Asked>,
    by_session: BTreeSet<(SessionId, AskId)>,
    /// The newest of each name.
    by_key: HashMap<AcctKey, AskId>,
}

impl Asks {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.by_session.is_empty() && self.by_key.is_empty()
    }

    fn put(&mut self, id: AskId, asked: Asked) {
        self.by_session.insert((asked.session, id));
        if let Some(key) = &asked.key {
            self.by_key.insert(key.clone(), id);
        }
        self.open.insert(id, asked);
    }

    fn remove(&mut self, id: AskId) -> Option<Asked> {
        let asked = self.open.remove(&id)?;
        self.by_session.remove(&(asked.session, id));
        if let Some(key) = &asked.key
            && self.by_key.get(key) == Some(&id)
        {
            self.by_key.remove(key);
        }
        Some(asked)
    }

    /// What is asked about a session, by its id or by its NAS's name for it.
    fn about(&self, session: Option<SessionId>, key: Option<&AcctKey>) -> BTreeSet<AskId> {
        let of_session = session.into_iter().flat_map(|session| {
            let all = (session, AskId(0))..=(session, AskId(u64::MAX));
            self.by_session.range(all).map(|(_, id)| *id)
        });
        let of_key = key.and_then(|key| self.by_key.get(key).copied());
        of_session.chain(of_key).collect()
    }
}

/// For how long a Stop is awaited after an ACK. NASes send it at once, and again after some
/// seconds if it is lost.
const STOP_MS: u64 = 10_000;

/// For how long a session's traffic is watched after a change: two reports, and a late one.
const WATCH_MS: u64 = 200_000;

/// How soon a NAS is asked again to end a session that should be over.
const AGAIN_MS: u64 = 5 * 60 * 1_000;

/// Questions that are open at once: those of a site that all end together.
const OPEN_MAX: usize = 65_536;

impl Sessions {
    /// Where there is somebody to ask about a session.
    fn askable(&self, session: &Session) -> Option<IpAddr> {
        let nas = self.nas.get(&*session.nas.name).filter(|nas| nas.dynauth_port != 0)?;
        session.place.address.or_else(|| only(nas))
    }

    /// Ends a session by itself: in this host's kernel now, at its NAS by asking it.
    pub(super) fn end(
        &mut self,
        id: SessionId,
        cause: Cause,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        let Some(session) = self.live.get(&id) else { return };
        if session.is_metered_here() && !decision.is_closing(id) {
            decision.close(id, cause);
            self.ask(id, (Want::Disconnect, cause), None, now_ms, decision);
        } else if !session.is_metered_here() {
            self.ask_to_end(id, cause, now_ms, decision);
        }
    }

    /// A session that should be over: its NAS is asked, and not more often than it makes sense.
    pub(super) fn ask_to_end(
        &mut self,
        id: SessionId,
        cause: Cause,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        let Some(session) = self.live.get_mut(&id) else { return };
        if session.asked_at_ms.is_none_or(|at| now_ms.saturating_sub(at) >= AGAIN_MS) {
            session.asked_at_ms = Some(now_ms);
            self.ask(id, (Want::Disconnect, cause), None, now_ms, decision);
        }
    }

    /// Why a session ended whose NAS does not say why: because it was asked to end it.
    pub(super) fn asked_because(&self, id: SessionId) -> Option<Cause> {
        let about = self.asks.about(Some(id), None);
        let mut asked = about.iter().filter_map(|id| self.asks.open.get(id));
        asked.find(|asked| asked.want == Want::Disconnect).map(|asked| asked.cause)
    }

    /// `tell` is told what was seen; it is given back if there is nobody to ask.
    pub(super) fn ask(
        &mut self,
        id: SessionId,
        (want, cause): (Want, Cause),
        tell: Option<event::Answer<Effect>>,
        now_ms: u64,
        decision: &mut Decision,
    ) -> Option<event::Answer<Effect>> {
        let Some(session) = self.live.get(&id) else { return tell };
        let Some(to) = self.askable(session).filter(|_| self.asks.open.len() < OPEN_MAX) else {
            return tell;
        };
        self.asks.next += 1;
        let ask = Ask {
            id: AskId(self.asks.next),
            nas: session.nas.clone(),
            to,
            want,
            username: match session.acct_username.as_str() {
                "" => session.username.clone(),
                named => named.to_owned(),
            },
            acct_session_id: session.acct_session_id.clone(),
            ip: session.ip,
            place: session.place.clone(),
        };
        let asked = Asked {
            session: id,
            nas: Arc::clone(&session.nas.name),
            key: session.acct_key(),
            want,
            cause,
            at_ms: now_ms,
            answer: None,
            until_ms: u64::MAX,
            stopped: false,
            heard: false,
            watch: match want {
                Want::Disconnect => None,
                Want::Change { before, after } => {
                    Some(Watch { before, after, from: None, seen: Observed::Unknown })
                }
            },
            tell,
        };
        self.asks.put(ask.id, asked);
        decision.acts.push(Act::Ask(Box::new(ask)));
        None
    }

    /// What a NAS said, or that it said nothing.
    pub fn answered(&mut self, id: AskId, answer: NasAnswer, now_ms: u64, decision: &mut Decision) {
        let Some(asked) = self.asks.open.get_mut(&id) else { return };
        asked.answer = Some(answer);
        match (answer.answered, asked.want) {
            (Answered::Ack, Want::Disconnect) => asked.until_ms = now_ms.saturating_add(STOP_MS),
            (Answered::Ack, Want::Change { .. }) => {
                asked.until_ms = now_ms.saturating_add(WATCH_MS);
            }
            (Answered::Unknown | Answered::Nak | Answered::Silence | Answered::NotAsked, _) => {
                asked.until_ms = now_ms;
            }
        }
        // Its NAS does not know it: it is over. Its Stop may be on its way.
        if answer.cause == Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND) {
            if self.live.contains_key(&asked.session) {
                asked.until_ms = now_ms.saturating_add(STOP_MS / 2);
            } else {
                asked.stopped = true;
            }
        }
        self.settle_one(id, now_ms, decision);
    }

    /// A session is over, or a NAS says so of one that was ended here.
    pub(super) fn asks_stopped(
        &mut self,
        id: Option<SessionId>,
        key: Option<&AcctKey>,
        now_ms: u64,
        decision: &mut Decision,
    ) {
        for ask in self.asks.about(id, key) {
            if let Some(asked) = self.asks.open.get_mut(&ask) {
                asked.stopped = true;
            }
            self.settle_one(ask, now_ms, decision);
        }
    }

    /// A NAS reports on a session that it was asked about.
    pub(super) fn asks_heard(
        &mut self,
        id: Option<SessionId>,
        key: Option<&AcctKey>,
        counters: Option<Counters>,
        event_ms: u64,
    ) {
        for ask in self.asks.about(id, key) {
            let Some(asked) = self.asks.open.get_mut(&ask) else { continue };
            if asked.answer.is_none() {
                continue;
            }
            asked.heard = true;
            if let (Some(watch), Some(counters)) = (&mut asked.watch, counters) {
                watch.look(counters, event_ms);
            }
        }
    }

    /// Once a second: what is seen by now, or never.
    pub(super) fn settle(&mut self, now_ms: u64, decision: &mut Decision) {
        let open: Vec<AskId> = self.asks.open.keys().copied().collect();
        for id in open {
            self.settle_one(id, now_ms, decision);
        }
    }

    fn settle_one(&mut self, id: AskId, now_ms: u64, decision: &mut Decision) {
        let is_over = self.asks.open.get(&id).is_some_and(|asked| asked.is_over(now_ms));
        if !is_over {
            return;
        }
        let Some(mut asked) = self.asks.remove(id) else { return };
        if asked.is_unknown_there() {
            asked.stopped = true;
            if self.live.contains_key(&asked.session) {
                decision.close(asked.session, Cause::LOST_SERVICE);
            }
        }
        let observed = asked.observed();
        let answer = asked.answer.unwrap_or(NasAnswer { answered: Answered::Unknown, cause: None });
        let effect = SessionEffect {
            session: asked.session.to_vec(),
            asked: match asked.want {
                Want::Disconnect => journal::Asked::Disconnect,
                Want::Change { .. } => journal::Asked::Change,
            }
            .into(),
            asked_at_ms: asked.at_ms,
            answered: answer.answered.into(),
            error_cause: answer.cause.map_or(0, |cause| cause.0),
            observed: observed.into(),
            after_ms: u32::try_from(now_ms.saturating_sub(asked.at_ms)).unwrap_or(u32::MAX),
            nas_name: asked.nas.to_string(),
        };
        metrics::counter!(
            "kennet_dynauth_effects_total",
            "asked" => effect.asked().as_str(),
            "answered" => effect.answered().as_str(),
            "observed" => effect.observed().as_str()
        )
        .increment(1);
        decision.record(now_ms, journal::Event::SessionEffect(effect));
        if let Some(tell) = asked.tell {
            decision.acts.push(Act::Answer(tell, told(observed, answer)));
        }
    }
}

impl Asked {
    fn is_over(&self, now_ms: u64) -> bool {
        let seen = self.watch.is_some_and(|watch| watch.seen != Observed::Unknown);
        self.answer.is_some() && (self.stopped || seen || self.until_ms <= now_ms)
    }

    fn is_unknown_there(&self) -> bool {
        let cause = self.answer.and_then(|answer| answer.cause);
        cause == Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND)
    }

    fn observed(&self) -> Observed {
        let said = self.answer.map(|answer| answer.answered);
        match (self.stopped, self.want, said) {
            (true, ..) => Observed::Ended,
            (false, _, Some(Answered::Nak)) => Observed::StillThere,
            (false, Want::Disconnect, _) if self.heard => Observed::StillThere,
            (false, Want::Change { .. }, Some(Answered::Ack)) => {
                self.watch.map_or(Observed::Unknown, |watch| watch.seen)
            }
            (false, ..) => Observed::Unknown,
        }
    }
}

/// The address of a NAS that has one.
fn only(nas: &Nas) -> Option<IpAddr> {
    let address = nas.address.address();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (nas.address.bits() == bits).then_some(address)
}

/// For who gave the command.
fn told(observed: Observed, answer: NasAnswer) -> Effect {
    let said = match (answer.answered, answer.cause) {
        (Answered::Ack, _) => "has acknowledged".to_owned(),
        (Answered::Nak, Some(cause)) => format!("refuses ({cause})"),
        (Answered::Nak, None) => "refuses".to_owned(),
        (Answered::Silence, _) => "does not answer".to_owned(),
        (Answered::NotAsked | Answered::Unknown, _) => "could not be asked".to_owned(),
    };
    match observed {
        Observed::Ended | Observed::Changed => Effect::Done,
        Observed::StillThere => {
            Effect::Failed { reason: format!("the session goes on: its NAS {said}") }
        }
        Observed::Unknown => {
            Effect::Failed { reason: format!("nobody has seen the session end: its NAS {said}") }
        }
    }
}

impl Watch {
    /// Between two reports the average tells, if the line was full enough: what is beyond the new
    /// rate is not held to it; what keeps to it and is near it is, where the old rate was another.
    fn look(&mut self, counters: Counters, now_ms: u64) {
        let Some((from_ms, from)) = self.from else {
            self.from = Some((now_ms, counters));
            return;
        };
        let ms = now_ms.saturating_sub(from_ms);
        if ms < WATCHED_MIN_MS {
            return;
        }
        let moved = counters.max(from) - from;
        // Bytes in a millisecond are 8 kbit/s.
        let kbps = |bytes: u64| bytes.saturating_mul(8) / ms;
        let (before, after) = (self.before, self.after);
        let down = seen(kbps(moved.down_bytes), before.down_kbps.get(), after.down_kbps.get());
        let up = seen(kbps(moved.up_bytes), before.up_kbps.get(), after.up_kbps.get());
        self.seen = match (down, up) {
            (Observed::StillThere, _) | (_, Observed::StillThere) => Observed::StillThere,
            (Observed::Changed, _) | (_, Observed::Changed) => Observed::Changed,
            _ => Observed::Unknown,
        };
        self.from = Some((now_ms, counters));
    }
}

/// Reports nearer to each other than this say little about a rate.
const WATCHED_MIN_MS: u64 = 5_000;

fn seen(kbps: u64, before: u32, after: u32) -> Observed {
    let (before, after) = (u64::from(before), u64::from(after));
    // Bursts and the edges of the interval.
    let beyond = |rate: u64| kbps * 10 > rate * 11;
    let is_near = kbps * 2 > after;
    if before == after {
        Observed::Unknown
    } else if beyond(after) {
        Observed::StillThere
    } else if (before < after && beyond(before)) || (before > after && is_near) {
        Observed::Changed
    } else {
        Observed::Unknown
    }
}
