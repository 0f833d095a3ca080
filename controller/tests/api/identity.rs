//! Who somebody is: invitations, renewed logins, cookies, tokens of programs.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{PASSWORD, Reply, World};

pub(crate) async fn login_with(world: &World, more: Value) -> Reply {
    let mut body = json!({ "email": "owner@first.example", "password": PASSWORD });
    let fields = body.as_object_mut().expect("fields");
    fields.extend(more.as_object().expect("fields").clone());
    world.ask("POST", "/api/auth/login", &[], Some(body)).await
}

async fn refresh(world: &World, token: &str) -> Reply {
    let body = json!({ "refresh_token": token });
    world.ask("POST", "/api/auth/refresh", &[], Some(body)).await
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_stolen_one_ends_the_login() {
    let world = World::new().await;
    world.owner().await;
    let first = login_with(&world, json!({ "program": "a test" })).await.is(200);
    let (old, token) = (first.text("/token"), first.text("/refresh_token"));
    let second = refresh(&world, &token).await.is(200);
    assert_eq!(second.body["user"]["email"], "owner@first.example");
    // The token of before is over with the renewal.
    world.staff(&old).get("/api/auth/me").await.problem(401, "login-needed");
    let now = world.staff(&second.text("/token"));
    now.get("/api/auth/me").await.is(200);
    let third = refresh(&world, &second.text("/refresh_token")).await.is(200);
    let now = world.staff(&third.text("/token"));
    now.get("/api/auth/me").await.is(200);

    // Somebody has a copy of the first one. Nobody can tell who is who: it ends for both.
    refresh(&world, &token).await.problem(401, "login-over");
    now.get("/api/auth/me").await.problem(401, "login-needed");
    refresh(&world, &third.text("/refresh_token")).await.problem(401, "login-over");
    refresh(&world, "not a token").await.problem(401, "login-over");
    let audit = login_with(&world, json!({})).await.is(200);
    let audit = world.staff(&audit.text("/token")).get("/api/audit").await.is(200);
    assert!(audit.body.to_string().contains("login.refresh-token-reused"), "{}", audit.body);
}

#[tokio::test]
async fn of_two_renewals_at_once_one_wins_and_the_login_ends() {
    let world = World::new().await;
    world.owner().await;
    let token = login_with(&world, json!({})).await.is(200).text("/refresh_token");
    let (one, other) = tokio::join!(refresh(&world, &token), refresh(&world, &token));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let won = if one.status == 200 { one } else { other };
    world.staff(&won.text("/token")).get("/api/auth/me").await.problem(401, "login-needed");
}

#[tokio::test]
async fn a_login_that_nobody_uses_is_over_and_so_is_one_of_a_disabled_operator() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let id = noc.get("/api/auth/me").await.text("/id");
    let body = json!({ "email": "noc@first.example", "password": PASSWORD });
    let login = world.ask("POST", "/api/auth/login", &[], Some(body)).await.is(200);
    let past = "UPDATE refresh_token SET created_at = now() - interval '20 d', \
                expires_at = now() - interval '1 s'";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    refresh(&world, &login.text("/refresh_token")).await.problem(401, "login-over");
    let path = format!("/api/operators/{id}");
    owner.patch(&path, "\"1\"", json!({ "disabled": true })).await.is(200);
    assert_eq!(world.count("SELECT count(*) FROM login").await, 1);
}

#[tokio::test]
async fn one_sees_and_ends_one_s_own_logins() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let second = login_with(&world, json!({ "program": "kennet" })).await.is(200);
    let second = world.staff(&second.text("/token"));
    let list = owner.get("/api/auth/logins").await.is(200);
    let items = list.items("/items");
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["here"], &items[1]["here"]), (&json!(true), &json!(false)));
    assert_eq!((&items[1]["program"], &items[1]["ip"]), (&json!("kennet"), &json!("127.0.0.1")));
    let path = format!("/api/auth/logins/{}", items[1]["id"].as_str().unwrap());
    // Not those of others.
    noc.ask("DELETE", &path, &[], None).await.problem(404, "not-found");
    owner.ask("DELETE", &path, &[], None).await.is(204);
    owner.ask("DELETE", &path, &[], None).await.problem(404, "not-found");
    second.get("/api/auth/me").await.problem(401, "login-needed");

    let third = login_with(&world, json!({})).await.is(200);
    let third = world.staff(&third.text("/token"));
    third.ask("DELETE", "/api/auth/logins", &[], None).await.is(204);
    owner.get("/api/auth/me").await.problem(401, "login-needed");
    third.get("/api/auth/me").await.is(200);
    noc.get("/api/auth/me").await.is(200);
}

