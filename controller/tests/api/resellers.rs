//! Resellers: a float that is not overdrawn, a commission, statements, payouts by two people, and
//! staff that sees nothing else.

use serde_json::{Value, json};

use crate::{
    mail::MailServer,
    world::{PASSWORD, Staff, World},
};

async fn reseller(owner: &Staff<'_>, name: &str, commission_bp: u16) -> String {
    let body = json!({ "name": name, "commission_bp": commission_bp });
    owner.post("/api/resellers", body).await.is(201).text("/id")
}

async fn float(owner: &Staff<'_>, reseller: &str, cents: i64) {
    let path = format!("/api/resellers/{reseller}/float");
    owner.post(&path, json!({ "cents": cents })).await.is(201);
}

async fn left(owner: &Staff<'_>, reseller: &str) -> i64 {
    owner.get(&format!("/api/resellers/{reseller}")).await.is(200).number("/float_cents")
}

#[tokio::test]
async fn a_reseller_sells_out_of_its_float_and_keeps_a_commission() {
    let world = World::new().await;
    let owner = world.owner().await;
    let shop = reseller(&owner, "Mama Njeri", 1000).await;
    let version = owner.plan_version("day").await;
    let body = json!({ "plan_version": version, "qty": 3, "reseller": shop });
    let issued = owner.post("/api/vouchers/issue", body.clone()).await.is(201);
    let sell = format!("/api/vouchers/batches/{}/sell", issued.text("/batch/id"));

    // Three at 50.00 less ten percent are 135.00.
    float(&owner, &shop, 13_499).await;
    owner.post(&sell, json!(null)).await.problem(409, "float-too-low");
    assert_eq!(world.count("SELECT count(*) FROM voucher WHERE state = 'sold'").await, 0);
    float(&owner, &shop, 1).await;
    owner.post(&sell, json!(null)).await.is(200);
    assert_eq!(left(&owner, &shop).await, 0);
    assert_eq!(owner.balance("cash:till").await, 13_500);
    assert_eq!(owner.balance("expense:commission").await, 1500);
    assert_eq!(owner.balance("deferred:voucher").await, -3 * 3748);
    assert_eq!(owner.balance("tax:vat").await, -3 * 690);

    // Another commission is from tomorrow on.
    let path = format!("/api/resellers/{shop}");
    let etag = owner.get(&path).await.etag();
    let changed = owner.patch(&path, &etag, json!({ "commission_bp": 2000 })).await.is(200);
    assert_eq!(changed.number("/commission_bp"), 1000);
    owner.patch(&path, &etag, json!({ "name": "Late" })).await.problem(412, "stale");
    let again = owner.patch(&path, &changed.etag(), json!({ "commission_bp": 500 })).await.is(200);
    let gone = owner.patch(&path, &again.etag(), json!({ "active": false })).await.is(200);
    assert_eq!(gone.body["active"], false);
    let more = owner.post("/api/vouchers/issue", body).await.is(201);
    let sell = format!("/api/vouchers/batches/{}/sell", more.text("/batch/id"));
    owner.post(&sell, json!(null)).await.problem(409, "no-such-reseller");
    assert_eq!(world.count("SELECT count(*) FROM commission_rule").await, 2);

    // The same request pays in once.
    let key = [("idempotency-key", "float-0001")];
    let path = format!("{path}/float");
    for _ in 0..2 {
        owner.ask("POST", &path, &key, Some(json!({ "cents": 700 }))).await.is(201);
    }
    assert_eq!(left(&owner, &shop).await, 700);
}

/// Vouchers of a plan, at another price than its own.
async fn batch(owner: &Staff<'_>, shop: &str, version: &str, qty: u32, face: Value) -> String {
    let body = json!({ "plan_version": version, "qty": qty, "reseller": shop, "face_cents": face });
    let issued = owner.post("/api/vouchers/issue", body).await.is(201);
    format!("/api/vouchers/batches/{}/sell", issued.text("/batch/id"))
}

