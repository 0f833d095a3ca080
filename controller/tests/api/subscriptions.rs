//! Plans and subscriptions: versions that do not change, states that only change as they may.

use serde_json::{Value, json};

use crate::world::{World, terms};

#[tokio::test]
async fn other_terms_are_a_new_version_and_the_old_one_stays() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "code": "home", "name": "Home", "terms": terms() });
    let made = owner.post("/api/plans", body.clone()).await.is(201);
    assert_eq!(made.body["latest"]["version"], 1);
    assert_eq!(made.body["latest"]["kind"], "unlimited");
    owner.post("/api/plans", body).await.problem(409, "code-taken");

    let path = format!("/api/plans/{}", made.text("/id"));
    let mut faster = terms();
    faster["down_kbps"] = json!(20_000);
    faster["policy"] = json!("gold");
    faster["vlan"] = json!(100);
    let changed = owner.patch(&path, "\"1\"", json!({ "terms": faster })).await.is(200);
    assert_eq!(changed.body["latest"]["version"], 2);
    // The same terms again are no new version.
    let same = owner.patch(&path, "\"2\"", json!({ "terms": faster, "name": "Homes" })).await;
    assert_eq!(same.is(200).body["latest"]["version"], 2);
    let versions = owner.get(&format!("{path}/versions")).await.is(200);
    assert_eq!(versions.body[0]["terms"]["down_kbps"], 20_000);
    assert_eq!(versions.body[0]["terms"]["policy"], "gold");
    assert_eq!(versions.body[0]["terms"]["vlan"], 100);
    assert_eq!(versions.body[1]["terms"]["vlan"], Value::Null);
    assert_eq!(versions.body[1]["terms"]["down_kbps"], 10_000);
    assert_eq!(versions.body[1]["id"], made.body["latest"]["id"]);
    assert_eq!(owner.get("/api/plans").await.body["items"][0]["latest"]["version"], 2);
}

#[tokio::test]
async fn terms_that_contradict_each_other_are_named() {
    let world = World::new().await;
    let owner = world.owner().await;
    let wrong: [(Value, &str); 11] = [
        (json!({ "vlan": 4095 }), "terms.vlan"),
        (json!({ "policy": "" }), "terms.policy"),
        (json!({ "validity_months": 1 }), "terms.validity_months"),
        (json!({ "validity_seconds": null }), "terms.validity_months"),
        (json!({ "anchor": "calendar_day" }), "terms.anchor_day"),
        (json!({ "anchor_day": 3 }), "terms.anchor_day"),
        (json!({ "on_exhaust": "throttle" }), "terms.on_exhaust"),
        (json!({ "on_exhaust": "overage" }), "terms.overage_cents_per_mib"),
        (json!({ "max_devices": 65 }), "terms.max_devices"),
        (json!({ "down_kbps": 0 }), "terms.down_kbps"),
        (json!({ "access": "dial-up" }), "terms.access"),
    ];
    for (change, field) in wrong {
        let mut terms = terms();
        for (key, value) in change.as_object().unwrap() {
            terms[key] = value.clone();
        }
        let body = json!({ "code": "home", "name": "Home", "terms": terms });
        let reply = owner.post("/api/plans", body).await.problem(422, "invalid-fields");
        assert_eq!(reply.body["errors"][0]["field"], field, "{change}: {}", reply.body);
    }
    assert_eq!(world.count("SELECT count(*) FROM plan").await, 0);
}

#[tokio::test]
async fn a_subscription_goes_from_state_to_state_and_tells_why() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({
        "subscriber": owner.subscriber("amina").await,
        "plan_version": owner.plan_version("home").await,
    });
    let made = owner.post("/api/subscriptions", body).await.is(201);
    assert_eq!(made.body["state"], "pending");
    assert_eq!(made.body["bill_anchor"], Value::Null);
    let path = format!("/api/subscriptions/{}", made.text("/id"));

    let mut revision = 1;
    for (verb, state) in [
        ("activate", "active"),
        ("suspend", "suspended"),
        ("resume", "active"),
        ("expire", "expired"),
        ("activate", "active"),
        ("cancel", "cancelled"),
    ] {
        let reply = owner.post(&format!("{path}/{verb}"), json!({ "reason": verb })).await.is(200);
        revision += 1;
        assert_eq!(reply.body["state"], state);
        assert_eq!(reply.body["desired_rev"], revision);
        assert!(reply.body["bill_anchor"].is_string());
    }
    let events = owner.get(&format!("{path}/events")).await.is(200);
    let told: Vec<_> = events
        .body
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (
                event["from"].as_str().unwrap(),
                event["to"].as_str().unwrap(),
                event["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told[1], ("active", "suspended", "suspend"));
    assert_eq!(told.len(), 6);
    for verb in ["activate", "suspend", "resume", "expire", "cancel"] {
        let reply = owner.post(&format!("{path}/{verb}"), json!({})).await;
        reply.problem(409, "not-from-here");
    }
    let change = json!({ "auto_renew": true });
    let etag = owner.get(&path).await.etag();
    owner.patch(&path, &etag, change).await.problem(409, "over");
}

#[tokio::test]
async fn the_database_refuses_a_transition_that_the_program_would_not_make() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({
        "subscriber": owner.subscriber("amina").await,
        "plan_version": owner.plan_version("home").await, "activate": true,
    });
    owner.post("/api/subscriptions", body).await.is(201);
    let refused = sqlx::query("UPDATE subscription SET state = 'pending'")
        .execute(&world.admin)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("active -> pending not allowed"), "{refused}");
}

