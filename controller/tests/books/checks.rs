//! One case for each check of the schema, by name.

use std::pin::Pin;

use prost::Message as _;
use shared::{
    id::{EdgeId, EpochId},
    wire::latest::{
        ack::Verdict,
        journal::{self, EdgeStarted, Event, GENESIS, Hash},
    },
};
use sqlx::PgPool;
use uuid::Uuid;

use controller::{
    clock,
    edges::LookAgain,
    sessions::{Journals, ingest::Batch},
};

use crate::world::{
    A, B, BATCH, Books, EDGE, Found, RESELLER, SUBSCRIBER, SUBSCRIBER_OF_B, Template, VERSION,
    VOUCHERS, ask, enter, is, race, refused, run,
};

pub(crate) type Check = for<'b> fn(&'b Books) -> Pin<Box<dyn Future<Output = Found> + 'b>>;

macro_rules! checks {
    ($($name:ident: $what:literal, |$books:ident| $body:block)*) => {
        $(async fn $name($books: &Books) -> Found $body)*

        /// Name of each check, and what it looks at.
        pub(crate) const CHECKS: &[(&str, &str, Check)] =
            &[$((stringify!($name), $what, |books| Box::pin($name(books))),)*];
    };
}

checks! {
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
    one_voucher_one_grant: "200 at once redeem one voucher: one grant", |books| {
        race(&books.a, 200, |n| redeem("code1", n)).await;
        is(&books.a, "SELECT count(*) FROM entitlement", "1").await?;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'", "1").await
    }
    a_naive_voucher_grants_often: "control: read, work, write grants one voucher often", |books| {
        run(&books.admin, NAIVE).await;
        race(&books.a, 50, |_| "SELECT naive_redeem()".to_owned()).await;
        is(&books.a, "SELECT count(*) > 1 FROM naive_grant", "true").await
    }
    grants_vouchers_and_entries_agree: "as many grants as used vouchers and entries", |books| {
        race(&books.a, 600, |n| redeem(&format!("code{}", 1 + n * 7 % 200), n)).await;
        let all = format!("{VOUCHERS} {VOUCHERS} {VOUCHERS}");
        is(&books.a, "SELECT concat_ws(' ', (SELECT count(*) FROM entitlement),
            (SELECT count(*) FROM voucher WHERE state = 'active'),
            (SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'))", &all).await?;
        is(&books.a, &balance("deferred:voucher"), "0").await
    }
    a_voucher_does_not_go_back: "a used voucher is not sold again", |books| {
        run(&books.a, &redeem("code1", 1)).await;
        let sql = "UPDATE voucher SET state = 'sold' WHERE state = 'active'";
        refused(&books.a, sql, "active -> sold not allowed").await
    }
    no_second_grant: "a voucher does not grant a second time", |books| {
        run(&books.a, &redeem("code1", 1)).await;
        let sql = "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
              plan_version_id, valid)
            SELECT tenant_id, gen_random_uuid(), subscriber_id, source_kind, source_id,
                   plan_version_id, valid FROM entitlement";
        refused(&books.a, sql, "entitlement_once").await
    }
    one_receipt_one_credit: "120 deliveries of one receipt: one payment", |books| {
        race(&books.a, 120, |_| pay("SAME1RCPT0", SUBSCRIBER, 100_000)).await;
        is(&books.a, "SELECT count(*) FROM payment", "1").await?;
        is(&books.a, &wallet(SUBSCRIBER), "100000").await
    }
    one_receipt_one_amount: "a receipt has one amount", |books| {
        run(&books.a, &pay("SAME1RCPT0", SUBSCRIBER, 100_000)).await;
        refused(&books.a, &pay("SAME1RCPT0", SUBSCRIBER, 999_900), "the amount differs").await
    }
    one_receipt_one_tenant: "a receipt is credited in one tenant", |books| {
        run(&books.a, &pay("SAME1RCPT0", SUBSCRIBER, 100_000)).await;
        let sql = pay("SAME1RCPT0", SUBSCRIBER_OF_B, 100_000);
        refused(&books.b, &sql, "credited elsewhere").await
    }
    nobody_sets_a_balance: "staff sets no balance", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        let sql = "UPDATE ledger_account SET balance_cents = 1 WHERE track";
        refused(&books.a, sql, "permission denied").await
    }
    an_entry_balances: "an entry that does not balance", |books| {
        refused(&books.a, &entry(10, &[("expense:commission", 10), ("revenue:internet", -9)]),
            "is not balanced").await
    }
    an_entry_has_lines: "an entry without lines", |books| {
        refused(&books.a, &entry(10, &[]), "is not balanced").await
    }
    an_entry_is_sealed: "a pair of lines added to an old entry", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        let sql = "INSERT INTO ledger_posting
            SELECT tenant_id, id, line.n, account('expense:commission'), line.cents
              FROM ledger_entry, (VALUES (8, 5), (9, -5)) line (n, cents)
             WHERE kind = 'payment.in'";
        refused(&books.a, sql, "is not balanced or sealed").await?;
        refused(&books.a, &sql.replace("(8, 5), (9, -5)", "(1, 5), (2, -5)"), "duplicate key").await
    }
    no_posting_is_changed: "staff changes no posting", |books| {
        refused(&books.a, "UPDATE ledger_posting SET amount_cents = 1", "permission denied").await
    }
    the_owner_changes_no_posting: "nor does a superuser", |books| {
        for sql in ["UPDATE ledger_posting SET amount_cents = 1", "DELETE FROM ledger_posting",
                    "UPDATE ledger_entry SET kind = 'x'", "DELETE FROM ledger_entry",
                    "TRUNCATE ledger_posting", "TRUNCATE ledger_entry CASCADE"] {
            refused(&books.admin, sql, "is append only").await?;
        }
        Ok(())
    }
    a_wallet_has_a_floor: "30 debits of 100 at once from 1000: ten are taken", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100_000)).await;
        let debit = |_| post("test.debit", &[(&format!("wallet:{SUBSCRIBER}"), 10_000),
                                             ("revenue:internet", -10_000)]);
        let taken = race(&books.a, 30, debit).await;
        is(&books.a, &wallet(SUBSCRIBER), "0").await?;
        if taken == 10 { Ok(()) } else { Err(format!("{taken} debits were taken")) }
    }
    numbers_have_no_gaps: "16 writers of one series, 30 % undone: no gap", |books| {
        race(&books.a, 400, |n| issue(&subscriber(1 + n % 40), n % 10 < 3)).await;
        is(&books.a, "SELECT concat_ws(' ', count(*), count(DISTINCT number), min(number),
            max(number)) FROM invoice WHERE state = 'finalised'", "280 280 1 280").await
    }
    a_sequence_has_gaps: "control: a sequence leaves gaps", |books| {
        run(&books.admin, NAIVE).await;
        race(&books.a, 100, |n| {
            let end = if n % 10 < 3 { "ROLLBACK" } else { "COMMIT" };
            format!("BEGIN; INSERT INTO naive_invoice VALUES (nextval('naive_number')); {end}")
        }).await;
        is(&books.a, "SELECT max(number) > count(*) FROM naive_invoice", "true").await
    }
    a_line_does_not_change: "a line of an issued invoice stays", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        // Staff has no right to it at all; the owner is refused by the guard.
        refused(&books.a, "UPDATE invoice_line SET net_cents = 1", "permission denied").await?;
        refused(&books.a, "DELETE FROM invoice_line", "are immutable").await?;
        refused(&books.admin, "UPDATE invoice_line SET net_cents = 1", "are immutable").await
    }
    no_line_is_added: "an issued invoice gets no other line", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        let sql = "INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, descr, net_cents,
              excise_cents, vat_cents) SELECT tenant_id, id, 2, 'one_off', 'y', 1, 0, 0 FROM invoice";
        refused(&books.a, sql, "are immutable").await
    }
    an_issued_invoice_stays: "an issued invoice is not deleted", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        refused(&books.a, "DELETE FROM invoice", "cannot be deleted").await
    }
    nobody_chooses_a_number: "nobody chooses a number, nor changes what was issued", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        refused(&books.a, "UPDATE invoice SET number = 99", "permission denied").await?;
        refused(&books.a, "UPDATE invoice SET due_on = '2030-01-01'", "is immutable").await?;
        refused(&books.admin, "UPDATE invoice SET number = 99", "is immutable").await
    }
    an_allocation_counts: "an allocation counts at the invoice and at the payment", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        run(&books.a, &allocate(&payment, &invoice, 100_000)).await;
        is(&books.a, "SELECT concat_ws(' ', (SELECT paid_cents FROM invoice),
            (SELECT allocated_cents FROM payment))", "100000 100000").await?;
        is(&books.a, &wallet(SUBSCRIBER), "50000").await
    }
    a_payment_is_spent_once: "a payment is not spent twice", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        run(&books.a, &allocate(&payment, &invoice, 100_000)).await;
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        run(&books.a, &pay("RCPT2", SUBSCRIBER, 100_000)).await;
        let second = ask(&books.a, "SELECT id FROM invoice WHERE number = 2").await;
        let sql = allocate(&payment, &second, 60_000);
        refused(&books.a, &sql, "payment_not_overspent").await
    }
    a_paid_invoice_is_not_credited: "an invoice is not credited beyond its total", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        run(&books.a, &allocate(&payment, &invoice, 100_000)).await;
        refused(&books.a, &credit(&invoice, 1), "invoice_not_overpaid").await
    }
    a_paid_invoice_is_not_void: "a paid invoice is not voided", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        run(&books.a, &allocate(&payment, &invoice, 1)).await;
        let sql = "UPDATE invoice SET state = 'void'";
        refused(&books.a, sql, "invoice_void_is_unpaid").await
    }
    a_credit_note_counts: "a credit note has a number and counts at the invoice", |books| {
        let (_, invoice) = paid_and_issued(books).await;
        run(&books.a, &credit(&invoice, 5000)).await;
        is(&books.a, "SELECT concat_ws(' ', (SELECT number FROM credit_note),
            (SELECT credited_cents FROM invoice))", "1 5000").await?;
        is(&books.a, &balance(&format!("ar:{SUBSCRIBER}")), "95000").await
    }
    periods_do_not_overlap: "no moment is billed twice", |books| {
        let subscription = subscribe(books).await;
        run(&books.a, &period(&subscription, "[2026-11-01, 2026-12-01)")).await;
        let sql = period(&subscription, "[2026-11-30, 2026-12-30)");
        refused(&books.a, &sql, "subscription_period_once").await
    }
    a_subscription_does_not_jump: "pending does not become grace", |books| {
        subscribe(books).await;
        refused(&books.a, "UPDATE subscription SET state = 'grace'", "not allowed").await
    }
    a_change_raises_the_revision: "a change of state has a revision and a history", |books| {
        subscribe(books).await;
        run(&books.a, "UPDATE subscription SET state = 'active'").await;
        is(&books.a, "SELECT concat_ws(' ', desired_rev, (SELECT count(*) FROM subscription_event))
            FROM subscription", "2 1").await
    }
    a_lost_hour_is_credited_once: "an hour in two outages is made good once", |books| {
        let subscription = out_of_order(books).await;
        let sql = outage_credit(&subscription, OUTAGE_2, "[2026-11-10 13:00Z, 2026-11-10 15:00Z)");
        refused(&books.a, &sql, "outage_credit_once").await
    }
    the_other_hour_is_credited: "the hour that is left is made good", |books| {
        let subscription = out_of_order(books).await;
        run(&books.a, &outage_credit(&subscription, OUTAGE_2,
            "[2026-11-10 14:00Z, 2026-11-10 15:00Z)")).await;
        is(&books.a, "SELECT count(*) FROM outage_credit", "2").await
    }
    a_callback_is_stored: "the role of callbacks stores them", |books| {
        let callback = merchant(books).await;
        run(&callback, CALLBACK).await;
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
    a_quota_is_leased_once: "60 leases of 100 MB from 1 GiB at once: eleven, to the byte", |books| {
        let (edges, entitlement) = granted(books).await;
        race(&edges, 60, |n| lease(&entitlement, n, 100_000_000)).await;
        is(&books.a, "SELECT concat_ws(' ', count(*), sum(bytes)) FROM quota_lease",
            "11 1073741824").await
    }
    a_lease_is_settled_once: "a lease is settled once", |books| {
        let (edges, entitlement) = granted(books).await;
        run(&edges, &lease(&entitlement, 1, 100_000_000)).await;
        let settle = "SELECT bool_or(settle_lease(id, 40000000)) FROM quota_lease";
        is(&edges, settle, "true").await?;
        is(&edges, settle, "false").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "40000000 0").await
    }
    a_lease_is_not_overspent: "no more is used than was leased", |books| {
        let (edges, entitlement) = granted(books).await;
        run(&edges, &lease(&entitlement, 1, 100_000_000)).await;
        let sql = "SELECT settle_lease(id, 200000000) FROM quota_lease";
        refused(&edges, sql, "quota_lease_not_overspent").await
    }
    a_batch_is_acknowledged: "a batch of usage is acknowledged", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await
    }
    a_replay_changes_nothing: "a replay is acknowledged and changes nothing", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed), (3, Verdict::Committed)]).await?;
        is(&books.a, "SELECT next_seq FROM journal_cursor", "3").await
    }
    a_gap_is_answered: "a gap is told where to resume", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await?;
        apply(books, 6, GENESIS, 1, &[(3, Verdict::Gap)]).await
    }
    another_history_is_refused: "another history is refused", |books| {
        apply(books, 1, GENESIS, 2, &[(3, Verdict::Committed)]).await?;
        apply(books, 3, [9; 32], 1, &[(3, Verdict::Forked)]).await
    }
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
    the_books_sum_to_nothing: "all postings sum to zero", |books| {
        busy(books).await;
        is(&books.admin, "SELECT sum(amount_cents) FROM ledger_posting", "0").await
    }
    balances_are_their_postings: "a balance is the sum of its postings", |books| {
        busy(books).await;
        is(&books.admin, "SELECT count(*) FROM ledger_account a WHERE track AND balance_cents <>
            (SELECT coalesce(sum(CASE WHEN a.kind IN ('asset', 'expense') THEN amount_cents
                                      ELSE -amount_cents END), 0)
               FROM ledger_posting p WHERE p.tenant_id = a.tenant_id AND p.account_id = a.id)",
            "0").await?;
        // What invoices say is open is what the books say.
        is(&books.admin, "SELECT (SELECT sum(total_cents - paid_cents - credited_cents)
                FROM invoice WHERE state = 'finalised') =
            (SELECT sum(balance_cents) FROM ledger_account WHERE code LIKE 'ar:%')", "true").await
    }
    leases_are_what_is_leased: "what is leased is the sum of open leases", |books| {
        let (edges, entitlement) = granted(books).await;
        race(&edges, 8, |n| lease(&entitlement, n, 1_000_000)).await;
        run(&edges, "SELECT settle_lease(id, 1) FROM quota_lease WHERE fence < 4").await;
        is(&books.admin, "SELECT count(*) FROM entitlement e WHERE bytes_leased <>
            (SELECT coalesce(sum(bytes), 0) FROM quota_lease q
              WHERE q.tenant_id = e.tenant_id AND q.entitlement_id = e.id AND q.state = 'open')",
            "0").await?;
        is(&books.a, "SELECT bytes_consumed FROM entitlement", "4").await
    }
    a_load_of_payments_sums_to_nothing: "1,000 payments later they still do", |books| {
        let taken = race(&books.a, 1000, |n| {
            pay(&format!("RCPT{n}"), &subscriber(1 + n % 40), 5000)
        }).await;
        if taken != 1000 {
            return Err(format!("{taken} payments were taken"));
        }
        is(&books.admin, "SELECT sum(amount_cents) FROM ledger_posting", "0").await?;
        is(&books.a, &balance("cash:mpesa:600000"), "5000000").await
    }
    // What the schema adds.
    a_payment_is_in_the_books: "money that moved is in the books", |books| {
        let sql = format!("INSERT INTO payment (tenant_id, id, provider, receipt, shortcode,
              subscriber_id, amount_cents, paid_at, state, created_at)
            VALUES ('{A}', gen_random_uuid(), 'mpesa', 'X', '6', '{SUBSCRIBER}', 5, now(),
              'matched', now())");
        refused(&books.a, &sql, "is not in the books").await?;
        run(&books.a, "SELECT * FROM apply_payments(ARRAY[gen_random_uuid()],
            ARRAY[gen_random_uuid()], ARRAY['mpesa'], ARRAY['Y'], ARRAY['600000'],
            ARRAY[NULL::uuid], ARRAY[NULL::uuid], ARRAY[5::bigint], ARRAY[now()],
            ARRAY[now()])").await;
        is(&books.a, &balance("suspense:unmatched"), "5").await?;
        let sql = format!("UPDATE payment SET state = 'matched', subscriber_id = '{SUBSCRIBER}'");
        refused(&books.a, &sql, "is not in the books").await
    }
    one_call_one_grant: "two of one call redeem one voucher: the first does", |books| {
        let sql = redeem("code1", 1).replace("ARRAY[sha256('code1')]", "array_fill(sha256('code1'), ARRAY[2])");
        let twice = ["gen_random_uuid()", "now() + interval '1 day'", "now()"];
        let sql = twice.iter().fold(sql, |sql, one| {
            sql.replace(&format!("ARRAY[{one}]"), &format!("ARRAY[{one}, {one}]"))
        });
        let sql = sql.replace("'::uuid]", &format!("'::uuid, '{}']", subscriber(3)));
        let outcomes = sql.replace("SELECT outcome", "SELECT string_agg(outcome, ' ' ORDER BY n)");
        is(&books.a, &outcomes, "redeemed active").await?;
        is(&books.a, "SELECT count(*) FROM entitlement", "1").await?;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'", "1").await
    }
    one_call_one_credit: "two of one call credit one receipt: the first does", |books| {
        let sql = pay("TWICE", SUBSCRIBER, 500).replace("ARRAY['mpesa'], ARRAY['TWICE'], ARRAY['600000']",
            "array_fill('mpesa'::text, ARRAY[2]), array_fill('TWICE'::text, ARRAY[2]), array_fill('6'::text, ARRAY[2])");
        let twice = ["gen_random_uuid()", "NULL::uuid", "500::bigint", "now()"];
        let sql = twice.iter().fold(sql, |sql, one| {
            sql.replace(&format!("ARRAY[{one}]"), &format!("ARRAY[{one}, {one}]"))
        });
        let sql = sql.replace("'::uuid]", &format!("'::uuid, '{SUBSCRIBER}']"));
        let fresh = sql.replace("SELECT payment_id, fresh", "SELECT string_agg(fresh::text, ' ' ORDER BY n)");
        is(&books.a, &fresh, "true false").await?;
        is(&books.a, "SELECT sum(amount_cents) FROM payment WHERE receipt = 'TWICE'", "500").await
    }
    a_closed_month_takes_nothing: "nothing is posted before the books are closed until", |books| {
        let closed = format!("INSERT INTO books VALUES ('{A}', now(), now() - interval '1 hour')");
        run(&books.a, &closed).await;
        let post_at = |ago: &str| format!("SELECT post_entry(gen_random_uuid(), 'x', 'y',
            gen_random_uuid(), now() - interval '{ago}', ARRAY['expense:commission',
            'revenue:internet'], ARRAY[5, -5]::bigint[])");
        run(&books.a, &post_at("59 min")).await;
        refused(&books.a, &post_at("2 hours"), "the books are closed until").await?;
        refused(&books.a, &post_at("2 months"), "the books are closed until").await
    }
    what_is_paid_left_a_wallet: "an invoice is paid from a wallet that has less then", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        let sql = "INSERT INTO invoice_from_wallet
            SELECT tenant_id, id, total_cents, now() FROM invoice";
        refused(&books.a, sql, "were not taken out of the wallet").await
    }
    a_night_is_earned_once: "no moment is earned twice", |books| {
        let night = |during: &str| format!(
            "INSERT INTO recognition VALUES ('{A}', gen_random_uuid(), '{during}', 0)");
        run(&books.a, &night("[2027-01-01 21:00Z, 2027-01-02 21:00Z)")).await;
        run(&books.a, &night("[2027-01-02 21:00Z, 2027-01-03 21:00Z)")).await;
        refused(&books.a, &night("[2027-01-02 20:59Z, 2027-01-02 21:00Z)"), "recognition_once").await
    }
    what_is_earned_is_in_the_books: "what is earned is in the books", |books| {
        let sql = format!("INSERT INTO recognition VALUES
            ('{A}', gen_random_uuid(), '[2027-01-01, 2027-01-02)', 5)");
        refused(&books.a, &sql, "is not in the books as revenue.earn").await
    }
    money_is_heard_of: "billing hears of money that comes in, and of none that goes out", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100_000)).await;
        run(&books.a, &post("test.debit", &[(&format!("wallet:{SUBSCRIBER}"), 10_000),
                                            ("revenue:internet", -10_000)])).await;
        is(&books.a, "SELECT string_agg(subscriber_id::text, ' ') FROM money_came", SUBSCRIBER).await
    }
    an_invoice_is_in_the_books: "an issued invoice is in the books, and a void one", |books| {
        let sql = issue(SUBSCRIBER, false).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        let sql = "UPDATE invoice SET state = 'void'";
        refused(&books.a, sql, "is not in the books").await
    }
    an_allocation_is_in_the_books: "an allocation is in the books", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        let sql = allocate(&payment, &invoice, 100).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = credit(&invoice, 100).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await
    }
    a_voucher_is_in_the_books: "a voucher is sold and used through the books", |books| {
        let sql = format!("INSERT INTO voucher_sale (tenant_id, id, batch_id, qty, face_cents, at)
            VALUES ('{A}', gen_random_uuid(), '{BATCH}', 1, 5000, now())");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = format!("UPDATE voucher SET state = 'active', redeemed_at = now(),
              subscriber_id = '{SUBSCRIBER}' WHERE serial = 1");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = "UPDATE voucher SET state = 'expired' WHERE serial = 1";
        refused(&books.a, sql, "is not in the books").await
    }
    a_payout_is_in_the_books: "a payout is held and resolved through the books", |books| {
        let sql = payout("op_1", "NULL", "'held'").replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        run(&books.a, &fill_float(100_000)).await;
        run(&books.a, &payout("op_1", "NULL", "'held'")).await;
        refused(&books.a, "UPDATE payout SET state = 'failed'", "is not in the books").await?;
        let sql = "UPDATE payout SET amount_cents = 2000";
        refused(&books.admin, sql, "does not change").await
    }
    an_event_is_booked_once: "one event is one entry, of one amount", |books| {
        let twice = |cents: i64| format!("SELECT post_entry(gen_random_uuid(), 'test', 'test',
            '{PAYOUT}', now(), ARRAY['cash:till', 'revenue:internet'], ARRAY[{cents}, -{cents}])");
        run(&books.a, &twice(5)).await;
        run(&books.a, &twice(5)).await;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'test'", "1").await?;
        refused(&books.a, &twice(6), "is in the books with").await?;
        let sql = "INSERT INTO ledger_entry SELECT tenant_id, gen_random_uuid(), kind, source_kind,
            source_id, n_lines, total_cents, at FROM ledger_entry";
        refused(&books.a, sql, "ledger_entry_once").await
    }
    the_chart_is_closed: "there is no account that the chart does not have", |books| {
        refused(&books.a, "SELECT account('bribes:mine')", "the chart of accounts has no").await?;
        let sql = format!("INSERT INTO ledger_account (tenant_id, id, code, kind, track)
            VALUES ('{A}', gen_random_uuid(), 'wallet:x', 'asset', false)");
        refused(&books.a, &sql, "permission denied").await
    }
    a_payment_does_not_change: "what was paid, and by whom, does not change", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        let other = format!("UPDATE payment SET subscriber_id = '{}'", subscriber(2));
        refused(&books.a, &other, "does not change").await?;
        refused(&books.admin, "UPDATE payment SET amount_cents = 1", "does not change").await?;
        refused(&books.admin, "DELETE FROM payment", "a payment stays").await
    }
    only_who_paid_is_served: "a payment pays only invoices of who paid", |books| {
        let (payment, _) = paid_and_issued(books).await;
        run(&books.a, &issue(&subscriber(2), false)).await;
        let other = ask(&books.a, "SELECT id FROM invoice WHERE number = 2").await;
        refused(&books.a, &allocate(&payment, &other, 1), "not to who paid").await
    }
    a_payment_goes_back_once: "a payment is not given back twice", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        run(&books.a, &pay("RCPT2", SUBSCRIBER, 100)).await;
        run(&books.a, &refund("op_1", true)).await;
        refused(&books.a, &refund("op_1", true), "payment_refund_once").await
    }
    a_refund_has_two_people: "who asks for a refund does not agree to it", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        run(&books.a, &refund("op_1", true)).await;
        let agree = |by: &str| format!("UPDATE payment_refund SET state = 'approved',
            approved_by = {by}");
        refused(&books.a, &agree("'op_1'"), "payment_refund_two_people").await?;
        refused(&books.a, &agree("NULL"), "payment_refund_approved").await?;
        run(&books.a, &agree("'op_2'")).await;
        let again = "UPDATE payment_refund SET approved_by = 'op_3'";
        refused(&books.a, again, "does not change").await
    }
    a_refund_is_in_the_books: "money that goes back is in the books, once", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        refused(&books.a, &refund("op_1", false), "not in the books as refund.hold").await?;
        run(&books.a, &refund("op_1", true)).await;
        let done = "UPDATE payment_refund SET state = 'approved', approved_by = 'op_2';
            UPDATE payment_refund SET state = 'done'";
        refused(&books.a, done, "not in the books as refund.resolve").await?;
        let taken = refund("op_1", false).replace("'given_back', 'held'", "'taken_back', 'done'");
        run(&books.a, "UPDATE payment_refund SET state = 'approved', approved_by = 'op_2'").await;
        run(&books.a, "SELECT resolve_refund(id, gen_random_uuid(), false, now())
            FROM payment_refund; UPDATE payment_refund SET state = 'failed'").await;
        refused(&books.a, &taken, "not in the books as refund.resolve").await
    }
    who_applies_callbacks_reads_no_secrets: "who applies callbacks reads no secrets", |books| {
        let inbox = books.enter("SET search_path = kennet; SET ROLE kennet_inbox");
        for sql in ["SELECT secrets_sealed FROM merchant", "SELECT full_name FROM subscriber",
            "SELECT receipt FROM payment", "SELECT claimed_receipt FROM payment_intent"] {
            refused(&inbox, sql, "permission denied").await?;
        }
        Ok(())
    }
    tax_rates_do_not_overlap: "a day has one rate of a tax", |books| {
        let sql = format!("INSERT INTO tax_rate VALUES ('{A}', 'vat', 1400, '[2026-01-01,)')");
        refused(&books.a, &sql, "tax_rate_dates").await
    }
    settlements_do_not_overlap: "no sale is settled twice", |books| {
        let settle = |during: &str| format!("INSERT INTO settlement VALUES ('{A}',
            gen_random_uuid(), '{RESELLER}', '{during}', 10, 1, 9, now())");
        run(&books.a, &settle("[2026-11-01, 2026-11-08)")).await;
        refused(&books.a, &settle("[2026-11-07, 2026-11-14)"), "settlement_once").await
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
    a_load_is_booked_once: "a load of entries is booked once, each of one amount", |books| {
        let load = |cents: i64| post_all(&[(1, &[("cash:till", cents), ("revenue:internet", -cents)]),
            (2, &[("cash:till", 7), ("tax:vat", 0), ("revenue:internet", -7)])]);
        is(&books.a, &load(5), "2").await?;
        is(&books.a, &load(5), "0").await?;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'load'", "2").await?;
        is(&books.a, &balance("revenue:internet"), "12").await?;
        refused(&books.a, &load(6), "is in the books with").await
    }
    a_load_balances: "each entry of a load balances", |books| {
        // Together they do.
        let load = post_all(&[(1, &[("cash:till", 5), ("revenue:internet", -4)]),
                              (2, &[("cash:till", 5), ("revenue:internet", -6)])]);
        refused(&books.a, &load, "is not balanced").await
    }
    a_load_goes_to_its_accounts: "a load goes where its lines say, within the floors", |books| {
        let (one, other) = (format!("wallet:{SUBSCRIBER}"), format!("wallet:{}", subscriber(2)));
        let load = post_all(&[(1, &[("cash:till", 30), (&one, -30)]),
                              (2, &[("cash:till", 70), (&other, -60), (&one, -10)])]);
        is(&books.a, &load, "2").await?;
        is(&books.a, &wallet(SUBSCRIBER), "40").await?;
        is(&books.a, &wallet(&subscriber(2)), "60").await?;
        let load = post_all(&[(3, &[(&one, 20), ("revenue:internet", -20)]),
                              (4, &[(&one, 21), ("revenue:internet", -21)])]);
        refused(&books.a, &load, "ledger_account_floor").await
    }
    edges_share_a_quota: "two edges are lent no more than was bought, and what one gives back is \
        the other's", |books| {
        let (edges, _) = granted(books).await;
        let other = other_edge(books).await;
        // One GiB: what is asked for and a little later still not used is asked for once.
        is(&edges, &lend(EDGE, 1, 1, 0, 700_000_000), "700000000 373741824 0 1").await?;
        is(&edges, &lend(EDGE, 1, 2, 0, 700_000_000), "700000000 373741824 0 2").await?;
        is(&edges, &lend(other, 1, 1, 0, 700_000_000), "373741824 0 700000000 1").await?;
        is(&edges, &lend(EDGE, 1, 3, 100_000_000, 0), "100000000 600000000 373741824 3").await?;
        is(&edges, &lend(other, 1, 2, 373_741_824, 700_000_000), "973741824 0 0 2").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "473741824 600000000").await
    }
    many_questions_lend_once: "60 questions of two edges at once, and never more than was \
        bought", |books| {
        let (edges, _) = granted(books).await;
        let other = other_edge(books).await;
        // No edge asks for all of it, and both together ask for more than there is.
        race(&edges, 60, |n| {
            let edge = if n % 2 == 0 { EDGE } else { other };
            lend(edge, 1, n, 0, 16_000_000 * i64::try_from(n).expect("a few"))
        }).await;
        is(&books.a, "SELECT sum(bytes) <= 1073741824 AND count(DISTINCT edge_id) = 2
            FROM quota_lease WHERE state = 'open'", "true").await?;
        is(&books.a, "SELECT e.bytes_leased = (SELECT sum(l.bytes) FROM quota_lease l
            WHERE l.state = 'open') FROM entitlement e", "true").await
    }
    an_old_question_changes_nothing: "who asks late, or twice, is lent nothing for it", |books| {
        let (edges, _) = granted(books).await;
        is(&edges, &lend(EDGE, 1, 5, 0, 100), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 5, 0, 900), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 4, 0, 900), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 4, 0, 0), "100 1073741724 0 5").await
    }
    a_lost_count_is_all_used: "of a count that is lost, all that was lent is used", |books| {
        let (edges, _) = granted(books).await;
        is(&edges, &lend(EDGE, 1, 1, 0, 100), "100 1073741724 0 1").await?;
        is(&edges, &lend(EDGE, 2, 2, 0, 50), "50 1073741674 0 2").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "100 50").await
    }
    a_revoked_edge_is_lent_nothing: "an edge that is revoked is lent nothing", |books| {
        let (edges, _) = granted(books).await;
        run(&books.a, &format!("UPDATE edge SET revoked = true WHERE id = '{EDGE}'")).await;
        is(&edges, &lend(EDGE, 1, 1, 0, 100), "NULL").await?;
        is(&books.a, "SELECT count(*) FROM quota_lease", "0").await
    }
    nobody_leases_by_hand: "edges are lent by the function alone", |books| {
        let (edges, entitlement) = granted(books).await;
        let sql = format!("INSERT INTO quota_lease (tenant_id, id, entitlement_id, edge_id, fence,
            bytes, granted_at) VALUES ('{A}', gen_random_uuid(), '{entitlement}', '{EDGE}', 1, 5,
            now())");
        refused(&edges, &sql, "permission denied").await?;
        refused(&edges, "UPDATE entitlement SET bytes_leased = 0", "permission denied").await?;
        refused(&books.a, &lend(EDGE, 1, 1, 0, 100), "permission denied").await
    }
    a_draft_can_be_changed: "a draft is changed, what was issued keeps its notes", |books| {
        run(&books.a, &issue(SUBSCRIBER, false).replace("UPDATE invoice SET state",
            "UPDATE invoice SET notes = 'thank you'; UPDATE invoice SET state")).await;
        is(&books.a, "SELECT concat_ws(' ', version, notes) FROM invoice", "3 thank you").await?;
        refused(&books.a, "UPDATE invoice SET notes = 'pay'", "is immutable").await
    }
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
}

