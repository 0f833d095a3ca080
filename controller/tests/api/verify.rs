//! The books are read again: what was changed around the program is found and named, and a copy
//! that was restored from a backup is as good as the original.

use std::{path::PathBuf, process::Command};

use controller::{clock, verify::Verify};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::world::{Staff, World};

/// A day on which everything happens that money can be moved by.
async fn a_day(world: &World, owner: &Staff<'_>) {
    let amina = owner.subscriber("amina").await;
    for price_cents in [100_000, 50_000] {
        let body = json!({ "subscriber": amina,
                           "lines": [{ "descr": "Installation", "price_cents": price_cents }] });
        let draft = owner.post("/api/invoices", body).await.is(201).text("/id");
        owner.post(&format!("/api/invoices/{draft}/finalise"), json!({})).await.is(200);
        let credit = json!({ "cents": 10_000, "reason": "late" });
        owner.post(&format!("/api/invoices/{draft}/credit-notes"), credit).await.is(201);
    }
    let cash = json!({ "provider": "cash", "subscriber": amina, "amount_cents": 95_000 });
    owner.post("/api/payments", cash).await.is(201);
    let version = owner.plan_version("day").await;
    let body = json!({ "plan_version": version, "qty": 3, "presold": true });
    let issued = owner.post("/api/vouchers/issue", body).await.is(201);
    let body = json!({ "code": issued.text("/codes/0"), "subscriber": amina });
    owner.post("/api/vouchers/redeem", body).await.is(201);

    let body = json!({ "name": "Mama Njeri", "msisdn": "254712345678", "commission_bp": 1000 });
    let shop = owner.post("/api/resellers", body).await.is(201).text("/id");
    let float = json!({ "cents": 100_000 });
    owner.post(&format!("/api/resellers/{shop}/float"), float).await.is(201);
    let body = json!({ "plan_version": version, "qty": 2, "reseller": shop, "presold": true });
    owner.post("/api/vouchers/issue", body).await.is(201);
    let finance = owner.hire("finance").await;
    let body = json!({ "reseller": shop, "msisdn": "254712345678", "amount_cents": 20_000 });
    let payout = finance.post("/api/finance/payouts", body).await.is(201).text("/id");
    let payout = format!("/api/finance/payouts/{payout}");
    owner.post(&format!("{payout}/approve"), json!(null)).await.is(200);
    let paid = json!({ "provider_txn": "TKA1B2C3D4" });
    owner.post(&format!("{payout}/paid"), paid).await.is(200);
    world.app.audit().seal(clock::now()).await.expect("the log is sealed");
}

/// The first fault of every check that has one.
async fn faults(world: &World) -> Vec<(&'static str, String)> {
    let reports = Verify::new(world.db.clone()).everything().await.expect("the books can be read");
    let checks = reports.into_iter().flat_map(|report| report.checks);
    checks.filter_map(|check| Some((check.name, check.first?))).collect()
}

