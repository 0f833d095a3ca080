//! Mutants of the topic `resellers`.

use super::cut::{BOOKED_TWICE, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("a_payout_needs_two", &[Sql("ALTER TABLE payout DROP CONSTRAINT payout_two_people")]),
    ("a_payout_needs_two", &[Sql("ALTER TABLE payout DROP CONSTRAINT payout_approved")]),
    ("a_payout_has_one_end", BOOKED_TWICE),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_hold_booked ON payout")]),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_resolve_booked ON payout")]),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_guard ON payout")]),
    (
        "settlements_do_not_overlap",
        &[Sql("ALTER TABLE settlement DROP CONSTRAINT settlement_once")],
    ),
];
