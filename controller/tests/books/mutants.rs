//! Every check notices when what it checks is not there: each invariant is taken out of a copy of
//! the schema, and the check must fail on it.

use crate::{
    checks::{CHECKS, find},
    world::Template,
};

/// The check that must notice, and what is taken away.
const MUTANTS: &[(&str, &[Cut])] = &[
    ("no_tenant_no_rows", &[Sql("ALTER TABLE subscriber DISABLE ROW LEVEL SECURITY")]),
    ("a_sees_its_own", &[Sql("ALTER TABLE subscriber DISABLE ROW LEVEL SECURITY")]),
    (
        "b_sees_its_own",
        &[Sql("DROP POLICY tenant_isolation ON subscriber;
        CREATE POLICY anybody ON subscriber USING (true)")],
    ),
    (
        "a_pool_forgets",
        &[Sql("CREATE OR REPLACE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql
        STABLE AS $$ SELECT current_setting('kennet.tenant_id', true)::uuid $$")],
    ),
    ("a_reseller_sees_its_own", &[Sql("DROP POLICY reseller_scope ON reseller")]),
    ("a_reseller_sees_its_own", &[Sql("DROP POLICY reseller_scope ON subscriber")]),
    ("a_reseller_sees_its_own", &[Sql("DROP POLICY reseller_scope ON voucher")]),
    ("a_reseller_sees_its_own", &[Sql("DROP POLICY reseller_scope ON voucher_batch")]),
    ("no_scope_no_rows", &[Sql("DROP POLICY reseller_scope ON subscriber")]),
    (
        "no_row_for_another",
        &[Sql("DROP POLICY tenant_isolation ON plan; CREATE POLICY anybody ON plan
        USING (tenant_id = current_tenant()) WITH CHECK (true)")],
    ),
    (
        "no_key_to_another",
        &[Sql("ALTER TABLE subscription
        DROP CONSTRAINT subscription_tenant_id_subscriber_id_fkey,
        DROP CONSTRAINT subscription_tenant_id_plan_version_id_fkey")],
    ),
    ("every_table_is_protected", &[Sql("ALTER TABLE ledger_posting NO FORCE ROW LEVEL SECURITY")]),
    ("every_table_is_protected", &[Sql("CREATE TABLE forgotten (tenant_id uuid)")]),
    (
        "every_key_has_the_tenant",
        &[Sql("ALTER TABLE plan ADD UNIQUE (id);
        ALTER TABLE plan_version ADD FOREIGN KEY (plan_id) REFERENCES plan (id)")],
    ),
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
    (
        "one_receipt_one_credit",
        &[Sql("ALTER TABLE payment DROP CONSTRAINT payment_receipt;
        DROP INDEX payment_receipt_everywhere")],
    ),
    ("one_receipt_one_amount", &[Code("apply_payments", "other.before <> other.cents", "false")]),
    ("one_receipt_one_tenant", &[Sql("DROP INDEX payment_receipt_everywhere")]),
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
    ("an_allocation_counts", &[Sql("DROP TRIGGER payment_allocation_apply ON payment_allocation")]),
    (
        "a_payment_is_spent_once",
        &[Sql("ALTER TABLE payment DROP CONSTRAINT payment_not_overspent")],
    ),
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
    ("a_closed_month_takes_nothing", &[Sql("DROP TRIGGER ledger_entry_open ON ledger_entry")]),
    (
        "what_is_paid_left_a_wallet",
        &[Sql("DROP TRIGGER invoice_from_wallet_booked ON invoice_from_wallet")],
    ),
    ("a_night_is_earned_once", &[Sql("ALTER TABLE recognition DROP CONSTRAINT recognition_once")]),
    ("what_is_earned_is_in_the_books", &[Sql("DROP TRIGGER recognition_booked ON recognition")]),
    ("money_is_heard_of", &[Code("ledger_posting_apply", "f.amount_cents < 0 AND", "false AND")]),
    ("money_is_heard_of", &[Code("ledger_posting_apply", "f.amount_cents < 0 AND", "")]),
    (
        "periods_do_not_overlap",
        &[Sql("ALTER TABLE subscription_period DROP CONSTRAINT subscription_period_once")],
    ),
    ("a_subscription_does_not_jump", &[Sql("DROP TRIGGER subscription_guard ON subscription")]),
    ("a_change_raises_the_revision", &[Sql("DROP TRIGGER subscription_guard ON subscription")]),
    (
        "a_lost_hour_is_credited_once",
        &[Sql("ALTER TABLE outage_credit DROP CONSTRAINT outage_credit_once")],
    ),
    ("a_callback_reads_no_events", &[Sql("GRANT SELECT ON inbox_event TO kennet_callback")]),
    ("a_callback_reads_no_subscribers", &[Sql("GRANT SELECT ON subscriber TO kennet_callback")]),
    ("staff_reads_no_inbox", &[Sql("GRANT SELECT ON inbox_event TO kennet_app")]),
    ("a_quota_is_leased_once", NO_QUOTA),
    ("a_lease_is_settled_once", &[Code("settle_lease", "AND state = 'open'", "")]),
    (
        "a_lease_is_not_overspent",
        &[Sql("ALTER TABLE quota_lease DROP CONSTRAINT quota_lease_not_overspent")],
    ),
    ("a_payout_needs_two", &[Sql("ALTER TABLE payout DROP CONSTRAINT payout_two_people")]),
    ("a_payout_needs_two", &[Sql("ALTER TABLE payout DROP CONSTRAINT payout_approved")]),
    ("a_payout_has_one_end", BOOKED_TWICE),
    ("the_books_sum_to_nothing", OFF_BY_ONE),
    ("a_load_of_payments_sums_to_nothing", OFF_BY_ONE),
    ("balances_are_their_postings", &[Sql("DROP TRIGGER ledger_posting_apply ON ledger_posting")]),
    (
        "leases_are_what_is_leased",
        &[Code("settle_lease", "bytes_leased - l.bytes", "bytes_leased")],
    ),
    ("a_payment_is_in_the_books", &[Sql("DROP TRIGGER payment_booked ON payment")]),
    ("a_payment_is_in_the_books", &[Sql("DROP TRIGGER payment_match_booked ON payment")]),
    ("an_invoice_is_in_the_books", &[Sql("DROP TRIGGER invoice_issue_booked ON invoice")]),
    ("an_invoice_is_in_the_books", &[Sql("DROP TRIGGER invoice_void_booked ON invoice")]),
    (
        "an_allocation_is_in_the_books",
        &[Sql("DROP TRIGGER payment_allocation_booked ON payment_allocation")],
    ),
    ("an_allocation_is_in_the_books", &[Sql("DROP TRIGGER credit_note_booked ON credit_note")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_sale_booked ON voucher_sale")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_redeem_booked ON voucher")]),
    ("a_voucher_is_in_the_books", &[Sql("DROP TRIGGER voucher_breakage_booked ON voucher")]),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_hold_booked ON payout")]),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_resolve_booked ON payout")]),
    ("a_payout_is_in_the_books", &[Sql("DROP TRIGGER payout_guard ON payout")]),
    ("an_event_is_booked_once", BOOKED_TWICE),
    ("the_chart_is_closed", &[Sql("INSERT INTO ledger_chart VALUES ('bribes', 'asset', false)")]),
    ("the_chart_is_closed", &[Sql("GRANT INSERT ON ledger_account TO kennet_app")]),
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
    ("who_applies_callbacks_reads_no_secrets", &[Sql("GRANT SELECT ON merchant TO kennet_inbox")]),
    ("a_payment_does_not_change", &[Sql("DROP TRIGGER payment_guard ON payment")]),
    (
        "only_who_paid_is_served",
        &[Code("payment_allocation_apply", "AND i.subscriber_id = f.payer", "")],
    ),
    ("tax_rates_do_not_overlap", &[Sql("ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_dates")]),
    (
        "settlements_do_not_overlap",
        &[Sql("ALTER TABLE settlement DROP CONSTRAINT settlement_once")],
    ),
    ("the_audit_log_is_a_chain", &[Sql("DROP TRIGGER audit_log_pending ON audit_log")]),
    ("the_audit_log_is_a_chain", &[Code("audit_hash", "a.action, ", "")]),
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
    ("edges_share_a_quota", &[Code("lease_to_edge", "p_used + p_more - bound", "p_used + p_more")]),
    (
        "edges_share_a_quota",
        &[Code("lease_to_edge", "ELSIF p_more = 0 OR NOT one.counts THEN", "ELSIF false THEN")],
    ),
    (
        "edges_share_a_quota",
        &[Code(
            "lease_to_edge",
            "AND l.edge_id <> p_edge AND l.state = 'open'",
            "AND l.state = 'open'",
        )],
    ),
    ("edges_share_a_quota", NO_QUOTA),
    ("many_questions_lend_once", NO_QUOTA),
    (
        "an_old_question_changes_nothing",
        &[Code("lease_to_edge", "IF q.fence < p_fence", "IF true")],
    ),
    (
        "a_lost_count_is_all_used",
        &[Code("lease_to_edge", "l.state = 'open' AND l.fence < q.since", "false")],
    ),
    ("a_revoked_edge_is_lent_nothing", &[Code("lease_to_edge", "AND NOT x.revoked", "")]),
    ("nobody_leases_by_hand", &[Sql("GRANT INSERT ON quota_lease TO kennet_ingest")]),
    ("nobody_leases_by_hand", &[Sql("GRANT UPDATE ON entitlement TO kennet_ingest")]),
    ("nobody_leases_by_hand", &[Sql("GRANT EXECUTE ON FUNCTION lease_to_edge TO PUBLIC")]),
    (
        "a_draft_can_be_changed",
        &[
            Code("invoice_guard", "NEW.due_on, NEW.notes,", "NEW.due_on, NULL,"),
            Code("invoice_guard", "OLD.due_on, OLD.notes,", "OLD.due_on, NULL,"),
        ],
    ),
    ("a_draft_can_be_changed", &[Code("invoice_guard", "OLD.version + 1", "OLD.version")]),
    ("what_was_sold_is_not_deleted", &[Sql("DROP TRIGGER plan_version_guard ON plan_version")]),
    ("what_was_sold_is_not_deleted", &[Sql("GRANT DELETE ON plan TO kennet_app")]),
    (
        "what_was_sold_is_not_deleted",
        &[Sql("ALTER TABLE voucher_batch
        DROP CONSTRAINT voucher_batch_tenant_id_plan_version_id_fkey")],
    ),
    (
        "who_is_known_is_not_deleted",
        &[Code("delete_subscriber", "RETURN 'ledger_account'", "NULL")],
    ),
    ("who_is_known_is_not_deleted", &[Code("delete_subscriber", "RETURN 'session'", "NULL")]),
    ("who_is_known_is_not_deleted", &[Code("delete_subscriber", "RETURN 'held'", "NULL")]),
    (
        "who_is_known_is_not_deleted",
        &[Sql("ALTER TABLE voucher DROP CONSTRAINT voucher_tenant_id_subscriber_id_fkey;
        ALTER TABLE entitlement DROP CONSTRAINT entitlement_tenant_id_subscriber_id_fkey")],
    ),
    ("who_is_known_is_not_deleted", &[Sql("GRANT DELETE ON subscriber TO kennet_app")]),
    (
        "where_somebody_was_is_not_deleted",
        &[Sql("DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT conrelid::regclass AS of, conname FROM pg_constraint
                  WHERE confrelid = 'tenant'::regclass LOOP
          EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.of, c.conname);
        END LOOP; END $$")],
    ),
    (
        "where_somebody_was_is_not_deleted",
        &[Sql("GRANT EXECUTE ON FUNCTION delete_tenant TO kennet_app")],
    ),
];

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

const NO_GATE: &[Cut] = &[
    Sql("DROP TRIGGER voucher_guard ON voucher"),
    Sql("ALTER TABLE entitlement DROP CONSTRAINT entitlement_once"),
    Code("redeem_vouchers", "v.state = 'sold' AND", ""),
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
/// Nobody looks at what is left.
const NO_QUOTA: &[Cut] = &[
    Sql("ALTER TABLE entitlement DROP CONSTRAINT entitlement_not_overspent"),
    Code(
        "lease_quota",
        "least(p_want, e.bytes_granted - e.bytes_consumed - e.bytes_leased)",
        "p_want",
    ),
];
const BOOKED_TWICE: &[Cut] = &[
    Sql("ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_once"),
    Code("post_entry", "ON CONFLICT ON CONSTRAINT ledger_entry_once DO NOTHING", ""),
];

#[derive(Clone, Copy)]
enum Cut {
    /// Statements.
    Sql(&'static str),
    /// In the body of a function, one text for another.
    Code(&'static str, &'static str, &'static str),
}
use Cut::{Code, Sql};

impl Cut {
    fn statements(self) -> String {
        match self {
            Self::Sql(sql) => format!("{sql};"),
            Self::Code(function, from, to) => {
                let (from, to) = (from.replace('\'', "''"), to.replace('\'', "''"));
                format!(
                    "DO $do$ DECLARE body text := pg_get_functiondef('{function}'::regproc);
                     BEGIN
                       IF position('{from}' in body) = 0 THEN
                         RAISE EXCEPTION '{function} has other words';
                       END IF;
                       EXECUTE replace(body, '{from}', '{to}');
                     END $do$;"
                )
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_notices_when_its_invariant_is_gone() {
    for (name, ..) in CHECKS {
        let mutants = MUTANTS.iter().filter(|(check, _)| check == name).count();
        let excused = NONE.iter().any(|(check, _)| check == name);
        assert!((mutants > 0) != excused, "{name} has {mutants} mutants");
    }
    let template = Template::make().await;
    let mut unnoticed = Vec::new();
    for (name, cuts) in MUTANTS {
        let cuts: Vec<_> = cuts.iter().map(|cut| cut.statements()).collect();
        let books = template.copy(&cuts.join("\n")).await;
        if find(name)(&books).await.is_ok() {
            unnoticed.push(format!("{name}: {}", cuts.join(" ")));
        }
        books.close().await;
    }
    assert!(unnoticed.is_empty(), "{} unnoticed:\n{}", unnoticed.len(), unnoticed.join("\n"));
    println!("{} mutants are noticed", MUTANTS.len());
}
