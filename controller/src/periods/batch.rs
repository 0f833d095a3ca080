//! From what is known of subscriptions to what is written of them. No clock, no database: the
//! shell reads before and writes afterwards.

use std::collections::HashMap;

use jiff::{Span, Timestamp, tz::TimeZone};
use shared::id::{InvoiceId, PlanVersionId};
use uuid::Uuid;

use super::{
    PeriodError,
    store::{Due, Used},
    write::{Change, Deferral, Grant, NewPeriod, Notice, Prompt, Writes},
};
use crate::{
    billing::{self, Cents, Rates, Split, Term, TooMuch},
    invoices::{Bill, BillLine, LineKind},
    plans::{Billing, OnExhaust, Sold, Terms},
    subscriptions::{Act, Policy, Standing, State, Then, first_look, look},
    words::Name,
};

/// What holds for all subscriptions of a tenant that are looked at together.
pub(super) struct Batch {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) policy: Policy,
    pub(super) rates: Rates,
    pub(super) recognised: Timestamp,
    pub(super) sold: HashMap<PlanVersionId, Sold>,
    pub(super) writes: Writes,
    /// What edges should have is another.
    pub(super) edges: bool,
}

/// What a part of a plan's price consists of.
fn split(terms: &Terms, cents: Cents, rates: Rates) -> Result<Split, TooMuch> {
    if terms.price_includes_tax { rates.within(cents) } else { rates.upon(cents) }
}

pub(super) fn price(terms: &Terms) -> Cents {
    Cents::new(terms.price_cents.cast_signed())
}

impl Batch {
    pub(super) fn sold(&self, id: PlanVersionId) -> Result<&Sold, PeriodError> {
        self.sold.get(&id).ok_or(PeriodError::Dangling)
    }

    /// What the term costs up to `until`.
    pub(super) fn cost(
        &self,
        terms: &Terms,
        term: &Term,
        until: Timestamp,
    ) -> Result<Split, PeriodError> {
        Ok(split(terms, term.price(price(terms), until)?, self.rates)?)
    }

    /// The term after the one that runs, or one that begins at `from`.
    pub(super) fn upcoming(
        &self,
        one: &Due,
        terms: &Terms,
        from: Option<Timestamp>,
    ) -> Result<Term, PeriodError> {
        let (validity, anchor) = (terms.validity, terms.anchor);
        Ok(match (from, one.term, one.anchor) {
            (None, Some((_, end)), Some(since)) => {
                billing::next_term(since, one.term_no, end, validity, anchor, &self.zone)?
            }
            (None, Some((_, end)), None) => billing::first_term(end, validity, anchor, &self.zone)?,
            (from, _, _) => {
                billing::first_term(from.unwrap_or(self.now), validity, anchor, &self.zone)?
            }
        })
    }

    /// The term that runs, as a part of its whole.
    pub(super) fn current(&self, one: &Due, terms: &Terms) -> Result<Option<Term>, PeriodError> {
        let (Some((start, end)), Some(since)) = (one.term, one.anchor) else { return Ok(None) };
        let whole = billing::whole_of(
            since,
            one.term_no,
            (start, end),
            terms.validity,
            terms.anchor,
            &self.zone,
        )?;
        Ok(Some(Term { start, end, whole, anchor: since, no: one.term_no }))
    }

    /// Looks at one, and adds what comes of it.
    pub(super) fn decide(&mut self, one: &Due, used: Option<Used>) -> Result<(), PeriodError> {
        let now = self.now;
        let current = self.sold(one.version)?.terms.clone();
        let next = self.sold(one.next_version.unwrap_or(one.version))?.terms.clone();
        let prepaid = current.billing == Billing::Prepaid;
        let live = matches!(one.state, State::Active | State::Grace);
        let from = match one.lapsed_at {
            Some(lapsed) if self.policy.back_date => Some(lapsed),
            _ if live => None,
            _ => Some(now),
        };
        let cost = match self.upcoming(one, &next, from) {
            Ok(term) if prepaid => self.cost(&next, &term, term.end)?.total()?,
            Ok(_) => Cents::ZERO,
            Err(error) => return Err(error),
        };
        let due_day = |day| billing::start_of(day, &self.zone);
        let invoice_due = one.owes_since.map(|day| {
            // The day itself is still in time.
            due_day(day.saturating_add(Span::new().days(1)))
        });
        let standing = Standing {
            state: one.state,
            billing: current.billing,
            auto_renew: one.auto_renew,
            term_end: one.term.map(|term| term.1),
            grace_seconds: current.grace_seconds,
            lapsed_at: one.lapsed_at,
            walled: one.walled,
            promise_until: one.promise_until,
            money_at: one.money_at,
            price: cost,
            wallet: one.wallet,
            invoice_due: invoice_due.transpose()?,
        };
        let verdict = look(&standing, &self.policy, now);
        let mut change = Change::same(one, verdict.next);
        match verdict.act {
            Act::Charge { from, anew } => {
                let term = self.upcoming(one, &next, anew.then_some(from))?;
                self.charge(one, &term, &mut change)?;
            }
            Act::Bill { until, then } => {
                self.bill(one, &current, until, used.unwrap_or_default())?;
                self.after_bill(one, &next, then, &mut change)?;
            }
            Act::Begin { from } => {
                let term = self.upcoming(one, &next, Some(from))?;
                change.begin(one, &term);
                change.due_at = Some(now);
                change.reason = Some("paid");
            }
            Act::Become(state) => self.turn(one, state, cost, &mut change),
            Act::TurnOff => {
                change.walled = false;
                change.reason = Some("not paid");
                self.notice(one, "suspended".to_owned(), change.lapsed_at.unwrap_or(now), cost);
            }
            Act::Remind { days, about } => {
                self.notice(one, format!("remind:{days}"), about, cost);
            }
            Act::Prompt { minutes, about } => {
                self.writes.prompts.push(Prompt {
                    subscription: one.id,
                    subscriber: one.subscriber,
                    about,
                    minutes,
                    cents: cost.minus(one.wallet)?,
                });
            }
            Act::Wait => {}
        }
        self.edges |=
            (change.state, change.walled, change.version) != (one.state, one.walled, one.version);
        self.writes.changes.push(change);
        Ok(())
    }