#[tokio::test]
async fn a_reseller_keeps_what_is_agreed_on_for_the_plan_and_the_day() {
    let world = World::new().await;
    let owner = world.owner().await;
    let shop = reseller(&owner, "Mama Njeri", 1000).await;
    float(&owner, &shop, 1_000_000).await;
    // Both at 50.00, of which 37.48 are net.
    let (day, week) = (owner.plan_version("day").await, owner.plan_version("week").await);
    let plans = owner.get("/api/plans").await.is(200);
    let plan = plans.items("/items").iter().find(|plan| plan["code"] == "day").expect("made");
    let plan = plan["id"].clone();
    let path = format!("/api/resellers/{shop}/commissions");
    let today = "SELECT ((now() AT TIME ZONE 'Africa/Nairobi')::date)::text";
    let today: String = sqlx::query_scalar(today).fetch_one(&world.admin).await.expect("a day");
    // What is kept in all, and what is left of the float.
    let kept = async |commission: i64, left_now: i64| {
        assert_eq!(owner.balance("expense:commission").await, commission);
        assert_eq!(left(&owner, &shop).await, left_now);
    };

    // Nothing was sold yet today: it may be said for today, and said again.
    let net = json!({ "basis": "net", "rate_bp": 1000, "from": today });
    for _ in 0..2 {
        let set = owner.post(&path, net.clone()).await.is(200);
        assert_eq!(set.body["commission_bp"], Value::Null, "{}", set.body);
        assert_eq!(set.items("/commissions").len(), 1);
    }
    let fixed = json!({ "plan": plan, "fixed_cents": 700, "cap_cents": 650, "from": today });
    let set = owner.post(&path, fixed.clone()).await.is(200);
    let want = json!({ "plan": plan, "basis": null, "rate_bp": null, "fixed_cents": 700,
                       "cap_cents": 650, "from": today, "until": null });
    assert_eq!(set.body["commissions"][1], want);

    // The plan's own goes first, up to its cap.
    let sell = batch(&owner, &shop, &day, 3, Value::Null).await;
    owner.post(&sell, json!(null)).await.is(200);
    kept(3 * 650, 1_000_000 - 3 * 4350).await;
    // A tenth of 37.48 is 3.75, for each of them.
    let sell = batch(&owner, &shop, &week, 2, Value::Null).await;
    owner.post(&sell, json!(null)).await.is(200);
    kept(1950 + 2 * 375, 986_950 - 2 * 4625).await;
    // Nobody is paid for taking a voucher.
    let sell = batch(&owner, &shop, &day, 2, json!(600)).await;
    owner.post(&sell, json!(null)).await.is(200);
    kept(2700 + 2 * 600, 977_700).await;

    // Today is over for whatever would change it; tomorrow is not.
    for rule in [net, fixed] {
        owner.post(&path, rule).await.problem(409, "rate-in-use");
    }
    let unsold = json!({ "plan": plan, "rate_bp": 100, "from": today, "until": "2999-01-01" });
    owner.post(&path, unsold).await.problem(409, "rate-in-use");
    let later = owner.post(&path, json!({ "plan": plan, "rate_bp": 9000 })).await.is(200);
    assert_eq!(later.items("/commissions").len(), 3, "{}", later.body);
    let sell = batch(&owner, &shop, &day, 1, Value::Null).await;
    owner.post(&sell, json!(null)).await.is(200);
    kept(3900 + 650, 977_700 - 4350).await;

    // As if the plan's own had ended yesterday: what is for all plans holds.
    let over = "ALTER TABLE commission_rule DISABLE TRIGGER rate_guard;
        DELETE FROM commission_rule WHERE rate_bp = 9000;
        UPDATE commission_rule SET during = daterange(lower(during) - 9, lower(during))
         WHERE fixed_cents = 700;
        ALTER TABLE commission_rule ENABLE TRIGGER rate_guard";
    sqlx::raw_sql(over).execute(&world.admin).await.expect("changed");
    let sell = batch(&owner, &shop, &day, 1, Value::Null).await;
    owner.post(&sell, json!(null)).await.is(200);
    kept(4550 + 375, 973_350 - 4625).await;
    // One that is lost gives nothing back, so that nothing is taken back.
    let sold = owner.get("/api/vouchers?state=sold").await.is(200).text("/items/0/id");
    owner.post(&format!("/api/vouchers/{sold}/void"), json!(null)).await.is(200);
    kept(4925, 968_725).await;
    let reseller = owner.get(&format!("/api/resellers/{shop}")).await.is(200);
    assert_eq!(reseller.items("/commissions").len(), 1, "{}", reseller.body);
    let all = owner.get(&path).await.is(200);
    assert_eq!(all.items("").len(), 2, "{}", all.body);
    assert_eq!(all.body[1]["until"], today);

    let audit = owner.get("/api/audit?limit=200").await.is(200);
    let said = |entry: &&Value| entry["action"] == "reseller.set-commission";
    let last = audit.items("/items").iter().find(said).expect("it was recorded");
    assert!(last["after"]["commissions"].is_array(), "{last}");
}

