//! Vouchers: shown once, sold, redeemed once, and always in the books.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use controller::clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{Reply, Staff, World, join_all};

async fn issue(owner: &Staff<'_>, plan_version: &str, qty: u32, presold: bool) -> Reply {
    let body = json!({ "plan_version": plan_version, "qty": qty, "presold": presold });
    owner.post("/api/vouchers/issue", body).await.is(201)
}

fn code(issued: &Reply, n: usize) -> String {
    issued.text(&format!("/codes/{n}"))
}

/// One that was used in its time has ended with it; one that was not is still worth its money.
#[tokio::test]
async fn a_voucher_ends_with_its_time() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let version = owner.plan_version("day").await;
    let issued = issue(&owner, &version, 2, true).await;
    let body = json!({ "code": code(&issued, 0), "subscriber": amina });
    owner.post("/api/vouchers/redeem", body).await.is(201);
    let states = async || {
        let batch = format!("/api/vouchers/batches/{}", issued.text("/batch/id"));
        owner.get(&batch).await.is(200).body["states"].clone()
    };
    let sold = json!({ "state": "sold", "count": 1 });
    assert_eq!(states().await, json!([{ "state": "active", "count": 1 }, sold]));
    let (now, hour) = (clock::now(), SignedDuration::from_hours(1));
    for hours in [12, 72] {
        world.app.jobs().run_between(now, now + hour * hours, hour).await.unwrap();
        let state = if hours < 24 { "active" } else { "expired" };
        let used = json!({ "state": state, "count": 1 });
        assert!(states().await.as_array().unwrap().contains(&used), "{hours} h: {used}");
    }
    let body = json!({ "code": code(&issued, 0), "subscriber": amina });
    owner.post("/api/vouchers/redeem", body).await.problem(409, "voucher-expired");
    let stock = owner.get("/api/reports/vouchers").await.is(200);
    let row = &stock.items("/items")[0];
    assert_eq!((&row["active"], &row["expired"], &row["sold"]), (&json!(0), &json!(1), &json!(1)));
}

/// From its first use on it lasts as long as its plan says, and for that it waits a year.
#[tokio::test]
async fn a_voucher_waits_for_its_first_use() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let mut terms = crate::world::terms();
    terms["anchor"] = json!("first_use");
    let body = json!({ "code": "day", "name": "A day", "terms": terms });
    let version = owner.post("/api/plans", body).await.is(201).text("/latest/id");
    let issued = issue(&owner, &version, 1, true).await;
    let body = json!({ "code": code(&issued, 0), "subscriber": amina });
    let redeemed = owner.post("/api/vouchers/redeem", body).await.is(201);
    let until: jiff::Timestamp = redeemed.text("/until").parse().unwrap();
    assert_eq!(clock::now().duration_until(until).as_hours(), 366 * 24 - 1);
    assert_eq!(world.count("SELECT count(*) FROM entitlement WHERE waits").await, 1);
}

