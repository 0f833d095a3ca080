//! A journal's way into the books: once, whatever happens on the way.

use prost::Message as _;
use shared::{
    id::{EdgeId, SessionId, SubscriberId, TenantId},
    wire::{
        latest::{
            ack::Verdict,
            journal::{AuthFailures, EdgeStarted, Event},
        },
        topic::Leaf,
    },
};
use uuid::Uuid;

use controller::{
    clock,
    sessions::{ApplyError, ingest::Batch},
};

use crate::{
    edge::{Edge, Journal, session},
    world::{Kind, World},
};

/// A session from its start to its stop, with five reports between.
fn life_of(session: SessionId) -> Journal {
    let mut journal = Journal::new();
    journal.start(session, |_| {});
    (1..=5).for_each(|n| journal.usage(session, n * 1000, n * 100));
    journal.stop(session, 5500, 550);
    journal
}

async fn check_the_life(world: &World, session: SessionId) {
    let of = format!("FROM session WHERE id = '{}'", session.as_uuid());
    let got = world
        .ask(&format!(
            "SELECT concat_ws(' ', username, mac, host(ip), metering, down_kbps, up_kbps, cause, \
             down_bytes, up_bytes, down_packets, up_packets, stopped_at >= started_at) {of}"
        ))
        .await;
    assert_eq!(got, "amina 02:00:00:00:00:01 10.0.0.20 kernel 10000 5000 1 5500 550 5 0 t");
    let usage = world.ask("SELECT concat_ws(' ', sum(down_bytes), sum(up_bytes)) FROM usage").await;
    assert_eq!(usage, "5500 550");
}