/// As many as the check of the design has; what comes after them was added.
const OF_THE_DESIGN: usize = 58;

/// Every check holds on the migrations as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invariant_holds() {
    let design = CHECKS.iter().position(|(name, ..)| *name == "a_payment_is_in_the_books");
    assert_eq!(design, Some(OF_THE_DESIGN));
    let template = Template::make().await;
    let mut broken = Vec::new();
    for (name, what, check) in CHECKS {
        let books = template.copy("").await;
        if let Err(found) = check(&books).await {
            broken.push(format!("{name} ({what}): {found}"));
        }
        books.close().await;
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
    println!("{} checks hold", CHECKS.len());
}

pub(crate) fn find(name: &str) -> Check {
    let found = CHECKS.iter().find(|(known, ..)| *known == name);
    found.unwrap_or_else(|| panic!("there is no check {name}")).2
}

fn subscriber(n: usize) -> String {
    format!("10000000-0000-7000-8000-{n:012x}")
}

fn redeem(code: &str, n: usize) -> String {
    format!(
        "SELECT outcome FROM redeem_vouchers(ARRAY[sha256('{code}')], ARRAY['{}'::uuid],
           ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY[now() + interval '1 day'],
           ARRAY[now()])",
        subscriber(1 + n % 40)
    )
}

