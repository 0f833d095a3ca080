//! Edges that report, all at once: as an edge does, each a few batches ahead of what is
//! acknowledged, and again from there when that takes too long.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use controller::clock;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, PublishOptions, QoS, SubscribeReasonCode,
};
use shared::{
    id::EpochId,
    wire::{
        latest::{
            ack::{Ack, Verdict},
            state::{Birth, State},
        },
        topic::{self, Leaf, Topic},
    },
};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::{fill::Account, sheet::Times, stand, story::Letter};

/// An edge that is connected.
pub(crate) struct Edge {
    account: Account,
    epoch: EpochId,
    client: AsyncClient,
    events: EventLoop,
}

/// What came of what an edge has sent.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// From sending a batch to hearing that it is committed.
    pub(crate) acks: Times,
    /// Batches that went out more than once.
    pub(crate) again: u64,
}

impl Edge {
    pub(crate) async fn connect(
        address: SocketAddr,
        account: &Account,
        epoch: EpochId,
    ) -> anyhow::Result<Self> {
        let name = account.edge.to_string();
        let mut options =
            MqttOptions::new(name.clone(), (address.ip().to_string(), address.port()));
        options.set_credentials(name, account.secret.expose().to_owned());
        options.set_clean_start(true);
        options.set_keep_alive(20);
        options.set_max_packet_size(Some(1 << 20));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, events) = AsyncClient::builder(options).capacity(64).build();
        client.try_subscribe(topic::down_of(account.edge), QoS::AtLeastOnce)?;
        let mut edge = Self { account: account.clone(), epoch, client, events };
        loop {
            if let Packet::SubAck(answer) = edge.packet().await? {
                let granted = |code| matches!(code, &SubscribeReasonCode::Success(_));
                ensure!(answer.return_codes.iter().all(granted), "the edge may not listen");
                break;
            }
        }
        let birth = State::Online(Birth {
            birth: 1,
            version: "1.0.0".to_owned(),
            epoch,
            applied_revision: 0,
            clock_ms: now_ms(),
            journal_depth: 0,
            interfaces: vec!["lan0".to_owned()],
            capabilities: Vec::new(),
        });
        let birth = serde_json::to_vec(&birth)?;
        let options = PublishOptions::at_least_once().retained();
        edge.client.try_publish(edge.topic(Leaf::State), birth, options)?;
        // It is answered with where the books are.
        edge.ack().await?;
        Ok(edge)
    }

    /// Until all is acknowledged. Each `LOOK_EVERY`th acknowledgement is held against the books.
    async fn deliver(&mut self, letters: &[Letter], books: &PgPool) -> anyhow::Result<Report> {
        let end = letters.last().context("something to report")?.next_seq;
        let mut report = Report::default();
        let mut flights: VecDeque<(u64, Instant)> = VecDeque::new();
        let (mut next, mut sent, mut acks, mut acked) = (0, 0, 0_u32, 0);
        while acked < end {
            while let Some(letter) = letters.get(next).filter(|_| flights.len() < WINDOW) {
                let topic = self.topic(Leaf::UpJournal);
                let options = PublishOptions::at_least_once();
                self.client.try_publish(topic, letter.payload.clone(), options)?;
                flights.push_back((letter.next_seq, Instant::now()));
                report.again += u64::from(next < sent);
                next += 1;
                sent = sent.max(next);
            }
            let ack = tokio::time::timeout(PATIENCE, self.ack()).await;
            let (next_seq, is_lost) = match ack {
                Ok(Ok(Ack { next_seq, verdict: Verdict::Committed, .. })) => (next_seq, false),
                Ok(Ok(Ack { next_seq, verdict: Verdict::Gap, .. })) => (next_seq, true),
                Ok(Ok(Ack { verdict: Verdict::Forked, .. })) => bail!("the journal is refused"),
                Ok(Err(error)) => return Err(error),
                Err(_) => (acked, true),
            };
            acked = acked.max(next_seq);
            while flights.front().is_some_and(|(next_seq, _)| *next_seq <= acked) {
                let (_, since) = flights.pop_front().context("it was there")?;
                report.acks.push(since.elapsed());
            }
            if is_lost {
                flights.clear();
                next = letters.partition_point(|letter| letter.next_seq <= acked);
            }
            acks += 1;
            if acks % LOOK_EVERY == 0 {
                self.look(next_seq, books).await?;
            }
        }
        Ok(report)
    }

    /// What was acknowledged is committed: another connection sees it.
    async fn look(&self, next_seq: u64, books: &PgPool) -> anyhow::Result<()> {
        let sql = format!(
            "SELECT next_seq FROM journal_cursor WHERE edge_id = '{}' AND epoch = '{}'",
            self.account.edge.as_uuid(),
            self.epoch.as_uuid()
        );
        let there: u64 = stand::ask(books, &sql).await?.parse()?;
        ensure!(there >= next_seq, "acknowledged to {next_seq}, and the books are at {there}");
        Ok(())
    }

    fn topic(&self, leaf: Leaf) -> String {
        Topic { edge: self.account.edge, leaf }.to_string()
    }

    async fn ack(&mut self) -> anyhow::Result<Ack> {
        let topic = self.topic(Leaf::DownAck);
        loop {
            if let Packet::Publish(publish) = self.packet().await?
                && publish.topic == topic.as_bytes()
            {
                return Ok(serde_json::from_slice(&publish.payload)?);
            }
        }
    }

    async fn packet(&mut self) -> anyhow::Result<Packet> {
        loop {
            if let Event::Incoming(packet) = self.events.poll().await? {
                return Ok(packet);
            }
        }
    }
}

/// All at once, each what is its own; and how long it took until the last was acknowledged.
pub(crate) async fn report(
    edges: Vec<Edge>,
    letters: Vec<Vec<Letter>>,
    books: &PgPool,
) -> anyhow::Result<(Vec<Edge>, Report, Duration)> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (mut edge, letters) in edges.into_iter().zip(letters) {
        let books = books.clone();
        running.spawn(async move {
            let report = edge.deliver(&letters, &books).await?;
            Ok::<_, anyhow::Error>((edge, report))
        });
    }
    let mut all = Report::default();
    let mut edges = Vec::new();
    while let Some(done) = running.join_next().await {
        let (edge, report) = done??;
        all.acks.append(report.acks);
        all.again += report.again;
        edges.push(edge);
    }
    let took = began.elapsed();
    edges.sort_by_key(|edge| edge.account.edge);
    Ok((edges, all, took))
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(clock::now().as_millisecond()).unwrap_or_default()
}

/// As an edge's.
const WINDOW: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: u32 = 50;
