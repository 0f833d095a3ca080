//! What a run of records takes out of what subscribers have: bytes that passed, and time that sessions
//! lasted. The database decides out of which (`use_entitlements`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shared::id::SessionId;

use super::{
    changes::Reading,
    store::{Known, Settled},
};

/// A session was on-line until then, and so much passed since it was heard of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lasted {
    pub(super) session: SessionId,
    pub(super) at: Timestamp,
    pub(super) bytes: u64,
}

/// Of the sessions that are somebody's, in the order of the clock.
pub(super) fn lasted(
    settled: &[Settled<'_>],
    added: &[(SessionId, Reading)],
    known: &BTreeMap<SessionId, Known>,
) -> Vec<Lasted> {
    let passed = added.iter().map(|&(session, Reading { at, counters, .. })| {
        let bytes = counters.down_bytes.saturating_add(counters.up_bytes);
        Lasted { session, at, bytes }
    });
    let heard: BTreeMap<_, _> = added.iter().map(|(session, one)| (*session, one.at)).collect();
    let ends = settled.iter().filter_map(|one| {
        let read = one.change.readings.last().map(|reading| reading.at);
        let at = one.change.stopped.map(|(at, _)| at).max(read)?;
        let is_later = heard.get(&one.id).is_none_or(|heard| *heard < at);
        is_later.then_some(Lasted { session: one.id, at, bytes: 0 })
    });
    let nobodys = settled.iter().filter(|one| {
        let known = known.get(&one.id).is_some_and(|known| known.of_somebody);
        let started = one.change.started.as_deref();
        !known && started.is_none_or(|started| started.subscriber.is_none())
    });
    let nobodys: BTreeSet<_> = nobodys.map(|one| one.id).collect();
    let mut lasted: Vec<_> =
        passed.chain(ends).filter(|one| !nobodys.contains(&one.session)).collect();
    lasted.sort_by_key(|one| one.at);
    lasted
}