#[tokio::test]
async fn another_password_ends_the_other_logins() {
    let world = World::new().await;
    let owner = world.owner().await;
    let other = login_with(&world, json!({})).await.is(200);
    let wrong = json!({ "password": "not it, sorry", "new_password": "battery staple" });
    owner.post("/api/auth/password", wrong).await.problem(403, "password-wrong");
    let short = json!({ "password": PASSWORD, "new_password": "short" });
    owner.post("/api/auth/password", short).await.problem(422, "invalid-fields");
    let right = json!({ "password": PASSWORD, "new_password": "battery staple" });
    owner.post("/api/auth/password", right).await.is(204);
    owner.get("/api/auth/me").await.is(200);
    world.staff(&other.text("/token")).get("/api/auth/me").await.problem(401, "login-needed");
    login_with(&world, json!({})).await.problem(401, "login-refused");
    login_with(&world, json!({ "password": "battery staple" })).await.is(200);
}

#[tokio::test]
async fn many_guesses_at_once_lock_a_login_as_many_one_by_one() {
    let world = World::new().await;
    world.owner().await;
    let guesses = (0..20).map(|_| login_with(&world, json!({ "password": "a wild guess" })));
    let mut refused = 0;
    for reply in join_all(guesses).await {
        refused += usize::from(reply.status == 401);
        assert!([401, 429].contains(&reply.status.as_u16()), "{}", reply.body);
    }
    assert!(refused >= 10, "{refused}");
    let locked = "SELECT count(*) FROM operator WHERE locked_until > now()";
    assert_eq!(world.count(locked).await, 1);
}

/// All at once, on one task.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn an_invitation_is_good_once_and_for_a_week() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "email": "nia@first.example", "role": "noc" });
    let key = [("idempotency-key", "invite-nia-1")];
    let made = owner.ask("POST", "/api/invitations", &key, Some(body.clone())).await.is(201);
    let again = owner.ask("POST", "/api/invitations", &key, Some(body.clone())).await.is(201);
    assert_eq!(made.body, again.body, "told again to who asks again");
    let list = owner.get("/api/invitations").await.is(200);
    assert_eq!(list.items("/items").len(), 1);
    assert!(list.body["items"][0].get("token").is_none(), "{}", list.body);
    let token = made.text("/token");
    let stored = world.count("SELECT count(*) FROM invitation WHERE octet_length(token_hash) = 32");
    assert_eq!(stored.await, 1);

    let accept = |token: &str| {
        let body = json!({ "token": token, "name": "Nia", "password": "staple battery" });
        world.ask_owned("POST", "/api/auth/accept", body)
    };
    accept("not a token").await.problem(403, "link-not-good");
    let (one, other) = tokio::join!(accept(&token), accept(&token));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403], "{} {}", one.body, other.body);
    let joined = if one.status == 201 { one } else { other };
    assert_eq!(joined.body["user"]["role"], "noc");
    world.staff(&joined.text("/token")).get("/api/network/edges").await.is(200);
    accept(&token).await.problem(403, "link-not-good");
    let path = format!("/api/invitations/{}", made.text("/id"));
    owner.ask("DELETE", &path, &[], None).await.problem(404, "not-found");

    // Withdrawn, too late, taken meanwhile.
    let body = json!({ "email": "sam@first.example", "role": "support" });
    let made = owner.post("/api/invitations", body.clone()).await.is(201);
    let path = format!("/api/invitations/{}", made.text("/id"));
    owner.ask("DELETE", &path, &[], None).await.is(204);
    accept(&made.text("/token")).await.problem(403, "link-not-good");
    let late = owner.post("/api/invitations", body).await.is(201);
    let past = "UPDATE invitation SET created_at = now() - interval '8 d', \
                expires_at = now() - interval '1 s' WHERE accepted_at IS NULL";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    accept(&late.text("/token")).await.problem(403, "link-not-good");
    let body = json!({ "email": "nia@first.example", "role": "noc" });
    let second = owner.post("/api/invitations", body).await.is(201);
    accept(&second.text("/token")).await.problem(409, "email-taken");
    let body = json!({ "email": "x@first.example", "role": "platform" });
    owner.post("/api/invitations", body).await.problem(409, "wrong-role");
}