#[tokio::test]
async fn a_commission_that_does_not_fit_is_refused_by_its_field() {
    let world = World::new().await;
    let owner = world.owner().await;
    let shop = reseller(&owner, "Shop", 1000).await;
    let path = format!("/api/resellers/{shop}/commissions");
    for (body, field) in [
        (json!({}), "rate_bp"),
        (json!({ "rate_bp": 100, "fixed_cents": 100 }), "fixed_cents"),
        (json!({ "rate_bp": 10_001 }), "rate_bp"),
        (json!({ "fixed_cents": -1 }), "fixed_cents"),
        (json!({ "rate_bp": 100, "cap_cents": 0 }), "cap_cents"),
        (json!({ "fixed_cents": 100, "basis": "net" }), "basis"),
        (json!({ "rate_bp": 100, "basis": "margin" }), "basis"),
        (json!({ "rate_bp": 100, "plan": "x" }), "plan"),
        (json!({ "rate_bp": 100, "from": "2026-01-01" }), "from"),
        (json!({ "rate_bp": 100, "from": "2999-01-01", "until": "2999-01-01" }), "until"),
    ] {
        let refused = owner.post(&path, body).await.problem(422, "invalid-fields");
        let fields: Vec<_> = refused.items("/errors").iter().map(|error| &error["field"]).collect();
        assert_eq!(fields, [field], "{}", refused.body);
    }
    let nobody = format!("/api/resellers/rsl_{}/commissions", "0".repeat(32));
    owner.post(&nobody, json!({ "rate_bp": 100 })).await.problem(404, "not-found");
    owner.get(&nobody).await.problem(404, "not-found");
    let plan = format!("plan_{}", "0".repeat(32));
    let unknown = json!({ "rate_bp": 100, "plan": plan });
    owner.post(&path, unknown).await.problem(409, "no-such-plan");
    let amounts = owner.get(&path).await.is(200);
    assert_eq!(amounts.items("").len(), 1, "{}", amounts.body);
}

/// Once, in the tenant's words, and only who it was sold to.
#[tokio::test]
async fn a_reseller_is_told_of_vouchers_that_were_sold_to_it() {
    let world = World::new().await;
    let owner = world.owner().await;
    let server = MailServer::start();
    owner.post("/api/message-providers", server.provider()).await.is(201);
    let (shop, other) =
        (reseller(&owner, "Mama Njeri", 1000).await, reseller(&owner, "B", 0).await);
    owner.hire("reseller").await;
    let operators = owner.get("/api/operators").await.is(200);
    let mine = operators.items("/items").iter().find(|one| one["role"] == "reseller");
    let staff = json!({ "operator": mine.expect("hired")["id"] });
    owner.post(&format!("/api/resellers/{shop}/staff"), staff).await.is(200);
    let texts = owner.get("/api/message-templates").await.is(200).body.to_string();
    assert!(texts.contains("\"sale\""), "{texts}");

    let version = owner.plan_version("day").await;
    for (whose, qty) in [(Some(&shop), 3), (Some(&other), 1), (None, 2)] {
        if let Some(whose) = whose {
            float(&owner, whose, 13_500).await;
        }
        let body = json!({ "plan_version": version, "qty": qty, "reseller": whose,
                           "presold": true });
        owner.post("/api/vouchers/issue", body).await.is(201);
    }
    let now = controller::clock::now();
    world.app.messages().round(now).await.expect("a round");
    world.app.messages().round(now).await.expect("a round");
    let told = owner.get("/api/messages").await.is(200);
    assert_eq!(told.items("/items").len(), 1, "{}", told.body);
    assert_eq!(told.text("/items/0/kind"), "sale");
    assert_eq!(told.text("/items/0/recipient"), "reseller@first.example");
    let mail = server.inbox(1).remove(0).replace("=\r\n", "").replace("=\n", "");
    assert!(mail.contains("Subject: 3 vouchers for A plan"), "{mail}");
    assert!(mail.contains("KES 135.00 was taken out of your float"), "{mail}");
    // A reseller's staff reads no messages of the tenant.
    let reply = world.login("reseller@first.example", PASSWORD).await.is(200);
    let staff = world.staff(&reply.text("/token"));
    staff.get("/api/messages").await.problem(403, "role-needed");
}

