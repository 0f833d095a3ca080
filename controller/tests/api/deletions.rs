//! What was made by mistake goes again; what anything hangs on stays, and the answer says why.

use serde_json::{Value, json};

use crate::world::{Staff, World, join_all};

async fn delete(staff: &Staff<'_>, path: &str) -> crate::world::Reply {
    staff.ask("DELETE", path, &[], None).await
}

#[tokio::test]
async fn a_subscriber_of_whom_nothing_is_known_is_deleted() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "username": "amina", "full_name": "Amina", "msisdn": "254712345678",
                       "macs": ["02:00:00:00:00:01"] });
    let amina = owner.post("/api/subscribers", body.clone()).await.is(201).text("/id");
    let path = format!("/api/subscribers/{amina}");
    let consent = json!({ "transactional": ["sms"], "marketing": [] });
    let consents = format!("{path}/consent");
    let etag = owner.get(&consents).await.is(200).etag();
    owner.ask("PUT", &consents, &[("if-match", &etag)], Some(consent)).await.is(200);
    delete(&owner.hire("auditor").await, &path).await.problem(403, "role-needed");
    delete(&owner, &path).await.is(204);
    owner.get(&path).await.problem(404, "not-found");
    delete(&owner, &path).await.problem(404, "not-found");
    for count in ["SELECT count(*) FROM subscriber", "SELECT count(*) FROM subscriber_device"] {
        assert_eq!(world.count(count).await, 0, "{count}");
    }
    let log = owner.get(&format!("/api/audit?object={amina}")).await.is(200);
    let of_it = |one: &&Value| one["action"] == "subscriber.delete";
    let entry = log.items("/items").iter().find(of_it).expect("it is written down");
    assert_eq!((&entry["before"]["username"], &entry["after"]), (&json!("amina"), &Value::Null));
    // What was its own is free, but for the number of the account: somebody may know it.
    let again = owner.post("/api/subscribers", body).await.is(201);
    assert_eq!(again.body["account_no"], "1000015");
}

#[tokio::test]
async fn a_subscriber_on_whom_something_hangs_stays() {
    let world = World::new().await;
    let owner = world.owner().await;
    let version = owner.plan_version("home").await;
    let refused = |username: &'static str, kind: &'static str, make: Vec<(&'static str, Value)>| {
        let (owner, world) = (&owner, &world);
        async move {
            let id = owner.subscriber(username).await;
            for (path, mut body) in make {
                body["subscriber"] = id.clone().into();
                owner.post(path, body).await.is(201);
            }
            let path = format!("/api/subscribers/{id}");
            let problem = delete(owner, &path).await.problem(409, kind);
            let title = problem.text("/title");
            assert!(kind == "held" || title.contains("close or anonymise"), "{title}");
            owner.get(&path).await.is(200);
            world.count("SELECT count(*) FROM audit_log WHERE action = 'subscriber.delete'").await
        }
    };
    let line = json!([{ "descr": "Setup", "price_cents": 100 }]);
    let sale = json!({ "plan_version": version });
    let paid = json!({ "provider": "cash", "amount_cents": 100 });
    let ticket = json!({ "subject": "Slow", "body": "very", "channel": "phone",
                         "priority": "normal" });
    let hold = json!({ "reason": "a court asks" });
    for (username, kind, make) in [
        ("served", "was-served", vec![("/api/subscriptions", sale)]),
        ("billed", "has-money", vec![("/api/invoices", json!({ "lines": line }))]),
        ("paid", "has-money", vec![("/api/payments", paid)]),
        ("told", "has-history", vec![("/api/tickets", ticket)]),
        ("held", "held", vec![("/api/legal-holds", hold)]),
    ] {
        assert_eq!(refused(username, kind, make).await, 0, "{username}");
    }
}

