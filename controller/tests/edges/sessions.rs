//! `/api/sessions`, as staff sees it.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    id::TenantId,
    octets::Counters,
    wire::{
        latest::{
            ack::Verdict,
            command::{Command, Effect, Reply},
            journal,
            live::{Live, LiveSession, Percentiles, RoundTrips},
        },
        topic::Leaf,
    },
};
use uuid::Uuid;

use crate::{
    edge::{Edge, Journal, session},
    world::{Kind, World},
};

struct Api {
    url: String,
    token: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = Client::new().request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.expect("the API answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a page");
    items.iter().map(|item| item["id"].as_str().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_listed_newest_first_with_exact_bytes() {
    let world = World::new(Kind::Embedded).await;
    let (amina, subscription) = world.add_subscriber(world.tenant, "amina").await;
    let api =
        Api { url: world.serve().await, token: world.add_operator(world.tenant, "noc").await };
    let mut edge = Edge::connect(&world, 1).await;
    let (first, second, third) = (session(), session(), session());
    let mut journal = Journal::new();
    journal.start(first, |_| {});
    journal.stop(first, 123_456_789_012_345, 1);
    journal.start(second, |started| {
        started.subscriber = amina.to_vec();
        started.subscription = subscription.to_vec();
    });
    journal.usage(second, 700, 70);
    journal.start(third, |_| {});
    let all = journal.all();
    assert_eq!(edge.report(&all).await, (journal.head(), Verdict::Committed));

    let (one, two, three) = (first.to_string(), second.to_string(), third.to_string());
    assert_eq!(ids(&api.get("/api/sessions").await), [&*three, &two, &one]);
    assert_eq!(ids(&api.get("/api/sessions?state=live").await), [&*three, &two]);
    assert_eq!(ids(&api.get("/api/sessions?state=past").await), [&*one]);
    let of_amina = api.get(&format!("/api/sessions?subscriber={amina}")).await;
    assert_eq!(ids(&of_amina), [&*two]);
    let page = api.get(&format!("/api/sessions?limit=2&edge={}", world.edge)).await;
    assert_eq!((ids(&page), &page["next"]), (vec![&*three, &two], &json!(two)));
    let rest = api.get(&format!("/api/sessions?limit=2&after={two}")).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec![&*one], &Value::Null));

    let past = api.get(&format!("/api/sessions/{first}")).await;
    assert_eq!(past["down_bytes"], 123_456_789_012_345_u64);
    assert_eq!((&past["cause"], &past["subscriber"]), (&json!(1), &Value::Null));
    assert_eq!(past["mac"], "02:00:00:00:00:01");