#[tokio::test]
async fn what_was_changed_around_the_program_is_named() {
    let world = World::new().await;
    let owner = world.owner().await;
    a_day(&world, &owner).await;
    assert_eq!(faults(&world).await, []);
    let said = owner.get("/api/audit/books").await.is(200);
    assert_eq!(said.body["intact"], true);
    for check in said.items("/checks") {
        let rows = check["rows"].as_i64().unwrap();
        // Nothing was earned by time on that day.
        let some = rows > 0 || check["name"] == "recognitions";
        assert!(some, "nothing was looked at: {check}");
    }

    // Each is done by a superuser without triggers, and is not undone: a check that had nothing to
    // say has something now.
    let mut known: Vec<&str> = Vec::new();
    for (check, tamper, says) in [
        (
            "tables",
            "ALTER TABLE kennet.invoice NO FORCE ROW LEVEL SECURITY",
            "not forced on invoice",
        ),
        ("triggers", "ALTER TABLE kennet.payment DISABLE TRIGGER payment_guard", "payment_guard"),
        (
            "constraints",
            "ALTER TABLE kennet.payment ADD CONSTRAINT later CHECK (amount_cents > 0) NOT VALID",
            "later of",
        ),
        ("numbers", "UPDATE invoice SET number = 7 WHERE number = 1", "INV-000001 is missing"),
        ("invoices", "UPDATE invoice SET paid_cents = 1 WHERE number = 2", "1 cents are paid"),
        ("payments", "UPDATE payment SET allocated_cents = 1", "1 cents are allocated"),
        ("credit notes", "DELETE FROM ledger_entry WHERE kind = 'invoice.credit'", "CRN-1"),
        (
            "allocations",
            "DELETE FROM ledger_entry WHERE kind = 'payment.allocate'",
            "not in the books",
        ),
        ("payouts", "DELETE FROM ledger_entry WHERE kind = 'payout.hold'", "not in the books"),
        ("entries", "", "which is not there"),
        (
            "wallets",
            "UPDATE ledger_account SET balance_cents = balance_cents + 1 WHERE code LIKE 'wallet:%'",
            "its postings make",
        ),
        (
            "other accounts",
            "UPDATE ledger_account SET balance_cents = 0 WHERE code LIKE 'agent:%'",
            "has 0 cents, its postings make",
        ),
        (
            "postings",
            "UPDATE ledger_posting SET amount_cents = amount_cents + 1
              WHERE amount_cents > 0 AND ctid = (SELECT min(ctid) FROM ledger_posting
                                                  WHERE amount_cents > 0)",
            "debits of",
        ),
        ("voucher sales", "UPDATE voucher_sale SET qty = qty + 1", "vouchers"),
        (
            "vouchers",
            "UPDATE voucher SET state = 'sold', redeemed_at = NULL, subscriber_id = NULL",
            "redeemed never, gave 1 times",
        ),
        ("entitlements", "UPDATE entitlement SET bytes_leased = 5", "5 bytes are leased"),
        ("audit log", "UPDATE audit_log SET actor = 'nobody'", "block 1 is not as it was sealed"),
    ] {
        let statement = format!("SET session_replication_role = replica; {tamper}");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.admin).await.expect(check);
        let found = faults(&world).await;
        let fault = found.iter().find(|(name, _)| *name == check);
        let (_, text) = fault.unwrap_or_else(|| panic!("{check}: nothing was found by {tamper}"));
        assert!(text.contains(says), "{check}: {text}");
        // What one took away may be missed by several: those are not counted as found twice.
        assert!(tamper.is_empty() || !known.contains(&check), "{check} was at fault before");
        known = found.iter().map(|(name, _)| *name).collect();
    }
    let said = owner.get("/api/audit/books").await.is(200);
    assert_eq!(said.body["intact"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_restored_is_verified() {
    let world = World::new().await;
    let owner = world.owner().await;
    a_day(&world, &owner).await;
    let bin: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    let program = |name: &str| Command::new(PathBuf::from(&bin).join(name));
    let url = world.address();
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("kennet.dump");
    run(program("pg_dump").args(["--format=custom", "--file"]).arg(&dump).arg(&url));

    let name = format!("r{}", uuid::Uuid::now_v7().simple());
    let statement = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&world.admin).await.unwrap();
    let restored = world.address_of(&name);
    run(program("pg_restore").args(["--exit-on-error", "--dbname"]).arg(&restored).arg(&dump));

    let verify = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kennet-controller"));
        command.args(["verify", "--json", "--data-dir"]).arg(folder.path());
        command.env("KENNET_DATABASE_URL", url).output().expect("it runs")
    };
    let (before, after) = (verify(&url), verify(&restored));
    assert!(after.status.success(), "{}", String::from_utf8_lossy(&after.stderr));
    let reports: Value = serde_json::from_slice(&after.stdout).unwrap();
    assert_eq!(reports, serde_json::from_slice::<Value>(&before.stdout).unwrap());
    assert_eq!(reports[0]["of"], "database");

    // A backup that lost a row says so.
    let pool = sqlx::PgPool::connect(&restored).await.unwrap();
    let lose = "SET session_replication_role = replica; DELETE FROM kennet.payment_allocation";
    sqlx::raw_sql(lose).execute(&pool).await.unwrap();
    pool.close().await;
    let output = verify(&restored);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("kennet-controller: first: invoices: INV-1 ("), "{said}");
    assert!(said.contains("90000 cents are paid, its allocations make 0"), "{said}");
}

fn run(command: &mut Command) {
    let output = command.output().expect("it is installed with Postgres");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
