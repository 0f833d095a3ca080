//! Journals of edges: how many records a second are committed, beside copying the same records.

use std::time::Duration;

use anyhow::ensure;
use sqlx::PgPool;

use crate::{
    Pace, copy,
    fill::{Account, Provider},
    fleet::{self, Edge},
    live,
    sheet::{Sheet, float},
    stand::{self, Stand},
    story::{Letter, Story, Told},
};

/// How many edges, how many records a batch, and how many records in all a round.
#[derive(Clone, Copy, Debug)]
struct Case {
    edges: u32,
    batch: u64,
    records: u64,
}

const CASES: &[Case] = &[
    Case { edges: 1, batch: 1_000, records: 200_000 },
    Case { edges: 10, batch: 1_000, records: 200_000 },
    Case { edges: 100, batch: 1_000, records: 300_000 },
    Case { edges: 1, batch: 10, records: 10_000 },
    Case { edges: 10, batch: 10, records: 50_000 },
    Case { edges: 100, batch: 10, records: 100_000 },
];

const COMMITTED: (&str, &str) = ("records committed", "/s");
const PER_CPU: (&str, &str) = ("records per second of server CPU", "/s");
const DATABASE: (&str, &str) = ("share of the database in it", "%");
const ACK: (&str, &str) = ("from sending a batch to its acknowledgement, p50", "ms");
const ACK_LATE: (&str, &str) = ("from sending a batch to its acknowledgement, p99", "ms");
const BESIDE: (&str, &str) = ("records committed, beside copying them", "x");
const AGAIN: (&str, &str) = ("batches sent again", "");

const OURS: &str = "controller";
const COPY: &str = "COPY, no index";

pub(crate) async fn measure(sheet: &mut Sheet, pace: &Pace) -> anyhow::Result<()> {
    let stand = Stand::started().await?;
    let pool = stand.admin()?;
    let provider = Provider::make(&pool, SUBSCRIBERS).await?;
    for case in CASES.iter().filter(|case| pace.wants(&case.name())) {
        crate::say(&case.name());
        case.measure(&stand, &pool, &provider, sheet, pace).await?;
    }
    if pace.wants(live::CASE) {
        crate::say(live::CASE);
        live::measure(&stand, &pool, &provider, sheet, pace).await?;
    }
    Ok(())
}

impl Case {
    fn name(self) -> String {
        format!("{} edges, batches of {}", self.edges, self.batch)
    }

    async fn measure(
        self,
        stand: &Stand,
        pool: &PgPool,
        provider: &Provider,
        sheet: &mut Sheet,
        pace: &Pace,
    ) -> anyhow::Result<()> {
        let name = self.name();
        let (mut stories, mut edges) = (Vec::new(), Vec::new());
        for _ in 0..self.edges {
            let account = provider.add_edge(pool).await?;
            let story = Story::new(provider, &account, SESSIONS);
            edges.push(Edge::connect(stand.mqtt, &account, story.epoch).await?);
            stories.push((account, story));
        }
        // Everybody comes on-line; what is measured is the life afterwards.
        let places = SESSIONS as u64;
        (edges, _, _) = fleet::report(edges, letters(&mut stories, places, BATCH), pool).await?;
        // As Postgres does by itself, some time after a table has grown.
        stand::run(pool, "ANALYZE").await?;
        let rounds = pace.pick(1, 3);
        let records = self.records / pace.pick(10, 1) / u64::from(self.edges);
        for _ in 0..rounds {
            let letters = letters(&mut stories, records, self.batch);
            let count = letters.iter().flatten().map(Letter::records).sum::<u64>();
            let copied = copy::all(pool, &stories, &letters).await?;
            let before = stand.cpu()?;
            let (back, report, took) = fleet::report(edges, letters, pool).await?;
            edges = back;
            let cpu = stand.cpu()?.since(before);
            let rate = per_second(count, took);
            sheet.add(COMMITTED, &name, OURS, rate);
            sheet.add(COMMITTED, &name, COPY, per_second(count, copied));
            sheet.add(BESIDE, &name, OURS, rate / per_second(count, copied));
            sheet.add(PER_CPU, &name, OURS, float(count) / cpu.all());
            sheet.add(DATABASE, &name, OURS, 100.0 * cpu.database / cpu.all());
            sheet.add(ACK, &name, OURS, report.acks.within(500));
            sheet.add(ACK_LATE, &name, OURS, report.acks.within(990));
            sheet.add(AGAIN, &name, OURS, float(report.again));
        }
        drop(edges);
        check(pool, &stories).await
    }
}

/// What each edge says next.
fn letters(stories: &mut [(Account, Story)], records: u64, batch: u64) -> Vec<Vec<Letter>> {
    let at_ms = fleet::now_ms();
    let of = |(_, story): &mut (Account, Story)| -> Vec<Letter> {
        (0..records.div_ceil(batch)).map(|_| story.letter(batch, at_ms)).collect()
    };
    stories.iter_mut().map(of).collect()
}

fn per_second(count: u64, took: Duration) -> f64 {
    float(count) / took.as_secs_f64()
}

/// In the books is what was said, all of it, and nothing twice.
async fn check(pool: &PgPool, stories: &[(Account, Story)]) -> anyhow::Result<()> {
    for (account, story) in stories {
        let edge = account.edge.as_uuid();
        let sql = format!(
            "SELECT concat_ws(' ',
                (SELECT sum(next_seq - 1) FROM journal_cursor WHERE edge_id = '{edge}'),
                (SELECT count(*) FROM usage WHERE edge_id = '{edge}'),
                (SELECT count(DISTINCT seq) FROM usage WHERE edge_id = '{edge}'),
                (SELECT count(*) FROM session WHERE edge_id = '{edge}'),
                (SELECT sum(down_bytes) FROM usage WHERE edge_id = '{edge}'),
                (SELECT sum(down_bytes) FROM session WHERE edge_id = '{edge}'),
                (SELECT count(*) FROM journal_odd WHERE edge_id = '{edge}'))"
        );
        let Told { records, readings, sessions, down_bytes } = story.told;
        let want =
            format!("{records} {readings} {readings} {sessions} {down_bytes} {down_bytes} 0");
        let there = stand::ask(pool, &sql).await?;
        ensure!(there == want, "in the books of {edge} is `{there}`, and was said `{want}`");
    }
    Ok(())
}

const SUBSCRIBERS: u32 = 10_000;
/// At once on-line at an edge. All edges of the largest case together: 100,000.
const SESSIONS: usize = 1_000;
/// As many records as an edge puts into a batch when it has so many.
const BATCH: u64 = 1_000;
