//! The API of a provider with a year behind it: what its staff look at, at a steady rate; vouchers
//! redeemed; payments applied, at the desk and from a provider's callbacks; and how long a start
//! takes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use reqwest::{Method, Request};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    Pace,
    console::Console,
    sheet::{Sheet, float},
    stand::{self, Stand},
};

const READS: &str = "reads at 1,000/s";
const REDEEMED: &str = "vouchers redeemed, POST /api/vouchers/redeem";
const DESK: &str = "payments applied, POST /api/payments";
const CALLBACKS: &str = "payments applied, M-Pesa callbacks";
const START: &str = "start of `serve`";

const LATENCY: (&str, &str) = ("answer after it was due, p50", "ms");
const LATENCY_LATE: (&str, &str) = ("answer after it was due, p99", "ms");
const REFUSED: (&str, &str) = ("questions without an answer", "");
const DONE: (&str, &str) = ("done", "/s");
const PER_CPU: (&str, &str) = ("done per second of server CPU", "/s");
const DATABASE: (&str, &str) = ("share of the database in it", "%");
const ANSWER: (&str, &str) = ("an answer, p99", "ms");
const READY: (&str, &str) = ("ready after", "ms");

const OURS: &str = "controller";

pub(crate) async fn measure(sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
    if pace.wants(START) {
        crate::say(START);
        starts(sheet, pace).await?;
    }
    if ![READS, REDEEMED, DESK, CALLBACKS].iter().any(|case| pace.wants(case)) {
        return Ok(());
    }
    crate::say("a provider with a year behind it");
    let office = Office::open(pace).await?;
    if pace.wants(READS) {
        crate::say(READS);
        office.reads(sheet, pace).await?;
    }
    if pace.wants(REDEEMED) {
        crate::say(REDEEMED);
        office.redeem(sheet, pace).await?;
    }
    if pace.wants(DESK) {
        crate::say(DESK);
        office.take(sheet, pace).await?;
    }
    if pace.wants(CALLBACKS) {
        crate::say(CALLBACKS);
        office.hear(sheet, pace).await?;
    }
    office.verify()
}

/// With a private cluster that has to be made, and with one that is there.
async fn starts(sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
    for _ in 0..pace.pick(1, 5) {
        let mut stand = Stand::new()?;
        for case in ["the first, with a new cluster", "the second"] {
            let ready = stand.start().await?;
            sheet.add(READY, &format!("{START}, {case}"), OURS, ready.as_secs_f64() * 1e3);
            stand.stop()?;
        }
    }
    Ok(())
}

struct Office {
    console: Console,
    pool: PgPool,
    subscribers: Vec<Subscriber>,
    /// Of the plan that vouchers are sold for.
    plan_version: String,
    stand: Stand,
}

struct Subscriber {
    id: String,
    account_no: String,
    username: String,
}