#[tokio::test]
async fn staff_of_a_reseller_sees_what_is_its_own() {
    let world = World::new().await;
    let owner = world.owner().await;
    let version = owner.plan_version("day").await;
    let (one, other) = (reseller(&owner, "One", 0).await, reseller(&owner, "Other", 0).await);
    for (whose, qty) in [(json!(one), 2), (json!(other), 3), (Value::Null, 4)] {
        let body = json!({ "plan_version": version, "qty": qty, "reseller": whose });
        owner.post("/api/vouchers/issue", body).await.is(201);
    }
    let staff = owner.hire("reseller").await;
    let seen = async |path: &str| staff.get(path).await.is(200).items("/items").len();
    // Whose staff it is, nobody has said.
    for path in ["/api/resellers", "/api/vouchers", "/api/vouchers/batches"] {
        assert_eq!(seen(path).await, 0, "{path}");
    }
    let operators = owner.get("/api/operators").await.is(200);
    let mine = operators.items("/items").iter().find(|one| one["role"] == "reseller");
    let operator = mine.unwrap()["id"].clone();
    let path = format!("/api/resellers/{one}/staff");
    owner.post(&path, json!({ "operator": operator })).await.is(200);
    assert_eq!(seen("/api/resellers").await, 1);
    assert_eq!(seen("/api/vouchers").await, 2);
    assert_eq!(seen("/api/vouchers/batches").await, 1);
    staff.get(&format!("/api/resellers/{other}")).await.problem(404, "not-found");
    staff.get(&format!("/api/resellers/{other}/commissions")).await.problem(404, "not-found");
    let mine = format!("/api/resellers/{one}/commissions");
    assert_eq!(staff.get(&mine).await.is(200).items("").len(), 1);
    staff.post(&mine, json!({ "rate_bp": 9000 })).await.problem(403, "role-needed");
    staff.get("/api/subscribers").await.problem(403, "role-needed");
    // The owner is nobody's staff.
    let owners = operators.items("/items").iter().find(|one| one["role"] == "owner");
    let body = json!({ "operator": owners.unwrap()["id"] });
    owner.post(&path, body).await.problem(409, "not-its-staff");
    // With another role it is not the reseller's staff any more.
    let path = format!("/api/operators/{}", operator.as_str().unwrap());
    owner.patch(&path, "\"1\"", json!({ "role": "support" })).await.is(200);
    let login = world.login("reseller@first.example", PASSWORD).await.is(200);
    let support = world.staff(&login.text("/token"));
    assert_eq!(support.get("/api/vouchers").await.is(200).items("/items").len(), 9);
}

