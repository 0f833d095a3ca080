//! Tickets: a reference that is told, states that only change as they may, and a clock.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_ticket_goes_from_open_to_closed() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let support = owner.hire("support").await;
    let body = json!({ "subscriber": amina, "subject": "No internet", "channel": "phone",
                       "priority": "high", "body": "Since this morning.\nThe lamp is red." });
    let key = [("idempotency-key", "ticket-0001")];
    let made = support.ask("POST", "/api/tickets", &key, Some(body.clone())).await.is(201);
    let again = support.ask("POST", "/api/tickets", &key, Some(body)).await.is(201);
    assert_eq!(made.body["id"], again.body["id"]);
    assert_eq!(made.body["reference"], "TKT-000001");
    assert_eq!(made.body["state"], "open");
    assert_eq!(made.body["overdue"], false);
    let path = format!("/api/tickets/{}", made.text("/id"));

    for (verb, state) in [
        ("start", "working"),
        ("wait", "waiting"),
        ("start", "working"),
        ("resolve", "resolved"),
        ("reopen", "working"),
        ("resolve", "resolved"),
        ("close", "closed"),
    ] {
        let moved = support.post(&format!("{path}/{verb}"), json!(null)).await.is(200);
        assert_eq!(moved.body["state"], state, "{verb}");
        assert!(moved.body["acknowledged_at"].is_string());
    }
    for verb in ["start", "wait", "resolve", "close", "reopen"] {
        let refused = support.post(&format!("{path}/{verb}"), json!(null)).await;
        refused.problem(409, "not-from-here");
    }
    support.post(&format!("{path}/burn"), json!(null)).await.problem(404, "not-found");
    let note = json!({ "body": "It was the cable." });
    let notes = support.post(&format!("{path}/notes"), note).await.is(200);
    assert_eq!(notes.items("").len(), 2);
    assert_eq!(notes.body[0]["body"], "Since this morning.\nThe lamp is red.");
    assert!(notes.body[1]["author"].as_str().unwrap().starts_with("op_"));
    let of_amina = format!("/api/tickets?subscriber={amina}&state=closed");
    assert_eq!(owner.get(&of_amina).await.is(200).items("/items").len(), 1);
    assert_eq!(owner.get("/api/tickets?state=open").await.is(200).items("/items").len(), 0);
}

#[tokio::test]
async fn a_ticket_is_assigned_and_gets_late() {
    let world = World::new().await;
    let owner = world.owner().await;
    let body = json!({ "subject": "A new line", "channel": "counter", "body": "When?" });
    let made = owner.post("/api/tickets", body.clone()).await.is(201);
    assert_eq!(made.body["subscriber"], Value::Null);
    assert_eq!(owner.post("/api/tickets", body).await.is(201).text("/reference"), "TKT-000002");
    let path = format!("/api/tickets/{}", made.text("/id"));
    let me = owner.get("/api/operators").await.text("/items/0/id");
    let change = json!({ "assigned_to": me, "priority": "urgent" });
    let changed = owner.patch(&path, &made.etag(), change.clone()).await.is(200);
    assert_eq!(changed.body["assigned_to"], me);
    owner.patch(&path, &made.etag(), change).await.problem(412, "stale");
    let nobody = json!({ "assigned_to": format!("op_{}", "0".repeat(32)) });
    owner.patch(&path, &changed.etag(), nobody).await.problem(409, "no-such-person");
    let free = owner.patch(&path, &changed.etag(), json!({ "assigned_to": null })).await.is(200);
    assert_eq!(free.body["assigned_to"], Value::Null);
    assert_eq!(free.body["overdue"], false);
    let ago = "UPDATE ticket SET opened_at = opened_at - interval '2 h'";
    sqlx::query(ago).execute(&world.admin).await.unwrap();
    assert_eq!(owner.get(&path).await.body["overdue"], true);
    let nobody = json!({ "subscriber": format!("sub_{}", "0".repeat(32)), "subject": "x",
                         "channel": "phone", "body": "x" });
    owner.post("/api/tickets", nobody).await.problem(409, "no-such-person");
    let notes = sqlx::query("DELETE FROM ticket_note").execute(&world.admin).await.unwrap_err();
    assert!(notes.to_string().contains("append only"), "{notes}");
}
