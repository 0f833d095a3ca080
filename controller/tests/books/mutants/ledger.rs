//! Mutants of the topic `ledger`.

use super::cut::{BOOKED_TWICE, Code, Cut, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("nobody_sets_a_balance", &[Sql("GRANT UPDATE ON ledger_account TO kennet_app")]),
    ("an_entry_balances", NOT_BALANCED),
    ("an_entry_balances", &[Code("ledger_entry_check", "total <> 0 OR", "")]),
    ("an_entry_has_lines", &[Sql("DROP TRIGGER ledger_entry_balanced ON ledger_entry")]),
    ("an_entry_is_sealed", &[Sql("DROP TRIGGER ledger_posting_sealed ON ledger_posting")]),
    ("an_entry_is_sealed", &[Code("ledger_posting_sealed", "f.line_no > e.n_lines", "false")]),
    (
        "an_entry_has_lines",
        &[Code("ledger_entry_check", "OR lines <> NEW.n_lines OR debits <> NEW.total_cents", "")],
    ),
    ("no_posting_is_changed", &[Sql("GRANT UPDATE ON ledger_posting TO kennet_app")]),
    ("the_owner_changes_no_posting", &[Sql("DROP TRIGGER append_only ON ledger_posting")]),
    ("the_owner_changes_no_posting", &[Sql("DROP TRIGGER append_only_t ON ledger_posting")]),
    ("the_owner_changes_no_posting", &[Sql("DROP TRIGGER append_only ON ledger_entry")]),
    (
        "a_wallet_has_a_floor",
        &[Sql("ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_floor")],
    ),
    ("a_wallet_has_a_floor", &[Sql("DROP TRIGGER ledger_posting_apply ON ledger_posting")]),
    ("a_closed_month_takes_nothing", &[Sql("DROP TRIGGER ledger_entry_open ON ledger_entry")]),
    ("a_night_is_earned_once", &[Sql("ALTER TABLE recognition DROP CONSTRAINT recognition_once")]),
    ("what_is_earned_is_in_the_books", &[Sql("DROP TRIGGER recognition_booked ON recognition")]),
    ("money_is_heard_of", &[Code("ledger_posting_apply", "f.amount_cents < 0 AND", "false AND")]),
    ("money_is_heard_of", &[Code("ledger_posting_apply", "f.amount_cents < 0 AND", "")]),
    ("the_books_sum_to_nothing", OFF_BY_ONE),
    ("a_load_of_payments_sums_to_nothing", OFF_BY_ONE),
    ("balances_are_their_postings", &[Sql("DROP TRIGGER ledger_posting_apply ON ledger_posting")]),
    ("an_event_is_booked_once", BOOKED_TWICE),
    ("the_chart_is_closed", &[Sql("INSERT INTO ledger_chart VALUES ('bribes', 'asset', false)")]),
    ("the_chart_is_closed", &[Sql("GRANT INSERT ON ledger_account TO kennet_app")]),
    ("a_load_is_booked_once", &[Code("post_entries", "other.before <> other.debits", "false")]),
    ("a_load_is_booked_once", LOADED_TWICE),
    ("a_load_balances", NOT_BALANCED),
    (
        "a_load_goes_to_its_accounts",
        &[
            Code("post_entries", "PARTITION BY e.n ORDER BY a.id, line.m", "ORDER BY a.id"),
            Code("post_entries", "ON line.n = e.n", "ON true"),
        ],
    ),
    (
        "a_load_goes_to_its_accounts",
        &[Sql("ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_floor")],
    ),
    (
        "an_account_is_opened_once",
        &[Sql("ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_code")],
    ),
];

const NOT_BALANCED: &[Cut] = &[
    Sql("DROP TRIGGER ledger_entry_balanced ON ledger_entry"),
    Sql("DROP TRIGGER ledger_posting_sealed ON ledger_posting"),
];
const OFF_BY_ONE: &[Cut] = &[
    Sql("DROP TRIGGER ledger_entry_balanced ON ledger_entry"),
    Sql("DROP TRIGGER ledger_posting_sealed ON ledger_posting"),
    Code("post_entry", "line.account, line.cents\n", "line.account, line.cents + 1\n"),
    Code("post_entries", "a.id, line.cents\n", "a.id, line.cents + 1\n"),
];
const LOADED_TWICE: &[Cut] = &[
    Sql("ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_once"),
    Code("post_entries", "ON CONFLICT ON CONSTRAINT ledger_entry_once DO NOTHING", ""),
];
