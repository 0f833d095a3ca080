//! Invoices, their numbers, credit notes and taxes.

use super::steps::{
    NAIVE, TODAY, allocate, balance, credit, issue, paid_and_issued, pay, subscriber,
};
use crate::world::{A, B, Books, Found, SUBSCRIBER, VERSION, ask, is, race, refused, run, taken};

checks! { OF_THE_DESIGN:
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
}

checks! { ADDED:
    what_is_paid_left_a_wallet: "an invoice is paid from a wallet that has less then", |books| {
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        let sql = "INSERT INTO invoice_from_wallet
            SELECT tenant_id, id, total_cents, now() FROM invoice";
        refused(&books.a, sql, "were not taken out of the wallet").await
    }
    an_invoice_is_in_the_books: "an issued invoice is in the books, and a void one", |books| {
        let sql = issue(SUBSCRIBER, false).replace("SELECT post_entry", "SELECT NULL; --");
        refused(&books.a, &sql, "is not in the books").await?;
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        let sql = "UPDATE invoice SET state = 'void'";
        refused(&books.a, sql, "is not in the books").await
    }
    a_draft_can_be_changed: "a draft is changed, what was issued keeps its notes", |books| {
        run(&books.a, &issue(SUBSCRIBER, false).replace("UPDATE invoice SET state",
            "UPDATE invoice SET notes = 'thank you'; UPDATE invoice SET state")).await;
        is(&books.a, "SELECT concat_ws(' ', version, notes) FROM invoice", "3 thank you").await?;
        refused(&books.a, "UPDATE invoice SET notes = 'pay'", "is immutable").await
    }
    tax_rates_do_not_overlap: "a day has one rate of a tax", |books| {
        let sql = format!("INSERT INTO tax_rate VALUES ('{A}', 'vat', 1400, '[2026-01-01,)')");
        refused(&books.a, &sql, "tax_rate_dates").await
    }
    an_invoice_starts_as_a_draft: "nobody makes an invoice that is issued already", |books| {
        let sql = format!("INSERT INTO invoice (tenant_id, id, subscriber_id, state, number,
              issued_at, due_on, created_at) VALUES ('{A}', gen_random_uuid(), '{SUBSCRIBER}',
              'finalised', 7, now(), '2026-12-31', now())");
        refused(&books.admin, &sql, "an invoice starts as a draft").await
    }
    a_number_is_given_once: "a number is one invoice, and one credit note, also if the series is \
        turned back", |books| {
        let (_, invoice) = paid_and_issued(books).await;
        run(&books.a, &credit(&invoice, 5)).await;
        run(&books.admin, "UPDATE number_series SET next_no = 1").await;
        refused(&books.a, &issue(SUBSCRIBER, false), "invoice_number").await?;
        refused(&books.a, &credit(&invoice, 5), "credit_note_number").await
    }
    a_period_is_invoiced_once: "a period is on one line of its kind, whatever the invoice", |books| {
        run(&books.a, &format!("INSERT INTO subscription (tenant_id, id, subscriber_id,
                plan_version_id, created_at) VALUES ('{A}', '{A}', '{SUBSCRIBER}', '{VERSION}', now());
            INSERT INTO subscription_period
              VALUES ('{A}', '{A}', '{A}', '{VERSION}', '[2026-11-01Z, 2026-12-01Z)')")).await;
        let draft = |id: &str| format!("INSERT INTO invoice (tenant_id, id, subscriber_id, created_at)
              VALUES ('{A}', '{id}', '{SUBSCRIBER}', now());
            INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, subscription_id,
                period_id, descr, net_cents, excise_cents, vat_cents)
              VALUES ('{A}', '{id}', 1, 'recurring', '{A}', '{A}', 'November', 1, 0, 0)");
        taken(&books.a, &draft(A)).await?;
        refused(&books.a, &draft(B), "invoice_line_once").await
    }
    only_what_was_issued_is_credited: "a draft is neither credited nor paid", |books| {
        let draft = format!("INSERT INTO invoice (tenant_id, id, subscriber_id, created_at)
            VALUES ('{A}', '{A}', '{SUBSCRIBER}', now())");
        run(&books.a, &draft).await;
        refused(&books.a, &credit(A, 5), "only an issued invoice is credited").await?;
        let sql = "INSERT INTO invoice_from_wallet SELECT tenant_id, id, 5, now() FROM invoice";
        refused(&books.a, sql, "only an issued invoice is paid").await
    }
    what_is_taken_from_a_wallet_pays: "an invoice that is paid from the wallet is paid", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 150_000)).await;
        let sql = issue(SUBSCRIBER, false).replace("'ar:", "'wallet:").replace("COMMIT",
            "INSERT INTO invoice_from_wallet SELECT tenant_id, id, total_cents, now() FROM invoice;
             COMMIT");
        taken(&books.a, &sql).await?;
        is(&books.a, "SELECT concat_ws(' ', total_cents, paid_cents) FROM invoice",
            "100000 100000").await
    }
    billing_hears_of_what_is_paid: "billing hears of an invoice that is paid by then", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 150_000)).await;
        run(&books.a, &issue(SUBSCRIBER, false).replace("'2026-12-31'", "current_date + 14")).await;
        run(&books.a, "DELETE FROM money_came").await;
        let payment = ask(&books.a, "SELECT id FROM payment").await;
        let invoice = ask(&books.a, "SELECT id FROM invoice").await;
        run(&books.a, &allocate(&payment, &invoice, 99_999)).await;
        is(&books.a, "SELECT count(*) FROM money_came", "0").await?;
        run(&books.a, &allocate(&payment, &invoice, 1)).await;
        is(&books.a, "SELECT string_agg(subscriber_id::text, ' ') FROM money_came", SUBSCRIBER).await
    }
    a_tax_in_force_stays: "a tax of the past stays, and today's once it is on an invoice", |books| {
        let why = "a rate that was in force stays";
        refused(&books.a, "DELETE FROM tax_rate", why).await?;
        refused(&books.a, "UPDATE tax_rate SET during = '[2023-07-01, 2024-01-01)'", why).await?;
        refused(&books.admin, "UPDATE tax_rate SET rate_bp = 1", why).await?;
        let another = format!("UPDATE tax_rate SET during = daterange('2023-07-01', {TODAY})
              WHERE code = 'vat';
            INSERT INTO tax_rate VALUES ('{A}', 'vat', 1400, daterange({TODAY}, NULL))");
        taken(&books.a, &another).await?;
        let take_back = format!("DELETE FROM tax_rate WHERE lower(during) = {TODAY}");
        taken(&books.a, &format!("BEGIN; {take_back}; ROLLBACK")).await?;
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        refused(&books.a, &take_back, why).await
    }
}
