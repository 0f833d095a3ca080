//! The ledger itself.

use super::steps::{
    PAYOUT, allocate, balance, credit, fill_float, issue, pay, post, redeem, subscriber, wallet,
};
use crate::world::{A, Books, Found, SUBSCRIBER, ask, is, race, refused, run};

checks! { OF_THE_DESIGN:
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
}

checks! { ADDED:
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
    an_account_is_opened_once: "24 who open an account at once open one", |books| {
        let taken = race(&books.a, 24, |n| pay(&format!("RCPT{n}"), SUBSCRIBER, 100)).await;
        is(&books.a, &format!("SELECT concat_ws(' ', {taken}, count(*), sum(balance_cents))
            FROM ledger_account WHERE code LIKE 'wallet:%'"), "24 1 2400").await
    }
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
