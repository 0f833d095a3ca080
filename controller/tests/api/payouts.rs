//! Payouts to the end: killed between sending and writing, lied to, and to numbers that are new.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use tokio::sync::Notify;

use crate::{
    money::check_the_books,
    providers::{Till, merchant, until},
    rehearsal::{Controller, free_port, simulator},
    world::{Staff, World},
};

/// Between a controller and the provider. It can keep back what is answered to a payout.
#[derive(Clone, Debug, Default)]
struct Wire {
    keeps_back: Arc<AtomicBool>,
    /// The provider has answered, and nobody has heard it.
    kept: Arc<Notify>,
    http: reqwest::Client,
    provider: String,
}

async fn carry(
    State(wire): State<Wire>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut request = wire.http.request(method, format!("{}{uri}", wire.provider));
    for name in ["authorization", "content-type"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.body(body).send().await.expect("the provider answers");
    if uri.path().contains("/b2c/") && wire.keeps_back.load(Ordering::SeqCst) {
        wire.kept.notify_one();
        std::future::pending::<()>().await;
    }
    let (status, body) = (answer.status(), answer.bytes().await.expect("a body"));
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("an answer")
}

/// Somebody who has sold, and has so much to be paid out.
async fn reseller(owner: &Staff<'_>, cents: i64) -> String {
    let made = owner.post("/api/resellers", json!({ "name": "Agent" })).await.is(201);
    let id = made.text("/id");
    let float = json!({ "cents": cents });
    owner.post(&format!("/api/resellers/{id}/float"), float).await.is(201);
    id
}

async fn ask(owner: &Staff<'_>, reseller: &str, msisdn: &str, merchant: Option<&str>) -> String {
    let body = json!({ "reseller": reseller, "msisdn": msisdn, "amount_cents": 100_000,
                       "merchant": merchant });
    let asked = owner.post("/api/finance/payouts", body).await.is(201);
    format!("/api/finance/payouts/{}", asked.text("/id"))
}

async fn books_of(sim: &str) -> Value {
    let answer = reqwest::get(format!("{sim}/_sim/books")).await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// The provider has taken it, and the controller dies before it hears so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_sending_and_writing_pays_once() {
    let mut world = World::new().await;
    let database = world.db.app.connect_options().to_url_lossy().to_string();
    let folder = tempfile::tempdir().expect("the machine lets it");
    let (_simulator, sim) = simulator(11, PACE);
    let wire = Wire { provider: sim.clone(), ..Wire::default() };
    wire.keeps_back.store(true, Ordering::SeqCst);
    let paysim = world.serve(Router::new().fallback(carry).with_state(wire.clone())).await;
    let controller = Controller {
        listen: free_port(),
        mqtt: free_port(),
        folder: folder.path().to_owned(),
        database,
        paysim,
        pace: PACE,
    };
    let process = controller.start();
    controller.ready().await;
    world.url = format!("http://{}", controller.listen);
    let owner = world.owner().await;
    let merchant = merchant(&owner).await;
    let finance = owner.hire("finance").await;
    let reseller = reseller(&owner, 250_000).await;
    let path = ask(&owner, &reseller, "254712345000", Some(&merchant)).await;
    finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
    tokio::time::timeout(Duration::from_secs(30), wire.kept.notified()).await.expect("it is sent");
    drop(process);
    // What the provider says of it now is heard by nobody.
    for _ in 0..500 {
        let books = books_of(&sim).await;
        if books["under_way"] == 0 && books["balance"]["paid_out"]["count"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wire.keeps_back.store(false, Ordering::SeqCst);
    let _process = controller.start();
    controller.ready().await;
    until(&owner, &path, "/state", "paid").await;
    assert_eq!(books_of(&sim).await["balance"]["paid_out"]["cents"], 100_000);
    assert_eq!(owner.balance("cash:mpesa:600000").await, -100_000);
    assert_eq!(owner.balance("payout:clearing").await, 0);
    assert_eq!(-owner.balance("agent").await, 150_000);
    let booked = "SELECT count(*) FROM ledger_entry WHERE kind = 'payout.resolve'";
    assert_eq!(world.count(booked).await, 1);
}

/// Who does not know the mark of a payout can say what they like of it.
#[tokio::test]
async fn what_is_said_to_a_guessed_address_ends_no_payout() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let finance = owner.hire("finance").await;
    let reseller = reseller(&owner, 250_000).await;
    // Paid, and nothing is said of it, so that it is open for a while.
    let path = ask(&owner, &reseller, "254712345005", Some(&merchant)).await;
    finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
    let addresses = format!("/api/finance/merchants/{merchant}/addresses");
    let confirmation = owner.get(&addresses).await.is(200).text("/confirmation");
    let (_, id) = path.rsplit_once("po_").expect("an id");
    let at = format!("{}/{id}{}", confirmation.replace("/c2b/", "/b2c/"), "0".repeat(32));
    let said = json!({ "Result": { "ResultCode": 1, "ResultDesc": "It failed, says nobody" } });
    let reply = till.http.post(&at).json(&said).send().await.expect("an answer");
    assert_eq!(reply.status(), 200, "who guesses is not told");
    let doubts = until(&owner, "/api/payments/doubts?state=open", "/items/0/kind", "forged").await;
    assert!(doubts.text("/items/0/said").starts_with("b2c callback: the mark"), "{}", doubts.body);
    until(&owner, &path, "/state", "paid").await;
    assert_eq!(owner.balance("cash:mpesa:600000").await, -100_000);
    assert_eq!(-owner.balance("agent").await, 150_000);
    check_the_books(&till.world, &owner).await;
}

/// A login or a number that somebody else has taken over is found out in the meantime.
#[tokio::test]
async fn a_payout_to_another_number_than_before_waits() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let finance = owner.hire("finance").await;
    let reseller = reseller(&owner, 1_000_000).await;
    let first = ask(&owner, &reseller, "254712345000", Some(&merchant)).await;
    assert_eq!(owner.get(&first).await.body["not_before"], Value::Null);
    finance.post(&format!("{first}/approve"), Value::Null).await.is(200);
    until(&owner, &first, "/state", "paid").await;

    // By hand and by the provider: neither before the time has come.
    let by_hand = ask(&owner, &reseller, "254712399000", None).await;
    let sent = ask(&owner, &reseller, "254712399000", Some(&merchant)).await;
    for path in [&by_hand, &sent] {
        let approved = finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
        let until = approved.text("/not_before").parse::<jiff::Timestamp>().expect("a time");
        let hours = until.duration_since(controller::clock::now()).as_hours();
        assert!((71..=72).contains(&hours), "{hours}");
    }
    let paid = json!({ "provider_txn": "BYHAND0001" });
    owner.post(&format!("{by_hand}/paid"), paid).await.problem(409, "number-new");
    owner.post(&format!("{by_hand}/failed"), Value::Null).await.is(200);
    let same = ask(&owner, &reseller, "254712345000", Some(&merchant)).await;
    finance.post(&format!("{same}/approve"), Value::Null).await.is(200);
    until(&owner, &same, "/state", "paid").await;
    assert_eq!(owner.get(&sent).await.text("/state"), "approved");
    assert_eq!(owner.balance("cash:mpesa:600000").await, -200_000);

    // For as long as the tenant says.
    let policy = "/api/finance/payout-policy";
    let shown = owner.get(policy).await.is(200);
    assert_eq!((shown.number("/new_number_hours"), shown.etag().as_str()), (72, "\"0\""));
    let put = |etag: &'static str, hours: u32| {
        let body = json!({ "new_number_hours": hours });
        let owner = &owner;
        async move { owner.ask("PUT", policy, &[("if-match", etag)], Some(body)).await }
    };
    put("\"0\"", 721).await.problem(422, "invalid-fields");
    put("\"7\"", 0).await.problem(412, "stale");
    put("\"0\"", 0).await.is(200);
    put("\"0\"", 5).await.problem(412, "stale");
    let now = ask(&owner, &reseller, "254712388000", Some(&merchant)).await;
    finance.post(&format!("{now}/approve"), Value::Null).await.is(200);
    until(&owner, &now, "/state", "paid").await;
    check_the_books(&till.world, &owner).await;
}

const PACE: u32 = 300;
