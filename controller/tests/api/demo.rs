//! The demo's past: the same seed is the same past, and its books are as they must be.

use controller::{
    demo::{self, Scale},
    verify::{Report, Verify},
};
use jiff::civil::date;

use crate::world::World;

/// What people see of the past, without what is new each time: ids, codes and moments of writing.
const SEEN: &str = "SELECT string_agg(line, E'\n' ORDER BY line) FROM (
    SELECT format('subscriber %s %s %s %s %s', account_no, username, full_name, msisdn, status)
           AS line FROM subscriber
    UNION ALL
    SELECT format('invoice %s %s %s %s %s %s', number, s.username, i.issued_at, i.total_cents,
                  i.paid_cents, i.credited_cents)
      FROM invoice i JOIN subscriber s ON s.id = i.subscriber_id
    UNION ALL
    SELECT format('payment %s %s %s %s %s %s', provider, receipt, amount_cents, paid_at, state,
                  allocated_cents) FROM payment
    UNION ALL
    SELECT format('voucher %s %s %s', v.serial, v.state, v.redeemed_at) FROM voucher v
    UNION ALL
    SELECT format('settlement %s %s %s', during, gross_cents, net_cents) FROM settlement
    UNION ALL
    SELECT format('payout %s %s', provider_txn, amount_cents) FROM payout
    UNION ALL
    SELECT format('ticket %s %s %s %s', reference, subject, state, opened_at) FROM ticket
    UNION ALL
    SELECT format('account %s %s', split_part(a.code, ':', 1), sum(p.amount_cents))
      FROM ledger_account a JOIN ledger_posting p ON p.account_id = a.id GROUP BY a.code) seen";

async fn past(world: &World, seed: u64) -> String {
    let scale = Scale { seed, until: date(2026, 11, 28), months: 2, subscribers: 6 };
    let email = "owner@demo.kennet.example".parse().unwrap();
    let seeded = demo::seed(&world.app, email, "correct horse".parse().unwrap(), &scale).await;
    let written = seeded.unwrap().history.expect("a new tenant has a past written");
    assert!(written.payments > 8, "{written:?}");
    // Most are issued by billing, each at its time.
    let invoices = world.count("SELECT count(*) FROM invoice WHERE state = 'finalised'").await;
    assert!(invoices > 8, "{invoices}");
    let live = "SELECT count(*) FROM subscription WHERE state = 'active'";
    assert!(world.count(live).await > 2);
    assert!(written.vouchers_redeemed > 2 && written.payouts > 2, "{written:?}");
    let reports = Verify::new(world.db.clone()).everything().await.unwrap();
    let fault = reports.iter().find_map(Report::first_fault);
    assert!(fault.is_none(), "{}", fault.unwrap());
    sqlx::query_scalar(SEEN).fetch_one(&world.admin).await.unwrap()
}

#[tokio::test]
async fn the_same_seed_writes_the_same_past() {
    let (one, other) = (World::new().await, World::new().await);
    let (first, second) = (past(&one, 7).await, past(&other, 7).await);
    assert!(first.lines().count() > 60, "{first}");
    assert_eq!(first, second);
    let late = "SELECT count(*) FROM invoice WHERE issued_at >= '2026-11-28'";
    assert_eq!(one.count(late).await, 0);
}
