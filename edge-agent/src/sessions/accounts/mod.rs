//! What a subscriber's devices share: a quota, steps of a fair use policy, a rate. Pure.
//!
//! The kernel counts what is charged to an account and stops at the packet that would go too far.
//! Here is only how far that is. An account has a number in the kernel for as long as one of its
//! sessions is on-line; what it had charged until then is carried over to the next number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::{
    id::{SessionId, SubscriberId},
    rate::Shape,
    wire::latest::{
        desired::{Class, Step, Subscriber, UsedUp},
        lease::{Answer, Question},
    },
};

use super::{leased::Leased, online::Online, slots::Slots};
use crate::dataplane::{Account, AccountNumber, Charge, Slot};

#[derive(Debug)]
pub(super) struct Accounts {
    held: BTreeMap<String, Held>,
    numbers: Slots,
    /// Of the last question.
    fence: u64,
    /// There is something to ask the controller.
    asks: bool,
}

/// One subscriber's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    username: String,
    terms: Terms,
    /// Charged in all when these terms began.
    began_at: u64,
    /// Charged before the kernel's counter began.
    carried: u64,
    /// What the kernel's counter showed last.
    charged: u64,
    number: Option<u32>,
    /// How often it has given a number back: the kernel's counter is then another.
    tenure: u64,
    /// Of a quota that other edges use, too.
    #[serde(default)]
    leased: Leased,
    #[serde(default)]
    online: Online,
    /// How many sessions there are.
    #[serde(skip)]
    sessions: usize,
    /// What was charged when it was last written down because of that.
    #[serde(skip)]
    written: Option<u64>,
}

/// What was said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Terms {
    data_bytes: Option<u64>,
    used_up: UsedUp,
    used_bytes: u64,
    steps: Vec<Step>,
    together: Option<Shape>,
    #[serde(default)]
    counted_from_ms: Option<u64>,
    #[serde(default)]
    online_seconds: Option<u64>,
    /// Whose quota is leased.
    #[serde(default)]
    leased: Option<SubscriberId>,
}

impl Terms {
    fn of(subscriber: &Subscriber) -> Self {
        let Subscriber {
            data_bytes,
            used_up,
            used_bytes,
            steps,
            together,
            counted_from_ms,
            online_seconds,
            leased,
            id,
            ..
        } = subscriber;
        Self {
            data_bytes: *data_bytes,
            used_up: *used_up,
            used_bytes: *used_bytes,
            steps: steps.clone(),
            together: *together,
            counted_from_ms: *counted_from_ms,
            online_seconds: *online_seconds,
            leased: id.filter(|_| *leased && data_bytes.is_some()),
        }
    }

    fn are_any(&self) -> bool {
        self.data_bytes.is_some()
            || self.together.is_some()
            || self.online_seconds.is_some()
            // Not limited now, and counted with what may be later.
            || self.counted_from_ms.is_some()
            || !self.steps.is_empty()
    }
}

impl Held {
    fn new(username: String, terms: Terms) -> Self {
        let (began_at, carried, charged, tenure, sessions) = (0, 0, 0, 0, 0);
        let (number, written) = (None, None);
        let (leased, online) = (Leased::default(), Online::default());
        Self {
            username,
            terms,
            began_at,
            carried,
            charged,
            number,
            tenure,
            leased,
            online,
            sessions,
            written,
        }
    }

    /// Other terms begin anew, unless they say that they count what was counted before.
    fn take_up(&mut self, terms: Terms, now_ms: u64) {
        let goes_on =
            terms.counted_from_ms.is_some() && terms.counted_from_ms == self.terms.counted_from_ms;
        if goes_on {
            self.leased.look_again();
        } else {
            self.began_at = self.total();
            self.leased = Leased::default();
            self.online.reset(now_ms);
        }
        self.terms = terms;
    }

    const fn total(&self) -> u64 {
        self.carried + self.charged
    }

    /// Used since these terms began.
    pub const fn used(&self) -> u64 {
        self.total().saturating_sub(self.began_at)
    }

    /// What is left; `None` without a quota. Of one that other edges use, too, as far as is known.
    pub fn left(&self) -> Option<u64> {
        self.terms.data_bytes.map(|bytes| match self.terms.leased {
            Some(_) => self.leased.left(self.used(), bytes),
            None => bytes.saturating_sub(self.used()),
        })
    }

    /// May more come, although nothing may pass now?
    fn may_get_more(&self) -> bool {
        self.terms.leased.is_some() && !self.leased.is_last()
    }

    /// What is left of the time on-line.
    pub fn left_seconds(&self, now_ms: u64) -> Option<u64> {
        let all = self.terms.online_seconds?.saturating_mul(1_000);
        Some(all.saturating_sub(self.online.used_ms(now_ms)).div_ceil(1_000))
    }

