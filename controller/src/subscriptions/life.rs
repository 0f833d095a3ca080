//! What becomes of a subscription at a moment, by what was paid. Pure.
//!
//! Prepaid: a term begins when it is paid in full. Postpaid: a term is invoiced when it is over,
//! and what is not paid when it is due ends it. A look leads to one act and says when to look
//! again; the same look at the same standing is the same act.

use jiff::{SignedDuration, Timestamp};

use super::State;
use crate::{billing::Cents, plans::Billing};

/// When things happen to who does not pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Days before the end, the longest first.
    pub remind_days: Vec<u16>,
    /// Days in the walled garden.
    pub garden_days: u16,
    /// Days from the suspension to the end of it all.
    pub expire_days: u16,
    pub due_days: u16,
    pub promise_days: u16,
    /// Who pays after a suspension is served from when it was suspended, not from now.
    pub back_date: bool,
    /// How many terms may be paid ahead.
    pub stack_max: u16,
    pub breakage_days: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            remind_days: vec![7, 3, 1, 0],
            garden_days: 7,
            expire_days: 90,
            due_days: 14,
            promise_days: 7,
            back_date: false,
            stack_max: 3,
            breakage_days: 30,
        }
    }
}

/// What is known of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub state: State,
    pub billing: Billing,
    pub auto_renew: bool,
    pub term_end: Option<Timestamp>,
    pub grace_seconds: u64,
    pub lapsed_at: Option<Timestamp>,
    pub walled: bool,
    pub promise_until: Option<Timestamp>,
    /// When money came in last.
    pub money_at: Option<Timestamp>,
    /// What the next term costs, and what there is for it.
    pub price: Cents,
    pub wallet: Cents,
    /// When the oldest invoice that is not paid was due, or will be.
    pub invoice_due: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes the price of a term out of the wallet; it begins there, counted anew or not.
    Charge {
        from: Timestamp,
        anew: bool,
    },
    /// Invoices the term up to there.
    Bill {
        until: Timestamp,
        then: Then,
    },
    /// Begins a term that will be invoiced.
    Begin {
        from: Timestamp,
    },
    Become(State),
    /// Out of the walled garden, into nothing.
    TurnOff,
    /// So many days before `about`.
    Remind {
        days: u16,
        about: Timestamp,
    },
    /// Asks the phone of who wants to be renewed for what the wallet lacks, so many minutes before
    /// `about`.
    Prompt {
        minutes: u16,
        about: Timestamp,
    },
    Wait,
}

/// What comes after a term that was invoiced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Next,
    Suspended,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub act: Act,
    /// When to look again; none: when something happens.
    pub next: Option<Timestamp>,
}

const fn verdict(act: Act, next: Option<Timestamp>) -> Verdict {
    Verdict { act, next }
}

/// What is to be done now.
pub fn look(one: &Standing, policy: &Policy, now: Timestamp) -> Verdict {
    match (one.billing, one.state) {
        (Billing::Prepaid, State::Pending) if one.can_pay() => {
            verdict(Act::Charge { from: now, anew: true }, None)
        }
        (Billing::Prepaid, State::Active | State::Grace) => paid_ahead(one, policy, now),
        (Billing::Postpaid, State::Active | State::Grace) => invoiced(one, policy, now),
        (Billing::Prepaid | Billing::Postpaid, State::Suspended) => suspended(one, policy, now),
        (Billing::Prepaid, State::Expired)
            if one.can_pay() && one.lapsed_at.is_some() && one.money_at >= one.lapsed_at =>
        {
            verdict(Act::Charge { from: now, anew: true }, None)
        }
        (Billing::Postpaid, State::Expired | State::Cancelled) if one.term_end.is_some() => {
            let until = one.term_end.map_or(now, |end| end.min(now));
            verdict(Act::Bill { until, then: Then::Nothing }, None)
        }
        (
            Billing::Prepaid | Billing::Postpaid,
            State::Pending | State::Expired | State::Cancelled,
        ) => verdict(Act::Wait, None),
    }
}

fn paid_ahead(one: &Standing, policy: &Policy, now: Timestamp) -> Verdict {
    let Some(end) = one.term_end else { return verdict(Act::Wait, None) };
    if now >= after(end, -LEAD_SECONDS) && one.can_pay() && one.asks(policy) {
        return verdict(Act::Charge { from: end, anew: false }, None);
    }
    if now < end {
        let renews = one.auto_renew && one.can_pay();
        let what = before(end, renews, policy, now);
        return if one.auto_renew && !renews { prompt(end, what, now) } else { what };
    }
    unpaid_since(end, one, now)
}

