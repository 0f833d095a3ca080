//! Two lists of one day, ours and the provider's, and what differs. Pure.

use std::collections::BTreeMap;

use super::{Difference, DifferenceKind};
use crate::{billing::Cents, words::Receipt};

/// In the order of the receipts.
pub(super) fn compare(ours: &[(Receipt, Cents)], theirs: &[(Receipt, Cents)]) -> Vec<Difference> {
    let mut rows: BTreeMap<&str, (Option<Cents>, Option<Cents>)> = BTreeMap::new();
    for (receipt, cents) in ours {
        rows.entry(receipt.as_str()).or_default().0 = Some(*cents);
    }
    for (receipt, cents) in theirs {
        rows.entry(receipt.as_str()).or_default().1 = Some(*cents);
    }
    let difference = |(receipt, (ours, theirs)): (&str, (Option<Cents>, Option<Cents>))| {
        let kind = match (ours, theirs) {
            (None, _) => DifferenceKind::Missing,
            (Some(_), None) => DifferenceKind::Extra,
            (Some(ours), Some(theirs)) if ours != theirs => DifferenceKind::Amount,
            (Some(_), Some(_)) => return None,
        };
        let receipt = receipt.parse().ok()?;
        Some(Difference { kind, receipt, ours, theirs, recovered: false })
    };
    rows.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[(&str, i64)]) -> Vec<(Receipt, Cents)> {
        let row = |(receipt, cents): &(&str, i64)| (receipt.parse().unwrap(), Cents::new(*cents));
        rows.iter().map(row).collect()
    }

    #[test]
    fn what_one_has_and_the_other_has_not_is_a_difference() {
        let ours = list(&[("A", 1), ("B", 2), ("C", 3)]);
        let theirs = list(&[("D", 4), ("C", 5), ("A", 1)]);
        let found = compare(&ours, &theirs);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.kind, one.receipt.as_str(), one.ours, one.theirs))
            .collect();
        let cents = |cents| Some(Cents::new(cents));
        assert_eq!(
            found,
            [
                (DifferenceKind::Extra, "B", cents(2), None),
                (DifferenceKind::Amount, "C", cents(3), cents(5)),
                (DifferenceKind::Missing, "D", None, cents(4)),
            ]
        );
        assert!(compare(&ours, &ours).is_empty());
    }
}
