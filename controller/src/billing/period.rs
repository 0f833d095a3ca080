//! From when to when something is paid for, and what a part of it costs. Pure.
//!
//! Periods are half open, `[start, end)`. Months are those of the tenant's time zone, counted from
//! the anchor and not from the month before, so that 31 January is followed by 28 February and
//! then by 31 March.

use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};

use super::money::{Cents, TooMuch};
use crate::plans::{Anchor, Validity};

/// When the `n`th period that began at `anchor` ends; 1 is the first.
pub fn end_of(
    anchor: Timestamp,
    validity: Validity,
    n: u16,
    zone: &TimeZone,
) -> Result<Timestamp, TooMuch> {
    match validity {
        Validity::Months(months) => {
            let months = i64::from(months) * i64::from(n);
            let span = Span::new().try_months(months).map_err(|_| TooMuch)?;
            let there = anchor.to_zoned(zone.clone()).checked_add(span).map_err(|_| TooMuch)?;
            Ok(there.timestamp())
        }
        Validity::Seconds(seconds) => {
            let seconds = i64::try_from(seconds.get()).ok();
            let seconds = seconds.and_then(|seconds| seconds.checked_mul(i64::from(n)));
            let seconds = SignedDuration::from_secs(seconds.ok_or(TooMuch)?);
            anchor.checked_add(seconds).map_err(|_| TooMuch)
        }
    }
}

/// The day of the month `months` after the one of `from`; a shorter month ends it earlier.
pub fn month_day(from: Date, day: u8, months: i32) -> Result<Date, TooMuch> {
    let span = Span::new().try_months(months).map_err(|_| TooMuch)?;
    let first = from.first_of_month().checked_add(span).map_err(|_| TooMuch)?;
    let day = i8::try_from(day).unwrap_or(i8::MAX).clamp(1, first.days_in_month());
    Date::new(first.year(), first.month(), day).map_err(|_| TooMuch)
}

/// The first midnight after `now` that begins this day of a month.
pub fn next_day(now: Timestamp, day: u8, zone: &TimeZone) -> Result<Timestamp, TooMuch> {
    let today = day_of(now, zone);
    for months in 0..=1 {
        let date = month_day(today, day, months)?;
        let midnight = date.to_zoned(zone.clone()).map_err(|_| TooMuch)?.timestamp();
        if midnight > now {
            return Ok(midnight);
        }
    }
    Err(TooMuch)
}

/// The date on a calendar there.
pub fn day_of(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

/// From when to when one payment or one invoice reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub start: Timestamp,
    pub end: Timestamp,
    /// What the price of the plan is for. A first term up to a day of the month is a part of it.
    pub whole: (Timestamp, Timestamp),
    /// What the ends of this term and the next ones are counted from.
    pub anchor: Timestamp,
    /// Counted from the anchor; 1 is the first.
    pub no: u16,
}

impl Term {
    /// The part of `price` that it costs up to `until`.
    pub fn price(&self, price: Cents, until: Timestamp) -> Result<Cents, TooMuch> {
        let whole = self.whole.0.duration_until(self.whole.1).as_secs();
        let part = self.start.duration_until(until.min(self.end)).as_secs().max(0);
        price.share(part, whole)
    }
}

/// The term that begins at `from`, counted anew from there.
pub fn first_term(
    from: Timestamp,
    validity: Validity,
    anchor: Anchor,
    zone: &TimeZone,
) -> Result<Term, TooMuch> {
    let (Anchor::Day(day), Validity::Months(months)) = (anchor, validity) else {
        let end = end_of(from, validity, 1, zone)?;
        return Ok(Term { start: from, end, whole: (from, end), anchor: from, no: 1 });
    };
    let first = next_day(from, day, zone)?;
    let end = midnight(day_of(first, zone), day, i32::from(months) - 1, zone)?;
    let whole = (midnight(day_of(end, zone), day, -i32::from(months), zone)?, end);
    Ok(Term { start: from, end, whole, anchor: from, no: 1 })
}

/// The term after the `no`th from `anchor`, which ended at `end`.
pub fn next_term(
    from: Timestamp,
    no: u16,
    end: Timestamp,
    validity: Validity,
    anchor: Anchor,
    zone: &TimeZone,
) -> Result<Term, TooMuch> {
    if let (Anchor::Day(day), Validity::Months(months)) = (anchor, validity) {
        let date = day_of(end, zone);
        let next = midnight(date, day, i32::from(months), zone)?;
        let whole = (midnight(date, day, 0, zone)?, next);
        return Ok(Term { start: end, end: next, whole, anchor: from, no: no.saturating_add(1) });
    }
    let next_no = no.checked_add(1).ok_or(TooMuch)?;
    let whole = (end_of(from, validity, no, zone)?, end_of(from, validity, next_no, zone)?);
    // Another validity, or an end that was moved: it is counted anew.
    if whole.0 != end {
        return first_term(end, validity, anchor, zone);
    }
    Ok(Term { start: end, end: whole.1, whole, anchor: from, no: next_no })
}