#[tokio::test]
async fn a_voucher_is_issued_sold_and_redeemed_through_the_books() {
    let world = World::new().await;
    let owner = world.owner().await;
    let (amina, brian) = (owner.subscriber("amina").await, owner.subscriber("brian").await);
    let version = owner.plan_version("day").await;
    let issued = issue(&owner, &version, 3, false).await;
    assert_eq!(issued.body["batch"]["face_cents"], 5000);
    assert_eq!(issued.body["batch"]["net_cents"], 3748);
    assert_eq!(issued.body["codes"].as_array().unwrap().len(), 3);
    let batch = format!("/api/vouchers/batches/{}", issued.text("/batch/id"));
    let redeem = |code: String, subscriber: &str| {
        owner.post("/api/vouchers/redeem", json!({ "code": code, "subscriber": subscriber }))
    };

    // Printed is not sold.
    redeem(code(&issued, 0), &amina).await.problem(409, "voucher-not-sold");
    assert_eq!(owner.balance("cash:till").await, 0);
    let sold = owner.post(&format!("{batch}/sell"), json!(null)).await.is(200);
    assert_eq!(sold.body["states"], json!([{ "state": "sold", "count": 3 }]));
    owner.post(&format!("{batch}/sell"), json!(null)).await.problem(409, "nothing-to-sell");
    owner.post(&format!("{batch}/void"), json!(null)).await.problem(409, "nothing-to-void");
    assert_eq!(owner.balance("cash:till").await, 15_000);
    assert_eq!(owner.balance("deferred:voucher").await, -3 * 3748);
    assert_eq!(owner.balance("tax:excise").await, -3 * 562);
    assert_eq!(owner.balance("tax:vat").await, -3 * 690);

    // As somebody types it.
    let typed = code(&issued, 0).to_lowercase().replace('-', " ");
    let redeemed = redeem(typed, &amina).await.is(201);
    assert_eq!(redeemed.body["voucher"]["serial"], 1);
    assert_eq!(redeemed.body["voucher"]["state"], "active");
    for somebody in [&amina, &brian] {
        redeem(code(&issued, 0), somebody).await.problem(409, "voucher-used");
    }
    assert_eq!(owner.balance("deferred:voucher").await, -2 * 3748);
    assert_eq!(owner.balance("revenue:internet").await, -3748);
    assert_eq!(world.count("SELECT count(*) FROM entitlement").await, 1);

    let used = owner.get("/api/vouchers?state=active").await.is(200);
    assert_eq!(used.body["items"][0]["subscriber"], amina);
    assert_eq!(used.body["items"].as_array().unwrap().len(), 1);
    let batches = owner.get("/api/vouchers/batches").await.is(200);
    assert_eq!(batches.body["items"][0]["qty"], 3);
    let audit = owner.get("/api/audit").await.is(200).body.to_string();
    for action in ["voucher.issue", "voucher.sell", "voucher.redeem"] {
        assert!(audit.contains(action), "{action}");
    }
    // The code is nowhere but with who has it.
    let code = code(&issued, 0).replace('-', "");
    assert!(!audit.contains(&code));
    let stored: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM voucher WHERE position(convert_to($1, 'UTF8') IN code_hash) > 0
            OR code_hash = sha256(convert_to($1, 'UTF8'))",
    )
    .bind(&code)
    .fetch_one(&world.admin)
    .await
    .unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn codes_that_are_wrong_void_or_late_open_nothing() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let version = owner.plan_version("day").await;
    let redeem = |code: &str, subscriber: &str| {
        owner.post("/api/vouchers/redeem", json!({ "code": code, "subscriber": subscriber }))
    };
    // A mistyped one is told from one that is not there.
    let mistyped = redeem("KEN3T7QX", &amina).await.problem(422, "invalid-fields");
    assert_eq!(mistyped.body["errors"][0]["field"], "code");
    redeem("KEN3T7QW", &amina).await.problem(404, "not-found");

    let issued = issue(&owner, &version, 2, false).await;
    let batch = format!("/api/vouchers/batches/{}", issued.text("/batch/id"));
    owner.post(&format!("{batch}/void"), json!(null)).await.is(200);
    redeem(&code(&issued, 0), &amina).await.problem(409, "voucher-void");
    owner.post(&format!("{batch}/sell"), json!(null)).await.problem(409, "nothing-to-sell");

    let body = json!({ "plan_version": version, "qty": 1, "presold": true,
                       "redeem_by": "2020-01-01T00:00:00Z" });
    let late = owner.post("/api/vouchers/issue", body).await.is(201);
    redeem(&code(&late, 0), &amina).await.problem(409, "voucher-expired");

    let good = issue(&owner, &version, 1, true).await;
    let nobody = format!("sub_{}", "0".repeat(32));
    redeem(&code(&good, 0), &nobody).await.problem(409, "no-such-subscriber");
    let short = json!({ "plan_version": version, "qty": 10_000, "length": 7 });
    let short = owner.post("/api/vouchers/issue", short).await.problem(422, "invalid-fields");
    assert_eq!(short.body["errors"][0]["field"], "length");
    let none = json!({ "plan_version": format!("planv_{}", "0".repeat(32)), "qty": 1 });
    owner.post("/api/vouchers/issue", none).await.problem(409, "not-for-sale");
    let many = json!({ "plan_version": version, "qty": 10_001 });
    owner.post("/api/vouchers/issue", many).await.problem(422, "invalid-fields");

    // Another tenant's code is nobody's here.
    assert_eq!(world.count("SELECT count(*) FROM entitlement").await, 0);
    assert_eq!(owner.balance("revenue:internet").await, 0);
}

