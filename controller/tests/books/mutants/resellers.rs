//! Mutants of the topic `resellers`.

use super::cut::{BOOKED_TWICE, Code, Mutant, Sql};

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
    (
        "a_day_has_one_commission",
        &[Sql("ALTER TABLE commission_rule DROP CONSTRAINT commission_rule_dates")],
    ),
    (
        "a_day_has_one_commission",
        &[Sql("ALTER TABLE commission_rule DROP CONSTRAINT commission_rule_dates,
                 ADD CONSTRAINT commission_rule_dates EXCLUDE USING gist (tenant_id WITH =,
                   reseller_id WITH =, plan_id WITH =, during WITH &&)")],
    ),
    (
        "a_day_has_one_commission",
        &[Sql("ALTER TABLE commission_rule DROP CONSTRAINT commission_rule_dates,
                 ADD CONSTRAINT commission_rule_dates EXCLUDE USING gist (tenant_id WITH =,
                   reseller_id WITH =, during WITH &&)")],
    ),
    (
        "a_day_has_one_commission",
        &[Code("rate_guard", "to_jsonb(NEW) - 'during' <> to_jsonb(OLD) - 'during'", "false")],
    ),
    ("a_day_has_one_commission", &[Sql("DROP TRIGGER rate_guard ON commission_rule")]),
    (
        "a_day_has_one_commission",
        &[Code("rate_guard", "AND reseller_id = OLD.reseller_id", "AND false")],
    ),
    ("a_transfer_pays_one_payout", &[Sql("DROP INDEX payout_provider_txn")]),
];