fn pay(receipt: &str, subscriber: &str, cents: i64) -> String {
    format!(
        "SELECT payment_id, fresh FROM apply_payments(ARRAY[gen_random_uuid()],
           ARRAY[gen_random_uuid()], ARRAY['mpesa'], ARRAY['{receipt}'], ARRAY['600000'],
           ARRAY['{subscriber}'::uuid], ARRAY[NULL::uuid], ARRAY[{cents}::bigint], ARRAY[now()],
           ARRAY[now()])"
    )
}

/// An entry by hand, without `post_entry`.
fn entry(total: i64, lines: &[(&str, i64)]) -> String {
    let mut sql = format!(
        "BEGIN; INSERT INTO ledger_entry VALUES
           ('{A}', '{PAYOUT}', 'x', 't', '{PAYOUT}', 2, {total}, now());"
    );
    for (n, (code, cents)) in (1..).zip(lines) {
        let line = format!("'{A}', '{PAYOUT}', {n}, account('{code}'), {cents}");
        sql.extend(["INSERT INTO ledger_posting VALUES (", &line, ");"]);
    }
    sql + "COMMIT"
}

/// Many entries at once, each about a source of that number.
fn post_all(entries: &[(u32, &[(&str, i64)])]) -> String {
    let (mut sources, mut of, mut codes, mut cents) = (vec![], vec![], vec![], vec![]);
    for (n, (source, lines)) in (1..).zip(entries) {
        sources.push(format!("'90000000-0000-7000-8000-{source:012x}'"));
        for (code, amount) in *lines {
            of.push(n.to_string());
            codes.push(format!("'{code}'"));
            cents.push(amount.to_string());
        }
    }
    let each = |what: &str| vec![what; entries.len()].join(",");
    format!(
        "SELECT post_entries(ARRAY[{}], ARRAY[{}], ARRAY[{}], ARRAY[{}]::uuid[], ARRAY[{}],
           ARRAY[{}]::bigint[], ARRAY[{}], ARRAY[{}]::bigint[])",
        each("gen_random_uuid()"),
        each("'load'"),
        each("'t'"),
        sources.join(","),
        each("now()"),
        of.join(","),
        codes.join(","),
        cents.join(",")
    )
}