#[tokio::test]
async fn the_same_request_is_answered_with_the_same_codes_and_the_same_grant() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let version = owner.plan_version("day").await;
    let key = [("idempotency-key", "batch-0001")];
    let body = json!({ "plan_version": version, "qty": 2, "presold": true });
    let first = owner.ask("POST", "/api/vouchers/issue", &key, Some(body.clone())).await.is(201);
    let again = owner.ask("POST", "/api/vouchers/issue", &key, Some(body)).await.is(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.body, again.body);
    assert_eq!(world.count("SELECT count(*) FROM voucher").await, 2);
    assert_eq!(owner.balance("cash:till").await, 10_000);

    let key = [("idempotency-key", "redeem-0001")];
    let body = json!({ "code": code(&first, 0), "subscriber": amina });
    let (one, other) = tokio::join!(
        owner.ask("POST", "/api/vouchers/redeem", &key, Some(body.clone())),
        owner.ask("POST", "/api/vouchers/redeem", &key, Some(body.clone())),
    );
    let (one, other) = (one.is(201), other.is(201));
    assert_eq!(one.body, other.body);
    assert_eq!(world.count("SELECT count(*) FROM entitlement").await, 1);
}

/// 200 clients, one voucher, all at the same moment: one grant, one entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_who_redeem_one_voucher_one_does() {
    let world = World::new().await;
    let owner = world.owner().await;
    let mut subscribers = Vec::new();
    for n in 0..20 {
        subscribers.push(owner.subscriber(&format!("s{n}")).await);
    }
    let version = owner.plan_version("day").await;
    let issued = issue(&owner, &version, 1, true).await;

    let started = Instant::now();
    let tries = (0..200).map(|n| {
        let body = json!({ "code": code(&issued, 0), "subscriber": subscribers[n % 20] });
        owner.post("/api/vouchers/redeem", body)
    });
    let (mut granted, mut used) = (0, 0);
    for reply in join_all(tries).await {
        if reply.status == 201 {
            granted += 1;
        } else {
            reply.problem(409, "voucher-used");
            used += 1;
        }
    }
    println!("200 tries in {:?}", started.elapsed());
    assert_eq!((granted, used), (1, 199));
    assert_eq!(world.count("SELECT count(*) FROM entitlement").await, 1);
    assert_eq!(
        world.count("SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'").await,
        1
    );
    assert_eq!(owner.balance("deferred:voucher").await, 0);
}

/// What was redeemed puts its subscriber on the list of who may be on-line, for as long as it lasts.
#[tokio::test]
async fn who_redeemed_may_be_on_line_until_it_is_over() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    owner.subscriber("brian").await;
    let edge = owner.post("/api/network/edges", json!({ "name": "north" })).await.is(201);
    let (edge, secret) = (edge.text("/id"), edge.text("/secret"));
    let logins = async || -> Vec<String> {
        let basic = format!("Basic {}", STANDARD.encode(format!("{edge}:{secret}")));
        let headers = [("authorization", basic.as_str())];
        let desired = world.ask("GET", "/edge/v1/desired", &headers, None).await.is(200);
        let list = desired.body["subscriber"].as_array().cloned().unwrap_or_default();
        list.iter().map(|one: &Value| one["username"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(logins().await, Vec::<String>::new());
    let version = owner.plan_version("day").await;
    let issued = issue(&owner, &version, 1, true).await;
    let body = json!({ "code": code(&issued, 0), "subscriber": amina });
    owner.post("/api/vouchers/redeem", body).await.is(201);
    assert_eq!(logins().await, ["amina"]);
    let over =
        "UPDATE entitlement SET valid = tstzrange(now() - interval '2 h', now() - interval '1 h')";
    sqlx::query(over).execute(&world.admin).await.unwrap();
    assert_eq!(logins().await, Vec::<String>::new());
}