/// Twice: in time, and when it would be taken out of the wallet.
fn prompt(end: Timestamp, what: Verdict, now: Timestamp) -> Verdict {
    let [first, last] =
        PROMPT_MINUTES.map(|minutes| (minutes, after(end, -i64::from(minutes) * 60)));
    let (minutes, _) = match (now >= first.1, now >= last.1) {
        (_, true) => last,
        (true, false) => first,
        (false, false) => {
            let next = what.next.map_or(first.1, |next| next.min(first.1));
            return verdict(what.act, Some(next));
        }
    };
    verdict(Act::Prompt { minutes, about: end }, what.next)
}

fn invoiced(one: &Standing, policy: &Policy, now: Timestamp) -> Verdict {
    let Some(end) = one.term_end else { return verdict(Act::Wait, None) };
    if now >= end {
        return verdict(Act::Bill { until: end, then: Then::Next }, Some(now));
    }
    let Some(due) = one.invoice_due else {
        let act = if one.state == State::Grace { Act::Become(State::Active) } else { Act::Wait };
        return verdict(act, Some(end));
    };
    let mut what = if now < due {
        if one.state == State::Grace {
            verdict(Act::Become(State::Active), Some(now))
        } else {
            before(due, false, policy, now)
        }
    } else {
        unpaid_since(due, one, now)
    };
    if what.act == Act::Become(State::Suspended) {
        what = verdict(Act::Bill { until: now, then: Then::Suspended }, what.next);
    }
    what.next = what.next.map(|next| next.min(end));
    what
}

/// On-line for a while, then not.
fn unpaid_since(due: Timestamp, one: &Standing, now: Timestamp) -> Verdict {
    let grace = i64::try_from(one.grace_seconds).unwrap_or(i64::MAX);
    let limit = after(due, grace).max(one.promise_until.unwrap_or(due));
    if now >= limit {
        return verdict(Act::Become(State::Suspended), Some(now));
    }
    let act = if one.state == State::Active { Act::Become(State::Grace) } else { Act::Wait };
    verdict(act, Some(limit))
}

fn suspended(one: &Standing, policy: &Policy, now: Timestamp) -> Verdict {
    // By staff: paying does not end it.
    let Some(lapsed) = one.lapsed_at else { return verdict(Act::Wait, None) };
    let promised = one.promise_until.is_some_and(|until| until > now);
    let from = if policy.back_date { lapsed } else { now };
    match one.billing {
        Billing::Prepaid if one.can_pay() && one.asks(policy) => {
            return verdict(Act::Charge { from, anew: true }, None);
        }
        Billing::Prepaid if promised => return verdict(Act::Become(State::Active), Some(now)),
        Billing::Postpaid if promised || one.invoice_due.is_none_or(|due| due > now) => {
            return verdict(Act::Begin { from }, None);
        }
        Billing::Prepaid | Billing::Postpaid => {}
    }
    let over = after(lapsed, days(policy.expire_days));
    if now >= over {
        return verdict(Act::Become(State::Expired), None);
    }
    let off = after(lapsed, days(policy.garden_days));
    match (one.walled, now >= off) {
        (true, true) => verdict(Act::TurnOff, Some(over)),
        (true, false) => verdict(Act::Wait, Some(off.min(over))),
        (false, _) => verdict(Act::Wait, Some(over)),
    }
}

/// Reminds of what is to be paid until `end`, unless it is paid for.
fn before(end: Timestamp, paid: bool, policy: &Policy, now: Timestamp) -> Verdict {
    let steps = || policy.remind_days.iter().map(|one| (*one, after(end, -days(*one))));
    let due = steps().filter(|(_, at)| *at <= now).min_by_key(|(_, at)| (end - *at).get_seconds());
    let next = steps().map(|(_, at)| at).filter(|at| *at > now).min();
    let lead = after(end, -LEAD_SECONDS);
    let next = if now < lead { next.map_or(lead, |next| next.min(lead)) } else { end };
    let act = match due {
        Some((days, _)) if !paid => Act::Remind { days, about: end },
        Some(_) | None => Act::Wait,
    };
    verdict(act, Some(next))
}

/// When to look at a term that has just begun.
pub fn first_look(end: Timestamp, policy: &Policy, now: Timestamp) -> Timestamp {
    before(end, true, policy, now).next.unwrap_or(end)
}

