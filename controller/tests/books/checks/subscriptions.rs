//! Terms, and what outages give back.

use uuid::Uuid;

use crate::world::{A, Books, Found, SUBSCRIBER, VERSION, is, refused, run, taken};

checks! { OF_THE_DESIGN:
    periods_do_not_overlap: "no moment is billed twice", |books| {
        let subscription = subscribe(books).await;
        run(&books.a, &period(&subscription, "[2026-11-01, 2026-12-01)")).await;
        let sql = period(&subscription, "[2026-11-30, 2026-12-30)");
        refused(&books.a, &sql, "subscription_period_once").await
    }
    a_subscription_does_not_jump: "pending does not become grace", |books| {
        subscribe(books).await;
        refused(&books.a, "UPDATE subscription SET state = 'grace'", "not allowed").await
    }
    a_change_raises_the_revision: "a change of state has a revision and a history", |books| {
        subscribe(books).await;
        run(&books.a, "UPDATE subscription SET state = 'active'").await;
        is(&books.a, "SELECT concat_ws(' ', desired_rev, (SELECT count(*) FROM subscription_event))
            FROM subscription", "2 1").await
    }
    a_lost_hour_is_credited_once: "an hour in two outages is made good once", |books| {
        let subscription = out_of_order(books).await;
        let sql = outage_credit(&subscription, OUTAGE_2, "[2026-11-10 13:00Z, 2026-11-10 15:00Z)");
        refused(&books.a, &sql, "outage_credit_once").await
    }
    the_other_hour_is_credited: "the hour that is left is made good", |books| {
        let subscription = out_of_order(books).await;
        taken(&books.a, &outage_credit(&subscription, OUTAGE_2,
            "[2026-11-10 14:00Z, 2026-11-10 15:00Z)")).await?;
        is(&books.a, "SELECT count(*) FROM outage_credit", "2").await
    }
}

checks! { ADDED:
    what_a_period_was_stays: "a period ends elsewhere, and is otherwise what it was", |books| {
        let subscription = subscribe(books).await;
        run(&books.a, &period(&subscription, "[2026-11-01Z, 2026-12-01Z)")).await;
        taken(&books.a, "UPDATE subscription_period SET rated_bytes = 5,
            during = '[2026-11-01Z, 2026-11-20Z)'").await?;
        for changed in ["during = '[2026-10-01Z, 2026-11-20Z)'", "rated_bytes = 4"] {
            let sql = format!("UPDATE subscription_period SET {changed}");
            refused(&books.a, &sql, "what a period was does not change").await?;
        }
        let sql = "UPDATE subscription_period SET given = true";
        refused(&books.admin, sql, "what a period was does not change").await
    }
    a_subscriber_has_one_plan: "a subscriber has one subscription that is served", |books| {
        subscribe(books).await;
        run(&books.a, "UPDATE subscription SET state = 'active'").await;
        let second = subscribe(books).await;
        let sql = format!("UPDATE subscription SET state = 'active' WHERE id = '{second}'");
        refused(&books.a, &sql, "subscription_live").await
    }
    an_outage_is_one: "what is down is down once at a time", |books| {
        let outage = |id: &str, during: &str| format!("INSERT INTO outage (tenant_id, id, scope_kind,
            scope_id, during, evidence_hash) VALUES ('{A}', '{id}', 'edge', '{A}', '{during}',
            sha256('e'))");
        run(&books.a, &outage(OUTAGE_1, "[2026-11-10 10:00Z, 2026-11-10 14:00Z)")).await;
        let sql = outage(OUTAGE_2, "[2026-11-10 13:00Z, 2026-11-10 15:00Z)");
        refused(&books.a, &sql, "outage_once").await?;
        taken(&books.a, &outage(OUTAGE_2, "[2026-11-10 14:00Z, 2026-11-10 15:00Z)")).await
    }
}

async fn subscribe(books: &Books) -> String {
    let id = Uuid::now_v7().to_string();
    let sql = format!(
        "INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, created_at)
         VALUES ('{A}', '{id}', '{SUBSCRIBER}', '{VERSION}', now())"
    );
    run(&books.a, &sql).await;
    id
}

fn period(subscription: &str, during: &str) -> String {
    format!(
        "INSERT INTO subscription_period VALUES
           ('{A}', gen_random_uuid(), '{subscription}', '{VERSION}', '{during}')"
    )
}

/// Two outages with an hour in common; the first is made good.
async fn out_of_order(books: &Books) -> String {
    let subscription = subscribe(books).await;
    let outages = format!(
        "INSERT INTO outage (tenant_id, id, scope_kind, scope_id, during, evidence_hash) VALUES
           ('{A}', '{OUTAGE_1}', 'edge', gen_random_uuid(),
            '[2026-11-10 10:00Z, 2026-11-10 14:00Z)', sha256('e')),
           ('{A}', '{OUTAGE_2}', 'uplink', gen_random_uuid(),
            '[2026-11-10 13:00Z, 2026-11-10 15:00Z)', sha256('e'))"
    );
    run(&books.a, &outages).await;
    let first = outage_credit(&subscription, OUTAGE_1, "[2026-11-10 10:00Z, 2026-11-10 14:00Z)");
    run(&books.a, &first).await;
    subscription
}

fn outage_credit(subscription: &str, outage: &str, lost: &str) -> String {
    format!(
        "INSERT INTO outage_credit VALUES
           ('{A}', '{outage}', '{subscription}', '{lost}', 208, 'wallet', now())"
    )
}

const OUTAGE_1: &str = "61000000-0000-7000-8000-000000000001";
const OUTAGE_2: &str = "61000000-0000-7000-8000-000000000002";
