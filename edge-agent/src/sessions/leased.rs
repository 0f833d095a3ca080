//! What may be used here of a quota that other edges use, too; and when to ask for more. Pure.
//!
//! What was leased is written down before it is used, and lowered before it is given back: whoever
//! dies in between has too little, never too much.

use serde::{Deserialize, Serialize};
use shared::wire::latest::{desired::Subscriber, lease::Answer};

/// A part of a quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Leased {
    /// May be used here in all, since the terms began.
    pub(super) bytes: u64,
    /// There is this much beyond, here or elsewhere, as far as was said.
    rest: Option<u64>,
    /// Nobody is on-line: it goes back.
    goes_back: bool,
    /// To have in hand.
    hand: u64,
    /// The last question, and how much it asked for.
    #[serde(skip)]
    asked: Option<(u64, u64)>,
    #[serde(skip)]
    next_ms: u64,
}

impl Leased {
    /// Of a subscriber's terms: enough for some seconds at full speed, and a part of the whole.
    pub(super) fn is_for(&mut self, subscriber: &Subscriber) {
        let all = subscriber.data_bytes.unwrap_or_default();
        let kbps = u64::from(subscriber.down_kbps.get()) + u64::from(subscriber.up_kbps.get());
        let part = (all / PARTS).clamp(HAND_MIN, HAND_MAX);
        self.hand = part.max(kbps.saturating_mul(125 * HAND_SECONDS)).min(all.max(1));
    }

    /// There may be more than was said.
    pub(super) const fn look_again(&mut self) {
        self.rest = None;
        self.next_ms = 0;
    }

    pub(super) const fn arrive(&mut self) {
        self.goes_back = false;
        self.next_ms = 0;
    }

    pub(super) const fn leave(&mut self, used: u64) {
        // The kernel has no bound any more: what it would be now is all that it used.
        if self.bytes > used {
            self.bytes = used;
        }
        self.goes_back = true;
        self.next_ms = 0;
    }

    pub(super) const fn goes_back(&self) -> bool {
        self.goes_back
    }

    /// Nothing is left, here or elsewhere, once `bytes` are used.
    pub(super) fn is_last(&self) -> bool {
        self.rest == Some(0)
    }

    /// What is left of all, as far as is known.
    pub(super) fn left(&self, used: u64, all: u64) -> u64 {
        let here = self.bytes.saturating_sub(used);
        self.rest.map_or(all.saturating_sub(used), |rest| here.saturating_add(rest))
    }

    /// Is there something to ask now?
    pub(super) fn is_due(&self, used: u64, now_ms: u64) -> bool {
        now_ms >= self.next_ms && self.wants(used)
    }

    fn wants(&self, used: u64) -> bool {
        let in_hand = self.bytes.saturating_sub(used);
        self.goes_back || (!self.is_last() && in_hand <= self.hand / 2)
    }

    /// What to ask now, and for how much; `fence` is newer than all before.
    pub(super) fn question(&mut self, used: u64, fence: u64, now_ms: u64) -> Option<u64> {
        if !self.is_due(used, now_ms) {
            return None;
        }
        let more = if self.goes_back { 0 } else { self.hand };
        self.asked = Some((fence, more));
        self.next_ms = now_ms.saturating_add(AGAIN_MS);
        Some(more)
    }

    /// True: the kernel is to be told.
    pub(super) fn answered(&mut self, answer: &Answer, now_ms: u64) -> bool {
        let Some((_, more)) = self.asked.take_if(|(fence, _)| *fence == answer.fence) else {
            return false;
        };
        if more == 0 {
            // Somebody who came back meanwhile asks anew.
            self.goes_back = false;
            return false;
        }
        if self.goes_back {
            return false;
        }
        self.rest = Some(answer.free_bytes.saturating_add(answer.elsewhere_bytes));
        let is_other = self.bytes != answer.bytes;
        self.next_ms = if is_other { 0 } else { now_ms.saturating_add(NOTHING_MS) };
        self.bytes = answer.bytes;
        is_other
    }
}

const PARTS: u64 = 16;
const HAND_MIN: u64 = 4 << 20;
const HAND_MAX: u64 = 256 << 20;
const HAND_SECONDS: u64 = 4;
/// A question that is not answered.
const AGAIN_MS: u64 = 2_000;
/// One that was answered with nothing: others may give something back.
const NOTHING_MS: u64 = 5_000;
