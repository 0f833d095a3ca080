//! What a subscriber's devices share: a quota, steps of a fair use policy, a rate. Pure.
//!
//! The kernel counts what is charged to an account and stops at the packet that would go too far.
//! Here is only how far that is. An account has a number in the kernel for as long as one of its
//! sessions is on-line; what it had charged until then is carried over to the next number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::{
    id::SessionId,
    rate::Shape,
    wire::latest::desired::{Class, Step, Subscriber, UsedUp},
};

use super::slots::Slots;
use crate::dataplane::{Account, AccountNumber, Charge, Slot};

#[derive(Debug)]
pub(super) struct Accounts {
    held: BTreeMap<String, Held>,
    numbers: Slots,
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
}

impl Terms {
    fn of(subscriber: &Subscriber) -> Self {
        let Subscriber {
            data_bytes, used_up, used_bytes, steps, together, counted_from_ms, ..
        } = subscriber;
        Self {
            data_bytes: *data_bytes,
            used_up: *used_up,
            used_bytes: *used_bytes,
            steps: steps.clone(),
            together: *together,
            counted_from_ms: *counted_from_ms,
        }
    }

    fn are_any(&self) -> bool {
        self.data_bytes.is_some() || self.together.is_some() || !self.steps.is_empty()
    }
}

impl Held {
    fn new(username: String, terms: Terms) -> Self {
        let (began_at, carried, charged, tenure, sessions) = (0, 0, 0, 0, 0);
        let (number, written) = (None, None);
        Self { username, terms, began_at, carried, charged, number, tenure, sessions, written }
    }

