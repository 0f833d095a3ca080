//! From when to when something is paid for, and what a part of it costs. Pure.
//!
//! Periods are half open, `[start, end)`. Months are those of the tenant's time zone, counted from
//! the anchor and not from the month before, so that 31 January is followed by 28 February and
//! then by 31 March.

use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};

use super::money::{Cents, TooMuch};
use crate::plans::Validity;

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
