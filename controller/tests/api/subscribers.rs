//! Subscribers: made, found, changed; and what every resource has in common with them.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_subscriber_is_made_shown_and_changed() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({
        "username": "amina", "full_name": "Amina Wanjiru", "password": "radius secret",
        "msisdn": "254712345678", "email": "amina@example.com", "static_ip": "10.0.0.20",
        "macs": ["02-00-00-00-00-02", "02:00:00:00:00:01", "020000000001"],
    });
    let made = owner.post("/api/subscribers", body).await.is(201);
    assert_eq!(made.body["account_no"], "1000002");
    assert_eq!(made.body["macs"], json!(["02:00:00:00:00:01", "02:00:00:00:00:02"]));
    assert_eq!(made.body["has_password"], true);
    assert!(!made.body.to_string().contains("radius secret"));
    let path = made.headers["location"].to_str().unwrap().to_owned();
    let shown = owner.get(&path).await.is(200);
    assert_eq!(shown.body, made.body);

    let change = json!({
        "full_name": "Amina W. Otieno", "msisdn": null, "static_ip": "2001:db8::20",
        "delegated_prefix": "2001:db8:0:100::/56", "macs": ["02:00:00:00:00:01"],
        "password": null,
    });
    let changed = owner.patch(&path, &shown.etag(), change).await.is(200);
    assert_eq!(changed.body["full_name"], "Amina W. Otieno");
    assert_eq!(changed.body["msisdn"], Value::Null);
    assert_eq!(changed.body["email"], "amina@example.com");
    assert_eq!(changed.body["static_ip"], "2001:db8::20");
    assert_eq!(changed.body["delegated_prefix"], "2001:db8:0:100::/56");
    assert_eq!(changed.body["has_password"], false);
    assert_eq!(changed.body["macs"], json!(["02:00:00:00:00:01"]));
    assert_eq!(owner.get(&path).await.body, changed.body);
    let next = owner.subscriber("brian").await;
    assert_eq!(owner.get(&format!("/api/subscribers/{next}")).await.body["account_no"], "1000015");
}

#[tokio::test]
async fn the_radius_password_is_sealed_in_its_row() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "username": "amina", "full_name": "A", "password": "radius secret" });
    owner.post("/api/subscribers", body).await.is(201);
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT password_sealed FROM subscriber")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    let needle = b"radius secret";
    assert!(!sealed.windows(needle.len()).any(|window| window == needle));
    assert_eq!(
        world.count("SELECT count(*) FROM audit_log WHERE after::text LIKE '%radius%'").await,
        0
    );
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let world = World::new().await;
    let owner = world.owner().await;
    let fits = || json!({ "username": "amina", "full_name": "Amina" });
    let wrong: [(&str, Value, &str); 11] = [
        ("username", json!("a b"), "username"),
        ("delegated_prefix", json!("10.0.0.0/8"), "delegated_prefix"),
        ("delegated_prefix", json!("2001:db8::1/56"), "delegated_prefix"),
        ("full_name", json!(""), "full_name"),
        ("full_name", Value::Null, "full_name"),
        ("password", json!("a\u{0}b"), "password"),
        ("msisdn", json!("0712345678"), "msisdn"),
        ("email", json!("nobody"), "email"),
        ("static_ip", json!("10.0.0.300"), "static_ip"),
        ("macs", json!(["02:00"]), "macs[0]"),
        ("colour", json!("red"), "colour"),
    ];
    for (key, value, field) in wrong {
        let mut body = fits();
        body[key] = value;
        let reply = owner.post("/api/subscribers", body).await.problem(422, "invalid-fields");
        assert_eq!(reply.body["errors"][0]["field"], field, "{}", reply.body);
    }
    let reply = owner.post("/api/subscribers", json!({ "username": "amina" })).await;
    let reply = reply.problem(422, "invalid-fields");
    assert_eq!(reply.body["errors"][0]["message"], "missing field `full_name`");
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 0);
    // Nothing was counted for what was not made.
    assert_eq!(world.count("SELECT count(*) FROM tenant_counter").await, 0);
}

#[tokio::test]
async fn names_numbers_and_devices_belong_to_one() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "username": "amina", "full_name": "A", "msisdn": "254712345678",
                       "macs": ["02:00:00:00:00:01"] });
    owner.post("/api/subscribers", body).await.is(201);
    for (key, value, kind) in [
        ("username", json!("amina"), "username-taken"),
        ("msisdn", json!("254712345678"), "msisdn-taken"),
        ("macs", json!(["02:00:00:00:00:01"]), "device-taken"),
    ] {
        let mut body = json!({ "username": "brian", "full_name": "B" });
        body[key] = value;
        owner.post("/api/subscribers", body).await.problem(409, kind);
    }
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 1);
}

