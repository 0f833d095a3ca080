//! What is old is deleted in batches, what is held is not, and who is forgotten leaves books that
//! are right.

use controller::{clock, retention::Retention, verify::Verify};
use serde_json::{Value, json};

use crate::{
    office::uuid_of,
    world::{Staff, World},
};

async fn old(owner: &Staff<'_>, class: &str) -> i64 {
    let all = owner.get("/api/retention").await.is(200);
    let mut mine = all.items("").iter().filter(|one| one["class"] == class);
    mine.next().and_then(|one| one["rows"].as_i64()).expect("a count")
}

async fn run(world: &World, sql: String) {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&world.admin).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn what_is_old_goes_unless_it_is_held() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let brian = owner.subscriber("brian").await;
    let tenant = uuid_of(&owner.get("/api/auth/me").await.text("/tenant"));
    let edge = uuid_of(&owner.edge().await);
    let (of_amina, of_brian) = (uuid_of(&amina), uuid_of(&brian));
    run(&world, format!(
        "INSERT INTO session (tenant_id, id, edge_id, subscriber_id, username, mac, started_at, stopped_at, updated_at)
         SELECT '{tenant}', gen_random_uuid(), '{edge}', CASE WHEN n % 2 = 0 THEN '{of_amina}'::uuid ELSE '{of_brian}' END,
                'x', '02:00:00:00:00:01', at, CASE WHEN n < 2402 THEN at END, at
           FROM generate_series(1, 2404) n, LATERAL (SELECT now() - interval '200 days' AS at) t;
         INSERT INTO auth_failure (tenant_id, username, edge_id, nas_name, reason, hour, count, last_at)
         VALUES ('{tenant}', 'amina', '{edge}', 'n', 'r', now() - interval '99 days', 1, now() - interval '99 days'),
                ('{tenant}', 'stranger', '{edge}', 'n', 'r', now() - interval '99 days', 1, now() - interval '99 days'),
                ('{tenant}', 'brian', '{edge}', 'n', 'r', now(), 1, now());
         UPDATE idempotency_key SET created_at = now() - interval '9 days'"
    )).await;
    let key = [("idempotency-key", "a-plan-once-1")];
    let plan = json!({ "code": "day", "name": "Day", "terms": crate::world::terms() });
    owner.ask("POST", "/api/plans", &key, Some(plan)).await.is(201);
    run(&world, "UPDATE idempotency_key SET created_at = now() - interval '9 days'".to_owned())
        .await;

    let retention = Retention::new(world.db.clone());
    // A year by default: none is as old.
    assert_eq!((old(&owner, "sessions").await, old(&owner, "auth").await), (0, 2));
    let days = |sessions: i64| json!({ "sessions": sessions, "auth": 90, "messages": 365, "webhooks": 30, "callbacks": 90 });
    let put = async |etag: &str, days: Value| {
        owner.ask("PUT", "/api/retention-policy", &[("if-match", etag)], Some(days)).await
    };
    put("\"0\"", days(30)).await.problem(422, "invalid-fields");
    put("\"0\"", days(120)).await.is(200);
    put("\"0\"", days(130)).await.problem(412, "stale");
    assert_eq!(old(&owner, "sessions").await, 2401);

    let held = json!({ "subscriber": amina, "reason": "Case 7 of 2026" });
    let held = owner.post("/api/legal-holds", held).await.is(201);
    assert_eq!((old(&owner, "sessions").await, old(&owner, "auth").await), (1201, 0));
    // More than one batch, and the key.
    assert_eq!(retention.round(clock::now()).await.unwrap(), 1201 + 1);
    assert_eq!(world.count("SELECT count(*) FROM session").await, 2404 - 1201);
    assert_eq!(world.count("SELECT count(*) FROM idempotency_key").await, 0);
    assert_eq!(retention.round(clock::now()).await.unwrap(), 0);

    let lift = format!("/api/legal-holds/{}/lift", held.text("/id"));
    owner.post(&lift, json!(null)).await.is(200);
    owner.post(&lift, json!(null)).await.problem(404, "not-found");
    assert_eq!(retention.round(clock::now()).await.unwrap(), 1200 + 2);
    // Those that are on-line, and the failure of today.
    assert_eq!(world.count("SELECT count(*) FROM session").await, 3);
    assert_eq!(world.count("SELECT count(*) FROM auth_failure").await, 1);
    // What is young stays, whoever asks.
    let mut tx = world.db.tenant(shared::id::TenantId::from_uuid(tenant)).await.unwrap();
    let young = sqlx::query("SELECT kennet.retain('auth', now(), 10, false)");
    assert!(young.execute(&mut *tx).await.unwrap_err().to_string().contains("younger than a week"));
}

