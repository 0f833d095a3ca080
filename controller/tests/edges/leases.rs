//! Quotas that several edges spend: never more than there is, whoever asks first, twice, late or never
//! again.

use reqwest::{Client, StatusCode};
use shared::{
    id::{EdgeId, EpochId, SubscriberId},
    secret::Secret,
    wire::latest::lease::{Answer, Answers, Question, Questions},
};
use uuid::Uuid;

use crate::world::{Kind, World};

const GIB: u64 = 1 << 30;
/// 2026-01-01.
const COUNTED_FROM_MS: u64 = 1_767_225_600_000;

/// With a term of 1 GiB.
async fn with_quota(world: &World) -> SubscriberId {
    let (amina, subscription) = world.add_subscriber(world.tenant, "amina").await;
    let (id, who, what) = (world.tenant.as_uuid(), amina.as_uuid(), subscription.as_uuid());
    let version = Uuid::now_v7();
    world
        .run(format!(
            "INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
                 price_cents, validity_months, data_bytes, online_seconds, down_kbps, up_kbps, anchor,
                 effective_from)
               SELECT tenant_id, '{version}', plan_id, 2, 'hotspot', 'prepaid', 'hybrid', 100000, 1,
                      {GIB}, 7200, 10000, 5000, 'purchase', now() FROM plan_version;
             UPDATE subscription SET plan_version_id = '{version}', term_start = '2026-01-01',
                 term_end = '2098-01-01' WHERE id = '{what}';
             INSERT INTO subscription_period (tenant_id, id, subscription_id, plan_version_id, during)
               VALUES ('{id}', '{version}', '{what}', '{version}', '[2026-01-01,2098-01-01)');
             INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                 plan_version_id, valid, bytes_granted, seconds_granted) VALUES
               ('{id}', '{version}', '{who}', 'period', '{version}', '{version}',
                '[2026-01-01,2098-01-01)', {GIB}, 7200)"
        ))
        .await;
    amina
}

/// One edge, as the API sees it.
#[derive(Clone)]
pub(crate) struct Asks {
    http: Client,
    url: String,
    edge: EdgeId,
    secret: Secret,
    pub(crate) epoch: EpochId,
}

impl Asks {
    pub(crate) fn new(world: &World, url: &str, edge: EdgeId) -> Self {
        let epoch = EpochId::from_uuid(Uuid::now_v7());
        let (http, url, secret) = (Client::new(), url.to_owned(), world.secret.clone());
        Self { http, url, edge, secret, epoch }
    }