#[tokio::test]
async fn a_change_must_name_the_version_that_was_seen() {
    let world = World::new().await;
    let owner = world.owner().await;
    let path = format!("/api/subscribers/{}", owner.subscriber("amina").await);
    let change = || Some(json!({ "full_name": "B" }));
    owner.ask("PATCH", &path, &[], change()).await.problem(428, "if-match-needed");
    let bad = owner.ask("PATCH", &path, &[("if-match", "7")], change()).await;
    bad.problem(400, "bad-if-match");
    owner.patch(&path, "\"1\"", json!({ "full_name": "B" })).await.is(200);
    owner.patch(&path, "\"1\"", json!({ "full_name": "C" })).await.problem(412, "stale");
    assert_eq!(owner.get(&path).await.body["full_name"], "B");
}

#[tokio::test]
async fn a_request_sent_again_makes_nothing_new() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = || Some(json!({ "username": "amina", "full_name": "Amina" }));
    let key = [("idempotency-key", "a-key-of-mine")];
    let first = owner.ask("POST", "/api/subscribers", &key, body()).await.is(201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = owner.ask("POST", "/api/subscribers", &key, body()).await.is(201);
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let other = Some(json!({ "username": "brian", "full_name": "Brian" }));
    let reply = owner.ask("POST", "/api/subscribers", &key, other).await;
    reply.problem(422, "idempotency-key-reused");
    let short = [("idempotency-key", "short")];
    let reply = owner.ask("POST", "/api/subscribers", &short, body()).await;
    reply.problem(400, "bad-idempotency-key");
    // Somebody else's key is another key.
    let support = owner.hire("support").await;
    let reply = support.ask("POST", "/api/subscribers", &key, body()).await;
    reply.problem(409, "username-taken");
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 1);
}

#[tokio::test]
async fn the_same_request_four_times_at_once_makes_one() {
    let world = World::new().await;
    let owner = world.owner().await;
    let key = [("idempotency-key", "four-at-once")];
    let ask = || {
        let body = Some(json!({ "username": "amina", "full_name": "Amina" }));
        owner.ask("POST", "/api/subscribers", &key, body)
    };
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    let ids = [one, two, three, four].map(|reply| reply.is(201).text("/id"));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 1);
    assert_eq!(world.count("SELECT next_no FROM tenant_counter").await, 1);
}

#[tokio::test]
async fn a_list_comes_in_pages_and_can_be_searched() {
    let world = World::new().await;
    let owner = world.owner().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(owner.subscriber(&format!("user{n}")).await);
    }
    let mut seen = Vec::new();
    let mut path = "/api/subscribers?limit=2".to_owned();
    loop {
        let page = owner.get(&path).await.is(200);
        let items = page.body["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/api/subscribers?limit=2&after={next}");
    }
    assert_eq!(seen, made);
    for (search, count) in [("user3", 1), ("user", 5), ("10000", 5), ("1000002", 1), ("%25", 0)] {
        let page = owner.get(&format!("/api/subscribers?search={search}")).await.is(200);
        assert_eq!(page.body["items"].as_array().unwrap().len(), count, "{search}");
    }
}

#[tokio::test]
async fn each_change_has_its_audit_row_and_nothing_else_has() {
    let world = World::new().await;
    let owner = world.owner().await;
    let path = format!("/api/subscribers/{}", owner.subscriber("amina").await);
    owner.patch(&path, "\"1\"", json!({ "full_name": "B" })).await.is(200);
    owner.patch(&path, "\"1\"", json!({ "full_name": "C" })).await.is(412);
    owner.get(&path).await.is(200);
    let rows: Vec<(String, String, String, Option<Value>, Value, bool)> = sqlx::query_as(
        "SELECT action, actor, host(actor_ip), before, after, request_id IS NOT NULL
           FROM audit_log WHERE object_kind = 'subscriber' ORDER BY id",
    )
    .fetch_all(&world.admin)
    .await
    .unwrap();
    let actions: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(actions, ["subscriber.create", "subscriber.update"]);
    for (_, actor, ip, _, _, request) in &rows {
        assert!(actor.starts_with("op_"), "{actor}");
        assert_eq!(ip, "127.0.0.1");
        assert!(request);
    }
    assert_eq!(rows[0].3, None);
    assert_eq!(rows[1].3.as_ref().unwrap()["full_name"], "A Name");
    assert_eq!(rows[1].4["full_name"], "B");

    let id = path.rsplit('/').next().unwrap();
    let auditor = owner.hire("auditor").await;
    let told = auditor.get(&format!("/api/audit?object={id}&limit=1")).await.is(200);
    assert_eq!(told.body["items"][0]["action"], "subscriber.create");
    let next = told.text("/next");
    let told = auditor.get(&format!("/api/audit?object={id}&after={next}")).await.is(200);
    assert_eq!(told.body["items"][0]["after"]["full_name"], "B");
    assert_eq!(told.body["items"].as_array().unwrap().len(), 1);
}
