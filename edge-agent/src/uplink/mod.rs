//! The MQTT session with the controller: presence, journal, live counters, commands.
//!
//! It reads the journal from disk and never holds a record that is not there. The desired state
//! is fetched beside it, in [`follow`]. Start at [`Uplink::run`].

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use prost::Message as _;
use shared::{
    daemon::{Chain, Life},
    wire::{
        latest::{
            ack::{Ack, Verdict},
            command::{Action, Command, Effect, Reply},
            live::{Live, LiveSession},
            state::{Birth, State},
        },
        topic::Leaf,
    },
};
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

pub mod follow;
pub mod lend;
mod transport;
mod window;

pub use transport::{Broker, BrokerError};
use transport::{Connection, Received, Sender, TransportError};
use window::Window;

use crate::{
    journal::{JournalError, Reader},
    sessions::{desk::now_ms, event::Event},
    settings,
};

pub struct Uplink {
    pub broker: Broker,
    pub journal: PathBuf,
    pub events: SyncSender<Event>,
    /// The journal's next sequence number, after each write.
    pub written: watch::Receiver<u64>,
    /// The revision of the desired state that the kernel has.
    pub applied: watch::Receiver<u64>,
    /// Told when there may be a newer desired state.
    pub look_again: Arc<Notify>,
    pub births: Births,
    pub interfaces: Vec<String>,
    pub capabilities: Vec<String>,
    pub live_every: Duration,
    pub life: Life,
}

/// Numbers the connections of all lives of this edge: the journal's birth counts starts, and each
/// start numbers its connections.
#[derive(Debug)]
pub struct Births {
    start: u64,
    connections: u64,
}

impl Births {
    pub const fn new(start: u64) -> Self {
        Self { start, connections: 0 }
    }

    fn next(&mut self) -> u64 {
        self.connections += 1;
        (self.start << 32) + self.connections
    }
}

#[derive(Debug, thiserror::Error)]
enum UplinkError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the connection ended")]
    Over,
}

impl Uplink {
    pub fn broker(settings: &settings::Uplink) -> Result<Broker, BrokerError> {
        Broker::new(settings)
    }

    /// Connects again and again until it is dropped. It does not say goodbye: the will is the
    /// message that the edge is off-line, also when it was stopped on purpose.
    pub async fn run(mut self) {
        let mut wait = WAIT_MIN;
        loop {
            let since = Instant::now();
            let birth = self.births.next();
            let will = json(&State::Offline { birth });
            let (sender, connection) = self.broker.connect(will);
            if let Err(error) = self.session(birth, &sender, connection).await {
                tracing::warn!(error = %Chain(&error), "no uplink; the journal keeps everything");
            }
            metrics::gauge!("kennet_uplink_connected").set(0.0);
            if since.elapsed() > WAIT_MAX {
                wait = WAIT_MIN;
            }
            tokio::time::sleep(jitter(wait, Uuid::new_v4().as_u128())).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// One connection, until it ends.
    async fn session(
        &mut self,
        birth: u64,
        sender: &Sender,
        mut connection: Connection,
    ) -> Result<(), UplinkError> {
        let (received, inbox) = tokio::sync::mpsc::channel(INBOX_MAX);
        let drive = async {
            loop {
                let next = connection.next().await?;
                if received.send(next).await.is_err() {
                    return Ok(());
                }
            }
        };
        // Both are polled always: the client takes nothing while nobody drives its socket.
        tokio::select! {
            ended = drive => ended,
            ended = self.converse(birth, sender, inbox) => ended,
        }
    }

    async fn converse(
        &mut self,
        birth: u64,
        sender: &Sender,
        mut inbox: tokio::sync::mpsc::Receiver<Received>,
    ) -> Result<(), UplinkError> {
        match inbox.recv().await {
            Some(Received::Connected) => {}
            Some(Received::Message { .. }) | None => return Err(UplinkError::Over),
        }
        tracing::info!(birth, "the uplink is there");
        metrics::gauge!("kennet_uplink_connected").set(1.0);
        // Borrowed as `&mut` below, because a database connection may move but not be shared.
        let mut journal = Reader::open(&self.journal)?;
        sender.subscribe().await?;
        self.announce(birth, sender, &mut journal).await?;
        self.look_again.notify_one();

        let head = *self.written.borrow_and_update();
        let mut window = Window::new(journal.first_open()?.unwrap_or(head));
        let first = tokio::time::Instant::now() + self.live_every;
        let mut live = tokio::time::interval_at(first, self.live_every);
        live.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.fill(&mut window, sender, &mut journal).await?;
            let deadline = window.deadline().map(tokio::time::Instant::from_std);
            let overdue = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = inbox.recv() => match received {
                    Some(Received::Message { leaf, payload }) => {
                        self.receive(leaf, &payload, sender, &journal, &mut window);
                    }
                    Some(Received::Connected) | None => return Err(UplinkError::Over),
                },
                changed = self.written.changed() => if changed.is_err() {
                    return Err(UplinkError::Over);
                },
                changed = self.applied.changed() => {
                    if changed.is_err() {
                        return Err(UplinkError::Over);
                    }
                    self.announce(birth, sender, &mut journal).await?;
                }
                _ = live.tick() => self.tell_live(sender).await?,
                () = overdue => tracing::warn!("the controller does not acknowledge: sending again"),
            }
        }
    }

