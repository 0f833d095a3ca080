//! Mutants of the topic `tenants`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
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
    ("a_callback_reads_no_events", &[Sql("GRANT SELECT ON inbox_event TO kennet_callback")]),
    ("a_callback_reads_no_subscribers", &[Sql("GRANT SELECT ON subscriber TO kennet_callback")]),
    ("staff_reads_no_inbox", &[Sql("GRANT SELECT ON inbox_event TO kennet_app")]),
    ("who_applies_callbacks_reads_no_secrets", &[Sql("GRANT SELECT ON merchant TO kennet_inbox")]),
    ("the_audit_log_is_a_chain", &[Sql("DROP TRIGGER audit_log_pending ON audit_log")]),
    ("the_audit_log_is_a_chain", &[Code("audit_hash", "a.action, ", "")]),
    ("every_policy_asks_for_the_tenant", &[Sql("DROP POLICY tenant_isolation ON payout")]),
    (
        "every_policy_asks_for_the_tenant",
        &[Sql("CREATE POLICY anybody ON payout FOR SELECT TO kennet_app USING (true)")],
    ),
    (
        "every_policy_asks_for_the_tenant",
        &[Sql("ALTER POLICY tenant_isolation ON payout WITH CHECK (true)")],
    ),
    ("a_reseller_sees_its_own_money", &[Sql("DROP POLICY reseller_scope ON commission_rule")]),
    ("a_reseller_sees_its_own_money", &[Sql("DROP POLICY reseller_scope ON voucher_sale")]),
    ("a_reseller_sees_its_own_money", &[Sql("DROP POLICY reseller_scope ON settlement")]),
    ("a_reseller_sees_its_own_money", &[Sql("DROP POLICY reseller_scope ON payout")]),
    ("a_tenant_begins_with_its_books", &[Sql("DROP TRIGGER tenant_opens_books ON tenant")]),
    ("a_callback_is_stored", &[Sql("REVOKE INSERT ON inbox_event FROM kennet_callback")]),
];
