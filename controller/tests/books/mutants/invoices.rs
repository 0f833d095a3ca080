//! Mutants of the topic `invoices`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "numbers_have_no_gaps",
        &[Sql("CREATE SEQUENCE number; CREATE OR REPLACE FUNCTION
        take_number(p_series text) RETURNS bigint LANGUAGE sql SECURITY DEFINER
        SET search_path = kennet AS $$ SELECT nextval('number') $$")],
    ),
    (
        "numbers_have_no_gaps",
        &[Sql("CREATE OR REPLACE FUNCTION take_number(p_series text)
        RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = kennet
        AS $$ SELECT coalesce(max(number), 0) + 1 FROM invoice $$")],
    ),
    ("a_line_does_not_change", &[Sql("DROP TRIGGER invoice_line_guard ON invoice_line")]),
    ("no_line_is_added", &[Sql("DROP TRIGGER invoice_line_guard ON invoice_line")]),
    (
        "an_issued_invoice_stays",
        &[Code("invoice_guard", "IF OLD.state <> 'draft' THEN", "IF false THEN")],
    ),
    ("nobody_chooses_a_number", &[Sql("GRANT UPDATE ON invoice TO kennet_app")]),
    ("nobody_chooses_a_number", &[Code("invoice_guard", "IS DISTINCT FROM", "IS NULL AND")]),
    (
        "a_paid_invoice_is_not_credited",
        &[Sql("ALTER TABLE invoice DROP CONSTRAINT invoice_not_overpaid")],
    ),
    (
        "a_paid_invoice_is_not_void",
        &[Sql("ALTER TABLE invoice DROP CONSTRAINT invoice_void_is_unpaid")],
    ),
    (
        "a_credit_note_counts",
        &[Code("credit_note_apply", "credited_cents + NEW.net_cents", "credited_cents + 0")],
    ),
    (
        "what_is_paid_left_a_wallet",
        &[Sql("DROP TRIGGER invoice_from_wallet_booked ON invoice_from_wallet")],
    ),
    ("an_invoice_is_in_the_books", &[Sql("DROP TRIGGER invoice_issue_booked ON invoice")]),
    ("an_invoice_is_in_the_books", &[Sql("DROP TRIGGER invoice_void_booked ON invoice")]),
    ("tax_rates_do_not_overlap", &[Sql("ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_dates")]),
    (
        "a_draft_can_be_changed",
        &[
            Code("invoice_guard", "NEW.due_on, NEW.notes,", "NEW.due_on, NULL,"),
            Code("invoice_guard", "OLD.due_on, OLD.notes,", "OLD.due_on, NULL,"),
        ],
    ),
    ("a_draft_can_be_changed", &[Code("invoice_guard", "OLD.version + 1", "OLD.version")]),
    ("an_invoice_starts_as_a_draft", &[Sql("DROP TRIGGER invoice_guard ON invoice")]),
    ("a_number_is_given_once", &[Sql("ALTER TABLE invoice DROP CONSTRAINT invoice_number")]),
    (
        "a_number_is_given_once",
        &[Sql("ALTER TABLE credit_note DROP CONSTRAINT credit_note_number")],
    ),
    ("a_period_is_invoiced_once", &[Sql("DROP INDEX invoice_line_once")]),
    ("only_what_was_issued_is_credited", &[Sql("DROP TRIGGER credit_note_apply ON credit_note")]),
    (
        "only_what_was_issued_is_credited",
        &[Sql("DROP TRIGGER invoice_from_wallet_apply ON invoice_from_wallet")],
    ),
    (
        "what_is_taken_from_a_wallet_pays",
        &[Sql("DROP TRIGGER invoice_from_wallet_apply ON invoice_from_wallet")],
    ),
    ("billing_hears_of_what_is_paid", &[Sql("DROP TRIGGER invoice_was_paid ON invoice")]),
    ("a_tax_in_force_stays", &[Sql("DROP TRIGGER rate_guard ON tax_rate")]),
    ("a_tax_in_force_stays", &[Code("rate_guard", "changes < today OR used", "changes < today")]),
    ("a_tax_in_force_stays", &[Code("rate_guard", "changes < today OR used", "used")]),
];
