//! An office in which it is a time of the test's own: what is due is done when the test says so.

use controller::jobs::Ran;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::id::TenantId;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::world::{Staff, World};

/// A world in which it is a time of the test's own.
pub(crate) struct Office<'w> {
    pub(crate) world: &'w World,
    pub(crate) owner: Staff<'w>,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn home(price: i64) -> Value {
    json!({
        "access": "pppoe", "billing": "prepaid", "price_cents": price, "validity_months": 1,
        "down_kbps": 10_000, "up_kbps": 5_000, "grace_seconds": 172_800,
    })
}

impl<'w> Office<'w> {
    pub(crate) async fn new(world: &'w World, now: &str) -> Self {
        let owner = world.owner().await;
        let tenant = sqlx::query_scalar("SELECT tenant_id FROM tenant WHERE slug <> 'platform'");
        let tenant: Uuid = tenant.fetch_one(&world.admin).await.expect("a tenant");
        Self { world, owner, tenant: TenantId::from_uuid(tenant), now: at(now) }
    }

    pub(crate) async fn plan(&self, code: &str, terms: Value) -> String {
        let body = json!({ "code": code, "name": format!("Plan {code}"), "terms": terms });
        self.owner.post("/api/plans", body).await.is(201).text("/latest/id")
    }

    /// A subscriber with a subscription that waits to be paid.
    pub(crate) async fn subscription(
        &self,
        name: &str,
        version: &str,
        auto_renew: bool,
    ) -> (String, String) {
        let subscriber = self.owner.subscriber(name).await;
        let body = json!({
            "subscriber": subscriber, "plan_version": version, "auto_renew": auto_renew,
        });
        let id = self.owner.post("/api/subscriptions", body).await.is(201).text("/id");
        (subscriber, id)
    }

    /// Money comes in now.
    pub(crate) async fn pay(&self, subscriber: &str, cents: i64) {
        let subscriber = uuid_of(subscriber);
        let sql = format!(
            "BEGIN; SET LOCAL search_path = kennet; SET LOCAL ROLE kennet_app; \
             SET LOCAL kennet.tenant_id = '{}'; SET LOCAL kennet.scope = 'tenant'; \
             SELECT apply_payments(ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], \
               ARRAY['mpesa'], ARRAY['{}'], ARRAY['600000'], ARRAY['{subscriber}'::uuid], \
               ARRAY[NULL::uuid], ARRAY[{cents}::bigint], ARRAY['{now}'::timestamptz], \
               ARRAY['{now}'::timestamptz]); COMMIT",
            self.tenant.as_uuid(),
            Uuid::now_v7().simple(),
            now = self.now,
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.world.admin).await.expect("a payment");
    }

    /// Pays what is owed, from the wallet, first what is due first.
    pub(crate) async fn allocate(&self) {
        let payments = self.owner.get("/api/payments").await.is(200);
        for payment in payments.items("/items") {
            let id = payment.get("id").and_then(Value::as_str).expect("an id");
            let reply = self.owner.post(&format!("/api/payments/{id}/allocate"), json!({})).await;
            assert!(reply.status == 200 || reply.status == 409, "{}", reply.body);
        }
    }

    /// Time goes on, and what is due on the way is done.
    pub(crate) async fn go(&mut self, to: &str) -> Ran {
        let to = at(to);
        let step = SignedDuration::from_mins(5);
        let ran = self.world.app.jobs().run_between(self.now, to, step).await.expect("jobs");
        assert_eq!(ran.failed, 0, "{ran:?}");
        self.now = to;
        ran
    }

    pub(crate) async fn show(&self, id: &str) -> Value {
        self.owner.get(&format!("/api/subscriptions/{id}")).await.is(200).body
    }

    pub(crate) async fn state(&self, id: &str) -> String {
        let one = self.show(id).await;
        let walled = if one.get("walled") == Some(&Value::Bool(true)) { " walled" } else { "" };
        format!("{}{walled}", one.get("state").and_then(Value::as_str).expect("a state"))
    }

