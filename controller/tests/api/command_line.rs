//! `kennet`, the command line, against a controller that serves.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use controller::cli;
use serde_json::Value;

use crate::world::{PASSWORD, World};

fn kennet(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennet"));
    command.env("KENNET_LOGIN_FILE", folder.join("login.json")).args(arguments);
    command.output().expect("it runs")
}

#[track_caller]
fn prints(folder: &Path, arguments: &[&str]) -> String {
    let output = kennet(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let text = prints(folder, &[&["--json"], arguments].concat());
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn refuses(folder: &Path, arguments: &[&str]) -> String {
    let output = kennet(folder, arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

/// As the owner.
fn log_in(world: &World, folder: &Path) {
    let password = folder.join("password");
    fs::write(&password, PASSWORD).expect("a folder");
    let login = ["login", &world.url, "owner@first.example", "--password-file"];
    prints(folder, &[&login[..], &[password.to_str().expect("UTF-8")]].concat());
}

// The command blocks its thread, and the controller must go on beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_at_the_desk() {
    let world = World::new().await;
    world.owner().await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    assert!(refuses(folder, &["whoami"]).starts_with("kennet: not logged in"));
    let wrong = file("wrong", "not the password\n");
    let login = ["login", &world.url, "owner@first.example", "--password-file"];
    let said = refuses(folder, &[&login[..], &[&wrong]].concat());
    assert!(said.starts_with("kennet: wrong e-mail address or password"), "{said}");
    let right = file("right", &format!("{PASSWORD}\n"));
    let who = prints(folder, &[&login[..], &[&right]].concat());
    assert!(who.contains("owner@first.example") && !who.contains("token"), "{who}");
    let mode = fs::metadata(folder.join("login.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A token that has expired is renewed on the way, by one of those who come at once.
    let past = "UPDATE operator_session SET created_at = now() - interval '2 h', \
                expires_at = now() - interval '1 h'";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    let kept = fs::read_to_string(folder.join("login.json")).unwrap();
    let mut kept: Value = serde_json::from_str(&kept).unwrap();
    kept["expires_at"] = "2026-01-01T00:00:00Z".into();
    fs::write(folder.join("login.json"), kept.to_string()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| prints(folder, &["whoami"]));
        }
    });

    let plan = [
        "plans",
        "create",
        "--code",
        "home",
        "--name",
        "Home",
        "--down-kbps",
        "20000",
        "--up-kbps",
        "10000",
        "--price-cents",
        "250000",
        "--months",
        "1",
    ];
    json(folder, &plan);
    let secret = file("secret", "radius secret");
    let subscriber = [
        "subscribers",
        "create",
        "--username",
        "amina",
        "--full-name",
        "Amina Wanjiru",
        "--password-file",
        &secret,
        "--mac",
        "02:00:00:00:00:01",
    ];
    let subscriber = json(folder, &subscriber)["id"].as_str().unwrap().to_owned();
    let create =
        ["subscriptions", "create", "--subscriber", &subscriber, "--plan", "home", "--activate"];
    let subscription = json(folder, &create);
    assert_eq!(subscription["state"], "active");
    let id = subscription["id"].as_str().unwrap();
    prints(folder, &["subscriptions", "suspend", id, "--reason", "by phone"]);
    let said = refuses(folder, &["subscriptions", "suspend", id]);
    assert_eq!(said, "kennet: a subscription that is suspended cannot be changed by `suspend`\n");
    let edge = json(folder, &["edges", "create", "--name", "north"]);
    let edge_id = edge["id"].as_str().unwrap();
    assert!(edge["secret"].is_string());
    let nas = [
        "nas",
        "create",
        "--edge",
        edge_id,
        "--name",
        "lab",
        "--address",
        "10.0.0.1/24",
        "--secret-file",
        &secret,
    ];
    let said = refuses(folder, &nas);
    assert!(said.contains("address: ") && said.contains("10.0.0.0/24 is the network"), "{said}");
    assert!(prints(folder, &["edges", "list"]).contains("north"));
    let list = prints(folder, &["subscribers", "list"]);
    assert!(list.contains("amina") && list.contains("1000002"), "{list}");
    assert_eq!(json(folder, &["sessions", "list"])["items"], Value::Array(Vec::new()));

    prints(folder, &["logout"]);
    assert!(!folder.join("login.json").exists());
}

// The command blocks its thread, and the controller must go on beside it.
#[tokio::test(flavor = "multi_thread")]
async fn subscribers_come_from_csv_and_go_there() {
    let world = World::new().await;
    world.owner().await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let file = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    log_in(&world, folder);

    let rows = file(
        "rows.csv",
        "username,full_name,msisdn,password,macs\n\
         amina,Amina Wanjiru,254712345678,radius,02:00:00:00:00:01 02:00:00:00:00:02\n\
         brian,\"Otieno, Brian\",,,\n\
         chebet,Chebet,0712,,\n\
         amina,Again,,,\n",
    );
    let dry = kennet(folder, &["--json", "subscribers", "import", "--dry-run", &rows]);
    assert_eq!(dry.status.code(), Some(1));
    let said = String::from_utf8_lossy(&dry.stderr);
    let number = "rows.csv:4: msisdn: expected a Kenyan mobile number like 254712345678\n";
    assert!(said.contains(number), "{said}");
    assert!(said.contains("rows.csv:5: the same username stands in line 2\n"), "{said}");
    let tally: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&tally["added"], &tally["faults"]), (&2.into(), &2.into()));
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 0);

    assert_eq!(kennet(folder, &["subscribers", "import", &rows]).status.code(), Some(1));
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 2);
    assert_eq!(world.count("SELECT count(*) FROM subscriber_device").await, 2);
    assert_eq!(json(folder, &["subscribers", "list"])["items"][1]["full_name"], "Otieno, Brian");
    // What came out goes in again, and makes nothing twice.
    let out = prints(folder, &["--csv", "subscribers", "list", "--all"]);
    assert!(out.starts_with("id,account_no,username,full_name,msisdn,"), "{out}");
    let out = file("out.csv", &out);
    let tally = json(folder, &["subscribers", "import", &out]);
    assert_eq!((&tally["added"], &tally["there_already"]), (&0.into(), &2.into()));
    let odd = file("odd.csv", "username,colour\namina,red\n");
    let said = refuses(folder, &["subscribers", "import", &odd]);
    assert!(
        said.starts_with("kennet: there is no column `colour`; there are username, "),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_moved_from_the_desk_and_the_books_are_read_again() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    owner.plan_version("day").await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    log_in(&world, folder);

    let draft = ["invoices", "create", "--subscriber", &amina, "--line", "Set up=100000"];
    let draft = json(folder, &draft)["id"].as_str().unwrap().to_owned();
    let issued = json(folder, &["invoices", "finalise", &draft]);
    assert_eq!(issued["number"], "INV-000001");
    let pay = ["payments", "create", "--provider", "cash", "--subscriber", &amina];
    prints(folder, &[&pay[..], &["--amount-cents", "120000"]].concat());
    let list = prints(folder, &["invoices", "list"]);
    assert!(list.contains("INV-000001") && list.contains("1000.00"), "{list}");
    assert!(prints(folder, &["wallets", "list"]).contains("200.00"));
    let issue = ["vouchers", "issue", "--plan", "day", "--qty", "2", "--presold"];
    let issued = json(folder, &issue);
    let code = issued["codes"][0].as_str().unwrap();
    prints(folder, &["vouchers", "redeem", "--code", code, "--subscriber", &amina]);
    let open = ["tickets", "create", "--subject", "Slow", "--body", "In the evening"];
    let ticket = json(folder, &open)["id"].as_str().unwrap().to_owned();
    prints(folder, &["tickets", "note", &ticket, "--body", "Called back"]);
    assert!(prints(folder, &["tickets", "notes", &ticket]).contains("Called back"));
    let renamed = json(folder, &["subscribers", "update", &amina, "--full-name", "Amina W."]);
    assert_eq!(renamed["full_name"], "Amina W.");
    let why = prints(folder, &["sessions", "why", "--search", "amina"]);
    assert!(why.contains("there is no edge"), "{why}");

    assert!(prints(folder, &["verify"]).contains("wallets"));
    let tamper = "SET session_replication_role = replica; UPDATE payment SET allocated_cents = 0";
    sqlx::raw_sql(tamper).execute(&world.admin).await.unwrap();
    let output = kennet(folder, &["verify"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("kennet: payments: cash RCT-000001 ("), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_undone_from_the_desk() {
    let world = World::new().await;
    let owner = world.owner().await;
    let (amina, brian) = (owner.subscriber("amina").await, owner.subscriber("brian").await);
    let version = owner.plan_version("day").await;
    let plan = owner.get("/api/plans").await.text("/items/0/id");
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    log_in(&world, folder);

    let draft = ["invoices", "create", "--subscriber", &amina, "--line", "Set up=100000"];
    let draft = json(folder, &draft)["id"].as_str().unwrap().to_owned();
    let change = ["invoices", "update", &draft, "--line", "Set up=90000", "--due-on", "2027-01-31"];
    let changed = json(folder, &change);
    assert_eq!(
        (&changed["total_cents"], &changed["due_on"]),
        (&90_000.into(), &"2027-01-31".into())
    );
    let said = refuses(folder, &["subscribers", "delete", &amina]);
    assert!(said.contains("close or anonymise the account"), "{said}");
    prints(folder, &["invoices", "delete", &draft]);
    prints(folder, &["subscribers", "delete", &amina]);
    prints(folder, &["subscribers", "delete", &brian]);
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 0);

    let batch = serde_json::json!({ "plan_version": version, "qty": 1 });
    owner.post("/api/vouchers/issue", batch).await.is(201);
    let voucher =
        json(folder, &["vouchers", "list"])["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(json(folder, &["vouchers", "void-one", &voucher])["state"], "void");
    let said = refuses(folder, &["plans", "delete", &plan]);
    assert!(said.contains("archive it instead"), "{said}");
    let archived = json(folder, &["plans", "update", &plan, "--archive"]);
    assert_eq!(archived["archived"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_desk_looks_at_is_printed() {
    let world = World::new().await;
    world.owner().await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    log_in(&world, folder);
    for request in cli::requests() {
        let (noun, action) = request.command;
        if action == "list" {
            let table = prints(folder, &[noun, action]);
            assert!(!table.trim().is_empty(), "{noun}: a list has a head");
        }
    }

    let token = ["tokens", "create", "--name", "Books", "--scope", "invoices:read", "--days", "30"];
    let token = json(folder, &token);
    assert!(token["token"].as_str().unwrap().len() > 20, "{token}");
    let listed = prints(folder, &["tokens", "list"]);
    assert!(listed.contains("Books") && listed.contains("invoices:read"), "{listed}");
    prints(folder, &["tokens", "delete", token["id"].as_str().unwrap()]);
    assert!(!prints(folder, &["tokens", "list"]).contains("Books"));

    let invited =
        json(folder, &["invitations", "create", "--email", "amina@first.example", "--role", "noc"]);
    assert_eq!(invited["role"], "noc");
    let rates = prints(folder, &["tax-rates", "list"]);
    assert!(rates.contains("vat") && rates.contains("1600"), "{rates}");
    let past = ["tax-rates", "set", "--tax", "vat", "--rate-bp", "1800", "--from", "2020-01-01"];
    let said = refuses(folder, &past);
    assert!(said.contains("from"), "{said}");
}

#[tokio::test]
async fn every_command_asks_for_something_that_is_there() {
    let world = World::new().await;
    let api = world.ask("GET", "/api/openapi.json", &[], None).await.is(200).body;
    let paths = api["paths"].as_object().unwrap();
    let fits = |path: &str, asked: &str| {
        let (mut path, mut asked) = (path.split('/'), asked.split('/'));
        let is_same = path
            .by_ref()
            .zip(asked.by_ref())
            .all(|(there, word)| there == word || (there == "{verb}" && !word.starts_with('{')));
        is_same && path.next().is_none() && asked.next().is_none()
    };
    let mut used = BTreeSet::new();
    for request in cli::requests() {
        // `/x/all` before `/x/{verb}`.
        let exact = paths.get(request.path).map(|found| (request.path, found));
        let other = || {
            let mut found = paths.iter().filter(|(path, _)| fits(path, request.path));
            found.next().map(|(path, found)| (path.as_str(), found))
        };
        let (path, operations) = exact.or_else(other).unwrap_or_else(|| panic!("{request:?}"));
        let operation = &operations[request.method];
        assert!(operation.is_object(), "{request:?}");
        used.insert(path);
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        for field in &request.fields {
            let is_there = if field.starts_with('/') {
                field
                    .split('/')
                    .skip(1)
                    .try_fold(schema, |at, name| property(&api, at, name))
                    .is_some()
            } else {
                parameters.iter().any(|it| it["name"] == *field && it["in"] == "query")
            };
            assert!(is_there, "{field}: {request:?}");
        }
    }
    // What staff has no command for.
    let lacks: Vec<_> = paths
        .keys()
        .filter(|path| path.starts_with("/api/") && !used.contains(path.as_str()))
        .filter(|path| !WITHOUT_A_COMMAND.iter().any(|without| path.starts_with(without)))
        .collect();
    assert!(lacks.is_empty(), "{lacks:#?}");
}

/// Through references and alternatives.
fn property<'a>(api: &'a Value, schema: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return property(api, api.pointer(reference.trim_start_matches('#'))?, name);
    }
    let parts = ["oneOf", "allOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array());
    let mut parts = parts.flatten();
    let own = schema["properties"].get(name);
    own.or_else(|| parts.find_map(|part| property(api, part, name)))
}

/// What the command line does in its own way, what is for browsers and programs, PDFs, and settings
/// that are written whole.
const WITHOUT_A_COMMAND: &[&str] = &[
    "/api/audit/books",
    "/api/auth/",
    "/api/live",
    "/api/openapi.json",
    "/api/portal/",
    "/api/invoices/{id}/pdf",
    "/api/vouchers/batches/{id}/sheet",
    "/api/finance/billing-policy",
    "/api/finance/payout-policy",
    "/api/message-policy",
    "/api/message-templates/preview",
    "/api/retention-policy",
    "/api/network/garden",
    "/api/network/edges/{id}/uplink",
    "/api/subscribers/{id}/consent",
    "/api/subscriptions/{id}/promise",
];