async fn what_is_acknowledged_is_in_the_books_once(kind: Kind) {
    let world = World::new(kind).await;
    let mut edge = Edge::connect(&world, 1).await;
    let session = session();
    let journal = life_of(session);

    edge.be_born(1, journal.epoch, 0).await;
    assert_eq!(edge.acked().await, (1, Verdict::Committed));

    assert_eq!(edge.report(&journal.batch(3, 5)).await, (1, Verdict::Gap));
    assert_eq!(world.ask("SELECT count(*) FROM session").await, "0");
    assert_eq!(edge.report(&journal.batch(1, 4)).await, (4, Verdict::Committed));
    assert_eq!(world.ask("SELECT down_bytes FROM session").await, "2000");
    assert_eq!(edge.report(&journal.batch(1, 4)).await, (4, Verdict::Committed), "a replay");
    assert_eq!(edge.report(&journal.batch(2, 7)).await, (7, Verdict::Committed), "an overlap");
    assert_eq!(edge.report(&journal.batch(1, 3)).await, (7, Verdict::Committed), "an old one");
    assert_eq!(edge.report(&journal.all()).await, (journal.head(), Verdict::Committed));
    check_the_life(&world, session).await;
    assert_eq!(world.ask("SELECT forked_at IS NULL FROM edge").await, "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_in_the_books_once_over_the_embedded_broker() {
    what_is_acknowledged_is_in_the_books_once(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_in_the_books_once_over_mosquitto() {
    what_is_acknowledged_is_in_the_books_once(Kind::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_is_refused_and_remembered() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let journal = life_of(session());
    assert_eq!(edge.report(&journal.batch(1, 5)).await, (5, Verdict::Committed));

    // A disk that was restored: the same epoch goes on in another way.
    let mut other = Journal::new();
    other.epoch = journal.epoch;
    (1..=9).for_each(|n| other.usage(session(), n, n));
    let before = world.ask("SELECT count(*) FROM session").await;
    for batch in [other.batch(5, 8), other.batch(3, 8), other.batch(1, 8), other.batch(4, 5)] {
        assert_eq!(edge.report(&batch).await, (5, Verdict::Forked));
    }
    assert_eq!(world.ask("SELECT count(*) FROM session").await, before);
    assert_eq!(world.ask("SELECT forked_at IS NULL FROM edge").await, "false");

    // The true one still continues, and a new journal is a new history.
    assert_eq!(edge.report(&journal.batch(5, 7)).await, (7, Verdict::Committed));
    let anew = life_of(session());
    assert_eq!(edge.report(&anew.all()).await, (anew.head(), Verdict::Committed));
    assert_eq!(world.ask("SELECT forked_at IS NULL FROM edge").await, "true");
    assert_eq!(world.ask("SELECT count(*) FROM journal_cursor").await, "2");
}

/// Killed between two batches: who comes back says at once where to go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_was_killed_goes_on_where_its_books_are() {
    let mut world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let session = session();
    let journal = life_of(session);
    edge.be_born(1, journal.epoch, 0).await;
    assert_eq!(edge.acked().await, (1, Verdict::Committed));
    assert_eq!(edge.report(&journal.batch(1, 4)).await, (4, Verdict::Committed));

    // The broker takes this one, and nobody else does or does not.
    let sent = edge.send(Leaf::UpJournal, journal.batch(4, 6).encode_to_vec()).await;
    world.restart_office().await;
    let _ = sent.wait_async().await;
    // Retained births are heard again, and answered with where to send from.
    let next = loop {
        let (next, verdict) = edge.acked().await;
        if verdict == Verdict::Gap {
            break next;
        }
    };
    assert!(next == 4 || next == 6, "{next}");
    let rest = journal.batch(next, journal.head());
    let _ = edge.send(Leaf::UpJournal, rest.encode_to_vec()).await;
    // The batch from before the restart may be acknowledged only now, and first.
    loop {
        let (committed, verdict) = edge.acked().await;
        assert_eq!(verdict, Verdict::Committed);
        if committed == journal.head() {
            break;
        }
        assert_eq!(committed, 6);
    }
    check_the_life(&world, session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_controllers_that_apply_the_same_batches_at_once_book_them_once() {
    let world = World::new(Kind::Embedded).await;
    let session = session();
    let mut journal = Journal::new();
    journal.start(session, |_| {});
    (1..=200).for_each(|n| journal.usage(session, n * 1000, n * 10));
    let batches: Vec<Batch> = (0..20)
        .map(|n| journal.batch(n * 10 + 1, (n * 10 + 11).min(journal.head())))
        .map(|batch| Batch::try_from(batch).unwrap())
        .collect();

    let mut consumers = tokio::task::JoinSet::new();
    for reverse in [false, true, false, true] {
        let (journals, edge, epoch) = (world.office.journals.clone(), world.edge, journal.epoch);
        let mut batches = batches.clone();
        if reverse {
            batches.reverse();
        }
        consumers.spawn(async move {
            loop {
                let mut next_seq = 0;
                for batch in &batches {
                    let batch = std::slice::from_ref(batch);
                    let ack = journals.apply(edge, epoch, batch, clock::now()).await.unwrap();
                    assert_ne!(ack.verdict, Verdict::Forked);
                    next_seq = ack.next_seq;
                }
                if next_seq == 201 {
                    return;
                }
            }
        });
    }
    consumers.join_all().await;
    // Record 201 is in no batch above.
    let rest = Batch::try_from(journal.batch(201, journal.head())).unwrap();
    let journals = &world.office.journals;
    let ack = journals.apply(world.edge, journal.epoch, &[rest], clock::now()).await.unwrap();
    assert_eq!((ack.next_seq, ack.verdict), (202, Verdict::Committed));
    let got = world.ask("SELECT concat_ws(' ', down_bytes, up_bytes) FROM session").await;
    assert_eq!(got, "200000 2000");
    let usage = "SELECT concat_ws(' ', count(*), sum(down_bytes), sum(up_bytes)) FROM usage";
    assert_eq!(world.ask(usage).await, "200 200000 2000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_kept_and_stops_nothing() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let session = session();
    let mut journal = Journal::new();
    journal.start(session, |started| started.username = "a\0b".to_owned());
    journal.add_bytes(&[8, 1, 0xfa, 1, 0]); // at_ms 1, field 31: an event of a later version
    journal.add_bytes(b"\xff\xff\xff");
    journal.usage(session, i64::MAX as u64 + 1, 0);
    journal.usage(session, 700, 70);
    assert_eq!(edge.report(&journal.all()).await, (6, Verdict::Committed));
    assert_eq!(world.ask("SELECT down_bytes FROM session").await, "700");
    assert_eq!(world.ask("SELECT username FROM session").await, "a\u{fffd}b");
    let odd = "SELECT string_agg(seq || ' ' || reason, ', ' ORDER BY seq) FROM journal_odd";
    let want = "2 a kind of a later version, 3 not a record, 4 a number beyond what can be counted";
    assert_eq!(world.ask(odd).await, want);
    let kept = "SELECT encode(record, 'hex') FROM journal_odd WHERE seq = 2";
    assert_eq!(world.ask(kept).await, "0801fa0100");
}

/// An edge claims; the tenant's rows decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_only_ever_of_the_edges_own_tenant() {
    let world = World::new(Kind::Embedded).await;
    let elsewhere = TenantId::from_uuid(Uuid::now_v7());
    world.add_tenant(elsewhere).await;
    let (ours, subscription) = world.add_subscriber(world.tenant, "amina").await;
    let (theirs, their_subscription) = world.add_subscriber(elsewhere, "baraka").await;
    let nas = world.add_nas(world.tenant, world.edge, "10.0.0.1/32").await;

    let mut edge = Edge::connect(&world, 1).await;
    let mut journal = Journal::new();
    let sessions = [session(), session(), session(), session()];
    let claims: [(Option<SubscriberId>, Vec<u8>); 4] = [
        (Some(ours), subscription.to_vec()),
        (Some(theirs), their_subscription.to_vec()),
        (Some(ours), their_subscription.to_vec()),
        (None, vec![1, 2, 3]),
    ];
    for (session, (subscriber, subscription)) in sessions.iter().zip(claims) {
        journal.start(*session, |started| {
            started.subscriber = subscriber.map(|id| id.to_vec()).unwrap_or_default();
            started.subscription = subscription;
            started.nas = nas.to_vec();
        });
    }
    assert_eq!(edge.report(&journal.all()).await, (5, Verdict::Committed));
    let of = |session: &SessionId| {
        format!(
            "SELECT concat_ws(' ', coalesce(subscriber_id::text, '-'), \
             coalesce(subscription_id::text, '-'), tenant_id) FROM session WHERE id = '{}'",
            session.as_uuid()
        )
    };
    let tenant = world.tenant.as_uuid();
    let full = format!("{} {} {tenant}", ours.as_uuid(), subscription.as_uuid());
    assert_eq!(world.ask(&of(&sessions[0])).await, full);
    assert_eq!(world.ask(&of(&sessions[1])).await, format!("- - {tenant}"));
    assert_eq!(world.ask(&of(&sessions[2])).await, format!("{} - {tenant}", ours.as_uuid()));
    assert_eq!(world.ask(&of(&sessions[3])).await, format!("- - {tenant}"));
    let nas_known = "SELECT count(*) FROM session WHERE nas_id IS NOT NULL";
    assert_eq!(world.ask(nas_known).await, "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_cannot_write_another_edges_session() {
    let world = World::new(Kind::Embedded).await;
    let other = EdgeId::from_uuid(Uuid::now_v7());
    world.add_edge(world.tenant, other, &world.secret).await;
    let journals = &world.office.journals;
    let apply = async |edge, journal: &Journal| {
        let batch = Batch::try_from(journal.all()).unwrap();
        journals.apply(edge, journal.epoch, &[batch], clock::now()).await
    };
    let session = session();
    let mut theirs = Journal::new();
    theirs.start(session, |_| {});
    theirs.usage(session, 1000, 0);
    apply(other, &theirs).await.unwrap();

    let mut ours = Journal::new();
    ours.usage(session, 9_000_000, 0);
    assert_eq!(apply(world.edge, &ours).await.unwrap().next_seq, 2);
    assert_eq!(world.ask("SELECT down_bytes FROM session").await, "1000");
    assert_eq!(world.ask("SELECT sum(down_bytes) FROM usage").await, "1000");
    assert_eq!(world.ask("SELECT reason FROM journal_odd").await, "a session of another edge");

    let stranger = EdgeId::from_uuid(Uuid::now_v7());
    assert!(matches!(apply(stranger, &ours).await, Err(ApplyError::UnknownEdge)));
}

/// A disk is lost: what was on-line by its journal ends, except what is heard of again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_journal_ends_the_sessions_of_the_old_one() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let (gone, kept) = (session(), session());
    let mut old = Journal::new();
    for one in [gone, kept] {
        old.start(one, |_| {});
        old.usage(one, 1000, 100);
    }
    assert_eq!(edge.report(&old.all()).await, (5, Verdict::Committed));
    let live = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM session \
                WHERE stopped_at IS NULL";
    let mut new = Journal::new();
    new.usage(session(), 5, 5);
    new.usage(kept, 3000, 300);
    assert_eq!(edge.report(&new.batch(1, 2)).await, (2, Verdict::Committed));
    assert!(!world.ask(live).await.contains(&kept.as_uuid().to_string()));
    assert_eq!(edge.report(&new.all()).await, (3, Verdict::Committed));
    assert!(world.ask(live).await.contains(&kept.as_uuid().to_string()));
    let of = |one: SessionId| {
        format!(
            "SELECT concat_ws(' ', cause, down_bytes) FROM session WHERE id = '{}'",
            one.as_uuid()
        )
    };
    assert_eq!(world.ask(&of(gone)).await, "11 1000");
    assert_eq!(world.ask(&of(kept)).await, "3000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_logins_are_counted_by_the_hour_and_starts_are_noted() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let mut journal = Journal::new();
    journal.add(Event::EdgeStarted(EdgeStarted {
        version: "0.9".to_owned(),
        birth: 3,
        sessions: 2,
    }));
    for count in [2, 3] {
        journal.add(Event::AuthFailures(AuthFailures {
            nas_name: "lab".to_owned(),
            username: "amina".to_owned(),
            reason: "wrong password".to_owned(),
            count,
        }));
    }
    assert_eq!(edge.report(&journal.batch(1, 3)).await, (3, Verdict::Committed));
    assert_eq!(edge.report(&journal.batch(1, 4)).await, (4, Verdict::Committed));
    // Two rows if the hour struck in between.
    assert_eq!(world.ask("SELECT sum(count) FROM auth_failure").await, "5");
    assert_eq!(world.ask("SELECT program FROM edge").await, "0.9");
}

/// What belongs to one tenant is not there for another, whatever the query says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_the_journals_is_behind_row_level_security() {
    let world = World::new(Kind::Embedded).await;
    world
        .until("SELECT count(*) > 1 FROM pg_inherits WHERE inhparent = 'usage'::regclass", "true")
        .await;
    let open = world
        .ask(
            "SELECT string_agg(c.relname, ' ') FROM pg_class c \
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' \
             WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p') \
               AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await;
    assert_eq!(open, "-", "not protected");
}
