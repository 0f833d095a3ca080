//! What was used is not deleted.

use super::steps::{post, redeem, subscriber};
use crate::world::{A, B, Books, EDGE, Found, is, refused, run, taken};

checks! { ADDED:
    what_was_sold_is_not_deleted: "a plan that was sold stays, with its versions", |books| {
        is(&books.a, &format!("SELECT delete_plan('{PLAN}')"), "voucher_batch").await?;
        refused(&books.a, "DELETE FROM plan", "permission denied").await?;
        refused(&books.admin, "DELETE FROM plan_version", "is append only").await?;
        is(&books.b, &format!("SELECT delete_plan('{PLAN}')"), "unknown").await?;
        run(&books.a, UNSOLD).await;
        is(&books.a, "SELECT delete_plan(id) FROM plan WHERE code = 'unsold'", "done").await?;
        is(&books.a, "SELECT count(*) FROM plan_fup_step", "0").await?;
        is(&books.a, "SELECT count(*) FROM plan_version", "1").await
    }
    who_is_known_is_not_deleted: "a subscriber stays of whom there is more than the \
        account", |books| {
        let delete = |n: usize| format!("SELECT delete_subscriber('{}')", subscriber(n));
        run(&books.a, &post("test", &[("cash:till", 5), (&format!("wallet:{}", subscriber(1)), -5)]))
            .await;
        is(&books.a, &delete(1), "ledger_account").await?;
        run(&books.a, &redeem("code1", 1)).await;
        is(&books.a, &delete(2), "voucher").await?;
        run(&books.admin, &format!("INSERT INTO session (tenant_id, edge_id, id, subscriber_id,
            started_at, updated_at) VALUES ('{A}', '{EDGE}', gen_random_uuid(), '{}', now(),
            now())", subscriber(3))).await;
        is(&books.a, &delete(3), "session").await?;
        run(&books.a, &format!("INSERT INTO legal_hold (tenant_id, id, subscriber_id, reason,
            placed_by, placed_at) VALUES ('{A}', gen_random_uuid(), '{}', 'a court asks', 'op',
            now())", subscriber(4))).await;
        is(&books.a, &delete(4), "held").await?;
        is(&books.b, &delete(5), "unknown").await?;
        refused(&books.a, "DELETE FROM subscriber", "permission denied").await?;
        is(&books.a, &delete(5), "done").await?;
        is(&books.a, "SELECT count(*) FROM subscriber", "39").await
    }
    where_somebody_was_is_not_deleted: "a tenant with anything in it stays", |books| {
        let platform = books.enter("SET search_path = kennet; SET ROLE kennet_auth");
        let delete = |tenant: &str| format!("SELECT delete_tenant('{tenant}') <> 'done'");
        is(&platform, &delete(A), "true").await?;
        is(&platform, &delete("00000000-0000-0000-0000-000000000000"), "true").await?;
        refused(&books.a, &delete(B), "permission denied").await?;
        run(&books.admin, "INSERT INTO tenant (tenant_id, slug, name, created_at)
            VALUES ('00000000-0000-7000-8000-00000000000c', 'charlie', 'Charlie', now())").await;
        let c = delete("00000000-0000-7000-8000-00000000000c");
        is(&platform, &c, "false").await?;
        is(&books.admin, "SELECT count(*) FROM tenant", "3").await
    }
    a_step_that_was_sold_stays: "a step of a plan stays while there is the plan", |books| {
        run(&books.a, UNSOLD).await;
        for sql in ["DELETE FROM plan_fup_step", "UPDATE plan_fup_step SET down_kbps = 2"] {
            refused(&books.admin, sql, "plan_fup_step is append only").await?;
        }
        Ok(())
    }
    a_note_stays: "a note stays as it was written, until nobody is named in it", |books| {
        run(&books.a, &format!("INSERT INTO ticket (tenant_id, id, reference, subject, channel,
              priority, opened_at) VALUES ('{A}', '{A}', 'TKT-000001', 's', 'phone', 'low', now());
            INSERT INTO ticket_note VALUES ('{A}', '{A}', '{A}', now(), 'op', 'said')")).await;
        for sql in ["UPDATE ticket_note SET body = 'not said'", "DELETE FROM ticket_note",
                    "UPDATE ticket_note SET body = 'anonymised', author = 'another'"] {
            refused(&books.admin, sql, "ticket_note is append only").await?;
        }
        taken(&books.admin, "UPDATE ticket_note SET body = 'anonymised'").await
    }
}

/// The plan of the vouchers.
const PLAN: &str = "30000000-0000-7000-8000-000000000001";
/// A plan with a version and a step that nobody has bought.
const UNSOLD: &str = "WITH p AS (
    INSERT INTO plan (tenant_id, id, code, name, created_at)
      VALUES (current_tenant(), gen_random_uuid(), 'unsold', 'Unsold', now()) RETURNING id),
  v AS (
    INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind, price_cents,
        validity_seconds, down_kbps, up_kbps, anchor, effective_from)
      SELECT current_tenant(), gen_random_uuid(), id, 1, 'hotspot', 'prepaid', 'unlimited', 1, 60, 1,
             1, 'purchase', now() FROM p RETURNING id)
  INSERT INTO plan_fup_step (tenant_id, plan_version_id, step, after_bytes, down_kbps, up_kbps)
    SELECT current_tenant(), id, 1, 1, 1, 1 FROM v";
