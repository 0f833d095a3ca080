//! Who sees what, and who finds out.

use sqlx::PgPool;

use crate::world::{
    A, B, Books, Found, RESELLER, SUBSCRIBER, VERSION, enter, is, refused, run, taken,
};

checks! { OF_THE_DESIGN:
    no_tenant_no_rows: "without a tenant there are no rows", |books| {
        let nobody = books.enter("SET search_path = kennet; SET ROLE kennet_app");
        is(&nobody, "SELECT count(*) FROM subscriber", "0").await
    }
    a_sees_its_own: "a tenant sees what is its own", |books| {
        is(&books.a, "SELECT count(*) FROM subscriber", "40").await
    }
    b_sees_its_own: "another tenant sees what is its own", |books| {
        is(&books.b, "SELECT count(*) FROM subscriber", "1").await
    }
    a_pool_forgets: "a pooled connection forgets its tenant", |books| {
        let pool = books.enter("SET search_path = kennet; SET ROLE kennet_app");
        run(&pool, &format!("BEGIN; SET LOCAL kennet.tenant_id = '{A}';
            SET LOCAL kennet.scope = 'tenant'; COMMIT")).await;
        is(&pool, "SELECT count(*) FROM plan", "0").await
    }
    a_reseller_sees_its_own: "a reseller sees its own subscribers", |books| {
        let reseller = books.enter(&enter(A, RESELLER));
        is(&reseller, "SELECT count(*) FROM subscriber", "10").await?;
        is(&reseller, "SELECT count(*) FROM reseller", "1").await?;
        is(&reseller, "SELECT count(*) FROM voucher", "0").await?;
        is(&reseller, "SELECT count(*) FROM voucher_batch", "0").await
    }
    no_scope_no_rows: "who forgets the scope sees nothing", |books| {
        let forgetful = books.enter(&enter(A, ""));
        is(&forgetful, "SELECT count(*) FROM subscriber", "0").await
    }
    no_row_for_another: "nobody writes a row of another tenant", |books| {
        let sql = format!("INSERT INTO plan (tenant_id, id, code, name, created_at)
            VALUES ('{B}', gen_random_uuid(), 'zz', 'Z', now())");
        refused(&books.a, &sql, "row-level security").await
    }
    no_key_to_another: "a key leads to nobody else's row, not even for a superuser", |books| {
        let sql = format!("INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id,
            created_at) VALUES ('{B}', gen_random_uuid(), '{SUBSCRIBER}', '{VERSION}', now())");
        refused(&books.admin, &sql, "foreign key").await
    }
    every_table_is_protected: "every table of tenants has forced row level security", |books| {
        is(&books.admin, "SELECT count(*) FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p')
              AND NOT (c.relrowsecurity AND c.relforcerowsecurity)", "0").await
    }
    every_key_has_the_tenant: "foreign keys between tenants' tables carry the tenant", |books| {
        is(&books.admin, "SELECT count(*) FROM pg_constraint k
            WHERE k.connamespace = 'kennet'::regnamespace AND k.contype = 'f'
              AND EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = k.conrelid AND a.attname = 'tenant_id')
              AND EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = k.confrelid AND a.attname = 'tenant_id')
              AND NOT EXISTS (SELECT FROM pg_attribute a
                               WHERE a.attrelid = k.conrelid AND a.attname = 'tenant_id'
                                 AND a.attnum = ANY (k.conkey))", "0").await
    }
    a_callback_is_stored: "the role of callbacks stores them", |books| {
        let callback = merchant(books).await;
        taken(&callback, CALLBACK).await?;
        is(&books.admin, "SELECT count(*) FROM inbox_event", "1").await
    }
    a_callback_reads_no_events: "and reads none", |books| {
        let callback = merchant(books).await;
        refused(&callback, "SELECT raw FROM inbox_event", "permission denied").await
    }
    a_callback_reads_no_subscribers: "nor subscribers", |books| {
        let callback = merchant(books).await;
        refused(&callback, "SELECT full_name FROM subscriber", "permission denied").await
    }
    staff_reads_no_inbox: "staff does not read what has no tenant", |books| {
        refused(&books.a, "SELECT raw FROM inbox_event", "permission denied").await
    }
}

checks! { ADDED:
    who_applies_callbacks_reads_no_secrets: "who applies callbacks reads no secrets", |books| {
        let inbox = books.enter("SET search_path = kennet; SET ROLE kennet_inbox");
        for sql in ["SELECT secrets_sealed FROM merchant", "SELECT full_name FROM subscriber",
            "SELECT receipt FROM payment", "SELECT claimed_receipt FROM payment_intent"] {
            refused(&inbox, sql, "permission denied").await?;
        }
        Ok(())
    }
    the_audit_log_is_a_chain: "who changes a row of the audit log is found out", |books| {
        run(&books.a, AUDIT).await;
        run(&books.a, "SELECT seal_audit(now()); SELECT seal_audit(now())").await;
        is(&books.a, "SELECT count(*) FROM audit_block", "1").await?;
        run(&books.a, AUDIT).await;
        is(&books.a, "SELECT count(*) FROM verify_audit()", "0").await?;
        run(&books.a, "SELECT seal_audit(now())").await;
        is(&books.a, "SELECT count(*) FROM verify_audit()", "0").await?;
        // As the owner of the database, who takes the guards away first.
        run(&books.admin, "ALTER TABLE audit_log DISABLE TRIGGER USER;
            UPDATE audit_log SET action = 'x' WHERE id IN
              (SELECT audit_ids[2] FROM audit_block WHERE block_no = 2)").await;
        is(&books.a, "SELECT verify_audit()", "2").await?;
        run(&books.admin, "DELETE FROM audit_log WHERE id IN
              (SELECT audit_ids[1] FROM audit_block WHERE block_no = 1)").await;
        is(&books.a, "SELECT string_agg(n::text, ' ') FROM verify_audit() n", "1 2").await?;
        run(&books.admin, "INSERT INTO audit_log (tenant_id, id, at, actor, action, object_kind,
            object_id) SELECT tenant_id, gen_random_uuid(), now(), '', '', '', '' FROM audit_log
            LIMIT 1").await;
        is(&books.a, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM verify_audit() n",
            "0 1 2").await
    }
    every_policy_asks_for_the_tenant: "staff sees a table by the tenant, and by no other \
        way", |books| {
        let asks = "(tenant_id = ( SELECT current_tenant() AS current_tenant))";
        is(&books.admin, &format!("SELECT string_agg(c.relname, ' ') FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
            WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p')
              AND NOT EXISTS (SELECT FROM pg_policies p
                    WHERE p.schemaname = 'kennet' AND p.tablename = c.relname
                      AND p.permissive = 'PERMISSIVE' AND p.cmd = 'ALL'
                      AND 'kennet_app' = ANY (p.roles) AND 'kennet_ingest' = ANY (p.roles)
                      AND p.qual = '{asks}' AND p.with_check = '{asks}')"), "NULL").await?;
        is(&books.admin, &format!("SELECT string_agg(tablename || '.' || policyname, ' ')
             FROM pg_policies
            WHERE schemaname = 'kennet' AND permissive = 'PERMISSIVE'
              AND roles && ARRAY['kennet_app', 'public']::name[]
              AND (qual IS DISTINCT FROM '{asks}' OR with_check IS DISTINCT FROM '{asks}')"),
            "NULL").await
    }
    a_reseller_sees_its_own_money: "a reseller sees nobody else's rates, sales and \
        payouts", |books| {
        run(&books.admin, &format!("BEGIN; SET LOCAL session_replication_role = replica;
            INSERT INTO commission_rule VALUES ('{A}', '{A}', '{B}', 500, '[2026-01-01,)');
            INSERT INTO settlement VALUES ('{A}', '{A}', '{B}', '[2026-01-01,2026-01-08)', 2, 1, 1,
              now());
            INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, requested_by,
              created_at) VALUES ('{A}', '{A}', '{B}', '254712345678', 1000, 'op_1', now());
            COMMIT")).await;
        let reseller = books.enter(&enter(A, RESELLER));
        for table in ["commission_rule", "voucher_sale", "settlement", "payout"] {
            let count = format!("SELECT count(*) FROM {table}");
            is(&reseller, &count, "0").await?;
            is(&books.a, &count, "1").await?;
        }
        Ok(())
    }
    a_tenant_begins_with_its_books: "a new tenant has its series and its taxes", |books| {
        run(&books.admin, &format!("INSERT INTO tenant (tenant_id, slug, name, created_at)
            VALUES ('{SUBSCRIBER}', 'charlie', 'Charlie', now())")).await;
        is(&books.admin, &format!("SELECT concat_ws(' ',
              (SELECT string_agg(series, ' ' ORDER BY series) FROM number_series
                WHERE tenant_id = '{SUBSCRIBER}'),
              (SELECT string_agg(code, ' ' ORDER BY code) FROM tax_rate
                WHERE tenant_id = '{SUBSCRIBER}'))"), "CRN INV RCT excise vat").await
    }
}

/// A paybill, and the role of who calls back.
async fn merchant(books: &Books) -> PgPool {
    let sql = "INSERT INTO merchant_account VALUES
        ('62000000-0000-7000-8000-000000000001', 'mpesa', '600000', sha256('token'))";
    run(&books.admin, sql).await;
    books.enter("SET search_path = kennet; SET ROLE kennet_callback")
}

const CALLBACK: &str = "INSERT INTO inbox_event (id, merchant_id, channel, raw, received_at) VALUES
    (gen_random_uuid(), '62000000-0000-7000-8000-000000000001', 'stk', 'x', now())";
const AUDIT: &str =
    "INSERT INTO audit_log (tenant_id, id, at, actor, action, object_kind, object_id)
    SELECT current_tenant(), gen_random_uuid(), now(), 'op', 'plan.update', 'plan', n::text
      FROM generate_series(1, 3) n";
