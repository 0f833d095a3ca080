//! The least that must be done: the same records as plain rows, copied into a table without an
//! index, a batch a transaction. It keeps no sessions, and a batch that comes twice is there twice.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::ensure;
use controller::clock;
use sqlx::{Connection as _, PgPool};
use tokio::task::JoinSet;

use crate::{
    fill::Account,
    stand,
    story::{Letter, Story},
};

/// How long it takes with one connection for each edge, as far as the controller has some.
pub(crate) async fn all(
    pool: &PgPool,
    stories: &[(Account, Story)],
    letters: &[Vec<Letter>],
) -> anyhow::Result<Duration> {
    stand::run(pool, "DROP TABLE IF EXISTS plain; CREATE TABLE plain (LIKE usage)").await?;
    let mut lanes: Vec<Vec<String>> = vec![Vec::new(); letters.len().min(LANES)];
    let mut records = 0;
    for (at, ((account, story), letters)) in stories.iter().zip(letters).enumerate() {
        let count = lanes.len();
        if let Some(lane) = lanes.get_mut(at % count) {
            lane.extend(letters.iter().map(|letter| text(account, story, letter)));
        }
        records += letters.iter().map(|letter| letter.lines.len()).sum::<usize>();
    }
    let mut connections = Vec::new();
    for _ in &lanes {
        connections.push(pool.acquire().await?);
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (lane, mut connection) in lanes.into_iter().zip(connections) {
        running.spawn(async move {
            for batch in lane {
                let mut tx = connection.begin().await?;
                let mut copy = tx.copy_in_raw("COPY plain FROM STDIN").await?;
                copy.send(batch.as_bytes()).await?;
                copy.finish().await?;
                tx.commit().await?;
            }
            Ok::<_, sqlx::Error>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    let took = began.elapsed();
    let there: usize = stand::ask(pool, "SELECT count(*) FROM plain").await?.parse()?;
    ensure!(there == records, "{there} rows of {records} were copied");
    stand::run(pool, "DROP TABLE plain").await?;
    Ok(took)
}

fn text(account: &Account, story: &Story, letter: &Letter) -> String {
    let (tenant, now) = (story.tenant(), clock::now());
    let today = now.strftime("%Y-%m-%d").to_string();
    let mut text = String::new();
    for line in &letter.lines {
        let counters = line.counters;
        writeln!(
            text,
            "{tenant}\t{today}\t{}\t{}\t{}\t{}\t{now}\t{}\t{}\t{}\t{}",
            line.session.as_uuid(),
            account.edge.as_uuid(),
            story.epoch.as_uuid(),
            line.seq,
            counters.down_bytes,
            counters.up_bytes,
            counters.down_packets,
            counters.up_packets,
        )
        .expect("text has room");
    }
    text
}

/// As the controller's.
const LANES: usize = 4;