#[tokio::test]
async fn a_subscriber_has_one_live_subscription() {
    let world = World::new().await;
    let owner = world.owner().await;
    let subscriber = owner.subscriber("amina").await;
    let plan_version = owner.plan_version("home").await;
    let body = json!({ "subscriber": subscriber, "plan_version": plan_version, "activate": true });
    owner.post("/api/subscriptions", body.clone()).await.is(201);
    owner.post("/api/subscriptions", body).await.problem(409, "live-already");
    let pending = json!({ "subscriber": subscriber, "plan_version": plan_version });
    let pending = owner.post("/api/subscriptions", pending).await.is(201).text("/id");
    let reply = owner.post(&format!("/api/subscriptions/{pending}/activate"), json!({})).await;
    reply.problem(409, "live-already");
    let live = owner.get("/api/subscriptions?state=active").await.is(200);
    assert_eq!(live.body["items"].as_array().unwrap().len(), 1);
    let path = format!("/api/subscriptions?subscriber={subscriber}");
    assert_eq!(owner.get(&path).await.body["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn another_plan_raises_the_desired_revision() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({
        "subscriber": owner.subscriber("amina").await,
        "plan_version": owner.plan_version("home").await, "activate": true,
    });
    let made = owner.post("/api/subscriptions", body).await.is(201);
    let path = format!("/api/subscriptions/{}", made.text("/id"));
    let other = owner.plan_version("office").await;
    let moved = owner.patch(&path, &made.etag(), json!({ "plan_version": other })).await.is(200);
    assert_eq!(moved.body["desired_rev"], 3);
    let renewed = owner.patch(&path, &moved.etag(), json!({ "auto_renew": true })).await.is(200);
    assert_eq!(renewed.body["desired_rev"], 3, "what edges should have is the same");
    let nothing = json!({ "plan_version": format!("planv_{}", "0".repeat(32)) });
    owner.patch(&path, &renewed.etag(), nothing).await.problem(409, "not-for-sale");
    // What is archived is not sold any more, and who has it keeps it.
    let plan = owner.get("/api/plans").await.text("/items/0/id");
    let archived = json!({ "archived": true });
    owner.patch(&format!("/api/plans/{plan}"), "\"1\"", archived).await.is(200);
    let body = json!({ "subscriber": owner.subscriber("brian").await,
                       "plan_version": made.text("/plan_version") });
    owner.post("/api/subscriptions", body).await.problem(409, "not-for-sale");
}

#[tokio::test]
async fn what_is_bought_besides_is_paid_and_earned() {
    let world = World::new().await;
    let owner = world.owner().await;
    let version = owner.plan_version("home").await;
    let mut bundle = terms();
    bundle["data_bytes"] = json!(1_u64 << 30);
    let body = json!({ "code": "bundle", "name": "A bundle", "terms": bundle });
    let bundle = owner.post("/api/plans", body).await.is(201).text("/latest/id");
    let subscriber = owner.subscriber("amina").await;
    let pay = json!({ "provider": "cash", "shortcode": "till", "subscriber": subscriber,
                      "amount_cents": 10_000, "allocate": false });
    owner.post("/api/payments", pay).await.is(201);
    let body = json!({ "subscriber": subscriber, "plan_version": version, "activate": true });
    let id = owner.post("/api/subscriptions", body).await.is(201).text("/id");
    assert_eq!(owner.balance("wallet").await, -5_000, "what is there pays for it at once");
    let path = format!("/api/subscriptions/{id}/add-ons");
    let add = json!({ "plan_version": bundle });
    let key = [("idempotency-key", "one-bundle")];
    owner.ask("POST", &path, &key, Some(add.clone())).await.is(201);
    owner.ask("POST", &path, &key, Some(add.clone())).await.is(201);
    assert_eq!(owner.balance("wallet").await, 0);
    assert_eq!(owner.balance("deferred:subscription").await, -2 * 3_748);
    owner.post(&path, add).await.problem(409, "wallet-too-low");
    owner.post(&path, json!({ "plan_version": version })).await.problem(409, "not-an-add-on");
    let granted = world.count("SELECT count(*) FROM entitlement WHERE source_kind = 'topup'");
    assert_eq!(granted.await, 1);
    let renew = format!("/api/subscriptions/{id}/periods");
    owner.post(&renew, json!({})).await.problem(409, "wallet-too-low");
    let pay = json!({ "provider": "cash", "shortcode": "till", "subscriber": subscriber,
                      "amount_cents": 50_000, "allocate": false });
    owner.post("/api/payments", pay).await.is(201);
    for ahead in 2..=4 {
        let all = owner.post(&renew, json!({})).await.is(201);
        assert_eq!(all.body.as_array().unwrap().len(), ahead);
    }
    owner.post(&renew, json!({})).await.problem(409, "paid-ahead");
}

#[tokio::test]
async fn the_policy_is_checked_and_kept() {
    let world = World::new().await;
    let owner = world.owner().await;
    let path = "/api/finance/billing-policy";
    let shown = owner.get(path).await.is(200);
    assert_eq!(shown.body["remind_days"], json!([7, 3, 1, 0]));
    let mut policy = shown.body.clone();
    policy["garden_days"] = json!(91);
    let put = async |etag: &str, body: &Value| {
        owner.ask("PUT", path, &[("if-match", etag)], Some(body.clone())).await
    };
    put(&shown.etag(), &policy).await.problem(422, "invalid-fields");
    policy["garden_days"] = json!(3);
    let kept = put(&shown.etag(), &policy).await.is(200);
    put(&shown.etag(), &policy).await.problem(412, "stale");
    policy["garden_days"] = json!(4);
    put(&kept.etag(), &policy).await.is(200);
    assert_eq!(owner.get(path).await.body["garden_days"], 4);
}
