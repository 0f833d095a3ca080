//! Who registers at a portal learns nothing about whose a number is, with SMS and without.

use axum::{Router, extract::State};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use crate::world::World;

type Texts = Arc<Mutex<Vec<Value>>>;

async fn hear(State(texts): State<Texts>, body: String) -> String {
    let text = serde_json::from_str(&body).expect("JSON");
    texts.lock().expect("nobody failed with it").push(text);
    "{}".to_owned()
}

fn body(msisdn: &str) -> Value {
    json!({ "full_name": "Somebody", "msisdn": msisdn, "password": "wifi please" })
}

/// What is in it, without what it says.
fn shape(body: &Value) -> Vec<(String, bool)> {
    let fields = body.as_object().expect("an object").iter();
    fields.map(|(name, value)| (name.clone(), value.is_null())).collect()
}

#[tokio::test]
async fn without_sms_a_known_number_is_answered_like_any_other() {
    let world = World::new().await;
    let owner = world.owner().await;
    let tenant = owner.get("/api/auth/me").await.text("/tenant");
    let known = json!({ "username": "254712345678", "full_name": "Amina",
        "msisdn": "254712345678", "password": "secret" });
    let amina = owner.post("/api/subscribers", known).await.is(201).text("/id");
    let path = format!("/api/portal/{tenant}/register");
    let new = world.ask("POST", &path, &[], Some(body("254700000001"))).await.is(201);
    let taken = world.ask("POST", &path, &[], Some(body("254712345678"))).await.is(201);
    assert_eq!(shape(&new.body), shape(&taken.body));
    assert_ne!(taken.text("/subscriber"), amina);
    // A number as a name would tell it, too.
    for number in ["254712345678", "254700000009"] {
        let mut named = body("254700000002");
        named["username"] = json!(number);
        world.ask("POST", &path, &[], Some(named)).await.problem(422, "invalid-fields");
    }
    // Nobody has taken anything from Amina.
    let kept = owner.get(&format!("/api/subscribers/{amina}")).await.is(200);
    assert_eq!(kept.text("/msisdn"), "254712345678");
    let other = owner.get(&format!("/api/subscribers/{}", taken.text("/subscriber"))).await.is(200);
    assert_eq!(other.body["msisdn"], Value::Null);
}

#[tokio::test]
async fn a_code_gives_the_account_to_who_has_the_number() {
    let world = World::new().await;
    let owner = world.owner().await;
    let tenant = owner.get("/api/auth/me").await.text("/tenant");
    let texts = Texts::default();
    let url = world.serve(Router::new().fallback(hear).with_state(texts.clone())).await;
    let own = json!({ "name": "Own", "secret": "x", "setup": { "kind": "http", "url": url } });
    owner.post("/api/message-providers", own).await.is(201);
    let known = json!({ "username": "amina", "full_name": "Amina Wanjiru",
        "msisdn": "254712345678", "password": "secret" });
    let amina = owner.post("/api/subscribers", known).await.is(201).text("/id");

    let register = format!("/api/portal/{tenant}/register");
    let confirm = format!("/api/portal/{tenant}/confirm");
    let ask = async |path: &str, body: Value| world.ask("POST", path, &[], Some(body)).await;
    let taken = ask(&register, body("254712345678")).await.is(201);
    let new = ask(&register, body("254700000001")).await.is(201);
    assert_eq!(shape(&new.body), shape(&taken.body));
    assert!(!taken.body.to_string().contains("amina"), "{}", taken.body);
    let now = controller::clock::now() + SignedDuration::from_secs(1);
    assert_eq!(world.app.messages().round(now).await.expect("a round"), 2);
    let code = |to: &str| {
        let all = texts.lock().expect("nobody failed with it");
        let mine = all.iter().find(|text| text["to"] == to).expect("a text");
        let text = mine["text"].as_str().expect("text").to_owned();
        text.split_once(' ').expect("a code first").0.to_owned()
    };
    // The code is in nobody's list.
    let kept = owner.get("/api/messages").await.is(200);
    assert!(!kept.body.to_string().contains(&code("254712345678")), "{}", kept.body);

    // Guessing ends; the right code is then no better.
    let wrong = if code("254700000001") == "000000" { "111111" } else { "000000" };
    let claim = new.text("/claim");
    for _ in 0..5 {
        let refused = ask(&confirm, json!({ "claim": claim, "code": wrong })).await;
        refused.problem(401, "wrong-code");
    }
    let late = json!({ "claim": claim, "code": code("254700000001") });
    ask(&confirm, late).await.problem(401, "wrong-code");

    let right = json!({ "claim": taken.text("/claim"), "code": code("254712345678") });
    let mine = ask(&confirm, right.clone()).await.is(201);
    assert_eq!((mine.text("/subscriber"), mine.text("/username")), (amina, "amina".to_owned()));
    ask(&confirm, right).await.problem(401, "wrong-code");
    let kept = owner.get(&format!("/api/subscribers/{}", mine.text("/subscriber"))).await.is(200);
    assert_eq!(kept.text("/full_name"), "Amina Wanjiru");
    // The password is the new one: it opens the door to vouchers, which this is none of.
    let redeem =
        |password: &str| json!({ "username": "amina", "password": password, "code": "KEN3T7QW" });
    let path = format!("/api/portal/{tenant}/redeem");
    ask(&path, redeem("secret")).await.problem(401, "wrong-login");
    let opened = ask(&path, redeem("wifi please")).await;
    assert_ne!(opened.status, 401, "{}", opened.body);
}
