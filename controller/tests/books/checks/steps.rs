//! What checks do, as statements.

use uuid::Uuid;

use crate::world::{A, Books, RESELLER, SUBSCRIBER, ask, run};

pub(super) fn subscriber(n: usize) -> String {
    format!("10000000-0000-7000-8000-{n:012x}")
}

pub(super) fn redeem(code: &str, n: usize) -> String {
    format!(
        "SELECT outcome FROM redeem_vouchers(ARRAY[sha256('{code}')], ARRAY['{}'::uuid],
           ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY[now() + interval '1 day'],
           ARRAY[now()])",
        subscriber(1 + n % 40)
    )
}

pub(super) fn pay(receipt: &str, subscriber: &str, cents: i64) -> String {
    format!(
        "SELECT payment_id, fresh FROM apply_payments(ARRAY[gen_random_uuid()],
           ARRAY[gen_random_uuid()], ARRAY['mpesa'], ARRAY['{receipt}'], ARRAY['600000'],
           ARRAY['{subscriber}'::uuid], ARRAY[NULL::uuid], ARRAY[{cents}::bigint], ARRAY[now()],
           ARRAY[now()])"
    )
}

pub(super) fn post(kind: &str, lines: &[(&str, i64)]) -> String {
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
pub(super) fn issue(subscriber: &str, undone: bool) -> String {
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
pub(super) async fn paid_and_issued(books: &Books) -> (String, String) {
    run(&books.a, &pay("RCPT1", SUBSCRIBER, 150_000)).await;
    run(&books.a, &issue(SUBSCRIBER, false)).await;
    let payment = ask(&books.a, "SELECT id FROM payment").await;
    (payment, ask(&books.a, "SELECT id FROM invoice").await)
}

pub(super) fn allocate(payment: &str, invoice: &str, cents: i64) -> String {
    let id = Uuid::now_v7();
    format!(
        "BEGIN;
         INSERT INTO payment_allocation VALUES
           ('{A}', '{id}', '{payment}', '{invoice}', {cents}, now());
         SELECT post_entry(gen_random_uuid(), 'payment.allocate', 'payment_allocation', '{id}', now(), ARRAY['wallet:{SUBSCRIBER}', 'ar:{SUBSCRIBER}'], ARRAY[{cents}, -{cents}]::bigint[]);
         COMMIT"
    )
}

pub(super) fn credit(invoice: &str, cents: i64) -> String {
    let id = Uuid::now_v7();
    format!(
        "BEGIN;
         INSERT INTO credit_note (tenant_id, id, invoice_id, net_cents, excise_cents, vat_cents,
           reason, at) VALUES ('{A}', '{id}', '{invoice}', {cents}, 0, 0, 'outage', now());
         SELECT post_entry(gen_random_uuid(), 'invoice.credit', 'credit_note', '{id}', now(), ARRAY['revenue:internet', 'ar:{SUBSCRIBER}'], ARRAY[{cents}, -{cents}]::bigint[]);
         COMMIT"
    )
}

pub(super) fn balance(code: &str) -> String {
    format!(
        "SELECT abs(coalesce(sum(amount_cents), 0)) FROM ledger_posting p JOIN ledger_account a
            ON a.tenant_id = p.tenant_id AND a.id = p.account_id WHERE a.code = '{code}'"
    )
}

pub(super) fn wallet(subscriber: &str) -> String {
    format!("SELECT balance_cents FROM ledger_account WHERE code = 'wallet:{subscriber}'")
}

pub(super) fn fill_float(cents: i64) -> String {
    post("float.in", &[("cash:till", cents), (&format!("agent:{RESELLER}"), -cents)])
}

/// Where the tenant is.
pub(super) const TODAY: &str = "(now() AT TIME ZONE 'Africa/Nairobi')::date";
pub(super) const PAYOUT: &str = "50000000-0000-7000-8000-000000000001";
/// What the cases would find if nothing guarded: reading, working and writing, one by one.
pub(super) const NAIVE: &str = "
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
