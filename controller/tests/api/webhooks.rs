//! Webhooks against a program that listens: signed, again after a refusal, given up, sent again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use controller::{
    clock,
    reach::{Outward, Reach},
    webhooks::Courier,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::World;

/// What came, and what is answered next; 200 when nothing is.
#[derive(Clone, Default)]
struct Program {
    heard: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Program {
    async fn listen(&self, world: &World) -> String {
        let router = Router::new().route("/kennet", post(hear)).with_state(self.clone());
        world.serve(router).await
    }

    fn answers(&self, answers: &[u16]) {
        self.answers.lock().expect("nobody failed with it").extend(answers);
    }

    fn last(&self) -> (HeaderMap, String) {
        self.heard.lock().expect("nobody failed with it").last().cloned().expect("something came")
    }

    fn count(&self) -> usize {
        self.heard.lock().expect("nobody failed with it").len()
    }
}

async fn hear(State(program): State<Program>, headers: HeaderMap, body: String) -> StatusCode {
    program.heard.lock().expect("nobody failed with it").push((headers, body));
    let answer = program.answers.lock().expect("nobody failed with it").pop_front().unwrap_or(200);
    StatusCode::from_u16(answer).expect("a status")
}

/// As the controller makes it.
fn courier(world: &World) -> Courier {
    let seal = axum::extract::FromRef::from_ref(&world.app);
    Courier::new(world.db.clone(), seal, Outward::new(Reach::Anywhere))
}

#[tokio::test]
async fn what_was_changed_is_told_signed_and_until_it_is_taken() {
    let world = World::new().await;
    let owner = world.owner().await;
    let program = Program::default();
    let url = format!("{}/kennet", program.listen(&world).await);
    let body = json!({ "url": url, "events": ["subscriber.*"] });
    let key = [("idempotency-key", "webhook-0001")];
    let made = owner.ask("POST", "/api/webhooks", &key, Some(body.clone())).await.is(201);
    let again = owner.ask("POST", "/api/webhooks", &key, Some(body)).await.is(201);
    assert_eq!(
        (made.text("/id"), made.text("/secret")),
        (again.text("/id"), again.text("/secret"))
    );
    let secret = made.text("/secret");
    let path = format!("/api/webhooks/{}", made.text("/id"));
    let courier = courier(&world);
    let mut now = clock::now();

    let amina = owner.subscriber("amina").await;
    // What is not wanted, and what was undone, is not told.
    owner.plan_version("day").await;
    let twice = json!({ "username": "amina", "full_name": "A" });
    owner.post("/api/subscribers", twice).await.problem(409, "username-taken");
    now += SignedDuration::from_secs(1);
    assert_eq!(courier.round(now).await.unwrap(), 1);
    let (headers, body) = program.last();
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&told["event"], &told["object"]["id"]),
        (&json!("subscriber.create"), &json!(amina))
    );
    assert_eq!(told["after"]["username"], "amina");
    assert_eq!(headers["kennet-delivery"], told["id"].as_str().expect("an id"));
    let seconds = now.as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let hex: Vec<String> =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(headers["kennet-signature"], format!("t={seconds},v1={}", hex.concat()));

    // Refused once, then taken; not before its pause is over, and not twice.
    program.answers(&[503]);
    owner.subscriber("brian").await;
    now += SignedDuration::from_secs(2);
    assert_eq!(courier.round(now).await.unwrap(), 0);
    assert_eq!(courier.round(now + SignedDuration::from_secs(9)).await.unwrap(), 0);
    now += SignedDuration::from_secs(11);
    assert_eq!(courier.round(now).await.unwrap(), 1);
    assert_eq!((courier.round(now).await.unwrap(), program.count()), (0, 3));
    let deliveries = owner.get(&format!("{path}/deliveries")).await.is(200);
    assert_eq!(deliveries.items("/items")[1]["attempts"], 2);

    // Given up after two days, and sent again when somebody asks for it.
    program.answers(&[500; 9]);
    owner.subscriber("chebet").await;
    for _ in 0..9 {
        now += SignedDuration::from_hours(25);
        assert_eq!(courier.round(now).await.unwrap(), 0);
    }
    let dead = owner.get(&format!("{path}/deliveries?state=dead")).await.is(200);
    assert_eq!(dead.items("/items").len(), 1);
    assert_eq!((&dead.body["items"][0]["status"], program.count()), (&json!(500), 12));
    assert_eq!(courier.round(now + SignedDuration::from_hours(99)).await.unwrap(), 0);
    owner.post(&format!("{path}/replay"), json!(null)).await.is(200);
    assert_eq!(courier.round(now).await.unwrap(), 1);

    // One that is switched off is told nothing.
    let etag = owner.get(&path).await.is(200).etag();
    owner.patch(&path, &etag, json!({ "active": false })).await.is(200);
    owner.subscriber("dennis").await;
    assert_eq!(courier.round(now + SignedDuration::from_hours(1)).await.unwrap(), 0);
    let wrong = json!({ "url": "ftp://x", "events": [] });
    owner.post("/api/webhooks", wrong).await.problem(422, "invalid-fields");
}

#[tokio::test]
async fn a_subscriber_is_given_everything_that_is_kept() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    owner.subscriber("brian").await;
    let lines = json!([{ "descr": "Home", "price_cents": 100_000 }]);
    owner.post("/api/invoices", json!({ "subscriber": amina, "lines": lines })).await.is(201);
    let ticket =
        json!({ "subscriber": amina, "subject": "Slow", "channel": "phone", "body": "Yes" });
    owner.post("/api/tickets", ticket).await.is(201);
    let all = owner.get(&format!("/api/subscribers/{amina}/export")).await.is(200);
    assert_eq!(all.text("/subscriber/username"), "amina");
    assert_eq!(all.items("/invoices").len(), 1);
    assert_eq!(all.text("/tickets/0/notes/0/body"), "Yes");
    let text = all.body.to_string();
    assert!(!text.contains("password_sealed") && !text.contains("brian"), "{text}");
    let read = "SELECT count(*) FROM audit_log WHERE action = 'subscriber.export'";
    assert_eq!(world.count(read).await, 1);
}
