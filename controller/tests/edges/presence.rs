//! Births, deaths and commands.

use std::time::Duration;

use controller::edges::office::Outcome;
use controller::{clock, edges::live::Glimpse};
use shared::{
    id::{EdgeId, EpochId},
    octets::Counters,
    wire::{
        latest::{
            ack::Verdict,
            command::{Action, Command, Effect, Reply},
            live::{Live, LiveSession, Percentiles, RoundTrips},
            state::State,
        },
        topic::Leaf,
    },
};
use uuid::Uuid;

use crate::{
    edge::{Edge, session},
    world::{Kind, World},
};

const LIFE: &str = "SELECT concat_ws(' ', online, birth, applied_revision) FROM edge";

async fn births_and_deaths_are_seen(kind: Kind) {
    let world = World::new(kind).await;
    let epoch = EpochId::from_uuid(Uuid::now_v7());
    let mut edge = Edge::connect(&world, 1).await;
    edge.be_born(1, epoch, 4).await;
    assert_eq!(edge.acked().await, (1, Verdict::Committed));
    assert_eq!(world.ask(LIFE).await, "t 1 4");
    let said = "SELECT concat_ws(' ', state->>'version', state->'interfaces'->>0, \
                abs((state->>'clock_offset_ms')::bigint) < 60000, last_seen IS NOT NULL) FROM edge";
    assert_eq!(world.ask(said).await, "1.2.3 lan0 t t");

    // The same life says more.
    edge.be_born(1, epoch, 5).await;
    world.until(LIFE, "t 1 5").await;

    // Cut off: the broker tells.
    drop(edge);
    world.until(LIFE, "f 1 5").await;

    let mut edge = Edge::connect(&world, 2).await;
    edge.be_born(2, epoch, 5).await;
    edge.acked().await;
    // The will of an earlier life, late.
    edge.say(Leaf::State, &State::Offline { birth: 1 }).await;
    // Answered after the will, so the will has been heard.
    edge.be_born(2, epoch, 6).await;
    world.until(LIFE, "t 2 6").await;
    edge.say(Leaf::State, &State::Offline { birth: 2 }).await;
    world.until(LIFE, "f 2 6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn births_and_deaths_are_seen_over_the_embedded_broker() {
    births_and_deaths_are_seen(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn births_and_deaths_are_seen_over_mosquitto() {
    births_and_deaths_are_seen(Kind::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_answered_with_what_was_observed() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    let session = session();
    let office = world.office.clone();
    let id = world.edge;
    let asked =
        async { office.command(id, Action::Disconnect { session }, clock::now()).await.unwrap() };
    let answered = async {
        let command: Command = edge.told(Leaf::DownCommand).await;
        assert_eq!(command.action, Action::Disconnect { session });
        assert!(command.expires_at_ms > World::now_ms());
        edge.say(Leaf::UpReply, &Reply { id: command.id, effect: Effect::Done }).await;
    };
    let (outcome, ()) = tokio::join!(asked, answered);
    assert_eq!(outcome, Outcome::Effect(Effect::Done));

    let nobody = EdgeId::from_uuid(Uuid::now_v7());
    let outcome = office.command(nobody, Action::Reload, clock::now()).await.unwrap();
    assert!(matches!(outcome, Outcome::Pending(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_counters_are_seen_and_never_booked() {
    let world = World::new(Kind::Embedded).await;
    let edge = Edge::connect(&world, 1).await;
    let session = session();
    let counters = Counters { down_bytes: 77, ..Counters::default() };
    let subscriber = Some(Percentiles { p50_us: 20_000, p95_us: 31_000 });
    let round_trips = RoundTrips { subscriber, internet: None };
    let sessions = vec![LiveSession { session, counters, round_trips }];
    edge.say(Leaf::UpLive, &Live { at_ms: 5, sessions }).await;
    let mut seen = None;
    for _ in 0..400 {
        seen = world.office.live.of(world.edge, session);
        if seen.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(seen, Some(Glimpse { at_ms: 5, counters, round_trips }));
    assert_eq!(world.ask("SELECT count(*) FROM session").await, "0");
}

/// Nobody rang: the next word of an edge whose access is gone ends its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_revoked_by_hand_is_cut_off_when_it_speaks() {
    let world = World::new(Kind::Embedded).await;
    let mut edge = Edge::connect(&world, 1).await;
    world.run("UPDATE edge SET revoked = true".to_owned()).await;
    edge.be_born(1, EpochId::from_uuid(Uuid::now_v7()), 0).await;
    edge.cut_off().await;
    assert_eq!(world.ask("SELECT online FROM edge").await, "false");
}

/// The edge says it once; the database is back later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_birth_while_the_database_is_away_is_noted_when_it_is_back() {
    let world = World::new(Kind::Embedded).await;
    let edge = Edge::connect(&world, 1).await;
    world.run("ALTER TABLE edge RENAME TO edge_away".to_owned()).await;
    edge.be_born(1, EpochId::from_uuid(Uuid::now_v7()), 3).await;
    edge.say(Leaf::State, &State::Offline { birth: 1 }).await;
    edge.be_born(2, EpochId::from_uuid(Uuid::now_v7()), 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.run("ALTER TABLE edge_away RENAME TO edge".to_owned()).await;
    world.until(LIFE, "t 2 4").await;
}
