//! Invoices and payments: numbers without gaps, receipts once, and books that balance.

use std::{sync::Arc, time::Instant};

use controller::{
    actor::Actor,
    billing::Cents,
    invoices::{NewInvoice, NewLine},
    payments::{NewPayment, Provider},
};
use serde_json::{Value, json};
use shared::id::{InvoiceId, SubscriberId, TenantId};
use sqlx::Row as _;
use tokio::{sync::Barrier, task::JoinSet};

use crate::world::{Reply, Staff, World};

async fn draft(owner: &Staff<'_>, subscriber: &str, price_cents: i64) -> Reply {
    let body = json!({ "subscriber": subscriber,
                       "lines": [{ "descr": "Installation", "price_cents": price_cents }] });
    owner.post("/api/invoices", body).await.is(201)
}

async fn issue(owner: &Staff<'_>, subscriber: &str, price_cents: i64, due_on: &str) -> Reply {
    let draft = draft(owner, subscriber, price_cents).await;
    let path = format!("/api/invoices/{}/finalise", draft.text("/id"));
    owner.post(&path, json!({ "due_on": due_on })).await.is(200)
}

async fn pay(owner: &Staff<'_>, subscriber: &str, cents: i64) -> Reply {
    let body = json!({ "provider": "cash", "subscriber": subscriber, "amount_cents": cents });
    owner.post("/api/payments", body).await.is(201)
}

/// The books balance, and say the same as invoices, payments and wallets.
pub(crate) async fn check_the_books(world: &World, owner: &Staff<'_>) {
    owner.balance("cash:till").await;
    let row = sqlx::query(
        "SELECT (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_posting),
                (SELECT coalesce(sum(total_cents - paid_cents - credited_cents), 0)::bigint
                   FROM invoice WHERE state = 'finalised')
                - (SELECT coalesce(sum(balance_cents), 0)::bigint FROM ledger_account
                    WHERE code LIKE 'ar:%' AND code NOT LIKE 'ar:chargeback:%'),
                (SELECT coalesce(sum(amount_cents - allocated_cents), 0)::bigint FROM payment
                  WHERE state = 'matched')
                - (SELECT coalesce(sum(r.amount_cents - r.owed_cents), 0)::bigint
                     FROM payment_refund r JOIN payment p ON p.id = r.payment_id
                    WHERE r.state <> 'failed' AND p.state = 'matched')
                - (SELECT coalesce(sum(balance_cents), 0)::bigint FROM ledger_account
                    WHERE code LIKE 'wallet:%')",
    )
    .fetch_one(&world.admin)
    .await
    .expect("three sums");
    let differences: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    assert_eq!(differences, [0, 0, 0], "postings, invoices, wallets");
}

async fn wallet(owner: &Staff<'_>, subscriber: &str) -> Value {
    let wallets = owner.get("/api/finance/wallets").await.is(200);
    let of = |wallet: &&Value| wallet.get("subscriber") == Some(&Value::from(subscriber));
    let wallet = wallets.items("/items").iter().find(of).expect("a wallet");
    wallet.get("balance_cents").expect("a balance").clone()
}

