//! The API and its document, asked by a client that is not ours: `schemathesis` reads the document
//! and tries what it says, with what fits and what does not.

use std::{env, fs, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::process::Command;

use super::asked::{Places, fill, operations};
use crate::world::World;

/// No 500, no status, media type or body that the document does not promise, and nothing without
/// a login that needs one.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_keeps_what_its_document_promises() {
    let Some(program) = schemathesis() else {
        panic!("this test needs schemathesis: `cargo xtask setup` installs it");
    };
    let world = World::new().await;
    let token = world.register("First", "owner@first.example").await.is(201).text("/token");
    let staff = world.staff(&token);
    let all = operations(&world).await;
    let (known, places) = fill(&world, &staff, &all, 1).await;
    // With ids that there are, it comes further than the door.
    let document = world.ask("GET", "/api/openapi.json", &[], None).await.is(200).body;
    let document = with_ids(known.put_into(&document), &places);
    let folder = tempfile::tempdir().expect("a folder for what it writes");
    let file = folder.path().join("openapi.json");
    fs::write(&file, document.to_string()).expect("the folder is ours");

    let mut command = Command::new(program);
    command
        .args(["run", "openapi.json", "--url", &world.url, "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS])
        .args([
            "--no-shrink",
            "--generation-database",
            "none",
            "--max-examples",
            "4",
            "--workers",
            "2",
            "--seed",
            "20261128",
        ])
        .args(["--request-timeout", "20", "--max-failures", "40", "--continue-on-failure"])
        // It would log itself out, or wait for what goes on and on; and no broker is here.
        .args(["--exclude-path-regex", "^/api/auth/|^/api/live|^/metrics|^/readyz"])
        .args(["--suppress-health-check", "all"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIME, command.output()).await;
    let output = output.expect("it ends in time").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("No issues found") || said.contains(" passed"), "{said}");
    staff.get("/api/auth/me").await.is(200);
}

/// Says which ids there are, where a path wants one; and one that there is not.
fn with_ids(mut document: Value, places: &Places) -> Value {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).expect("paths");
    for (path, item) in paths {
        let Some(id) = path.split_once('{').and_then(|(before, _)| places.get(before)) else {
            continue;
        };
        let tag = id.rsplit_once('_').map_or("", |(tag, _)| tag);
        let nobody = format!("{tag}_{}", "0".repeat(32));
        for operation in item.as_object_mut().expect("operations").values_mut() {
            if let Some(schema) = operation.pointer_mut("/parameters/0/schema") {
                *schema = json!({ "type": "string", "enum": [id, nobody] });
            }
        }
    }
    document
}

fn schemathesis() -> Option<PathBuf> {
    let named = env::var_os("KENNET_SCHEMATHESIS").map(PathBuf::from);
    let in_path = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|folder| folder.join("schemathesis")).find(|it| it.is_file())
    };
    named.filter(|it| it.is_file()).or_else(in_path)
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance,ignored_auth";
const TIME: Duration = Duration::from_mins(4);