    /// Takes a term out of the wallet.
    pub(super) fn charge(
        &mut self,
        one: &Due,
        term: &Term,
        change: &mut Change,
    ) -> Result<(), PeriodError> {
        let version = one.next_version.unwrap_or(one.version);
        let cost = self.cost(&self.sold(version)?.terms, term, term.end)?;
        let period = Uuid::now_v7();
        self.period(one, version, period, term, cost.net, false)?;
        let total = cost.total()?;
        if total > Cents::ZERO {
            let line = self.line(one, version, period, LineKind::Recurring, term, cost)?;
            self.writes.bills.push(Bill {
                id: InvoiceId::from_uuid(Uuid::now_v7()),
                subscriber: one.subscriber,
                due_on: billing::day_of(self.now, &self.zone),
                lines: vec![line],
                from_wallet: true,
                deferred: true,
            });
            self.defer(period, cost.net, (term.start, term.end));
        }
        change.begin(one, term);
        change.due_at = Some(first_look(term.end, &self.policy, self.now));
        change.reason = Some(if one.term.is_some() { "renewed" } else { "paid" });
        Ok(())
    }

    /// Writes a period down, with what it gives.
    pub(super) fn period(
        &mut self,
        one: &Due,
        version: PlanVersionId,
        id: Uuid,
        term: &Term,
        net: Cents,
        given: bool,
    ) -> Result<(), PeriodError> {
        let terms = &self.sold(version)?.terms;
        let limits = terms.limits;
        if limits.data_bytes.is_some() || limits.online_seconds.is_some() {
            self.writes.grants.push(Grant {
                subscriber: one.subscriber,
                source: "period",
                source_id: id,
                version,
                valid: (term.start, term.end),
                bytes: limits.data_bytes.map(Into::into),
                seconds: limits.online_seconds.map(Into::into),
            });
            // Another quota begins.
            self.edges = true;
        }
        self.writes.periods.push(NewPeriod {
            id,
            subscription: one.id,
            version,
            during: (term.start, term.end),
            net,
            given,
            rated: 0,
        });
        Ok(())
    }

    /// It is earned over its time, from where the books are on.
    pub(super) fn defer(&mut self, id: Uuid, cents: Cents, (start, end): (Timestamp, Timestamp)) {
        let start = start.max(self.recognised);
        let least = start.saturating_add(jiff::SignedDuration::from_secs(1)).unwrap_or(end);
        self.writes.deferrals.push(Deferral { id, cents, earning: (start, end.max(least)) });
    }