#[tokio::test]
async fn an_invoice_is_drafted_issued_and_paid() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let made = draft(&owner, &amina, 100_000).await;
    assert_eq!(made.body["number"], Value::Null);
    assert_eq!(made.body["net_cents"], 74_963);
    assert_eq!(made.body["excise_cents"], 11_244);
    assert_eq!(made.body["vat_cents"], 13_793);
    let path = format!("/api/invoices/{}", made.text("/id"));
    let issued = owner.post(&format!("{path}/finalise"), json!({})).await.is(200);
    assert_eq!(issued.body["number"], "INV-000001");
    assert_eq!(issued.body["state"], "finalised");
    assert!(issued.body["due_on"].is_string());
    owner.post(&format!("{path}/finalise"), json!({})).await.problem(409, "not-a-draft");
    owner.ask("DELETE", &path, &[], None).await.problem(409, "not-a-draft");

    // Over the counter: it pays what is open, and the wallet keeps the rest.
    let paid = pay(&owner, &amina, 120_000).await;
    assert_eq!(paid.body["receipt"], "RCT-000001");
    assert_eq!(paid.body["allocated_cents"], 100_000);
    assert_eq!(paid.body["allocations"][0]["invoice"], made.body["id"]);
    assert_eq!(owner.get(&path).await.body["paid_cents"], 100_000);
    assert_eq!(wallet(&owner, &amina).await, 20_000);
    owner.post(&format!("{path}/void"), json!(null)).await.problem(409, "not-voidable");
    let credit = json!({ "cents": 1, "reason": "Late" });
    owner.post(&format!("{path}/credit-notes"), credit).await.problem(409, "not-so-much");
    check_the_books(&world, &owner).await;
    let audit = owner.get("/api/audit").await.body.to_string();
    for action in ["invoice.create", "invoice.finalise", "payment.record"] {
        assert!(audit.contains(action), "{action}");
    }
}

#[tokio::test]
async fn what_is_due_first_is_paid_first() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let later = issue(&owner, &amina, 1000, "2027-02-01").await.text("/id");
    let first = issue(&owner, &amina, 1000, "2027-01-01").await.text("/id");
    let paid = pay(&owner, &amina, 1500).await;
    assert_eq!(paid.body["allocations"][0]["invoice"], first);
    assert_eq!(paid.body["allocations"][0]["cents"], 1000);
    assert_eq!(paid.body["allocations"][1]["invoice"], later);
    assert_eq!(paid.body["allocations"][1]["cents"], 500);

    // What came in without a choice is allocated later, to one invoice.
    let body = json!({ "provider": "cash", "subscriber": amina, "amount_cents": 5000,
                       "allocate": false });
    let kept = owner.post("/api/payments", body).await.is(201);
    assert_eq!(kept.body["allocated_cents"], 0);
    let path = format!("/api/payments/{}/allocate", kept.text("/id"));
    let done = json!({ "invoice": first });
    owner.post(&path, done).await.problem(409, "nothing-to-pay");
    let allocated = owner.post(&path, json!({ "invoice": later })).await.is(200);
    assert_eq!(allocated.body["allocated_cents"], 500);
    owner.post(&path, json!({})).await.problem(409, "nothing-to-pay");
    assert_eq!(wallet(&owner, &amina).await, 4500);
    check_the_books(&world, &owner).await;
}

#[tokio::test]
async fn drafts_go_and_issued_invoices_are_voided_or_credited() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let made = draft(&owner, &amina, 1000).await;
    let path = format!("/api/invoices/{}", made.text("/id"));
    owner.post(&format!("{path}/void"), json!(null)).await.problem(409, "not-voidable");
    owner.ask("DELETE", &path, &[], None).await.is(204);
    owner.get(&path).await.problem(404, "not-found");

    let wrong = issue(&owner, &amina, 1000, "2027-01-01").await;
    assert_eq!(wrong.body["number"], "INV-000001", "a deleted draft took no number");
    let path = format!("/api/invoices/{}", wrong.text("/id"));
    let void = owner.post(&format!("{path}/void"), json!(null)).await.is(200);
    assert_eq!((&void.body["state"], &void.body["number"]), (&json!("void"), &json!("INV-000001")));
    owner.post(&format!("{path}/void"), json!(null)).await.problem(409, "not-voidable");

    let right = issue(&owner, &amina, 100_000, "2027-01-01").await;
    let path = format!("/api/invoices/{}/credit-notes", right.text("/id"));
    let credit = json!({ "cents": 33_333, "reason": "Outage" });
    let key = [("idempotency-key", "credit-0001")];
    let first = owner.ask("POST", &path, &key, Some(credit.clone())).await.is(201);
    let again = owner.ask("POST", &path, &key, Some(credit)).await.is(201);
    assert_eq!(first.body, again.body);
    assert_eq!(first.body["number"], "CRN-000001");
    let rest = json!({ "cents": 66_667, "reason": "Gone" });
    let rest = owner.post(&path, rest).await.is(201);
    for part in ["net_cents", "excise_cents", "vat_cents"] {
        let sum = first.body[part].as_i64().unwrap() + rest.body[part].as_i64().unwrap();
        assert_eq!(Value::from(sum), right.body[part], "{part}");
    }
    let more = json!({ "cents": 1, "reason": "More" });
    owner.post(&path, more).await.problem(409, "not-so-much");
    assert_eq!(owner.get(&path).await.body.as_array().unwrap().len(), 2);
    // Nothing is owed and nothing was earned.
    let books = owner.get("/api/finance/accounts").await.body;
    for account in books["accounts"].as_array().unwrap() {
        assert_eq!(account["debit_cents"], account["credit_cents"], "{account}");
    }
    check_the_books(&world, &owner).await;
}

