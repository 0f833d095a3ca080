//! What an edge should have: told by pointer, fetched over HTTP, confirmed by state.

use std::num::NonZeroU32;

use reqwest::{Client, Response, StatusCode};
use shared::{
    id::{EdgeId, EpochId},
    net::Ipv6Prefix,
    secret::Secret,
    wire::{
        latest::desired::{Class, Desired, Enforce, Pointer, Require, UsedUp, Vendor},
        topic::Leaf,
    },
};
use uuid::Uuid;

use crate::{
    edge::Edge,
    world::{Kind, World},
};

async fn fetch(url: &str, edge: EdgeId, secret: &Secret, since: Option<u64>) -> Response {
    let since = since.map(|revision| ("since", revision.to_string()));
    let request = Client::new()
        .get(format!("{url}/edge/v1/desired"))
        .query(&since.as_slice())
        .basic_auth(edge, Some(secret.expose()));
    request.send().await.expect("the API answers")
}

/// The pointer to what the rows say now; there may be earlier ones, retained.
async fn told(world: &World, edge: &mut Edge) -> Pointer {
    let want = world.ask("SELECT desired_revision FROM edge").await;
    loop {
        let pointer: Pointer = edge.told(Leaf::DownDesired).await;
        if pointer.revision.to_string() == want {
            return pointer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_rows_reaches_the_edge_and_its_confirmation_the_rows() {
    let world = World::new(Kind::Embedded).await;
    let (tenant, id) = (world.tenant, world.edge);
    world.add_nas(tenant, id, "10.0.0.0/24").await;
    let (amina, subscription) = world.add_subscriber(tenant, "amina").await;
    let (baraka, _) = world.add_subscriber(tenant, "baraka").await;
    world
        .run(format!(
            "INSERT INTO subscriber_device (tenant_id, mac, subscriber_id) \
             VALUES ('{}', '02:00:00:00:00:07', '{}')",
            tenant.as_uuid(),
            baraka.as_uuid()
        ))
        .await;
    for change in [
        "UPDATE tenant SET realms = '{wisp.example}' WHERE slug <> 'platform'",
        "UPDATE nas SET vendor = 'chillispot', learn_message_authenticator = true, \
           requests_per_second = 50, dynauth_port = 1700, tls_name = 'nas.wisp.example', \
           reply = '{Filter-Id = gold}'",
        "UPDATE subscriber SET delegated_prefix = '2001:db8:0:100::/56'",
    ] {
        world.run(change.to_owned()).await;
    }
    let url = world.serve().await;
    let mut edge = Edge::connect(&world, 1).await;
    world.office.desk.round_of(tenant).await.unwrap();
    let pointer = told(&world, &mut edge).await;

    let answer = fetch(&url, id, &world.secret, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["etag"], format!("\"{}\"", pointer.hash));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let desired: Desired = answer.json().await.unwrap();
    assert_eq!(desired.revision, pointer.revision);
    let [nas] = &desired.nas[..] else { panic!("one NAS") };
    assert_eq!((nas.secret.expose(), nas.enforce), ("testing123", Enforce::Edge));
    assert_eq!(nas.address.to_string(), "10.0.0.0/24");
    assert_eq!(
        (nas.vendor, nas.require_message_authenticator),
        (Vendor::Chillispot, Require::Auto)
    );
    assert_eq!((nas.requests_per_second, nas.dynauth_port), (NonZeroU32::new(50), 1700));
    assert_eq!(nas.tls_name.as_deref(), Some("nas.wisp.example"));
    assert_eq!(nas.reply, ["Filter-Id = gold"]);
    assert_eq!(desired.realms, ["wisp.example"]);
    let [one, two] = &desired.subscribers[..] else { panic!("two subscribers") };
    assert_eq!((one.id, one.subscription), (Some(amina), Some(subscription)));
    assert_eq!(one.password.as_ref().unwrap().expose(), "correct horse");
    assert_eq!((one.down_kbps.get(), one.up_kbps.get()), (10_000, 5_000));
    assert_eq!(one.delegated_prefix.map(Ipv6Prefix::bits), Some(56));
    assert_eq!(two.macs, ["02:00:00:00:00:07".parse().unwrap()]);

    let same = fetch(&url, id, &world.secret, Some(pointer.revision)).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    // Nothing has changed, so nothing grows.
    world.office.desk.round_of(tenant).await.unwrap();
    let revision = "SELECT desired_revision FROM edge";
    assert_eq!(world.ask(revision).await, pointer.revision.to_string());

    // Nobody is called active before the edge says that it has it.
    let applied = "SELECT bool_and(applied_rev = desired_rev) FROM subscription";
    assert_eq!(world.ask(applied).await, "false");
    let epoch = EpochId::from_uuid(Uuid::now_v7());
    edge.be_born(1, epoch, pointer.revision).await;
    world.until(applied, "true").await;

    let suspend = format!(
        "UPDATE subscription SET state = 'suspended' WHERE id = '{}'",
        subscription.as_uuid()
    );
    world.run(suspend).await;
    world.office.desk.round_of(tenant).await.unwrap();
    let next = told(&world, &mut edge).await;
    assert_eq!(next.revision, pointer.revision + 1);
    let answer = fetch(&url, id, &world.secret, Some(pointer.revision)).await;
    let desired: Desired = answer.json().await.unwrap();
    let names: Vec<_> = desired.subscribers.iter().map(|one| one.username.as_str()).collect();
    assert_eq!((desired.revision, names), (next.revision, vec!["baraka"]));
    assert_eq!(world.ask(applied).await, "false");
    edge.be_born(1, epoch, next.revision).await;
    world.until(applied, "true").await;
}

/// A pointer that was lost is told again to an edge whose birth says that it is behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_behind_at_its_birth_is_told_so() {
    let world = World::new(Kind::Mosquitto).await;
    world.add_nas(world.tenant, world.edge, "10.0.0.1/32").await;
    world.office.desk.round_of(world.tenant).await.unwrap();
    let mut edge = Edge::connect(&world, 1).await;
    let retained: Pointer = edge.told(Leaf::DownDesired).await;
    edge.be_born(1, EpochId::from_uuid(Uuid::now_v7()), 0).await;
    let again: Pointer = edge.told(Leaf::DownDesired).await;
    assert_eq!(retained, again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desired_state_is_for_the_edge_that_shows_its_secret() {
    let world = World::new(Kind::Embedded).await;
    let url = world.serve().await;
    let wrong = Secret::new("another".to_owned());
    let stranger = EdgeId::from_uuid(Uuid::now_v7());
    let status = async |edge, secret: &Secret| fetch(&url, edge, secret, None).await.status();
    assert_eq!(status(world.edge, &wrong).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(stranger, &world.secret).await, StatusCode::UNAUTHORIZED);
    let nobody = Client::new().get(format!("{url}/edge/v1/desired")).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(status(world.edge, &world.secret).await, StatusCode::OK);
    world.run("UPDATE edge SET revoked = true".to_owned()).await;
    assert_eq!(status(world.edge, &world.secret).await, StatusCode::UNAUTHORIZED);
}

/// One tenant's subscribers are on its own edges only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenants_subscribers_are_not_sent() {
    let world = World::new(Kind::Embedded).await;
    let other = shared::id::TenantId::from_uuid(Uuid::now_v7());
    world.add_tenant(other).await;
    world.add_subscriber(other, "stranger").await;
    world.add_subscriber(world.tenant, "amina").await;
    let (_, desired) =
        world.office.desk.of(world.tenant, world.edge).await.unwrap().expect("it is there");
    let names: Vec<_> = desired.subscribers.iter().map(|one| one.username.as_str()).collect();
    assert_eq!(names, ["amina"]);
    assert!(world.office.desk.of(other, world.edge).await.unwrap().is_none());
}

/// What plans, the tenant and the site say besides rates comes to the edge; another quota of the
/// same term keeps its beginning, and the next term has another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_steps_the_garden_and_the_uplink_are_sent() {
    let world = World::new(Kind::Embedded).await;
    let (tenant, edge) = (world.tenant, world.edge);
    let (amina, subscription) = world.add_subscriber(tenant, "amina").await;
    let desired = async || {
        let (_, desired) = world.office.desk.of(tenant, edge).await.unwrap().expect("it is there");
        desired
    };
    let plain = desired().await;
    let [one] = plain.subscribers.as_slice() else { panic!("{plain:?}") };
    assert_eq!((one.data_bytes, one.steps.len(), one.counted_from_ms), (None, 0, None));
    assert_eq!((plain.site, plain.garden.is_default()), (None, true));

    let (id, who, what) = (tenant.as_uuid(), amina.as_uuid(), subscription.as_uuid());
    let version = Uuid::now_v7();
    world
        .run(format!(
            "UPDATE edge SET uplink_down_kbps = 90000, uplink_up_kbps = 40000;
             INSERT INTO garden (tenant_id, open, free, names, kbps)
               VALUES ('{id}', '{{192.0.2.0/24}}', '{{198.51.100.7/32}}', '{{kra.go.ke}}', 512);
             INSERT INTO plan_version (tenant_id, id, plan_id, version, access, billing, kind,
                 price_cents, validity_months, data_bytes, down_kbps, up_kbps, anchor,
                 effective_from)
               SELECT tenant_id, '{version}', plan_id, 2, 'hotspot', 'prepaid', 'data', 100000, 1,
                      1000000, 10000, 5000, 'purchase', now() FROM plan_version;
             INSERT INTO plan_fup_step (tenant_id, plan_version_id, step, after_bytes, down_kbps,
                 up_kbps) VALUES ('{id}', '{version}', 1, 500000, 2000, 1000);
             UPDATE subscription SET plan_version_id = '{version}', term_start = '2026-01-01',
                 term_end = '2098-01-01' WHERE id = '{what}';
             INSERT INTO subscription_period (tenant_id, id, subscription_id, plan_version_id, during)
               VALUES ('{id}', '{version}', '{what}', '{version}', '[2026-01-01,2098-01-01)');
             INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                 plan_version_id, valid, bytes_granted) VALUES
               ('{id}', '{version}', '{who}', 'period', '{version}', '{version}',
                '[2026-01-01,2098-01-01)', 800000)"
        ))
        .await;
    let full = desired().await;
    let [one] = full.subscribers.as_slice() else { panic!("{full:?}") };
    // Of this term less was given than the plan says: another plan was used up in part.
    assert_eq!(one.data_bytes, Some(800_000));
    assert_eq!(one.used_up, UsedUp::Garden);
    assert_eq!(
        one.steps.first().map(|step| (step.after_bytes, step.shape.down_kbps.get())),
        Some((500_000, 2_000))
    );
    assert_eq!(one.counted_from_ms, Some(1_767_225_600_000));
    assert_eq!(
        full.site.map(|site| (site.down_kbps.get(), site.up_kbps.get())),
        Some((90_000, 40_000))
    );
    let garden = &full.garden;
    assert_eq!(garden.open.first().map(ToString::to_string).as_deref(), Some("192.0.2.0/24"));
    assert_eq!(garden.names, ["kra.go.ke"]);
    assert_eq!(garden.kbps.map(shared::rate::Kbps::get), Some(512));
    assert!(full.revision > plain.revision);
    // What is bought besides is more of the same term.
    world
        .run(format!(
            "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
                 plan_version_id, valid, bytes_granted) VALUES
               ('{id}', '{what}', '{who}', 'topup', '{what}', '{version}',
                '[2026-01-02,2098-01-01)', 50000)"
        ))
        .await;
    let more = desired().await;
    let [one] = more.subscribers.as_slice() else { panic!("{more:?}") };
    assert_eq!((one.data_bytes, one.counted_from_ms), (Some(850_000), Some(1_767_225_600_000)));
    assert_eq!(desired().await.revision, more.revision, "the same rows are the same state");
    // Who has not paid is in the garden, and then nowhere.
    world
        .run("UPDATE subscription SET state = 'suspended', walled = true, lapsed_at = now()".into())
        .await;
    let walled = desired().await;
    let [one] = walled.subscribers.as_slice() else { panic!("{walled:?}") };
    assert_eq!(one.class, Class::Garden);
    world.run("UPDATE subscription SET walled = false".into()).await;
    assert_eq!(desired().await.subscribers, []);
    let applied = "SELECT bool_and(applied_rev = desired_rev) FROM subscription";
    assert_eq!(world.ask(applied).await, "false", "no edge has said that it has it");
}
