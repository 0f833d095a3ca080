//! Logging in, staying in, and being kept out.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{PASSWORD, World};

#[tokio::test]
async fn the_first_registration_makes_a_tenant_and_closes_the_door() {
    let world = World::new().await;
    let reply = world.register("KenNet Hills", "olive@hills.example").await.is(201);
    assert_eq!(reply.body["user"]["role"], "owner");
    let me = world.staff(&reply.text("/token")).get("/api/auth/me").await.is(200);
    assert_eq!(me.body, reply.body["user"]);
    world.register("Another", "ann@other.example").await.problem(403, "forbidden");
    assert_eq!(world.count("SELECT count(*) FROM tenant WHERE slug = 'kennet-hills'").await, 1);
}

#[tokio::test]
async fn of_two_first_registrations_at_once_one_wins() {
    let world = World::new().await;
    let (one, other) = tokio::join!(
        world.register("One", "one@one.example"),
        world.register("Other", "two@other.example")
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
}

#[tokio::test]
async fn a_login_gives_a_token_that_ends_with_the_logout() {
    let world = World::new().await;
    world.owner().await;
    let reply = world.login("owner@first.example", PASSWORD).await.is(200);
    let token = reply.text("/token");
    // Only the hash is stored.
    let stored = world.count("SELECT count(*) FROM operator_session").await;
    assert_eq!(stored, 2);
    let plain: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM operator_session WHERE position($1::bytea in token_hash) > 0",
    )
    .bind(token.as_bytes())
    .fetch_one(&world.admin)
    .await
    .unwrap();
    assert_eq!(plain, 0);

    let staff = world.staff(&token);
    staff.get("/api/auth/me").await.is(200);
    staff.ask("POST", "/api/auth/logout", &[], None).await.is(204);
    staff.get("/api/auth/me").await.problem(401, "login-needed");
}

#[tokio::test]
async fn what_is_not_a_good_token_is_nobody() {
    let world = World::new().await;
    let owner = world.owner().await;
    for header in ["Bearer", "Bearer x", "Basic x", "x", "Bearer 'or'1'='1"] {
        let reply = world.ask("GET", "/api/auth/me", &[("authorization", header)], None).await;
        reply.problem(401, "login-needed");
    }
    owner.get("/api/auth/me").await.is(200);
    let past = "UPDATE operator_session SET created_at = now() - interval '2 days', \
                expires_at = now() - interval '1 day'";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    owner.get("/api/auth/me").await.problem(401, "login-needed");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_sound_the_same() {
    let world = World::new().await;
    world.owner().await;
    let wrong = world.login("owner@first.example", "not it, sorry").await;
    let unknown = world.login("nobody@first.example", "not it, sorry").await;
    assert_eq!(wrong.body, unknown.body);
    wrong.problem(401, "login-refused");
    let bad = world.login("Owner@First.example", PASSWORD).await.problem(422, "invalid-fields");
    assert_eq!(bad.body["errors"][0]["field"], "email");
}

#[tokio::test]
async fn ten_wrong_passwords_lock_a_login_and_a_new_password_opens_it() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "email": "noc@first.example", "name": "Nia", "role": "noc",
                       "password": PASSWORD });
    let made = owner.post("/api/operators", body).await.is(201);
    for _ in 0..10 {
        world.login("noc@first.example", "wrong guess").await.problem(401, "login-refused");
    }
    world.login("noc@first.example", PASSWORD).await.problem(401, "login-refused");
    let path = format!("/api/operators/{}", made.text("/id"));
    let seen = owner.get(&path).await.is(200);
    assert!(seen.body["locked_until"].is_string(), "{}", seen.body);
    let change = json!({ "password": "battery staple" });
    owner.patch(&path, &seen.etag(), change).await.is(200);
    world.login("noc@first.example", "battery staple").await.is(200);
}

#[tokio::test]
async fn an_address_that_fails_too_often_has_to_wait() {
    let world = World::new().await;
    for _ in 0..20 {
        world.login("nobody@first.example", "a wild guess").await.is(401);
    }
    let reply = world.login("nobody@first.example", "a wild guess").await;
    assert!(reply.headers.contains_key("retry-after"));
    reply.problem(429, "too-many-attempts");
}

#[tokio::test]
async fn who_is_disabled_or_gets_another_role_is_out_at_once() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let id = noc.get("/api/auth/me").await.text("/id");
    let path = format!("/api/operators/{id}");
    owner.patch(&path, "\"1\"", json!({ "role": "support" })).await.is(200);
    noc.get("/api/auth/me").await.problem(401, "login-needed");
    let reply = world.login("noc@first.example", PASSWORD).await.is(200);
    let noc = world.staff(&reply.text("/token"));
    owner.patch(&path, "\"2\"", json!({ "disabled": true })).await.is(200);
    noc.get("/api/auth/me").await.problem(401, "login-needed");
    world.login("noc@first.example", PASSWORD).await.problem(401, "login-refused");

    let own = owner.get("/api/auth/me").await.text("/id");
    let path = format!("/api/operators/{own}");
    owner.patch(&path, "\"1\"", json!({ "disabled": true })).await.problem(409, "oneself");
    let body = json!({ "email": "x@first.example", "name": "X", "role": "platform",
                       "password": PASSWORD });
    owner.post("/api/operators", body).await.problem(409, "wrong-role");
}

/// Neither who is known nor what their hash is of can be told from how long "no" takes.
#[tokio::test]
async fn a_refusal_takes_as_long_whoever_is_refused() {
    let world = World::new().await;
    let owner = world.owner().await;
    owner.hire("noc").await;
    // As an import brings them; cost 5, so that it differs much from ours.
    let imported = "UPDATE operator SET password_hash =
        '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW' WHERE role = 'noc'";
    sqlx::raw_sql(imported).execute(&world.admin).await.unwrap();
    for email in ["owner@first.example", "noc@first.example", "nobody@first.example"] {
        let began = Instant::now();
        world.login(email, "not the password").await.problem(401, "login-refused");
        let took = began.elapsed();
        // The rest of a slice is waited for, however little there was to do.
        assert!(took >= Duration::from_millis(500), "{email}: {took:?}");
    }
}