fn post(kind: &str, lines: &[(&str, i64)]) -> String {
    let codes: Vec<_> = lines.iter().map(|(code, _)| format!("'{code}'")).collect();
    let cents: Vec<_> = lines.iter().map(|(_, cents)| cents.to_string()).collect();
    format!(
        "SELECT post_entry(gen_random_uuid(), '{kind}', 't', gen_random_uuid(), now(),
           ARRAY[{}], ARRAY[{}]::bigint[])",
        codes.join(","),
        cents.join(",")
    )
}

/// An invoice of 1000.00, from draft to issued.
fn issue(subscriber: &str, undone: bool) -> String {
    let end = if undone { "ROLLBACK" } else { "COMMIT" };
    let id = Uuid::now_v7();
    format!(
        "BEGIN;
         INSERT INTO invoice (tenant_id, id, subscriber_id, due_on, created_at)
           VALUES ('{A}', '{id}', '{subscriber}', '2026-12-31', now());
         INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, descr, net_cents,
           excise_cents, vat_cents) VALUES ('{A}', '{id}', 1, 'one_off', 'x', 74963, 11244, 13793);
         SELECT post_entry(gen_random_uuid(), 'invoice.issue', 'invoice', '{id}', now(), ARRAY['ar:{subscriber}', 'revenue:internet', 'tax:excise', 'tax:vat'], ARRAY[100000, -74963, -11244, -13793]);
         UPDATE invoice SET state = 'finalised', issued_at = now() WHERE id = '{id}';
         {end}"
    )
}

