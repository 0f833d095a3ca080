//! Who may call what: the list, and that it is true; and what the document says of each route.

mod access;
mod asked;
mod promises;
mod tenants;

use std::{env, fs, path::Path};

use controller::app::App;
use serde_json::Value;

use crate::world::World;

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

/// Two types of one name would be one in the document, and no program could tell.
#[test]
fn a_name_of_the_document_is_one_type() {
    let routes = App::routes();
    let clashes: Vec<_> = routes.clashes().collect();
    assert!(clashes.is_empty(), "give each a name of its own: {clashes:?}");
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

#[tokio::test]
async fn the_document_has_an_example_of_every_body() {
    let world = World::new().await;
    let mut lacking = Vec::new();
    for operation in asked::operations(&world).await {
        let bodies = operation.document["responses"].as_object().expect("answers").iter();
        let bodies = bodies.map(|(status, answer)| (status.as_str(), &answer["content"]));
        let request = ("body", &operation.document["requestBody"]["content"]);
        for (what, content) in bodies.chain([request]) {
            for (media, content) in content.as_object().into_iter().flatten() {
                if media.ends_with("json") && content.get("example").is_none() {
                    lacking.push(format!("{} {what}", operation.name()));
                }
            }
        }
        for (status, answer) in operation.document["responses"].as_object().expect("answers") {
            let said = answer["description"].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{} {status}", operation.name());
        }
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}

#[tokio::test]
async fn every_update_wants_the_version_that_was_seen() {
    let world = World::new().await;
    let owner = world.owner().await;
    let all = asked::operations(&world).await;
    let (known, places) = asked::fill(&world, &owner, &all, 1).await;
    let mut checked = 0;
    for operation in all.iter().filter(|operation| operation.method == "PATCH") {
        let id = |before: &str| places.get(before).cloned().unwrap_or_default();
        let path = operation.paths(&id).remove(0);
        let body = operation.body(&known);
        let without = owner.ask("PATCH", &path, &[], body.clone()).await;
        without.problem(428, "if-match-needed");
        let weak = owner.ask("PATCH", &path, &[("if-match", "W/\"1\"")], body.clone()).await;
        weak.problem(400, "bad-if-match");
        let stale = owner.ask("PATCH", &path, &[("if-match", "\"99\"")], body).await;
        stale.problem(412, "stale");
        checked += 1;
    }
    assert!(checked > 8, "{checked}");
}

/// A program can rely on the types that the document lists: there are no others.
#[tokio::test]
async fn every_type_of_problem_is_in_the_document() {
    let world = World::new().await;
    let api = world.ask("GET", "/api/openapi.json", &[], None).await.is(200).body;
    let listed = &api["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let listed: Vec<_> =
        listed.as_array().expect("types").iter().filter_map(Value::as_str).collect();
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.extend(types_in(&fs::read_to_string(path).expect("text")));
            }
        }
    }
    assert!(found.len() > 80, "{}", found.len());
    found.retain(|kind| !listed.contains(&kind.as_str()));
    assert!(found.is_empty(), "say them in src/http/problems.rs: {found:?}");
}

/// Literals that stand where a problem's type does.
fn types_in(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut parts = source.split('"');
    let mut types = Vec::new();
    while let (Some(before), Some(literal)) = (parts.next(), parts.next()) {
        let before = before.trim_end();
        let last = before.rsplit("StatusCode::").next().unwrap_or_default();
        let status = last.strip_suffix(',').is_some_and(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        });
        if status || before.ends_with("conflict(") || before.ends_with("(status,") {
            types.push(literal.to_owned());
        }
    }
    types
}
