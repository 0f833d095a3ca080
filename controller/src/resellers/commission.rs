//! What a reseller keeps of a sale: which rule holds, and how many cents it gives. Pure.

use jiff::civil::Date;
use serde_json::{Value, json};
use shared::id::PlanId;

use crate::{
    billing::{BasisPoints, Cents, TooMuch},
    words::choices,
};

choices! {
    /// Of what of a voucher a percentage is: its face value, taxes included, or its price without
    /// them. There is no margin: nothing says what a plan costs the provider.
    Basis {
        Face = "face",
        Net = "net",
    }
}

/// What is kept of one voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Percent { rate: BasisPoints, basis: Basis },
    Fixed(Cents),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// None: vouchers of all plans that have no rule of their own on that day.
    pub plan: Option<PlanId>,
    pub keeps: Keeps,
    /// No more than this of one voucher.
    pub cap: Option<Cents>,
}

/// Terms from a day until another, which is not one of its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub terms: Terms,
    pub from: Date,
    /// None: until further notice.
    pub until: Option<Date>,
}

/// What may hold for vouchers of a plan that are sold on a day.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(super) rules: Vec<Rule>,
    pub(super) plan: PlanId,
    pub(super) day: Date,
}

/// Vouchers that are sold at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sale {
    /// Of one, taxes included.
    pub(crate) face: Cents,
    /// Of one, without taxes.
    pub(crate) net: Cents,
    pub(crate) qty: u32,
}

impl Terms {
    /// A percentage of the face value of whatever is sold.
    pub const fn of_face(rate: BasisPoints) -> Self {
        Self { plan: None, keeps: Keeps::Percent { rate, basis: Basis::Face }, cap: None }
    }

    /// Rounded once, for each voucher: how many are sold at once makes no difference. A voucher
    /// costs the reseller nothing at least, and is never paid for besides.
    fn of(self, sale: Sale) -> Result<Cents, TooMuch> {
        let one = match self.keeps {
            Keeps::Percent { rate, basis: Basis::Face } => rate.of(sale.face)?,
            Keeps::Percent { rate, basis: Basis::Net } => rate.of(sale.net)?,
            Keeps::Fixed(cents) => cents,
        };
        let one = self.cap.map_or(one, |cap| one.min(cap)).min(sale.face);
        one.times(sale.qty)
    }
}

impl Rule {
    pub(super) fn holds_on(&self, day: Date) -> bool {
        self.from <= day && self.until.is_none_or(|until| day < until)
    }

    pub(super) fn snapshot(&self) -> Value {
        let Self { terms: Terms { plan, keeps, cap }, from, until } = self;
        let (basis, rate, fixed) = keeps.parts();
        json!({
            "plan": plan, "basis": basis, "rate_bp": rate.map(BasisPoints::get),
            "fixed_cents": fixed.map(Cents::get), "cap_cents": cap.map(Cents::get),
            "from": from, "until": until,
        })
    }
}

impl Keeps {
    /// As it is stored and shown: an amount is of no basis.
    pub(super) const fn parts(self) -> (Option<Basis>, Option<BasisPoints>, Option<Cents>) {
        match self {
            Self::Percent { rate, basis } => (Some(basis), Some(rate), None),
            Self::Fixed(cents) => (None, None, Some(cents)),
        }
    }
}

/// The rule that holds for a plan on a day: its own goes before what is for all plans.
pub(super) fn applying(rules: &[Rule], plan: Option<PlanId>, day: Date) -> Option<&Rule> {
    let of = |plan| rules.iter().find(|rule| rule.terms.plan == plan && rule.holds_on(day));
    of(plan).or_else(|| of(None))
}