/// A payment of 1500.00 and an invoice of 1000.00.
async fn paid_and_issued(books: &Books) -> (String, String) {
    run(&books.a, &pay("RCPT1", SUBSCRIBER, 150_000)).await;
    run(&books.a, &issue(SUBSCRIBER, false)).await;
    let payment = ask(&books.a, "SELECT id FROM payment").await;
    (payment, ask(&books.a, "SELECT id FROM invoice").await)
}

fn allocate(payment: &str, invoice: &str, cents: i64) -> String {
    let id = Uuid::now_v7();
    format!(
        "BEGIN;
         INSERT INTO payment_allocation VALUES
           ('{A}', '{id}', '{payment}', '{invoice}', {cents}, now());
         SELECT post_entry(gen_random_uuid(), 'payment.allocate', 'payment_allocation', '{id}', now(), ARRAY['wallet:{SUBSCRIBER}', 'ar:{SUBSCRIBER}'], ARRAY[{cents}, -{cents}]::bigint[]);
         COMMIT"
    )
}

fn credit(invoice: &str, cents: i64) -> String {
    let id = Uuid::now_v7();
    format!(
        "BEGIN;
         INSERT INTO credit_note (tenant_id, id, invoice_id, net_cents, excise_cents, vat_cents,
           reason, at) VALUES ('{A}', '{id}', '{invoice}', {cents}, 0, 0, 'outage', now());
         SELECT post_entry(gen_random_uuid(), 'invoice.credit', 'credit_note', '{id}', now(), ARRAY['revenue:internet', 'ar:{SUBSCRIBER}'], ARRAY[{cents}, -{cents}]::bigint[]);
         COMMIT"
    )
}