    /// Invoices the running term up to `until`: its price, and what was used beyond it.
    pub(super) fn bill(
        &mut self,
        one: &Due,
        terms: &Terms,
        until: Timestamp,
        used: Used,
    ) -> Result<(), PeriodError> {
        let Some(term) = self.current(one, terms)? else { return Ok(()) };
        let term = Term { end: until, ..term };
        if term.start >= until {
            return Ok(());
        }
        let cost = self.cost(terms, &term, until)?;
        let period = Uuid::now_v7();
        let mut lines = Vec::new();
        if cost.total()? > Cents::ZERO {
            lines.push(self.line(one, one.version, period, LineKind::Recurring, &term, cost)?);
        }
        if let OnExhaust::Overage { cents_per_mib } = terms.on_exhaust {
            let quota = terms.limits.data_bytes.map_or(0, std::num::NonZeroU64::get);
            let over = |bytes: u64| bytes.saturating_sub(quota);
            let mut bytes = over(used.bytes);
            if let Some((before, total, rated)) = used.before {
                // What was reported after the invoice of the term before.
                bytes += over(total.max(rated)) - over(rated);
                self.writes.rated.push((before, total.max(rated)));
            }
            let per_mib = Cents::new(cents_per_mib.get().cast_signed());
            let bytes = i64::try_from(bytes).map_err(|_| TooMuch)?;
            let cost = split(terms, per_mib.share(bytes, MIB)?, self.rates)?;
            if cost.total()? > Cents::ZERO {
                let mut line = self.line(one, one.version, period, LineKind::Usage, &term, cost)?;
                let more = format!("{} MiB more, {}", bytes / MIB, line.descr.as_str());
                line.descr = clip(&more)?;
                lines.push(line);
            }
        }
        // Never more than the term cost.
        let given = used.outages.min(term.price(price(terms), until)?);
        if given > Cents::ZERO && cost.total()? > Cents::ZERO {
            let back = split(terms, Cents::ZERO.minus(given)?, self.rates)?;
            let mut line = self.line(one, one.version, period, LineKind::SlaCredit, &term, back)?;
            line.descr = clip(&format!("Outages, {}", line.descr.as_str()))?;
            lines.push(line);
        }
        self.writes.periods.push(NewPeriod {
            id: period,
            subscription: one.id,
            version: one.version,
            during: (term.start, until),
            net: cost.net,
            given: false,
            rated: used.bytes,
        });
        if !lines.is_empty() {
            let today = billing::day_of(self.now, &self.zone);
            let days = i64::from(self.policy.due_days);
            self.writes.bills.push(Bill {
                id: InvoiceId::from_uuid(Uuid::now_v7()),
                subscriber: one.subscriber,
                due_on: today.saturating_add(Span::new().days(days)),
                lines,
                from_wallet: false,
                deferred: false,
            });
        }
        Ok(())
    }

    fn after_bill(
        &mut self,
        one: &Due,
        next: &Terms,
        then: Then,
        change: &mut Change,
    ) -> Result<(), PeriodError> {
        match then {
            Then::Next => {
                let state = change.state;
                let term = self.upcoming(one, next, None)?;
                change.begin(one, &term);
                change.state = state;
                change.reason = Some("billed");
            }
            Then::Suspended => {
                change.term = None;
                self.turn(one, State::Suspended, Cents::ZERO, change);
            }
            Then::Nothing => {
                change.term = None;
                change.due_at = None;
                change.reason = Some("billed");
            }
        }
        Ok(())
    }

    fn turn(&mut self, one: &Due, state: State, cost: Cents, change: &mut Change) {
        change.state = state;
        change.reason = Some(match state {
            State::Active if one.state == State::Grace => "paid",
            State::Active => "promised",
            State::Pending
            | State::Grace
            | State::Suspended
            | State::Expired
            | State::Cancelled => "not paid",
        });
        let about = one.term.map_or(self.now, |term| term.1);
        match state {
            State::Active => change.lapsed_at = None,
            State::Grace => self.notice(one, "grace".to_owned(), about, cost),
            State::Suspended => {
                change.lapsed_at = Some(self.now);
                change.walled = self.policy.garden_days > 0;
                let step = if change.walled { "walled" } else { "suspended" };
                self.notice(one, step.to_owned(), about, cost);
            }
            State::Expired => {
                change.walled = false;
                self.notice(one, "expired".to_owned(), about, cost);
            }
            State::Pending | State::Cancelled => {}
        }
    }

    fn notice(&mut self, one: &Due, step: String, about: Timestamp, cents: Cents) {
        self.writes.notices.push(Notice { subscription: one.id, about, step, cents });
    }

    pub(super) fn line(
        &self,
        one: &Due,
        version: PlanVersionId,
        period: Uuid,
        kind: LineKind,
        term: &Term,
        split: Split,
    ) -> Result<BillLine, PeriodError> {
        let name: String = self.sold(version)?.name.as_str().chars().take(60).collect();
        let day = |at| billing::day_of(at, &self.zone);
        let descr = clip(&format!("{} {} to {}", name.trim(), day(term.start), day(term.end)))?;
        Ok(BillLine { kind, subscription: one.id, period: Some(period), descr, split })
    }
}

/// What a line says is one line, and not too long.
pub(super) fn clip(text: &str) -> Result<Name, PeriodError> {
    let text: String = text.chars().take(100).collect();
    text.trim().parse().map_err(|_| PeriodError::Dangling)
}

impl Change {
    pub(super) fn same(one: &Due, due_at: Option<Timestamp>) -> Self {
        Self {
            id: one.id,
            state: one.state,
            version: one.version,
            next_version: one.next_version,
            anchor: one.anchor,
            term: one.term,
            term_no: one.term_no,
            lapsed_at: one.lapsed_at,
            walled: one.walled,
            promise_until: one.promise_until,
            promised_term: one.promised_term,
            due_at,
            reason: None,
        }
    }

    /// It is on-line for another term.
    pub(super) fn begin(&mut self, one: &Due, term: &Term) {
        self.state = State::Active;
        self.version = one.next_version.unwrap_or(one.version);
        self.next_version = None;
        self.anchor = Some(term.anchor);
        self.term = Some((term.start, term.end));
        self.term_no = term.no;
        self.lapsed_at = None;
        self.walled = false;
    }
}

const MIB: i64 = 1 << 20;