/// Of a sale and a deletion at once, one wins: nobody has a plan who is not there.
#[tokio::test]
async fn a_sale_and_a_deletion_at_once_agree() {
    let world = World::new().await;
    let owner = world.owner().await;
    let version = owner.plan_version("home").await;
    let mut sold = 0;
    for n in 0..12 {
        let id = owner.subscriber(&format!("s{n}")).await;
        let path = format!("/api/subscribers/{id}");
        let body = json!({ "subscriber": id, "plan_version": version });
        let both: [std::pin::Pin<Box<dyn Future<Output = crate::world::Reply>>>; 2] =
            [Box::pin(delete(&owner, &path)), Box::pin(owner.post("/api/subscriptions", body))];
        let statuses: Vec<_> =
            join_all(both.into_iter()).await.iter().map(|reply| reply.status.as_u16()).collect();
        match statuses[..] {
            [204, 409 | 404] => {}
            [409, 201] => sold += 1,
            _ => panic!("{statuses:?}"),
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, sold);
    assert_eq!(world.count("SELECT count(*) FROM subscription").await, sold);
}

#[tokio::test]
async fn a_plan_that_nobody_bought_is_deleted() {
    let world = World::new().await;
    let owner = world.owner().await;
    let made = owner.post(
        "/api/plans",
        json!({ "code": "home", "name": "A plan",
        "terms": crate::world::terms() }),
    );
    let made = made.await.is(201);
    let path = format!("/api/plans/{}", made.text("/id"));
    let mut terms = crate::world::terms();
    terms["price_cents"] = 6000.into();
    owner.patch(&path, &made.etag(), json!({ "terms": terms })).await.is(200);
    delete(&owner.hire("support").await, &path).await.problem(403, "role-needed");
    delete(&owner, &path).await.is(204);
    owner.get(&path).await.problem(404, "not-found");
    assert_eq!(world.count("SELECT count(*) FROM plan_version").await, 0);
    let log = owner.get("/api/audit").await.is(200).body.to_string();
    assert!(log.contains("plan.delete"), "{log}");

    // The code is free again.
    let version = owner.plan_version("home").await;
    let plan = owner.get("/api/plans").await.text("/items/0/id");
    let batch = json!({ "plan_version": version, "qty": 1 });
    owner.post("/api/vouchers/issue", batch).await.is(201);
    let path = format!("/api/plans/{plan}");
    let kept = delete(&owner, &path).await.problem(409, "was-sold");
    assert!(kept.text("/title").contains("archive it instead"), "{}", kept.body);
    owner.get(&path).await.is(200);
}

#[tokio::test]
async fn a_tenant_in_which_nobody_did_anything_is_deleted() {
    let world = World::new().await;
    let owner = world.owner().await;
    let platform = crate::isolation::platform(&world.app, &world).await;
    let make = || async {
        let body = json!({ "slug": "hills", "name": "Hills" });
        platform.post("/api/tenants", body).await.is(201).text("/id")
    };
    let path = format!("/api/tenants/{}", make().await);
    delete(&owner, &path).await.problem(403, "role-needed");
    delete(&platform, &path).await.is(204);
    platform.get(&path).await.problem(404, "not-found");
    delete(&platform, &path).await.problem(404, "not-found");
    let log = platform.get("/api/audit").await.is(200).body;
    assert_eq!(log["items"].to_string().matches("tenant.delete").count(), 1, "{log}");

    let path = format!("/api/tenants/{}", make().await);
    let body = json!({ "email": "owner@hills.example" });
    platform.post(&format!("{path}/owner"), body).await.is(201);
    let kept = delete(&platform, &path).await.problem(409, "has-begun");
    assert!(kept.text("/title").contains("suspend the tenant instead"), "{}", kept.body);
    let first = owner.get("/api/tenants").await.text("/items/0/id");
    delete(&platform, &format!("/api/tenants/{first}")).await.problem(409, "has-begun");
    let own = platform.get("/api/auth/me").await.text("/tenant");
    delete(&platform, &format!("/api/tenants/{own}")).await.problem(404, "not-found");
    owner.get("/api/auth/me").await.is(200);
}

#[tokio::test]
async fn a_draft_is_worked_on_until_it_is_issued() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let body = json!({ "subscriber": amina, "due_on": "2027-01-15", "notes": "Asante.",
        "lines": [{ "descr": "Setup", "price_cents": 100_000 }] });
    let made = owner.post("/api/invoices", body).await.is(201);
    let path = format!("/api/invoices/{}", made.text("/id"));
    let (due, notes) = (made.text("/due_on"), made.text("/notes"));
    assert_eq!((due.as_str(), notes.as_str()), ("2027-01-15", "Asante."));
    let seen = owner.get(&path).await.is(200);
    assert_eq!(seen.etag(), made.etag());

    let lines = json!([{ "descr": "Setup", "price_cents": 100_000 },
                       { "descr": "Discount", "price_cents": -50_000 }]);
    let changed = owner.patch(&path, &seen.etag(), json!({ "lines": lines })).await.is(200);
    assert_eq!(changed.body["total_cents"], 50_000);
    assert_eq!(changed.body["lines"][1]["kind"], "discount");
    assert_eq!(changed.body["due_on"], "2027-01-15");
    // Somebody who saw it before.
    owner.patch(&path, &seen.etag(), json!({ "notes": "x" })).await.problem(412, "stale");
    let bad = json!([{ "descr": "Discount", "price_cents": -1 }]);
    for body in [
        json!({ "lines": bad }),
        json!({ "lines": [] }),
        json!({ "notes": "" }),
        json!({ "state": "finalised" }),
    ] {
        owner.patch(&path, &changed.etag(), body).await.problem(422, "invalid-fields");
    }
    let cleared = json!({ "notes": null });
    let cleared = owner.patch(&path, &changed.etag(), cleared).await.is(200);
    assert_eq!(
        (&cleared.body["notes"], &cleared.body["total_cents"]),
        (&Value::Null, &50_000.into())
    );
    let last =
        owner.patch(&path, &cleared.etag(), json!({ "notes": "Pay by till." })).await.is(200);
    let paper = owner.bytes("GET", &format!("{path}/pdf"), None).await;
    assert!(paper.starts_with(b"%PDF"));

    let issued = owner.post(&format!("{path}/finalise"), json!({})).await.is(200);
    assert_eq!(issued.body["due_on"], "2027-01-15");
    assert_eq!(issued.body["total_cents"], 50_000);
    assert_eq!(owner.balance("ar").await, 50_000);
    let now = owner.get(&path).await.is(200).etag();
    assert_ne!(now, last.etag());
    owner.patch(&path, &now, json!({ "notes": "x" })).await.problem(409, "not-a-draft");
    let log = owner.get("/api/audit").await.is(200).body.to_string();
    assert!(log.contains("invoice.update"), "{log}");
}

