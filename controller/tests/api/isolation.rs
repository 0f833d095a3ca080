//! Tenants do not see each other, and the program's own roles can do no more than they need.

use controller::{app::App, clock, db::Tx};
use serde_json::json;
use shared::id::TenantId;
use uuid::Uuid;

use crate::world::World;

#[tokio::test]
async fn every_table_of_tenants_has_forced_row_level_security() {
    let world = World::new().await;
    let tables: Vec<(String, bool, bool, bool, i64)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity,
                EXISTS (SELECT FROM pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                           AND a.attnotnull AND NOT a.attisdropped),
                (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'kennet' AND c.relkind IN ('r', 'p')
          ORDER BY 1",
    )
    .fetch_all(&world.admin)
    .await
    .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    for (table, enabled, forced, has_tenant, policies) in tables {
        if WITHOUT_TENANT.contains(&table.as_str()) {
            continue;
        }
        assert!(has_tenant, "{table} has no tenant_id");
        assert!(enabled && forced && policies > 0, "{table} is not protected");
    }
}

#[tokio::test]
async fn every_key_of_tenants_begins_with_the_tenant() {
    let world = World::new().await;
    let wrong: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s.%s', c.conrelid::regclass, c.conname)
           FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
          WHERE c.connamespace = 'kennet'::regnamespace AND c.contype IN ('p', 'f')
            AND a.attname <> 'tenant_id'
            -- By that number a callback is let in before anybody knows whose it is.
            AND c.conname <> 'merchant_id_fkey'
            AND c.conrelid <> ALL ($1::text[]::regclass[])",
    )
    .bind(WITHOUT_TENANT)
    .fetch_all(&world.admin)
    .await
    .unwrap();
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn one_tenant_does_not_see_another() {
    let world = World::with(|flags| flags.registration = Some("open".to_owned())).await;
    let first = world.owner().await;
    let id = first.subscriber("amina").await;
    let reply = world.register("Second", "owner@second.example").await.is(201);
    let second = world.staff(&reply.text("/token"));

    let path = format!("/api/subscribers/{id}");
    first.get(&path).await.is(200);
    second.get(&path).await.problem(404, "not-found");
    second.patch(&path, "\"1\"", json!({ "full_name": "Mine" })).await.problem(404, "not-found");
    let list = second.get("/api/subscribers").await.is(200);
    assert_eq!(list.body["items"], json!([]));
    let tenants = second.get("/api/tenants").await.is(200);
    assert_eq!(tenants.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(tenants.body["items"][0]["name"], "Second");

    // What one tenant's key names is another's nothing: a foreign key carries the tenant.
    let plan_version = second.plan_version("home").await;
    let body = json!({ "subscriber": id, "plan_version": plan_version });
    second.post("/api/subscriptions", body).await.problem(409, "not-for-sale");
    // The same username is free there.
    second.subscriber("amina").await;
}

#[tokio::test]
async fn without_a_tenant_there_are_no_rows() {
    let world = World::new().await;
    world.owner().await.subscriber("amina").await;
    assert_eq!(world.count("SELECT count(*) FROM subscriber").await, 1);
    for pool in [&world.db.app, &world.db.ingest] {
        let seen: i64 =
            sqlx::query_scalar("SELECT count(*) FROM subscriber").fetch_one(pool).await.unwrap();
        assert_eq!(seen, 0);
    }
    let mut tx = world.db.tenant(TenantId::from_uuid(Uuid::now_v7())).await.unwrap();
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM subscriber").fetch_one(&mut *tx).await.unwrap();
    assert_eq!(seen, 0);
}

/// A connection goes back to the pool with nothing of the tenant that used it.
#[tokio::test]
async fn a_pooled_connection_forgets_its_tenant() {
    let world = World::new().await;
    world.owner().await.subscriber("amina").await;
    let tenant = first_tenant(&world).await;
    for _ in 0..3 {
        let mut tx = world.db.tenant(tenant).await.unwrap();
        assert_eq!(visible(&mut tx).await, 1);
        tx.commit().await.unwrap();
    }
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM subscriber")
        .fetch_one(&world.db.app)
        .await
        .unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn the_roles_of_the_program_can_do_no_more_than_they_need() {
    let world = World::new().await;
    let owner = world.owner().await;
    owner.plan_version("home").await;
    let tenant = first_tenant(&world).await;
    for statement in [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "UPDATE plan_version SET price_cents = 0",
        "DELETE FROM plan_version",
        "DELETE FROM subscriber",
        "UPDATE tenant SET status = 'suspended'",
        "INSERT INTO subscription_transition VALUES ('cancelled', 'active')",
        "UPDATE edge SET applied_revision = 9",
        "CREATE TABLE kennet.mine ()",
    ] {
        let mut tx = world.db.tenant(tenant).await.unwrap();
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap();
        assert_eq!(code, "42501", "{statement}: {refused}");
    }
    // What grants allow to nobody, a trigger still refuses to the owner of the table.
    for statement in ["DELETE FROM audit_log", "UPDATE plan_version SET price_cents = 0"] {
        let refused = sqlx::query(statement).execute(&world.admin).await.unwrap_err();
        assert!(refused.to_string().contains("append only"), "{refused}");
    }
}

#[tokio::test]
async fn rows_of_another_tenant_cannot_be_written() {
    let world = World::new().await;
    world.owner().await;
    let mut tx = world.db.tenant(TenantId::from_uuid(Uuid::now_v7())).await.unwrap();
    let refused = sqlx::query(
        "INSERT INTO plan (tenant_id, id, code, name, created_at)
         VALUES ($1, $2, 'theirs', 'Theirs', now())",
    )
    .bind(first_tenant(&world).await.as_uuid())
    .bind(Uuid::now_v7())
    .execute(&mut *tx)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("row-level security"), "{refused}");
}

/// Whoever changes the log afterwards, as the owner of the database, is found out.
#[tokio::test]
async fn the_audit_log_proves_itself() {
    let world = World::new().await;
    let owner = world.owner().await;
    owner.subscriber("amina").await;
    let before = owner.get("/api/audit/proof").await.is(200).body;
    assert_eq!((&before["blocks"], &before["intact"]), (&json!(0), &json!(true)));
    let waiting = before["waiting"].as_i64().unwrap();
    assert!(waiting >= 2, "{before}");
    assert_eq!(world.app.audit().seal(clock::now()).await.unwrap(), waiting);
    assert_eq!(world.app.audit().seal(clock::now()).await.unwrap(), 0);
    owner.subscriber("brian").await;
    world.app.audit().seal(clock::now()).await.unwrap();
    let sealed = owner.get("/api/audit/proof").await.is(200).body;
    assert_eq!((&sealed["blocks"], &sealed["intact"]), (&json!(2), &json!(true)));
    assert_eq!(sealed["head"].as_str().unwrap().len(), 64);

    let change = "ALTER TABLE audit_log DISABLE TRIGGER USER; UPDATE audit_log SET actor = 'nobody'
        WHERE id = (SELECT audit_ids[1] FROM audit_block WHERE block_no = 1)";
    sqlx::raw_sql(change).execute(&world.admin).await.unwrap();
    let broken = owner.get("/api/audit/proof").await.is(200).body;
    assert_eq!((&broken["broken"], &broken["intact"]), (&json!([1]), &json!(false)));
}

/// The platform runs tenants and does not look into them.
#[tokio::test]
async fn the_platform_sees_tenants_and_no_subscribers() {
    let world = World::new().await;
    let owner = world.owner().await;
    let platform = platform(&world.app, &world).await;
    let list = platform.get("/api/tenants").await.is(200);
    assert_eq!(list.body["items"][0]["slug"], "first");
    platform.get("/api/subscribers").await.problem(403, "role-needed");

    let made = platform.post("/api/tenants", json!({ "slug": "hills", "name": "Hills" })).await;
    let made = made.is(201);
    let path = format!("/api/tenants/{}", made.text("/id"));
    let body = json!({ "status": "suspended" });
    platform.patch(&path, &made.etag(), body.clone()).await.is(200);

    let own = owner.get("/api/tenants").await.text("/items/0/id");
    let path = format!("/api/tenants/{own}");
    owner.patch(&path, "\"1\"", body.clone()).await.problem(403, "forbidden");
    let change = json!({ "name": "First of all", "realms": ["wisp.example"] });
    let changed = owner.patch(&path, "\"1\"", change).await.is(200);
    assert_eq!(changed.body["realms"], json!(["wisp.example"]));
    let two_words = json!({ "realms": ["two words"] });
    owner.patch(&path, "\"2\"", two_words).await.problem(422, "invalid-fields");
    // A suspended tenant's staff is out at once.
    platform.patch(&path, "\"2\"", body).await.is(200);
    owner.get("/api/subscribers").await.problem(401, "login-needed");
}

pub(crate) async fn platform<'w>(app: &App, world: &'w World) -> crate::world::Staff<'w> {
    let actor = controller::actor::Actor::command_line(controller::actor::PLATFORM);
    let new = controller::operators::NewOperator {
        email: "p@platform.example".parse().expect("it fits"),
        name: "Pat".parse().expect("it fits"),
        role: controller::operators::Role::Platform,
        password: crate::world::PASSWORD.parse().expect("it fits"),
    };
    app.operators().create(&actor, None, new).await.expect("it fits");
    let reply = world.login("p@platform.example", crate::world::PASSWORD).await.is(200);
    world.staff(&reply.text("/token"))
}

async fn first_tenant(world: &World) -> TenantId {
    let id = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE slug = 'first'");
    TenantId::from_uuid(id.fetch_one(&world.admin).await.expect("it fits"))
}

async fn visible(tx: &mut Tx) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM subscriber")
        .fetch_one(&mut **tx)
        .await
        .expect("it fits")
}

/// Facts that are the same for all tenants.
const WITHOUT_TENANT: &[&str] = &[
    "_sqlx_migrations",
    "inbox_event",
    "ledger_chart",
    "merchant_account",
    "subscription_transition",
];