/// What the price of a plan is for, of the `no`th term from `anchor`: a term that was cut or moved
/// is its own whole.
pub fn whole_of(
    from: Timestamp,
    no: u16,
    term: (Timestamp, Timestamp),
    validity: Validity,
    anchor: Anchor,
    zone: &TimeZone,
) -> Result<(Timestamp, Timestamp), TooMuch> {
    if let (Anchor::Day(day), Validity::Months(months)) = (anchor, validity) {
        let start = midnight(day_of(term.1, zone), day, -i32::from(months), zone)?;
        return Ok((start, term.1));
    }
    let whole =
        (end_of(from, validity, no.saturating_sub(1), zone)?, end_of(from, validity, no, zone)?);
    Ok(if whole.1 == term.1 && whole.0 <= term.0 { whole } else { term })
}

/// When the day of the month begins, `months` after the month of `date`.
fn midnight(date: Date, day: u8, months: i32, zone: &TimeZone) -> Result<Timestamp, TooMuch> {
    start_of(month_day(date, day, months)?, zone)
}

/// When a day begins there.
pub fn start_of(day: Date, zone: &TimeZone) -> Result<Timestamp, TooMuch> {
    Ok(day.to_zoned(zone.clone()).map_err(|_| TooMuch)?.timestamp())
}

/// What a change in the middle of a period costs. Both are lines of one invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proration {
    /// Below zero: what was paid for and will not be had.
    pub credit: Cents,
    pub charge: Cents,
}

