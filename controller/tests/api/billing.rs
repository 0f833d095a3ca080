//! A subscription's billing life, by a clock that the tests turn: terms, reminders, suspension and
//! the way back, and that the books are the same however often and by however many it is run.

use controller::{
    actor::Actor,
    subscriptions::{SubscriptionChange, SubscriptionError},
};
use jiff::SignedDuration;
use serde_json::json;
use shared::id::SubscriptionId;
use sqlx::AssertSqlSafe;

use crate::{
    office::{Office, at, days, home, uuid_of},
    world::World,
};

#[tokio::test]
async fn who_pays_ahead_is_renewed_and_comes_back_to_the_thirty_first() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-01-31T07:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    let (amina, id) = office.subscription("amina", &version, true).await;
    office.go("2027-01-31T07:05:00Z").await;
    assert_eq!(office.state(&id).await, "pending");
    // Too little is nothing.
    office.pay(&amina, 149_900).await;
    office.go("2027-01-31T07:10:00Z").await;
    assert_eq!(office.state(&id).await, "pending");
    office.pay(&amina, 600_100).await;
    office.go("2027-01-31T07:11:00Z").await;
    assert_eq!(office.state(&id).await, "active");
    office.go("2027-05-31T12:00:00Z").await;
    let start = "07:10:00Z";
    assert_eq!(
        days(&office.periods(&id).await),
        [
            format!("2027-01-31T{start} 2027-02-28T{start}"),
            format!("2027-02-28T{start} 2027-03-31T{start}"),
            format!("2027-03-31T{start} 2027-04-30T{start}"),
            format!("2027-04-30T{start} 2027-05-31T{start}"),
            format!("2027-05-31T{start} 2027-06-30T{start}"),
        ]
    );
    assert_eq!(office.owner.balance("wallet").await, 0);
    // Each a simplified receipt that is paid: the split of 1,500.00 as it is published.
    let invoices = office.owner.get("/api/invoices").await.is(200);
    assert_eq!(invoices.items("/items").len(), 5);
    for invoice in invoices.items("/items") {
        assert_eq!(invoice["net_cents"], 112_444);
        assert_eq!(invoice["excise_cents"], 16_867);
        assert_eq!(invoice["vat_cents"], 20_689);
        assert_eq!(invoice["paid_cents"], 150_000);
    }
    office.the_books_are_right().await;

    // Nobody pays any more: all of it is earned in the end, to the cent.
    let before = office.digest().await;
    let ran = office.world.app.jobs();
    let step = SignedDuration::from_mins(5);
    ran.run_between(at("2027-01-31T07:00:00Z"), office.now, step).await.unwrap();
    assert_eq!(office.digest().await, before, "the same time twice");
    office.go("2027-07-31T00:00:00Z").await;
    assert_eq!(office.owner.balance("deferred:subscription").await, 0);
    assert_eq!(office.owner.balance("revenue:internet").await, -5 * 112_444);
    office.the_books_are_right().await;
}

