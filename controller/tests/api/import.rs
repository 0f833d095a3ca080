//! The old program's SQLite file comes in through the verbs, once, and into books that hold.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::world::World;

/// As the old program may have made it.
fn old_file(path: &Path) {
    let sqlite = rusqlite::Connection::open(path).unwrap();
    sqlite
        .execute_batch(
            "CREATE TABLE clients (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, email TEXT,
                                   address TEXT, created_at TEXT);
             INSERT INTO clients VALUES
               (1, 'Amina Wanjiru', '0712345678', 'amina@mail.example', 'Nyeri', '2025-01-02'),
               (2, 'Brian Otieno', 'none', NULL, NULL, '2025-01-03'),
               (3, '', '0733000003', NULL, NULL, NULL);
             CREATE TABLE plans (id INTEGER PRIMARY KEY, name TEXT, speed_mbps INTEGER, price REAL);
             INSERT INTO plans VALUES (1, 'Home', 10, 2500.0), (2, 'Old', NULL, 999.5);
             CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, client_id INTEGER,
                                         plan_id INTEGER, start_date TEXT, status TEXT);
             INSERT INTO subscriptions VALUES
               (1, 1, 1, '2025-01-02', 'active'), (2, 3, 1, '2025-01-02', 'active');
             CREATE TABLE invoices (id INTEGER PRIMARY KEY, client_id INTEGER, amount REAL,
                                    due_date TEXT, created_at TEXT, status TEXT);
             INSERT INTO invoices VALUES
               (1, 1, 2500.0, '2025-02-16', '2025-02-02', 'paid'),
               (2, 2, 999.5, '2025-02-16', '2025-02-02', 'unpaid');
             CREATE TABLE payments (id INTEGER PRIMARY KEY, client_id INTEGER, amount REAL,
                                    method TEXT, reference TEXT, paid_at TEXT);
             INSERT INTO payments VALUES
               (1, 1, 2500.0, 'M-Pesa', 'TB21ABC123', '2025-02-03 10:00:00'),
               (2, 2, 500.0, 'cash', NULL, '2025-02-10');
             CREATE TABLE tickets (id INTEGER PRIMARY KEY, client_id INTEGER, subject TEXT,
                                   description TEXT, status TEXT, created_at TEXT);
             INSERT INTO tickets VALUES (1, 1, 'Slow', 'In the evening', 'open', '2025-03-01');",
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_file_is_taken_over_once() {
    let world = World::new().await;
    world.owner().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("isp_manager.db");
    old_file(&file);
    let import = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kennet-controller"));
        command
            .args(["import", "isp-manager", "--tenant", "first", "--json"])
            .arg(&file)
            .args(more);
        command.arg("--data-dir").arg(folder.path());
        let output = command.env("KENNET_DATABASE_URL", world.address()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (output.status.code(), lines)
    };
    let outcomes = |lines: &Value| -> Vec<String> {
        let lines = lines.as_array().unwrap().iter();
        let words = lines.map(|line| format!("{} {}", line["table"], line["outcome"]));
        words.map(|words| words.replace('"', "")).collect()
    };
    let (code, dry) = import(&["--dry-run"]);
    assert_eq!(code, Some(2));
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 0);
    let (code, first) = import(&[]);
    assert_eq!(code, Some(2));
    assert_eq!(outcomes(&dry), outcomes(&first));
    assert_eq!(
        outcomes(&first),
        [
            "clients taken",
            "clients taken",
            "clients refused",
            "plans taken",
            "plans taken",
            "subscriptions taken",
            "subscriptions refused",
            "invoices taken",
            "invoices taken",
            "payments taken",
            "payments taken",
            "tickets taken",
        ]
    );
    assert_eq!(first[1]["notes"][0], "`none` is no Kenyan mobile number: left out");
    assert_eq!(first[4]["notes"][0], "no speed: 10000 kbit/s");
    assert_eq!(first[6]["notes"][0], "client 3 was not taken");
    let old = "SELECT count(*) FROM invoice WHERE issued_at = '2025-02-01T21:00:00Z'";
    assert_eq!(world.count(old).await, 2);
    assert_eq!(world.count("SELECT sum(paid_cents)::bigint FROM invoice").await, 300_000);

    let (_, again) = import(&[]);
    assert!(!outcomes(&again).iter().any(|outcome| outcome.ends_with("taken")), "{again}");
    assert_eq!(world.count("SELECT count(*) FROM payment").await, 2);
    let reports = controller::verify::Verify::new(world.db.clone()).everything().await.unwrap();
    assert!(reports.iter().all(|report| report.first_fault().is_none()));
}
