//! Payment providers: accounts whose secrets stay sealed, prompts, callbacks, payouts, doubts.

use std::{num::NonZeroU32, time::Duration};

use controller::{gateways::Pace, paysim::Sim};
use serde_json::{Value, json};
use shared::daemon::Life;
use tokio::net::TcpListener;

use crate::{
    money::check_the_books,
    world::{Reply, Staff, World, join_all},
};

/// A controller at work beside a simulator, both on a fast clock.
pub(crate) struct Till {
    pub(crate) world: World,
    pub(crate) sim: String,
    pub(crate) http: reqwest::Client,
    life: Life,
}

impl Drop for Till {
    fn drop(&mut self) {
        self.life.ask_to_stop();
    }
}

impl Till {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sim = format!("http://{}", listener.local_addr().expect("bound"));
        let life = Life::default();
        let pace = Pace::new(NonZeroU32::new(PACE).expect("not nothing"));
        let serve = Sim::new(1, pace, &life).serve(listener);
        life.spawn_short(async move { serve.await.expect("it serves") });
        let paysim_url = Some(sim.clone());
        let world = World::with(|flags| {
            flags.paysim_url = paysim_url;
            flags.paysim_pace = Some(PACE.to_string());
        })
        .await;
        world.app.watch_money(&life);
        Self { world, sim, http: reqwest::Client::new(), life }
    }

    pub(crate) async fn sim(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}{path}", self.sim)).json(body);
        assert!(request.send().await.expect("an answer").status().is_success());
    }

    async fn pay(&self, msisdn: &str, cents: i64, reference: &str) -> Value {
        let body = json!({ "shortcode": "600000", "msisdn": msisdn, "cents": cents,
                           "reference": reference });
        let request = self.http.post(format!("{}/_sim/pay", self.sim)).json(&body);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }
}

const PACE: u32 = 300;

pub(crate) async fn merchant(owner: &Staff<'_>) -> String {
    let id = owner.post("/api/finance/merchants", paybill()).await.is(201).text("/id");
    owner.post(&format!("/api/finance/merchants/{id}/register"), Value::Null).await.is(200);
    id
}

fn paybill() -> Value {
    json!({
        "provider": "mpesa", "shortcode": "600000", "name": "Paybill", "environment": "simulator",
        "sources": ["127.0.0.1"],
        "secrets": { "key": "the-key", "secret": "the-secret", "passkey": "the-passkey",
                     "initiator": "kennetapi", "credential": "the-credential" },
    })
}

async fn ask(owner: &Staff<'_>, merchant: &str, subscriber: &str, msisdn: &str) -> Reply {
    let body = json!({ "merchant": merchant, "subscriber": subscriber, "amount_cents": 5000,
                       "msisdn": msisdn });
    owner.post("/api/payments/intents", body).await.is(201)
}

