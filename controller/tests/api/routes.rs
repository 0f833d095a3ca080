//! Who may call what: the list, and that it is true.

use std::{env, fs, path::Path};

use controller::{app::App, operators::Role};
use serde_json::Value;

use crate::world::{Staff, World};

/// A review of permissions is a diff of this file. `KENNET_BLESS=1` writes it anew.
#[test]
fn the_routes_are_those_of_the_golden_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/routes.txt");
    let list = App::routes().list() + "\n";
    if env::var_os("KENNET_BLESS").is_some() {
        fs::write(&path, &list).expect("the golden file is ours");
    }
    let golden = fs::read_to_string(&path).expect("tests/golden/routes.txt");
    assert!(list == golden, "the routes have changed; they are now:\n{list}");
}

#[tokio::test]
async fn each_route_lets_in_its_roles_and_nobody_else() {
    let world = World::new().await;
    let owner = world.owner().await;
    let mut staff: Vec<(Role, Staff<'_>)> = Vec::new();
    for role in [Role::Finance, Role::Noc, Role::Support, Role::Reseller, Role::Auditor] {
        staff.push((role, owner.hire(role.as_str()).await));
    }
    staff.push((Role::Owner, owner));
    let mut checked = 0;
    for line in App::routes().list().lines() {
        let mut words = line.split(' ');
        let (Some(path), Some(method)) = (words.next(), words.next()) else {
            panic!("{line}");
        };
        let need: Vec<_> = words.filter(|word| *word != "+code").collect();
        let path = path.replace("{verb}", "suspend").replace("{id}", &nobody(path));
        let anonymous = world.ask(method, &path, &[], None).await;
        match need.as_slice() {
            ["-"] => assert_ne!(anonymous.body["type"], "login-needed", "{line}"),
            ["(edge)"] => assert_eq!(anonymous.status, 401, "{line}"),
            _ => {
                anonymous.problem(401, "login-needed");
            }
        }
        if matches!(need.as_slice(), ["-" | "(edge)"]) || path == "/api/auth/logout" {
            continue;
        }
        for (role, somebody) in &staff {
            let reply = somebody.ask(method, &path, &[], None).await;
            let may = need == ["(staff)"] || need.contains(&role.as_str());
            let refused = reply.body["type"] == "role-needed";
            assert_eq!(refused, !may, "{} {line}: {}", role.as_str(), reply.body);
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

/// An id that parses and names nothing.
fn nobody(path: &str) -> String {
    let tags = [
        ("/access-points/", "ap"),
        ("/batches/", "vb"),
        ("/doubts/", "dbt"),
        ("/edges/", "edge"),
        ("/intents/", "int"),
        ("/invitations/", "ivt"),
        ("/invoices/", "inv"),
        ("/logins/", "lgn"),
        ("/merchants/", "mer"),
        ("/nas/", "nas"),
        ("/operators/", "op"),
        ("/payments/", "pay"),
        ("/payouts/", "po"),
        ("/plans/", "plan"),
        ("/reconciliations/", "rec"),
        ("/refunds/", "rfd"),
        ("/resellers/", "rsl"),
        ("/sessions/", "ses"),
        ("/subscribers/", "sub"),
        ("/subscriptions/", "subn"),
        ("/tenants/", "ten"),
        ("/tokens/", "tok"),
        ("/tickets/", "tkt"),
        ("/webhooks/", "wh"),
    ];
    let tag = tags.iter().find(|(part, _)| path.contains(part)).map_or("", |(_, tag)| *tag);
    format!("{tag}_{}", "0".repeat(32))
}

#[tokio::test]
async fn the_openapi_document_has_every_route_once() {
    let world = World::new().await;
    let api = world.ask("GET", "/api/openapi.json", &[], None).await.is(200).body;
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = Vec::new();
    let mut routes = Vec::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            ids.push(operation["operationId"].as_str().expect("an id").to_owned());
            let secured = operation["security"].is_array();
            routes.push((format!("{path} {}", method.to_uppercase()), secured));
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
    for line in App::routes().list().lines() {
        let open = line.ends_with(" -");
        let secured = routes.iter().find(|(route, _)| line.starts_with(&format!("{route} ")));
        assert_eq!(secured.map(|(_, secured)| *secured), Some(!open), "{line}");
    }
    assert_eq!(routes.len(), App::routes().list().lines().count());
    references(&api, &api);
}

/// Every `$ref` points to something.
fn references(value: &Value, api: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get("$ref") {
                let there = api.pointer(to.trim_start_matches('#'));
                assert!(there.is_some(), "{to} is not there");
            }
            fields.values().for_each(|field| references(field, api));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, api)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::new().await;
    let owner = world.owner().await;
    world.ask("GET", "/api/nothing", &[], None).await.problem(404, "not-found");
    world.ask("DELETE", "/api/plans", &[], None).await.problem(405, "method-not-allowed");
    owner.get("/api/plans/7").await.problem(404, "not-found");
    owner.get("/api/plans?limit=0").await.problem(422, "invalid-fields");
    owner.get("/api/plans?limit=x").await.problem(400, "bad-query");
    owner.get("/api/plans?after=x").await.problem(422, "invalid-fields");
    let reply = owner.ask("POST", "/api/plans", &[("content-type", "text/plain")], None).await;
    reply.problem(415, "not-json");
    let huge = serde_json::json!({ "code": "x".repeat(300 << 10) });
    owner.post("/api/plans", huge).await.is(413);
}

#[tokio::test]
async fn answers_carry_the_headers_that_protect() {
    let world = World::new().await;
    let reply = world.ask("GET", "/healthz", &[], None).await.is(200);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
    assert!(reply.headers.contains_key("x-request-id"));
    let metrics = world.ask("GET", "/metrics", &[], None).await.is(200);
    let text = metrics.body.as_str().expect("text");
    assert!(
        text.contains("kennet_http_requests_total{method=\"GET\",route=\"/healthz\""),
        "{text}"
    );
    let path = "/downloads/KenNet-Platform-Documentation.md";
    let document = world.ask("GET", path, &[], None).await.is(200);
    assert!(document.body.as_str().expect("text").starts_with("# KenNet"));
    // No broker is connected here.
    let ready = world.ask("GET", "/readyz", &[], None).await.is(503);
    assert_eq!(ready.body, serde_json::json!({ "database": true, "broker": false }));
}