    /// Other terms begin anew, unless they say that they count what was counted before.
    fn take_up(&mut self, terms: Terms) {
        let goes_on =
            terms.counted_from_ms.is_some() && terms.counted_from_ms == self.terms.counted_from_ms;
        if !goes_on {
            self.began_at = self.total();
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

    /// What is left; `None` without a quota.
    pub fn left(&self) -> Option<u64> {
        self.terms.data_bytes.map(|bytes| bytes.saturating_sub(self.used()))
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

    fn account(&self, number: u32) -> Account {
        let Terms { data_bytes, used_up, used_bytes, steps, together, counted_from_ms: _ } =
            &self.terms;
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
            quota: data_bytes.map(at),
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
        Self { held, numbers }
    }

    pub(super) fn get(&self, username: &str) -> Option<&Held> {
        self.held.get(username)
    }

    /// A session of the subscriber begins. `None`: it needs no account. The account is to be
    /// brought to the kernel before the session is.
    pub(super) fn arrive(&mut self, subscriber: &Subscriber) -> Option<AccountNumber> {
        let terms = Terms::of(subscriber);
        if !terms.are_any() {
            return None;
        }
        let held = self
            .held
            .entry(subscriber.username.clone())
            .or_insert_with(|| Held::new(subscriber.username.clone(), terms.clone()));
        if held.terms != terms {
            held.take_up(terms);
        }
        let number = match held.number {
            Some(number) => number,
            None => self.numbers.take()?.0,
        };
        held.number = Some(number);
        held.sessions += 1;
        Some(AccountNumber(number))
    }

    /// A session that was taken over has this account.
    pub(super) fn stays(&mut self, username: &str) -> Option<AccountNumber> {
        let held = self.held.get_mut(username)?;
        held.sessions += 1;
        held.number.map(AccountNumber)
    }

    /// A session has ended; what the kernel counted until then was read before.
    pub(super) fn leave(&mut self, username: &str) {
        let Some(held) = self.held.get_mut(username) else { return };
        held.sessions = held.sessions.saturating_sub(1);
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
            self.leave(&username);
        }
    }

    /// The subscriber's terms as they are wanted now. `true`: they are other ones.
    pub(super) fn want(&mut self, subscriber: &Subscriber) -> bool {
        let terms = Terms::of(subscriber);
        let Some(held) = self.held.get_mut(&subscriber.username) else { return false };
        if held.terms == terms {
            return false;
        }
        held.take_up(terms);
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
    pub(super) fn observe(&mut self, charges: &[Charge]) -> Found {
        let mut found = Found::default();
        let numbered = self.held.values_mut().filter(|held| held.number.is_some());
        for (held, charge) in numbered.zip(charges) {
            // Zero after a restart of the host: what was counted before is carried.
            if charge.charged < held.charged {
                held.carried += held.charged;
                found.changed.push(held.username.clone());
            }
            held.charged = charge.charged;
            if charge.happened.has_stepped() {
                found.changed.push(held.username.clone());
            }
            if charge.happened.is_used_up() || held.left() == Some(0) {
                match held.terms.used_up {
                    UsedUp::End => found.ended.push(held.username.clone()),
                    UsedUp::Garden => {}
                }
            }
        }
        found
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
mod tests {
    use shared::rate::Kbps;

    use super::*;
    use crate::dataplane::Happened;

    fn shape(kbps: u32) -> Shape {
        let kbps = Kbps::new(kbps).unwrap();
        Shape { down_kbps: kbps, up_kbps: kbps }
    }

    fn amina() -> Subscriber {
        Subscriber { data_bytes: Some(1_000), ..Subscriber::new("amina".to_owned(), shape(10_000)) }
    }

    fn charged(bytes: u64) -> Charge {
        Charge { charged: bytes, happened: Happened::default() }
    }

    #[test]
    fn devices_share_a_quota_and_it_goes_on_in_the_next_session() {
        let mut accounts = Accounts::new(8, Vec::new());
        let number = accounts.arrive(&amina()).unwrap();
        assert_eq!(accounts.arrive(&amina()), Some(number));
        assert_eq!(accounts.account("amina").unwrap().quota, Some(1_000));
        accounts.observe(&[charged(300)]);
        accounts.leave("amina");
        accounts.leave("amina");
        assert_eq!(accounts.account("amina"), None);
        let again = accounts.arrive(&amina()).unwrap();
        assert_ne!(again, AccountNumber::SITE);
        assert_eq!(accounts.account("amina").unwrap().quota, Some(700));
        assert_eq!(accounts.get("amina").unwrap().left(), Some(700));
        assert_eq!(accounts.observe(&[charged(700)]).ended, ["amina"]);
    }

    #[test]
    fn more_that_is_said_counts_from_then_on() {
        let mut accounts = Accounts::new(8, Vec::new());
        accounts.arrive(&amina());
        accounts.observe(&[charged(300)]);
        assert!(!accounts.want(&amina()));
        assert!(accounts.want(&Subscriber { data_bytes: Some(5_000), ..amina() }));
        assert_eq!(accounts.account("amina").unwrap().quota, Some(5_300));
    }

    #[test]
    fn more_of_the_same_term_counts_what_was_used_and_the_next_term_does_not() {
        let of_term = |from, bytes| Subscriber {
            data_bytes: Some(bytes),
            counted_from_ms: Some(from),
            ..amina()
        };
        let mut accounts = Accounts::new(8, Vec::new());
        accounts.arrive(&of_term(7, 1_000));
        accounts.observe(&[charged(300)]);
        assert!(accounts.want(&of_term(7, 5_000)));
        assert_eq!(accounts.get("amina").unwrap().left(), Some(4_700));
        // Renewed: as much as before, and nothing of it is used.
        assert!(accounts.want(&of_term(8, 5_000)));
        assert_eq!(accounts.get("amina").unwrap().left(), Some(5_000));
    }

    #[test]
    fn steps_follow_each_other() {
        let step = |after_bytes, kbps| Step { after_bytes, shape: shape(kbps) };
        let amina = Subscriber {
            data_bytes: None,
            used_bytes: 100,
            together: Some(shape(50_000)),
            steps: vec![step(1_000, 2_000), step(5_000, 500)],
            ..amina()
        };
        let mut accounts = Accounts::new(8, Vec::new());
        accounts.arrive(&amina);
        let account = accounts.account("amina").unwrap();
        assert_eq!((account.step, account.slow), (Some(900), Some(shape(2_000))));
        assert_eq!(account.shape, Some(shape(50_000)));
        let stepped =
            Charge { charged: 901, happened: Happened(ebpf::layout::EventKind::STEP.bit()) };
        assert_eq!(accounts.observe(&[stepped]).changed, ["amina"]);
        let account = accounts.account("amina").unwrap();
        assert_eq!((account.shape, account.step), (Some(shape(2_000)), Some(4_900)));
        accounts.observe(&[charged(6_000)]);
        let account = accounts.account("amina").unwrap();
        assert_eq!((account.shape, account.step), (Some(shape(500)), None));
    }

    #[test]
    fn a_host_that_forgot_does_not_give_it_all_again() {
        let mut accounts = Accounts::new(8, Vec::new());
        accounts.arrive(&amina());
        accounts.observe(&[charged(300)]);
        let row = accounts.get("amina").unwrap().to_row();
        let mut accounts = Accounts::new(8, vec![Held::from_row(&row).unwrap()]);
        assert!(accounts.stays("amina").is_some());
        assert_eq!(accounts.observe(&[charged(10)]).changed, ["amina"]);
        assert_eq!(accounts.account("amina").unwrap().quota, Some(700));
        assert_eq!(accounts.get("amina").unwrap().left(), Some(690));
    }

    #[test]
    fn whose_sessions_are_lost_gives_the_number_back() {
        let mut accounts = Accounts::new(2, Vec::new());
        accounts.arrive(&amina());
        accounts.observe(&[charged(300)]);
        let kept = accounts.get("amina").unwrap().clone();
        let kept = Held::from_row(&kept.to_row()).unwrap();
        let mut accounts = Accounts::new(2, vec![kept]);
        accounts.sweep();
        assert!(accounts.numbers().is_empty());
        let other = Subscriber { username: "other".to_owned(), ..amina() };
        assert!(accounts.arrive(&other).is_some());
        assert_eq!(accounts.get("amina").unwrap().left(), Some(700));
    }
}