#[tokio::test]
async fn discounts_take_off_what_there_is() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let line = |price: i64| json!({ "descr": "Line", "price_cents": price });
    let body = |lines: Value| json!({ "subscriber": amina, "lines": lines });
    let good = body(json!([line(1000), line(-400)]));
    let made = owner.post("/api/invoices", good).await.is(201);
    assert_eq!(made.body["total_cents"], 600);
    assert_eq!(made.body["lines"][1]["kind"], "discount");
    for lines in [json!([line(1000), line(-1001)]), json!([])] {
        let reply = owner.post("/api/invoices", body(lines)).await.problem(422, "invalid-fields");
        assert_eq!(reply.body["errors"][0]["field"], "lines");
    }
    // What costs nothing is issued too, and is not in the books.
    let free = body(json!([line(1000), line(-1000)]));
    let free = owner.post("/api/invoices", free).await.is(201);
    let path = format!("/api/invoices/{}/finalise", free.text("/id"));
    assert_eq!(owner.post(&path, json!({})).await.is(200).body["number"], "INV-000001");
    let nobody = json!({ "subscriber": format!("sub_{}", "0".repeat(32)), "lines": [line(1)] });
    owner.post("/api/invoices", nobody).await.problem(409, "no-such-subscriber");
    check_the_books(&world, &owner).await;
}

#[tokio::test]
async fn money_of_nobody_known_waits_in_suspense() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let body = |receipt: &str, subscriber: Value, cents: i64| {
        json!({ "provider": "mpesa", "shortcode": "600000", "receipt": receipt,
                "subscriber": subscriber, "amount_cents": cents })
    };
    let lost = owner.post("/api/payments", body("TK60708BHZ", Value::Null, 5000)).await.is(201);
    assert_eq!(lost.body["state"], "unmatched");
    let unmatched = owner.get("/api/payments?state=unmatched").await.is(200);
    assert_eq!(unmatched.body["items"].as_array().unwrap().len(), 1);
    let path = format!("/api/payments/{}", lost.text("/id"));
    owner.post(&format!("{path}/allocate"), json!({})).await.problem(409, "not-matched");
    let assign = json!({ "subscriber": amina });
    let found = owner.post(&format!("{path}/assign"), assign.clone()).await.is(200);
    assert_eq!(found.body["subscriber"], amina);
    assert_eq!(wallet(&owner, &amina).await, 5000);
    owner.post(&format!("{path}/assign"), assign).await.problem(409, "matched-already");

    // The receipt is one payment: again it is the same, otherwise it is refused.
    let again = owner.post("/api/payments", body("TK60708BHZ", json!(amina), 5000)).await.is(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body["id"], lost.body["id"]);
    let other = body("TK60708BHZ", json!(amina), 6000);
    owner.post("/api/payments", other).await.problem(409, "receipt-taken");
    let brian = owner.subscriber("brian").await;
    let other = body("TK60708BHZ", json!(brian), 5000);
    owner.post("/api/payments", other).await.problem(409, "receipt-taken");
    let mut none = body("x", json!(amina), 5000);
    none.as_object_mut().unwrap().remove("receipt");
    let none = owner.post("/api/payments", none).await.problem(422, "invalid-fields");
    assert_eq!(none.body["errors"][0]["field"], "receipt");
    // What the series will come to is not taken before.
    let ours = json!({ "provider": "cash", "receipt": "RCT-000001", "subscriber": amina,
                       "amount_cents": 100 });
    let ours = owner.post("/api/payments", ours).await.problem(422, "invalid-fields");
    assert_eq!(ours.body["errors"][0]["field"], "receipt");
    assert_eq!(wallet(&owner, &amina).await, 5000);
    check_the_books(&world, &owner).await;
}

