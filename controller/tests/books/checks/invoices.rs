//! Invoices, their numbers, credit notes and taxes.

use super::steps::{NAIVE, allocate, balance, credit, issue, paid_and_issued, subscriber};
use crate::world::{A, Books, Found, SUBSCRIBER, is, race, refused, run};

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
}