impl Office {
    async fn open(pace: &Pace) -> anyhow::Result<Self> {
        let mut stand = Stand::new()?;
        let (months, people) = pace.pick(("2", "60"), ("12", "500"));
        let seed = ["demo-seed", "--json", "--months", months, "--subscribers", people];
        let seeded: Value = serde_json::from_str(&stand.run(&seed)?)?;
        stand.start().await?;
        let pool = stand.admin()?;
        let login = json!({
            "email": seeded.pointer("/owner/email"), "password": seeded.pointer("/owner/password"),
        });
        let console = Console::log_in(&stand, &login).await?;
        let tenant = seeded.pointer("/tenant/id").and_then(Value::as_str).context("a tenant")?;
        come_online(&pool, tenant, pace.pick(1_000, 10_000)).await?;
        let mut subscribers = Vec::new();
        let mut after = String::new();
        loop {
            let some = console.get(&format!("/api/subscribers?limit=200{after}")).await?;
            for item in some.get("items").and_then(Value::as_array).context("a page")? {
                // Who has left redeems nothing.
                if item.get("status").and_then(Value::as_str) != Some("active") {
                    continue;
                }
                subscribers.push(Subscriber {
                    id: text(item, "/id")?,
                    account_no: text(item, "/account_no")?,
                    username: text(item, "/username")?,
                });
            }
            match some.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let plan_version = text(&seeded, "/plans/0/version")?;
        Ok(Self { console, pool, subscribers, plan_version, stand })
    }

    fn subscriber(&self, n: usize) -> &Subscriber {
        let at = n % self.subscribers.len();
        self.subscribers.get(at).expect("it is below their number")
    }

    /// What a desk asks in turn, most of all for one subscriber and what is about them.
    async fn reads(&self, sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
        let (invoices, payments, tickets) = (
            ids(&self.console, "/api/invoices?limit=200").await?,
            ids(&self.console, "/api/payments?limit=200").await?,
            ids(&self.console, "/api/tickets?limit=200").await?,
        );
        let ask = |n: usize| {
            let subscriber = self.subscriber(n * 7);
            let id = &subscriber.id;
            let pick = |ids: &[String]| ids.get(n % ids.len()).cloned().unwrap_or_default();
            match n % 20 {
                0 => "/api/subscribers?limit=50".to_owned(),
                1 | 2 => format!("/api/subscribers?search={}", subscriber.username),
                3 => format!("/api/subscribers?search={}", &subscriber.account_no),
                4..=6 => format!("/api/subscribers/{id}"),
                7 => format!("/api/subscriptions?subscriber={id}"),
                8 | 9 => format!("/api/invoices?subscriber={id}"),
                10 => "/api/invoices?state=finalised&limit=50".to_owned(),
                11 => format!("/api/invoices/{}", pick(&invoices)),
                12 => format!("/api/payments?subscriber={id}"),
                13 => format!("/api/payments/{}", pick(&payments)),
                14 => "/api/sessions?state=live&limit=50".to_owned(),
                15 => format!("/api/sessions?subscriber={id}"),
                16 => "/api/plans".to_owned(),
                17 => "/api/tickets?limit=50".to_owned(),
                18 => format!("/api/tickets/{}", pick(&tickets)),
                _ => "/api/network/edges".to_owned(),
            }
        };
        let seconds = pace.pick(3, 20);
        let requests = |count: u32| -> anyhow::Result<Vec<Request>> {
            let request = |n| self.console.request(Method::GET, &ask(n), &Value::Null);
            (0..count as usize).map(request).collect()
        };
        // Connections are made, and plans of queries.
        self.console.open_loop(RATE, requests(RATE)?).await?;
        for _ in 0..pace.pick(1, 3) {
            let requests = requests(RATE * seconds)?;
            let count = requests.len() as u64;
            let before = self.stand.cpu()?;
            let (times, refused) = self.console.open_loop(RATE, requests).await?;
            let cpu = self.stand.cpu()?.since(before);
            sheet.add(REFUSED, READS, OURS, float(refused));
            sheet.add(LATENCY, READS, OURS, times.within(500));
            sheet.add(LATENCY_LATE, READS, OURS, times.within(990));
            sheet.add(PER_CPU, READS, OURS, float(count) / cpu.all());
            sheet.add(DATABASE, READS, OURS, 100.0 * cpu.database / cpu.all());
        }
        Ok(())
    }

    async fn redeem(&self, sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
        for _ in 0..pace.pick(1, 3) {
            let count = pace.pick(500, 4_000);
            let batch = json!({
                "plan_version": self.plan_version, "qty": count, "length": 10, "presold": true,
            });
            let issued = self.console.post("/api/vouchers/issue", &batch).await?;
            let codes = issued.get("codes").and_then(Value::as_array).context("codes")?;
            let request = |(n, code): (usize, &Value)| {
                let body = json!({ "code": code, "subscriber": self.subscriber(n).id });
                self.console.request(Method::POST, "/api/vouchers/redeem", &body)
            };
            let requests = codes.iter().enumerate().map(request).collect::<Result<_, _>>()?;
            self.write(sheet, REDEEMED, requests).await?;
            let batch = text(&issued, "/batch/id")?;
            let there = self.console.get(&format!("/api/vouchers/batches/{batch}")).await?;
            let states = there.get("states").cloned().unwrap_or_default();
            let want = json!([{ "state": "active", "count": count }]);
            ensure!(states == want, "the vouchers of the batch are {states}");
        }
        Ok(())
    }

    /// At the desk, in cash.
    async fn take(&self, sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
        for _ in 0..pace.pick(1, 3) {
            let before = self.payments().await?;
            let count = pace.pick(500, 4_000);
            let request = |n: usize| {
                let subscriber = &self.subscriber(n).id;
                let body =
                    json!({ "provider": "cash", "amount_cents": 1_000, "subscriber": subscriber });
                self.console.request(Method::POST, "/api/payments", &body)
            };
            let requests = (0..count).map(request).collect::<Result<_, _>>()?;
            self.write(sheet, DESK, requests).await?;
            let made = self.payments().await? - before;
            ensure!(made == count as u64, "{made} payments of {count} are in the books");
        }
        Ok(())
    }

    /// Somebody pays to the paybill: it is called back, stored, believed, and then applied.
    async fn hear(&self, sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
        let body = json!({
            "provider": "mpesa", "shortcode": "600000", "name": "Paybill",
            "environment": "simulator", "sources": ["127.0.0.1"],
            "secrets": { "key": "k", "secret": "s", "passkey": "bfb279f9aa9bdbcf158e97dd71a467cd" },
        });
        let merchant = self.console.post("/api/finance/merchants", &body).await?;
        let path = format!("/api/finance/merchants/{}/addresses", text(&merchant, "/id")?);
        let address = text(&self.console.get(&path).await?, "/confirmation")?;
        let path = address.find("/cb/").and_then(|at| address.get(at..)).context("an address")?;
        let mut receipts = 0_u64;
        for _ in 0..pace.pick(1, 3) {
            let before = self.payments().await?;
            let count = pace.pick(500, 4_000);
            let request = |n: usize| {
                let body = json!({
                    "TransactionType": "Pay Bill",
                    "TransID": format!("SFB{:07}", receipts + n as u64),
                    "TransTime": "20261128101010", "TransAmount": "10.00",
                    "BusinessShortCode": "600000", "BillRefNumber": self.subscriber(n).account_no,
                    "OrgAccountBalance": "41880264.80", "MSISDN": "254712345678",
                    "FirstName": "AMINA",
                });
                self.console.request(Method::POST, path, &body)
            };
            let requests: Vec<Request> = (0..count).map(request).collect::<Result<_, _>>()?;
            receipts += count as u64;
            let cpu = self.stand.cpu()?;
            let began = Instant::now();
            let (_, times) = self.console.closed_loop(AT_ONCE, requests).await?;
            while self.payments().await? - before < count as u64 {
                ensure!(began.elapsed() < APPLIED_MAX, "some callbacks are not applied");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let took = began.elapsed();
            self.report(sheet, CALLBACKS, count as u64, took, cpu)?;
            sheet.add(ANSWER, CALLBACKS, OURS, times.within(990));
        }
        Ok(())
    }

    /// By many at once.
    async fn write(
        &self,
        sheet: &mut Sheet,
        case: &'static str,
        requests: Vec<Request>,
    ) -> anyhow::Result<()> {
        let count = requests.len() as u64;
        let cpu = self.stand.cpu()?;
        let (took, times) = self.console.closed_loop(AT_ONCE, requests).await?;
        self.report(sheet, case, count, took, cpu)?;
        sheet.add(ANSWER, case, OURS, times.within(990));
        Ok(())
    }

    fn report(
        &self,
        sheet: &mut Sheet,
        case: &str,
        count: u64,
        took: Duration,
        before: stand::Cpu,
    ) -> anyhow::Result<()> {
        let cpu = self.stand.cpu()?.since(before);
        sheet.add(DONE, case, OURS, float(count) / took.as_secs_f64());
        sheet.add(PER_CPU, case, OURS, float(count) / cpu.all());
        sheet.add(DATABASE, case, OURS, 100.0 * cpu.database / cpu.all());
        Ok(())
    }

    async fn payments(&self) -> anyhow::Result<u64> {
        Ok(stand::ask(&self.pool, "SELECT count(*) FROM payment").await?.parse()?)
    }

    /// Reads all books again.
    fn verify(&self) -> anyhow::Result<()> {
        crate::say("the books are read again");
        self.stand.run(&["verify"]).map(drop)
    }
}

/// Some of them have devices.
async fn come_online(pool: &PgPool, tenant: &str, sessions: u32) -> anyhow::Result<()> {
    let tenant = tenant.split_once('_').context("an id")?.1;
    let sql = format!(
        "INSERT INTO edge (tenant_id, id, name, secret_hash, created_at)
           VALUES ('{tenant}', '{tenant}', 'bench', sha256('bench'), now());
         INSERT INTO session (tenant_id, id, edge_id, subscriber_id, username, started_at,
                              down_bytes, up_bytes, down_packets, up_packets, updated_at)
           SELECT '{tenant}', gen_random_uuid(), '{tenant}', s.id, s.username, now(),
                  1000 * i, 100 * i, i, i, now()
             FROM generate_series(1, {sessions}) AS i
             JOIN (SELECT id, username, row_number() OVER () AS n,
                          count(*) OVER () AS of FROM subscriber
                    WHERE tenant_id = '{tenant}') AS s ON s.n = i % s.of + 1;
         ANALYZE"
    );
    stand::run(pool, &sql).await
}

async fn ids(console: &Console, path: &str) -> anyhow::Result<Vec<String>> {
    let page = console.get(path).await?;
    let items = page.get("items").and_then(Value::as_array).context("a page")?;
    let ids =
        items.iter().map(|item| text(item, "/id")).collect::<anyhow::Result<BTreeSet<_>>>()?;
    ensure!(!ids.is_empty(), "{path} is empty");
    Ok(ids.into_iter().collect())
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("{pointer} of {value}"))?.to_owned())
}

const RATE: u32 = 1_000;
const AT_ONCE: usize = 32;
const APPLIED_MAX: Duration = Duration::from_mins(2);
