//! A year of billing: subscribers who pay ahead, who pay late and who are invoiced afterwards; every
//! renewal, invoice, reminder, suspension and night, by the controller's own jobs on a real
//! Postgres with all its constraints.
//!
//! At the end the books must balance, and the same year again must change nothing.

use std::{process::Command, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Options, radius::postgres::Postgres};
use crate::workspace;

/// As many as a provider of some towns has; a quick round has fewer.
const SUBSCRIBERS: u32 = 10_000;
const QUICK: u32 = 500;
/// Days over which they come.
const ARRIVAL_DAYS: u32 = 28;
const BEGIN: &str = "2027-01-01 00:00:00+00";
/// Between two rounds.
const STEP_SECONDS: &str = "3600";

pub fn run(options: &Options) -> Result<Value> {
    let subscribers =
        options.subscribers.unwrap_or(if options.quick { QUICK } else { SUBSCRIBERS });
    let months = options.months.unwrap_or(if options.quick { 3 } else { 12 });
    let binary = controller()?;
    let postgres = Postgres::bare()?;
    let measured = measure(&postgres, &binary, subscribers, months);
    postgres.stop()?;
    measured
}

#[expect(clippy::float_arithmetic, reason = "a measurement")]
fn measure(
    postgres: &Postgres,
    binary: &std::path::Path,
    subscribers: u32,
    months: u32,
) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let controller = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(binary);
        command.args(arguments).args(["--database-url", &postgres.url(), "--data-dir"]);
        workspace::output(command.arg(folder.path()).env("KENNET_LOG", "warn"))
    };
    controller(&["migrate"])?;
    postgres.run(&fill(subscribers))?;
    let (mut billing, mut paying, mut looked) = (0.0, 0.0, 0_u64);
    let mut bill = |from: &str, until: &str| -> Result<()> {
        let began = Instant::now();
        let said =
            controller(&["jobs", "run", "--from", from, "--until", until, "--step", STEP_SECONDS])?;
        billing += began.elapsed().as_secs_f64();
        let looks = said.split("; ").nth(1).and_then(|said| said.split(' ').next());
        looked += looks.context("what jobs did")?.parse::<u64>()?;
        Ok(())
    };
    let mut pay = |sql: &str| -> Result<()> {
        let began = Instant::now();
        postgres.run(sql)?;
        paying += began.elapsed().as_secs_f64();
        Ok(())
    };
    let day = |n: u32| format!("'{BEGIN}'::timestamptz + interval '{n} days'");
    let stamp = |n: u32| {
        postgres.ask(&format!(
            "SELECT to_char(({}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
            day(n)
        ))
    };
    for n in 0..ARRIVAL_DAYS {
        pay(&arrive(n, &day(n)))?;
        bill(&stamp(n)?, &stamp(n + 1)?)?;
    }
    for month in 1..months {
        let (from, until) = (30 * month - 2, 30 * (month + 1) - 2);
        pay(&payments(month, &day(from)))?;
        bill(&stamp(from)?, &stamp(until)?)?;
        println!("month {month} of {months} is billed");
    }
    let end = stamp(30 * months - 2)?;
    // The last round was up to a step before the end.
    postgres
        .run(&format!("UPDATE kennet.job SET try_at = '{end}' WHERE kind = 'billing.round'"))?;
    bill(&end, &end)?;
    let cpu = postgres.cpu_seconds()?;
    let counts = postgres.ask(COUNTS)?;
    let digest = postgres.ask(DIGEST)?;
    // Every night and every round of it, again.
    postgres.run(&format!("UPDATE kennet.job SET due_at = {0}, try_at = {0}", day(1)))?;
    let began = Instant::now();
    controller(&["jobs", "run", "--from", &stamp(0)?, "--until", &end, "--step", STEP_SECONDS])?;
    let again = began.elapsed().as_secs_f64();
    ensure!(postgres.ask(DIGEST)? == digest, "the same year again has changed something");
    let off = postgres.ask(OFF)?;
    ensure!(off == "0 0 0", "trial balance, deferred, receivables: off by {off}");
    let numbers: Vec<u64> =
        counts.split(' ').map(str::parse).collect::<Result<_, _>>().context("counts")?;
    let [periods, invoices, entries, postings, suspended] = numbers.as_slice() else {
        anyhow::bail!("counts: {counts}");
    };
    println!("{subscribers} subscribers, {months} months: {billing:.1} s of billing");
    println!("{cpu:.1} s of the database's processor, {paying:.1} s of payments beside it");
    println!("{looked} looks, {periods} terms, {invoices} invoices, {entries} entries");
    println!("{suspended} suspensions; the same again: {again:.1} s, and nothing is another");
    println!("trial balance 0; deferred and receivables as their rows say");
    Ok(json!({
        "subscribers": subscribers, "months": months, "billing_seconds": billing,
        "paying_seconds": paying, "again_seconds": again, "database_cpu_seconds": cpu,
        "looks": looked, "periods": periods, "invoices": invoices, "entries": entries,
        "postings": postings, "suspensions": suspended, "failed": [],
    }))
}

