//! Money that comes in, pays, and goes back.

use uuid::Uuid;

use super::steps::{allocate, balance, credit, issue, paid_and_issued, pay, subscriber, wallet};
use crate::world::{
    A, Books, Found, SUBSCRIBER, SUBSCRIBER_OF_B, ask, is, race, refused, run, taken,
};

checks! { OF_THE_DESIGN:
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
}

checks! { ADDED:
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
    an_allocation_is_in_the_books: "an allocation is in the books", |books| {
        let (payment, invoice) = paid_and_issued(books).await;
        let sql = allocate(&payment, &invoice, 100).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = credit(&invoice, 100).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await
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
    an_intent_is_paid_once: "what was asked for is paid by one receipt", |books| {
        let intent = format!("INSERT INTO payment_intent (tenant_id, id, subscriber_id, provider,
              shortcode, amount_cents, callback_secret_hash, created_at) VALUES ('{A}', '{A}',
              '{SUBSCRIBER}', 'mpesa', '600000', 500, sha256('x'), now())");
        run(&books.a, &intent).await;
        let paid = |receipt: &str| {
            pay(receipt, SUBSCRIBER, 500).replace("NULL::uuid", &format!("'{A}'::uuid"))
        };
        taken(&books.a, &paid("RCPT1")).await?;
        is(&books.a, "SELECT state FROM payment_intent", "succeeded").await?;
        refused(&books.a, &paid("RCPT2"), "credited elsewhere").await?;
        is(&books.a, &wallet(SUBSCRIBER), "500").await
    }
    a_fee_is_in_the_books: "what a provider keeps is in the books", |books| {
        let statement = format!("BEGIN; SET LOCAL session_replication_role = replica;
            INSERT INTO reconciliation (tenant_id, id, merchant_id, day, source, ours_count,
                ours_cents, theirs_count, theirs_cents, made_by, created_at)
              VALUES ('{A}', '{A}', '{A}', '2026-11-01', 'list', 0, 0, 0, 0, 'op', now()); COMMIT");
        run(&books.admin, &statement).await;
        let fee = format!("INSERT INTO provider_fee (tenant_id, id, reconciliation_id, provider,
              shortcode, receipt, descr, amount_cents, at) VALUES ('{A}', '{A}', '{A}', 'mpesa',
              '600000', 'RCPT1', 'charge', 15, now())");
        refused(&books.a, &fee, "is not in the books as provider.fee").await?;
        let booked = format!("BEGIN; {fee}; SELECT book_fee('{A}', gen_random_uuid(), now()); COMMIT");
        taken(&books.a, &booked).await?;
        is(&books.a, &balance("expense:mpesa_fees"), "15").await
    }
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
