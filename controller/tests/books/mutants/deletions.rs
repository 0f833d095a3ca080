//! Mutants of the topic `deletions`.

use super::cut::{Code, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
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
    ("a_step_that_was_sold_stays", &[Sql("DROP TRIGGER plan_fup_step_guard ON plan_fup_step")]),
    ("a_note_stays", &[Sql("DROP TRIGGER ticket_note_guard ON ticket_note")]),
    ("a_note_stays", &[Code("ticket_note_guard", "NEW.at, NEW.author", "NEW.at, OLD.author")]),
];
