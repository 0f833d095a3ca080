//! Every route, asked by another tenant's staff about what is not theirs.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::{
    access::everybody,
    asked::{ask, fill, operations, places},
};
use crate::world::World;

/// Operations and ids are found in the document and in the answers, so that a new resource is
/// covered when it is there.
#[tokio::test]
async fn nobody_reads_or_changes_what_is_another_tenant_s() {
    let world = World::with(|flags| flags.registration = Some("open".to_owned())).await;
    let all = operations(&world).await;
    let everybody = everybody(&world).await;
    let victim = world.register("Victim", "owner@victim.example").await.is(201);
    let tenant: String = victim.text("/user/tenant");
    let victim = world.staff(&victim.text("/token"));
    prepare(&world, &victim).await;
    let (known, _) = fill(&world, &victim, &all, 1).await;
    amend(&world, &tenant).await;
    let places = places(&victim, &all, &known).await;

    // Without an id there is nothing to ask about: whoever adds a resource makes one here.
    let needed = all.iter().filter(|operation| operation.is_for("staff"));
    let befores = needed.filter_map(|operation| Some(operation.path.split_once('{')?.0));
    let missing: Vec<_> = befores.filter(|before| !places.contains_key(*before)).collect();
    assert!(missing.is_empty(), "no id for {missing:?}: extend `prepare`, or the example");

    let before = rows(&world.admin, &tenant).await;
    let mut asked = 0;
    let mut wrong = Vec::new();
    for operation in all.iter().filter(|operation| operation.is_for("staff")) {
        let id = |before: &str| places.get(before).cloned().unwrap_or_default();
        for path in operation.paths(&id) {
            let body = operation.body(&known);
            let named = operation.path.contains('{');
            let tells = body
                .as_ref()
                .is_some_and(|body| known.all().any(|id| body.to_string().contains(id.as_str())));
            for (role, staff) in &everybody {
                let Some(staff) = staff else { continue };
                if operation.path == "/api/auth/logout" || is_platforms(role, &operation.path) {
                    continue;
                }
                let reply = ask(staff, operation, &path, body.clone()).await;
                asked += 1;
                let status = reply.status.as_u16();
                let text = reply.body.to_string();
                let leaks = known.all().find(|id| text.contains(id.as_str()));
                let fine = if named {
                    [403, 404].contains(&status)
                } else if tells {
                    (400..500).contains(&status)
                } else {
                    status < 500
                };
                if !fine || leaks.is_some() || !operation.documents(status) {
                    wrong.push(format!("{role} {} {path}: {status} {text}", operation.method));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers: {wrong:#?}", wrong.len());
    assert!(asked > 600, "{asked}");
    let after = rows(&world.admin, &tenant).await;
    for (table, rows) in &before {
        assert_eq!(Some(rows), after.get(table), "{table} has changed");
    }
    // The victim could have done all that.
    victim.get("/api/auth/me").await.is(200);
}

/// Somebody clicks twice, or a network sends again: 20 of the same request at once, for every
/// route that makes something, are one effect and 20 times the same answer.
#[tokio::test]
async fn the_same_request_many_times_at_once_has_one_effect() {
    let world = World::new().await;
    let owner = world.owner().await;
    let all = operations(&world).await;
    let (_, places) = fill(&world, &owner, &all, 20).await;
    assert!(places.len() > 12, "{places:?}");
}

/// What no request makes, or only after another.
async fn prepare(world: &World, victim: &crate::world::Staff<'_>) {
    let tenant = uuid(&victim.get("/api/auth/me").await.text("/tenant"));
    let edge = uuid(&victim.edge().await);
    sqlx::query(SESSION)
        .bind(tenant)
        .bind(edge)
        .bind(Uuid::now_v7())
        .execute(&world.admin)
        .await
        .expect("a session");
}

/// What only a provider or two people make, of what was made before.
async fn amend(world: &World, tenant: &str) {
    let tenant = uuid(tenant);
    let made = AMENDED.replace("$1", &format!("'{tenant}'::uuid"));
    sqlx::raw_sql(AssertSqlSafe(made)).execute(&world.admin).await.expect("rows as they may be");
}

/// The platform sees which tenants there are, and invites their first owners.
fn is_platforms(role: &str, path: &str) -> bool {
    role == "platform" && path.starts_with("/api/tenants")
}

/// A fingerprint of all rows of a tenant, by table.
async fn rows(admin: &PgPool, tenant: &str) -> BTreeMap<String, (i64, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
          WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition",
    )
    .fetch_all(admin)
    .await
    .expect("tables");
    let mut all = BTreeMap::new();
    for table in tables {
        let query = format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), ''))
               FROM {table} t WHERE tenant_id = $1"
        );
        let found: (i64, String) = sqlx::query_as(AssertSqlSafe(query))
            .bind(uuid(tenant))
            .fetch_one(admin)
            .await
            .expect("rows");
        all.insert(table, found);
    }
    let filled = all.values().filter(|(count, _)| *count > 0).count();
    assert!(filled > 25, "only {filled} tables have rows of the victim");
    all
}

fn uuid(id: &str) -> Uuid {
    let hex = id.rsplit('_').next().expect("an id");
    hex.parse().expect("32 digits")
}

const SESSION: &str = "INSERT INTO session (tenant_id, edge_id, id, started_at, updated_at)
    VALUES ($1, $2, $3, now(), now())";

/// Without the guards, which want the postings that belong to it.
const AMENDED: &str = "BEGIN;
    SET LOCAL session_replication_role = replica;
    INSERT INTO payment_doubt (tenant_id, id, kind, about, said, created_at)
        VALUES ($1, gen_random_uuid(), 'unreadable', 'x', 'no JSON', now());
    INSERT INTO payment_refund (tenant_id, id, payment_id, amount_cents, kind, state, reason,
            requested_by, created_at)
        SELECT tenant_id, gen_random_uuid(), id, 1, 'given_back', 'failed', 'x', 'x', now()
          FROM payment WHERE tenant_id = $1 LIMIT 1;
    INSERT INTO reconciliation (tenant_id, id, merchant_id, day, source, ours_count, ours_cents,
            theirs_count, theirs_cents, made_by, created_at)
        SELECT tenant_id, gen_random_uuid(), id, '2026-01-01', 'list', 0, 0, 0, 0, 'x', now()
          FROM merchant WHERE tenant_id = $1 LIMIT 1;
    COMMIT";