    // What the edge says between two reports is beside the books, not in them.
    let counters = Counters { down_bytes: 900, ..Counters::default() };
    let subscriber = Some(Percentiles { p50_us: 20_000, p95_us: 31_000 });
    let round_trips = RoundTrips { subscriber, internet: None };
    let sessions = vec![LiveSession { session: second, counters, round_trips }];
    edge.say(Leaf::UpLive, &Live { at_ms: 5, sessions }).await;
    let mut live = Value::Null;
    for _ in 0..400 {
        live = api.get(&format!("/api/sessions/{second}")).await;
        if !live["seen"].is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!((&live["down_bytes"], &live["seen"]["down_bytes"]), (&json!(700), &json!(900)));
    assert_eq!(live["seen"]["rtt_subscriber"], json!({ "p50_us": 20_000, "p95_us": 31_000 }));
    assert_eq!(live["seen"]["rtt_internet"], Value::Null);
    assert_eq!(live["subscriber"], amina.to_string());

    let (status, problem) = api.call(Method::GET, "/api/sessions?state=sleeping").await;
    assert!(status.is_client_error(), "{status}: {problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_ended_at_its_edge_and_the_answer_is_what_was_observed() {
    let world = World::new(Kind::Embedded).await;
    let token = world.add_operator(world.tenant, "support").await;
    let api = Api { url: world.serve().await, token };
    let mut edge = Edge::connect(&world, 1).await;
    let live = session();
    let mut journal = Journal::new();
    journal.start(live, |_| {});
    assert_eq!(edge.report(&journal.all()).await, (2, Verdict::Committed));

    let path = format!("/api/sessions/{live}/end");
    let asked = api.call(Method::POST, &path);
    let answered = async {
        let command: Command = edge.told(Leaf::DownCommand).await;
        edge.say(Leaf::UpReply, &Reply { id: command.id, effect: Effect::Done }).await;
    };
    let (answer, ()) = tokio::join!(asked, answered);
    assert_eq!(answer, (StatusCode::OK, json!({ "effect": "done" })));
    assert_eq!(world.ask("SELECT object_id FROM audit_log").await, live.to_string());

    // An edge that does not answer: known as such after a bounded time.
    let (status, body) = api.call(Method::POST, &path).await;
    assert_eq!((status, &body["effect"]), (StatusCode::ACCEPTED, &json!("pending")));

    let nobody = format!("/api/sessions/{}/end", session());
    assert_eq!(api.call(Method::POST, &nobody).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_for_staff_of_the_tenant() {
    let world = World::new(Kind::Embedded).await;
    let elsewhere = TenantId::from_uuid(Uuid::now_v7());
    world.add_tenant(elsewhere).await;
    let url = world.serve().await;
    let mut edge = Edge::connect(&world, 1).await;
    let live = session();
    let mut journal = Journal::new();
    journal.start(live, |_| {});
    assert_eq!(edge.report(&journal.all()).await, (2, Verdict::Committed));
    let api = async |tenant, role| Api {
        url: url.clone(),
        token: world.add_operator(tenant, role).await,
    };

    let (one, end) = (format!("/api/sessions/{live}"), format!("/api/sessions/{live}/end"));
    let stranger = api(elsewhere, "owner").await;
    assert_eq!(ids(&stranger.get("/api/sessions").await), [""; 0]);
    assert_eq!(stranger.call(Method::GET, &one).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stranger.call(Method::POST, &end).await.0, StatusCode::NOT_FOUND);

    let auditor = api(world.tenant, "auditor").await;
    assert_eq!(ids(&auditor.get("/api/sessions").await), [live.to_string()]);
    assert_eq!(auditor.call(Method::POST, &end).await.0, StatusCode::FORBIDDEN);
    let reseller = api(world.tenant, "reseller").await;
    assert_eq!(reseller.call(Method::GET, "/api/sessions").await.0, StatusCode::FORBIDDEN);
    let nobody = Api { url: url.clone(), token: "x".to_owned() };
    assert_eq!(nobody.call(Method::GET, "/api/sessions").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_somebody_is_off_line_is_told_with_what_the_edge_has_seen() {
    let world = World::new(Kind::Embedded).await;
    let (amina, subscription) = world.add_subscriber(world.tenant, "amina").await;
    let api =
        Api { url: world.serve().await, token: world.add_operator(world.tenant, "noc").await };
    let mut edge = Edge::connect(&world, 1).await;
    let past = session();
    let mut journal = Journal::new();
    edge.be_born(1, journal.epoch, 0).await;
    // Where the books are, for an edge that asks by being born.
    assert_eq!(edge.acked().await, (1, Verdict::Committed));
    journal.start(past, |started| {
        started.subscriber = amina.to_vec();
        started.subscription = subscription.to_vec();
    });
    journal.add(journal::Event::SessionEffect(journal::SessionEffect {
        session: past.to_vec(),
        asked: journal::Asked::Disconnect.into(),
        asked_at_ms: World::now_ms(),
        answered: journal::Answered::Ack.into(),
        error_cause: 0,
        observed: journal::Observed::StillThere.into(),
        after_ms: 900,
        nas_name: "lab".to_owned(),
    }));
    journal.stop(past, 700, 70);
    journal.add(journal::Event::AuthFailures(journal::AuthFailures {
        nas_name: "lab".to_owned(),
        username: "amina".to_owned(),
        reason: "wrong password".to_owned(),
        count: 3,
    }));
    assert_eq!(edge.report(&journal.all()).await, (journal.head(), Verdict::Committed));
    assert_eq!(world.ask("SELECT count(*) FROM journal_odd").await, "0");

    let by_name = "/api/network/diagnostics?search=amina";
    let why = api.get(by_name).await;
    assert_eq!((&why["online"], &why["session"]), (&json!(false), &json!(past.to_string())));
    assert_eq!(why["effects"][0]["observed"], "still_there");
    assert_eq!(
        (&why["failures"][0]["reason"], &why["failures"][0]["count"]),
        (&json!("wrong password"), &json!(3))
    );
    let check = |name: &str| {
        let checks = why["checks"].as_array().expect("checks").iter();
        let found = checks.clone().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {why}")).clone()
    };
    assert_eq!(check("logins")["verdict"], "bad");
    assert_eq!(check("subscription")["verdict"], "good");
    let effect = "lab was asked to disconnect and said ack; seen after 900 ms: still_there";
    assert_eq!(check("effects")["says"], effect);
    // By what a person on the telephone says, too; and never by somebody who is not there.
    let by_id = format!("/api/network/diagnostics?subscriber={amina}");
    // What the edge should have may be computed in between: then both are asked once more.
    let (mut one, mut other) = (api.get(by_name).await, api.get(&by_id).await);
    if one["checks"] != other["checks"] {
        (one, other) = (api.get(by_name).await, api.get(&by_id).await);
    }
    assert_eq!(other["checks"], one["checks"]);
    let (status, _) = api.call(Method::GET, "/api/network/diagnostics?search=nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = api.call(Method::GET, "/api/network/diagnostics").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