#[tokio::test]
async fn who_is_forgotten_leaves_books_that_are_right() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let path = format!("/api/subscribers/{amina}");
    let named = json!({ "full_name": "Amina Wanjiru", "msisdn": "254712345678",
        "email": "amina@x.example", "macs": ["02:00:00:00:00:01"] });
    let etag = owner.get(&path).await.etag();
    owner.patch(&path, &etag, named).await.is(200);
    let invoice = json!({ "subscriber": amina,
        "lines": [{ "descr": "Installation", "price_cents": 100_000 }] });
    let invoice = owner.post("/api/invoices", invoice).await.is(201).text("/id");
    owner.post(&format!("/api/invoices/{invoice}/finalise"), json!({})).await.is(200);
    let ticket = json!({ "subscriber": amina, "subject": "Amina is slow", "channel": "phone",
        "body": "Amina of 254712345678 says so" });
    owner.post("/api/tickets", ticket).await.is(201);

    let forget = format!("{path}/anonymise");
    owner.post(&forget, json!(null)).await.problem(409, "money-open");
    let cash = json!({ "provider": "cash", "subscriber": amina, "amount_cents": 100_000 });
    let paid = owner.post("/api/payments", cash).await.is(201).text("/id");
    let allocated = owner.post(&format!("/api/payments/{paid}/allocate"), json!({})).await;
    assert!([200, 409].contains(&allocated.status.as_u16()), "{}", allocated.body);
    let hold = json!({ "reason": "An audit" });
    let hold = owner.post("/api/legal-holds", hold).await.is(201).text("/id");
    owner.post(&forget, json!(null)).await.problem(409, "held");
    owner.post(&format!("/api/legal-holds/{hold}/lift"), json!(null)).await.is(200);

    let gone = owner.post(&forget, json!(null)).await.is(200);
    assert_eq!(
        (gone.text("/status"), gone.text("/full_name")),
        ("anonymised".into(), "Anonymised".into())
    );
    owner.post(&forget, json!(null)).await.is(200);
    // Nothing but the audit log, which nobody can change, knows the name.
    for (table, what) in [
        ("subscriber", "concat(full_name, username, msisdn, email)"),
        ("ticket", "subject"),
        ("ticket_note", "body"),
        ("subscriber_device", "mac"),
    ] {
        let sql = format!("SELECT coalesce(string_agg({what}, ' '), '') FROM {table}");
        let left: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.admin).await.unwrap();
        for word in ["mina", "254712345678", "02:00"] {
            assert!(!left.contains(word), "{table}: {left}");
        }
    }
    world.app.audit().seal(clock::now()).await.expect("the log is sealed");
    let proof = owner.get("/api/audit/proof").await.is(200);
    assert_eq!(proof.body["intact"], json!(true));
    let reports = Verify::new(world.db.clone()).everything().await.expect("the books can be read");
    for check in reports.into_iter().flat_map(|report| report.checks) {
        assert_eq!(check.first, None, "{}", check.name);
    }
    // The account is nobody's any more: another may have the name and the number.
    let again = json!({ "username": "amina", "full_name": "B", "msisdn": "254712345678" });
    owner.post("/api/subscribers", again).await.is(201);
    // A note is changed by nobody else.
    let refused = sqlx::query("UPDATE ticket_note SET body = 'other'").execute(&world.admin).await;
    assert!(refused.unwrap_err().to_string().contains("append only"));
    let served = owner.subscriber("carol").await;
    let version = owner.plan_version("day").await;
    let body = json!({ "subscriber": served, "plan_version": version });
    owner.post("/api/subscriptions", body).await.is(201);
    let refused = owner.post(&format!("/api/subscribers/{served}/anonymise"), json!(null)).await;
    refused.problem(409, "still-served");
}
