//! Bytes that edges are lent.

use sqlx::PgPool;
use uuid::Uuid;

use super::steps::{redeem, subscriber};
use crate::world::{A, Books, EDGE, Found, ask, is, race, refused, run};

checks! { OF_THE_DESIGN:
    a_quota_is_leased_once: "60 leases of 100 MB from 1 GiB at once: eleven, to the byte", |books| {
        let (edges, entitlement) = granted(books).await;
        race(&edges, 60, |n| lease(&entitlement, n, 100_000_000)).await;
        is(&books.a, "SELECT concat_ws(' ', count(*), sum(bytes)) FROM quota_lease",
            "11 1073741824").await
    }
    a_lease_is_settled_once: "a lease is settled once", |books| {
        let (edges, entitlement) = granted(books).await;
        run(&edges, &lease(&entitlement, 1, 100_000_000)).await;
        let settle = "SELECT bool_or(settle_lease(id, 40000000)) FROM quota_lease";
        is(&edges, settle, "true").await?;
        is(&edges, settle, "false").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "40000000 0").await
    }
    a_lease_is_not_overspent: "no more is used than was leased", |books| {
        let (edges, entitlement) = granted(books).await;
        run(&edges, &lease(&entitlement, 1, 100_000_000)).await;
        let sql = "SELECT settle_lease(id, 200000000) FROM quota_lease";
        refused(&edges, sql, "quota_lease_not_overspent").await
    }
    leases_are_what_is_leased: "what is leased is the sum of open leases", |books| {
        let (edges, entitlement) = granted(books).await;
        race(&edges, 8, |n| lease(&entitlement, n, 1_000_000)).await;
        run(&edges, "SELECT settle_lease(id, 1) FROM quota_lease WHERE fence < 4").await;
        is(&books.admin, "SELECT count(*) FROM entitlement e WHERE bytes_leased <>
            (SELECT coalesce(sum(bytes), 0) FROM quota_lease q
              WHERE q.tenant_id = e.tenant_id AND q.entitlement_id = e.id AND q.state = 'open')",
            "0").await?;
        is(&books.a, "SELECT bytes_consumed FROM entitlement", "4").await
    }
}

checks! { ADDED:
    edges_share_a_quota: "two edges are lent no more than was bought, and what one gives back is \
        the other's", |books| {
        let (edges, _) = granted(books).await;
        let other = other_edge(books).await;
        // One GiB: what is asked for and a little later still not used is asked for once.
        is(&edges, &lend(EDGE, 1, 1, 0, 700_000_000), "700000000 373741824 0 1").await?;
        is(&edges, &lend(EDGE, 1, 2, 0, 700_000_000), "700000000 373741824 0 2").await?;
        is(&edges, &lend(other, 1, 1, 0, 700_000_000), "373741824 0 700000000 1").await?;
        is(&edges, &lend(EDGE, 1, 3, 100_000_000, 0), "100000000 600000000 373741824 3").await?;
        is(&edges, &lend(other, 1, 2, 373_741_824, 700_000_000), "973741824 0 0 2").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "473741824 600000000").await
    }
    many_questions_lend_once: "60 questions of two edges at once, and never more than was \
        bought", |books| {
        let (edges, _) = granted(books).await;
        let other = other_edge(books).await;
        // No edge asks for all of it, and both together ask for more than there is.
        race(&edges, 60, |n| {
            let edge = if n % 2 == 0 { EDGE } else { other };
            lend(edge, 1, n, 0, 16_000_000 * i64::try_from(n).expect("a few"))
        }).await;
        is(&books.a, "SELECT sum(bytes) <= 1073741824 AND count(DISTINCT edge_id) = 2
            FROM quota_lease WHERE state = 'open'", "true").await?;
        is(&books.a, "SELECT e.bytes_leased = (SELECT sum(l.bytes) FROM quota_lease l
            WHERE l.state = 'open') FROM entitlement e", "true").await
    }
    an_old_question_changes_nothing: "who asks late, or twice, is lent nothing for it", |books| {
        let (edges, _) = granted(books).await;
        is(&edges, &lend(EDGE, 1, 5, 0, 100), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 5, 0, 900), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 4, 0, 900), "100 1073741724 0 5").await?;
        is(&edges, &lend(EDGE, 1, 4, 0, 0), "100 1073741724 0 5").await
    }
    a_lost_count_is_all_used: "of a count that is lost, all that was lent is used", |books| {
        let (edges, _) = granted(books).await;
        is(&edges, &lend(EDGE, 1, 1, 0, 100), "100 1073741724 0 1").await?;
        is(&edges, &lend(EDGE, 2, 2, 0, 50), "50 1073741674 0 2").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "100 50").await
    }
    a_revoked_edge_is_lent_nothing: "an edge that is revoked is lent nothing", |books| {
        let (edges, _) = granted(books).await;
        run(&books.a, &format!("UPDATE edge SET revoked = true WHERE id = '{EDGE}'")).await;
        is(&edges, &lend(EDGE, 1, 1, 0, 100), "NULL").await?;
        is(&books.a, "SELECT count(*) FROM quota_lease", "0").await
    }
    what_ends_first_is_used_first: "of two vouchers the one that ends first is used first, and both \
        are counted from its beginning", |books| {
        let (edges, _) = granted(books).await;
        run(&books.a, &redeem("code2", 41)).await;
        let session = session(books).await;
        is(&edges, &passed(&session, 1_500_000_000), "true").await?;
        is(&books.a, "SELECT string_agg(concat_ws(' ', e.bytes_consumed, v.state), ', '
            ORDER BY lower(e.valid)) FROM entitlement e JOIN voucher v ON v.id = e.source_id",
            "1073741824 exhausted, 426258176 active").await?;
        is(&books.a, "SELECT count(DISTINCT counted_from) = 1 AND
            min(counted_from) = min(lower(valid)) FROM entitlement", "true").await?;
        // What is too much is nobody's.
        is(&edges, &passed(&session, 1_000_000_000), "true").await?;
        is(&books.a, "SELECT concat_ws(' ', sum(bytes_consumed), sum(bytes_over)) FROM entitlement",
            "2147483648 352516352").await
    }
    what_is_counted_is_lent_once: "what an edge has counted before it leases comes out of nothing \
        else, and what it leases is not counted besides", |books| {
        let (edges, _) = granted(books).await;
        let session = session(books).await;
        run(&edges, &format!("INSERT INTO usage (tenant_id, booked_on, session_id, edge_id, epoch,
            seq, at, down_bytes, up_bytes, down_packets, up_packets) VALUES ('{A}', now(),
            '{session}', '{EDGE}', '{session}', 1, now(), 1000, 0, 1, 0)")).await;
        run(&edges, &passed(&session, 1000)).await;
        is(&edges, &lend(EDGE, 1, 1, 1000, 500), "1500 1073740324 0 1").await?;
        is(&edges, &passed(&session, 300), "false").await?;
        is(&edges, &lend(EDGE, 1, 2, 1300, 0), "1300 1073740524 0 2").await?;
        is(&books.a, "SELECT concat_ws(' ', bytes_consumed, bytes_leased) FROM entitlement",
            "1300 0").await
    }
    nobody_leases_by_hand: "edges are lent by the function alone", |books| {
        let (edges, entitlement) = granted(books).await;
        let sql = format!("INSERT INTO quota_lease (tenant_id, id, entitlement_id, edge_id, fence,
            bytes, granted_at) VALUES ('{A}', gen_random_uuid(), '{entitlement}', '{EDGE}', 1, 5,
            now())");
        refused(&edges, &sql, "permission denied").await?;
        refused(&edges, "UPDATE entitlement SET bytes_leased = 0", "permission denied").await?;
        refused(&books.a, &lend(EDGE, 1, 1, 0, 100), "permission denied").await
    }
}

