//! Second factors: asked for, good once, locked when guessed, needed by a role or for a while.

use serde_json::{Value, json};

use crate::{
    identity::login_with,
    world::{PASSWORD, Staff, World},
};

/// An authenticator, at the time when it was set up.
struct Phone {
    totp: totp_rs::Totp,
    at: i64,
}

impl Phone {
    fn new(secret: &str) -> Self {
        let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
        let totp = totp_rs::Builder::new().with_secret(secret).build_noncompliant();
        Self { totp, at: controller::clock::now().as_second() }
    }

    /// Of so many half minutes later. The one before and the one after are good, too.
    fn code(&self, steps: i64) -> String {
        self.totp.generate(u64::try_from(self.at + 30 * steps).expect("after 1970")).to_string()
    }
}

/// Sets a second factor up, with the code of the half minute before: the present one is unused.
async fn set_up(staff: &Staff<'_>) -> (Phone, Vec<Value>) {
    let begun =
        staff.post("/api/auth/second-factor", json!({ "password": PASSWORD })).await.is(200);
    let phone = Phone::new(&begun.text("/secret"));
    assert!(begun.text("/url").starts_with("otpauth://totp/KenNet:"), "{}", begun.body);
    let body = json!({ "code": phone.code(-1) });
    let confirmed = staff.post("/api/auth/second-factor/confirm", body).await.is(200);
    (phone, confirmed.items("/recovery_codes").to_vec())
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_is_good_once() {
    let world = World::new().await;
    let owner = world.owner().await;
    let begun =
        owner.post("/api/auth/second-factor", json!({ "password": PASSWORD })).await.is(200);
    // Not confirmed, it does not count; begun again, the first secret is forgotten.
    login_with(&world, json!({})).await.is(200);
    let wrong = json!({ "password": "not the one" });
    owner.post("/api/auth/second-factor", wrong).await.problem(403, "password-wrong");
    let (phone, codes) = set_up(&owner).await;
    assert_ne!(begun.text("/secret"), phone.totp.secret().to_base32());
    assert_eq!(codes.len(), 10);
    owner
        .post("/api/auth/second-factor", json!({ "password": PASSWORD }))
        .await
        .problem(409, "second-factor-already-there");
    let sealed = sqlx::query_scalar::<_, Vec<u8>>("SELECT secret_sealed FROM second_factor");
    let sealed = sealed.fetch_one(&world.admin).await.unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains(&phone.totp.secret().to_base32()));

    login_with(&world, json!({})).await.problem(401, "code-needed");
    login_with(&world, json!({ "code": "000000" })).await.problem(403, "code-wrong");
    // The one that confirmed it was used.
    login_with(&world, json!({ "code": phone.code(-1) })).await.problem(403, "code-wrong");
    let now = json!({ "code": phone.code(0) });
    login_with(&world, now.clone()).await.is(200);
    login_with(&world, now).await.problem(403, "code-wrong");
    let recovery = json!({ "code": codes[0].as_str().unwrap().to_lowercase() });
    login_with(&world, recovery.clone()).await.is(200);
    login_with(&world, recovery).await.problem(403, "code-wrong");

    // Codes by two at once: one of them.
    let next = json!({ "code": phone.code(1) });
    let (one, other) =
        tokio::join!(login_with(&world, next.clone()), login_with(&world, next.clone()));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);

    let renewed = json!({ "code": codes[1] });
    let path = "/api/auth/second-factor/recovery-codes";
    let renewed = owner.post(path, renewed).await.is(200).items("/recovery_codes").to_vec();
    login_with(&world, json!({ "code": codes[2] })).await.problem(403, "code-wrong");
    let remove = "/api/auth/second-factor/remove";
    owner.post(remove, json!({ "code": "000000" })).await.problem(403, "code-wrong");
    owner.post(remove, json!({ "code": renewed[0] })).await.is(204);
    login_with(&world, json!({})).await.is(200);
    owner.post(remove, json!({ "code": renewed[1] })).await.problem(409, "no-second-factor");
}

#[tokio::test]
async fn wrong_codes_lock_a_login_as_wrong_passwords_do() {
    let world = World::new().await;
    let owner = world.owner().await;
    let (phone, codes) = set_up(&owner).await;
    for _ in 0..10 {
        owner.post("/api/auth/prove", json!({ "code": "000000" })).await.problem(403, "code-wrong");
    }
    let right = json!({ "code": codes[0] });
    owner.post("/api/auth/prove", right).await.problem(429, "too-many-attempts");
    login_with(&world, json!({ "code": phone.code(0) })).await.problem(401, "login-refused");
}

#[tokio::test]
async fn a_role_that_needs_a_second_factor_does_nothing_before_it_has_one() {
    let world = World::new().await;
    let owner = world.owner().await;
    let noc = owner.hire("noc").await;
    let tenant = owner.get("/api/auth/me").await.text("/tenant");
    let path = format!("/api/tenants/{tenant}");
    let change = json!({ "second_factor_roles": ["noc", "finance", "noc"] });
    let changed = owner.patch(&path, "\"1\"", change).await.is(200);
    assert_eq!(changed.body["second_factor_roles"], json!(["finance", "noc"]));
    owner.get("/api/subscribers").await.is(200);
    noc.get("/api/subscribers").await.problem(403, "second-factor-needed");
    noc.get("/api/auth/me").await.is(200);
    let (_, codes) = set_up(&noc).await;
    noc.get("/api/subscribers").await.is(200);
    let remove = json!({ "code": codes[0] });
    noc.post("/api/auth/second-factor/remove", remove).await.problem(409, "role-needs-it");

    // The phone fell into the river.
    let id = noc.get("/api/auth/me").await.text("/id");
    let path = format!("/api/operators/{id}/second-factor");
    noc.ask("DELETE", &path, &[], None).await.problem(403, "role-needed");
    owner.ask("DELETE", &path, &[], None).await.is(204);
    owner.ask("DELETE", &path, &[], None).await.problem(409, "no-second-factor");
    noc.get("/api/auth/me").await.problem(401, "login-needed");
    let login = world.login("noc@first.example", PASSWORD).await.is(200);
    let noc = world.staff(&login.text("/token"));
    noc.get("/api/subscribers").await.problem(403, "second-factor-needed");
}

#[tokio::test]
async fn what_is_dangerous_wants_a_code_of_the_last_minutes() {
    let world = World::new().await;
    let owner = world.owner().await;
    let (_, codes) = set_up(&owner).await;
    let body = json!({ "email": "x@first.example", "role": "noc" });
    // Confirming it was showing it.
    owner.post("/api/invitations", body.clone()).await.is(201);
    let past = "UPDATE login SET proven_at = now() - interval '10 min'";
    sqlx::query(past).execute(&world.admin).await.unwrap();
    owner.post("/api/invitations", body.clone()).await.problem(403, "fresh-code-needed");
    owner.get("/api/invitations").await.is(200);
    owner.post("/api/auth/prove", json!({ "code": codes[0] })).await.is(204);
    owner.post("/api/invitations", body).await.is(201);
    // A login that has shown it has shown it.
    let other = login_with(&world, json!({ "code": codes[1] })).await.is(200);
    let body = json!({ "email": "y@first.example", "role": "noc" });
    world.staff(&other.text("/token")).post("/api/invitations", body).await.is(201);
}