/// With its release build; `KENNET_BIN_DIR` names a folder that has one already.
fn controller() -> Result<std::path::PathBuf> {
    if let Some(folder) = std::env::var_os("KENNET_BIN_DIR") {
        return Ok(std::path::PathBuf::from(folder).join("kennet-controller"));
    }
    let arguments = ["build", "--release", "-p", "controller", "--bin", "kennet-controller"];
    workspace::run(workspace::cargo().args(arguments))?;
    Ok(workspace::target().join("release/kennet-controller"))
}

/// Seven of ten pay ahead by standing order, one pays every other month, two are invoiced.
fn fill(subscribers: u32) -> String {
    format!(
        "SET search_path = kennet;
         INSERT INTO tenant (tenant_id, slug, name, created_at)
           VALUES ('{TENANT}', 'bench', 'Bench', '{BEGIN}');
         SET kennet.tenant_id = '{TENANT}';
         INSERT INTO plan (tenant_id, id, code, name, created_at) VALUES
           ('{TENANT}', '{TENANT}', 'home', 'Home 10', '{BEGIN}'),
           ('{TENANT}', '{OFFICE}', 'office', 'Office 50', '{BEGIN}');
         INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
             price_cents, validity_months, down_kbps, up_kbps, anchor, grace_seconds,
             effective_from) VALUES
           ('{TENANT}', '{TENANT}', '{TENANT}', 1, 'pppoe', 'prepaid', 'unlimited', 150000, 1,
             10000, 5000, 'purchase', 172800, '{BEGIN}'),
           ('{TENANT}', '{OFFICE}', '{OFFICE}', 1, 'pppoe', 'postpaid', 'unlimited', 500000, 1,
             50000, 50000, 'purchase', 172800, '{BEGIN}');
         INSERT INTO subscriber (tenant_id, id, account_no, username, full_name, created_at)
           SELECT '{TENANT}', ('00000000-0000-7000-8001-' || lpad(to_hex(i), 12, '0'))::uuid,
                  (10000000 + i)::text, 's' || i, 'Subscriber ' || i, '{BEGIN}'
             FROM generate_series(1, {subscribers}) i;
         INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, auto_renew,
                                   created_at)
           SELECT '{TENANT}', ('00000000-0000-7000-8002-' || lpad(to_hex(i), 12, '0'))::uuid,
                  ('00000000-0000-7000-8001-' || lpad(to_hex(i), 12, '0'))::uuid,
                  CASE WHEN i % 10 >= 8 THEN '{OFFICE}'::uuid ELSE '{TENANT}'::uuid END,
                  i % 10 < 7, '{BEGIN}'
             FROM generate_series(1, {subscribers}) i;
         ANALYZE;"
    )
}

fn as_staff(statements: &str) -> String {
    format!(
        "BEGIN; SET LOCAL search_path = kennet; SET LOCAL ROLE kennet_app;
         SET LOCAL kennet.tenant_id = '{TENANT}'; SET LOCAL kennet.scope = 'tenant';
         {statements} COMMIT;"
    )
}

/// Those of a day: who pays ahead pays for a month, who is invoiced is activated.
fn arrive(n: u32, now: &str) -> String {
    as_staff(&format!(
        "SELECT count(*)
           FROM subscriber, apply_payments(ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()],
                  ARRAY['mpesa'], ARRAY['s0-' || username], ARRAY['600000'], ARRAY[id],
                  ARRAY[NULL::uuid], ARRAY[150000::bigint], ARRAY[{now}], ARRAY[{now}])
          WHERE substr(username, 2)::int % {ARRIVAL_DAYS} = {n}
            AND substr(username, 2)::int % 10 < 8;
         UPDATE subscription SET state = 'active', bill_anchor = {now}, term_start = {now},
                term_end = {now} + interval '1 month', term_no = 1, due_at = {now}
          WHERE subscriber_id IN (SELECT id FROM subscriber
                 WHERE substr(username, 2)::int % {ARRIVAL_DAYS} = {n}
                   AND substr(username, 2)::int % 10 >= 8);"
    ))
}

