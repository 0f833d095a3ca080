//! The API and its document, asked by a client that is not ours: `schemathesis` reads the document
//! and tries what it says, with what fits and what does not.

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use tokio::process::Command;

use super::{asked::fill, asked::operations};
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
    fill(&world, &staff, &all, 1).await;

    let folder = tempfile::tempdir().expect("a folder for what it writes");
    let mut command = Command::new(program);
    command
        .args(["run", &format!("{}/api/openapi.json", world.url), "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS])
        .args(["--max-examples", "4", "--workers", "2", "--seed", "20261128"])
        .args(["--request-timeout", "20", "--max-failures", "40", "--continue-on-failure"])
        // It would log itself out, or wait for what goes on and on.
        .args(["--exclude-path-regex", "^/api/auth/|^/api/live|^/metrics"])
        .args(["--suppress-health-check", "all"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIME, command.output()).await;
    let output = output.expect("it ends in time").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "{said}");
    staff.get("/api/auth/me").await.is(200);
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
const TIME: Duration = Duration::from_secs(150);
