//! Edges, NASes and access points.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::World;

#[tokio::test]
async fn the_secret_of_an_edge_is_told_once() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = || Some(json!({ "name": "north", "site": "the hill" }));
    let key = [("idempotency-key", "the-first-edge")];
    let made = owner.ask("POST", "/api/network/edges", &key, body()).await.is(201);
    let secret = made.text("/secret");
    assert_eq!(secret.len(), 43);
    // Who did not hear the answer asks again and is told the same.
    let again = owner.ask("POST", "/api/network/edges", &key, body()).await.is(201);
    assert_eq!(again.body["secret"], secret.as_str());
    assert_eq!(again.body["id"], made.body["id"]);
    let path = format!("/api/network/edges/{}", made.text("/id"));
    let shown = owner.get(&path).await.is(200);
    assert_eq!(shown.body.get("secret"), None);
    assert_eq!(shown.body["online"], false);

    let hash = || async {
        let hash = sqlx::query_scalar("SELECT secret_hash FROM edge");
        let hash: Vec<u8> = hash.fetch_one(&world.admin).await.unwrap();
        hash
    };
    assert_eq!(hash().await, Sha256::digest(secret.as_bytes()).to_vec());
    let renewed = owner.ask("POST", &format!("{path}/secret"), &[], None).await.is(200);
    assert_ne!(renewed.text("/secret"), secret);
    assert_eq!(hash().await, Sha256::digest(renewed.text("/secret").as_bytes()).to_vec());
    let told = "SELECT count(*) FROM audit_log WHERE object_kind = 'edge'";
    assert_eq!(world.count(told).await, 2);
    owner.patch(&path, "\"1\"", json!({ "revoked": true })).await.is(200);
    owner.post("/api/network/edges", json!({ "name": "north" })).await.problem(409, "name-taken");
}

#[tokio::test]
async fn a_nas_belongs_to_an_edge_and_hides_its_secret() {
    let world = World::new().await;
    let owner = world.owner().await;
    let edge = owner.edge().await;
    let body = json!({ "edge": edge, "name": "lab", "address": "10.0.0.0/24",
                       "secret": "testing123", "enforce": "edge", "vendor": "mikrotik" });
    let made = owner.post("/api/network/nas", body.clone()).await.is(201);
    assert!(!made.body.to_string().contains("testing123"));
    assert_eq!(made.body["require_message_authenticator"], true);
    let with = |key: &str, value: Value| {
        let mut body = body.clone();
        body["name"] = json!("other");
        body["address"] = json!("10.1.0.0/24");
        body[key] = value;
        body
    };
    for (key, value, status, kind) in [
        ("name", json!("lab"), 409, "name-taken"),
        ("address", json!("10.0.0.0/24"), 409, "address-taken"),
        ("address", json!("10.0.0.1/24"), 422, "invalid-fields"),
        ("edge", json!(format!("edge_{}", "0".repeat(32))), 422, "invalid-fields"),
        ("secret", json!(""), 422, "invalid-fields"),
        ("vendor", json!("acme"), 422, "invalid-fields"),
        ("require_message_authenticator", json!("maybe"), 422, "invalid-fields"),
        ("requests_per_second", json!(0), 422, "invalid-fields"),
        ("requests_per_second", json!(2_147_483_648_u32), 422, "invalid-fields"),
        ("dynauth_port", json!(65_536), 422, "invalid-fields"),
        ("tls_name", json!("two words"), 422, "invalid-fields"),
        ("reply", json!(["gold"]), 422, "invalid-fields"),
        ("reply", json!(vec!["A = b"; 33]), 422, "invalid-fields"),
    ] {
        owner.post("/api/network/nas", with(key, value)).await.problem(status, kind);
    }
    let path = format!("/api/network/nas/{}", made.text("/id"));
    let sealed = || async {
        let sealed = sqlx::query_scalar("SELECT secret_sealed FROM nas");
        let sealed: Vec<u8> = sealed.fetch_one(&world.admin).await.unwrap();
        sealed
    };
    let before = sealed().await;
    assert!(!before.windows(10).any(|window| window == b"testing123"));
    let change = json!({ "secret": "another one", "address": "2001:db8::/32" });
    let changed = owner.patch(&path, "\"1\"", change).await.is(200);
    assert_eq!(changed.body["address"], "2001:db8::/32");
    assert_ne!(sealed().await, before);
}

