//! Excise duty on the price, VAT on both. Pure.
//!
//! The total of a price that includes taxes is exactly that price: VAT is what is left. At rates
//! such as Kenya's it is at most one cent away from its rate, at rates of 100 % at most three.

use super::money::{Cents, TooMuch, round};

/// A rate in hundredths of a percent, 0 to 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasisPoints(u16);

impl BasisPoints {
    pub const fn new(points: u16) -> Option<Self> {
        if points <= 10_000 { Some(Self(points)) } else { None }
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    /// Rounded half away from zero.
    pub fn of(self, amount: Cents) -> Result<Cents, TooMuch> {
        amount.share(i64::from(self.0), WHOLE)
    }
}

/// The rates of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub excise: BasisPoints,
    pub vat: BasisPoints,
}

/// What a price consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    pub net: Cents,
    pub excise: Cents,
    pub vat: Cents,
}

impl Rates {
    /// Of a price that includes the taxes.
    pub fn within(self, price: Cents) -> Result<Split, TooMuch> {
        let (excise, vat) = (i128::from(self.excise.get()), i128::from(self.vat.get()));
        let whole = i128::from(WHOLE);
        let net = round(i128::from(price.get()) * whole * whole, (whole + excise) * (whole + vat))?;
        let excise = self.excise.of(net)?;
        let vat = price.minus(net)?.minus(excise)?;
        // Where VAT is next to nothing, two amounts that were rounded up leave less than that.
        if vat.get().signum() * price.get().signum() < 0 {
            return Ok(Split { net, excise: price.minus(net)?, vat: Cents::ZERO });
        }
        Ok(Split { net, excise, vat })
    }

    /// Of a price to which the taxes are added.
    pub fn upon(self, net: Cents) -> Result<Split, TooMuch> {
        let excise = self.excise.of(net)?;
        let vat = self.vat.of(net.plus(excise)?)?;
        Ok(Split { net, excise, vat })
    }
}

impl Split {
    pub fn total(self) -> Result<Cents, TooMuch> {
        self.net.plus(self.excise)?.plus(self.vat)
    }

    /// The part of it that the first `cents` of its total are.
    fn first(self, cents: Cents) -> Result<Self, TooMuch> {
        let total = self.total()?.get();
        let excise = self.excise.share(cents.get(), total)?;
        let vat = self.vat.share(cents.get(), total)?;
        Ok(Self { net: cents.minus(excise)?.minus(vat)?, excise, vat })
    }
}

/// What `cents` more of `whole` consist of, after `before` were taken: the parts of a whole add up
/// to it, however it is cut.
pub fn share_of(whole: Split, before: Cents, cents: Cents) -> Result<Split, TooMuch> {
    let (from, to) = (whole.first(before)?, whole.first(before.plus(cents)?)?);
    Ok(Split {
        net: to.net.minus(from.net)?,
        excise: to.excise.minus(from.excise)?,
        vat: to.vat.minus(from.vat)?,
    })
}