    pub(crate) async fn ask(&self, question: Question) -> Option<Answer> {
        let asked = Questions { epoch: self.epoch, questions: vec![question] };
        let request = self
            .http
            .post(format!("{}/edge/v1/lease", self.url))
            .basic_auth(self.edge, Some(self.secret.expose()))
            .json(&asked);
        let answer = request.send().await.expect("the API answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let answers: Answers = answer.json().await.expect("answers");
        answers.answers.first().copied()
    }
}

fn question(subscriber: SubscriberId, fence: u64, used_bytes: u64, more_bytes: u64) -> Question {
    Question { subscriber, counted_from_ms: COUNTED_FROM_MS, fence, used_bytes, more_bytes }
}

async fn sums(world: &World) -> String {
    world.ask("SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_edges_at_once_lease_a_quota_to_the_byte() {
    let world = World::new(Kind::Embedded).await;
    let amina = with_quota(&world).await;
    let url = world.serve().await;
    let mut edges = vec![world.edge];
    for _ in 1..60 {
        let edge = EdgeId::from_uuid(Uuid::now_v7());
        world.add_edge(world.tenant, edge, &world.secret).await;
        edges.push(edge);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for edge in edges {
        let asks = Asks::new(&world, &url, edge);
        tasks.spawn(async move { asks.ask(question(amina, 1, 0, 100_000_000)).await });
    }
    let mut got = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        got.push(answer.expect("it does not panic").expect("an answer").bytes);
    }
    got.sort_unstable();
    let leased: Vec<u64> = got.into_iter().filter(|bytes| *bytes > 0).collect();
    assert_eq!(leased.len(), 11);
    assert_eq!(leased.iter().sum::<u64>(), GIB);
    assert_eq!(leased[0], GIB - 1_000_000_000);
    assert_eq!(sums(&world).await, format!("0 {GIB}"));
    // Nobody is given anything without the secret of an edge.
    let nobody = Client::new().post(format!("{url}/edge/v1/lease")).json(&()).send().await;
    assert_eq!(nobody.expect("an answer").status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_counts_once_and_a_late_one_not_at_all() {
    let world = World::new(Kind::Embedded).await;
    let amina = with_quota(&world).await;
    let url = world.serve().await;
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let (one, two) = (Asks::new(&world, &url, world.edge), Asks::new(&world, &url, other));
    let first = question(amina, 10, 0, 100);
    let answer = one.ask(first).await.expect("an answer");
    assert_eq!((answer.bytes, answer.free_bytes, answer.elsewhere_bytes), (100, GIB - 100, 0));
    assert_eq!(one.ask(first).await, Some(answer), "the same question is the same lease");
    // Half of it is used: as much again in hand is half as much more.
    let answer = one.ask(question(amina, 11, 50, 100)).await.expect("an answer");
    assert_eq!(answer.bytes, 150);
    let answer = two.ask(question(amina, 5, 0, 1_000)).await.expect("an answer");
    assert_eq!((answer.bytes, answer.elsewhere_bytes), (1_000, 150));
    assert_eq!(sums(&world).await, "0 1150");
    // Everybody has gone there: 120 are used, and the rest goes back.
    let answer = one.ask(question(amina, 12, 120, 0)).await.expect("an answer");
    assert_eq!(answer.bytes, 120);
    assert_eq!(sums(&world).await, "120 1000");
    assert_eq!(one.ask(question(amina, 12, 120, 0)).await.expect("an answer").bytes, 120);
    // One that was sent before that and comes after it.
    let late = one.ask(question(amina, 11, 90, 5_000)).await.expect("an answer");
    assert_eq!((late.bytes, late.fence), (120, 12));
    assert_eq!(sums(&world).await, "120 1000");
    // The edge has lost its disk, and counts from nothing: what it had is not had again.
    let answer = one.ask(question(amina, 13, 120, 80)).await.expect("an answer");
    assert_eq!(answer.bytes, 200);
    let lost = Asks::new(&world, &url, world.edge);
    let answer = lost.ask(question(amina, 14, 0, 10)).await.expect("an answer");
    assert_eq!(answer.bytes, 10);
    assert_eq!(sums(&world).await, "200 1010");
    let nobody = SubscriberId::from_uuid(Uuid::now_v7());
    assert_eq!(one.ask(question(nobody, 99, 0, 10)).await, None);
}

/// A revoked edge is said to be gone for good: what its journal does not have goes back, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_edge_has_not_used_goes_back_once() {
    let world = World::new(Kind::Embedded).await;
    let amina = with_quota(&world).await;
    let url = world.serve().await;
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let dead = Asks::new(&world, &url, other);
    assert_eq!(dead.ask(question(amina, 1, 0, 400)).await.expect("an answer").bytes, 400);
    assert_eq!(dead.ask(question(amina, 2, 400, 600)).await.expect("an answer").bytes, 1_000);
    let (tenant, session) = (world.tenant.as_uuid(), Uuid::now_v7());
    world
        .run(format!(
            "INSERT INTO session (tenant_id, id, edge_id, subscriber_id, started_at, updated_at)
               VALUES ('{tenant}', '{session}', '{edge}', '{amina}', now(), now());
             INSERT INTO usage (tenant_id, booked_on, session_id, edge_id, epoch, seq, at, down_bytes,
                 up_bytes, down_packets, up_packets)
               VALUES ('{tenant}', now(), '{session}', '{edge}', '{session}', 1, now(), 500, 50, 1, 1)",
            edge = other.as_uuid(),
            amina = amina.as_uuid(),
        ))
        .await;
    let token = world.add_operator(world.tenant, "owner").await;
    let path = format!("{url}/api/network/edges/{other}");
    let request = Client::new()
        .patch(path)
        .bearer_auth(token)
        .header("if-match", "\"1\"")
        .json(&serde_json::json!({ "revoked": true }));
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
    assert_eq!(sums(&world).await, "550 0");
    let open = "SELECT count(*) FROM quota_lease WHERE state = 'open'";
    assert_eq!(world.ask(open).await, "0");
    // It is let in again. Those leases stay settled; what it used besides comes out of what is free.
    world.run(format!("UPDATE edge SET revoked = false WHERE id = '{}'", other.as_uuid())).await;
    let back = dead.ask(question(amina, 3, 900, 0)).await.expect("an answer");
    assert_eq!(back.bytes, 900);
    assert_eq!(sums(&world).await, "900 0");
    let first =
        "SELECT string_agg(used::text, ' ' ORDER BY fence) FROM quota_lease WHERE fence < 3";
    assert_eq!(world.ask(first).await, "400 150");
}

/// An edge of the script.
struct Site {
    asks: Asks,
    used: u64,
    bound: u64,
    fence: u64,
    late: Option<Question>,
}

/// A script of chance: uses, asks, answers that are lost, questions that come late, edges that lose
/// what they knew. Whatever happens, no more passes than there is; and all of it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edges_with_one_subscriber_never_pass_more_than_was_granted() {
    let world = World::new(Kind::Embedded).await;
    let amina = with_quota(&world).await;
    let url = world.serve().await;
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let mut chance = 42_u64;
    let mut roll = |sides: u64| {
        // Knuth's; the upper bits are the good ones.
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % sides
    };
    let mut sites = [world.edge, other].map(|edge| Site {
        asks: Asks::new(&world, &url, edge),
        used: 0,
        bound: 0,
        fence: 0,
        late: None,
    });
    let mut passed = 0;
    for _ in 0..400 {
        let at = usize::from(roll(2) == 1);
        let site = &mut sites[at];
        match roll(8) {
            // What is asked for passes as far as the bound lets it.
            0..=2 => {
                let bytes = roll(64 << 20).min(site.bound - site.used);
                site.used += bytes;
                passed += bytes;
            }
            // More, and the answer comes.
            3 | 4 => {
                site.fence += 1;
                let asked = question(amina, site.fence, site.used, 16 << 20);
                site.bound = site.asks.ask(asked).await.expect("an answer").bytes;
            }
            // The answer is lost.
            5 => {
                site.fence += 1;
                site.asks.ask(question(amina, site.fence, site.used, 16 << 20)).await;
            }
            // Everybody goes. It may be that this is heard much later.
            6 => {
                site.fence += 1;
                site.bound = site.used;
                let asked = question(amina, site.fence, site.used, 0);
                if roll(2) == 0 {
                    site.late = Some(asked);
                } else {
                    site.asks.ask(asked).await;
                }
            }
            _ => {
                if let Some(asked) = site.late.take() {
                    site.asks.ask(asked).await;
                }
            }
        }
        assert!(passed <= GIB, "{passed}");
        assert!(sites.iter().all(|site| site.used <= site.bound));
    }
    assert!(passed > GIB / 4, "hardly anything has passed: {passed}");
    // One gives back what it has, and the other has all the rest.
    let [one, two] = &mut sites;
    one.asks.ask(question(amina, one.fence + 1, one.used, 0)).await;
    let last = two.asks.ask(question(amina, two.fence + 1, two.used, GIB)).await;
    let last = last.expect("an answer");
    assert_eq!((last.free_bytes, last.elsewhere_bytes), (0, 0));
    passed += last.bytes - two.used;
    assert_eq!(passed, GIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_are_told_to_lease_when_there_are_several() {
    let world = World::new(Kind::Embedded).await;
    with_quota(&world).await;
    let desired = async || {
        let found = world.office.desk.of(world.tenant, world.edge).await.expect("a state");
        let mut subscribers = found.expect("it is there").1.subscribers;
        subscribers.pop().expect("amina")
    };
    let alone = desired().await;
    assert_eq!((alone.data_bytes, alone.leased), (Some(GIB), false));
    // Time that was bought, and from when it is counted.
    assert_eq!(alone.online_seconds, Some(7_200));
    assert_eq!(alone.counted_from_ms, Some(COUNTED_FROM_MS));
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let shared = desired().await;
    assert_eq!((shared.data_bytes, shared.leased), (Some(GIB), true));
    // More time is bought.
    world
        .run(
            "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                 plan_version_id, valid, seconds_granted)
               SELECT tenant_id, gen_random_uuid(), subscriber_id, 'topup', gen_random_uuid(),
                      plan_version_id, valid, 600 FROM entitlement"
                .to_owned(),
        )
        .await;
    assert_eq!(desired().await.online_seconds, Some(7_800));
}