#[tokio::test]
async fn a_reset_lets_somebody_choose_and_ends_what_they_had() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let id = noc.get("/api/auth/me").await.text("/id");
    let body = json!({ "name": "cron", "scopes": ["subscribers:read"], "days": 1 });
    let program = noc.post("/api/auth/tokens", body).await.is(201).text("/token");
    let path = format!("/api/operators/{id}/reset");
    let first = owner.ask("POST", &path, &[], None).await.is(201).text("/token");
    let token = owner.ask("POST", &path, &[], None).await.is(201).text("/token");
    let choose = |token: &str| {
        let body = json!({ "token": token, "password": "staple battery" });
        world.ask_owned("POST", "/api/auth/reset", body)
    };
    // The last one counts, and nobody joins with it.
    choose(&first).await.problem(403, "link-not-good");
    let body = json!({ "token": token, "name": "Nia", "password": "staple battery" });
    world.ask_owned("POST", "/api/auth/accept", body).await.problem(403, "link-not-good");
    noc.get("/api/auth/me").await.is(200);
    choose(&token).await.is(204);
    choose(&token).await.problem(403, "link-not-good");
    noc.get("/api/auth/me").await.problem(401, "login-needed");
    world.staff(&program).get("/api/subscribers").await.problem(401, "login-needed");
    world.login("noc@first.example", PASSWORD).await.problem(401, "login-refused");
    world.login("noc@first.example", "staple battery").await.is(200);
    noc.get("/api/operators").await.problem(401, "login-needed");
}

#[tokio::test]
async fn an_imported_password_is_hashed_anew_at_the_first_login() {
    let world = World::new().await;
    world.owner().await;
    let imported = bcrypt::hash("old password", 4).unwrap();
    let set = "UPDATE operator SET password_hash = $1";
    sqlx::query(set).bind(&imported).execute(&world.admin).await.unwrap();
    login_with(&world, json!({})).await.problem(401, "login-refused");
    let stale = "SELECT count(*) FROM operator WHERE password_hash LIKE '$2%'";
    assert_eq!(world.count(stale).await, 1);
    login_with(&world, json!({ "password": "old password" })).await.is(200);
    let anew = "SELECT count(*) FROM operator WHERE password_hash LIKE '$argon2id$%'";
    assert_eq!(world.count(anew).await, 1);
    login_with(&world, json!({ "password": "old password" })).await.is(200);
    // Neither weak nor endless ones come in.
    for wrong in ["$2b$03$", "$2b$31$"] {
        let hash = imported.replace("$2b$04$", wrong);
        let refused = sqlx::query(set).bind(&hash).execute(&world.admin).await.unwrap_err();
        assert!(refused.to_string().contains("operator_password_hash"), "{refused}");
    }
}

#[tokio::test]
async fn a_browser_has_cookies_and_changes_nothing_without_the_word_of_our_pages() {
    let world = World::new().await;
    world.owner().await;
    let login = login_with(&world, json!({ "browser": true })).await.is(200);
    assert!(login.body.get("token").is_none() && login.body.get("refresh_token").is_none());
    let jar = cookies(&login);
    let value = |name: &str| jar.iter().find(|(key, _)| key == name).unwrap().1.clone();
    let (token, csrf) = (value("kennet_token"), value("kennet_csrf"));
    let cookie = format!("kennet_token={token}; kennet_csrf={csrf}");
    let ask = |method: &'static str, path: &'static str, csrf: Option<String>| {
        let mut headers = vec![("cookie".to_owned(), cookie.clone())];
        headers.extend(csrf.map(|csrf| ("x-csrf-token".to_owned(), csrf)));
        let world = &world;
        async move {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let body = (method != "GET").then(|| {
                json!({ "name": "Home", "code": "home",
                "terms": crate::world::terms() })
            });
            world.ask(method, path, &headers, body).await
        }
    };
    ask("GET", "/api/auth/me", None).await.is(200);
    ask("POST", "/api/plans", None).await.problem(403, "csrf-needed");
    ask("POST", "/api/plans", Some("guess".to_owned())).await.problem(403, "csrf-needed");
    assert_eq!(world.count("SELECT count(*) FROM plan").await, 0);
    ask("POST", "/api/plans", Some(csrf.clone())).await.is(201);
    // A word of another login is none of this one.
    let other = login_with(&world, json!({ "browser": true })).await.is(200);
    let others = cookies(&other).into_iter().find(|(key, _)| key == "kennet_csrf").unwrap().1;
    ask("POST", "/api/plans", Some(others)).await.problem(403, "csrf-needed");

    let refresh = format!("kennet_refresh={}", value("kennet_refresh"));
    let path = "/api/auth/refresh";
    let headers = [("cookie", refresh.as_str())];
    world.ask("POST", path, &headers, Some(json!({}))).await.problem(401, "login-over");
    let headers = [("cookie", refresh.as_str()), ("x-csrf-token", csrf.as_str())];
    let renewed = world.ask("POST", path, &headers, Some(json!({}))).await.is(200);
    assert!(renewed.body.get("token").is_none());
    ask("GET", "/api/auth/me", None).await.problem(401, "login-needed");
    let renewed: Vec<_> = cookies(&renewed);
    assert_eq!(renewed.len(), 2, "{renewed:?}");
    let cookie = format!("kennet_token={}", renewed[0].1);
    let headers = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let out = world.ask("POST", "/api/auth/logout", &headers, None).await.is(204);
    assert_eq!(cookies(&out).iter().filter(|(_, value)| value.is_empty()).count(), 3);
    world.ask("GET", "/api/auth/me", &headers, None).await.problem(401, "login-needed");
}

