//! Every check notices when what it checks is not there: each invariant is taken out of a copy of
//! the schema, and the check must fail on it.

use futures_util::{StreamExt as _, stream};

use crate::{
    checks::{self, find},
    world::Template,
};

mod cut;
mod deletions;
mod invoices;
mod journals;
mod ledger;
mod payments;
mod quotas;
mod resellers;
mod subscriptions;
mod tenants;
mod told;
mod vouchers;

use cut::Mutant;

const MUTANTS: &[&[Mutant]] = &[
    deletions::MUTANTS,
    invoices::MUTANTS,
    journals::MUTANTS,
    ledger::MUTANTS,
    payments::MUTANTS,
    quotas::MUTANTS,
    resellers::MUTANTS,
    subscriptions::MUTANTS,
    tenants::MUTANTS,
    told::MUTANTS,
    vouchers::MUTANTS,
];

fn all() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().copied().flatten()
}

/// Checks without a mutant, and why.
const NONE: &[(&str, &str)] = &[
    ("a_naive_voucher_grants_often", "a control: it shows that the race is one"),
    ("a_sequence_has_gaps", "a control: it shows that writers are undone"),
];

/// Whether a mutant says these words to the database. For functions: that it has another body.
pub(crate) fn say(words: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    all().flat_map(|(_, cuts)| cuts.iter()).any(|cut| {
        let said = cut.statements();
        said.match_indices(words).any(|(at, _)| {
            let (before, after) =
                (said[..at].chars().last(), said[at + words.len()..].chars().next());
            !before.is_some_and(word) && !after.is_some_and(word)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_notices_when_its_invariant_is_gone() {
    for (name, ..) in checks::all() {
        let mutants = all().filter(|(check, _)| check == name).count();
        let excused = NONE.iter().any(|(check, _)| check == name);
        assert!((mutants > 0) != excused, "{name} has {mutants} mutants");
    }
    let template = &Template::make().await;
    // Two at a time: most of it is copying files.
    let unnoticed: Vec<_> = stream::iter(all())
        .map(|(name, cuts)| async move {
            let cuts: Vec<_> = cuts.iter().map(|cut| cut.statements()).collect();
            let books = template.copy(&cuts.join("\n")).await;
            let noticed = find(name)(&books).await.is_err();
            books.close().await;
            (!noticed).then(|| format!("{name}: {}", cuts.join(" ")))
        })
        .buffer_unordered(2)
        .filter_map(async |unnoticed| unnoticed)
        .collect()
        .await;
    assert!(unnoticed.is_empty(), "{} unnoticed:\n{}", unnoticed.len(), unnoticed.join("\n"));
    println!("{} mutants are noticed", all().count());
}