#[tokio::test]
async fn a_voucher_that_was_lost_is_void_and_its_money_earned() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let version = owner.plan_version("day").await;
    let issue = |presold: bool| {
        let body = json!({ "plan_version": version, "qty": 2, "presold": presold });
        owner.post("/api/vouchers/issue", body)
    };
    let one = |issued: &crate::world::Reply, n: usize| {
        let list = format!("/api/vouchers?batch={}", issued.text("/batch/id"));
        let owner = &owner;
        async move { owner.get(&list).await.text(&format!("/items/{n}/id")) }
    };
    let void = |id: String| {
        let owner = &owner;
        async move { owner.post(&format!("/api/vouchers/{id}/void"), Value::Null).await }
    };
    // Not sold: there is no money to speak of.
    let printed = issue(false).await.is(201);
    let id = one(&printed, 0).await;
    assert_eq!(void(id.clone()).await.is(200).body["state"], "void");
    void(id).await.problem(409, "voucher-void");
    assert_eq!(owner.balance("revenue:breakage").await, 0);

    let sold = issue(true).await.is(201);
    let id = one(&sold, 0).await;
    assert_eq!(owner.balance("deferred:voucher").await, -2 * 3748);
    let serial = void(id).await.is(200).number("/serial");
    assert_eq!(owner.balance("deferred:voucher").await, -3748);
    assert_eq!(owner.balance("revenue:breakage").await, -3748);
    assert_eq!(owner.balance("cash:till").await, 10_000);
    let redeem = |n: i64| {
        let code = sold.text(&format!("/codes/{}", n - 1));
        owner.post("/api/vouchers/redeem", json!({ "code": code, "subscriber": amina }))
    };
    redeem(serial).await.problem(409, "voucher-void");
    redeem(3 - serial).await.is(201);
    void(one(&sold, 1).await).await.problem(409, "voucher-used");
    void(format!("vou_{}", "0".repeat(32))).await.problem(404, "not-found");
    let log = owner.get("/api/audit").await.is(200).body.to_string();
    assert_eq!(log.matches("voucher.void-one").count(), 2, "{log}");
}
