//! Every check notices when what it checks is not there: each invariant is taken out of a copy of
//! the schema, and the check must fail on it.

use crate::{
    checks::{self, find},
    world::Template,
};

mod cut;
mod deletions;
mod invoices;
mod ledger;
mod payments;
mod quotas;
mod resellers;
mod subscriptions;
mod tenants;
mod vouchers;

use cut::Mutant;

const MUTANTS: &[&[Mutant]] = &[
    deletions::MUTANTS,
    invoices::MUTANTS,
    ledger::MUTANTS,
    payments::MUTANTS,
    quotas::MUTANTS,
    resellers::MUTANTS,
    subscriptions::MUTANTS,
    tenants::MUTANTS,
    vouchers::MUTANTS,
];

fn all() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().copied().flatten()
}

/// Checks without a mutant, and why.
const NONE: &[(&str, &str)] = &[
    ("a_naive_voucher_grants_often", "a control: it shows that the race is one"),
    ("a_sequence_has_gaps", "a control: it shows that writers are undone"),
    ("the_other_hour_is_credited", "says that a rule does not refuse too much"),
    ("one_call_one_grant", "the same rows are locked once: it says who of the two is first"),
    ("one_call_one_credit", "the receipt is unique: it says who of the two is first"),
    ("a_callback_is_stored", "says that a rule does not refuse too much"),
    ("a_batch_is_acknowledged", "the cursor is compared by `sessions::ingest`"),
    ("a_replay_changes_nothing", "the cursor is compared by `sessions::ingest`"),
    ("a_gap_is_answered", "the cursor is compared by `sessions::ingest`"),
    ("another_history_is_refused", "the cursor is compared by `sessions::ingest`"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_notices_when_its_invariant_is_gone() {
    for (name, ..) in checks::all() {
        let mutants = all().filter(|(check, _)| check == name).count();
        let excused = NONE.iter().any(|(check, _)| check == name);
        assert!((mutants > 0) != excused, "{name} has {mutants} mutants");
    }
    let template = Template::make().await;
    let mut unnoticed = Vec::new();
    for (name, cuts) in all() {
        let cuts: Vec<_> = cuts.iter().map(|cut| cut.statements()).collect();
        let books = template.copy(&cuts.join("\n")).await;
        if find(name)(&books).await.is_ok() {
            unnoticed.push(format!("{name}: {}", cuts.join(" ")));
        }
        books.close().await;
    }
    assert!(unnoticed.is_empty(), "{} unnoticed:\n{}", unnoticed.len(), unnoticed.join("\n"));
    println!("{} mutants are noticed", all().count());
}