fn balance(code: &str) -> String {
    format!(
        "SELECT abs(coalesce(sum(amount_cents), 0)) FROM ledger_posting p JOIN ledger_account a
            ON a.tenant_id = p.tenant_id AND a.id = p.account_id WHERE a.code = '{code}'"
    )
}

fn wallet(subscriber: &str) -> String {
    format!("SELECT balance_cents FROM ledger_account WHERE code = 'wallet:{subscriber}'")
}

async fn subscribe(books: &Books) -> String {
    let id = Uuid::now_v7().to_string();
    let sql = format!(
        "INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, created_at)
         VALUES ('{A}', '{id}', '{SUBSCRIBER}', '{VERSION}', now())"
    );
    run(&books.a, &sql).await;
    id
}

fn period(subscription: &str, during: &str) -> String {
    format!(
        "INSERT INTO subscription_period VALUES
           ('{A}', gen_random_uuid(), '{subscription}', '{VERSION}', '{during}')"
    )
}

/// Two outages with an hour in common; the first is made good.
async fn out_of_order(books: &Books) -> String {
    let subscription = subscribe(books).await;
    let outages = format!(
        "INSERT INTO outage (tenant_id, id, scope_kind, scope_id, during, evidence_hash) VALUES
           ('{A}', '{OUTAGE_1}', 'edge', gen_random_uuid(),
            '[2026-11-10 10:00Z, 2026-11-10 14:00Z)', sha256('e')),
           ('{A}', '{OUTAGE_2}', 'uplink', gen_random_uuid(),
            '[2026-11-10 13:00Z, 2026-11-10 15:00Z)', sha256('e'))"
    );
    run(&books.a, &outages).await;
    let first = outage_credit(&subscription, OUTAGE_1, "[2026-11-10 10:00Z, 2026-11-10 14:00Z)");
    run(&books.a, &first).await;
    subscription
}

