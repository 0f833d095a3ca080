//! What is bought and given, several at once: what comes out of which, what edges are told of it, and
//! that a sum they are told stays the same as long as nothing is used up.

use shared::{
    id::{EdgeId, SessionId, SubscriberId},
    wire::latest::{ack::Verdict, desired::Subscriber, journal, lease::Question},
};
use uuid::Uuid;

use crate::{
    edge::{Edge, Journal, session},
    leases::Asks,
    world::{Kind, World},
};

/// Nobody who has a subscription.
async fn somebody(world: &World) -> SubscriberId {
    let (amina, _) = world.add_subscriber(world.tenant, "amina").await;
    world.run("UPDATE subscription SET state = 'cancelled'".to_owned()).await;
    amina
}

/// Of a plan of its own with so many Mbit/s.
struct Gives {
    mbps: u32,
    from: &'static str,
    until: &'static str,
    /// Bytes and seconds, or NULL.
    bytes: &'static str,
    seconds: &'static str,
}

impl Gives {
    /// By a voucher; says which.
    async fn to(&self, world: &World, who: SubscriberId) -> Uuid {
        let Self { mbps, from, until, bytes, seconds } = self;
        let (tenant, id, who) = (world.tenant.as_uuid(), Uuid::now_v7(), who.as_uuid());
        world
            .run(format!(
                "INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
                     price_cents, validity_months, data_bytes, online_seconds, down_kbps, up_kbps,
                     anchor, effective_from)
                   SELECT '{tenant}', '{id}', plan_id, 1 + max(version), 'hotspot', 'prepaid',
                          'hybrid', 0, 1, 1, 1, {mbps} * 1000, 1000, 'purchase', now()
                     FROM plan_version GROUP BY plan_id;
                 INSERT INTO voucher_batch (tenant_id, id, plan_version_id, qty, face_cents,
                     net_cents, excise_cents, vat_cents, code_key_id, created_at)
                   VALUES ('{tenant}', '{id}', '{id}', 1, 0, 0, 0, 0, 1, now());
                 INSERT INTO voucher_sale (tenant_id, id, batch_id, qty, face_cents, at)
                   VALUES ('{tenant}', '{id}', '{id}', 1, 0, now());
                 INSERT INTO voucher (tenant_id, id, batch_id, serial, code_hash, net_cents)
                   VALUES ('{tenant}', '{id}', '{id}', 1, decode(md5('{id}') || md5('{id}'), 'hex'),
                           0);
                 UPDATE voucher SET state = 'sold', sale_id = '{id}' WHERE id = '{id}';
                 UPDATE voucher SET state = 'active', redeemed_at = now(), subscriber_id = '{who}'
                  WHERE id = '{id}';
                 INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                     plan_version_id, valid, bytes_granted, seconds_granted)
                   VALUES ('{tenant}', '{id}', '{who}', 'voucher', '{id}', '{id}',
                           tstzrange(now() + '{from}', now() + '{until}'), {bytes}, {seconds})"
            ))
            .await;
        id
    }
}

const DAY: Gives =
    Gives { mbps: 3, from: "-1 hour", until: "23 hours", bytes: "1000", seconds: "NULL" };
const WEEK: Gives = Gives { mbps: 7, from: "0", until: "7 days", bytes: "500", seconds: "NULL" };

async fn told(world: &World) -> Subscriber {
    let (_, desired) =
        world.office.desk.of(world.tenant, world.edge).await.expect("rows").expect("an edge");
    let [one] = desired.subscribers.as_slice() else { panic!("{desired:?}") };
    one.clone()
}

async fn used(world: &World, entitlement: Uuid) -> String {
    let columns = "bytes_consumed, seconds_consumed, bytes_over, bytes_leased";
    world
        .ask(&format!(
            "SELECT concat_ws(' ', {columns}) FROM entitlement WHERE id = '{entitlement}'"
        ))
        .await
}

async fn state(world: &World, voucher: Uuid) -> String {
    world.ask(&format!("SELECT state FROM voucher WHERE id = '{voucher}'")).await
}

/// An edge with a journal.
struct Reports {
    edge: Edge,
    journal: Journal,
    sent: u64,
}

impl Reports {
    async fn new(world: &World) -> Self {
        Self { edge: Edge::connect(world, 1).await, journal: Journal::new(), sent: 1 }
    }

    fn begin(&mut self, who: SubscriberId) -> SessionId {
        let session = session();
        self.journal.start(session, |started| started.subscriber = who.to_vec());
        session
    }

