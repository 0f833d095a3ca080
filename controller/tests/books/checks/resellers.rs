//! Money that goes out.

use super::steps::{PAYOUT, TODAY, balance, fill_float};
use crate::world::{A, BATCH, Books, Found, RESELLER, is, refused, run, taken};

checks! { OF_THE_DESIGN:
    a_payout_needs_two: "nobody approves their own payout", |books| {
        run(&books.a, &fill_float(100_000)).await;
        let hold = payout("op_1", "'op_1'", "'held'");
        refused(&books.a, &hold, "payout_two_people").await?;
        refused(&books.a, &payout("op_1", "NULL", "'approved'"), "payout_approved").await
    }
    a_payout_has_one_end: "a payout is paid or fails, never both", |books| {
        run(&books.a, &fill_float(100_000)).await;
        run(&books.a, &payout("op_1", "NULL", "'held'")).await;
        let resolve = |to: &str| format!(
            "SELECT post_entry(gen_random_uuid(), 'payout.resolve', 'payout', '{PAYOUT}', now(),
               ARRAY['payout:clearing', '{to}'], ARRAY[1000, -1000]::bigint[])");
        run(&books.a, &resolve("cash:mpesa:600000")).await;
        run(&books.a, &resolve(&format!("agent:{RESELLER}"))).await;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'payout.resolve'", "1").await?;
        is(&books.a, &balance("payout:clearing"), "0").await
    }
}

checks! { ADDED:
    a_payout_is_in_the_books: "a payout is held and resolved through the books", |books| {
        let sql = payout("op_1", "NULL", "'held'").replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        run(&books.a, &fill_float(100_000)).await;
        run(&books.a, &payout("op_1", "NULL", "'held'")).await;
        refused(&books.a, "UPDATE payout SET state = 'failed'", "is not in the books").await?;
        let sql = "UPDATE payout SET amount_cents = 2000";
        refused(&books.admin, sql, "does not change").await
    }
    settlements_do_not_overlap: "no sale is settled twice", |books| {
        let settle = |during: &str| format!("INSERT INTO settlement VALUES ('{A}',
            gen_random_uuid(), '{RESELLER}', '{during}', 10, 1, 9, now())");
        run(&books.a, &settle("[2026-11-01, 2026-11-08)")).await;
        refused(&books.a, &settle("[2026-11-07, 2026-11-14)"), "settlement_once").await
    }
    a_day_has_one_commission: "a reseller has one rate on a day, and it stays once it was \
        earned", |books| {
        let rule = |during: &str| format!("INSERT INTO commission_rule VALUES ('{A}',
            gen_random_uuid(), '{RESELLER}', 500, {during})");
        run(&books.a, &rule("'[2026-01-01,)'")).await;
        let dates = "commission_rule_dates";
        refused(&books.a, &rule("'[2026-11-01, 2026-12-01)'"), dates).await?;
        let of_plan = |during: &str| format!("INSERT INTO commission_rule (tenant_id, id,
            reseller_id, plan_id, fixed_cents, during) SELECT '{A}', gen_random_uuid(),
            '{RESELLER}', id, 100, {during} FROM plan ORDER BY id LIMIT 1");
        taken(&books.a, &of_plan("'[2098-11-01, 2099-01-01)'")).await?;
        refused(&books.a, &of_plan("'[2098-12-01, 2099-12-01)'"), dates).await?;
        run(&books.a, "DELETE FROM commission_rule WHERE plan_id IS NOT NULL").await;
        let why = "a rate that was in force stays";
        refused(&books.admin, "UPDATE commission_rule SET cap_cents = 5", why).await?;
        refused(&books.a, "DELETE FROM commission_rule", why).await?;
        let ends = format!("UPDATE commission_rule SET during = daterange('2026-01-01', {TODAY})");
        taken(&books.a, &format!("BEGIN; {ends}; ROLLBACK")).await?;
        run(&books.a, &format!("INSERT INTO voucher_sale (tenant_id, id, batch_id, reseller_id, qty,
            face_cents, at) VALUES ('{A}', '{A}', '{BATCH}', '{RESELLER}', 1, 0, now())")).await;
        refused(&books.a, &ends, why).await
    }
    a_transfer_pays_one_payout: "what a provider has sent once is one payout", |books| {
        run(&books.a, &fill_float(100_000)).await;
        let (first, second) = (payout("op_1", "NULL", "'held'"), PAYOUT.replace("0001", "0002"));
        run(&books.a, &first).await;
        run(&books.a, &first.replace(PAYOUT, &second)).await;
        run(&books.a, "UPDATE payout SET state = 'approved', approved_by = 'op_2'").await;
        let paid = "BEGIN;
            SELECT resolve_payout(id, gen_random_uuid(), true, now()) FROM payout;
            UPDATE payout SET state = 'paid', provider_txn = 'TXN1'; COMMIT";
        refused(&books.a, paid, "payout_provider_txn").await
    }
}

fn payout(requested_by: &str, approved_by: &str, state: &str) -> String {
    format!(
        "BEGIN;
         INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, state, requested_by,
           approved_by, created_at) VALUES ('{A}', '{PAYOUT}', '{RESELLER}', '254712345678', 1000,
             {state}, '{requested_by}', {approved_by}, now());
         SELECT post_entry(gen_random_uuid(), 'payout.hold', 'payout', '{PAYOUT}', now(), ARRAY['agent:{RESELLER}', 'payout:clearing'], ARRAY[1000, -1000]::bigint[]);
         COMMIT"
    )
}
