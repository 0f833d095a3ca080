//! What somebody lives on: all that was bought and given, as one sum that an edge counts against.
//! Pure.
//!
//! An edge counts bytes and seconds from one moment on, whatever they come out of. So the sum is what
//! there is to come, and all that was used since that moment; as long as only used bytes and seconds
//! change, it stays the same.

use jiff::Timestamp;
use uuid::Uuid;

/// A row of `entitlement` that is counted with the others; `None` is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) source: Source,
    pub(super) version: Uuid,
    /// Is it its time?
    pub(super) live: bool,
    pub(super) counted_from: Timestamp,
    pub(super) bytes: Amount,
    pub(super) seconds: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The term of a subscription, and what was bought for it.
    Term,
    /// It stands for itself.
    Own,
}

/// Of what was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) granted: Option<u64>,
    pub(super) consumed: u64,
    /// When nothing was left.
    pub(super) over: u64,
}

impl Amount {
    const fn is_left(self) -> bool {
        match self.granted {
            Some(granted) => self.consumed < granted,
            None => true,
        }
    }
}

impl Given {
    const fn is_left(&self) -> bool {
        self.live && self.bytes.is_left() && self.seconds.is_left()
    }
}

/// What an edge is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    /// Whose rates there are.
    pub(super) version: Uuid,
    pub(super) is_left: bool,
    /// In all since `counted_from`.
    pub(super) bytes: Option<u64>,
    pub(super) seconds: Option<u64>,
    pub(super) counted_from: Timestamp,
    /// Used since then of others than that whose rates there are.
    pub(super) before_bytes: u64,
}

impl Pool {
    /// Of all that is counted together, in the order in which it is used. None if nothing of it is
    /// live.
    pub(super) fn of(all: &[Given]) -> Option<Self> {
        let left = all.iter().find(|one| one.is_left());
        // What ends last, if nothing is left; a subscription goes on.
        let live = || all.iter().rev().filter(|one| one.live);
        let last = || live().find(|one| one.source == Source::Term).or_else(|| live().next());
        let rates = left.or_else(last)?;
        let is_left = left.is_some();
        let is_own = |one: &Given| match rates.source {
            Source::Term => one.source == Source::Term && one.live,
            Source::Own => std::ptr::eq(one, rates),
        };
        let used = |one: &Given| {
            let over = if is_left { one.bytes.over } else { 0 };
            one.bytes.consumed + over
        };
        Some(Self {
            version: rates.version,
            is_left,
            bytes: sum(all, is_left, |one| one.bytes),
            seconds: sum(all, is_left, |one| one.seconds),
            counted_from: all.iter().map(|one| one.counted_from).min()?,
            before_bytes: all.iter().filter(|one| !is_own(one)).map(used).sum(),
        })
    }
}

/// None: something that is left is not limited.
fn sum(all: &[Given], is_left: bool, amount: impl Fn(&Given) -> Amount) -> Option<u64> {
    let one = |one: &Given| {
        let Amount { granted, consumed, over } = amount(one);
        let over = if is_left { over } else { 0 };
        let most = if one.is_left() { granted? } else { consumed };
        Some(most + over)
    };
    all.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn version(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    const fn amount(granted: Option<u64>, consumed: u64) -> Amount {
        Amount { granted, consumed, over: 0 }
    }

    /// Of so many bytes so many are used.
    fn voucher(n: u128, live: bool, granted: u64, consumed: u64) -> Given {
        Given {
            source: Source::Own,
            version: version(n),
            live,
            counted_from: at(100),
            bytes: amount(Some(granted), consumed),
            seconds: Amount::default(),
        }
    }

    fn check(all: &[Given], want: (u128, bool, Option<u64>, u64)) {
        let pool = Pool::of(all).unwrap();
        let got = (pool.version, pool.is_left, pool.bytes, pool.before_bytes);
        assert_eq!(got, (version(want.0), want.1, want.2, want.3), "{all:?}");
        assert_eq!(pool.counted_from, at(100));
    }

    #[test]
    fn what_is_used_changes_no_sum_until_something_is_used_up() {
        check(&[voucher(1, true, 1000, 0), voucher(2, true, 500, 0)], (1, true, Some(1500), 0));
        check(&[voucher(1, true, 1000, 999), voucher(2, true, 500, 0)], (1, true, Some(1500), 0));
        check(
            &[voucher(1, true, 1000, 1000), voucher(2, true, 500, 1)],
            (2, true, Some(1500), 1000),
        );
        // What the first had when its time was over is nobody's.
        check(
            &[voucher(1, false, 1000, 600), voucher(2, true, 500, 1)],
            (2, true, Some(1100), 600),
        );
        let used = [voucher(1, true, 1000, 1000), voucher(2, true, 500, 500)];
        check(&used, (2, false, Some(1500), 1000));
        assert_eq!(Pool::of(&[voucher(1, false, 1000, 600)]), None);
    }

    #[test]
    fn what_passed_when_nothing_was_left_takes_nothing_from_what_is_bought_then() {
        let mut first = voucher(1, true, 1000, 1000);
        first.bytes.over = 70;
        check(&[first], (1, false, Some(1000), 0));
        check(&[first, voucher(2, true, 500, 0)], (2, true, Some(1570), 1070));
    }

    #[test]
    fn a_subscription_goes_on_when_nothing_is_left_and_what_was_bought_for_it_is_its_own() {
        let term = Given { source: Source::Term, ..voucher(1, true, 1000, 1000) };
        let more = Given { source: Source::Term, ..voucher(1, true, 200, 10) };
        check(&[term, more, voucher(2, true, 500, 0)], (1, true, Some(1700), 0));
        let more = Given { bytes: amount(Some(200), 200), ..more };
        check(&[term, more, voucher(2, true, 500, 500)], (1, false, Some(1700), 500));
    }

    #[test]
    fn time_that_is_used_up_ends_the_bytes_with_it() {
        let hour = |used| Given {
            seconds: amount(Some(3600), used),
            bytes: amount(Some(1000), 250),
            ..voucher(1, true, 0, 0)
        };
        let pool = Pool::of(&[hour(1800), hour(0)]).unwrap();
        assert_eq!((pool.bytes, pool.seconds), (Some(2000), Some(7200)));
        let pool = Pool::of(&[hour(3600), hour(0)]).unwrap();
        assert_eq!((pool.bytes, pool.seconds), (Some(1250), Some(7200)));
        // An hour without a limit of bytes, and then bytes without a limit of time.
        let unlimited = Given { bytes: amount(None, 5000), ..hour(10) };
        let pool = Pool::of(&[unlimited, voucher(2, true, 500, 0)]).unwrap();
        assert_eq!((pool.bytes, pool.seconds), (None, None));
        let over = Given { bytes: amount(None, 5000), ..hour(3600) };
        check(&[over, voucher(2, true, 500, 0)], (2, true, Some(5500), 5000));
    }
}