fn outage_credit(subscription: &str, outage: &str, lost: &str) -> String {
    format!(
        "INSERT INTO outage_credit VALUES
           ('{A}', '{outage}', '{subscription}', '{lost}', 208, 'wallet', now())"
    )
}

/// A paybill, and the role of who calls back.
async fn merchant(books: &Books) -> PgPool {
    let sql = "INSERT INTO merchant_account VALUES
        ('62000000-0000-7000-8000-000000000001', 'mpesa', '600000', sha256('token'))";
    run(&books.admin, sql).await;
    books.enter("SET search_path = kennet; SET ROLE kennet_callback")
}

/// A voucher's entitlement, and the role that edges are served in.
async fn granted(books: &Books) -> (PgPool, String) {
    run(&books.a, &redeem("code1", 1)).await;
    let id = ask(&books.a, "SELECT id FROM entitlement").await;
    (books.edges(), id)
}

fn lease(entitlement: &str, fence: usize, bytes: i64) -> String {
    format!(
        "SELECT * FROM lease_quota(gen_random_uuid(), '{entitlement}', '{EDGE}', {fence}, {bytes},
           now())"
    )
}

async fn other_edge(books: &Books) -> &'static str {
    let sql = format!(
        "INSERT INTO edge (tenant_id, id, name, secret_hash, created_at)
         VALUES ('{A}', '{OTHER_EDGE}', 'south', sha256('y'), now())"
    );
    run(&books.a, &sql).await;
    OTHER_EDGE
}