    /// And once more, as after a lost answer.
    async fn send(&mut self) {
        let head = self.journal.head();
        for _ in 0..2 {
            let batch: journal::Batch = self.journal.batch(self.sent, head);
            assert_eq!(self.edge.report(&batch).await, (head, Verdict::Committed));
        }
        self.sent = head;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_first_is_used_first_and_what_is_told_is_all_of_it() {
    let world = World::new(Kind::Embedded).await;
    let amina = somebody(&world).await;
    let mut reports = Reports::new(&world).await;
    let (week, day) = (WEEK.to(&world, amina).await, DAY.to(&world, amina).await);
    let first = told(&world).await;
    assert_eq!((first.data_bytes, first.down_kbps.get()), (Some(1500), 3000));
    let began = "floor(extract(epoch FROM lower(valid)) * 1000)::bigint";
    let began = format!("SELECT {began} FROM entitlement WHERE id = '{day}'");
    assert_eq!(first.counted_from_ms.map(|ms| ms.to_string()), Some(world.ask(&began).await));
    let until =
        "SELECT floor(extract(epoch FROM max(upper(valid))) * 1000)::bigint FROM entitlement";
    assert_eq!(first.until_ms.map(|ms| ms.to_string()), Some(world.ask(until).await));

    let session = reports.begin(amina);
    reports.journal.usage(session, 900, 50);
    reports.send().await;
    assert_eq!(used(&world, day).await, "950 0 0 0");
    assert_eq!(told(&world).await, first, "what is used changes nothing that is told");

    reports.journal.usage(session, 1000, 100);
    reports.send().await;
    assert_eq!(
        (&*used(&world, day).await, &*used(&world, week).await),
        ("1000 0 0 0", "100 0 0 0")
    );
    assert_eq!((&*state(&world, day).await, &*state(&world, week).await), ("exhausted", "active"));
    let second = told(&world).await;
    assert_eq!((second.data_bytes, second.down_kbps.get()), (Some(1500), 7000));
    assert_eq!(second.counted_from_ms, first.counted_from_ms);

    // Behind the wall some goes on: what is bought then is not less for it.
    reports.journal.stop(session, 1500, 170);
    reports.send().await;
    assert_eq!(used(&world, week).await, "500 0 170 0");
    assert_eq!(told(&world).await.data_bytes, Some(1500));
    let last = WEEK.to(&world, amina).await;
    let third = told(&world).await;
    assert_eq!((third.data_bytes, third.counted_from_ms), (Some(2170), first.counted_from_ms));
    assert_eq!((third.down_kbps.get(), &*used(&world, last).await), (7000, "0 0 0 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_counted_once_for_all_devices_and_what_is_used_up_makes_room() {
    let world = World::new(Kind::Embedded).await;
    let amina = somebody(&world).await;
    let hour = Gives { seconds: "3600", bytes: "NULL", from: "-3 hours", ..DAY };
    let day = hour.to(&world, amina).await;
    let first = told(&world).await;
    assert_eq!((first.data_bytes, first.online_seconds), (None, Some(3600)));
    assert!(first.counted_from_ms.is_some());

    let mut reports = Reports::new(&world).await;
    let now = World::now_ms();
    let minutes_ago = |minutes: u64| Some(now - minutes * 60_000);
    reports.journal.clock_ms = minutes_ago(100);
    let phone = reports.begin(amina);
    reports.journal.clock_ms = minutes_ago(80);
    let laptop = reports.begin(amina);
    reports.journal.clock_ms = minutes_ago(70);
    reports.journal.stop(phone, 5, 0);
    reports.journal.clock_ms = minutes_ago(60);
    reports.journal.usage(laptop, 7, 0);
    reports.send().await;
    assert_eq!(
        used(&world, day).await,
        "12 2400 0 0",
        "40 minutes, although one had 30 and one 20"
    );
    reports.journal.clock_ms = minutes_ago(45);
    reports.journal.stop(laptop, 7, 0);
    reports.journal.clock_ms = minutes_ago(20);
    let phone = reports.begin(amina);
    reports.journal.clock_ms = minutes_ago(10);
    reports.journal.stop(phone, 0, 0);
    reports.send().await;
    assert_eq!(used(&world, day).await, "12 3600 0 0");
    assert_eq!(state(&world, day).await, "exhausted");
    // Five minutes were too many: they are not taken from the next.
    let next = Gives { seconds: "1800", bytes: "100", ..WEEK };
    let next = next.to(&world, amina).await;
    let second = told(&world).await;
    assert_eq!((second.online_seconds, second.data_bytes), (Some(3900 + 1800), Some(12 + 100)));
    assert_eq!(second.down_kbps.get(), 7000);
    reports.journal.clock_ms = None;
    let phone = reports.begin(amina);
    reports.journal.usage(phone, 30, 0);
    reports.send().await;
    assert_eq!(used(&world, next).await, "30 0 0 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_from_its_first_use_waits_for_it() {
    let world = World::new(Kind::Embedded).await;
    let amina = somebody(&world).await;
    let waiting = Gives { until: "365 days", ..WEEK }.to(&world, amina).await;
    world.run("UPDATE entitlement SET waits = true".to_owned()).await;
    let mut reports = Reports::new(&world).await;
    let days = format!(
        "SELECT waits || ' ' || extract(day FROM upper(valid) - lower(valid))::int
           FROM entitlement WHERE id = '{waiting}'"
    );
    let first = told(&world).await;
    let session = reports.begin(amina);
    reports.journal.usage(session, 0, 0);
    reports.send().await;
    assert_eq!((&*world.ask(&days).await, &told(&world).await), ("true 365", &first));
    reports.journal.usage(session, 3, 1);
    reports.send().await;
    let month = world.ask(&days).await;
    assert!(["false 28", "false 29", "false 30", "false 31"].contains(&&*month), "{month}");
    let second = told(&world).await;
    assert!(second.until_ms < first.until_ms);
    assert_eq!(second.counted_from_ms, first.counted_from_ms);
    assert_eq!(used(&world, waiting).await, "4 0 0 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_is_used_beside_a_term_with_a_quota_and_waits_beside_one_without() {
    let world = World::new(Kind::Embedded).await;
    let (amina, subscription) = world.add_subscriber(world.tenant, "amina").await;
    let mut reports = Reports::new(&world).await;
    let day = DAY.to(&world, amina).await;
    let plain = told(&world).await;
    assert_eq!(
        (plain.data_bytes, plain.counted_from_ms, plain.down_kbps.get()),
        (None, None, 10_000)
    );
    let session = reports.begin(amina);
    reports.journal.usage(session, 400, 0);
    reports.send().await;
    assert_eq!(used(&world, day).await, "0 0 0 0");

    let (tenant, what, term) = (world.tenant.as_uuid(), subscription.as_uuid(), Uuid::now_v7());
    world
        .run(format!(
            "UPDATE subscription SET term_start = now() - interval '1 day', plan_version_id = '{day}',
                 term_end = now() + interval '9 days' WHERE id = '{what}';
             INSERT INTO subscription_period (tenant_id, id, subscription_id, plan_version_id, during)
               SELECT '{tenant}', '{term}', '{what}', '{day}', tstzrange(term_start, term_end)
                 FROM subscription WHERE id = '{what}';
             INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                 plan_version_id, valid, bytes_granted)
               SELECT '{tenant}', '{term}', '{who}', 'period', '{term}', '{day}', during, 2000
                 FROM subscription_period",
            who = amina.as_uuid(),
        ))
        .await;
    let both = told(&world).await;
    assert_eq!((both.data_bytes, both.until_ms), (Some(3000), None));
    reports.journal.usage(session, 1700, 0);
    reports.send().await;
    assert_eq!(
        (&*used(&world, day).await, &*used(&world, term).await),
        ("1000 0 0 0", "300 0 0 0")
    );
    assert_eq!(told(&world).await.data_bytes, Some(3000));
    // Who has not paid has what they bought besides, and nothing of the term.
    world
        .run("UPDATE subscription SET state = 'suspended', walled = true, lapsed_at = now()".into())
        .await;
    let week = WEEK.to(&world, amina).await;
    assert_eq!(told(&world).await.data_bytes, Some(1800));
    reports.journal.usage(session, 1701, 0);
    reports.send().await;
    assert_eq!((&*used(&world, week).await, &*used(&world, term).await), ("1 0 0 0", "300 0 0 0"));
}

/// What an edge has counted before a second one came is not leased besides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_edge_makes_leases_of_what_is_left() {
    let world = World::new(Kind::Embedded).await;
    let amina = somebody(&world).await;
    let mut reports = Reports::new(&world).await;
    let day = DAY.to(&world, amina).await;
    let session = reports.begin(amina);
    reports.journal.usage(session, 300, 0);
    reports.send().await;
    assert_eq!((&*used(&world, day).await, told(&world).await.leased), ("300 0 0 0", false));
    world.add_edge(world.tenant, EdgeId::from_uuid(Uuid::now_v7()), &world.secret).await;
    let one = told(&world).await;
    assert_eq!((one.leased, one.data_bytes), (true, Some(1000)));
    let mut asks = Asks::new(&world, &world.serve().await, world.edge);
    asks.epoch = reports.journal.epoch;
    let asked = async |used_bytes, more_bytes, fence| {
        let counted_from_ms = one.counted_from_ms.expect("it is counted");
        let subscriber = amina;
        let question = Question { subscriber, counted_from_ms, fence, used_bytes, more_bytes };
        let answer = asks.ask(question).await.expect("an answer");
        (answer.bytes, answer.free_bytes)
    };
    // 300 are there before; of the 50 that have passed meanwhile nobody has heard.
    assert_eq!(asked(350, 100, 1).await, (450, 550));
    assert_eq!(used(&world, day).await, "300 0 0 150");
    reports.journal.usage(session, 350, 0);
    reports.send().await;
    assert_eq!(used(&world, day).await, "300 0 0 150", "leases settle what is leased");
    assert_eq!(asked(440, 0, 2).await, (440, 560));
    assert_eq!(used(&world, day).await, "440 0 0 0");
}
