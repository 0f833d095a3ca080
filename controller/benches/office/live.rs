//! The list of who is on-line, with 100,000 on-line: how long a page takes, and how many rows the
//! database reads for it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::PgPool;

use crate::{
    Pace,
    fill::Provider,
    sheet::{Sheet, Times, float},
    stand::{self, Stand},
};

pub(crate) const CASE: &str = "live view, 100,000 sessions";

const PAGE: (&str, &str) = ("a page of sessions, p50", "ms");
const PAGE_LATE: (&str, &str) = ("a page of sessions, p99", "ms");
const READ: (&str, &str) = ("rows read for a row shown", "");
const SCANS: (&str, &str) = ("scans of the whole table", "");

pub(crate) async fn measure(
    stand: &Stand,
    pool: &PgPool,
    provider: &Provider,
    sheet: &mut Sheet,
    pace: &Pace,
) -> anyhow::Result<()> {
    fill(pool, provider).await?;
    let edge = stand::ask(
        pool,
        "SELECT edge_id FROM session WHERE stopped_at IS NULL ORDER BY id LIMIT 1",
    );
    let edge = format!("edge_{}", edge.await?.replace('-', ""));
    let subscriber = provider.subscriber(7);
    let token = provider.add_operator(pool, "noc").await?;
    let http = reqwest::Client::new();
    let mut before = Read::settled(pool).await?;
    for (name, query) in [
        ("all", String::new()),
        ("of an edge", format!("&edge={edge}")),
        ("of a subscriber", format!("&subscriber={subscriber}")),
    ] {
        let mut times = Times::default();
        let (mut shown, mut after) = (0, None);
        for _ in 0..pace.pick(50, 500) {
            let mut url = stand.url(&format!("/api/sessions?state=live&limit=100{query}"));
            if let Some(after) = &after {
                url = format!("{url}&after={after}");
            }
            let began = Instant::now();
            let reply = http.get(url).bearer_auth(&token).send().await?.error_for_status()?;
            let some: Value = serde_json::from_slice(&reply.bytes().await?)?;
            times.push(began.elapsed());
            shown += some.get("items").and_then(Value::as_array).context("a page")?.len() as u64;
            after = some.get("next").and_then(Value::as_str).map(str::to_owned);
        }
        let now = Read::settled(pool).await?;
        let read = now.since(before);
        before = now;
        ensure!(shown > 0, "nobody is on-line");
        let case = format!("{CASE}, {name}");
        sheet.add(PAGE, &case, "controller", times.within(500));
        sheet.add(PAGE_LATE, &case, "controller", times.within(990));
        sheet.add(READ, &case, "controller", float(read.rows) / float(shown));
        sheet.add(SCANS, &case, "controller", float(read.scans));
    }
    Ok(())
}

/// Until 100,000 are on-line.
async fn fill(pool: &PgPool, provider: &Provider) -> anyhow::Result<()> {
    let live = "SELECT count(*) FROM session WHERE stopped_at IS NULL";
    let there: u64 = stand::ask(pool, live).await?.parse()?;
    let missing = ON_LINE.saturating_sub(there);
    if missing > 0 {
        let edge = provider.add_edge(pool).await?.edge;
        let (tenant, edge) = (provider.tenant.as_uuid(), edge.as_uuid());
        let sql = format!(
            "INSERT INTO session (tenant_id, id, edge_id, username, started_at, down_bytes,
                                  up_bytes, down_packets, up_packets, updated_at)
               SELECT '{tenant}', gen_random_uuid(), '{edge}', 's' || i, now(), 0, 0, 0, 0, now()
                 FROM generate_series(1, {missing}) i"
        );
        stand::run(pool, &sql).await?;
    }
    stand::run(pool, "ANALYZE session").await
}

/// What the database has read of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    scans: u64,
    rows: u64,
}

impl Read {
    /// Connections that have nothing to do tell what they have read after ten seconds.
    async fn settled(pool: &PgPool) -> anyhow::Result<Self> {
        tokio::time::sleep(Duration::from_secs(11)).await;
        let sql = "SELECT concat_ws(' ', seq_scan, seq_tup_read + idx_tup_fetch)
                     FROM pg_stat_all_tables
                    WHERE schemaname = 'kennet' AND relname = 'session'";
        let text = stand::ask(pool, sql).await?;
        let (scans, rows) = text.split_once(' ').context("two numbers")?;
        Ok(Self { scans: scans.parse()?, rows: rows.parse()? })
    }

    const fn since(self, before: Self) -> Self {
        Self { scans: self.scans - before.scans, rows: self.rows - before.rows }
    }
}

const ON_LINE: u64 = 100_000;
