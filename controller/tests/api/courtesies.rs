//! Staff lets somebody on-line for a while who has not paid.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_courtesy_is_given_once_at_a_time_and_reaches_the_edges() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let support = owner.hire("support").await;
    let edge = owner.post("/api/network/edges", json!({ "name": "north" })).await.is(201);
    let basic = format!("{}:{}", edge.text("/id"), edge.text("/secret"));
    let basic = format!("Basic {}", STANDARD.encode(basic));
    let wanted = async || -> Value {
        let headers = [("authorization", basic.as_str())];
        let desired = world.ask("GET", "/edge/v1/desired", &headers, None).await.is(200);
        desired.body["subscriber"].clone()
    };
    let path = "/api/sessions/start";
    let mut body = json!({ "subscriber": amina, "seconds": 600, "data_bytes": 50_000_000 });
    support.post(path, body.clone()).await.problem(409, "no-plan");
    body["plan_version"] = json!(owner.plan_version("day").await);
    for (field, wrong) in
        [("seconds", json!(59)), ("seconds", json!(86_401)), ("data_bytes", json!(0))]
    {
        let mut bad = body.clone();
        bad[field] = wrong;
        let refused = support.post(path, bad).await.problem(422, "invalid-fields");
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
    let key = [("idempotency-key", "courtesy-0001")];
    let made = support.ask("POST", path, &key, Some(body.clone())).await.is(201);
    let again = support.ask("POST", path, &key, Some(body.clone())).await.is(201);
    assert_eq!(made.body, again.body);
    let (from, until): (jiff::Timestamp, jiff::Timestamp) =
        (made.text("/from").parse().expect("a time"), made.text("/until").parse().expect("a time"));
    assert_eq!(from.duration_until(until).as_secs(), 600);
    let told = wanted().await;
    let [one] = &told.as_array().expect("a list")[..] else { panic!("one") };
    assert_eq!(one["username"], "amina");
    assert_eq!(one["data_bytes"], 50_000_000);
    support.post(path, body.clone()).await.problem(409, "live-already");
    // No money has moved.
    assert_eq!(world.count("SELECT count(*) FROM ledger_entry").await, 0);
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'session.start'";
    assert_eq!(world.count(audited).await, 1);
    sqlx::query(
        "UPDATE entitlement SET valid = tstzrange(now() - interval '2 h', now() - interval '1 h')",
    )
    .execute(&world.admin)
    .await
    .expect("it is over");
    assert_eq!(wanted().await, json!([]));
    // What is not said is as it was last.
    let again = support.post(path, json!({ "subscriber": amina })).await.is(201);
    assert_eq!(again.body["plan_version"], body["plan_version"]);
    let stranger = json!({ "subscriber": "sub_0198b2f4c0de7000a000000000000001" });
    support.post(path, stranger).await.problem(404, "not-found");
}