    /// For the row beside the journal.
    pub fn to_row(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an account is plain text and numbers")
    }

    pub fn from_row(row: &[u8]) -> Option<Self> {
        serde_json::from_slice(row).ok()
    }

    /// The key of its row: not a session's.
    pub fn key(&self) -> SessionId {
        SessionId::from_uuid(uuid::Uuid::from_u128(id(&self.username, 0)))
    }

    fn id(&self) -> u128 {
        id(&self.username, self.tenure)
    }

    /// Has it a part of a quota, or does it need one?
    const fn is_of_interest(&self) -> bool {
        self.terms.leased.is_some() && (self.number.is_some() || self.leased.goes_back())
    }

    fn account(&self, number: u32) -> Account {
        let Terms { data_bytes, used_up, used_bytes, steps, together, leased, .. } = &self.terms;
        let bytes = leased.map_or(*data_bytes, |_| Some(self.leased.bytes));
        // In what the kernel counts.
        let at = |bytes: u64| (self.began_at + bytes).saturating_sub(self.carried);
        let after = |step: &Step| at(step.after_bytes.saturating_sub(*used_bytes));
        let passed = steps.iter().take_while(|step| after(step) < self.charged).count();
        let next = steps.get(passed);
        Account {
            number: AccountNumber(number),
            id: self.id(),
            shape: steps
                .get(..passed)
                .and_then(<[Step]>::last)
                .map_or(*together, |step| Some(step.shape)),
            slow: next.map(|step| step.shape),
            step: next.map(after),
            quota: bytes.map(at),
            beyond: match used_up {
                UsedUp::End => Class::Blocked,
                UsedUp::Garden => Class::Garden,
            },
        }
    }
}

/// Whose account it is, in the kernel.
fn id(username: &str, tenure: u64) -> u128 {
    let hash = Sha256::new().chain_update(tenure.to_be_bytes()).chain_update(username);
    let hash: [u8; 32] = hash.finalize().into();
    let (half, _) = hash.split_at(16);
    half.first_chunk().map_or(1, |bytes| u128::from_be_bytes(*bytes)) | 1
}

impl Accounts {
    /// As many as `slots`, and the first number, which is the site's.
    pub(super) fn new(slots: u32, kept: Vec<Held>) -> Self {
        let taken = kept.iter().filter_map(|held| held.number).chain([AccountNumber::SITE.0]);
        let numbers = Slots::new(slots.saturating_add(1), taken.map(Slot));
        let held = kept.into_iter().map(|held| (held.username.clone(), held)).collect();
        Self { held, numbers, fence: 0, asks: true }
    }

    pub(super) fn get(&self, username: &str) -> Option<&Held> {
        self.held.get(username)
    }

    /// What is left of the subscriber's time on-line.
    pub(super) fn left_seconds(&self, username: &str, now_ms: u64) -> Option<u64> {
        self.get(username)?.left_seconds(now_ms)
    }

    /// A session of the subscriber begins. `None`: it needs no account. The account is to be
    /// brought to the kernel before the session is.
    pub(super) fn arrive(&mut self, subscriber: &Subscriber, now_ms: u64) -> Option<AccountNumber> {
        let terms = Terms::of(subscriber);
        if !terms.are_any() {
            return None;
        }
        let held = self
            .held
            .entry(subscriber.username.clone())
            .or_insert_with(|| Held::new(subscriber.username.clone(), terms.clone()));
        if held.terms != terms {
            held.take_up(terms, now_ms);
        }
        held.leased.is_for(subscriber);
        let number = match held.number {
            Some(number) => number,
            None => self.numbers.take()?.0,
        };
        held.number = Some(number);
        held.sessions += 1;
        held.leased.arrive();
        held.online.begin(now_ms);
        self.asks |= held.terms.leased.is_some();
        Some(AccountNumber(number))
    }

    /// A session that was taken over has this account.
    pub(super) fn stays(&mut self, username: &str, now_ms: u64) -> Option<AccountNumber> {
        let held = self.held.get_mut(username)?;
        held.sessions += 1;
        held.online.begin(now_ms);
        held.number.map(AccountNumber)
    }

    /// A session has ended; what the kernel counted until then was read before.
    pub(super) fn leave(&mut self, username: &str, now_ms: u64) {
        let Some(held) = self.held.get_mut(username) else { return };
        held.online.see(now_ms);
        held.sessions = held.sessions.saturating_sub(1);
        if held.sessions == 0 {
            held.online.end();
            held.leased.leave(held.used());
            self.asks |= held.terms.leased.is_some();
        }
        if held.sessions == 0
            && let Some(number) = held.number.take()
        {
            held.carried += held.charged;
            held.charged = 0;
            held.tenure += 1;
            self.numbers.give_back(Slot(number));
        }
    }

