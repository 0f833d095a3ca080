//! A day of payments through a provider that misbehaves: the real controller and the real
//! simulator, two processes, and a kill in between. At the end both books are the same.

#![expect(clippy::indexing_slicing, reason = "JSON that lacks something has null there")]
#![expect(clippy::print_stdout, reason = "it says what it did, and that it did less")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use controller::paysim::Behaviour;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::task::JoinSet;

use crate::{
    money::check_the_books,
    world::{Reply, Staff, World},
};

/// Killed when it is dropped.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulator, and where it is.
pub(crate) fn simulator(seed: u64, pace: u32) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kennet-paysim"))
        .args(["--listen", "127.0.0.1:0", "--seed", &seed.to_string()])
        .args(["--pace", &pace.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the machine lets it");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says where it is");
    let url = line.trim().rsplit(' ').next().expect("the last word").to_owned();
    (Process(child), url)
}

pub(crate) struct Controller {
    pub(crate) listen: String,
    pub(crate) mqtt: String,
    pub(crate) folder: PathBuf,
    pub(crate) database: String,
    pub(crate) paysim: String,
    pub(crate) pace: u32,
}

impl Controller {
    pub(crate) fn start(&self) -> Process {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("the machine lets it");
        let child = Command::new(env!("CARGO_BIN_EXE_kennet-controller"))
            .args(["serve", "--http-listen", &self.listen, "--mqtt-listen", &self.mqtt])
            .args(["--database-url", &self.database, "--paysim-url", &self.paysim])
            .args(["--paysim-pace", &self.pace.to_string(), "--data-dir"])
            .arg(self.folder.join("data"))
            .env("RUST_LOG", env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the machine lets it");
        Process(child)
    }

    pub(crate) async fn ready(&self) {
        let url = format!("http://{}/readyz", self.listen);
        for _ in 0..1500 {
            if reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not ready: {}", log_of(&self.folder));
    }
}

fn log_of(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(40));
    last.copied().collect::<Vec<_>>().join("\n")
}

pub(crate) fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the machine lets it");
    listener.local_addr().expect("it is bound").to_string()
}

/// Who pays how much to whom, and how that goes.
#[derive(Clone, Debug)]
struct Payer {
    n: usize,
    subscriber: usize,
    msisdn: String,
    cents: i64,
    /// A prompt on the phone; otherwise on their own to the paybill.
    prompted: bool,
}

impl Payer {
    fn nth(n: usize, subscribers: usize) -> Self {
        let round = n / Behaviour::ALL.len();
        let at = n % Behaviour::ALL.len();
        Self {
            n,
            subscriber: n % subscribers,
            msisdn: format!("2547{round:05}{at:03}"),
            cents: i64::try_from(1 + n * 7 % 97).expect("small") * 100,
            prompted: round % 3 != 2,
        }
    }
}

/// How many payments; all 10,000 by `KENNET_PAYMENTS=10000`.
fn count() -> usize {
    let Ok(text) = env::var("KENNET_PAYMENTS") else {
        println!(
            "{COUNT} payments, so that it ends within a minute on two busy cores; \
             KENNET_PAYMENTS=10000, or `cargo xtask bench payments`, is the whole"
        );
        return COUNT;
    };
    text.parse().expect("KENNET_PAYMENTS is a number")
}

const COUNT: usize = 800;
const SUBSCRIBERS: usize = 40;
/// Ten minutes are two seconds.
const PACE: u32 = 300;
const AT_ONCE: usize = 12;
/// After the last was asked for: a machine with other things to do is minutes behind by then.
const CONVERGED_MAX: Duration = Duration::from_mins(10);

struct Rehearsal {
    world: World,
    http: reqwest::Client,
    api: String,
    sim: String,
    token: String,
    merchant: String,
    subscribers: Vec<(String, String)>,
}

impl Rehearsal {
    async fn post(&self, path: &str, key: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{}{path}", self.api)).bearer_auth(&self.token);
        let response = request.header("idempotency-key", key).json(body).send().await.ok()?;
        let status = response.status();
        let body: Value = response.json().await.ok()?;
        // The database or the controller is away for a moment.
        if status.is_server_error() {
            return None;
        }
        assert!(status.is_success(), "{status} {body}");
        Some(body)
    }

