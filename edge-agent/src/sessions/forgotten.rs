//! Sessions that a NAS forgot to end: it has restarted, it is silent, or somebody else is at the
//! same port. Pure.
//!
//! Who is forgotten here may come back: what a NAS says later of a session that was ended is
//! counted from where it was ended ([`Gone`]), so that a wrong guess costs no byte.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use shared::{id::SessionId, net::Mac};

use super::{
    Cause, Decision, Session, Sessions,
    event::{Accounting, AcctStatus, NasRef, Place},
    session::{AcctKey, Meter},
};
use crate::journal::Row;

/// Who is where at which NAS.
#[derive(Debug, Default)]
pub(super) struct Ports {
    by_port: HashMap<PortKey, SessionId>,
    /// Only of sessions that their NAS meters: the data plane knows a device by itself.
    by_device: HashMap<(Arc<str>, Mac, String), SessionId>,
    /// NASes where a port turned out to have several sessions.
    shared: HashSet<(Arc<str>, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PortKey {
    nas: Arc<str>,
    nas_identifier: String,
    address: Option<std::net::IpAddr>,
    called: String,
    port: u32,
    port_id: String,
}

impl Ports {
    /// Nobody is put there twice; who was there before is given back.
    pub(super) fn arrive(&mut self, session: &Session) -> Vec<SessionId> {
        let mut before = Vec::new();
        if let Some(key) = port_key(&session.nas, &session.place) {
            before.extend(self.by_port.insert(key, session.id));
        }
        if let Some(key) = device_key(session) {
            before.extend(self.by_device.insert(key, session.id));
        }
        before.retain(|id| *id != session.id);
        before.dedup();
        if self.shared.contains(&nas_key(&session.nas, &session.place)) {
            before.clear();
        }
        before
    }

    pub(super) fn leave(&mut self, session: &Session) {
        if let Some(key) = port_key(&session.nas, &session.place)
            && self.by_port.get(&key) == Some(&session.id)
        {
            self.by_port.remove(&key);
        }
        if let Some(key) = device_key(session)
            && self.by_device.get(&key) == Some(&session.id)
        {
            self.by_device.remove(&key);
        }
    }

    /// A session goes on that was ended because of another one at its port.
    fn are_shared(&mut self, nas: &NasRef, place: &Place) {
        if self.shared.len() < SHARED_MAX && self.shared.insert(nas_key(nas, place)) {
            tracing::info!(nas.name = %nas.name, "a port of NAS {} has several sessions", nas.name);
        }
    }
}

fn nas_key(nas: &NasRef, place: &Place) -> (Arc<str>, String) {
    (Arc::clone(&nas.name), place.nas_identifier.clone())
}

fn port_key(nas: &NasRef, place: &Place) -> Option<PortKey> {
    // A radio has no ports: what access points and their controllers send there is no place.
    let is_radio = place.port_type.is_some_and(|kind| RADIOS.contains(&kind));
    let port = place.port.filter(|_| !is_radio)?;
    Some(PortKey {
        nas: Arc::clone(&nas.name),
        nas_identifier: place.nas_identifier.clone(),
        address: place.address,
        called: place.called.clone(),
        port,
        port_id: place.port_id.clone(),
    })
}

fn device_key(session: &Session) -> Option<(Arc<str>, Mac, String)> {
    let mac = session.mac.filter(|_| !session.is_metered_here())?;
    Some((Arc::clone(&session.nas.name), mac, session.username.clone()))
}

/// NAS-Port-Type Wireless-Other and Wireless-802.11, RFC 2865 §5.41.
const RADIOS: [u32; 2] = [18, 19];

/// As many as there are NASes; a NAS with made-up identifiers is not to fill the memory.
const SHARED_MAX: usize = 10_000;

/// Sessions of NASes that have ended here not long ago.
#[derive(Debug, Default)]
pub(super) struct Gone {
    by_key: HashMap<AcctKey, (Session, Cause)>,
    /// In the order in which they are forgotten.
    order: VecDeque<(u64, AcctKey)>,
}

/// For how long an ended session is remembered: a NAS that was cut off may send for hours what it
/// could not say.
const GONE_MS: u64 = 6 * 60 * 60 * 1_000;

/// About 6 MB.
const GONE_MAX: usize = 8_192;

impl Gone {
    pub(super) fn put(
        &mut self,
        session: Session,
        cause: Cause,
        at_ms: u64,
        decision: &mut Decision,
    ) {
        let Some(key) = session.acct_key() else { return };
        if let Some((before, _)) = self.take(&key) {
            decision.rows.push(Row::Delete { session: before.id });
        }
        self.order.push_back((at_ms, key.clone()));
        self.by_key.insert(key, (session, cause));
    }

    /// What is remembered no more.
    fn expire(&mut self, now_ms: u64, decision: &mut Decision) {
        while self.order.len() > GONE_MAX
            || self.order.front().is_some_and(|(at, _)| at.saturating_add(GONE_MS) <= now_ms)
        {
            let Some((_, key)) = self.order.pop_front() else { return };
            if let Some((session, _)) = self.by_key.remove(&key) {
                decision.rows.push(Row::Delete { session: session.id });
            }
        }
    }

    fn take(&mut self, key: &AcctKey) -> Option<(Session, Cause)> {
        let taken = self.by_key.remove(key)?;
        self.order.retain(|(_, queued)| queued != key);
        Some(taken)
    }
}

/// What a record says of a session that has ended.
pub(super) enum Again {
    /// Nothing that is not written down.
    Old,
    /// It goes on: from here.
    On(Box<Session>),
    /// There was none, or this is another one of the same name.
    New,
}

impl Sessions {
    /// Accounting-On and -Off: what the NAS had is gone.
    pub(super) fn nas_restarted(&self, record: &Accounting, decision: &mut Decision) {
        for session in self.live.values() {
            if session.nas.name == record.nas.name && session.place.is_of(&record.place) {
                decision.close(session.id, Cause::NAS_REBOOT);
            }
        }
    }

    /// A session has been bound to its place: who was there is not any more.
    pub(super) fn arrive(&mut self, id: SessionId, decision: &mut Decision) {
        let Some(session) = self.live.get(&id) else { return };
        for before in self.ports.arrive(session) {
            let same_place = |other: &Session| {
                other.place.is_of(&session.place)
                    // A roaming device has left another access point, which says so itself.
                    && (other.place.port == session.place.port || other.mac == session.mac)
            };
            if self.live.get(&before).is_some_and(same_place) {
                decision.close(before, Cause::PORT_REINITIALIZED);
            }
        }
    }

    /// Sessions whose NAS says nothing any more. RFC 2866 §5.10 has Lost Service for it: nobody
    /// knows of a carrier.
    pub(super) fn silent(&mut self, now_ms: u64, decision: &mut Decision) {
        for session in self.live.values_mut() {
            let Meter::Nas(meter) = session.meter else { continue };
            let patience_ms = match meter.interims {
                // It may be one that reports nothing in between.
                0 => NO_INTERIM_MS,
                _ => (meter.interval_ms.max(INTERIM_MS) * 3).max(self.pace.silence_ms),
            };
            if now_ms.saturating_sub(session.heard_at_ms) > patience_ms {
                // What it moved after its last word is not known; nor is when it ended.
                session.ended_at_ms = Some(session.heard_at_ms);
                decision.close(session.id, Cause::LOST_SERVICE);
            }
        }
        self.gone.expire(now_ms, decision);
    }

    /// Has a session of this name ended here? `when` is when that happened which the record tells.
    pub(super) fn again(
        &mut self,
        key: &AcctKey,
        record: &Accounting,
        when: u64,
        decision: &mut Decision,
    ) -> Again {
        let Some((session, cause)) = self.gone.by_key.get(key) else { return Again::New };
        let Meter::Nas(meter) = session.meter else { return Again::New };
        let ended_at_ms = session.ended_at_ms.unwrap_or(session.event_at_ms);
        let counted = session.counters + meter.base;
        let times = (record.session_time, meter.session_time);
        let is_old = match (record.status, times) {
            (AcctStatus::Start, _) => when <= ended_at_ms,
            (_, (Some(now), Some(last))) => now <= last && when <= ended_at_ms + NEWER_MS,
            _ => counted.max(record.counters.unwrap_or_default()) == counted,
        };
        if is_old {
            return Again::Old;
        }
        let goes_on = match (record.status, times) {
            (AcctStatus::Start, _) => false,
            (_, (Some(now), Some(last))) => now >= last,
            _ => true,
        };
        let was_at_its_port = *cause == Cause::PORT_REINITIALIZED;
        let Some((session, _)) = self.gone.take(key) else { return Again::New };
        decision.rows.push(Row::Delete { session: session.id });
        if !goes_on {
            return Again::New;
        }
        if was_at_its_port {
            self.ports.are_shared(&session.nas, &session.place);
        }
        Again::On(Box::new(session))
    }
}

/// Acct-Delay-Time has whole seconds, and not every NAS sends it with a Stop that it repeats.
const NEWER_MS: u64 = 60_000;

/// How often NASes are told to report.
const INTERIM_MS: u64 = 60_000;

/// After how long without a word a session counts as forgotten whose NAS has never reported
/// anything in between.
const NO_INTERIM_MS: u64 = 24 * 60 * 60 * 1_000;