#[tokio::test]
async fn days_are_settled_once() {
    let world = World::new().await;
    let owner = world.owner().await;
    let shop = reseller(&owner, "Shop", 1000).await;
    float(&owner, &shop, 100_000).await;
    let version = owner.plan_version("day").await;
    let body = json!({ "plan_version": version, "qty": 2, "reseller": shop, "presold": true });
    owner.post("/api/vouchers/issue", body).await.is(201);
    sqlx::raw_sql(
        "ALTER TABLE voucher_sale DISABLE TRIGGER USER;
         UPDATE voucher_sale SET at = '2026-01-07T20:59:59Z'",
    )
    .execute(&world.admin)
    .await
    .unwrap();
    let settle = |from: &str, until: &str| {
        let body = json!({ "reseller": shop, "from": from, "until": until });
        owner.post("/api/finance/settlements", body)
    };
    // The last second of 7 January in Nairobi.
    let closed = settle("2026-01-01", "2026-01-08").await.is(201);
    assert_eq!(closed.number("/gross_cents"), 10_000);
    assert_eq!(closed.number("/commission_cents"), 1000);
    assert_eq!(closed.number("/net_cents"), 9000);
    settle("2026-01-07", "2026-01-09").await.problem(409, "settled-already");
    assert_eq!(settle("2026-01-08", "2026-01-15").await.is(201).number("/gross_cents"), 0);
    settle("2026-02-02", "2026-02-02").await.problem(422, "invalid-fields");
    settle("2026-02-02", "2999-01-01").await.problem(422, "invalid-fields");
    let nobody = json!({ "reseller": format!("rsl_{}", "0".repeat(32)),
                         "from": "2026-01-01", "until": "2026-01-02" });
    owner.post("/api/finance/settlements", nobody).await.problem(409, "no-such-reseller");
    let list = owner.get("/api/finance/settlements").await.is(200);
    assert_eq!(list.items("/items").len(), 2);
}

#[tokio::test]
async fn a_payout_takes_two_people_and_ends_once() {
    let world = World::new().await;
    let owner = world.owner().await;
    let finance = owner.hire("finance").await;
    let shop = reseller(&owner, "Shop", 0).await;
    float(&owner, &shop, 500_000).await;
    let ask = |cents: i64| {
        let body = json!({ "reseller": shop, "msisdn": "254712345678", "amount_cents": cents });
        finance.post("/api/finance/payouts", body)
    };
    for wrong in [900, 1050, 25_000_100] {
        ask(wrong).await.problem(422, "invalid-fields");
    }
    ask(500_100).await.problem(409, "float-too-low");
    let held = ask(200_000).await.is(201);
    let path = format!("/api/finance/payouts/{}", held.text("/id"));
    assert_eq!(left(&owner, &shop).await, 300_000);
    assert_eq!(owner.balance("payout:clearing").await, -200_000);
    let paid = json!({ "provider_txn": "SG632NMFTE" });
    owner.post(&format!("{path}/paid"), paid.clone()).await.problem(409, "not-from-here");
    finance.post(&format!("{path}/approve"), json!(null)).await.problem(409, "oneself");
    let approved = owner.post(&format!("{path}/approve"), json!(null)).await.is(200);
    assert_eq!(approved.body["state"], "approved");
    owner.post(&format!("{path}/approve"), json!(null)).await.problem(409, "not-from-here");
    owner.post(&format!("{path}/paid"), paid.clone()).await.is(200);
    owner.post(&format!("{path}/failed"), json!(null)).await.problem(409, "not-from-here");
    assert_eq!(owner.balance("payout:clearing").await, 0);
    assert_eq!(owner.balance("cash:paybill").await, -200_000);

    // One that fails gives the money back; a transaction is of one payout.
    let held = ask(100_000).await.is(201);
    let path = format!("/api/finance/payouts/{}", held.text("/id"));
    owner.post(&format!("{path}/approve"), json!(null)).await.is(200);
    owner.post(&format!("{path}/paid"), paid).await.problem(409, "transaction-taken");
    let failed = owner.post(&format!("{path}/failed"), json!(null)).await.is(200);
    assert_eq!(failed.body["state"], "failed");
    assert_eq!(left(&owner, &shop).await, 300_000);
    assert_eq!(owner.balance("payout:clearing").await, 0);
    assert_eq!(finance.get("/api/finance/payouts").await.is(200).items("/items").len(), 2);
    let audit = owner.get("/api/audit?limit=200").await.body.to_string();
    for action in ["payout.request", "payout.approve", "payout.resolve"] {
        assert!(audit.contains(action), "{action}");
    }
}