/// Until it says so at `pointer`.
pub(crate) async fn until(owner: &Staff<'_>, path: &str, pointer: &str, want: &str) -> Reply {
    for _ in 0..500 {
        let reply = owner.get(path).await.is(200);
        if reply.body.pointer(pointer) == Some(&Value::from(want)) {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} is not {want}: {}", owner.get(path).await.body);
}

/// The provider is said to call often, and at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_is_delivered_120_times_at_once_is_one_payment() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let id = merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let account = owner.get(&format!("/api/subscribers/{amina}")).await.text("/account_no");
    let path = format!("/api/finance/merchants/{id}/addresses");
    let confirmation = owner.get(&path).await.is(200).text("/confirmation");
    let said = json!({
        "TransactionType": "Pay Bill", "TransID": "SAME1RCPT0", "TransTime": "20261128120000",
        "TransAmount": "1000.00", "BusinessShortCode": "600000", "BillRefNumber": account,
        "MSISDN": "25470****149", "FirstName": "JANE",
    });
    let calls = (0..120).map(|_| till.http.post(&confirmation).json(&said).send());
    for reply in join_all(calls).await {
        assert_eq!(reply.expect("an answer").status(), 200);
    }
    let applied = "SELECT count(*) FROM inbox_event WHERE state = 'applied'";
    for _ in 0..500 {
        if till.world.count(applied).await == 120 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(till.world.count(applied).await, 120);
    assert_eq!(till.world.count("SELECT count(*) FROM payment").await, 1);
    assert_eq!(-owner.balance("wallet").await, 100_000);
    check_the_books(&till.world, &owner).await;
}

/// M-Pesa asks before somebody pays; what would lie around as nobody's stays with the payer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_nobody_is_refused_before_it_is_paid() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let id = merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let account = owner.get(&format!("/api/subscribers/{amina}")).await.text("/account_no");
    // Until somebody wants it, all money is taken.
    assert!(till.pay("254700000900", 10_000, "rent").await["moved"].is_object());
    let path = format!("/api/finance/merchants/{id}");
    let on = json!({ "refuse_unknown": true });
    let shown = owner.get(&path).await.is(200);
    owner.patch(&path, shown.header("etag"), on).await.is(200);
    assert_eq!(till.pay("254700000900", 10_000, "rent").await["moved"], Value::Null);
    let typed = account.replace('0', "o");
    assert!(till.pay("254700000900", 20_000, &typed).await["moved"].is_object());
    for _ in 0..500 {
        if owner.balance("wallet").await != 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(-owner.balance("wallet").await, 20_000);
    check_the_books(&till.world, &owner).await;
    let validation = owner.get(&format!("{path}/addresses")).await.is(200).text("/validation");
    let ask = async |body: Value| {
        let reply = till.http.post(&validation).json(&body).send().await.expect("an answer");
        let body: Value = reply.json().await.expect("JSON");
        body["ResultCode"].as_str().map(str::to_owned)
    };
    let question = json!({ "BusinessShortCode": "600000", "TransAmount": "50.00",
                           "BillRefNumber": "nobody" });
    assert_eq!(ask(question.clone()).await.as_deref(), Some("C2B00012"));
    let other = |name: &str, value: &str| {
        let mut body = question.clone();
        body[name] = json!(value);
        body
    };
    assert_eq!(ask(other("BusinessShortCode", "600001")).await.as_deref(), Some("C2B00015"));
    assert_eq!(ask(other("TransAmount", "0")).await.as_deref(), Some("C2B00013"));
    assert_eq!(ask(json!(7)).await.as_deref(), Some("C2B00016"));
    assert_eq!(ask(other("BillRefNumber", "")).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn what_opens_an_account_is_sealed_and_never_shown() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let mut without = paybill();
    without["secrets"].as_object_mut().unwrap().remove("passkey");
    let refused = owner.post("/api/finance/merchants", without).await;
    assert_eq!(refused.problem(422, "invalid-fields").text("/errors/0/field"), "secrets.passkey");
    let made = owner.post("/api/finance/merchants", paybill()).await.is(201);
    let path = format!("/api/finance/merchants/{}", made.text("/id"));
    let change = json!({ "name": "Paybill 2", "secrets": { "passkey": "another" } });
    let changed = owner.patch(&path, &made.etag(), change.clone()).await.is(200);
    owner.patch(&path, &made.etag(), change).await.problem(412, "stale");
    let audit = owner.get("/api/audit").await.is(200).body;
    let list = owner.get("/api/finance/merchants").await.is(200).body;
    for shown in [&made.body, &changed.body, &audit, &list] {
        let text = shown.to_string();
        for secret in ["the-key", "the-secret", "the-passkey", "the-credential", "another"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let sealed = till
        .world
        .count(
            "SELECT count(*) FROM merchant
        WHERE position('the-key'::bytea IN secrets_sealed) > 0",
        )
        .await;
    assert_eq!(sealed, 0);

    // A real paybill is one tenant's.
    let real = |name: &str| {
        let mut body = paybill();
        body["environment"] = json!("production");
        body["name"] = json!(name);
        body
    };
    owner.post("/api/finance/merchants", real("One")).await.is(201);
    owner.post("/api/finance/merchants", real("Two")).await.problem(409, "merchant-taken");
    let auditor = owner.hire("auditor").await;
    auditor.get(&path).await.is(200);
    auditor.get(&format!("{path}/addresses")).await.problem(403, "role-needed");
}

#[tokio::test]
async fn without_a_simulator_there_are_no_accounts_of_it() {
    let world = World::new().await;
    let owner = world.owner().await;
    let refused = owner.post("/api/finance/merchants", paybill()).await;
    assert_eq!(refused.problem(422, "invalid-fields").text("/errors/0/field"), "environment");
}

#[tokio::test]
async fn a_prompt_is_paid_and_pays_what_is_open() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let lines = json!([{ "descr": "Month", "price_cents": 3000 }]);
    let draft = owner.post("/api/invoices", json!({ "subscriber": amina, "lines": lines })).await;
    let invoice = format!("/api/invoices/{}", draft.is(201).text("/id"));
    owner.post(&format!("{invoice}/finalise"), json!({})).await.is(200);

    let asked = ask(&owner, &merchant, &amina, "254712345000").await;
    assert_eq!(asked.text("/state"), "submitted");
    let path = format!("/api/payments/intents/{}", asked.text("/id"));
    until(&owner, &path, "/state", "succeeded").await;
    let payments = owner.get("/api/payments").await.is(200);
    assert_eq!(payments.items("/items").len(), 1);
    assert_eq!(payments.number("/items/0/amount_cents"), 5000);
    assert_eq!(payments.number("/items/0/allocated_cents"), 3000);
    assert_eq!(owner.get(&invoice).await.number("/paid_cents"), 3000);
    assert_eq!(owner.balance("cash:mpesa:600000").await, 5000);
    check_the_books(&till.world, &owner).await;
    let audit = owner.get("/api/audit").await.body.to_string();
    assert!(audit.contains("payment.receive") && audit.contains("intent.create"), "{audit}");

    // The same request again asks nobody.
    let body = json!({ "merchant": merchant, "subscriber": amina, "amount_cents": 5000,
                       "msisdn": "254712345001" });
    let key = [("idempotency-key", "prompt-0001")];
    let first = owner.ask("POST", "/api/payments/intents", &key, Some(body.clone())).await.is(201);
    let again = owner.ask("POST", "/api/payments/intents", &key, Some(body)).await.is(201);
    assert_eq!(first.text("/id"), again.text("/id"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let path = format!("/api/payments/intents/{}", first.text("/id"));
    let failed = until(&owner, &path, "/state", "failed").await;
    assert_eq!(failed.text("/code"), "1032");
    let give_up = owner.post(&format!("{path}/give-up"), json!({ "note": "No" })).await;
    give_up.problem(409, "ended-already");
}

#[tokio::test]
async fn bad_prompts_are_refused_before_anybody_is_asked() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let body = |cents: i64, msisdn: Value| {
        json!({ "merchant": merchant, "subscriber": amina, "amount_cents": cents,
                "msisdn": msisdn })
    };
    for (wrong, field) in [
        (body(0, json!("254712345000")), "amount_cents"),
        (body(50, json!("254712345000")), "amount_cents"),
        (body(25_000_100, json!("254712345000")), "amount_cents"),
        (body(5000, Value::Null), "msisdn"),
        (body(5000, json!("0712345000")), "msisdn"),
    ] {
        let reply = owner.post("/api/payments/intents", wrong).await;
        assert_eq!(reply.problem(422, "invalid-fields").text("/errors/0/field"), field);
    }
    let nobody = json!({ "merchant": format!("mer_{}", "0".repeat(32)), "subscriber": amina,
                         "amount_cents": 5000, "msisdn": "254712345000" });
    owner.post("/api/payments/intents", nobody).await.problem(404, "not-found");
    assert_eq!(till.world.count("SELECT count(*) FROM payment_intent").await, 0);
}

#[tokio::test]
async fn what_is_paid_to_the_paybill_finds_its_owner() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let path = format!("/api/subscribers/{amina}");
    let account = owner.get(&path).await.text("/account_no");
    till.pay("254712345600", 7000, &account.replace('0', " O")).await;
    till.pay("254712345601", 900, "rent").await;
    for _ in 0..500 {
        if till.world.count("SELECT count(*) FROM payment").await == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let unmatched = owner.get("/api/payments?state=unmatched").await.is(200);
    assert_eq!(unmatched.items("/items").len(), 1);
    assert_eq!(unmatched.text("/items/0/reference"), "rent");
    assert!(unmatched.text("/items/0/payer").starts_with("JANE DOE 25471****601"));
    assert_eq!(-owner.balance("suspense:unmatched").await, 900);
    let path = format!("/api/payments/{}/assign", unmatched.text("/items/0/id"));
    owner.post(&path, json!({ "subscriber": amina })).await.is(200);
    assert_eq!(-owner.balance("wallet").await, 7900);
    check_the_books(&till.world, &owner).await;
}

/// The address of the paybill is known to whoever has seen it, and nobody has said where the
/// provider is: money is what the provider's own list has.
#[tokio::test]
async fn what_anybody_could_have_said_is_no_money_until_the_provider_lists_it() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let mut anywhere = paybill();
    anywhere["sources"] = json!([]);
    let id = owner.post("/api/finance/merchants", anywhere).await.is(201).text("/id");
    let path = format!("/api/finance/merchants/{id}");
    owner.post(&format!("{path}/register"), Value::Null).await.is(200);
    let confirmation = owner.get(&format!("{path}/addresses")).await.is(200).text("/confirmation");
    let amina = owner.subscriber("amina").await;
    let account = owner.get(&format!("/api/subscribers/{amina}")).await.text("/account_no");
    let forged = json!({
        "TransID": "FORGED0001", "TransTime": "20261128120000", "TransAmount": "5000.00",
        "BusinessShortCode": "600000", "BillRefNumber": account, "FirstName": "JANE",
    });
    let reply = till.http.post(&confirmation).json(&forged).send().await.expect("an answer");
    assert_eq!(reply.status(), 200);
    let doubts = "/api/payments/doubts?state=open";
    let doubt = until(&owner, doubts, "/items/0/kind", "unconfirmed").await;
    assert_eq!(doubt.text("/items/0/about"), "FORGED0001");

    // Somebody who has really paid has their money all the same, from the list.
    till.pay("254712345000", 7000, &account).await;
    until(&owner, "/api/payments?state=matched", "/items/0/state", "matched").await;
    assert_eq!(-owner.balance("wallet").await, 7000);
    assert_eq!(owner.balance("cash:mpesa:600000").await, 7000);
    let settled = "SELECT count(*) FROM payment_doubt WHERE kind = 'unconfirmed'
        AND state = 'closed' AND note = 'the provider has it'";
    let open = owner.get(doubts).await.is(200);
    assert_eq!(open.items("/items").len(), 1, "{}", open.body);
    // The list may have been faster than the confirmation: then there was no doubt.
    assert!(till.world.count(settled).await <= 1);
    assert_eq!(till.world.count("SELECT count(*) FROM payment").await, 1);
    check_the_books(&till.world, &owner).await;
}

#[tokio::test]
async fn a_payout_is_sent_when_the_second_person_agrees() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let finance = owner.hire("finance").await;
    let reseller = owner.post("/api/resellers", json!({ "name": "Agent" })).await.is(201);
    let reseller = reseller.text("/id");
    let float = json!({ "cents": 1_000_000 });
    owner.post(&format!("/api/resellers/{reseller}/float"), float).await.is(201);
    let mut paths = Vec::new();
    // Paid; refused for want of money; said nothing of; the answer lost; unknown; only a timeout.
    for suffix in ["000", "003", "005", "006", "019", "002"] {
        let body = json!({ "reseller": reseller, "msisdn": format!("254712345{suffix}"),
                           "amount_cents": 100_000, "merchant": merchant });
        let asked = owner.post("/api/finance/payouts", body).await.is(201);
        let path = format!("/api/finance/payouts/{}", asked.text("/id"));
        owner.post(&format!("{path}/approve"), Value::Null).await.problem(409, "oneself");
        finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
        paths.push((suffix, path));
    }
    for (suffix, path) in &paths {
        match *suffix {
            "003" => {
                let failed = until(&owner, path, "/state", "failed").await;
                assert_eq!(failed.text("/code"), "1");
            }
            // Nobody knows whether it was paid, and so the money stays set aside.
            "019" => {
                until(&owner, path, "/state", "unknown").await;
            }
            _ => {
                until(&owner, path, "/state", "paid").await;
            }
        }
    }
    let url = format!("{}/_sim/books", till.sim);
    let books: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let theirs = books["balance"]["paid_out"]["cents"].as_i64().unwrap();
    let ours = -owner.balance("cash:mpesa:600000").await;
    let set_aside = -owner.balance("payout:clearing").await;
    // The unknown one is in the provider's books or not; in ours it is neither paid nor back.
    assert!(theirs == ours || theirs == ours + set_aside, "{theirs} {ours} {set_aside}");
    assert!(set_aside == 0 || set_aside == 100_000, "{set_aside}");
}

#[tokio::test]
async fn callbacks_nobody_can_read_are_doubts() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let path = format!("/api/finance/merchants/{merchant}/addresses");
    let confirmation = owner.get(&path).await.is(200).text("/confirmation");
    let reply = till.http.post(&confirmation).body("<html>").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let reply: Value = reply.json().await.unwrap();
    assert_eq!(reply, json!({ "ResultCode": 0, "ResultDesc": "Success" }));
    let path = "/api/payments/doubts?state=open";
    let doubts = until(&owner, path, "/items/0/kind", "unreadable").await;
    let close = format!("/api/payments/doubts/{}/close", doubts.text("/items/0/id"));
    let note = json!({ "note": "A test of the firewall" });
    let closed = owner.post(&close, note.clone()).await.is(200);
    assert_eq!(closed.text("/state"), "closed");
    owner.post(&close, note).await.problem(409, "closed-already");
    assert_eq!(owner.get(path).await.items("/items").len(), 0);
    let raw = "SELECT count(*) FROM inbox_event WHERE raw = '<html>' AND state = 'set_aside'";
    assert_eq!(till.world.count(raw).await, 1);
}

/// Paid over Airtel, Paystack and Stripe, with and without their callbacks.
#[tokio::test]
async fn the_other_providers_end_in_the_same_books() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let amina = owner.subscriber("amina").await;
    let mut total = 0;
    for (provider, secrets) in [
        ("airtel", json!({ "key": "k", "secret": "s", "webhook": "hook" })),
        ("paystack", json!({ "secret": "hook" })),
        ("stripe", json!({ "secret": "s", "webhook": "hook" })),
    ] {
        let body = json!({ "provider": provider, "shortcode": provider, "name": provider,
                           "environment": "simulator", "secrets": secrets });
        let merchant = owner.post("/api/finance/merchants", body).await.is(201).text("/id");
        let path = format!("/api/finance/merchants/{merchant}/addresses");
        let url = owner.get(&path).await.is(200).text("/hook");
        let hook = json!({ "provider": provider, "url": url, "secret": "hook" });
        till.sim("/_sim/hook", &hook).await;
        // Paid; cancelled; paid without a word; the answer lost; said five times.
        let mut paths = Vec::new();
        for (suffix, state) in [
            ("000", "succeeded"),
            ("001", "failed"),
            ("005", "succeeded"),
            ("006", "succeeded"),
            ("013", "succeeded"),
        ] {
            let body = json!({
                "merchant": merchant, "subscriber": amina, "amount_cents": 5000,
                "msisdn": format!("254733345{suffix}"), "email": format!("payer{suffix}@x.example"),
            });
            let asked = owner.post("/api/payments/intents", body).await.is(201);
            paths.push((format!("/api/payments/intents/{}", asked.text("/id")), state));
        }
        for (path, state) in &paths {
            // Of Stripe nothing is known of a page whose address was lost: only the callback is.
            until(&owner, path, "/state", state).await;
        }
        total += 4 * 5000;
        assert_eq!(owner.balance(&format!("cash:{provider}:{provider}")).await, 4 * 5000);
        let books: Value = reqwest::get(format!("{}/_sim/books", till.sim))
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        assert_eq!(books["balance"]["taken_in"][provider]["cents"], 4 * 5000, "{books}");
        // Somebody who knows the address, and not what signs.
        let forged = till.http.post(&url).body(r#"{"event":"charge.success","data":{}}"#);
        assert_eq!(forged.send().await.expect("an answer").status(), 200);
        let doubts = "/api/payments/doubts?state=open";
        let doubts = until(&owner, doubts, "/items/0/kind", "forged").await;
        let close = format!("/api/payments/doubts/{}/close", doubts.text("/items/0/id"));
        owner.post(&close, json!({ "note": "Ours" })).await.is(200);
    }
    assert_eq!(-owner.balance("wallet").await, total);
    check_the_books(&till.world, &owner).await;
}

#[tokio::test]
async fn what_was_paid_goes_back_by_two_people_and_once() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    merchant(&owner).await;
    let finance = owner.hire("finance").await;
    let amina = owner.subscriber("amina").await;
    let account = owner.get(&format!("/api/subscribers/{amina}")).await.text("/account_no");
    till.pay("254712345600", 7000, &account).await;
    let payments = "/api/payments?state=matched";
    let paid = until(&owner, payments, "/items/0/state", "matched").await.text("/items/0/id");
    let ask = json!({ "payment": paid, "reason": "Paid twice" });
    let asked = owner.post("/api/finance/refunds", ask.clone()).await.is(201);
    assert_eq!(-owner.balance("payout:clearing").await, 7000);
    owner.post("/api/finance/refunds", ask.clone()).await.problem(409, "refunded-already");
    let path = format!("/api/finance/refunds/{}", asked.text("/id"));
    owner.post(&format!("{path}/approve"), Value::Null).await.problem(409, "oneself");
    finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
    until(&owner, &path, "/state", "done").await;
    assert_eq!(owner.balance("cash:mpesa:600000").await, 0);
    assert_eq!(owner.balance("wallet").await, 0);
    let books: Value = reqwest::get(format!("{}/_sim/books", till.sim))
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(books["balance"]["taken_in"]["600000"]["reversed_cents"], 7000);
    check_the_books(&till.world, &owner).await;

    // One that is given up stays the payer's; what is spent does not go back.
    till.pay("254712345601", 3000, &account).await;
    until(&owner, payments, "/items/1/state", "matched").await;
    let second = owner.get(payments).await.text("/items/1/id");
    let ask = json!({ "payment": second, "reason": "Asked for it" });
    let asked = owner.post("/api/finance/refunds", ask.clone()).await.is(201);
    let path = format!("/api/finance/refunds/{}", asked.text("/id"));
    owner.post(&format!("{path}/failed"), Value::Null).await.is(200);
    assert_eq!(-owner.balance("wallet").await, 3000);
    let lines = json!([{ "descr": "Month", "price_cents": 2000 }]);
    let draft = owner.post("/api/invoices", json!({ "subscriber": amina, "lines": lines })).await;
    let invoice = format!("/api/invoices/{}", draft.is(201).text("/id"));
    owner.post(&format!("{invoice}/finalise"), json!({})).await.is(200);
    owner.post(&format!("/api/payments/{second}/allocate"), json!({})).await.is(200);
    owner.post("/api/finance/refunds", ask).await.problem(409, "spent-already");
    // The provider does not ask: what is not there is owed.
    let taken = json!({ "payment": second, "reason": "Reversed there", "taken_back": true });
    let taken = owner.post("/api/finance/refunds", taken).await.is(201);
    assert_eq!((taken.text("/state"), taken.number("/owed_cents")), ("done".to_owned(), 2000));
    assert_eq!(owner.balance("cash:mpesa:600000").await, 0);
    assert_eq!(owner.balance("wallet").await, 0);
    assert_eq!(owner.balance("ar").await, 2000);
    check_the_books(&till.world, &owner).await;
}