/// A voucher's entitlement, and the role that edges are served in.
async fn granted(books: &Books) -> (PgPool, String) {
    run(&books.a, &redeem("code1", 1)).await;
    let id = ask(&books.a, "SELECT id FROM entitlement").await;
    (books.edges(), id)
}

/// The second subscriber is on-line.
async fn session(books: &Books) -> String {
    let id = Uuid::now_v7();
    let sql = format!(
        "SELECT usage_month(now()::date);
         INSERT INTO session (tenant_id, id, edge_id, subscriber_id, started_at, updated_at)
           VALUES ('{A}', '{id}', '{EDGE}', '{}', now(), now())",
        subscriber(2)
    );
    run(&books.edges(), &sql).await;
    id.to_string()
}

fn passed(session: &str, bytes: i64) -> String {
    format!(
        "SELECT use_entitlements('{EDGE}', ARRAY['{session}'::uuid], ARRAY[{bytes}::bigint],
           ARRAY[now()])"
    )
}

fn lease(entitlement: &str, fence: usize, bytes: i64) -> String {
    format!(
        "SELECT * FROM lease_quota(gen_random_uuid(), '{entitlement}', '{EDGE}', {fence}, {bytes},
           now())"
    )
}

async fn other_edge(books: &Books) -> &'static str {
    let sql = format!(
        "INSERT INTO edge (tenant_id, id, name, secret_hash, created_at)
         VALUES ('{A}', '{OTHER_EDGE}', 'south', sha256('y'), now())"
    );
    run(&books.a, &sql).await;
    OTHER_EDGE
}

/// What an edge asks about the second subscriber: in which of its counts, the how-manieth question,
/// what was used there, and how much more it wants in hand. Answers the bound, what is free, what
/// others have, and the newest question.
fn lend(edge: &str, count: u32, fence: usize, used: i64, more: i64) -> String {
    format!(
        "SELECT concat_ws(' ', bytes, free, elsewhere, newest) FROM lease_to_edge('{}', '{edge}',
           '80000000-0000-7000-8000-{count:012x}', '2026-11-01Z', {fence}, {used}, {more}, now())",
        subscriber(2)
    )
}

const OTHER_EDGE: &str = "70000000-0000-7000-8000-000000000002";