#[tokio::test]
async fn who_does_not_pay_is_reminded_walled_off_and_comes_back_by_paying() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-03-01T06:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    let (amina, id) = office.subscription("amina", &version, false).await;
    office.pay(&amina, 150_000).await;
    office.go("2027-03-31T23:00:00Z").await;
    assert_eq!(office.state(&id).await, "active");
    let told = "SELECT string_agg(step, ' ' ORDER BY at) FROM subscription_notice";
    assert_eq!(office.sql(told).await, "remind:7 remind:3 remind:1");
    office.go("2027-04-01T06:10:00Z").await;
    assert_eq!(office.state(&id).await, "grace");
    office.go("2027-04-03T06:10:00Z").await;
    assert_eq!(office.state(&id).await, "suspended walled");
    // Not enough, and nothing new is billed meanwhile.
    office.pay(&amina, 100_000).await;
    office.go("2027-04-10T06:20:00Z").await;
    assert_eq!(office.state(&id).await, "suspended");
    assert_eq!(office.sql(told).await, "remind:7 remind:3 remind:1 grace walled suspended");
    assert_eq!(office.periods(&id).await.len(), 1);
    let revision = office.show(&id).await["desired_rev"].as_i64().unwrap();

    office.pay(&amina, 50_000).await;
    office.go("2027-04-10T06:21:00Z").await;
    assert_eq!(office.state(&id).await, "active");
    let one = office.show(&id).await;
    assert_eq!(one["desired_rev"], revision + 1);
    assert_ne!(one["applied_rev"], one["desired_rev"], "no edge has said that it has it");
    // From when it was paid, not from when it was suspended.
    let (start, end) = office.periods(&id).await.pop().unwrap();
    assert_eq!((start.as_str(), end.as_str()), ("2027-04-10T06:20:00Z", "2027-05-10T06:20:00Z"));
    office.the_books_are_right().await;

    // A promise holds it once for the term, and only so far.
    office.go("2027-05-11T07:00:00Z").await;
    assert_eq!(office.state(&id).await, "grace");
    let path = format!("/api/subscriptions/{id}/promise");
    let far = json!({ "until": "2098-01-01T00:00:00Z" });
    let put = async |body| office.owner.ask("PUT", &path, &[], Some(body)).await;
    put(far).await.problem(422, "invalid-fields");

    // 90 days after the suspension it is over; paying begins it anew.
    office.go("2027-08-11T00:00:00Z").await;
    assert_eq!(office.state(&id).await, "expired");
    office.pay(&amina, 150_000).await;
    office.go("2027-08-11T00:05:00Z").await;
    assert_eq!(office.state(&id).await, "active");
    let events = office.owner.get(&format!("/api/subscriptions/{id}/events")).await.is(200);
    let reasons: Vec<_> =
        events.body.as_array().unwrap().iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons.first(), Some(&json!("paid")));
    assert!(reasons.contains(&json!("not paid")));
    office.the_books_are_right().await;
}

#[tokio::test]
async fn what_is_invoiced_afterwards_is_due_and_ends_and_comes_back() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2028-01-15T21:00:00Z").await;
    let mut terms = home(310_000);
    terms["billing"] = json!("postpaid");
    terms["anchor"] = json!("calendar_day");
    terms["anchor_day"] = json!(1);
    let version = office.plan("office", terms).await;
    let (amina, id) = office.subscription("amina", &version, false).await;
    // Staff activates it, at a time of the test's own.
    office
        .run(
            "UPDATE subscription SET state = 'active', bill_anchor = '2028-01-15T21:00Z',
               term_start = '2028-01-15T21:00Z', term_end = '2028-01-31T21:00Z', term_no = 1,
               due_at = '2028-01-15T21:00Z'",
        )
        .await;
    office.go("2028-03-01T06:00:00Z").await;
    // 16 of the 31 days of January; then February of a leap year. Overdue in between: suspended.
    let invoices = office.owner.get("/api/invoices").await.is(200);
    let totals: Vec<_> =
        invoices.items("/items").iter().map(|one| one["total_cents"].clone()).collect();
    assert_eq!(totals.first(), Some(&json!(160_000)), "{totals:?}");
    // Due on 15 February, walled off on the 17th at the latest: the days until then are invoiced.
    assert_eq!(office.state(&id).await, "suspended");
    assert_eq!(totals.len(), 2);
    office.the_books_are_right().await;
    let before = office.periods(&id).await;

    office.pay(&amina, 1_000_000).await;
    office.allocate().await;
    office.go("2028-03-01T06:05:00Z").await;
    assert_eq!(office.state(&id).await, "active");
    assert_eq!(office.owner.balance("ar").await, 0);
    office.go("2028-04-01T00:00:00Z").await;
    let after = office.periods(&id).await;
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last().unwrap().1, "2028-03-31T21:00:00Z");
    office.the_books_are_right().await;
}

/// As if there never had been a tax: the database does not let anybody take one away.
async fn without_tax(world: &World) {
    let none = "ALTER TABLE tax_rate DISABLE TRIGGER rate_guard;
        DELETE FROM tax_rate;
        ALTER TABLE tax_rate ENABLE TRIGGER rate_guard";
    sqlx::raw_sql(none).execute(&world.admin).await.expect("an owner of the tables may");
}