impl Agreed {
    /// What is kept of a sale; where no rule holds, nothing is.
    pub(crate) fn commission(&self, sale: Sale) -> Result<Cents, TooMuch> {
        let rule = applying(&self.rules, Some(self.plan), self.day);
        rule.map_or(Ok(Cents::ZERO), |rule| rule.terms.of(sale))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const DAY: Date = date(2026, 12, 1);

    fn plan(n: u128) -> PlanId {
        PlanId::from_uuid(Uuid::from_u128(n))
    }

    fn points(points: u16) -> BasisPoints {
        BasisPoints::new(points).expect("at most a whole")
    }

    fn percent(rate: u16, basis: Basis) -> Keeps {
        Keeps::Percent { rate: points(rate), basis }
    }

    fn rule(plan: Option<PlanId>, keeps: Keeps, cap: Option<i64>) -> Rule {
        Rule {
            terms: Terms { plan, keeps, cap: cap.map(Cents::new) },
            from: date(2026, 11, 1),
            until: None,
        }
    }

    /// Three at 50.00, of which 37.48 are net.
    fn sale() -> Sale {
        Sale { face: Cents::new(5000), net: Cents::new(3748), qty: 3 }
    }

    /// Of vouchers of plan 1.
    fn commission(rules: &[Rule], sale: Sale) -> Result<Cents, TooMuch> {
        of_plan(rules, 1, sale)
    }

    fn of_plan(rules: &[Rule], n: u128, sale: Sale) -> Result<Cents, TooMuch> {
        Agreed { rules: rules.to_vec(), plan: plan(n), day: DAY }.commission(sale)
    }

    #[test]
    fn a_rule_gives_so_much_of_each_voucher() {
        let fixed = |cents| Keeps::Fixed(Cents::new(cents));
        for (keeps, cap, want) in [
            (percent(1000, Basis::Face), None, 3 * 500),
            (percent(1000, Basis::Net), None, 3 * 375),
            (percent(0, Basis::Face), None, 0),
            (percent(10_000, Basis::Face), None, 3 * 5000),
            (percent(1000, Basis::Face), Some(499), 3 * 499),
            (percent(1000, Basis::Face), Some(500), 3 * 500),
            (percent(1000, Basis::Face), Some(501), 3 * 500),
            (fixed(0), None, 0),
            (fixed(700), None, 3 * 700),
            (fixed(700), Some(650), 3 * 650),
            (fixed(5001), None, 3 * 5000),
            (fixed(9000), Some(6000), 3 * 5000),
        ] {
            let rules = [rule(None, keeps, cap)];
            assert_eq!(commission(&rules, sale()), Ok(Cents::new(want)), "{rules:?}");
        }
        assert_eq!(commission(&[], sale()), Ok(Cents::ZERO));
        let many = Sale { qty: u32::MAX, face: Cents::new(i64::MAX), ..sale() };
        let all = [rule(None, fixed(i64::MAX), None)];
        assert_eq!(commission(&all, many), Err(TooMuch));
    }

    #[test]
    fn it_is_rounded_for_each_voucher_and_halves_go_up() {
        // 0.5 % of 1.00 is half a cent, of 0.99 less.
        for (face, want) in [(100, 3), (99, 0)] {
            let sale = Sale { face: Cents::new(face), ..sale() };
            let rules = [rule(None, percent(50, Basis::Face), None)];
            assert_eq!(commission(&rules, sale), Ok(Cents::new(want)));
        }
    }

    #[test]
    fn a_rule_of_the_plan_goes_before_one_for_all_whatever_their_order() {
        let all = rule(None, percent(1000, Basis::Face), None);
        let own = rule(Some(plan(1)), percent(200, Basis::Face), None);
        let other = rule(Some(plan(2)), percent(9000, Basis::Face), None);
        for rules in [[all, own, other], [other, own, all], [own, other, all]] {
            assert_eq!(commission(&rules, sale()), Ok(Cents::new(3 * 100)));
            assert_eq!(of_plan(&rules, 2, sale()), Ok(Cents::new(3 * 4500)));
            assert_eq!(of_plan(&rules, 3, sale()), Ok(Cents::new(3 * 500)));
        }
        // One that gives nothing is a rule, too.
        let none = rule(Some(plan(1)), percent(0, Basis::Face), None);
        assert_eq!(commission(&[all, none], sale()), Ok(Cents::ZERO));
        assert_eq!(applying(&[own, all], None, DAY), Some(&all));
    }

    #[test]
    fn a_rule_holds_from_its_first_day_and_not_on_its_last() {
        let from =
            |day, until| Rule { from: day, until, ..rule(None, percent(1000, Basis::Face), None) };
        let before = DAY.yesterday().expect("a day");
        let after = DAY.tomorrow().expect("a day");
        for (rule, holds) in [
            (from(DAY, None), true),
            (from(DAY, Some(after)), true),
            (from(before, Some(DAY)), false),
            (from(after, None), false),
        ] {
            let want = Cents::new(if holds { 1500 } else { 0 });
            assert_eq!(commission(&[rule], sale()), Ok(want), "{rule:?}");
        }
        // When the plan's own is over, what is for all holds again.
        let all = rule(None, percent(300, Basis::Face), None);
        let over =
            Rule { until: Some(DAY), ..rule(Some(plan(1)), percent(900, Basis::Face), None) };
        assert_eq!(commission(&[over, all], sale()), Ok(Cents::new(3 * 150)));
    }

    proptest! {
        #[test]
        fn nobody_keeps_less_than_nothing_or_more_than_the_face_and_the_cap(
            rate in 0_u16..=10_000, face in 0_i64..10_000_000, part in 0_i64..=100,
            fixed in prop::option::of(0_i64..20_000_000), cap in prop::option::of(1_i64..1_000_000),
            net_basis: bool, qty in 1_u32..10_000,
        ) {
            let basis = if net_basis { Basis::Net } else { Basis::Face };
            let keeps = fixed.map_or(percent(rate, basis), |cents| Keeps::Fixed(Cents::new(cents)));
            let net = Cents::new(face * part / 100);
            let sale = Sale { face: Cents::new(face), net, qty };
            let kept = commission(&[rule(None, keeps, cap)], sale).expect("not too much").get();
            let most = cap.map_or(face, |cap| cap.min(face));
            prop_assert!((0..=most * i64::from(qty)).contains(&kept));
            prop_assert_eq!(kept % i64::from(qty), 0);
        }
    }
}
