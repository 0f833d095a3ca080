//! Who may do what, as it is answered: a table of statuses by route and role.

use std::{env, fmt::Write as _, fs, path::Path};

use serde_json::Value;

use super::asked::{at, nobody, nonsense, operations};
use crate::world::{PASSWORD, Staff, World};

/// A review of permissions is a diff of this file. `KENNET_BLESS=1` writes it anew.
///
/// Each route is asked by everybody about something that is not there and with a body that does
/// not fit: 401 and 403 are refusals, 404 and 422 are what somebody gets who may. Nobody gets 500,
/// and nobody gets what the document does not say.
#[tokio::test]
async fn every_route_answers_every_role_as_the_golden_table_says() {
    let world = World::with(|flags| flags.registration = Some("open".to_owned())).await;
    let everybody = everybody(&world).await;
    let mut table = Vec::new();
    let mut undocumented = Vec::new();
    for operation in operations(&world).await {
        if LOUD.contains(&operation.name().as_str()) {
            continue;
        }
        let body = at(&operation.document, "/requestBody").is_object().then(nonsense);
        let path = operation.paths(&|_| nobody(&operation)).remove(0);
        let mut line = operation.name();
        for (role, staff) in &everybody {
            let headers = [("if-match", "\"1\"")];
            let reply = match staff {
                Some(staff) => staff.ask(&operation.method, &path, &headers, body.clone()).await,
                None => world.ask(&operation.method, &path, &headers, body.clone()).await,
            };
            let status = reply.status.as_u16();
            assert_ne!(status, 500, "{role} {}: {}", operation.name(), reply.body);
            if !operation.documents(status) {
                undocumented.push(format!("{role} {} {status} {}", operation.name(), reply.body));
            }
            write!(line, " {role}:{status}").expect("a string takes all");
        }
        table.push(line);
    }
    assert!(undocumented.is_empty(), "not in the document: {undocumented:#?}");
    assert!(table.len() > 90, "{}", table.len());
    let table = table.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/access.txt");
    if env::var_os("KENNET_BLESS").is_some() {
        fs::write(&path, &table).expect("the golden file is ours");
    }
    let golden = fs::read_to_string(&path).expect("tests/golden/access.txt");
    assert!(table == golden, "who may do what has changed; it is now:\n{table}");
}

/// One of each role, and nobody.
pub(super) async fn everybody(world: &World) -> Vec<(&'static str, Option<Staff<'_>>)> {
    let platform = crate::isolation::platform(&world.app, world).await;
    let owner = world.owner().await;
    let mut all = vec![("nobody", None), ("platform", Some(platform))];
    for role in ["finance", "noc", "support", "reseller", "auditor"] {
        all.push((role, Some(owner.hire(role).await)));
    }
    all.push(("owner", Some(owner)));
    all
}

/// A role in the table is the role in the list of routes.
#[tokio::test]
async fn the_table_and_the_list_of_routes_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a golden file");
    let (routes, access) = (read("routes.txt"), read("access.txt"));
    let mut checked = 0;
    for line in access.lines() {
        let mut words = line.split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { panic!("{line}") };
        let route = routes.lines().find(|route| route.starts_with(&format!("{path} {method} ")));
        let need: Vec<_> = route.expect("each is in the list").split(' ').skip(2).collect();
        for word in words {
            let (role, status) = word.split_once(':').expect("role:status");
            let may = match need.first().copied() {
                Some("-") => true,
                Some("(edge)") => false,
                Some("(staff)") => role != "nobody",
                Some(_) | None => need.contains(&role),
            };
            let refused = status == "401" || status == "403";
            assert_eq!(refused, !may, "{word} in {line}");
            checked += 1;
        }
    }
    assert!(checked > 700, "{checked}");
}

/// What somebody gets who is refused says why, and what it would take.
#[tokio::test]
async fn a_refusal_is_a_problem_with_a_type() {
    let world = World::new().await;
    let owner = world.owner().await;
    let auditor = owner.hire("auditor").await;
    let refused = auditor.post("/api/plans", Value::Null).await.problem(403, "role-needed");
    assert_eq!(refused.text("/title"), "the role `auditor` may not do this");
    let login = world.login("auditor@first.example", PASSWORD).await.is(200);
    assert_eq!(login.body["user"]["role"], "auditor");
}

/// These have an effect without a body, or answer for minutes.
const LOUD: &[&str] = &["POST /api/auth/logout"];