#[tokio::test]
async fn another_plan_is_prorated_to_the_second() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-04-01T00:00:00Z").await;
    without_tax(&world).await;
    let (small, large) =
        (office.plan("small", home(150_000)).await, office.plan("large", home(250_000)).await);
    let (amina, id) = office.subscription("amina", &small, true).await;
    office.pay(&amina, 216_700).await;
    office.go("2027-04-01T00:05:00Z").await;
    let actor = Actor::command_line(office.tenant);
    let subscription: SubscriptionId = id.parse().unwrap();
    let etag = async |office: &Office<'_>| {
        let etag = office.owner.get(&format!("/api/subscriptions/{id}")).await.etag();
        etag.trim_matches('"').parse::<i64>().unwrap()
    };
    let change =
        SubscriptionChange { plan_version: Some(large.parse().unwrap()), auto_renew: None };
    // After 10 of its 30 days.
    let then = at("2027-04-11T00:00:00Z");
    let all = world.app.subscriptions();
    all.update_at(&actor, subscription, etag(&office).await, change.clone(), then).await.unwrap();
    let lines = office
        .sql(
            "SELECT string_agg(kind || ' ' || net_cents, ', ' ORDER BY kind) FROM invoice_line
               WHERE kind LIKE 'proration%'",
        )
        .await;
    assert_eq!(lines, "proration_charge 166667, proration_credit -100000");
    assert_eq!(office.owner.balance("wallet").await, -33, "66,667 of what was collected");
    office.the_books_are_right().await;
    assert_eq!(
        days(&office.periods(&id).await),
        ["2027-04-01T00:00:00Z 2027-04-11T00:00:00Z", "2027-04-11T00:00:00Z 2027-05-01T00:00:00Z"]
    );

    // Back again is for the end of the term, and costs nothing now.
    let back = SubscriptionChange { plan_version: Some(small.parse().unwrap()), auto_renew: None };
    let after = all.update_at(&actor, subscription, etag(&office).await, back, then).await.unwrap();
    assert_eq!(after.plan_version.to_string(), large);
    assert_eq!(after.next_plan_version.map(|id| id.to_string()), Some(small.clone()));
    office.now = then;
    office.pay(&amina, 150_000).await;
    office.go("2027-05-02T00:00:00Z").await;
    assert_eq!(office.show(&id).await["plan_version"], small);
    // What is not in the wallet is not spent.
    let poor = all.update_at(&actor, subscription, etag(&office).await, change, office.now).await;
    assert!(matches!(poor, Err(SubscriptionError::Period(_))), "{poor:?}");
    office.go("2027-06-05T00:00:00Z").await;
    assert_eq!(office.owner.balance("deferred:subscription").await, 0);
    assert_eq!(office.owner.balance("revenue:internet").await, -(150_000 + 66_667 + 150_000));
    office.the_books_are_right().await;
}

#[tokio::test]
async fn what_is_used_beyond_the_quota_is_on_the_next_invoice_once() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-02-28T21:00:00Z").await;
    without_tax(&world).await;
    let mut terms = home(100_000);
    terms["billing"] = json!("postpaid");
    terms["data_bytes"] = json!(1_u64 << 30);
    terms["on_exhaust"] = json!("overage");
    terms["overage_cents_per_mib"] = json!(7);
    let version = office.plan("metered", terms).await;
    let (amina, id) = office.subscription("amina", &version, false).await;
    let tenant = *office.tenant.as_uuid();
    let (amina, subscription) = (uuid_of(&amina), uuid_of(&id));
    let mut used = 0;
    let mut use_bytes = async |office: &Office<'_>, when: &str, bytes: u64| {
        used += 1;
        let sql = format!(
            "INSERT INTO session (tenant_id, id, edge_id, subscriber_id, subscription_id,
               started_at, updated_at) VALUES ('{tenant}', '{amina}', '{tenant}', '{amina}',
               '{subscription}', now(), now()) ON CONFLICT DO NOTHING;
             INSERT INTO usage (tenant_id, booked_on, session_id, edge_id, epoch, seq, at,
               down_bytes, up_bytes, down_packets, up_packets)
             VALUES ('{tenant}', '2027-03-01', '{amina}', '{tenant}', '{tenant}', {used}, '{when}',
               {bytes}, 0, 1, 0)"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&office.world.admin).await.unwrap();
    };
    office
        .run(
            "UPDATE subscription SET state = 'active', bill_anchor = '2027-02-28T21:00Z',
               term_start = '2027-02-28T21:00Z', term_end = '2027-03-31T21:00Z', term_no = 1,
               due_at = '2027-02-28T21:00Z'",
        )
        .await;
    use_bytes(&office, "2027-03-05T00:00:00Z", 1 << 30).await;
    // 10 MiB and a half more: 73.5 cents, rounded once.
    use_bytes(&office, "2027-03-06T00:00:00Z", (10 << 20) + (1 << 19)).await;
    // Exactly at the end it is the next term's.
    use_bytes(&office, "2027-03-31T21:00:00Z", 5 << 20).await;
    office.go("2027-04-01T00:00:00Z").await;
    let lines = "SELECT string_agg(kind || ' ' || net_cents, ', ' ORDER BY kind, net_cents)
                   FROM invoice_line";
    assert_eq!(office.sql(lines).await, "recurring 100000, usage 74");
    // An edge that was cut off reports later: on the next invoice, and not again after that.
    use_bytes(&office, "2027-03-30T00:00:00Z", 100 << 20).await;
    office.pay(&format!("sub_{}", amina.simple()), 100_074).await;
    office.allocate().await;
    office.go("2027-05-01T00:00:00Z").await;
    assert_eq!(office.sql(lines).await, "recurring 100000, recurring 100000, usage 74, usage 700");
    office.the_books_are_right().await;
}