    /// As a client does that wants to be sure: again, with the same key.
    async fn post_surely(&self, path: &str, key: &str, body: &Value) -> Value {
        for _ in 0..600 {
            if let Some(answer) = self.post(path, key, body).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no answer to {path}");
    }

    async fn sim(&self, path: &str, body: &Value) -> Value {
        let response = self.http.post(format!("{}{path}", self.sim)).json(body).send().await;
        response.expect("the simulator answers").json().await.unwrap_or(Value::Null)
    }

    async fn books(&self, all: bool) -> Value {
        let url = format!("{}/_sim/books?all={all}", self.sim);
        reqwest::get(url).await.expect("an answer").json().await.expect("JSON")
    }

    async fn pay(&self, payer: &Payer) {
        let (id, account) = self.subscribers.get(payer.subscriber).expect("a subscriber");
        if payer.prompted {
            let body = json!({
                "merchant": self.merchant, "subscriber": id, "amount_cents": payer.cents,
                "msisdn": payer.msisdn,
            });
            let key = format!("rehearsal-{}", payer.n);
            self.post_surely("/api/payments/intents", &key, &body).await;
            return;
        }
        // As people type; some type nothing that helps.
        let reference = match payer.n % 8 {
            0 => "rent".to_owned(),
            1 => {
                let (head, tail) = account.split_at(3);
                format!("{head} {tail}")
            }
            2 => account.replace('0', "o"),
            _ => account.clone(),
        };
        let body = json!({
            "shortcode": "600000", "msisdn": payer.msisdn, "cents": payer.cents,
            "reference": reference,
        });
        self.sim("/_sim/pay", &body).await;
    }

    /// What we have, by receipt.
    async fn ours(&self) -> BTreeMap<String, i64> {
        let rows =
            sqlx::query("SELECT receipt, amount_cents FROM payment WHERE provider = 'mpesa'")
                .fetch_all(&self.world.admin)
                .await
                .expect("payments");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn number(&self, query: &'static str) -> i64 {
        self.world.count(query).await
    }
}

async fn set_up(api: String, sim: String, mut world: World) -> Rehearsal {
    world.url.clone_from(&api);
    let reply = world.register("First", "owner@first.example").await.is(201);
    let token = reply.text("/token");
    let owner = world.staff(&token);
    let body = json!({
        "provider": "mpesa", "shortcode": "600000", "name": "Paybill",
        "environment": "simulator", "sources": ["127.0.0.1"],
        "secrets": { "key": "k", "secret": "s", "passkey": "bfb279f9aa9bdbcf158e97dd71a467cd" },
    });
    let merchant = owner.post("/api/finance/merchants", body).await.is(201).text("/id");
    let path = format!("/api/finance/merchants/{merchant}/register");
    owner.post(&path, Value::Null).await.is(200);
    let mut subscribers = Vec::new();
    for n in 0..SUBSCRIBERS {
        let body = json!({ "username": format!("s{n}"), "full_name": "A Name" });
        let made = owner.post("/api/subscribers", body).await.is(201);
        subscribers.push((made.text("/id"), made.text("/account_no")));
    }
    // Some owe something, so that there is something to pay.
    for (id, _) in subscribers.iter().step_by(3) {
        let line = json!([{ "descr": "Installation", "price_cents": 150_000 }]);
        let body = json!({ "subscriber": id, "lines": line });
        let draft = owner.post("/api/invoices", body).await.is(201).text("/id");
        owner.post(&format!("/api/invoices/{draft}/finalise"), json!({})).await.is(200);
    }
    let http = reqwest::Client::new();
    Rehearsal { world, http, api, sim, token, merchant, subscribers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_day_of_misbehaviour_our_books_are_the_providers() {
    let started = Instant::now();
    let count = count();
    let world = World::new().await;
    let database = world.db.app.connect_options().to_url_lossy().to_string();
    let folder = tempfile::tempdir().expect("the machine lets it");
    let (_simulator, sim) = simulator(7, PACE);
    let controller = Controller {
        listen: free_port(),
        mqtt: free_port(),
        folder: folder.path().to_owned(),
        database,
        paysim: sim.clone(),
        pace: PACE,
    };
    let mut process = controller.start();
    controller.ready().await;
    let rehearsal = Arc::new(set_up(format!("http://{}", controller.listen), sim, world).await);
    println!("ready after {:?}", started.elapsed());

    let paying = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (rehearsal, next) = (Arc::clone(&rehearsal), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= count {
                    return;
                }
                rehearsal.pay(&Payer::nth(n, SUBSCRIBERS)).await;
            }
        });
    }
    let until = |part: usize| {
        let next = Arc::clone(&next);
        async move {
            while next.load(Ordering::SeqCst) < count * part / 4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    // The provider is away for three minutes.
    until(1).await;
    rehearsal.sim("/_sim/outage?seconds=180", &Value::Null).await;
    // The controller is killed, and what is said to it meanwhile is lost.
    until(2).await;
    drop(process);
    tokio::time::sleep(Duration::from_millis(300)).await;
    process = controller.start();
    controller.ready().await;
    until(3).await;
    forge(&rehearsal).await;
    while let Some(done) = tasks.join_next().await {
        done.expect("a payer is done");
    }
    let asked = paying.elapsed();
    println!("{count} payments asked for in {asked:?}");

    let theirs = converge(&rehearsal, &folder).await;
    let converged = paying.elapsed();
    verify(&rehearsal, &theirs).await;
    let events = "SELECT count(*) FROM inbox_event";
    let doubts = "SELECT count(*) FROM payment_doubt";
    let measured = json!({
        "asked_for": count, "paid": theirs.len(), "cents": theirs.values().sum::<i64>(),
        "callbacks": rehearsal.number(events).await, "doubts": rehearsal.number(doubts).await,
        "seconds_asking": asked.as_secs_f64(), "seconds_until_equal": converged.as_secs_f64(),
    });
    println!("{measured}");
    drop(process);
}

/// Waits until everything was said, and our books have what theirs have.
async fn converge(rehearsal: &Rehearsal, folder: &tempfile::TempDir) -> BTreeMap<String, i64> {
    let started = Instant::now();
    loop {
        // Their list is long, so it is read when nothing is open any more.
        let books = rehearsal.books(false).await;
        let quiet = books["under_way"] == 0
            && rehearsal.number("SELECT count(*) FROM inbox_event WHERE state = 'new'").await == 0
            // Nothing that a provider would still say something about.
            && rehearsal.number("SELECT count(*) FROM payment_intent WHERE state = 'created'
                OR (claimed_receipt IS NOT NULL AND state <> 'succeeded')").await == 0;
        let late = started.elapsed() > CONVERGED_MAX;
        if !quiet && !late {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        let books = rehearsal.books(true).await;
        let rows = books["taken_in"].as_array().expect("rows");
        let row = |row: &Value| {
            let receipt = row["receipt"].as_str().expect("a receipt").to_owned();
            (receipt, row["cents"].as_i64().expect("cents"))
        };
        let theirs: BTreeMap<_, _> = rows.iter().map(row).collect();
        assert_eq!(theirs.len(), rows.len(), "the provider has no receipt twice");
        let ours = rehearsal.ours().await;
        if quiet && ours == theirs {
            return theirs;
        }
        if late {
            let lost: Vec<_> = theirs.iter().filter(|(key, _)| !ours.contains_key(*key)).collect();
            let made: Vec<_> = ours.iter().filter(|(key, _)| !theirs.contains_key(*key)).collect();
            let open = sqlx::query(
                "SELECT concat_ws(' ', id, state, code, checkout_id, claimed_receipt,
                        next_check_at, checks)
                   FROM payment_intent WHERE state = 'created'
                     OR (claimed_receipt IS NOT NULL AND state <> 'succeeded') LIMIT 5",
            )
            .fetch_all(&rehearsal.world.admin)
            .await
            .expect("intents");
            let open: Vec<String> = open.iter().map(|row| row.get(0)).collect();
            panic!(
                "the books differ: {} of theirs are not ours {:?}, {} of ours are not theirs {:?}; \
                 under way {}, open {open:?}\n{}",
                lost.len(),
                lost.first(),
                made.len(),
                made.first(),
                books["under_way"],
                log_of(folder.path())
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What both books say of everything that is made of payments.
async fn verify(rehearsal: &Rehearsal, theirs: &BTreeMap<String, i64>) {
    let owner = rehearsal.world.staff(&rehearsal.token);
    let total: i64 = theirs.values().sum();
    // The trial balance is nothing, and the account is the provider's.
    assert_eq!(owner.balance("cash:mpesa:600000").await, total);
    check_the_books(&rehearsal.world, &owner).await;

    // Each payer's money is theirs: as the provider says who had which reference.
    let mut owed: HashMap<&str, i64> = HashMap::new();
    let mut nobodys = 0;
    let references = references(rehearsal).await;
    let books = rehearsal.books(true).await;
    for row in books["taken_in"].as_array().expect("rows") {
        let typed = row["reference"].as_str().expect("a reference");
        let kept: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
        let kept = kept.replace('o', "0");
        let account = |(_, account): &&(String, String)| *account == kept;
        let subscriber = rehearsal.subscribers.iter().find(account).map(|(id, _)| id.as_str());
        match subscriber.or_else(|| references.get(typed).map(String::as_str)) {
            Some(id) => *owed.entry(id).or_default() += row["cents"].as_i64().expect("cents"),
            None => nobodys += row["cents"].as_i64().expect("cents"),
        }
    }
    let rows = sqlx::query(
        "SELECT 'sub_' || replace(subscriber_id::text, '-', ''), sum(amount_cents)::bigint
           FROM payment WHERE subscriber_id IS NOT NULL GROUP BY 1",
    )
    .fetch_all(&rehearsal.world.admin)
    .await
    .expect("sums");
    let has: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (id, cents) in &owed {
        assert_eq!(has.get(*id), Some(cents), "{id}");
    }
    assert_eq!(has.len(), owed.len());
    assert_eq!(-owner.balance("suspense:unmatched").await, nobodys);

    // What was forged was seen, and is nobody's money.
    let kinds = kinds_of_doubts(&owner).await;
    for kind in ["forged", "foreign", "contradiction", "amount"] {
        assert!(kinds.contains(kind), "no doubt is {kind}: {kinds:?}");
    }
    let intents = "SELECT count(*) FROM payment_intent WHERE state = 'failed' AND EXISTS (
        SELECT FROM payment p WHERE p.intent_id = payment_intent.id)";
    assert_eq!(rehearsal.number(intents).await, 0, "who has paid has not failed");
    let twice = "SELECT count(*) - count(DISTINCT receipt) FROM payment";
    assert_eq!(rehearsal.number(twice).await, 0);
}

/// Of all doubts that are open, page by page.
async fn kinds_of_doubts(owner: &Staff<'_>) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/payments/doubts?state=open&limit=500{after}");
        let page = owner.get(&path).await.is(200);
        kinds.extend(
            (0..page.items("/items").len()).map(|n| page.text(&format!("/items/{n}/kind"))),
        );
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return kinds,
        }
    }
}

/// Which subscriber was asked with which reference.
async fn references(rehearsal: &Rehearsal) -> HashMap<String, String> {
    let rows = sqlx::query(
        "SELECT reference, 'sub_' || replace(subscriber_id::text, '-', '') FROM payment_intent",
    )
    .fetch_all(&rehearsal.world.admin)
    .await
    .expect("references");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Who finds the database busy comes back, as the answer says.
async fn patiently(owner: &Staff<'_>, path: &str) -> Reply {
    for _ in 0..30 {
        let reply = owner.get(path).await;
        if reply.status != 503 {
            return reply.is(200);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{path} is busy for half a minute");
}

/// Somebody who knows more or less of our addresses says that money has come in.
async fn forge(rehearsal: &Rehearsal) {
    let owner = rehearsal.world.staff(&rehearsal.token);
    let path = format!("/api/finance/merchants/{}/addresses", rehearsal.merchant);
    let at = patiently(&owner, &path).await;
    let confirmation = at.text("/confirmation");
    let forge = |url: String, body: Value| {
        let body = json!({ "url": url, "body": body, "from": "127.0.0.2" });
        async move { rehearsal.sim("/_sim/forge", &body).await }
    };
    let paid = json!({
        "TransID": "FORGED0001", "TransTime": "20261128120000", "TransAmount": "5000.00",
        "BusinessShortCode": "600000",
        "BillRefNumber": rehearsal.subscribers.first().map(|(_, account)| account),
    });
    // A wrong token is no address; the right one from elsewhere is not believed.
    let (head, _) = confirmation.rsplit_once('/').expect("a token");
    let answer = forge(format!("{head}/{}", "0".repeat(64)), paid.clone()).await;
    assert_eq!(answer["answer"]["type"], "not-found");
    let answer = forge(confirmation.clone(), paid).await;
    assert_eq!(answer["answer"]["ResultCode"], 0);

    // The right token, an intent that there is, and a mark that was guessed.
    let intents = patiently(&owner, "/api/payments/intents?state=failed&limit=1").await;
    let intent = intents.text("/items/0/id").replace("int_", "");
    let stk = confirmation.replace("/c2b/", "/stk/");
    let said = |checkout: &str, receipt: &str| {
        json!({ "Body": { "stkCallback": {
            "CheckoutRequestID": checkout, "ResultCode": 0, "CallbackMetadata": { "Item": [
                { "Name": "Amount", "Value": 5000 },
                { "Name": "MpesaReceiptNumber", "Value": receipt },
            ] } } } })
    };
    forge(format!("{stk}/{intent}{}", "0".repeat(32)), said("ws_CO_x", "FORGED0002")).await;

    // Somebody who has seen the whole address, of a prompt that nobody has paid.
    let row = sqlx::query(
        "SELECT checkout_id, amount_cents / 100 FROM payment_intent
          WHERE state = 'failed' AND code = '1032' LIMIT 1",
    )
    .fetch_one(&rehearsal.world.admin)
    .await
    .expect("somebody cancelled");
    let checkout: String = row.get(0);
    let shillings: i64 = row.get(1);
    let books = rehearsal.http.get(format!("{}/_sim/prompt?checkout={checkout}", rehearsal.sim));
    let prompt: Value = books.send().await.expect("it").json().await.expect("JSON");
    let mut body = said(&checkout, "FORGED0003");
    body["Body"]["stkCallback"]["CallbackMetadata"]["Item"][0]["Value"] = json!(shillings);
    forge(prompt["callback"].as_str().expect("an address").to_owned(), body).await;
}
