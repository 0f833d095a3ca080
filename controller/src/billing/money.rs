//! Amounts in the minor unit of the tenant's currency. Pure.

/// Whole cents, of either sign. Never a float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct TooMuch;

impl Cents {
    pub const ZERO: Self = Self(0);

    pub const fn new(cents: i64) -> Self {
        Self(cents)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    pub fn plus(self, other: Self) -> Result<Self, TooMuch> {
        self.0.checked_add(other.0).map(Self).ok_or(TooMuch)
    }

    pub fn minus(self, other: Self) -> Result<Self, TooMuch> {
        self.0.checked_sub(other.0).map(Self).ok_or(TooMuch)
    }

    pub fn times(self, count: u32) -> Result<Self, TooMuch> {
        self.0.checked_mul(i64::from(count)).map(Self).ok_or(TooMuch)
    }

    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, TooMuch> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// `self * part / whole`, rounded once, half away from zero.
    pub fn share(self, part: i64, whole: i64) -> Result<Self, TooMuch> {
        round(i128::from(self.0) * i128::from(part), i128::from(whole))
    }

    /// What is collected where only whole shillings move; the payer's wallet keeps the rest.
    pub fn in_whole_shillings(self) -> Result<Self, TooMuch> {
        let missing = (100 - self.0.rem_euclid(100)) % 100;
        self.plus(Self(missing))
    }
}

/// `top / bottom`, rounded half away from zero. Whoever divides by nothing asks for too much.
pub(super) fn round(top: i128, bottom: i128) -> Result<Cents, TooMuch> {
    if bottom == 0 {
        return Err(TooMuch);
    }
    let (top, bottom) = if bottom < 0 { (-top, -bottom) } else { (top, bottom) };
    let half = if top < 0 { -bottom } else { bottom };
    let rounded = (2 * top + half) / (2 * bottom);
    i64::try_from(rounded).map(Cents).map_err(|_| TooMuch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_away_from_zero() {
        for (top, bottom, want) in [
            (1, 2, 1),
            (-1, 2, -1),
            (1, -2, -1),
            (3, 2, 2),
            (-3, 2, -2),
            (149, 100, 1),
            (-149, 100, -1),
            (0, 7, 0),
        ] {
            assert_eq!(round(top, bottom), Ok(Cents(want)), "{top} / {bottom}");
        }
        assert_eq!(round(1, 0), Err(TooMuch));
        assert_eq!(round(i128::from(i64::MAX) + 1, 1), Err(TooMuch));
    }

    #[test]
    fn shillings_are_collected_whole() {
        for (due, collected) in [(0, 0), (1, 100), (99, 100), (100, 100), (66_667, 66_700)] {
            assert_eq!(Cents(due).in_whole_shillings(), Ok(Cents(collected)));
        }
        assert_eq!(Cents(i64::MAX).in_whole_shillings(), Err(TooMuch));
    }

    proptest! {
        #[test]
        fn a_share_is_less_than_half_a_cent_away(
            cents in -1_000_000_000_i64..1_000_000_000, part in 0_i64..10_000_000,
            whole in 1_i64..10_000_000,
        ) {
            let share = Cents(cents).share(part, whole).unwrap();
            let away = i128::from(share.get()) * i128::from(whole)
                - i128::from(cents) * i128::from(part);
            prop_assert!(2 * away.abs() <= i128::from(whole));
            // The mirror image of a charge is its credit.
            let mirrored = Cents(-cents).share(part, whole).unwrap();
            prop_assert_eq!(mirrored.get(), -share.get());
        }

        #[test]
        fn no_arithmetic_wraps(one: i64, other: i64, count: u32) {
            let wide = i128::from(one) + i128::from(other);
            prop_assert_eq!(Cents(one).plus(Cents(other)).ok().map(|sum| i128::from(sum.get())),
                i64::try_from(wide).ok().map(i128::from));
            let wide = i128::from(one) - i128::from(other);
            prop_assert_eq!(Cents(one).minus(Cents(other)).is_ok(), i64::try_from(wide).is_ok());
            let wide = i128::from(one) * i128::from(count);
            prop_assert_eq!(Cents(one).times(count).is_ok(), i64::try_from(wide).is_ok());
        }
    }
}