impl Standing {
    fn can_pay(&self) -> bool {
        self.wallet >= self.price
    }

    /// Nobody gets what they did not ask for: a standing order is asking, and so is paying when
    /// one was reminded, or later.
    fn asks(&self, policy: &Policy) -> bool {
        let reminded = policy.remind_days.iter().max().copied().unwrap_or(0);
        let from = self.term_end.map(|end| after(end, -days(reminded)));
        self.auto_renew || self.money_at.is_some_and(|at| from.is_none_or(|from| at >= from))
    }
}

fn days(days: u16) -> i64 {
    i64::from(days) * 86_400
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// How long before its end a term is renewed, so that nobody falls off between two looks.
const LEAD_SECONDS: i64 = 600;

/// The last one is when the wallet would be charged.
const PROMPT_MINUTES: [u16; 2] = [120, 10];

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn prepaid() -> Standing {
        Standing {
            state: State::Active,
            billing: Billing::Prepaid,
            auto_renew: true,
            term_end: Some(at(30 * DAY)),
            grace_seconds: 2 * 86_400,
            lapsed_at: None,
            walled: false,
            promise_until: None,
            money_at: None,
            price: Cents::new(150_000),
            wallet: Cents::ZERO,
            invoice_due: None,
        }
    }

    #[track_caller]
    fn check(one: Standing, now: i64, act: Act, next: Option<i64>) {
        let got = look(&one, &Policy::default(), at(now));
        assert_eq!(got, verdict(act, next.map(at)));
    }

    #[test]
    fn who_has_paid_and_asks_is_renewed_before_the_end() {
        let rich = Standing { wallet: Cents::new(150_000), ..prepaid() };
        let charge = Act::Charge { from: at(30 * DAY), anew: false };
        check(rich, 30 * DAY - 601, Act::Wait, Some(30 * DAY - 600));
        check(rich, 30 * DAY - 600, charge, None);
        // Late, or in grace: from the end, because the service went on.
        check(rich, 31 * DAY, charge, None);
        check(Standing { state: State::Grace, ..rich }, 31 * DAY, charge, None);
        // Nobody is renewed who did not ask.
        let silent = Standing { auto_renew: false, ..rich };
        check(silent, 30 * DAY, Act::Become(State::Grace), Some(32 * DAY));
        let early = Standing { money_at: Some(at(22 * DAY)), ..silent };
        check(early, 30 * DAY, Act::Become(State::Grace), Some(32 * DAY));
        let asks = Standing { money_at: Some(at(23 * DAY)), ..silent };
        check(asks, 30 * DAY, charge, None);
    }

    #[test]
    fn who_does_not_pay_is_reminded_and_then_walled_and_then_off() {
        let about = at(30 * DAY);
        check(prepaid(), 0, Act::Wait, Some(23 * DAY));
        for (days, next) in [(7, 27 * DAY), (3, 29 * DAY), (1, 30 * DAY - 7200)] {
            let now = 30 * DAY - i64::from(days) * DAY;
            check(prepaid(), now, Act::Remind { days, about }, Some(next));
        }
        let silent = Standing { auto_renew: false, ..prepaid() };
        let last = Act::Remind { days: 1, about };
        check(silent, 29 * DAY, last, Some(30 * DAY - 600));
        check(silent, 30 * DAY - 600, last, Some(30 * DAY));
        let grace = Standing { state: State::Grace, ..prepaid() };
        check(prepaid(), 30 * DAY, Act::Become(State::Grace), Some(32 * DAY));
        check(grace, 31 * DAY, Act::Wait, Some(32 * DAY));
        check(grace, 32 * DAY, Act::Become(State::Suspended), Some(32 * DAY));
        let promised = Standing { promise_until: Some(at(35 * DAY)), ..grace };
        check(promised, 32 * DAY, Act::Wait, Some(35 * DAY));
        check(promised, 35 * DAY, Act::Become(State::Suspended), Some(35 * DAY));

        let lapsed_at = Some(at(32 * DAY));
        let walled = Standing { state: State::Suspended, lapsed_at, walled: true, ..prepaid() };
        let off = Standing { walled: false, ..walled };
        check(walled, 33 * DAY, Act::Wait, Some(39 * DAY));
        check(walled, 39 * DAY, Act::TurnOff, Some(122 * DAY));
        check(off, 40 * DAY, Act::Wait, Some(122 * DAY));
        check(off, 122 * DAY, Act::Become(State::Expired), None);
    }

    #[test]
    fn who_wants_to_be_renewed_is_asked_for_what_the_wallet_lacks() {
        let ask = |minutes| Act::Prompt { minutes, about: at(30 * DAY) };
        check(prepaid(), 30 * DAY - 7200, ask(120), Some(30 * DAY - 600));
        check(prepaid(), 30 * DAY - 601, ask(120), Some(30 * DAY - 600));
        check(prepaid(), 30 * DAY - 600, ask(10), Some(30 * DAY));
        check(prepaid(), 30 * DAY, Act::Become(State::Grace), Some(32 * DAY));
        let rich = Standing { wallet: Cents::new(150_000), ..prepaid() };
        check(rich, 30 * DAY - 7200, Act::Wait, Some(30 * DAY - 600));
    }

    #[test]
    fn who_pays_after_a_suspension_is_served_from_then() {
        let lapsed_at = Some(at(32 * DAY));
        let rich = Standing { wallet: Cents::new(150_000), ..prepaid() };
        let paid = Standing { state: State::Suspended, lapsed_at, walled: true, ..rich };
        check(paid, 40 * DAY, Act::Charge { from: at(40 * DAY), anew: true }, None);
        let back = Policy { back_date: true, ..Policy::default() };
        let got = look(&paid, &back, at(40 * DAY)).act;
        assert_eq!(got, Act::Charge { from: at(32 * DAY), anew: true });
        // Staff suspended it: no money ends that.
        let by_staff = Standing { lapsed_at: None, walled: false, ..paid };
        check(by_staff, 40 * DAY, Act::Wait, None);
        let promised = Standing { promise_until: Some(at(45 * DAY)), wallet: Cents::ZERO, ..paid };
        check(promised, 40 * DAY, Act::Become(State::Active), Some(40 * DAY));
        let expired = Standing { state: State::Expired, walled: false, ..paid };
        check(expired, 200 * DAY, Act::Wait, None);
        let pays = Standing { money_at: Some(at(200 * DAY)), ..expired };
        check(pays, 200 * DAY, Act::Charge { from: at(200 * DAY), anew: true }, None);
    }

    #[test]
    fn who_pays_afterwards_is_billed_and_has_time_to_pay() {
        let one = Standing { billing: Billing::Postpaid, auto_renew: false, ..prepaid() };
        check(one, 10 * DAY, Act::Wait, Some(30 * DAY));
        let bill = Act::Bill { until: at(30 * DAY), then: Then::Next };
        check(one, 30 * DAY, bill, Some(30 * DAY));
        let owes = Standing { invoice_due: Some(at(14 * DAY)), ..one };
        check(owes, 12 * DAY, Act::Remind { days: 3, about: at(14 * DAY) }, Some(13 * DAY));
        check(owes, 14 * DAY, Act::Become(State::Grace), Some(16 * DAY));
        let grace = Standing { state: State::Grace, ..owes };
        let last = Act::Bill { until: at(16 * DAY), then: Then::Suspended };
        check(grace, 16 * DAY, last, Some(16 * DAY));
        check(
            Standing { invoice_due: None, ..grace },
            15 * DAY,
            Act::Become(State::Active),
            Some(30 * DAY),
        );
        let walled = Standing {
            state: State::Suspended,
            lapsed_at: Some(at(16 * DAY)),
            walled: true,
            term_end: None,
            ..owes
        };
        check(walled, 20 * DAY, Act::Wait, Some(23 * DAY));
        let paid = Standing { invoice_due: None, ..walled };
        check(paid, 20 * DAY, Act::Begin { from: at(20 * DAY) }, None);
        let gone = Standing { state: State::Cancelled, ..one };
        let last = Act::Bill { until: at(12 * DAY), then: Then::Nothing };
        check(gone, 12 * DAY, last, None);
    }

    /// Whatever is known, looking again and again comes to rest until a later time.
    #[test]
    fn a_verdict_without_an_act_is_about_the_future() {
        for days in 0..140 {
            for state in [State::Active, State::Grace, State::Suspended] {
                for billing in [Billing::Prepaid, Billing::Postpaid] {
                    let lapsed_at = Some(at(32 * DAY));
                    let one = Standing { state, billing, lapsed_at, ..prepaid() };
                    let got = look(&one, &Policy::default(), at(days * DAY));
                    if let (Act::Wait | Act::Remind { .. }, Some(next)) = (got.act, got.next) {
                        assert!(next > at(days * DAY), "{one:?} on day {days}: {got:?}");
                    }
                }
            }
        }
    }
}
