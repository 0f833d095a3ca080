//! Live data: a snapshot, then what changes, of one's own tenant, as long as one is logged in.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::World;

/// Reads Server-Sent Events.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(world: &World, topics: &str, token: &str) -> Self {
        let response = world.open(&format!("/api/live?topics={topics}"), token).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event, or none when it is over.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let line = |key: &str| event.lines().find_map(|line| line.strip_prefix(key));
                let found = line("event: ").zip(line("data: "));
                let found = found.map(|(name, data)| (name.to_owned(), data.to_owned()));
                let rest = rest.to_owned();
                self.text = rest;
                if let Some((name, data)) = found {
                    return Some((name, serde_json::from_str(&data).expect("JSON")));
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = chunk.expect("something within 20 seconds").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    async fn is(&mut self, name: &str) -> Value {
        let (got, data) = self.next().await.expect("an event");
        assert_eq!(got, name, "{data}");
        data
    }
}

#[tokio::test]
async fn who_watches_gets_a_snapshot_and_then_what_changes() {
    let world = World::with(|flags| flags.registration = Some("open".to_owned())).await;
    let first = world.register("First", "owner@first.example").await.is(201);
    let second = world.register("Second", "owner@second.example").await.is(201);
    let (token, other_token) = (first.text("/token"), second.text("/token"));
    let (owner, other) = (world.staff(&token), world.staff(&other_token));
    let ticket = |subject: &str| json!({ "subject": subject, "channel": "phone", "body": "x" });
    other.post("/api/tickets", ticket("Theirs")).await.is(201);
    owner.post("/api/tickets", ticket("Ours")).await.is(201);

    let mut events = Events::open(&world, "tickets,edges", &token).await;
    let mut others = Events::open(&world, "tickets", &other_token).await;
    let tickets = events.is("snapshot").await;
    assert_eq!(
        (&tickets["topic"], tickets["items"].as_array().unwrap().len()),
        (&json!("tickets"), 1)
    );
    assert_eq!(tickets["items"][0]["subject"], "Ours");
    assert_eq!(events.is("snapshot").await, json!({ "topic": "edges", "items": [] }));
    assert_eq!(others.is("snapshot").await["items"][0]["subject"], "Theirs");

    let made = owner.post("/api/tickets", ticket("The lamp is red")).await.is(201);
    let told = events.is("change").await;
    assert_eq!((&told["item"]["id"], &told["item"]["state"]), (&made.body["id"], &json!("open")));
    let path = format!("/api/tickets/{}/start", made.text("/id"));
    owner.post(&path, json!(null)).await.is(200);
    assert_eq!(events.is("change").await["item"]["state"], "working");
    let path = format!("/api/tickets/{}/resolve", made.text("/id"));
    owner.post(&path, json!(null)).await.is(200);
    assert_eq!(events.is("gone").await["id"], made.body["id"]);
    let edge = owner.edge().await;
    let told = events.is("change").await;
    assert_eq!((&told["topic"], &told["item"]["id"]), (&json!("edges"), &json!(edge)));
    // Nothing of all that was for the others; and theirs is told to them.
    let path =
        format!("/api/tickets/{}/start", other.get("/api/tickets").await.text("/items/0/id"));
    other.post(&path, json!(null)).await.is(200);
    assert_eq!(others.is("change").await["item"]["subject"], "Theirs");

    // With the login it ends.
    owner.ask("POST", "/api/auth/logout", &[], None).await.is(204);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn only_who_may_read_may_watch() {
    let world = World::new().await;
    let owner = world.owner().await;
    owner.get("/api/live").await.problem(400, "bad-query");
    owner.get("/api/live?topics=").await.problem(422, "invalid-fields");
    owner.get("/api/live?topics=edges,secrets").await.problem(422, "invalid-fields");
    let reseller = owner.hire("reseller").await;
    reseller.get("/api/live?topics=payments").await.problem(403, "role-needed");
    let scopes = |scope: &str| json!({ "name": "wall", "scopes": [scope], "days": 1 });
    let made = owner.post("/api/auth/tokens", scopes("live:read")).await.is(201);
    let mut events = Events::open(&world, "payments,sessions", &made.text("/token")).await;
    assert_eq!(events.is("snapshot").await["topic"], "payments");
    let made = owner.post("/api/auth/tokens", scopes("plans:read")).await.is(201);
    let program = world.staff(&made.text("/token"));
    program.get("/api/live?topics=payments").await.problem(403, "scope-needed");
}
