//! Mutants of the topic `told`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("a_change_is_told", &[Sql("DROP TRIGGER audit_log_tell ON audit_log")]),
    ("a_change_is_told", &[Code("audit_log_tell", "|| '.*'", "|| '%'")]),
    ("what_happens_is_told_once", &[Sql("DROP TRIGGER invoice_tell ON invoice")]),
    ("what_happens_is_told_once", &[Sql("DROP TRIGGER payment_tell ON payment")]),
    ("what_happens_is_told_once", &[Sql("DROP TRIGGER voucher_sale_tell ON voucher_sale")]),
    (
        "what_happens_is_told_once",
        &[Sql("DROP TRIGGER subscription_notice_tell ON subscription_notice")],
    ),
    ("what_happens_is_told_once", &[Sql("DROP TRIGGER ticket_tell ON ticket")]),
    ("what_happens_is_told_once", &[Sql("DROP TRIGGER voucher_tell ON voucher")]),
    ("what_happens_is_told_once", &[Code("tells", "AND active", "AND false")]),
];