#[tokio::test]
async fn a_nas_keeps_what_it_is_told_and_asked() {
    let world = World::new().await;
    let owner = world.owner().await;
    let edge = owner.edge().await;
    let plain = json!({ "edge": edge, "name": "a", "address": "10.0.0.1", "secret": "s" });
    let plain = owner.post("/api/network/nas", plain).await.is(201);
    let asked = |body: &Value| {
        [
            "require_message_authenticator",
            "requests_per_second",
            "dynauth_port",
            "tls_name",
            "reply",
        ]
        .map(|key| body[key].clone())
    };
    let defaults = [json!(true), Value::Null, json!(3799), Value::Null, json!([])];
    assert_eq!(asked(&plain.body), defaults);

    let body = json!({ "edge": edge, "name": "b", "address": "10.0.0.2", "secret": "s",
        "vendor": "chillispot", "require_message_authenticator": "auto",
        "requests_per_second": 50, "dynauth_port": 1700, "tls_name": "nas.wisp.example",
        "reply": ["Filter-Id = gold"] });
    let made = owner.post("/api/network/nas", body.clone()).await.is(201);
    let path = format!("/api/network/nas/{}", made.text("/id"));
    let shown = owner.get(&path).await.is(200);
    assert_eq!(asked(&shown.body), asked(&body));

    let change = json!({ "require_message_authenticator": false, "requests_per_second": null,
        "dynauth_port": 0, "tls_name": null, "reply": [] });
    let changed = owner.patch(&path, &shown.etag(), change).await.is(200);
    let cleared = [json!(false), Value::Null, json!(0), Value::Null, json!([])];
    assert_eq!(asked(&changed.body), cleared);
    assert_eq!(asked(&owner.get(&path).await.body), cleared);
}

#[tokio::test]
async fn an_access_point_may_belong_to_a_nas() {
    let world = World::new().await;
    let owner = world.owner().await;
    let edge = owner.edge().await;
    let nas = json!({ "edge": edge, "name": "lab", "address": "10.0.0.1", "secret": "s" });
    let nas = owner.post("/api/network/nas", nas).await.is(201).text("/id");
    let body = json!({ "name": "roof", "mac": "02-00-00-00-00-01", "nas": nas });
    let made = owner.post("/api/network/access-points", body.clone()).await.is(201);
    assert_eq!(made.body["mac"], "02:00:00:00:00:01");
    owner.post("/api/network/access-points", body).await.problem(409, "mac-taken");
    let path = format!("/api/network/access-points/{}", made.text("/id"));
    let free = owner.patch(&path, "\"1\"", json!({ "nas": null })).await.is(200);
    assert_eq!(free.body["nas"], Value::Null);
    let nobody = json!({ "nas": format!("nas_{}", "0".repeat(32)) });
    owner.patch(&path, "\"2\"", nobody).await.problem(422, "invalid-fields");
}

#[tokio::test]
async fn a_garden_and_an_uplink_are_checked_and_kept() {
    let world = World::new().await;
    let owner = world.owner().await;
    let path = "/api/network/garden";
    let put = async |etag: &str, body: Value| {
        owner.ask("PUT", path, &[("if-match", etag)], Some(body)).await
    };
    let shown = owner.get(path).await.is(200);
    assert_eq!(shown.body["open"], json!([]));
    let wrong = put(&shown.etag(), json!({ "names": ["kra.go.ke", "*.example"] })).await;
    assert_eq!(wrong.problem(422, "invalid-fields").body["errors"][0]["field"], "names[1]");
    let garden = json!({ "names": ["kra.go.ke"], "free": ["198.51.100.7/32"], "kbps": 512 });
    let kept = put(&shown.etag(), garden.clone()).await.is(200);
    assert_eq!(kept.body["free"], json!(["198.51.100.7/32"]));
    put(&shown.etag(), garden.clone()).await.problem(412, "stale");
    put(&kept.etag(), json!({ "names": ["pay.example"] })).await.is(200);
    assert_eq!(owner.get(path).await.body["kbps"], Value::Null);

    let edge = owner.edge().await;
    let path = format!("/api/network/edges/{edge}/uplink");
    let put = async |body: Value| owner.ask("PUT", &path, &[], Some(body)).await;
    put(json!({ "down_kbps": 90_000 })).await.problem(422, "invalid-fields");
    put(json!({ "down_kbps": 90_000, "up_kbps": 40_000 })).await.is(204);
    assert_eq!(owner.get(&path).await.body, json!({ "down_kbps": 90_000, "up_kbps": 40_000 }));
    put(json!({})).await.is(204);
    assert_eq!(owner.get(&path).await.body["down_kbps"], Value::Null);
    let nobody = format!("/api/network/edges/edge_{}/uplink", "0".repeat(32));
    owner.get(&nobody).await.problem(404, "not-found");
}
