//! Mutants of the topic `payments`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "one_receipt_one_credit",
        &[Sql("ALTER TABLE payment DROP CONSTRAINT payment_receipt;
        DROP INDEX payment_receipt_everywhere")],
    ),
    ("one_receipt_one_amount", &[Code("apply_payments", "other.before <> other.cents", "false")]),
    ("one_receipt_one_tenant", &[Sql("DROP INDEX payment_receipt_everywhere")]),
    ("an_allocation_counts", &[Sql("DROP TRIGGER payment_allocation_apply ON payment_allocation")]),
    (
        "a_payment_is_spent_once",
        &[Sql("ALTER TABLE payment DROP CONSTRAINT payment_not_overspent")],
    ),
    ("a_payment_is_in_the_books", &[Sql("DROP TRIGGER payment_booked ON payment")]),
    ("a_payment_is_in_the_books", &[Sql("DROP TRIGGER payment_match_booked ON payment")]),
    (
        "an_allocation_is_in_the_books",
        &[Sql("DROP TRIGGER payment_allocation_booked ON payment_allocation")],
    ),
    ("an_allocation_is_in_the_books", &[Sql("DROP TRIGGER credit_note_booked ON credit_note")]),
    ("a_payment_goes_back_once", &[Sql("DROP INDEX payment_refund_once")]),
    (
        "a_refund_has_two_people",
        &[Sql("ALTER TABLE payment_refund DROP CONSTRAINT payment_refund_two_people")],
    ),
    (
        "a_refund_has_two_people",
        &[Sql("ALTER TABLE payment_refund DROP CONSTRAINT payment_refund_approved")],
    ),
    ("a_refund_has_two_people", &[Sql("DROP TRIGGER payment_refund_guard ON payment_refund")]),
    ("a_refund_is_in_the_books", &[Sql("DROP TRIGGER payment_refund_held ON payment_refund")]),
    ("a_refund_is_in_the_books", &[Sql("DROP TRIGGER payment_refund_resolved ON payment_refund")]),
    ("a_refund_is_in_the_books", &[Sql("DROP TRIGGER payment_refund_taken ON payment_refund")]),
    ("a_payment_does_not_change", &[Sql("DROP TRIGGER payment_guard ON payment")]),
    (
        "only_who_paid_is_served",
        &[Code("payment_allocation_apply", "AND i.subscriber_id = f.payer", "")],
    ),
    ("an_intent_is_paid_once", &[Sql("DROP INDEX payment_per_intent")]),
    ("a_fee_is_in_the_books", &[Sql("DROP TRIGGER provider_fee_booked ON provider_fee")]),
    (
        "one_call_one_credit",
        &[Code(
            "apply_payments",
            "ORDER BY a.provider, a.receipt, a.n",
            "ORDER BY a.provider, a.receipt, a.n DESC",
        )],
    ),
];