/// Several subscribers of each kind, for months, once in one go, once by a controller that dies
/// again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_the_same_however_often_it_is_cut_off() {
    let mut digests = Vec::new();
    for cut in [false, true] {
        let world = World::new().await;
        let mut office = Office::new(&world, "2027-01-29T09:00:00Z").await;
        let prepaid = office.plan("home", home(150_000)).await;
        let mut terms = home(250_000);
        terms["billing"] = json!("postpaid");
        let postpaid = office.plan("office", terms).await;
        for n in 0..8 {
            let (who, _) = office.subscription(&format!("s{n}"), &prepaid, n % 2 == 0).await;
            // From one term to eight of them.
            office.pay(&who, 150_000 * (n + 1)).await;
        }
        for n in 0..4 {
            office.subscription(&format!("p{n}"), &postpaid, false).await;
        }
        office
            .run(
                "UPDATE subscription SET state = 'active',
                   bill_anchor = '2027-01-30T09:00Z', term_start = '2027-01-30T09:00Z',
                   term_end = '2027-02-28T09:00Z', term_no = 1, due_at = '2027-01-30T09:00Z'
                  WHERE subscriber_id IN (SELECT id FROM subscriber WHERE username LIKE 'p%')",
            )
            .await;
        let until = "2027-09-01T00:00:00Z";
        if cut {
            let step = SignedDuration::from_mins(5);
            for n in 0..60 {
                let run = world.app.jobs().run_between(office.now, at(until), step);
                let patience = std::time::Duration::from_millis(7 + n * 13 % 90);
                let _ = tokio::time::timeout(patience, run).await;
            }
        }
        office.go(until).await;
        office.the_books_are_right().await;
        digests.push(office.digest().await);
    }
    assert_eq!(digests.first(), digests.last());
}

