//! What the program's roles may do in the database, as a table; and rates that stay.

use std::{env, fs, path::Path};

use serde_json::json;
use shared::id::TenantId;
use uuid::Uuid;

use crate::world::World;

/// A review of rights is a diff of this file. `KENNET_BLESS=1` writes it anew.
#[tokio::test]
async fn the_rights_of_the_roles_are_those_of_the_golden_table() {
    let world = World::new().await;
    let lines: Vec<String> = sqlx::query_scalar(
        "WITH mine AS (
           SELECT c.relname, pg_get_userbyid(a.grantee) AS role, a.privilege_type AS what,
                  NULL::name AS col
             FROM pg_class c, aclexplode(c.relacl) a
            WHERE c.relnamespace = 'kennet'::regnamespace AND NOT c.relispartition
            UNION ALL
           SELECT c.relname, pg_get_userbyid(a.grantee), a.privilege_type, t.attname
             FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid,
                  aclexplode(t.attacl) a
            WHERE c.relnamespace = 'kennet'::regnamespace AND NOT c.relispartition),
         said AS (
           SELECT relname, role, what || coalesce('(' ||
                    string_agg(col, ' ' ORDER BY col) || ')', '') AS what
             FROM mine WHERE role LIKE 'kennet\\_%'
            GROUP BY relname, role, what, col IS NULL),
         functions AS (
           SELECT p.proname || '()', r.rolname, 'EXECUTE as owner'
             FROM pg_proc p, pg_roles r
            WHERE p.pronamespace = 'kennet'::regnamespace AND p.prosecdef
              AND p.prorettype <> 'trigger'::regtype
              AND r.rolname LIKE 'kennet\\_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
         SELECT relname || ' ' || role || ': ' || string_agg(what, ', ' ORDER BY what)
           FROM (SELECT * FROM said UNION ALL SELECT * FROM functions) AS rights
          GROUP BY relname, role ORDER BY relname COLLATE \"C\", role COLLATE \"C\"",
    )
    .fetch_all(&world.admin)
    .await
    .unwrap();
    assert!(lines.len() > 60, "{lines:#?}");
    let table = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/grants.txt");
    if env::var_os("KENNET_BLESS").is_some() {
        fs::write(&path, &table).expect("the golden file is ours");
    }
    let golden = fs::read_to_string(&path).expect("tests/golden/grants.txt");
    assert!(table == golden, "rights have changed; they are now:\n{table}");
    // Nobody removes what was counted, and nobody empties a table.
    for word in ["TRUNCATE", "TRIGGER", "REFERENCES"] {
        assert!(!table.contains(word), "{word}");
    }
}

/// Books of a day could not be computed again without the rates of that day.
#[tokio::test]
async fn a_rate_that_was_in_force_is_neither_removed_nor_shortened() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "name": "Shop", "commission_bp": 500 });
    let shop = owner.post("/api/resellers", body).await.is(201).text("/id");
    let tenant: Uuid = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE slug = 'first'")
        .fetch_one(&world.admin)
        .await
        .unwrap();
    // Some days ago, as if the reseller had been there then.
    let older = "ALTER TABLE commission_rule DISABLE TRIGGER rate_guard;
        UPDATE commission_rule SET during = daterange(lower(during) - 9, NULL);
        ALTER TABLE commission_rule ENABLE TRIGGER rate_guard";
    sqlx::raw_sql(older).execute(&world.admin).await.unwrap();
    for statement in [
        "DELETE FROM tax_rate WHERE code = 'vat'",
        "UPDATE tax_rate SET during = daterange(lower(during), current_date - 1)",
        "UPDATE tax_rate SET during = daterange(lower(during) + 1, NULL)",
        "DELETE FROM commission_rule",
        "UPDATE commission_rule SET during = daterange(lower(during), current_date - 1)",
    ] {
        for admin in [false, true] {
            let refused = if admin {
                sqlx::query(statement).execute(&world.admin).await
            } else {
                let mut tx = world.db.tenant(TenantId::from_uuid(tenant)).await.unwrap();
                sqlx::query(statement).execute(&mut *tx).await
            };
            let error = refused.map(drop).expect_err(statement);
            let constraint = error.as_database_error().and_then(|error| error.constraint());
            assert_eq!(constraint, Some("rate_guard"), "{statement}: {error}");
        }
    }
    // Today is free until something was sold or invoiced.
    let today = sqlx::query_scalar::<_, String>(
        "SELECT ((now() AT TIME ZONE 'Africa/Nairobi')::date)::text",
    );
    let today = today.fetch_one(&world.admin).await.unwrap();
    let rate = |bp: u32| json!({ "tax": "vat", "rate_bp": bp, "from": today });
    owner.post("/api/finance/tax-rates", rate(1500)).await.is(200);
    owner.post("/api/finance/tax-rates", rate(1600)).await.is(200);
    let amina = owner.subscriber("amina").await;
    let line = json!({ "descr": "A line", "price_cents": 100_000, "includes_tax": true });
    let body = json!({ "subscriber": amina, "lines": [line] });
    let draft = owner.post("/api/invoices", body).await.is(201);
    let path = format!("/api/invoices/{}/finalise", draft.text("/id"));
    owner.post(&path, json!({ "due_on": "2099-01-01" })).await.is(200);
    owner.post("/api/finance/tax-rates", rate(1700)).await.problem(409, "rate-in-use");

    // A commission is from tomorrow on, and what is not in force yet goes.
    let path = format!("/api/resellers/{shop}");
    let etag = owner.get(&path).await.etag();
    let etag = owner.patch(&path, &etag, json!({ "commission_bp": 700 })).await.is(200).etag();
    owner.patch(&path, &etag, json!({ "commission_bp": 800 })).await.is(200);
    assert_eq!(world.count("SELECT count(*) FROM commission_rule").await, 2);
}