    /// Numbers without sessions, after a restart: their sessions were lost.
    pub(super) fn sweep(&mut self) {
        let idle: Vec<String> = self
            .held
            .values()
            .filter(|held| held.sessions == 0 && held.number.is_some())
            .map(|held| held.username.clone())
            .collect();
        for username in idle {
            self.leave(&username, 0);
        }
    }

    /// The subscriber's terms as they are wanted now. `true`: they are other ones.
    pub(super) fn want(&mut self, subscriber: &Subscriber, now_ms: u64) -> bool {
        let terms = Terms::of(subscriber);
        let Some(held) = self.held.get_mut(&subscriber.username) else { return false };
        if held.terms == terms {
            return false;
        }
        held.take_up(terms, now_ms);
        held.leased.is_for(subscriber);
        self.asks |= held.terms.leased.is_some();
        true
    }

    /// What the kernel has to hold for a subscriber.
    pub(super) fn account(&self, username: &str) -> Option<Account> {
        let held = self.held.get(username)?;
        held.number.map(|number| held.account(number))
    }

    /// What to ask the kernel for.
    pub(super) fn numbers(&self) -> Vec<(AccountNumber, u128)> {
        let numbered = |held: &Held| Some((AccountNumber(held.number?), held.id()));
        self.held.values().filter_map(numbered).collect()
    }

    /// Takes what the kernel says of [`numbers`](Self::numbers), in their order. Whose data is used
    /// up, and whose rates change.
    pub(super) fn observe(&mut self, charges: &[Charge], now_ms: u64) -> Found {
        let mut found = Found::default();
        let numbered = self.held.values_mut().filter(|held| held.number.is_some());
        for (held, charge) in numbered.zip(charges) {
            // Zero after a restart of the host: what was counted before is carried.
            if charge.charged < held.charged {
                held.carried += held.charged;
                found.changed.push(held.username.clone());
            }
            held.charged = charge.charged;
            held.online.see(now_ms);
            self.asks |= held.terms.leased.is_some() && held.leased.is_due(held.used(), now_ms);
            if charge.happened.has_stepped() {
                found.changed.push(held.username.clone());
            }
            let is_over = charge.happened.is_used_up() || held.left() == Some(0);
            if is_over && !held.may_get_more() {
                match held.terms.used_up {
                    UsedUp::End => found.ended.push(held.username.clone()),
                    UsedUp::Garden => {}
                }
            }
        }
        found
    }

    /// Since this was asked last, is there something to ask the controller?
    pub(super) const fn take_asks(&mut self) -> bool {
        std::mem::replace(&mut self.asks, false)
    }

    /// What to ask the controller now.
    pub(super) fn questions(&mut self, now_ms: u64) -> Vec<Question> {
        let mut questions = Vec::new();
        for held in self.held.values_mut().filter(|held| held.is_of_interest()) {
            let Some(subscriber) = held.terms.leased else { continue };
            let (used_bytes, fence) = (held.used(), now_ms.max(self.fence + 1));
            if let Some(more_bytes) = held.leased.question(used_bytes, fence, now_ms) {
                self.fence = fence;
                let counted_from_ms = held.terms.counted_from_ms.unwrap_or_default();
                questions.push(Question {
                    subscriber,
                    counted_from_ms,
                    fence,
                    used_bytes,
                    more_bytes,
                });
            }
        }
        questions
    }

    /// What the controller has said. Whose bound is another.
    pub(super) fn answered(&mut self, answers: &[Answer], now_ms: u64) -> Vec<String> {
        let mut changed = Vec::new();
        for held in self.held.values_mut().filter(|held| held.is_of_interest()) {
            let is_about = |answer: &&Answer| {
                Some(answer.subscriber) == held.terms.leased
                    && Some(answer.counted_from_ms) == held.terms.counted_from_ms
            };
            let Some(answer) = answers.iter().find(is_about) else { continue };
            // A clock that was set back: the controller has seen newer ones.
            self.fence = self.fence.max(answer.fence);
            if held.leased.answered(answer, now_ms) {
                changed.push(held.username.clone());
            }
        }
        changed
    }

    /// For the rows beside the journal: those that have a number, and were charged since they were
    /// asked for last.
    pub(super) fn take_charged(&mut self) -> impl Iterator<Item = &Held> {
        self.held.values_mut().filter_map(|held| {
            let is_old = held.number.is_some() && held.written != Some(held.charged);
            held.written = Some(held.charged);
            is_old.then_some(&*held)
        })
    }
}

/// What the kernel's counters mean.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Nothing may pass any more: their sessions end.
    pub(super) ended: Vec<String>,
    /// The kernel is to be told new bounds.
    pub(super) changed: Vec<String>,
}

#[cfg(test)]
mod tests;