#[tokio::test]
async fn another_rate_is_from_a_day_on_and_leaves_what_was_invoiced() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let before = issue(&owner, &amina, 100_000, "2027-01-01").await;
    let rates = owner.get("/api/finance/tax-rates").await.is(200);
    assert_eq!(rates.items("").len(), 2);
    let today = controller::clock::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let set = |tax: &str, rate: u32, from: jiff::civil::Date| {
        let body = json!({ "tax": tax, "rate_bp": rate, "from": from });
        owner.post("/api/finance/tax-rates", body)
    };
    let far = today.checked_add(jiff::Span::new().days(30)).unwrap();
    let farther = far.tomorrow().unwrap();
    // A day later than today everywhere.
    set("vat", 1800, farther).await.is(200);
    let once = set("vat", 1700, far).await.is(200);
    let twice = set("vat", 1700, far).await.is(200);
    assert_eq!(once.body, twice.body);
    assert_eq!(once.items("").len(), 3);
    assert_eq!(once.body[1]["until"], json!(far));
    assert_eq!(once.body[2]["rate_bp"], 1700);
    let same = draft(&owner, &amina, 100_000).await;
    assert_eq!(same.body["vat_cents"], 13_793);

    // As if the day had come.
    let come = "UPDATE tax_rate SET during = CASE WHEN upper_inf(during) AND rate_bp = 1700
          THEN daterange('2026-01-01', NULL) ELSE during * daterange(NULL, '2026-01-01') END
        WHERE code = 'vat'";
    sqlx::raw_sql(
        "ALTER TABLE tax_rate DISABLE TRIGGER rate_guard, DROP CONSTRAINT tax_rate_dates,
           DROP CONSTRAINT tax_rate_pkey",
    )
    .execute(&world.admin)
    .await
    .unwrap();
    sqlx::query(come).execute(&world.admin).await.unwrap();
    let after = draft(&owner, &amina, 100_000).await;
    assert_eq!(after.number("/vat_cents"), 14_530);
    assert_eq!(after.number("/total_cents"), 100_000);
    let path = format!("/api/invoices/{}", before.text("/id"));
    assert_eq!(owner.get(&path).await.body["vat_cents"], 13_793);
    let past = today.checked_sub(jiff::Span::new().days(2)).unwrap();
    let refused = set("excise", 0, past).await.problem(422, "invalid-fields");
    assert_eq!(refused.body["errors"][0]["field"], "from");
    set("excise", 10_001, far).await.problem(422, "invalid-fields");
}

async fn actor(world: &World) -> Actor {
    let tenant = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE slug = 'first'")
        .fetch_one(&world.admin)
        .await
        .expect("a tenant");
    Actor::command_line(TenantId::from_uuid(tenant))
}