    async fn announce(
        &mut self,
        birth: u64,
        sender: &Sender,
        journal: &mut Reader,
    ) -> Result<(), UplinkError> {
        let state = State::Online(Birth {
            birth,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: journal.epoch(),
            applied_revision: *self.applied.borrow_and_update(),
            clock_ms: now_ms(),
            journal_depth: journal.depth()?,
            interfaces: self.interfaces.clone(),
            capabilities: self.capabilities.clone(),
        });
        sender.publish(Leaf::State, json(&state)).await?;
        Ok(())
    }

    async fn fill(
        &mut self,
        window: &mut Window,
        sender: &Sender,
        journal: &mut Reader,
    ) -> Result<(), UplinkError> {
        let head = *self.written.borrow_and_update();
        while let Some(from) = window.want(head, Instant::now()) {
            let Some(batch) = journal.batch(from, RECORDS_MAX, BYTES_MAX)? else {
                // Acknowledged once, deleted since, and now asked for again.
                tracing::error!(seq = from, "the journal no longer has record {from}");
                window.acknowledged(from, Verdict::Forked);
                return Ok(());
            };
            let next = batch.first_seq + batch.records.len() as u64;
            sender.publish(Leaf::UpJournal, batch.encode_to_vec()).await?;
            window.sent(next, Instant::now());
        }
        Ok(())
    }

    async fn tell_live(&self, sender: &Sender) -> Result<(), UplinkError> {
        let (answer, listed) = oneshot::channel();
        // For screens only: a session thread that is busy has better things to do.
        if self.events.try_send(Event::List(answer)).is_err() {
            return Ok(());
        }
        let Ok(Ok(listed)) = tokio::time::timeout(LIVE_TIME, listed).await else { return Ok(()) };
        let at_ms = now_ms();
        for some in listed.chunks(LIVE_MAX) {
            let sessions = some.iter().map(|listed| LiveSession {
                session: listed.session,
                counters: listed.reading.passed,
                round_trips: listed.round_trips,
            });
            let live = Live { at_ms, sessions: sessions.collect() };
            sender.publish(Leaf::UpLive, json(&live)).await?;
        }
        Ok(())
    }

