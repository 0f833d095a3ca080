//! One case for each check of the schema, by name and by topic.

use std::pin::Pin;

use crate::world::{Books, Found, Template};

pub(crate) type Check = for<'b> fn(&'b Books) -> Pin<Box<dyn Future<Output = Found> + 'b>>;
/// Name of a check, what it looks at, and how.
pub(crate) type Named = (&'static str, &'static str, Check);

macro_rules! checks {
    ($list:ident: $($name:ident: $what:literal, |$books:ident| $body:block)*) => {
        $(async fn $name($books: &Books) -> Found $body)*

        pub(super) const $list: &[crate::checks::Named] =
            &[$((stringify!($name), $what, |books| Box::pin($name(books))),)*];
    };
}

mod deletions;
mod invoices;
mod journals;
mod ledger;
mod payments;
mod quotas;
mod resellers;
mod steps;
mod subscriptions;
mod tenants;
mod told;
mod vouchers;

/// What the check of the design has, and what the schema adds.
const OF_THE_DESIGN: &[&[Named]] = &[
    tenants::OF_THE_DESIGN,
    vouchers::OF_THE_DESIGN,
    payments::OF_THE_DESIGN,
    ledger::OF_THE_DESIGN,
    invoices::OF_THE_DESIGN,
    subscriptions::OF_THE_DESIGN,
    quotas::OF_THE_DESIGN,
    journals::OF_THE_DESIGN,
    resellers::OF_THE_DESIGN,
];
const ADDED: &[&[Named]] = &[
    tenants::ADDED,
    vouchers::ADDED,
    payments::ADDED,
    ledger::ADDED,
    invoices::ADDED,
    quotas::ADDED,
    resellers::ADDED,
    subscriptions::ADDED,
    deletions::ADDED,
    told::ADDED,
];

pub(crate) fn all() -> impl Iterator<Item = &'static Named> {
    OF_THE_DESIGN.iter().chain(ADDED).copied().flatten()
}

pub(crate) fn find(name: &str) -> Check {
    let found = all().find(|(known, ..)| *known == name);
    found.unwrap_or_else(|| panic!("there is no check {name}")).2
}

/// Every check holds on the migrations as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invariant_holds() {
    // All that the check of the design has are still there.
    assert_eq!(OF_THE_DESIGN.iter().copied().flatten().count(), 58);
    let template = Template::make().await;
    let mut broken = Vec::new();
    for (name, what, check) in all() {
        let books = template.copy("").await;
        if let Err(found) = check(&books).await {
            broken.push(format!("{name} ({what}): {found}"));
        }
        books.close().await;
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
    println!("{} checks hold", all().count());
}