/// A double-clicked form: one key, sent twenty times at once, has one effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_twenty_times_has_one_effect() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    issue(&owner, &amina, 1000, "2027-01-01").await;
    let key = [("idempotency-key", "double-click-1")];
    let body = json!({ "provider": "cash", "subscriber": amina, "amount_cents": 1500 });
    let post = || owner.ask("POST", "/api/payments", &key, Some(body.clone()));
    let replies = tokio::join!(
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
        post(),
    );
    let first = replies.0.is(201).body;
    for reply in [replies.1, replies.9, replies.19] {
        assert_eq!(reply.is(201).body, first);
    }
    assert_eq!(world.count("SELECT count(*) FROM payment").await, 1);
    assert_eq!(wallet(&owner, &amina).await, 500);
    check_the_books(&world, &owner).await;
}

/// 120 deliveries of one receipt at the same moment: one credit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_120_deliveries_of_one_receipt_one_is_credited() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    issue(&owner, &amina, 60_000, "2027-01-01").await;
    let actor = actor(&world).await;
    let subscriber: SubscriberId = amina.parse().unwrap();
    let together = Arc::new(Barrier::new(120));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..120 {
        let (payments, actor) = (world.app.payments().clone(), actor.clone());
        let together = Arc::clone(&together);
        let new = NewPayment {
            provider: Provider::Mpesa,
            receipt: Some("SAME1RCPT0".parse().unwrap()),
            shortcode: "600000".parse().unwrap(),
            subscriber: Some(subscriber),
            amount: Cents::new(100_000),
            paid_at: None,
            allocate: true,
        };
        tasks.spawn(async move {
            together.wait().await;
            payments.record(&actor, None, new).await.expect("it is credited, or was").replayed
        });
    }
    let replayed = tasks.join_all().await.into_iter().filter(|replayed| *replayed).count();
    println!("120 deliveries in {:?}", started.elapsed());
    assert_eq!(replayed, 119);
    assert_eq!(world.count("SELECT count(*) FROM payment").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM payment_allocation").await, 1);
    assert_eq!(wallet(&owner, &amina).await, 40_000);
    check_the_books(&world, &owner).await;
}

/// 16 writers of one series, and every third gives up at the last moment: no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_of_one_series_leave_no_gap() {
    let world = World::new().await;
    let owner = world.owner().await;
    let mut subscribers: Vec<SubscriberId> = Vec::new();
    for n in 0..16 {
        subscribers.push(owner.subscriber(&format!("s{n}")).await.parse().unwrap());
    }
    let actor = actor(&world).await;
    // Whoever has an odd due date is undone after the number was taken.
    sqlx::raw_sql(
        "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
           IF extract(day FROM NEW.due_on) > 28 THEN RAISE EXCEPTION 'given up'; END IF;
           RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER give_up AFTER UPDATE ON invoice
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION give_up();",
    )
    .execute(&world.admin)
    .await
    .unwrap();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (writer, subscriber) in subscribers.into_iter().enumerate() {
        let (invoices, actor) = (world.app.invoices().clone(), actor.clone());
        tasks.spawn(async move {
            let mut issued = 0;
            for n in 0..10 {
                let line = NewLine {
                    descr: "Line".parse().unwrap(),
                    price: Cents::new(1000),
                    includes_tax: true,
                };
                let new = NewInvoice { subscriber, due_on: None, notes: None, lines: vec![line] };
                let id: InvoiceId = invoices.create(&actor, None, new).await.unwrap().value.id;
                let gives_up = (writer + n) % 10 < 3;
                let day = if gives_up { 30 } else { 15 };
                let due_on = Some(jiff::civil::date(2027, 1, day));
                let done = invoices.finalise(&actor, id, due_on).await;
                assert_eq!(done.is_err(), gives_up);
                issued += i64::from(done.is_ok());
            }
            issued
        });
    }
    let issued: i64 = tasks.join_all().await.into_iter().sum();
    println!("160 tries in {:?}", started.elapsed());
    assert_eq!(issued, 112);
    let last = world.count("SELECT max(number) FROM invoice").await;
    let count = world.count("SELECT count(DISTINCT number) FROM invoice").await;
    assert_eq!((last, count), (112, 112));
    check_the_books(&world, &owner).await;
}