    fn receive(
        &self,
        leaf: Leaf,
        payload: &[u8],
        sender: &Sender,
        journal: &Reader,
        window: &mut Window,
    ) {
        match leaf {
            Leaf::DownAck => match serde_json::from_slice::<Ack>(payload) {
                Ok(ack) if ack.epoch == journal.epoch() => self.acknowledged(&ack, window),
                Ok(ack) => {
                    tracing::debug!(epoch = %ack.epoch, "an acknowledgement of another epoch");
                }
                Err(error) => malformed(leaf, &error),
            },
            Leaf::DownDesired => self.look_again.notify_one(),
            Leaf::DownCommand => match serde_json::from_slice::<Command>(payload) {
                Ok(command) => self.execute(command, sender.clone()),
                Err(error) => malformed(leaf, &error),
            },
            Leaf::State | Leaf::UpJournal | Leaf::UpLive | Leaf::UpReply => {
                tracing::warn!(topic = leaf.as_str(), "a message that only edges send is ignored");
            }
        }
    }

    fn acknowledged(&self, ack: &Ack, window: &mut Window) {
        window.acknowledged(ack.next_seq, ack.verdict);
        match ack.verdict {
            // When the channel is full, the next acknowledgement says the same and more.
            Verdict::Committed => drop(self.events.try_send(Event::Acked(ack.next_seq))),
            Verdict::Gap => tracing::warn!(seq = ack.next_seq, "the controller asks again"),
            Verdict::Forked => {
                metrics::counter!("kennet_journal_refused_total").increment(1);
                tracing::error!(
                    seq = ack.next_seq,
                    "the controller refuses this journal: it does not continue what it has of \
                     this edge. Nothing is lost and nothing more is sent; a person has to look"
                );
            }
        }
    }

    fn execute(&self, command: Command, sender: Sender) {
        let (events, look_again) = (self.events.clone(), Arc::clone(&self.look_again));
        self.life.spawn_short(async move {
            let id = command.id;
            let effect = if command.expires_at_ms < now_ms() {
                Effect::Expired
            } else {
                effect(command.action, &events, &look_again).await
            };
            tracing::info!(command = %id, ?effect, "command {id} is carried out");
            if let Err(error) = sender.publish(Leaf::UpReply, json(&Reply { id, effect })).await {
                tracing::warn!(error = %Chain(&error), "the reply to command {id} is lost");
            }
        });
    }
}

async fn effect(action: Action, events: &SyncSender<Event>, look_again: &Notify) -> Effect {
    let failed = |reason: &str| Effect::Failed { reason: reason.to_owned() };
    match action {
        Action::Disconnect { session } => {
            let (answer, effect) = oneshot::channel();
            if events.try_send(Event::Disconnect(session, answer)).is_err() {
                return failed("the edge is overloaded");
            }
            match tokio::time::timeout(COMMAND_TIME, effect).await {
                Ok(Ok(effect)) => effect,
                Ok(Err(_)) | Err(_) => failed("the session thread did not answer"),
            }
        }
        Action::Reload => {
            look_again.notify_one();
            Effect::Done
        }
    }
}

/// Between half of it and all of it: edges that lost one controller do not come back as one.
fn jitter(wait: Duration, random: u128) -> Duration {
    let percent = 50 + u32::try_from(random % 51).unwrap_or(50);
    wait * percent / 100
}

fn malformed(leaf: Leaf, error: &serde_json::Error) {
    tracing::warn!(topic = leaf.as_str(), %error, "a message that cannot be read is ignored");
}

fn json(message: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a wire message is plain text and numbers")
}

const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(15);

/// One batch on the wire: well below the broker's packet limit.
const RECORDS_MAX: usize = 1_000;
const BYTES_MAX: usize = 256 * 1_024;

/// Sessions in one live message: about 64 kB.
const LIVE_MAX: usize = 400;

/// Messages from the controller that wait; when it is full the socket is not read.
const INBOX_MAX: usize = 64;

/// How long the journal may wait for a screen.
const LIVE_TIME: Duration = Duration::from_millis(500);

/// A NAS is asked for half a minute, and what comes of it is waited for.
const COMMAND_TIME: Duration = Duration::from_mins(1);
