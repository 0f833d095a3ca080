//! Mutants of the topic `vouchers`.

use super::cut::{Code, Cut, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("one_voucher_one_grant", NO_GATE),
    ("grants_vouchers_and_entries_agree", NO_GATE),
    (
        "grants_vouchers_and_entries_agree",
        &[
            Sql("DROP TRIGGER voucher_redeem_booked ON voucher"),
            Code("redeem_vouchers", "entries IS NOT NULL", "false"),
        ],
    ),
    ("a_voucher_does_not_go_back", &[Sql("DROP TRIGGER voucher_guard ON voucher")]),
    ("no_second_grant", &[Sql("ALTER TABLE entitlement DROP CONSTRAINT entitlement_once")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_sale_booked ON voucher_sale")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_redeem_booked ON voucher")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_breakage_booked ON voucher")]),
    ("a_code_is_one_voucher", &[Sql("ALTER TABLE voucher DROP CONSTRAINT voucher_code")]),
    (
        "one_call_one_grant",
        &[Code("redeem_vouchers", "ORDER BY a.code_hash, a.n", "ORDER BY a.code_hash, a.n DESC")],
    ),
];

const NO_GATE: &[Cut] = &[
    Sql("DROP TRIGGER voucher_guard ON voucher"),
    Sql("ALTER TABLE entitlement DROP CONSTRAINT entitlement_once"),
    Code("redeem_vouchers", "v.state = 'sold' AND", ""),
];