/// What an edge asks about the second subscriber: in which of its counts, the how-manieth question,
/// what was used there, and how much more it wants in hand. Answers the bound, what is free, what
/// others have, and the newest question.
fn lend(edge: &str, count: u32, fence: usize, used: i64, more: i64) -> String {
    format!(
        "SELECT concat_ws(' ', bytes, free, elsewhere, newest) FROM lease_to_edge('{}', '{edge}',
           '80000000-0000-7000-8000-{count:012x}', '2026-11-01Z', {fence}, {used}, {more}, now())",
        subscriber(2)
    )
}

/// What the journal's way into the books answers, for each time that the same batch comes.
async fn apply(
    books: &Books,
    first_seq: u64,
    prev_hash: Hash,
    records: usize,
    want: &[(u64, Verdict)],
) -> Found {
    let epoch = EpochId::from_uuid(Uuid::from_u128(7));
    let record =
        journal::Record { at_ms: 1, event: Some(Event::EdgeStarted(EdgeStarted::default())) };
    for (next_seq, verdict) in want {
        let batch = journal::Batch {
            epoch: epoch.to_vec(),
            first_seq,
            prev_hash: prev_hash.to_vec(),
            records: vec![record.encode_to_vec(); records],
        };
        let batch = Batch::try_from(batch).expect("a batch");
        let edge = EdgeId::from_uuid(EDGE.parse().expect("a UUID"));
        let journals = Journals::new(books.db.clone(), LookAgain::default());
        let ack = journals.apply(edge, epoch, &[batch], clock::now()).await;
        let ack = ack.map_err(|error| error.to_string())?;
        if (ack.next_seq, ack.verdict) != (*next_seq, *verdict) {
            return Err(format!("got {ack:?}, want {next_seq} {verdict:?}"));
        }
    }
    Ok(())
}

/// Of the first payment.
fn refund(requested_by: &str, held: bool) -> String {
    let id = Uuid::now_v7();
    let then = format!(
        "SELECT hold_refund('{id}', gen_random_uuid(), payment_id, now())
        FROM payment_refund WHERE id = '{id}';"
    );
    format!(
        "BEGIN;
         INSERT INTO payment_refund (tenant_id, id, payment_id, amount_cents, kind, state, reason,
           requested_by, created_at)
           SELECT tenant_id, '{id}', id, amount_cents, 'given_back', 'held', 'x', '{requested_by}',
                  now() FROM payment WHERE receipt = 'RCPT1';
         {}
         COMMIT",
        if held { then.as_str() } else { "" }
    )
}

fn fill_float(cents: i64) -> String {
    post("float.in", &[("cash:till", cents), (&format!("agent:{RESELLER}"), -cents)])
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

/// A little of everything, at once.
async fn busy(books: &Books) {
    let taken = race(&books.a, 120, |n| match n % 4 {
        0 => pay(&format!("RCPT{n}"), &subscriber(1 + n % 7), 5000),
        1 => issue(&subscriber(1 + n % 7), n % 8 == 1),
        2 => redeem(&format!("code{n}"), n),
        _ => fill_float(1000),
    })
    .await;
    assert_eq!(taken, 120);
    run(&books.a, &pay("RCPT-B", SUBSCRIBER, 150_000)).await;
    run(&books.a, &issue(SUBSCRIBER, false)).await;
    let payment = ask(&books.a, "SELECT id FROM payment WHERE receipt = 'RCPT-B'").await;
    let last = format!("SELECT max(number) FROM invoice WHERE subscriber_id = '{SUBSCRIBER}'");
    let invoice = format!("SELECT id FROM invoice WHERE number = ({last})");
    let invoice = ask(&books.a, &invoice).await;
    run(&books.a, &allocate(&payment, &invoice, 60_000)).await;
    run(&books.a, &credit(&invoice, 500)).await;
}

const PAYOUT: &str = "50000000-0000-7000-8000-000000000001";
const OUTAGE_1: &str = "61000000-0000-7000-8000-000000000001";
const OUTAGE_2: &str = "61000000-0000-7000-8000-000000000002";
const CALLBACK: &str = "INSERT INTO inbox_event (id, merchant_id, channel, raw, received_at) VALUES
    (gen_random_uuid(), '62000000-0000-7000-8000-000000000001', 'stk', 'x', now())";
const AUDIT: &str =
    "INSERT INTO audit_log (tenant_id, id, at, actor, action, object_kind, object_id)
    SELECT current_tenant(), gen_random_uuid(), now(), 'op', 'plan.update', 'plan', n::text
      FROM generate_series(1, 3) n";
/// What the cases would find if nothing guarded: reading, working and writing, one by one.
const NAIVE: &str = "
    CREATE TABLE naive_voucher (used boolean); INSERT INTO naive_voucher VALUES (false);
    CREATE TABLE naive_grant (n int);
    CREATE SEQUENCE naive_number; CREATE TABLE naive_invoice (number bigint);
    GRANT ALL ON naive_voucher, naive_grant, naive_invoice TO kennet_app;
    GRANT ALL ON SEQUENCE naive_number TO kennet_app;
    CREATE FUNCTION naive_redeem() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      IF NOT (SELECT used FROM naive_voucher) THEN
        PERFORM pg_sleep(0.02);
        INSERT INTO naive_grant VALUES (1);
        UPDATE naive_voucher SET used = true;
      END IF;
    END $$";

const OTHER_EDGE: &str = "70000000-0000-7000-8000-000000000002";
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