const WHOLE: i64 = 10_000;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::token::hex;

    fn rates(excise: u16, vat: u16) -> Rates {
        let points = |points| BasisPoints::new(points).unwrap();
        Rates { excise: points(excise), vat: points(vat) }
    }

    fn numbers(split: Split) -> (i64, i64, i64) {
        (split.net.get(), split.excise.get(), split.vat.get())
    }

    #[test]
    fn prices_of_kenya_are_split_as_published() {
        for (price, net, excise, vat) in [
            (1_000, 750, 113, 137),
            (5_000, 3_748, 562, 690),
            (10_000, 7_496, 1_124, 1_380),
            (100_000, 74_963, 11_244, 13_793),
            (150_000, 112_444, 16_867, 20_689),
            (250_000, 187_406, 28_111, 34_483),
        ] {
            let split = rates(1500, 1600).within(Cents::new(price)).unwrap();
            assert_eq!(numbers(split), (net, excise, vat), "{price}");
        }
        let split = rates(0, 1600).within(Cents::new(100_000)).unwrap();
        assert_eq!(numbers(split), (86_207, 0, 13_793));
    }

    /// Every price from 0.01 to 20,000.00, as another program splits it with exact fractions: the
    /// digest is of its lines `price net excise vat`.
    #[test]
    fn every_price_is_split_as_by_exact_fractions() {
        for (excise, vat, digest) in [(1500, 1600, DIGEST_BOTH), (0, 1600, DIGEST_VAT_ONLY)] {
            let rates = rates(excise, vat);
            let mut hash = Sha256::new();
            let mut line = String::new();
            let mut worst = 0;
            for price in 1..=2_000_000 {
                let split = rates.within(Cents::new(price)).unwrap();
                let (net, excise, vat) = numbers(split);
                assert!(net >= 0 && excise >= 0 && vat >= 0, "{price}: {split:?}");
                assert_eq!(net + excise + vat, price);
                let by_rate = rates.vat.of(Cents::new(net + excise)).unwrap().get();
                worst = worst.max((vat - by_rate).abs());
                line.clear();
                writeln!(line, "{price} {net} {excise} {vat}").unwrap();
                hash.update(&line);
            }
            assert_eq!(hex(&hash.finalize()), digest, "excise {excise}, VAT {vat}");
            assert!(worst <= 1, "VAT is {worst} cents away from its rate");
        }
    }

    proptest! {
        #[test]
        fn a_price_with_taxes_is_exactly_that_price(
            price in -10_000_000_000_i64..10_000_000_000, excise in 0_u16..=10_000,
            vat in 0_u16..=10_000,
        ) {
            let split = rates(excise, vat).within(Cents::new(price)).unwrap();
            prop_assert_eq!(split.total().unwrap().get(), price);
            for part in [split.net, split.excise, split.vat] {
                prop_assert!(part.get().signum() * price.signum() >= 0, "{:?}", split);
            }
            // A credit is the mirror image of what it takes back.
            let mirrored = rates(excise, vat).within(Cents::new(-price)).unwrap();
            prop_assert_eq!(numbers(mirrored),
                (-split.net.get(), -split.excise.get(), -split.vat.get()));
            let added = rates(excise, vat).upon(split.net).unwrap();
            prop_assert!((added.excise.get() - split.excise.get()).abs() <= 1);
            // Net is half a cent away at most, and so is excise of it; VAT pays for both, grown by
            // the rates, and its own rounding is half a cent more.
            let (whole, e, v) = (WHOLE, i64::from(excise), i64::from(vat));
            let most = ((whole + v) * (whole + e) + (whole + v) * whole + whole * whole)
                / (2 * whole * whole);
            prop_assert!((added.vat.get() - split.vat.get()).abs() <= most);
            prop_assert!(excise > 2500 || vat > 1600 || most == 1);
        }

        #[test]
        fn the_parts_of_an_invoice_add_up_to_it(
            price in 1_i64..100_000_000, cuts in proptest::collection::vec(1_i64..1000, 1..8),
        ) {
            let whole = rates(1500, 1600).within(Cents::new(price)).unwrap();
            let (mut taken, mut sum) = (Cents::ZERO, Split::default());
            let shares: i64 = cuts.iter().sum();
            for (n, cut) in cuts.iter().enumerate() {
                let left = Cents::new(price).minus(taken).unwrap();
                let last = n + 1 == cuts.len();
                let part = if last { left } else {
                    Cents::new(price).share(*cut, shares + 1).unwrap().min(left)
                };
                let part_of = share_of(whole, taken, part).unwrap();
                prop_assert_eq!(part_of.total().unwrap(), part);
                sum = Split {
                    net: sum.net.plus(part_of.net).unwrap(),
                    excise: sum.excise.plus(part_of.excise).unwrap(),
                    vat: sum.vat.plus(part_of.vat).unwrap(),
                };
                taken = taken.plus(part).unwrap();
            }
            prop_assert_eq!(sum, whole);
        }
    }

    const DIGEST_BOTH: &str = "21bae19c718dd31d72367171b8594a65e53f364b7266edae270a73e2f89e0883";
    const DIGEST_VAT_ONLY: &str =
        "92cf4d10915a0af3ac46a6772e48999878f21c22d835dae40ece2253928430a5";
}