fn cookies(reply: &Reply) -> Vec<(String, String)> {
    let lines = reply.headers.get_all("set-cookie").into_iter();
    let pairs = lines.map(|line| {
        let (name, rest) = line.to_str().expect("visible").split_once('=').expect("a cookie");
        (name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned())
    });
    pairs.collect()
}

#[tokio::test]
async fn a_program_does_what_its_scopes_say_and_no_more_than_its_maker() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let ask = |scopes: Value| json!({ "name": "billing export", "scopes": scopes, "days": 30 });
    for wrong in [json!([]), json!(["subscribers"]), json!(["Subscribers:read"])] {
        noc.post("/api/auth/tokens", ask(wrong)).await.problem(422, "invalid-fields");
    }
    let made = noc.post("/api/auth/tokens", ask(json!(["subscribers:read", "plans:write"]))).await;
    let made = made.is(201);
    let token = made.text("/token");
    assert!(token.starts_with("knt_"), "{token}");
    let program = world.staff(&token);
    program.get("/api/subscribers").await.is(200);
    program.post("/api/subscribers", json!({})).await.problem(403, "scope-needed");
    program.get("/api/vouchers").await.problem(403, "scope-needed");
    // The scope is there, the role is not.
    program.post("/api/plans", json!({})).await.problem(403, "role-needed");

    let all = noc.post("/api/auth/tokens", ask(json!(["*:read", "*:write"]))).await.is(201);
    let all = world.staff(&all.text("/token"));
    all.get("/api/auth/me").await.is(200);
    all.post("/api/auth/tokens", ask(json!(["*:read"]))).await.problem(403, "scope-needed");
    let password = json!({ "password": PASSWORD, "new_password": "battery staple" });
    all.post("/api/auth/password", password).await.problem(403, "scope-needed");

    let list = noc.get("/api/auth/tokens").await.is(200);
    assert_eq!(list.items("/items").len(), 2);
    assert!(list.body["items"][0]["used_at"].is_string(), "{}", list.body);
    assert!(list.body["items"][0].get("token").is_none());
    assert_eq!(owner.get("/api/auth/tokens").await.is(200).items("/items").len(), 0);
    let path = format!("/api/auth/tokens/{}", made.text("/id"));
    owner.ask("DELETE", &path, &[], None).await.problem(404, "not-found");
    noc.ask("DELETE", &path, &[], None).await.is(204);
    program.get("/api/subscribers").await.problem(401, "login-needed");
    let past = "UPDATE api_token SET created_at = now() - interval '31 d', \
                expires_at = now() - interval '1 s'";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    all.get("/api/auth/me").await.problem(401, "login-needed");
    let _: Timestamp = list.text("/items/0/created_at").parse().expect("a time");
}

#[tokio::test]
async fn the_platform_invites_a_tenant_s_first_owner_and_nobody_else() {
    let world = World::new().await;
    let owner = world.owner().await;
    let platform = crate::isolation::platform(&world.app, &world).await;
    let made = platform.post("/api/tenants", json!({ "slug": "hills", "name": "Hills" })).await;
    let path = format!("/api/tenants/{}/owner", made.is(201).text("/id"));
    let body = json!({ "email": "holly@hills.example" });
    owner.post(&path, body.clone()).await.problem(403, "role-needed");
    let invited = platform.post(&path, body.clone()).await.is(201);
    let accept = json!({ "token": invited.text("/token"), "name": "Holly", "password": PASSWORD });
    let joined = world.ask_owned("POST", "/api/auth/accept", accept).await.is(201);
    assert_eq!(joined.body["user"]["role"], "owner");
    let holly = world.staff(&joined.text("/token"));
    let log = holly.get("/api/audit").await.is(200).body.to_string();
    assert!(log.contains("tenant.invite-owner"), "{log}");
    platform.post(&path, body.clone()).await.problem(409, "has-owner");
    let nowhere = format!("/api/tenants/ten_{}/owner", "1".repeat(32));
    platform.post(&nowhere, body).await.problem(404, "not-found");
}