#[tokio::test]
async fn a_month_that_is_closed_stays_as_it_is() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-01-10T06:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    let (amina, _) = office.subscription("amina", &version, false).await;
    office.pay(&amina, 150_000).await;
    office.go("2027-01-20T00:00:00Z").await;
    let actor = Actor::command_line(office.tenant);
    let closings = world.app.closings();
    let january = "2027-01-01".parse().unwrap();
    let early = closings.close_at(&actor, january, at("2027-02-02T00:00:00Z")).await;
    assert!(early.is_err(), "its nights are not done: {early:?}");
    office.go("2027-02-02T00:00:00Z").await;
    let closed = closings.close_at(&actor, january, at("2027-02-02T00:00:00Z")).await.unwrap();
    assert_eq!(closed.debits, closed.credits);
    assert_eq!(closed.entries, 1 + 1 + 22, "a payment, an invoice, and the nights of January");
    let again = closings.close_at(&actor, january, at("2027-03-02T00:00:00Z")).await;
    assert!(again.is_err(), "{again:?}");
    let listed = office.owner.get("/api/finance/closings").await.is(200);
    assert_eq!(listed.body[0]["month"], "2027-01-01");
    office
        .owner
        .post("/api/finance/closings", json!({ "month": "2027-01-02" }))
        .await
        .problem(422, "invalid-fields");

    let back = Office { now: at("2027-01-31T12:00:00Z"), owner: world.staff(""), ..office };
    let sql = format!(
        "BEGIN; SET LOCAL search_path = kennet; SET LOCAL ROLE kennet_app;
         SET LOCAL kennet.tenant_id = '{}'; SET LOCAL kennet.scope = 'tenant';
         SELECT apply_payments(ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY['mpesa'],
           ARRAY['LATE'], ARRAY['600000'], ARRAY['{}'::uuid], ARRAY[NULL::uuid],
           ARRAY[100::bigint], ARRAY['{now}'::timestamptz], ARRAY['{now}'::timestamptz]); COMMIT",
        back.tenant.as_uuid(),
        uuid_of(&amina),
        now = back.now,
    );
    let refused = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&world.admin).await.unwrap_err();
    assert!(refused.to_string().contains("the books are closed until"), "{refused}");
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_later_and_keeps_nobody_else_waiting() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-01-10T06:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    let (amina, id) = office.subscription("amina", &version, false).await;
    let (brian, other) = office.subscription("brian", &version, false).await;
    office.go("2027-01-10T06:01:00Z").await;
    // One subscription that cannot be billed: its term has no end on any calendar.
    office.pay(&amina, 150_000).await;
    office.pay(&brian, 150_000).await;
    let broken = format!(
        "UPDATE subscription SET term_start = '2027-01-01',
        term_end = '9999-12-30', bill_anchor = '9999-12-01', state = 'active',
        due_at = '2027-01-01' WHERE id = '{}'",
        uuid_of(&id)
    );
    sqlx::raw_sql(AssertSqlSafe(broken)).execute(&world.admin).await.unwrap();
    office.go("2027-01-10T06:05:00Z").await;
    assert_eq!(office.state(&other).await, "active");
    let put_off = office.show(&id).await;
    assert_eq!(put_off["state"], "active");
    assert_eq!(
        office
            .sql(
                "SELECT max(due_at) > '2027-01-10T07:00Z' FROM subscription
                     WHERE term_end > '9999-01-01'"
            )
            .await,
        "true"
    );

    // A night that fails.
    office
        .run(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN RAISE EXCEPTION ''out of paper''; END';
             CREATE TRIGGER fail BEFORE INSERT ON recognition
               FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    let step = SignedDuration::from_mins(5);
    let jobs = world.app.jobs();
    let until = at("2027-01-10T21:00:15Z");
    let ran = jobs.run_between(office.now, until, step).await.unwrap();
    assert_eq!(ran.failed, 2, "at once, and after ten seconds: {ran:?}");
    let errors = async || {
        let listed = office.owner.get("/api/jobs").await.is(200);
        let jobs = listed.body.as_array().unwrap().clone();
        jobs.iter().filter_map(|job| job["last_error"].as_str().map(str::to_owned)).collect()
    };
    let wrong: Vec<String> = errors().await;
    assert!(wrong.iter().all(|error| error.contains("out of paper")), "{wrong:?}");
    assert_eq!(wrong.len(), 1);
    office.run("DROP TRIGGER fail ON recognition").await;
    let ran = jobs.run_between(until, at("2027-01-12T00:00:00Z"), step).await.unwrap();
    assert_eq!(ran.failed, 0);
    assert_eq!(errors().await, Vec::<String>::new());
    office.the_books_are_right().await;
}

/// Two controllers at a time bill nothing twice and leave nothing out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_controllers_bill_what_one_would() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-01-29T09:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    for n in 0..12 {
        let (who, _) = office.subscription(&format!("s{n}"), &version, true).await;
        office.pay(&who, 150_000 * 4).await;
    }
    let (jobs, step) = (world.app.jobs(), SignedDuration::from_mins(5));
    let until = at("2027-06-15T00:00:00Z");
    let (one, other) = tokio::join!(
        jobs.run_between(office.now, until, step),
        jobs.run_between(office.now, until, step)
    );
    assert_eq!((one.unwrap().failed, other.unwrap().failed), (0, 0));
    office.go("2027-06-15T00:00:00Z").await;
    assert_eq!(world.count("SELECT count(*) FROM subscription_period").await, 48);
    assert_eq!(world.count("SELECT count(*) FROM invoice WHERE state = 'finalised'").await, 48);
    assert_eq!(office.owner.balance("wallet").await, 0);
    assert_eq!(office.owner.balance("deferred:subscription").await, 0);
    assert_eq!(office.owner.balance("revenue:internet").await, -48 * 112_444);
    office.the_books_are_right().await;
}