/// Of a month: for another term, and for what is invoiced.
fn payments(month: u32, now: &str) -> String {
    as_staff(&format!(
        "SELECT count(*)
           FROM subscriber, apply_payments(ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()],
                  ARRAY['mpesa'], ARRAY['s{month}-' || username], ARRAY['600000'], ARRAY[id],
                  ARRAY[NULL::uuid], ARRAY[150000::bigint], ARRAY[{now}], ARRAY[{now}])
          WHERE substr(username, 2)::int % 10 < 7
             OR (substr(username, 2)::int % 10 = 7 AND {month} % 2 = 0);
         CREATE TEMPORARY TABLE paid ON COMMIT DROP AS
           SELECT gen_random_uuid() AS id, gen_random_uuid() AS allocation, i.id AS invoice,
                  i.subscriber_id, i.total_cents - i.paid_cents AS cents, i.number
             FROM invoice AS i WHERE i.state = 'finalised' AND i.total_cents > i.paid_cents;
         SELECT count(*) FROM paid, apply_payments(ARRAY[id], ARRAY[gen_random_uuid()],
                  ARRAY['mpesa'], ARRAY['i' || number], ARRAY['600000'], ARRAY[subscriber_id],
                  ARRAY[NULL::uuid], ARRAY[cents], ARRAY[{now}], ARRAY[{now}]);
         SELECT count(post_entry(gen_random_uuid(), 'payment.allocate', 'payment_allocation',
                  allocation, {now}, ARRAY['wallet:' || subscriber_id, 'ar:' || subscriber_id],
                  ARRAY[cents, -cents])) FROM paid;
         INSERT INTO payment_allocation (tenant_id, id, payment_id, invoice_id, cents, at)
           SELECT '{TENANT}', allocation, id, invoice, cents, {now} FROM paid;"
    ))
}

const TENANT: &str = "00000000-0000-7000-8000-00000000000b";
const OFFICE: &str = "00000000-0000-7000-8000-00000000000c";

const COUNTS: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM kennet.subscription_period),
    (SELECT count(*) FROM kennet.invoice), (SELECT count(*) FROM kennet.ledger_entry),
    (SELECT count(*) FROM kennet.ledger_posting),
    (SELECT count(*) FROM kennet.subscription_event WHERE to_state = 'suspended'))";

const DIGEST: &str = "SELECT md5(concat_ws(' ',
    (SELECT md5(string_agg(e::text, '' ORDER BY e.id)) FROM kennet.ledger_entry e),
    (SELECT md5(string_agg(p::text, '' ORDER BY p.entry_id, p.line_no)) FROM kennet.ledger_posting p),
    (SELECT md5(string_agg(i::text, '' ORDER BY i.id)) FROM kennet.invoice i),
    (SELECT md5(string_agg(s::text, '' ORDER BY s.id)) FROM kennet.subscription s),
    (SELECT md5(string_agg(a::text, '' ORDER BY a.id)) FROM kennet.ledger_account a)))";

/// All of them are nothing when the books are right.
const OFF: &str = "SELECT concat_ws(' ',
    (SELECT sum(amount_cents) FROM kennet.ledger_posting),
    (SELECT coalesce(sum(p.amount_cents), 0) FROM kennet.ledger_posting p
       JOIN kennet.ledger_account a ON a.id = p.account_id WHERE a.code = 'deferred:subscription')
    + (SELECT coalesce(sum(d.cents - kennet.earned(d.cents, lower(d.earning), upper(d.earning),
                b.recognised_until)), 0)
         FROM kennet.deferral d JOIN kennet.books b USING (tenant_id)),
    (SELECT coalesce(sum(balance_cents), 0) FROM kennet.ledger_account WHERE code LIKE 'ar:%')
    - (SELECT coalesce(sum(total_cents - paid_cents - credited_cents), 0) FROM kennet.invoice
        WHERE state = 'finalised'))";