#[tokio::test]
async fn a_day_is_compared_with_the_providers() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let merchant = merchant(&owner).await;
    let amina = owner.subscriber("amina").await;
    let account = owner.get(&format!("/api/subscribers/{amina}")).await.text("/account_no");
    till.pay("254712345600", 7000, &account).await;
    until(&owner, "/api/payments?state=matched", "/items/0/state", "matched").await;
    // Staff has written down what is not true, and forgotten nothing.
    let ours = json!({ "provider": "mpesa", "shortcode": "600000", "receipt": "TYPO000001",
                       "subscriber": amina, "amount_cents": 100 });
    owner.post("/api/payments", ours).await.is(201);
    let nairobi = jiff::tz::TimeZone::get("Africa/Nairobi").expect("it is known");
    let today = controller::clock::now().to_zoned(nairobi).date();
    let body = json!({ "merchant": merchant, "day": today });
    let found = owner.post("/api/finance/reconciliations", body).await.is(201);
    assert_eq!(found.text("/source"), "list");
    assert_eq!((found.number("/ours/cents"), found.number("/theirs/cents")), (7100, 7000));
    assert_eq!(found.items("/differences").len(), 1);
    assert_eq!(found.text("/differences/0/kind"), "extra");
    assert_eq!(found.text("/differences/0/receipt"), "TYPO000001");

    let receipt = owner.get("/api/payments?state=matched").await.text("/items/0/receipt");
    let statement = format!(
        "Receipt No.,Details,Paid In,Withdrawn,A/C No.\n{receipt},,70.00,,{account}\n\
         TYPO000001,,2.00,,\nLOST000001,,55.00,,{account}\n\
         LOST000001,Pay Bill Charge,,-0.55,\n"
    );
    let body = json!({ "merchant": merchant, "day": today, "statement": statement,
                       "recover": true });
    let key = [("idempotency-key", "statement-1")];
    let path = "/api/finance/reconciliations";
    let found = owner.ask("POST", path, &key, Some(body.clone())).await.is(201);
    let kinds: Vec<_> = found.items("/differences").iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, ["missing", "amount"]);
    assert_eq!(found.body["differences"][0]["recovered"], true);
    assert_eq!(-owner.balance("wallet").await, 7000 + 100 + 5500);
    assert_eq!(found.number("/fees_cents"), 55);
    assert_eq!(owner.balance("expense:mpesa_fees").await, 55);
    assert_eq!(owner.balance("cash:mpesa:600000").await, 7000 + 100 + 5500 - 55);
    let again = owner.get(&format!("{path}/{}", found.text("/id"))).await.is(200);
    assert_eq!(again.body, found.body);
    // The same statement another time: nothing is missing, and no fee is booked twice.
    let second = owner.post(path, body).await.is(201);
    assert_eq!((second.number("/fees_cents"), second.items("/differences").len()), (0, 1));
    assert_eq!(owner.balance("expense:mpesa_fees").await, 55);
    let wrong = json!({ "merchant": merchant, "day": today, "statement": "a,b\n1,2" });
    let refused = owner.post(path, wrong).await.problem(422, "invalid-fields");
    assert_eq!(refused.text("/errors/0/field"), "statement");
    let old = json!({ "merchant": merchant, "day": "2026-01-01" });
    let refused = owner.post(path, old).await.problem(422, "invalid-fields");
    assert_eq!(refused.text("/errors/0/field"), "day");
    check_the_books(&till.world, &owner).await;
}