/// From `at` to `end` it is another price, of the whole period each; to the second.
pub fn prorate(
    old: Cents,
    new: Cents,
    (start, end): (Timestamp, Timestamp),
    at: Timestamp,
) -> Result<Proration, TooMuch> {
    let whole = start.duration_until(end).as_secs();
    let left = at.duration_until(end).as_secs().clamp(0, whole.max(0));
    let credit = Cents::ZERO.minus(old.share(left, whole)?)?;
    Ok(Proration { credit, charge: new.share(left, whole)? })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn nairobi() -> TimeZone {
        TimeZone::get("Africa/Nairobi").unwrap()
    }

    #[track_caller]
    fn check(prices: (i64, i64), days: i64, changed: i64, want: (i64, i64)) {
        let (old, new) = (Cents::new(prices.0), Cents::new(prices.1));
        let parts = prorate(old, new, (at(0), at(days * DAY)), at(changed)).unwrap();
        assert_eq!((parts.credit.get(), parts.charge.get()), want);
    }

    #[test]
    fn changes_cost_what_is_published() {
        check((2000, 3000), 30, 15 * DAY, (-1000, 1500));
        check((2000, 4000), 31, 10 * DAY, (-1355, 2710));
        check((150_000, 250_000), 30, 10 * DAY, (-100_000, 166_667));
        check((0, 150_000), 30, 10 * DAY + 6 * 3600 + 30 * 60 + 15, (0, 98_645));
        // Before it and after it: all of it, nothing of it.
        check((150_000, 250_000), 30, -5, (-150_000, 250_000));
        check((150_000, 250_000), 30, 31 * DAY, (0, 0));
        assert!(prorate(Cents::new(1), Cents::new(1), (at(0), at(0)), at(0)).is_err());
    }

    #[test]
    fn the_thirty_first_comes_back_after_february() {
        let anchor = date(2027, 1, 31);
        let months: Vec<_> = (0..5).map(|n| month_day(anchor, 31, n).unwrap()).collect();
        assert_eq!(
            months,
            [anchor, date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30), date(2027, 5, 31)]
        );
        let start = anchor.at(9, 30, 0, 0).to_zoned(nairobi()).unwrap().timestamp();
        let end =
            |n| day_of(end_of(start, Validity::Months(1), n, &nairobi()).unwrap(), &nairobi());
        assert_eq!([end(1), end(2), end(3)], [months[1], months[2], months[3]]);
        assert_eq!(month_day(date(2028, 1, 1), 31, 1), Ok(date(2028, 2, 29)));
    }

    #[test]
    fn a_day_of_the_month_begins_at_midnight_there() {
        let now: Timestamp = "2026-11-28T20:59:59Z".parse().unwrap();
        let next = |now, day| next_day(now, day, &nairobi()).unwrap().to_string();
        assert_eq!(next(now, 29), "2026-11-28T21:00:00Z");
        // At that midnight the next one is a month away.
        let midnight = "2026-11-28T21:00:00Z".parse().unwrap();
        assert_eq!(next(midnight, 29), "2026-12-28T21:00:00Z");
        assert_eq!(next(now, 28), "2026-12-27T21:00:00Z");
        assert_eq!(next(now, 31), "2026-11-29T21:00:00Z");
    }

    /// Starts and ends of the terms from `start` on, as days there.
    fn terms(start: &str, validity: Validity, anchor: Anchor, count: usize) -> Vec<String> {
        let zone = nairobi();
        let mut term = first_term(start.parse().unwrap(), validity, anchor, &zone).unwrap();
        let mut ends = Vec::new();
        for _ in 0..count {
            ends.push(day_of(term.end, &zone).to_string());
            let next = next_term(term.anchor, term.no, term.end, validity, anchor, &zone).unwrap();
            assert_eq!(next.start, term.end, "a gap");
            term = next;
        }
        ends
    }

    #[test]
    fn terms_keep_to_the_day_that_they_began_on() {
        let month = Validity::Months(1);
        for day in [29, 30, 31] {
            let start = format!("2027-01-{day}T07:00:00Z");
            assert_eq!(
                terms(&start, month, Anchor::Purchase, 4),
                [
                    "2027-02-28".to_owned(),
                    format!("2027-03-{day}"),
                    format!("2027-04-{}", day.min(30)),
                    format!("2027-05-{day}"),
                ]
            );
        }
        assert_eq!(
            terms("2028-01-31T07:00:00Z", month, Anchor::Purchase, 3),
            ["2028-02-29", "2028-03-31", "2028-04-30"]
        );
        // The leap day itself, by the year.
        assert_eq!(
            terms("2028-02-29T07:00:00Z", Validity::Months(12), Anchor::Purchase, 4),
            ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]
        );
        assert_eq!(
            terms("2027-01-10T07:00:00Z", month, Anchor::Day(31), 4),
            ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"]
        );
    }

    #[test]
    fn a_first_term_up_to_a_day_of_the_month_costs_its_part() {
        let zone = nairobi();
        let start = date(2027, 1, 16).to_zoned(zone.clone()).unwrap().timestamp();
        let term = first_term(start, Validity::Months(1), Anchor::Day(1), &zone).unwrap();
        assert_eq!(day_of(term.end, &zone), date(2027, 2, 1));
        // 16 of the 31 days of January.
        assert_eq!(term.price(Cents::new(310_000), term.end), Ok(Cents::new(160_000)));
        let next =
            next_term(term.anchor, term.no, term.end, Validity::Months(1), Anchor::Day(1), &zone);
        assert_eq!(next.unwrap().price(Cents::new(310_000), term.end), Ok(Cents::ZERO));
        assert_eq!(
            next.unwrap().price(Cents::new(310_000), next.unwrap().end),
            Ok(Cents::new(310_000))
        );
    }

    #[test]
    fn what_is_too_far_away_is_refused() {
        let forever = Validity::Seconds(NonZeroU64::MAX);
        assert_eq!(end_of(at(0), forever, 1, &nairobi()), Err(TooMuch));
        assert_eq!(end_of(at(0), Validity::Months(u16::MAX), u16::MAX, &nairobi()), Err(TooMuch));
    }

    proptest! {
        /// What is credited for the rest and what was had add up to what was paid, to the cent.
        #[test]
        fn a_change_to_the_same_price_costs_nothing(
            price in 0_i64..10_000_000, whole in 1_i64..40 * DAY, changed in 0_i64..40 * DAY,
        ) {
            let price = Cents::new(price);
            let parts = prorate(price, price, (at(0), at(whole)), at(changed)).unwrap();
            prop_assert_eq!(parts.credit.plus(parts.charge), Ok(Cents::ZERO));
            prop_assert!(parts.charge <= price);
        }

        #[test]
        fn periods_follow_each_other(start in 0_i64..400_000_000, months in 1_u16..24, n in 1_u16..40) {
            let end = |n| end_of(at(start), Validity::Months(months), n, &nairobi()).unwrap();
            prop_assert!(end(n) < end(n + 1));
            let days = end(n).duration_until(end(n + 1)).as_hours() / 24;
            prop_assert!((28 * i64::from(months)..=31 * i64::from(months)).contains(&days));
        }
    }
}