    pub(crate) async fn periods(&self, id: &str) -> Vec<(String, String)> {
        let all = self.owner.get(&format!("/api/subscriptions/{id}/periods")).await.is(200);
        let text = |period: &Value, key: &str| {
            period.get(key).and_then(Value::as_str).expect("a text").to_owned()
        };
        let all = all.items("").to_vec();
        all.iter().map(|period| (text(period, "start"), text(period, "end"))).collect()
    }

    pub(crate) async fn run(&self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.world.admin).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn sql(&self, query: &str) -> String {
        let query = format!("SELECT coalesce(({query})::text, '-')");
        let row = sqlx::query(AssertSqlSafe(query.clone())).fetch_one(&self.world.admin).await;
        row.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
    }

    /// Everything in the books and in the lives of subscriptions, without the ids that are made anew
    /// each time.
    pub(crate) async fn digest(&self) -> String {
        self.sql(
            "SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
               SELECT concat_ws(' ', 'e', e.kind, e.at, e.total_cents, a.code, p.amount_cents)
                 FROM ledger_entry e
                 JOIN ledger_posting p ON p.entry_id = e.id
                 JOIN (SELECT id, split_part(code, ':', 1) || coalesce(
                         (SELECT username FROM subscriber
                           WHERE id::text = split_part(code, ':', 2)), code) AS code
                         FROM ledger_account) a ON a.id = p.account_id
               UNION ALL
               SELECT concat_ws(' ', 'p', s.username, p.during, p.net_cents)
                 FROM subscription_period p
                 JOIN subscription x ON x.id = p.subscription_id
                 JOIN subscriber s ON s.id = x.subscriber_id
               UNION ALL
               SELECT concat_ws(' ', 's', s.username, x.state, x.walled, x.term_end, x.due_at)
                 FROM subscription x JOIN subscriber s ON s.id = x.subscriber_id
               UNION ALL
               SELECT concat_ws(' ', 'n', s.username, n.step, n.about, n.cents)
                 FROM subscription_notice n
                 JOIN subscription x ON x.id = n.subscription_id
                 JOIN subscriber s ON s.id = x.subscriber_id
             ) AS lines (line)",
        )
        .await
    }

    /// What is owed for terms that are not over is what is still to be earned, and no account of
    /// somebody is off.
    pub(crate) async fn the_books_are_right(&self) {
        assert_eq!(self.sql("SELECT sum(amount_cents) FROM ledger_posting").await, "0");
        let open = self
            .sql(
                "SELECT coalesce(sum(d.cents - earned(d.cents, lower(d.earning), upper(d.earning),
                          b.recognised_until)), 0) FROM deferral d JOIN books b USING (tenant_id)",
            )
            .await;
        let deferred = self
            .sql(
                "SELECT coalesce(-sum(p.amount_cents), 0) FROM ledger_posting p
                   JOIN ledger_account a ON a.id = p.account_id
                  WHERE a.code = 'deferred:subscription'",
            )
            .await;
        assert_eq!(deferred, open, "deferred, and what is to be earned");
        let unpaid = self
            .sql(
                "SELECT count(*) FROM (
                   SELECT i.subscriber_id, sum(i.total_cents - i.paid_cents - i.credited_cents) AS open
                     FROM invoice i WHERE i.state = 'finalised' GROUP BY 1) AS i
                   LEFT JOIN ledger_account a ON a.code = 'ar:' || i.subscriber_id
                  WHERE i.open <> coalesce(a.balance_cents, 0)",
            )
            .await;
        assert_eq!(unpaid, "0", "receivables that are not the open invoices");
    }
}

pub(crate) fn uuid_of(id: &str) -> Uuid {
    let (_, uuid) = id.split_once('_').expect("an id");
    Uuid::parse_str(uuid).expect("an id")
}

pub(crate) fn days(periods: &[(String, String)]) -> Vec<String> {
    periods.iter().map(|(start, end)| format!("{start} {end}")).collect()
}
